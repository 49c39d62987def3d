"""When a view may send: ten times a second, on while a cell runs, ever more rarely to a page that is gone."""

from pairsim.notebook.views.delivery import Delivery

SECOND = 10**9
TENTH = SECOND // 10


def _run(
    delivery: Delivery, first: int, last: int, *, busy: bool, changed: bool = True, answers: bool = False
) -> dict[str, int]:
    """Ten beats a second from one second to another; what they came to."""
    seen = {"data": 0, "alive": 0, "wait": 0}
    for now in range(first * SECOND, last * SECOND, TENTH):
        verdict = delivery.verdict(now, busy=busy, changed=changed)
        seen[verdict] += 1
        if verdict != "wait":
            delivery.sent(now, data=verdict == "data")
        if answers and now % (2 * SECOND) == 0:
            delivery.heard(delivery.sequence)
    return seen


def test_ten_a_second_and_no_more() -> None:
    assert _run(Delivery(), 0, 60, busy=False, answers=True)["data"] == 600
    delivery, sent = Delivery(), 0
    for now in range(0, 60 * SECOND, SECOND // 100):  # asked ten times as often
        if delivery.verdict(now, busy=True, changed=True) == "data":
            sent = delivery.sent(now, data=True)
    assert 740 < sent <= 752  # one each 80 ms, and one that might have been late


def test_a_message_that_left_late_takes_nothing_from_the_next() -> None:
    delivery, sent = Delivery(), 0
    for beat in range(600):
        now = beat * TENTH + (TENTH // 2 if beat % 3 == 0 else 0)  # every third look waited for the GIL
        if delivery.verdict(now, busy=True, changed=True) == "data":
            sent = delivery.sent(now, data=True)
    assert sent == 600


def test_a_second_without_changes_gives_a_sign_of_life() -> None:
    seen = _run(Delivery(), 0, 60, busy=False, changed=False, answers=True)
    assert seen["data"] == 0
    assert seen["alive"] == 60


def test_a_cell_that_runs_costs_nothing_for_ten_minutes() -> None:
    delivery = Delivery()
    assert _run(delivery, 0, 600, busy=True)["data"] == 6_000
    assert _run(delivery, 600, 700, busy=True)["data"] <= 110


def test_a_page_that_is_gone_gets_no_data_after_five_seconds_and_few_signs() -> None:
    delivery = Delivery()
    seen = _run(delivery, 0, 3_600, busy=False)
    assert seen["data"] <= 51
    assert 110 < seen["alive"] < 140


def test_the_first_answer_brings_the_data_back() -> None:
    delivery = Delivery()
    _run(delivery, 0, 3_600, busy=False)
    delivery.heard(delivery.sequence)
    assert delivery.verdict(3_601 * SECOND, busy=False, changed=True) == "data"
