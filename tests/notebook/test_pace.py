"""How often a run is looked at: on a beat whatever holds a look up, and rarely enough where looks are dear."""

from pairsim.notebook.source import Pace

MS = 1_000_000


def _looks(took: list[int], used: int) -> list[int]:
    """When looks begin, in ms, that take so long by the clock and use so much of the processor (ms)."""
    now, pace, begun = 0, Pace(0), []
    for ms in took:
        begun.append(now // MS)
        now += ms * MS
        now += round(pace.rest(now, used * MS) * 1e9)
    return begun


def test_a_look_that_had_to_wait_does_not_delay_the_next() -> None:
    assert _looks([2, 40, 2, 90, 2], used=2) == [0, 100, 200, 300, 400]


def test_one_that_took_longer_than_the_beat_is_not_made_up_for() -> None:
    assert _looks([2, 250, 2, 2], used=2) == [0, 100, 350, 450]


def test_looks_use_a_thirty_third_of_a_core_at_most() -> None:
    begun = _looks([20] * 200, used=20)
    assert begun[-1] - begun[-2] == 660


def test_a_dear_look_among_cheap_ones_is_no_reason_to_look_less_often() -> None:
    pace = Pace(0)
    rests = [pace.rest(k * 100 * MS, 2 * MS if k % 3 else 4 * MS) for k in range(100)]
    assert max(rests) <= 0.1


def test_however_dear_a_look_is_every_two_seconds_there_is_one() -> None:
    pace = Pace(0)
    assert [pace.rest(k * 2_000 * MS, 3_000 * MS) for k in range(3)] == [2.0, 2.0, 2.0]
