"""Equity and PnL over feed time, for charts that are opened while the run is under way, in bounded memory.

When it is full every second point is let go: it spans the whole run however long that is, coarser the longer it gets.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
TimeArray = npt.NDArray[np.int64]

CAPACITY: Final = 4_096  # twice the pixels of a wide chart


class History:
    """Points of several series over one time axis, oldest first."""

    def __init__(self, series: int, capacity: int = CAPACITY) -> None:
        self._time = np.empty(capacity, np.int64)
        self._values = np.empty((capacity, series))
        self._count = 0
        self._stride, self._skipped = 1, 0

    @property
    def last_time(self) -> int:
        """Time of the newest point; 0 while there is none."""
        return int(self._time[self._count - 1]) if self._count else 0

    def add(self, time: int, values: Sequence[float] | FloatArray) -> None:
        """The values at a time, which is later than the last one."""
        self._skipped += 1
        if self._skipped < self._stride:
            return
        self._skipped = 0
        if self._count == len(self._time):
            self._skipped = self._stride  # half-way between two points of the coarser grid
            self._thin()
            return
        self._time[self._count], self._values[self._count] = time, values
        self._count += 1

    def amend(self, values: Sequence[float] | FloatArray) -> None:
        """Other values at the time of the newest point."""
        self._values[self._count - 1] = values

    def fill(self, time: TimeArray, values: FloatArray) -> None:
        """Begin with what is known already: int64[n] rising, float64[n, series]; as many as `chosen` leaves."""
        at = self.chosen(len(time))
        self._count = len(at)
        self._time[: self._count], self._values[: self._count] = time[at], values[at]

    def chosen(self, count: int) -> TimeArray:
        """Which of so many points `fill` takes: evenly thinned to half of the room, the newest among them."""
        step = max(1, -(-count // (len(self._time) // 2)))
        return np.arange(count - 1, -1, -step)[::-1]

    def points(self) -> tuple[TimeArray, FloatArray]:
        """All points: times int64[n] in ns, and values float64[n, series]; copies."""
        return self._time[: self._count].copy(), self._values[: self._count].copy()

    def _thin(self) -> None:
        half = self._count // 2
        self._time[:half] = self._time[1 : self._count : 2]  # the newest stays
        self._values[:half] = self._values[1 : self._count : 2]
        self._count, self._stride = half, self._stride * 2


class Fills(NamedTuple):
    """What was filled, in the order it was booked.

    Attributes
    ----------
    time, trader, market : int64[n]. quantity : float64[n], above 0 bought, below sold. price : float64[n].
    fee : float64[n], in the quote currency, 0 or above.
    """

    time: TimeArray
    trader: npt.NDArray[np.int64]
    market: npt.NDArray[np.int64]
    quantity: FloatArray
    price: FloatArray
    fee: FloatArray


def profit_over_time(
    at: TimeArray, fills: Fills, closes: Mapping[int, tuple[TimeArray, FloatArray]], traders: int
) -> FloatArray:
    """PnL of each trader at each moment, what it holds taken at the last price known in that market: a fill's,
    whosever it was, or the close of a candle.

    Parameters
    ----------
    at : int64[n], rising.
    closes : by market, times int64[k] rising and prices float64[k]; what is known of candles, which may be nothing.

    Returns
    -------
    float64[n, traders]
    """
    out = np.zeros((len(at), traders))
    for m in np.unique(fills.market).tolist():
        here = fills.market == m
        time, price = closes.get(m, (fills.time[:0], fills.price[:0]))
        time, price = np.concatenate([time, fills.time[here]]), np.concatenate([price, fills.price[here]])
        order = np.argsort(time, kind="stable")  # a fill at the open of a candle comes after the close before it
        known = np.searchsorted(time[order], at, side="right")
        last = np.concatenate([[0.0], price[order]])[known]
        for t in np.unique(fills.trader[here]).tolist():
            mine = here & (fills.trader == t)
            held = np.cumsum(np.concatenate([[0.0], fills.quantity[mine]]))
            paid = np.cumsum(np.concatenate([[0.0], fills.quantity[mine] * fills.price[mine] + fills.fee[mine]]))
            booked = np.searchsorted(fills.time[mine], at, side="right")
            out[:, t] += held[booked] * last - paid[booked]
    return out
