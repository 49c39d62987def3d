"""Reading a feed: the protocol's optional parts, what is quarantined, and what breaks the protocol."""

import time

import numpy as np
import pytest

from pairsim.errors import FeedError, InputError
from pairsim.feeds import Quarantine, RandomFeed, batches, history_of
from pairsim.feeds.feed import (
    BATCH_ROWS,
    check_markets,
    check_speed,
    cut,
    describe,
    interval_of,
    is_live,
    is_lockstep,
    speed_of,
    start_of,
)
from pairsim.market import CANDLE, Candle
from pairsim.market.validation import Reason

S = 10**9


def good(symbol="A/B", at=0, price=10.0):
    return Candle(symbol, at, price, price, price, price, 1.0)


class Given:
    """A feed of the items it is given."""

    interval = "1s"

    def __init__(self, *items, **attributes):
        self.items = items
        self.__dict__.update(attributes)

    def candles(self, symbols):
        yield from self.items


def read(feed, symbols=("A/B", "C/D")):
    quarantine = Quarantine()
    return list(batches(feed, symbols, quarantine)), quarantine


def test_optional_parts_have_their_defaults():
    feed = Given()
    assert is_live(feed) and speed_of(feed) is None and not is_lockstep(feed) and start_of(feed) is None
    assert interval_of(feed) == S and len(history_of(feed, ["A/B"], None, 5)) == 0
    assert check_markets(feed, ["anything"]) == ("anything",)
    assert describe(feed) == "Given, 1s candles, live"
    paced = Given(speed=None, lockstep=True, symbols=("A/B",), start_time="1970-01-01 00:00:01")
    assert not is_live(paced) and speed_of(paced) is None and is_lockstep(paced) and start_of(paced) == S
    assert describe(paced) == "Given, 1s candles, as fast as it goes"
    assert describe(RandomFeed(speed=60)) == "RandomFeed, 100ms candles, speed 60"


def test_a_market_the_feed_does_not_have_is_named_with_those_it_has():
    with pytest.raises(FeedError, match=r"Given has no market 'X/Y': it has A/B, C/D"):
        check_markets(Given(symbols=("A/B", "C/D")), ["A/B", "X/Y"])


def test_a_live_feed_passes_each_candle_on_as_it_comes():
    waiting = []

    class Watching(Given):
        def candles(self, symbols):
            for k in range(3):
                waiting.append(k)
                yield good(at=k * S)

    for k, part in enumerate(batches(Watching(), ["A/B"])):
        assert len(part) == 1 and waiting == list(range(k + 1))


def test_a_paced_feed_is_cut_into_whole_slices_sorted_by_market():
    items = [good(symbol, k * S) for k in range(5_000) for symbol in ("C/D", "A/B")]
    parts, quarantine = read(Given(*items, speed=1.0))
    assert sum(len(part) for part in parts) == 10_000 and quarantine.rows == 0
    assert all(len(part) <= BATCH_ROWS and len(part) % 2 == 0 for part in parts)
    assert all((part["kind_market"].reshape(-1, 2) == [0, 1]).all() for part in parts)


def test_a_paced_feed_that_makes_candles_slowly_is_not_waited_for():
    made = []

    class Slow(Given):
        def candles(self, symbols):
            for k in range(100_000):
                made.append(k)
                yield good(at=k * S)

    next(batches(Slow(speed=1.0), ["A/B"]))
    assert len(made) < 100


def test_arrays_and_tuples_may_be_mixed():
    array = np.array([(1, 0, 0, 5.0, 5.0, 5.0, 5.0, 1.0)], CANDLE)
    parts, _ = read(Given(good(), array, good(at=S), speed=None))
    candles = np.concatenate(parts)
    assert candles["kind_market"].tolist() == [0, 1, 0] and candles["open_time"].tolist() == [0, 0, S]


def test_a_time_may_be_anything_that_says_one():
    parts, _ = read(Given(good(at="1970-01-01 00:00:02"), good(at=np.int64(3 * S))))
    assert [int(part["open_time"][0]) for part in parts] == [2 * S, 3 * S]


@pytest.mark.parametrize("pace", [{}, {"speed": 1.0}])
@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (good(price=float("nan"), at=2 * S), Reason.NOT_A_NUMBER),
        (good(price=-1.0, at=2 * S), Reason.NOT_POSITIVE),
        (Candle("A/B", 2 * S, 10.0, 9.0, 8.0, 9.0, 1.0), Reason.CROSSED),
        (good(at=S), Reason.DUPLICATE),
        (good(at=0), Reason.OUT_OF_ORDER),
        (good(at=2 * S + 1), Reason.OFF_GRID),
    ],
)
def test_a_bad_candle_is_not_delivered_but_counted_with_its_reason(bad, reason, pace):
    parts, quarantine = read(Given(good(), good(at=S), bad, good(at=3 * S), **pace))
    assert np.concatenate(parts)["open_time"].tolist() == [0, S, 3 * S]
    assert (quarantine.rows, quarantine.reasons) == (1, {reason: 1})
    assert quarantine.first[0].row == 2 and "1 candles quarantined" in repr(quarantine)


@pytest.mark.parametrize("pace", [{}, {"speed": 1.0}])
@pytest.mark.parametrize("unit", [10**6, 10**9])  # ms and s: the first of them may fit by chance
def test_times_in_another_unit_are_said_to_be(unit, pace):
    with pytest.raises(FeedError, match=r"no multiples of its interval .*ns since 1970"):
        read(Given(*(good(at=1_700_000_000 * S // unit + k * S // unit) for k in range(20)), **pace))


def test_a_late_market_is_out_of_order_in_a_paced_feed_and_welcome_in_a_live_one():
    items = good("A/B", 0), good("A/B", S), good("C/D", 0), good("C/D", S)
    parts, quarantine = read(Given(*items))
    assert sum(map(len, parts)) == 4 and quarantine.rows == 0
    parts, quarantine = read(Given(*items, speed=1.0))
    assert sum(map(len, parts)) == 3 and quarantine.reasons == {Reason.OUT_OF_ORDER: 1}


@pytest.mark.parametrize(
    ("item", "told"),
    [
        (good("X/Y"), "a market that was not asked for"),
        (("A/B", 0, 1.0), r"no Candle\(symbol, time"),
        (Candle("A/B", 0, "ten", 1.0, 1.0, 1.0, 1.0), r"no Candle\(symbol, time"),
        (Candle("A/B", 1.5, 1.0, 1.0, 1.0, 1.0, 1.0), "time 1.5"),
        (3, "yielded int"),
        (np.zeros(3), "yielded ndarray"),
        (
            np.array([(7, 0, 0, 5.0, 5.0, 5.0, 5.0, 1.0)], CANDLE),
            "market 7: kind_market is an index into the 2 symbols",
        ),
    ],
)
def test_what_breaks_the_protocol_is_an_error_that_shows_it(item, told):
    with pytest.raises(FeedError, match=told):
        read(Given(item))


def test_a_feed_without_an_interval_or_with_a_wrong_one_is_told_how_to_give_it():
    with pytest.raises(FeedError, match='interval = "1s"'):
        interval_of(object())
    with pytest.raises(FeedError, match="1 parsec"):
        interval_of(Given(interval="1 parsec"))


@pytest.mark.parametrize("speed", [0, -1.0, float("nan"), float("inf"), "fast", True])
def test_a_speed_is_a_factor_above_zero_or_none(speed):
    with pytest.raises(InputError, match=r"speed=.* above 0 .* or None"):
        check_speed(speed)


def test_history_of_a_feed_of_ones_own_is_checked_too():
    past = np.array([(0, 0, k * S, 5.0, 5.0, 5.0, 5.0, 1.0) for k in (1, 2, 2, 3)], CANDLE)
    assert history_of(Given(history=lambda *_: past), ["A/B"], None, 9)["open_time"].tolist() == [S, 2 * S, 3 * S]
    with pytest.raises(FeedError, match="instead of CANDLE records"):
        history_of(Given(history=lambda *_: [1, 2]), ["A/B"], None, 9)


def test_cutting_never_splits_a_slice_even_one_larger_than_a_batch():
    rng = np.random.default_rng(0)
    records = np.zeros(3 * BATCH_ROWS, CANDLE)
    records["open_time"] = rng.permutation(np.repeat([1, 2, 3, 4], [5, 2 * BATCH_ROWS, 10, BATCH_ROWS - 15]))
    records["kind_market"] = rng.permutation(len(records))
    parts = list(cut(records))
    assert [np.unique(part["open_time"]).tolist() for part in parts] == [[1], [2], [3, 4]]
    whole = np.concatenate(parts)
    assert np.array_equal(whole, records[np.lexsort((records["kind_market"], records["open_time"]))])
    assert list(cut(records[:0])) == []
    backwards = records[:2].copy()
    backwards["open_time"], backwards["kind_market"] = [2, 1], [0, 1]
    assert next(cut(backwards))["open_time"].tolist() == [1, 2]


def test_reading_a_feed_takes_no_time_of_its_own(monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda _: pytest.fail("a feed slept"))
    next(batches(RandomFeed(speed=1.0), ["A/B"]))
