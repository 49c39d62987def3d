"""Which candles must never be traded on, and why. Pure kernel over arrays; gaps are no fault and are counted elsewhere.

A row is judged on its own values first, then against the last good row of its market: a broken row never decides
whether the rows after it are in order.
"""

from enum import IntEnum

import numpy as np
import numpy.typing as npt
from numba import njit

NO_TIME = np.iinfo(np.int64).min
"""Stands for a missing time, and for "this market has had no candle yet"."""


class Reason(IntEnum):
    """Why a candle is refused; ``text`` is how it is told to a person."""

    GOOD = 0
    NO_TIME = 1
    NOT_A_NUMBER = 2
    NOT_POSITIVE = 3
    CROSSED = 4
    NEGATIVE_VOLUME = 5
    DUPLICATE = 6
    OUT_OF_ORDER = 7
    OFF_GRID = 8

    @property
    def text(self) -> str:
        return _TEXT[self]


_TEXT = {
    Reason.GOOD: "good",
    Reason.NO_TIME: "its time is missing or not readable",
    Reason.NOT_A_NUMBER: "a price or the volume is missing, NaN or infinite",
    Reason.NOT_POSITIVE: "a price is zero or negative",
    Reason.CROSSED: "prices are crossed: high is below or low is above another price",
    Reason.NEGATIVE_VOLUME: "the volume is negative",
    Reason.DUPLICATE: "its market has a candle of the same time already",
    Reason.OUT_OF_ORDER: "it is out of order: its market has a later candle already",
    Reason.OFF_GRID: "its time is not a multiple of the interval",
}

# As plain ints, which numba freezes into the kernel.
_GOOD, _NO_TIME, _NAN, _NOT_POSITIVE, _CROSSED, _NEGATIVE, _DUPLICATE, _DISORDER, _OFF_GRID = (int(r) for r in Reason)


@njit(cache=True, nogil=True, error_model="numpy")
def price_reason(open: float, high: float, low: float, close: float, volume: float) -> int:
    """The Reason of one candle's own values, without its time."""
    total = open + high + low + close + volume
    if not (-np.inf < total < np.inf):
        return _NAN
    if open <= 0.0 or high <= 0.0 or low <= 0.0 or close <= 0.0:
        return _NOT_POSITIVE
    if high < max(open, close, low) or low > min(open, close):
        return _CROSSED
    if volume < 0.0:
        return _NEGATIVE
    return _GOOD


@njit(cache=True, nogil=True, error_model="numpy")
def judge(
    market: npt.NDArray[np.int64],
    open_time: npt.NDArray[np.int64],
    open: npt.NDArray[np.float64],
    high: npt.NDArray[np.float64],
    low: npt.NDArray[np.float64],
    close: npt.NDArray[np.float64],
    volume: npt.NDArray[np.float64],
    last_time: npt.NDArray[np.int64],
    grid_ns: int = 0,
) -> npt.NDArray[np.int8]:
    """The Reason of every row, in the order given.

    Parameters
    ----------
    last_time : int64[markets], time of each market's last good candle, NO_TIME at first. It is advanced, so a stream
        is judged batch by batch as if it were one array.
    grid_ns : times must be multiples of it; 0 for any time.

    Returns
    -------
    int8[n], Reason.GOOD (0) for a candle that may be traded on.
    """
    reasons = np.zeros(len(open_time), np.int8)
    for i in range(len(open_time)):
        time = open_time[i]
        last = last_time[market[i]]
        reason = price_reason(open[i], high[i], low[i], close[i], volume[i])
        if time == NO_TIME:
            reason = _NO_TIME
        elif reason == _GOOD:
            if grid_ns > 0 and time % grid_ns != 0:
                reason = _OFF_GRID
            elif last != NO_TIME and time == last:
                reason = _DUPLICATE
            elif last != NO_TIME and time < last:
                reason = _DISORDER
            else:
                last_time[market[i]] = time
        reasons[i] = reason
    return reasons
