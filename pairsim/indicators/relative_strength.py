"""RSI: Wilder's relative strength index, ``100 * up / (up + down)`` of the smoothed gains and losses.

Both are smoothed by Wilder's rule, ``average += (gain - average) / period``, seeded with the plain average of the first
`period` changes (J. W. Wilder, New Concepts in Technical Trading Systems, 1978; the same as TA-Lib). Only their ratio
is wanted, so what is carried is `period` times the average, and each is made from the one before the last, so that the
next need not wait for it. With ``keep = 1 - 1 / period``:

    up[i] = keep * up[i-1] + gain[i] = keep**2 * up[i-2] + (keep * gain[i-1] + gain[i])

A market that has not moved at all has RSI 0, as in TA-Lib. While nothing moves the sums shrink for ever. Every 256
candles what is next to nothing becomes nothing, before it gets among the subnormal numbers, with which a processor is
40 times slower.
"""

import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numba import njit, types

from pairsim.indicators.abi import COLUMNS, JIT, LONGEST, FloatArray, floats
from pairsim.indicators.builtin import INPUT, BuiltIn, compiled
from pairsim.indicators.series import SeriesT, single

__all__ = ["RSI", "rsi"]

_TERM = 256  # candles from one settling to the next
_NOTHING = 1e-180  # settled to 0; the shortest period, 2, makes 1e-257 of it in a term
# The state: candles seen, the last value, then for gains and losses the smoothed sum, the one before it, the last gain.
_SEEN, _VALUE, _UP, _UP_EARLIER, _GAIN, _DOWN, _DOWN_EARLIER, _LOSS = range(8)


@njit(**JIT)
def _gain(change):
    return 0.0 if change < 0.0 else change  # in this order NaN stays NaN


@njit(**JIT)
def _smooth(earlier, last_gain, gain, keep):
    """The sum of this candle, from the sum two candles before and the gain one before."""
    return keep * keep * earlier + (keep * last_gain + gain)


@njit(**JIT)
def _index(up, down):
    return 100.0 * up / (up + down) if up + down > 0.0 else 0.0


@njit(**JIT)
def _settle(total):
    return 0.0 if total < _NOTHING else total


@njit(**JIT)
def _batch(values, period, keep, out):
    """The indices of finite values; false if one was not."""
    out[:period] = np.nan
    if values.size <= period:
        return True
    up, down = 0.0, 0.0
    for i in range(period):
        change = values[i + 1] - values[i]
        up += _gain(change)
        down += _gain(-change)
    out[period] = _index(up, down)
    up_earlier, gain, down_earlier, loss = 0.0, up, 0.0, down  # so that the next sum is keep * sum + its gain
    value = values[period]
    rest, after = values[period + 1 :], out[period + 1 :]
    for start in range(0, rest.size, _TERM):
        term, indices = rest[start : start + _TERM], after[start : start + _TERM]
        for i in range(term.size):
            change = term[i] - value
            value = term[i]
            new_gain, new_loss = _gain(change), _gain(-change)
            new_up = _smooth(up_earlier, gain, new_gain, keep)
            new_down = _smooth(down_earlier, loss, new_loss, keep)
            up_earlier, up, gain = up, new_up, new_gain
            down_earlier, down, loss = down, new_down, new_loss
            indices[i] = _index(up, down)
        up_earlier, up, down_earlier, down = _settle(up_earlier), _settle(up), _settle(down_earlier), _settle(down)
    return math.isfinite(up + down)


def _step(index: int, constants: int, state: int, window: int, candle: int, out: int) -> int:
    c, s, o = floats(constants), floats(state), floats(out)
    value = floats(candle)[int(c[0])]
    period, keep = c[1], c[2]
    o[0] = np.nan
    if not math.isfinite(value):
        s[_SEEN] = 0.0
        return 0
    change = value - s[_VALUE]
    gain, loss = _gain(change), _gain(-change)
    s[_VALUE] = value
    if s[_SEEN] > period:
        up = _smooth(s[_UP_EARLIER], s[_GAIN], gain, keep)
        down = _smooth(s[_DOWN_EARLIER], s[_LOSS], loss, keep)
        s[_UP_EARLIER], s[_UP], s[_GAIN] = s[_UP], up, gain
        s[_DOWN_EARLIER], s[_DOWN], s[_LOSS] = s[_DOWN], down, loss
        o[0] = _index(up, down)
        s[_SEEN] += 1.0
        if (int(s[_SEEN] - period) - 1) & (_TERM - 1) == 0:
            s[_UP_EARLIER], s[_UP] = _settle(s[_UP_EARLIER]), _settle(s[_UP])
            s[_DOWN_EARLIER], s[_DOWN] = _settle(s[_DOWN_EARLIER]), _settle(s[_DOWN])
        return 0
    if s[_SEEN] == 0.0:
        s[_UP] = s[_DOWN] = 0.0
    else:
        s[_UP] += gain
        s[_DOWN] += loss
    if s[_SEEN] == period:
        s[_UP_EARLIER] = s[_DOWN_EARLIER] = 0.0
        s[_GAIN], s[_LOSS] = s[_UP], s[_DOWN]
        o[0] = _index(s[_UP], s[_DOWN])
    s[_SEEN] += 1.0
    return 0


class RSI(BuiltIn):
    """Wilder's relative strength index of one column, 0 to 100; defined from candle ``period`` on, as TA-Lib's."""

    period: int = 14
    source: str = "close"

    limits: ClassVar = {"period": (2, LONGEST)}
    _step: ClassVar = staticmethod(_step)

    @property
    def warmup(self) -> int:
        return self.period + 1

    @property
    def _keep(self) -> float:
        return 1.0 - 1.0 / self.period

    @property
    def constants(self) -> FloatArray:
        return np.array([COLUMNS.index(self.source), self.period, self._keep])

    def initial_state(self) -> FloatArray:
        return np.zeros(8)

    def _batch(self, inputs: Sequence[FloatArray], outputs: Sequence[FloatArray]) -> bool:
        kernel = compiled(_batch, outputs, INPUT, types.int64, types.float64)
        return kernel(inputs[0], self.period, self._keep, outputs[0])


def rsi(close: SeriesT, period: int = 14) -> SeriesT:
    """Wilder's relative strength index.

    Parameters
    ----------
    close : float64[n] or polars.Series
        NaN or null: no value there, and the index begins anew after it.
    period : int, 2 to 100,000

    Returns
    -------
    float64[n] or polars.Series, 0 to 100; NaN for the first ``period`` values; 0 where nothing has moved.

    Examples
    --------
    >>> import numpy as np
    >>> rsi(np.array([1.0, 2.0, 3.0, 2.0]), 2)
    array([ nan,  nan, 100.,  50.])
    """
    return single(RSI(period), "rsi", close)
