"""Several streams of candles as one, in order of time: each is judged, the bad ones quarantined, the good ones merged.

A stream holds one run of rows at a time. What is safe to give out ends before the last time of the run that ends first,
because the run after it may go on with that time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from numba import njit

from pairsim.errors import DataError
from pairsim.feeds.feed import Records, cut
from pairsim.feeds.quarantine import Quarantine
from pairsim.feeds.tables import Part
from pairsim.market.candle import CANDLE, Columns, candle_words
from pairsim.market.interval import format_interval, format_time
from pairsim.market.validation import NO_TIME, Reason, judge

_FOREVER = np.iinfo(np.int64).max
_OUT_OF_ORDER = int(Reason.OUT_OF_ORDER)  # a plain int, which numba freezes into the kernel


class Stream:
    """The good candles of some markets, from runs of rows in order of time.

    Parameters
    ----------
    parts : runs of rows; ``market`` counts in the markets of this stream.
    numbers : int64[markets], the market's number in the whole of what is merged.
    gaps : int64[2], how many gaps there were and how many candles they miss; added to.
    whole : the first part is all there is, and need not be in order of time across markets.
    """

    def __init__(
        self,
        name: str,
        parts: Iterator[Part],
        numbers: npt.NDArray[np.int64],
        interval_ns: int,
        quarantine: Quarantine,
        gaps: npt.NDArray[np.int64],
        *,
        whole: bool = False,
    ) -> None:
        self._name, self._parts, self._numbers = name, parts, numbers
        self._interval_ns, self._quarantine, self._gaps, self._whole = interval_ns, quarantine, gaps, whole
        self._last = np.full(len(numbers), NO_TIME, np.int64)
        self._packed = self._last.copy()
        self._latest = NO_TIME
        self._records = np.empty(0, CANDLE)
        self._first_part = True
        self.exhausted = False

    @property
    def safe_until(self) -> int:
        """Everything up to this time is here; fills up first, so that there is something to give."""
        while not self.exhausted and (
            not len(self._records) or self._records["open_time"][0] == self._records["open_time"][-1]
        ):
            self._fill()
        return _FOREVER if self.exhausted else int(self._records["open_time"][-1]) - 1

    def take(self, until: int) -> Records:
        """The candles up to and with that time, which are then no longer here."""
        count = int(np.searchsorted(self._records["open_time"], until, side="right"))
        taken, self._records = self._records[:count], self._records[count:]
        return taken

    def _fill(self) -> None:
        part = next(self._parts, None)
        if part is None:
            self.exhausted = True
            return
        self._records = self._with_good(part)
        self.exhausted = self._whole

    def _with_good(self, part: Part) -> Records:
        """What is here already, and after it the good candles of the part."""
        columns = part.columns
        reasons = judge(*columns[1:], self._last, self._interval_ns)
        if not self._whole:
            self._latest = _refuse_late(reasons, columns.open_time, self._latest)
        if self._first_part:
            self._first_part = False
            _refuse_hopeless(self._name, columns, reasons, self._interval_ns)
        kept, good = len(self._records), int(np.count_nonzero(reasons == Reason.GOOD))
        records = np.empty(kept + good, CANDLE)
        records[:kept] = self._records
        if good < len(reasons):
            self._quarantine.add(columns, reasons, rows=part.rows)
        self._gaps += _pack(
            reasons, self._numbers, self._packed, self._interval_ns, *columns[1:], *candle_words(records[kept:])
        )
        if self._whole:
            records = records[np.lexsort((records["kind_market"], records["open_time"]))]
        return records


def merge(streams: Sequence[Stream]) -> Iterator[Records]:
    """CANDLE arrays of whole time slices, sorted by time and market, of up to BATCH_ROWS candles."""
    until = NO_TIME
    while until != _FOREVER:
        until = min((stream.safe_until for stream in streams), default=_FOREVER)
        taken = [part for part in (stream.take(until) for stream in streams) if len(part)]
        if taken:
            yield from cut(taken[0] if len(taken) == 1 else np.concatenate(taken))


def last_candles(records: Records, candles: int, markets: int) -> Records:
    """The last so many records of each market, in the order given."""
    return records[_is_last(np.ascontiguousarray(records["kind_market"]), candles, markets)]


@njit(cache=True, nogil=True, error_model="numpy")
def _refuse_late(reasons: npt.NDArray[np.int8], open_time: npt.NDArray[np.int64], latest: int) -> int:
    """Mark good rows whose time slice is over, whatever their market; returns the latest time of a good row so far."""
    for i in range(len(reasons)):
        if reasons[i] == 0:
            if open_time[i] < latest:
                reasons[i] = _OUT_OF_ORDER
            else:
                latest = open_time[i]
    return latest


@njit(cache=True, nogil=True, error_model="numpy")
def _pack(
    reasons: npt.NDArray[np.int8],
    numbers: npt.NDArray[np.int64],
    last_time: npt.NDArray[np.int64],
    interval_ns: int,
    market: npt.NDArray[np.int64],
    open_time: npt.NDArray[np.int64],
    open: npt.NDArray[np.float64],
    high: npt.NDArray[np.float64],
    low: npt.NDArray[np.float64],
    close: npt.NDArray[np.float64],
    volume: npt.NDArray[np.float64],
    words: npt.NDArray[np.int64],
    floats: npt.NDArray[np.float64],
) -> npt.NDArray[np.int64]:
    """The good rows of columns as records; returns how many gaps they have and how many candles these miss."""
    gaps = np.zeros(2, np.int64)
    r = 0
    for i in range(len(reasons)):
        if reasons[i] == 0:
            last = last_time[market[i]]
            if last != NO_TIME and open_time[i] - last > interval_ns:
                gaps[0] += 1
                gaps[1] += (open_time[i] - last) // interval_ns - 1
            last_time[market[i]] = open_time[i]
            words[r, 0] = numbers[market[i]]
            words[r, 1] = 0
            words[r, 2] = open_time[i]
            floats[r, 3] = open[i]
            floats[r, 4] = high[i]
            floats[r, 5] = low[i]
            floats[r, 6] = close[i]
            floats[r, 7] = volume[i]
            r += 1
    return gaps


@njit(cache=True, nogil=True, error_model="numpy")
def _is_last(market: npt.NDArray[np.int64], candles: int, markets: int) -> npt.NDArray[np.bool_]:
    seen = np.zeros(markets, np.int64)
    wanted = np.zeros(len(market), np.bool_)
    for i in range(len(market) - 1, -1, -1):
        if seen[market[i]] < candles:
            seen[market[i]] += 1
            wanted[i] = True
    return wanted


def _refuse_hopeless(name: str, columns: Columns, reasons: npt.NDArray[np.int8], interval_ns: int) -> None:
    """A table most of whose rows are quarantined for one cause is a misunderstanding, not bad luck: say so at once."""
    most = max(len(reasons) // 2, 1)
    late = int(np.count_nonzero(reasons == Reason.OUT_OF_ORDER))
    if late > most // 5:
        raise DataError(
            f"{name}: {late:,} of the first {len(reasons):,} rows are out of order: sort it once, for example "
            f'pl.scan_parquet(path).sort("timestamp").sink_parquet(sorted_path), or group its rows by market'
        )
    off = np.flatnonzero(reasons == Reason.OFF_GRID)
    if len(off) > most:
        raise DataError(
            f"{name}: {len(off):,} of the first {len(reasons):,} candles are stamped off the grid of "
            f"{format_interval(interval_ns)}, such as {format_time(int(columns.open_time[off[0]]))}: give the length "
            f"of its candles as interval=..., or move the times onto the grid"
        )
