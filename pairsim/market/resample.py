"""Resampling: longer candles out of shorter ones. Pure kernels, shared by the backtest, the workers and the charts.

The rule: candle j of interval I covers [I*j, I*(j+1)) since the UTC epoch and is stamped with I*j. It is complete when
its last base candle has been seen (the one that ends where it ends) or when a candle of a later interval opens; a base
candle can therefore complete two, the one before it and its own. Intervals are whole multiples of the base interval.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from pairsim.errors import InputError
from pairsim.market.interval import format_interval

NO_CANDLE = -(1 << 62)
"""Open time of a candle that has not begun: far in the past, yet adding an interval to it does not overflow."""


class Resampled(NamedTuple):
    """Candles of the longer interval, in order of time.

    open_time : int64[k], ns UTC.
    open, high, low, close, volume : float64[k].
    complete_at : int64[k], the row of the base candle that completed each one; n (the number of base candles) where
        nothing has yet, which only the last candle can be.
    """

    open_time: npt.NDArray[np.int64]
    open: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]
    low: npt.NDArray[np.float64]
    close: npt.NDArray[np.float64]
    volume: npt.NDArray[np.float64]
    complete_at: npt.NDArray[np.int64]


def check_multiple(interval_ns: int, base_ns: int, *, name: str = "interval") -> int:
    """How many base candles one longer candle holds.

    Raises
    ------
    InputError
        The interval is shorter than the base candles or no whole multiple of them.
    """
    if interval_ns < base_ns or interval_ns % base_ns:
        longer = -(-max(interval_ns, base_ns) // base_ns) * base_ns
        raise InputError(
            f"{name} {format_interval(interval_ns)} cannot be built from candles of {format_interval(base_ns)}: "
            f"it must be a whole multiple of them, for example {format_interval(longer)}"
        )
    return interval_ns // base_ns


@njit(cache=True, nogil=True, error_model="numpy")
def interval_open(time: int, interval_ns: int) -> int:
    """Open time of the interval that holds ``time``: the floor, before 1970 too."""
    return time - time % interval_ns


@njit(cache=True, nogil=True, error_model="numpy")
def begins_later(current_open: int, time: int, interval_ns: int) -> bool:
    """Whether a base candle at ``time`` opens a later interval than the open candle's, and so completes that one.

    True also where no candle is open (NO_CANDLE): the base candle begins one, but completes nothing.
    """
    return time >= current_open + interval_ns


@njit(cache=True, nogil=True, error_model="numpy")
def ends_with(current_open: int, time: int, base_ns: int, interval_ns: int) -> bool:
    """Whether the base candle at ``time`` is the last of the candle it was merged into, and so completes it."""
    return time + base_ns == current_open + interval_ns


@njit(cache=True, nogil=True, error_model="numpy")
def merge(
    high: float, low: float, volume: float, base_high: float, base_low: float, base_volume: float
) -> tuple[float, float, float]:
    """High, low and volume after one more base candle; open stays, close is the base candle's."""
    return max(high, base_high), min(low, base_low), volume + base_volume


@njit(cache=True, nogil=True, error_model="numpy")
def resample(
    open_time: npt.NDArray[np.int64],
    open: npt.NDArray[np.float64],
    high: npt.NDArray[np.float64],
    low: npt.NDArray[np.float64],
    close: npt.NDArray[np.float64],
    volume: npt.NDArray[np.float64],
    interval_ns: int,
    base_ns: int = 0,
) -> Resampled:
    """Candles of ``interval_ns`` out of one market's base candles, sorted by open time, each time once.

    Parameters
    ----------
    interval_ns : length of the candles wanted.
    base_ns : length of the candles given; 0 when unknown, and then a candle is complete only when a later one opens.

    Returns
    -------
    Resampled
        The last candle is there even while it is open; ``complete_at`` tells.
    """
    n = len(open_time)
    times = np.empty(n, np.int64)
    prices = np.empty((5, n), np.float64)
    complete_at = np.empty(n, np.int64)
    k = -1
    current = NO_CANDLE
    for i in range(n):
        if begins_later(current, open_time[i], interval_ns):
            if k >= 0 and complete_at[k] == n:
                complete_at[k] = i
            k += 1
            current = interval_open(open_time[i], interval_ns)
            times[k] = current
            complete_at[k] = n
            prices[0, k] = open[i]
            prices[1, k] = high[i]
            prices[2, k] = low[i]
            prices[4, k] = volume[i]
        else:
            prices[1, k], prices[2, k], prices[4, k] = merge(
                prices[1, k], prices[2, k], prices[4, k], high[i], low[i], volume[i]
            )
        prices[3, k] = close[i]
        if ends_with(current, open_time[i], base_ns, interval_ns):
            complete_at[k] = i
    m = k + 1
    return Resampled(
        times[:m].copy(),
        prices[0, :m].copy(),
        prices[1, :m].copy(),
        prices[2, :m].copy(),
        prices[3, :m].copy(),
        prices[4, :m].copy(),
        complete_at[:m].copy(),
    )
