"""SMA: the plain average of the last `period` values.

A running total takes the newest value in and the oldest out. Rounding would pile up for ever, so the total is replaced
at the end of every block of candles by one that was summed up from nothing over the last period of the block: no drift,
and no candle that costs more than another. Totals are of distances from an anchor, the first value of that sum:
the average of a constant is that constant exactly, and a high price with small moves loses no digits.

While the first sum is not complete the running total is NaN, and so is everything made of it: no flag is needed.
"""

import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numba import njit, types

from pairsim.indicators.abi import COLUMNS, JIT, LONGEST, FloatArray, floats, places
from pairsim.indicators.builtin import INPUT, BuiltIn, compiled
from pairsim.indicators.series import SeriesT, single

__all__ = ["SMA", "sma"]

_BLOCK = 256  # shortest block: a total is good for that many steps, and a short one costs time
_POSITION, _TOTAL, _ANCHOR, _FRESH, _NEXT_ANCHOR = range(5)  # the state


@njit(**JIT)
def _slide(total, entering, leaving):
    return total + (entering - leaving)


@njit(**JIT)
def _average(anchor, total, share):
    return anchor + total * share


@njit(**JIT)
def _batch(values, period, block, out):
    """The averages of finite values; false if one was not."""
    out[: period - 1] = np.nan
    if values.size < period:
        return True
    share = 1.0 / period
    total, anchor = np.nan, 0.0
    start, middle = 0, 0  # the first block is only the part of one that is summed up afresh
    while True:
        entering, leaving, after = values[start:middle], values[max(start - period, 0) :], out[start:]
        for i in range(entering.size):
            total = _slide(total, entering[i], leaving[i])
            after[i] = _average(anchor, total, share)
        if middle == values.size:
            return math.isfinite(total)
        stop = min(middle + period, values.size)
        entering, leaving, after = values[middle:stop], values[max(middle - period, 0) :], out[middle:stop]
        next_anchor, fresh = entering[0], 0.0
        for i in range(entering.size):
            total = _slide(total, entering[i], leaving[i])
            fresh = _slide(fresh, entering[i], next_anchor)
            after[i] = _average(anchor, total, share)
        if stop < middle + period:
            return math.isfinite(total)
        if middle > 0 and not math.isfinite(total):
            return False
        total, anchor = fresh, next_anchor
        after[period - 1] = _average(anchor, total, share)
        start, middle = stop, min(stop + block - period, values.size)


def _step(index: int, constants: int, state: int, window: int, candle: int, out: int) -> int:
    c, s, w, o = floats(constants), floats(state), floats(window), floats(out)
    value = floats(candle)[int(c[0])]
    period, last = int(c[1]), int(c[4])
    leaving = w[(index - period) & last]
    w[index & last] = value
    o[0] = np.nan
    if not math.isfinite(value):
        s[_POSITION] = c[3] - c[1]
        s[_TOTAL] = np.nan
        return 0
    position = s[_POSITION]
    total = _slide(s[_TOTAL], value, leaving)
    if position >= c[3] - c[1]:
        if position == c[3] - c[1]:
            s[_NEXT_ANCHOR] = value
            s[_FRESH] = 0.0
        s[_FRESH] = _slide(s[_FRESH], value, s[_NEXT_ANCHOR])
        if position == c[3] - 1.0:
            total = s[_FRESH]
            s[_ANCHOR] = s[_NEXT_ANCHOR]
            position = -1.0
    s[_POSITION] = position + 1.0
    s[_TOTAL] = total
    o[0] = _average(s[_ANCHOR], total, c[2])
    return 0


class SMA(BuiltIn):
    """Simple moving average of one column; defined from candle ``period - 1`` on."""

    period: int = 20
    source: str = "close"

    limits: ClassVar = {"period": (1, LONGEST)}
    _step: ClassVar = staticmethod(_step)

    @property
    def warmup(self) -> int:
        return self.period

    @property
    def _block(self) -> int:
        return max(self.period, _BLOCK)

    @property
    def constants(self) -> FloatArray:
        source = COLUMNS.index(self.source)
        return np.array([source, self.period, 1.0 / self.period, self._block, places(self.period) - 1])

    def initial_state(self) -> FloatArray:
        return np.array([self._block - self.period, np.nan, 0.0, 0.0, 0.0])

    @property
    def window_words(self) -> int:
        return places(self.period)

    def _batch(self, inputs: Sequence[FloatArray], outputs: Sequence[FloatArray]) -> bool:
        kernel = compiled(_batch, outputs, INPUT, types.int64, types.int64)
        return kernel(inputs[0], self.period, self._block, outputs[0])


def sma(close: SeriesT, period: int = 20) -> SeriesT:
    """Simple moving average.

    Parameters
    ----------
    close : float64[n] or polars.Series
        NaN or null: no value there, and the average begins anew after it.
    period : int, 1 to 100,000

    Returns
    -------
    float64[n] or polars.Series; NaN for the first ``period - 1`` values.

    Examples
    --------
    >>> import numpy as np
    >>> sma(np.array([1.0, 2.0, 4.0]), 2)
    array([nan, 1.5, 3. ])
    """
    return single(SMA(period), "sma", close)
