"""RSI: Wilder's relative strength index, ``100 * up / (up + down)`` of the smoothed gains and losses.

Both are smoothed by Wilder's rule, ``average += (gain - average) / period``, seeded with the plain average of the first
`period` changes (J. W. Wilder, New Concepts in Technical Trading Systems, 1978; the same as TA-Lib). As in the other
recursions here each average is made from the one before the last, so that the next need not wait for it:

    average[i] = keep**2 * average[i-2] + (keep * part[i-1] + part[i])     where part[i] = gain[i] / period

A market that has not moved at all has RSI 0, as in TA-Lib.
"""

import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numba import njit, types

from pairsim.indicators.abi import COLUMNS, JIT, FloatArray, floats
from pairsim.indicators.builtin import INPUT, LONGEST, OUTPUT, BuiltIn, compiled
from pairsim.indicators.series import SeriesT, single

__all__ = ["RSI", "rsi"]

_SPECK = 1e-290  # keeps an average that dies away out of the subnormal numbers, which are 40 times slower
_NOTHING = 1e-280  # what specks add up to stays below
# The state: candles seen, last value, then for gains and losses the average, the one before it and the newest part.
_SEEN, _VALUE, _UP, _UP_EARLIER, _UP_PART, _DOWN, _DOWN_EARLIER, _DOWN_PART = range(8)


@njit(**JIT)
def _update(earlier, part, gain, keep, share):
    """Average and part of a candle, from the average two candles before and the part one before."""
    new_part = share * gain + _SPECK
    return keep * keep * earlier + (keep * part + new_part), new_part


@njit(**JIT)
def _index(up, down):
    return 100.0 * up / (up + down) if up + down > _NOTHING else 0.0


@njit(**JIT)
def _batch(values, period, out):
    out[:period] = np.nan
    if values.size <= period:
        return True
    up, down = 0.0, 0.0
    for i in range(period):
        change = values[i + 1] - values[i]
        up += max(change, 0.0)
        down += max(-change, 0.0)
    up, down = up / period, down / period
    up_earlier, up_part, down_earlier, down_part = 0.0, up, 0.0, down  # the next average is keep * average + its part
    out[period] = _index(up, down)
    share = 1.0 / period
    keep = 1.0 - share
    value = values[period]
    rest, after = values[period + 1 :], out[period + 1 :]
    for i in range(rest.size):
        change = rest[i] - value
        value = rest[i]
        new_up, up_part = _update(up_earlier, up_part, max(change, 0.0), keep, share)
        new_down, down_part = _update(down_earlier, down_part, max(-change, 0.0), keep, share)
        up_earlier, up = up, new_up
        down_earlier, down = down, new_down
        after[i] = _index(up, down)
    return math.isfinite(up + down)


def _step(index: int, constants: int, state: int, window: int, candle: int, out: int) -> int:
    c, s, o = floats(constants), floats(state), floats(out)
    value = floats(candle)[int(c[0])]
    period = c[1]
    o[0] = np.nan
    if not math.isfinite(value):
        s[_SEEN] = 0.0
        return 0
    change = value - s[_VALUE]
    s[_VALUE] = value
    gain, loss = max(change, 0.0), max(-change, 0.0)
    if s[_SEEN] > period:
        up, up_part = _update(s[_UP_EARLIER], s[_UP_PART], gain, c[2], c[3])
        down, down_part = _update(s[_DOWN_EARLIER], s[_DOWN_PART], loss, c[2], c[3])
        s[_UP_EARLIER], s[_UP], s[_UP_PART] = s[_UP], up, up_part
        s[_DOWN_EARLIER], s[_DOWN], s[_DOWN_PART] = s[_DOWN], down, down_part
        o[0] = _index(up, down)
        return 0
    if s[_SEEN] == 0.0:
        s[_UP] = s[_DOWN] = 0.0
    else:
        s[_UP] += gain
        s[_DOWN] += loss
    if s[_SEEN] == period:
        s[_UP] /= period
        s[_DOWN] /= period
        s[_UP_EARLIER] = s[_DOWN_EARLIER] = 0.0
        s[_UP_PART], s[_DOWN_PART] = s[_UP], s[_DOWN]
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
    def constants(self) -> FloatArray:
        share = 1.0 / self.period
        return np.array([COLUMNS.index(self.source), self.period, 1.0 - share, share])

    def initial_state(self) -> FloatArray:
        return np.zeros(8)

    def _batch(self, inputs: Sequence[FloatArray], outputs: Sequence[FloatArray]) -> bool:
        return compiled(_batch, INPUT, types.int64, OUTPUT)(inputs[0], self.period, outputs[0])


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
