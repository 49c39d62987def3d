"""A history prepared for trading: series of candles a market and interval, and indicators over them, computed once.

Rule: nothing here depends on parameters, costs or cash, so one history serves any number of runs; columns are not
copied where they can be used as they are.
"""

from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pairsim.engine.layout import T_INTERVAL, T_MARKET, T_MARKETS
from pairsim.indicators import Indicator
from pairsim.market.candle import Columns
from pairsim.market.resample import resample
from pairsim.research.kept_memory import empty

Floats = NDArray[np.float64]

_PRICES: Final = ("open", "high", "low", "close", "volume")


class Series:
    """Candles of one market at one interval, in order of time.

    Attributes
    ----------
    opened : int64[n], open times.
    prices : five float64[n]: open, high, low, close, volume.
    complete_at : int64[n], the base candle of the market with which each one is complete; None where each base candle
        is one.
    decided_at : int64[n], open time of that base candle.
    marks : float64[n], its close: what equity is marked at when the candle is acted on.
    """

    def __init__(
        self,
        opened: NDArray[np.int64],
        prices: tuple[Floats, ...],
        complete_at: NDArray[np.int64] | None = None,
        base: "Series | None" = None,
    ) -> None:
        self.opened, self.prices, self.complete_at = opened, prices, complete_at
        self.decided_at, self.marks = opened, prices[3]
        if base is not None:
            self.decided_at, self.marks = base.opened[complete_at], base.prices[3][complete_at]
        self._outputs: dict[Indicator, tuple[Floats, tuple[int, ...]]] = {}

    def __len__(self) -> int:
        return len(self.opened)

    def anew(self) -> "Series":
        """The same candles, and nothing computed over them yet."""
        made = Series(self.opened, self.prices, self.complete_at)
        made.decided_at, made.marks, made.addresses = self.decided_at, self.marks, self.addresses
        return made

    @cached_property
    def addresses(self) -> NDArray[np.int64]:
        """Where the five prices stand in memory: asking numpy takes 2 µs for each, and sweeps ask for all markets."""
        return np.array([price.ctypes.data for price in self.prices])

    @cached_property
    def one_by_one(self) -> bool:
        """Whether no base candle completes two of these candles (one behind a gap does, and only the later counts)."""
        return self.complete_at is None or bool(np.all(self.complete_at[1:] > self.complete_at[:-1]))

    def outputs(self, indicator: Indicator) -> Floats:
        """Its columns: float64[outputs, n], each contiguous. Computed once, whoever asks."""
        return self._computed(indicator)[0]

    def outputs_at(self, indicator: Indicator) -> tuple[int, ...]:
        """The addresses of its columns, valid until they are forgotten."""
        return self._computed(indicator)[1]

    def _computed(self, indicator: Indicator) -> tuple[Floats, tuple[int, ...]]:
        found = self._outputs.get(indicator)
        if found is None:
            table = empty((len(indicator.fields), len(self)))
            indicator.batch_into(self.prices, table.T)
            first = table.ctypes.data
            found = table, tuple(first + k * table.strides[0] for k in range(len(table)))
            self._outputs[indicator] = found
        return found

    def forget(self) -> None:
        """Let go of all columns, for whoever tries many indicators."""
        self._outputs.clear()


class History:
    """Candles sorted by (open_time, market), all of one length."""

    def __init__(self, columns: Columns, base_ns: int) -> None:
        self.columns, self.base_ns = columns, base_ns
        self._series: dict[tuple[int, int], Series] = {}

    @cached_property
    def _shared_times(self) -> NDArray[np.int64] | None:
        return shared_times(self.columns)

    @cached_property
    def _by_market(self) -> tuple[NDArray[np.int64], NDArray[np.int64], tuple[Floats, ...]]:
        """(where each market begins, open times, prices), market after market; times that are shared stand once."""
        columns, times = self.columns, self._shared_times
        markets, prices = len(columns.symbols), [getattr(columns, name) for name in _PRICES]
        if times is not None:
            with ThreadPoolExecutor(_TURNING) as threads:  # numpy copies without the GIL
                turned = tuple(threads.map(_turned, (price.reshape(-1, markets) for price in prices)))
            return np.arange(markets + 1) * len(times), times, turned
        starts = np.concatenate([[0], np.cumsum(np.bincount(columns.market, minlength=markets))])
        narrow = columns.market.astype(np.uint16) if markets <= 1 << 16 else columns.market  # sorts in linear time
        order = np.argsort(narrow, kind="stable")
        return starts, columns.open_time[order], tuple(price[order] for price in prices)

    @cached_property
    def slices(self) -> NDArray[np.int64]:
        """Open time of each slice."""
        times = self.columns.open_time
        if len(self.columns.symbols) == 1 or len(times) == 0:
            return times
        return times[np.concatenate([[True], times[1:] != times[:-1]])]

    def series(self, market: int, interval_ns: int) -> Series:
        """The candles of a market at an interval; those that are not complete at the end are left out."""
        key = market, interval_ns
        if key not in self._series:
            self._series[key] = self._base(market) if interval_ns == self.base_ns else self._resampled(*key)
        return self._series[key]

    def alone(self, market: int) -> "History":
        """One market, without copying its candles; what is computed over them is the new history's own."""
        series = self.series(market, self.base_ns)
        columns = Columns(
            (self.columns.symbols[market],), self._no_market[: len(series)], series.opened, *series.prices
        )
        made = History(columns, self.base_ns)
        made._series[0, self.base_ns] = series.anew()
        return made

    @cached_property
    def _no_market(self) -> NDArray[np.int64]:
        return np.zeros(len(self.columns.open_time), np.int64)

    def series_of(self, row: NDArray[np.int64]) -> list[Series]:
        """The series of each market of a trader, by its words in a plan."""
        return [self.series(int(row[T_MARKET + k]), int(row[T_INTERVAL])) for k in range(int(row[T_MARKETS]))]

    def _base(self, market: int) -> Series:
        columns = self.columns
        if len(columns.symbols) == 1:
            return Series(columns.open_time, tuple(np.ascontiguousarray(getattr(columns, name)) for name in _PRICES))
        starts, opened, prices = self._by_market
        mine = slice(int(starts[market]), int(starts[market + 1]))
        times = opened[mine] if self._shared_times is None else opened
        return Series(times, tuple(price[mine] for price in prices))

    def _resampled(self, market: int, interval_ns: int) -> Series:
        base = self.series(market, self.base_ns)
        made = resample(base.opened, *base.prices, interval_ns, self.base_ns)
        complete = int(np.searchsorted(made.complete_at, len(base)))
        prices = tuple(price[:complete] for price in made[1:6])
        return Series(made.open_time[:complete], prices, made.complete_at[:complete], base)


def shared_times(columns: Columns) -> NDArray[np.int64] | None:
    """The open times of every market, where all have the same; None where they differ."""
    markets = len(columns.symbols)
    if markets == 1:
        return columns.open_time
    if len(columns.market) % markets or not np.all(columns.market.reshape(-1, markets) == np.arange(markets)):
        return None
    times = columns.open_time.reshape(-1, markets)
    return np.ascontiguousarray(times[:, 0]) if np.all(times[:, :1] == times) else None


_TURNING: Final = 4  # threads: more wait for memory
_TILE: Final = 128  # rows at a time: what is read side by side is still in the cache when its neighbour is wanted


def _turned(table: NDArray[Any]) -> NDArray[Any]:
    """A table of slices by markets as one array, market after market: eight times as fast as ``table.T.ravel()``."""
    out = np.empty(table.shape[::-1], table.dtype)
    for first in range(0, len(table), _TILE):
        out[:, first : first + _TILE] = table[first : first + _TILE].T
    return out.ravel()
