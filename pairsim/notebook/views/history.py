"""Rows of numbers in time, at most so many: when they are full, the older half is thinned to a quarter of them, evenly
in time. So the whole run stays in view, the newer half of it exactly. The page does the same (``js/src/history.js``).
"""

import numpy as np
from numpy.typing import NDArray

from pairsim.notebook.views.wire import milliseconds


class History:
    """Times int64[n] and values float64[n, k], n at most ``capacity``."""

    def __init__(self, capacity: int, series: int) -> None:
        self.capacity = capacity
        self.count = 0
        self.total = 0  # rows ever given
        self._time = np.empty(capacity, dtype=np.int64)
        self._values = np.empty((capacity, series))

    @property
    def time(self) -> NDArray[np.int64]:
        return self._time[: self.count]

    @property
    def values(self) -> NDArray[np.float64]:
        return self._values[: self.count]

    def append(self, time: NDArray[np.int64], values: NDArray[np.float64]) -> None:
        """Add rows at the end."""
        done = 0
        while done < len(time):
            if self.count == self.capacity:
                self._thin()
            n = min(len(time) - done, self.capacity - self.count)
            self._time[self.count : self.count + n] = time[done : done + n]
            self._values[self.count : self.count + n] = values[done : done + n]
            self.count += n
            done += n
        self.total += len(time)

    def _thin(self) -> None:
        half = self.capacity // 2
        keep = np.concatenate([evenly(milliseconds(self._time[:half]), half // 2), np.arange(half, self.count)])
        n = len(keep)
        self._time[:n], self._values[:n], self.count = self._time[keep], self._values[keep], n


def evenly(time: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """Rows nearest after ``count`` moments spread evenly over ``time``, which ascends; fewer where it has holes."""
    moments = time[0] + (time[-1] - time[0]) * np.arange(count) / count
    return np.unique(np.searchsorted(time, moments))
