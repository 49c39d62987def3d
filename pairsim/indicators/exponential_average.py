"""EMA: exponential moving average, seeded with the plain average of its first period as in TA-Lib.

The rule is ``average += weight * (value - average)`` with ``weight = 2 / (period + 1)``. What is carried from candle to
candle is not the average but its distance from the newest value. With ``keep = 1 - weight``:

    distance[i] = keep * distance[i-1] - pull[i]               where pull[i] = keep * (value[i] - value[i-1])
                = keep**2 * distance[i-2] - (keep * pull[i-1] + pull[i])

So rounding is relative to the distance and not to the price, and the average of a constant is that constant. And each
distance rests on the one before the last: the next need not wait for it, which makes the loop twice as fast.
"""

import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numba import njit, types

from pairsim.indicators.abi import COLUMNS, JIT, LONGEST, FloatArray, floats
from pairsim.indicators.builtin import INPUT, BuiltIn, compiled
from pairsim.indicators.series import SeriesT, single

__all__ = ["EMA", "ema"]

_TERM = 256  # candles from one settling to the next
_NOTHING = 1e-180  # settled to 0; the shortest period that shrinks at all, 2, makes 1e-302 of it in a term
_SEEN, _ANCHOR, _TOTAL, _VALUE, _DISTANCE, _EARLIER, _PULL = range(7)  # the state


@njit(**JIT)
def _seed(anchor, total, period, value):
    """The first distance; `total` is what the first values are above `anchor`, the very first."""
    return (anchor - value) + total / period


@njit(**JIT)
def _update(earlier, pull, change, keep):
    """Distance and pull of a candle, from the distance two candles before and the pull one before."""
    new_pull = keep * change
    return keep * keep * earlier - (keep * pull + new_pull), new_pull


@njit(**JIT)
def _settle(distance):
    return 0.0 if abs(distance) < _NOTHING else distance


@njit(**JIT)
def _batch(values, period, keep, out):
    """The averages of finite values; false if one was not."""
    out[: period - 1] = np.nan
    if values.size < period:
        return True
    anchor, total = values[0], 0.0
    for i in range(period):
        total += values[i] - anchor
    value = values[period - 1]
    distance = _seed(anchor, total, period, value)
    earlier, pull = 0.0, -distance  # so that the next distance is keep * distance - its pull
    out[period - 1] = value + distance
    rest, after = values[period:], out[period:]
    for start in range(0, rest.size, _TERM):
        term, averages = rest[start : start + _TERM], after[start : start + _TERM]
        for i in range(term.size):
            change = term[i] - value
            value = term[i]
            new, pull = _update(earlier, pull, change, keep)
            earlier, distance = distance, new
            averages[i] = value + distance
        earlier, distance = _settle(earlier), _settle(distance)
    return math.isfinite(distance)


def _step(index: int, constants: int, state: int, window: int, candle: int, out: int) -> int:
    c, s, o = floats(constants), floats(state), floats(out)
    value = floats(candle)[int(c[0])]
    period = c[1]
    o[0] = np.nan
    if not math.isfinite(value):
        s[_SEEN] = 0.0
        return 0
    if s[_SEEN] < period:
        if s[_SEEN] == 0.0:
            s[_ANCHOR] = value
            s[_TOTAL] = 0.0
        s[_SEEN] += 1.0
        s[_TOTAL] += value - s[_ANCHOR]
        s[_VALUE] = value
        if s[_SEEN] == period:
            s[_DISTANCE] = _seed(s[_ANCHOR], s[_TOTAL], period, value)
            s[_EARLIER] = 0.0
            s[_PULL] = -s[_DISTANCE]
            o[0] = value + s[_DISTANCE]
        return 0
    distance, pull = _update(s[_EARLIER], s[_PULL], value - s[_VALUE], c[2])
    s[_EARLIER] = s[_DISTANCE]
    s[_DISTANCE] = distance
    s[_PULL] = pull
    s[_VALUE] = value
    o[0] = value + distance
    s[_SEEN] += 1.0
    if int(s[_SEEN] - period) & (_TERM - 1) == 0:
        s[_EARLIER], s[_DISTANCE] = _settle(s[_EARLIER]), _settle(s[_DISTANCE])
    return 0


class EMA(BuiltIn):
    """Exponential moving average of one column; defined from candle ``period - 1`` on, as TA-Lib's."""

    period: int = 20
    source: str = "close"

    limits: ClassVar = {"period": (1, LONGEST)}
    _step: ClassVar = staticmethod(_step)

    @property
    def warmup(self) -> int:
        return self.period

    @property
    def _keep(self) -> float:
        return 1.0 - 2.0 / (self.period + 1.0)

    @property
    def constants(self) -> FloatArray:
        return np.array([COLUMNS.index(self.source), self.period, self._keep])

    def initial_state(self) -> FloatArray:
        return np.zeros(7)

    def _batch(self, inputs: Sequence[FloatArray], outputs: Sequence[FloatArray]) -> bool:
        kernel = compiled(_batch, outputs, INPUT, types.int64, types.float64)
        return kernel(inputs[0], self.period, self._keep, outputs[0])


def ema(close: SeriesT, period: int = 20) -> SeriesT:
    """Exponential moving average.

    Parameters
    ----------
    close : float64[n] or polars.Series
        NaN or null: no value there, and the average begins anew after it.
    period : int, 1 to 100,000
        The newest value has weight ``2 / (period + 1)``.

    Returns
    -------
    float64[n] or polars.Series; NaN for the first ``period - 1`` values.

    Examples
    --------
    >>> import numpy as np
    >>> ema(np.array([1.0, 2.0, 3.0, 5.0]), 3)
    array([nan, nan, 2. , 3.5])
    """
    return single(EMA(period), "ema", close)
