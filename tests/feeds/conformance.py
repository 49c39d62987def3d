"""What every feed promises, as one function: a feed of one's own joins by one line in test_conformance.py.

``make_feed`` makes the feed anew, equal each time; ``symbols`` are two or more markets it has.
"""

from collections.abc import Callable, Sequence
from itertools import islice

import cloudpickle
import numpy as np

from pairsim.feeds.feed import BATCH_ROWS, Feed, batches, history_of, interval_of, is_live, start_of
from pairsim.market import CANDLE

MOST = 40_000  # candles looked at of a feed that never ends
PRICES = ["open", "high", "low", "close"]


def candles_of(feed: Feed, symbols: Sequence[str]) -> np.ndarray:
    """The feed's first candles as one array of whole batches."""
    parts, rows = [], 0
    for part in batches(feed, symbols):
        parts.append(part.copy())
        rows += len(part)
        if rows >= MOST:
            break
    return np.concatenate(parts)


def check_feed(make_feed: Callable[[], Feed], symbols: Sequence[str]) -> None:
    """Assert everything a feed promises."""
    symbols = tuple(symbols)
    assert len(symbols) > 1, "two markets or more show what one cannot"
    candles = candles_of(make_feed(), symbols)
    assert len(candles), "the feed has candles"
    _check_records(candles, len(symbols), interval_of(make_feed()))
    _check_order(make_feed(), candles, symbols)
    _check_repetition(make_feed, candles, symbols)
    _check_subsets(make_feed, candles, symbols)
    _check_history(make_feed, candles, symbols)


def _check_records(candles: np.ndarray, markets: int, interval: int) -> None:
    assert candles.dtype == CANDLE
    assert set(np.unique(candles["kind_market"])) <= set(range(markets)), "market is an index into the symbols"
    assert not candles["sequence"].any(), "sequence is left to the engine"
    assert not (candles["open_time"] % interval).any(), "times are multiples of the interval"
    prices = np.stack([candles[name] for name in PRICES])
    assert np.isfinite(prices).all() and (prices > 0).all(), "prices are finite and above zero"
    assert (candles["high"] == prices.max(axis=0)).all() and (candles["low"] == prices.min(axis=0)).all(), "not crossed"
    assert np.isfinite(candles["volume"]).all() and (candles["volume"] >= 0).all()


def _check_order(feed: Feed, candles: np.ndarray, symbols: Sequence[str]) -> None:
    for market in range(len(symbols)):
        times = candles["open_time"][candles["kind_market"] == market]
        assert (np.diff(times) > 0).all(), "a market's candles are in order of time, each time once"
    if is_live(feed):
        return
    steps = np.diff(candles["open_time"])
    assert (steps >= 0).all(), "a paced feed is in order of time across markets"
    assert (np.diff(candles["kind_market"])[steps == 0] > 0).all(), "a time slice is sorted by market"
    ends = np.array([part["open_time"][[0, -1]] for part in islice(batches(feed, symbols), 20)])
    assert (ends[1:, 0] > ends[:-1, 1]).all(), "batches hold whole slices"
    assert all(len(part) <= max(BATCH_ROWS, len(symbols)) for part in islice(batches(feed, symbols), 5))


def _check_repetition(make_feed: Callable[[], Feed], candles: np.ndarray, symbols: Sequence[str]) -> None:
    feed = make_feed()
    assert np.array_equal(candles_of(feed, symbols), candles), "an equal feed gives equal candles"
    assert np.array_equal(candles_of(feed, symbols), candles), "asked again, a feed begins anew"
    sent = cloudpickle.loads(cloudpickle.dumps(make_feed()))
    assert np.array_equal(candles_of(sent, symbols), candles), "a feed can be sent to another process"


def _check_subsets(make_feed: Callable[[], Feed], candles: np.ndarray, symbols: Sequence[str]) -> None:
    backwards = tuple(reversed(symbols))
    others = candles_of(make_feed(), backwards)
    until = min(candles["open_time"][-1], others["open_time"][-1])
    for market, symbol in enumerate(symbols):
        wanted = _of(candles, market, until)
        assert _same(_of(others, backwards.index(symbol), until), wanted), "the order asked in changes no price"
        alone = candles_of(make_feed(), [symbol])
        end = min(until, alone["open_time"][-1])
        assert _same(_of(alone, 0, end), _of(candles, market, end)), "other markets change no price"


def _check_history(make_feed: Callable[[], Feed], candles: np.ndarray, symbols: Sequence[str]) -> None:
    feed, interval = make_feed(), interval_of(make_feed())
    start = start_of(feed)
    for count in (1, 7, 300):
        past = history_of(feed, symbols, None, count)
        _check_past(past, len(symbols), interval, count)
        if len(past) and start is not None:
            assert past["open_time"].max() == start - interval, "history ends right before the start"
            assert np.array_equal(past[-len(symbols) :], history_of(feed, symbols, None, 1)), (
                "shorter is the end of longer"
            )
    # Between two moments of the feed, history is what was given out.
    times = np.unique(candles["open_time"])
    until = int(times[len(times) // 2])
    past = history_of(feed, symbols, until, 5)
    _check_past(past, len(symbols), interval, 5)
    for market in range(len(symbols) if len(past) else 0):
        given = _of(candles, market, until - interval)[-5:]
        assert _same(_of(past, market, until)[-len(given) :], given), "history equals what was delivered"


def _check_past(past: np.ndarray, markets: int, interval: int, count: int) -> None:
    if not len(past):
        return
    _check_records(past, markets, interval)
    assert (np.diff(past["open_time"]) >= 0).all(), "oldest first"
    assert np.bincount(past["kind_market"], minlength=markets).max() <= count, "no more than asked for"


def _of(candles: np.ndarray, market: int, until: int) -> np.ndarray:
    return candles[(candles["kind_market"] == market) & (candles["open_time"] <= until)]


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    names = ["open_time", *PRICES, "volume"]
    return len(one) == len(other) and all(np.array_equal(one[name], other[name]) for name in names)
