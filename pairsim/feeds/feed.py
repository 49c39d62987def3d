"""The Feed protocol, and the one place that reads a feed: what it is asked, what is believed, what is refused.

A feed runs in the host process in a thread of its own. It only produces candles; their pacing, their dispatch and the
waiting for full channels are the engine's. Ten lines of plain Python are a feed::

    class Sawtooth:
        interval = "1s"
        speed = 1.0                                   # paced by the engine; without it the feed is live

        def candles(self, symbols):
            for k in range(100_000):
                for symbol in symbols:
                    price = 100.0 + k % 50
                    yield Candle(symbol, k * 10**9, price, price + 1, price, price + 1, 5.0)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol, cast

import numpy as np
import numpy.typing as npt

from pairsim.errors import FeedError, InputError
from pairsim.feeds.quarantine import Quarantine
from pairsim.market.candle import CANDLE, Candle, Columns
from pairsim.market.interval import Interval, Moment, format_interval, parse_interval, parse_time
from pairsim.market.validation import NO_TIME, Reason, judge

Records = npt.NDArray[np.void]
BATCH_ROWS = 8_192  # candles of one batch: 512 kB, half of a usual second-level cache
_FIRST_ROWS = 64  # batches made of single candles begin small and double: a slow feed is not waited for


class Feed(Protocol):
    """Where candles come from.

    ``interval`` is the length of its candles; their times are whole multiples of it. ``candles(symbols)`` yields them
    in order of time, each market's once a time: Candle tuples, or CANDLE arrays whose ``kind_market`` is the index of
    the market in ``symbols`` (``sequence`` is the engine's). It may be called again and then begins anew.

    What a feed may have besides, looked up by name:

    speed : float or None. How many seconds of feed time pass in one; None is as fast as the channels take. A feed that
        has no such attribute is live: its candles are passed on as they come.
    lockstep : bool. Time slice by time slice, every trader done before the next.
    symbols : the markets it has; absent or None, any.
    start_time : open time of its first candle, ns.
    history(symbols, until_ns, candles) : CANDLE array of up to so many candles of each market that are complete at
        ``until_ns`` (None: before its start), oldest first, so that traders start warm.
    validated : True where the feed itself quarantines bad candles and yields whole time slices, sorted by market.
    quarantined : its Quarantine, if so.
    """

    @property
    def interval(self) -> Interval: ...

    def candles(self, symbols: Sequence[str]) -> Iterable[Candle | Records]: ...


def interval_of(feed: Feed) -> int:
    """Length of a feed's candles in ns."""
    try:
        interval = feed.interval
    except AttributeError:
        raise FeedError(f'{_name(feed)} has no interval: give it one, such as interval = "1s"') from None
    try:
        return parse_interval(interval)
    except InputError as error:
        raise FeedError(f"{_name(feed)}: {error}") from None


def is_live(feed: Feed) -> bool:
    """Whether the feed's candles come when they come, rather than being paced by the engine."""
    return not hasattr(feed, "speed")


def speed_of(feed: Feed) -> float | None:
    """The factor at which a feed is paced; None: not at all."""
    return check_speed(getattr(feed, "speed", None))


def is_lockstep(feed: Feed) -> bool:
    """Whether the engine goes time slice by time slice.

    Raises
    ------
    InputError
        It should, and the feed is live: its slices would be single candles.
    """
    if not getattr(feed, "lockstep", False):
        return False
    if is_live(feed):
        raise InputError(
            f"{_name(feed)} has lockstep=True and no speed: such a feed is live, and its candles come one by one; give "
            f"it speed = None (as fast as it goes) or a factor, or no lockstep"
        )
    return True


def start_of(feed: Feed) -> int | None:
    """Open time of the feed's first candle, where it tells."""
    start = getattr(feed, "start_time", None)
    return None if start is None else parse_time(cast(Moment, start))


def check_markets(feed: Feed, symbols: Sequence[str]) -> tuple[str, ...]:
    """The symbols as a tuple.

    Raises
    ------
    FeedError
        The feed says which markets it has, and one is not among them.
    """
    has = getattr(feed, "symbols", None)
    unknown = [] if has is None else [symbol for symbol in symbols if symbol not in has]
    if unknown:
        names = list(has or ())
        listed = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
        raise FeedError(f"{_name(feed)} has no market {unknown[0]!r}: it has {listed or 'none'}")
    return tuple(symbols)


def check_speed(speed: float | None) -> float | None:
    """A pace: a factor above 0, or None.

    Raises
    ------
    InputError
        It is neither.
    """
    if speed is None:
        return None
    if isinstance(speed, bool) or not isinstance(speed, (int, float)) or not 0.0 < speed < float("inf"):
        raise InputError(f"speed={speed!r}: give a factor above 0 (1.0 is real time), or None for as fast as it goes")
    return float(speed)


def history_of(feed: Feed, symbols: Sequence[str], until_ns: int | None, candles: int) -> Records:
    """Up to so many good candles of each market complete at ``until_ns`` (None: before the feed's start), oldest first.

    Empty where the feed keeps none.
    """
    history = getattr(feed, "history", None)
    if history is None or candles <= 0:
        return np.empty(0, CANDLE)
    records = np.ascontiguousarray(history(tuple(symbols), until_ns, candles))
    if records.dtype != CANDLE:
        raise FeedError(f"{_name(feed)}.history returned {records.dtype} instead of CANDLE records")
    if getattr(feed, "validated", False):
        return records
    return _Gate(feed, symbols, Quarantine(), in_order=True).good(records)


def batches(feed: Feed, symbols: Sequence[str], quarantine: Quarantine | None = None) -> Iterator[Records]:
    """The feed's candles as CANDLE arrays, good ones only.

    A paced feed's batches hold whole time slices, sorted by time and market; a live feed's candles are passed on as
    they come. Candles that must not be traded on are counted in ``quarantine``.

    Raises
    ------
    FeedError
        The feed broke the protocol: an unknown market, something that is no candle.
    """
    names = check_markets(feed, symbols)
    if getattr(feed, "validated", False):
        for item in feed.candles(names):
            yield cast(Records, item)
        return
    live = is_live(feed)
    gate = _Gate(feed, names, Quarantine() if quarantine is None else quarantine, in_order=not live)
    arrays = _arrays(feed, names, 1 if live else BATCH_ROWS)
    parts = (gate.good(array) for array in arrays)
    yield from (part for part in parts if len(part)) if live else whole_slices(parts)


def whole_slices(parts: Iterable[Records]) -> Iterator[Records]:
    """Arrays in order of time, cut anew so that each holds whole time slices, sorted by market, of up to BATCH_ROWS.

    The last slice of a part waits for the next part, which may go on with it.
    """
    held: list[Records] = []
    rows, enough = 0, _FIRST_ROWS
    for part in parts:
        held.append(part)
        rows += len(part)
        if rows < enough:
            continue
        records = np.concatenate(held)
        complete = int(np.searchsorted(records["open_time"], records["open_time"][-1]))
        yield from cut(records[:complete])
        held, rows = [records[complete:]], rows - complete
        enough = min(2 * enough, BATCH_ROWS) + rows
    if rows:
        yield from cut(np.concatenate(held))


def cut(records: Records) -> Iterator[Records]:
    """Records, in any order, as arrays of up to BATCH_ROWS that hold whole slices, sorted by time and market.

    A slice of more markets than that is an array of its own.
    """
    times = np.ascontiguousarray(records["open_time"])
    market = records["kind_market"]
    step = np.diff(times)
    if not np.all((step > 0) | ((step == 0) & (np.diff(market) > 0))):
        order = np.lexsort((market, times))
        records, times = records[order], times[order]
    begin, n = 0, len(records)
    while begin < n:
        end = begin + BATCH_ROWS
        if end >= n:
            end = n
        else:
            end = int(np.searchsorted(times, times[end]))
            if end <= begin:
                end = int(np.searchsorted(times, times[begin], side="right"))
        yield records[begin:end]
        begin = end


_HOPELESS = 5  # candles off the grid, nine in ten: the times are in another unit, not wrong by chance


class _Gate:
    """Lets good candles pass and counts the others; remembers each market's last time from one array to the next."""

    def __init__(self, feed: Feed, symbols: Sequence[str], quarantine: Quarantine, *, in_order: bool) -> None:
        self._name = _name(feed)
        self._symbols = tuple(symbols)
        self._interval_ns = interval_of(feed)
        self._last = np.full(len(self._symbols), NO_TIME, np.int64)
        self._quarantine = quarantine
        self._in_order = in_order  # also across markets: a slice that is over must not get another candle
        self._latest = NO_TIME
        self._row = 0
        self._off_grid = 0

    def good(self, records: Records) -> Records:
        market = records["kind_market"]
        if len(records) and not 0 <= int(market.min()) <= int(market.max()) < len(self._symbols):
            raise FeedError(
                f"{self._name} yielded a candle of market {int(market.max())}: kind_market is an index into the "
                f"{len(self._symbols)} symbols asked for"
            )
        fields = [np.ascontiguousarray(records[name]) for name in ("kind_market", *Columns._fields[2:])]
        reasons = judge(*fields, self._last, self._interval_ns)
        if self._in_order:
            times = np.where(reasons == Reason.GOOD, fields[1], NO_TIME)
            latest = np.maximum.accumulate(np.concatenate([[self._latest], times]))
            reasons[(reasons == Reason.GOOD) & (times < latest[:-1])] = Reason.OUT_OF_ORDER
            self._latest = int(latest[-1])
        good = reasons == Reason.GOOD
        if not good.all():
            self._quarantine.add(Columns(self._symbols, *fields), reasons, self._row)
            records = records[good]
            self._off_grid += int((reasons == Reason.OFF_GRID).sum())
        self._row += len(reasons)
        if self._off_grid >= _HOPELESS and self._off_grid > 0.9 * self._row:
            raise FeedError(
                f"{self._name}: {self._off_grid} of {self._row} candles have times that are no multiples of its "
                f"interval ({format_interval(self._interval_ns)}), the last {int(fields[1][-1])}: give open times in "
                "whole ns since 1970, on the grid of the interval"
            )
        return records


def _arrays(feed: Feed, symbols: Sequence[str], most: int) -> Iterator[Records]:
    """What a feed yields, as arrays: its own, or its tuples gathered up to ``most`` of them."""
    number = {symbol: k for k, symbol in enumerate(symbols)}
    enough = min(_FIRST_ROWS, most)
    held: list[tuple[int, int, int, float, float, float, float, float]] = []
    for item in feed.candles(symbols):
        if isinstance(item, tuple):
            held.append(_record(feed, item, number))
            if len(held) < enough:
                continue
            enough = min(2 * enough, most)
        if held:
            yield np.array(held, CANDLE)
            held = []
        if isinstance(item, np.ndarray) and item.dtype == CANDLE:
            yield item
        elif not isinstance(item, tuple):
            raise FeedError(f"{_name(feed)} yielded {type(item).__name__}: yield Candle(...) tuples or CANDLE arrays")
    if held:
        yield np.array(held, CANDLE)


def _record(
    feed: Feed, candle: tuple[object, ...], number: dict[str, int]
) -> tuple[int, int, int, float, float, float, float, float]:
    try:
        symbol, time, open, high, low, close, volume = cast(Candle, candle)
        market = number[symbol]
        time_ns = time if type(time) is int else parse_time(time)
        return market, 0, time_ns, float(open), float(high), float(low), float(close), float(volume)
    except KeyError:
        raise FeedError(f"{_name(feed)} yielded {candle!r}, a market that was not asked for") from None
    except (ValueError, TypeError) as error:
        raise FeedError(
            f"{_name(feed)} yielded {candle!r}, which is no Candle(symbol, time, open, high, low, close, volume) "
            f"with time in ns: {error}"
        ) from None


def _name(feed: object) -> str:
    return type(feed).__name__


def describe(feed: Feed) -> str:
    """A feed in a line: its name, the length of its candles and its pace."""
    pace = "live" if is_live(feed) else "as fast as it goes" if speed_of(feed) is None else f"speed {speed_of(feed):g}"
    return f"{_name(feed)}, {format_interval(interval_of(feed))} candles, {pace}"
