"""Replay: candles that were, from a file or a table, in order of time and at any speed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pairsim.errors import DataError, InputError
from pairsim.feeds.feed import Records, check_markets, check_speed
from pairsim.feeds.merge import Stream, last_candles, merge
from pairsim.feeds.quarantine import Quarantine
from pairsim.feeds.tables import SLICE_ROWS, Table
from pairsim.market.candle import CANDLE
from pairsim.market.interval import Interval, Moment, format_interval, parse_interval, parse_time
from pairsim.market.sources import is_table

if TYPE_CHECKING:
    from pairsim.market.sources import Sources

# Markets that stand one after another in a file are read side by side, each in slices: together 128 MB of candles, but
# not below what makes reading a slice worth it (a part of the row group before it is decoded again each time).
_ROWS_SIDE_BY_SIDE = 1 << 21
_SMALLEST_SLICE = 8_192
_ALL = 2**62


class ReplayFeed:
    """Candles from a file or table, one market or several merged in order of time.

    Parameters
    ----------
    source : path of a Parquet file, which is read slice by slice and never held whole; of a CSV file; a polars, pandas
        or arrow table; or a dict of these by symbol. Columns as for ``pairsim.load``. A file of several markets is in
        order of time (read fastest), or has each market's rows together.
    speed : seconds of feed time in one second; None is as fast as the channels take.
    lockstep : time slice by time slice, every trader done before the next: the outcome is the same for any number of
        workers, and equal to the backtest's.
    symbol : names the market of a table that holds one; picks one of a table that holds several.
    interval : length of a candle; None is the most common distance of two candles.
    start : candles before it are not replayed, but are history, so traders start warm.

    Attributes
    ----------
    quarantined : the candles that were not delivered because they must not be traded on: NaN, not positive, crossed,
        twice, out of order or off the grid. Counted anew by each ``candles()``.

    Raises
    ------
    DataError
        A file is missing or broken, or lacks a column; the message names it and the next step.
    """

    validated = True

    def __init__(
        self,
        source: Sources,
        speed: float | None = 1.0,
        lockstep: bool = False,
        symbol: str | None = None,
        *,
        interval: Interval | None = None,
        start: Moment | None = None,
    ) -> None:
        self.speed = check_speed(speed)
        self.lockstep = bool(lockstep)
        self.quarantined = Quarantine()
        self._gaps = np.zeros(2, np.int64)
        self._start_ns = None if start is None else parse_time(start)
        self._interval_ns = None if interval is None else parse_interval(interval)
        if isinstance(source, Mapping) and not is_table(source):
            if symbol is not None:
                raise InputError(f"symbol={symbol!r}: a dict of sources names its markets itself, leave it out")
            self._tables = [Table(one, name) for name, one in source.items()]
        else:
            self._tables = [Table(source, symbol)]
        if not self._tables:
            raise InputError("ReplayFeed({}) has nothing to replay: give a file, a table or a dict of them by symbol")

    @property
    def symbols(self) -> tuple[str, ...]:
        """The markets there are."""
        return tuple(symbol for table in self._tables for symbol in table.symbols)

    @property
    def interval(self) -> int:
        """Length of a candle, ns."""
        if self._interval_ns is None:
            lengths = {table.interval_ns: table.name for table in self._tables}
            if len(lengths) > 1:
                (a, first), (b, second), *_ = lengths.items()
                raise DataError(
                    f"candles of {format_interval(a)} in {first} and of {format_interval(b)} in {second}: one feed has "
                    f"candles of one length, resample the shorter ones"
                )
            self._interval_ns = next(iter(lengths))
        return self._interval_ns

    @property
    def start_time(self) -> int | None:
        """The ``start`` given, ns; None: with the first candle."""
        return self._start_ns

    @property
    def gaps(self) -> tuple[int, int]:
        """How many gaps the candles delivered so far had, and how many candles these miss."""
        return int(self._gaps[0]), int(self._gaps[1])

    def candles(self, symbols: Sequence[str]) -> Iterator[Records]:
        """CANDLE arrays of whole time slices, sorted by market, from the start on."""
        self.quarantined.clear()
        self._gaps[:] = 0
        start, nothing = self._start_ns, True
        for records in merge(self._streams(symbols, self.quarantined, self._gaps)):
            nothing = False
            if start is not None:
                if records["open_time"][-1] < start:
                    continue
                records = records[np.searchsorted(records["open_time"], start) :]
            yield records
        if nothing and self.quarantined.rows:
            raise DataError(f"{self!r}: no candle can be replayed, {self.quarantined!r}")

    def history(self, symbols: Sequence[str], until_ns: int | None, candles: int) -> Records:
        """The last ``candles`` of each market that are complete at ``until_ns`` (None: at ``start``), oldest first."""
        until = self._start_ns if until_ns is None else until_ns
        kept, rows = [np.empty(0, CANDLE)], 0
        if until is None or candles <= 0:
            return kept[0]
        for records in merge(self._streams(symbols, Quarantine(), np.zeros(2, np.int64))):
            complete = int(np.searchsorted(records["open_time"], until - self.interval, side="right"))
            kept.append(records[:complete])
            rows += complete
            if rows > 2 * candles * len(symbols) + SLICE_ROWS:
                kept = [last_candles(np.concatenate(kept), candles, len(symbols))]
                rows = len(kept[0])
            if complete < len(records):
                break
        return last_candles(np.concatenate(kept), candles, len(symbols))

    def _streams(self, symbols: Sequence[str], quarantine: Quarantine, gaps: npt.NDArray[np.int64]) -> list[Stream]:
        names = check_markets(self, symbols)
        runs = [run for table in self._tables for run in _runs(table, names)]
        rows = min(SLICE_ROWS, max(_SMALLEST_SLICE, _ROWS_SIDE_BY_SIDE // max(len(runs), 1)))
        return [
            Stream(
                table.name,
                table.parts(wanted, place, rows=_ALL if table.in_memory else rows),
                np.array([names.index(name) for name in wanted], np.int64),
                self.interval,
                quarantine,
                gaps,
                whole=table.in_memory,
            )
            for table, wanted, place in runs
        ]

    def __repr__(self) -> str:
        names = ", ".join(table.name for table in self._tables[:3]) + (", ..." if len(self._tables) > 3 else "")
        lockstep = ", lockstep=True" if self.lockstep else ""
        return f"ReplayFeed({names}, speed={self.speed}{lockstep})"


def _runs(table: Table, names: Sequence[str]) -> list[tuple[Table, tuple[str, ...], tuple[int, int] | None]]:
    """What of a table is read as one stream: everything, or each market by itself where its rows stand together."""
    wanted = tuple(name for name in names if name in table.symbols)
    if not wanted:
        return []
    places = {name: table.range_of(name) for name in wanted}
    if table.in_memory or any(place is None for place in places.values()):
        return [(table, wanted, None)]
    return [(table, (name,), place) for name, place in places.items()]
