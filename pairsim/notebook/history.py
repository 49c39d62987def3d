"""Equity and PnL over feed time, for charts that are opened while the run is under way, in bounded memory.

When it is full every second point is let go: it spans the whole run however long that is, coarser the longer it gets.
"""

from collections.abc import Sequence
from typing import Final

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
        """Begin with what is known already: int64[n] rising, float64[n, series]; evenly thinned to half of the room."""
        step = max(1, -(-len(time) // (len(self._time) // 2)))
        at = np.arange(len(time) - 1, -1, -step)[::-1]  # the newest is always among them
        self._count = len(at)
        self._time[: self._count], self._values[: self._count] = time[at], values[at]

    def points(self) -> tuple[TimeArray, FloatArray]:
        """All points: times int64[n] in ns, and values float64[n, series]; copies."""
        return self._time[: self._count].copy(), self._values[: self._count].copy()

    def _thin(self) -> None:
        half = self._count // 2
        self._time[:half] = self._time[1 : self._count : 2]  # the newest stays
        self._values[:half] = self._values[1 : self._count : 2]
        self._count, self._stride = half, self._stride * 2


def profit_over_fills(
    trader: npt.NDArray[np.int64],
    market: npt.NDArray[np.int64],
    signed_quantity: FloatArray,
    price: FloatArray,
    fee: FloatArray,
    traders: int,
) -> FloatArray:
    """PnL of each trader after each fill, what it holds taken at the price of its own last fill in that market.

    Parameters
    ----------
    trader, market : int64[n], of each fill in the order they were booked.
    signed_quantity : float64[n], above 0 bought, below sold.
    fee : float64[n], in the quote currency, 0 or above.

    Returns
    -------
    float64[n, traders]
    """
    out = np.zeros((len(trader), traders))
    for t, m in {(int(t), int(m)) for t, m in zip(trader, market, strict=True)}:
        mine = (trader == t) & (market == m)
        worth = np.cumsum(signed_quantity[mine]) * price[mine]
        paid = np.cumsum(signed_quantity[mine] * price[mine] + fee[mine])
        steps = np.zeros(len(trader))
        steps[mine] = np.diff(worth - paid, prepend=0.0)
        out[:, t] += np.cumsum(steps)
    return out
