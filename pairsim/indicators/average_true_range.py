"""ATR: Wilder's average true range.

The true range of a candle is how far the price went since the close before: ``max(high, close before) - min(low, close
before)``, which is Wilder's greatest of three distances. It needs a close before, so the first candle has none. It is
smoothed by ``average += (range - average) / period`` from the plain average of the first `period` ranges on (J. W.
Wilder, New Concepts in Technical Trading Systems, 1978; the same as TA-Lib). What is carried is `period` times the
average, and each is made from the one before the last, so that the next need not wait for it:

    total[i] = keep * total[i-1] + range[i] = keep**2 * total[i-2] + (keep * range[i-1] + range[i])

While nothing moves a total shrinks for ever. Every 256 candles what is next to nothing becomes nothing, before it gets
among the subnormal numbers, with which a processor is 40 times slower.
"""

import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numba import njit, types

from pairsim.indicators.abi import JIT, LONGEST, FloatArray, floats
from pairsim.indicators.builtin import INPUT, BuiltIn, compiled
from pairsim.indicators.series import SeriesT, single

__all__ = ["ATR", "atr"]

_TERM = 256  # candles from one settling to the next
_NOTHING = 1e-180  # settled to 0; the shortest period that shrinks at all, 2, makes 1e-257 of it in a term
_SEEN, _CLOSE, _TOTAL, _EARLIER, _RANGE = range(5)  # the state


@njit(**JIT)
def _true_range(high, low, before):
    top = high if high > before else before
    bottom = low if low < before else before
    return top - bottom


@njit(**JIT)
def _smooth(earlier, last_range, newest, keep):
    """The total of this candle, from the total two candles before and the range one before."""
    return keep * keep * earlier + (keep * last_range + newest)


@njit(**JIT)
def _settle(total):
    return 0.0 if total < _NOTHING else total


@njit(**JIT)
def _batch(high, low, close, period, keep, share, out):
    """The averages over finite candles; false if one was not."""
    out[:period] = np.nan
    if close.size <= period:
        return True
    total = 0.0
    spreads = high[0] - low[0]  # their sum shows a bad high or low, which a comparison hides
    for i in range(1, period + 1):
        total += _true_range(high[i], low[i], close[i - 1])
        spreads += high[i] - low[i]
    out[period] = total * share
    earlier, last_range = 0.0, total  # so that the next total is keep * total + its range
    before = close[period]
    highs, lows, closes, after = high[period + 1 :], low[period + 1 :], close[period + 1 :], out[period + 1 :]
    for start in range(0, closes.size, _TERM):
        end = start + _TERM
        term_high, term_low, term_close, averages = (
            highs[start:end],
            lows[start:end],
            closes[start:end],
            after[start:end],
        )
        for i in range(term_close.size):
            newest = _true_range(term_high[i], term_low[i], before)
            before = term_close[i]
            spreads += term_high[i] - term_low[i]
            new_total = _smooth(earlier, last_range, newest, keep)
            earlier, total, last_range = total, new_total, newest
            averages[i] = total * share
        earlier, total = _settle(earlier), _settle(total)
    return math.isfinite(total + spreads + before)


def _step(index: int, constants: int, state: int, window: int, candle: int, out: int) -> int:
    c, s, o = floats(constants), floats(state), floats(out)
    values = floats(candle)
    high, low, close = values[1], values[2], values[3]
    period, keep, share = c[0], c[1], c[2]
    o[0] = np.nan
    if not (math.isfinite(high) and math.isfinite(low) and math.isfinite(close)):
        s[_SEEN] = 0.0
        return 0
    newest = _true_range(high, low, s[_CLOSE])
    s[_CLOSE] = close
    if s[_SEEN] > period:
        total = _smooth(s[_EARLIER], s[_RANGE], newest, keep)
        s[_EARLIER], s[_TOTAL], s[_RANGE] = s[_TOTAL], total, newest
        o[0] = total * share
        s[_SEEN] += 1.0
        if (int(s[_SEEN] - period) - 1) & (_TERM - 1) == 0:
            s[_EARLIER], s[_TOTAL] = _settle(s[_EARLIER]), _settle(total)
        return 0
    s[_TOTAL] = s[_TOTAL] + newest if s[_SEEN] > 0.0 else 0.0
    if s[_SEEN] == period:
        s[_EARLIER] = 0.0
        s[_RANGE] = s[_TOTAL]
        o[0] = s[_TOTAL] * share
    s[_SEEN] += 1.0
    return 0


class ATR(BuiltIn):
    """Wilder's average true range; defined from candle ``period`` on, as TA-Lib's."""

    period: int = 14

    limits: ClassVar = {"period": (1, LONGEST)}
    _step: ClassVar = staticmethod(_step)

    @property
    def warmup(self) -> int:
        return self.period + 1

    @property
    def columns(self) -> tuple[str, ...]:
        return ("high", "low", "close")

    @property
    def constants(self) -> FloatArray:
        return np.array([self.period, 1.0 - 1.0 / self.period, 1.0 / self.period])

    def initial_state(self) -> FloatArray:
        return np.zeros(5)

    def _batch(self, inputs: Sequence[FloatArray], outputs: Sequence[FloatArray]) -> bool:
        kernel = compiled(_batch, outputs, *[INPUT] * 3, types.int64, types.float64, types.float64)
        return kernel(*inputs, self.period, 1.0 - 1.0 / self.period, 1.0 / self.period, outputs[0])


def atr(high: SeriesT, low: SeriesT, close: SeriesT, period: int = 14) -> SeriesT:
    """Wilder's average true range.

    Parameters
    ----------
    high, low, close : float64[n] or polars.Series
        NaN or null in any of them: no value there, and the average begins anew after it.
    period : int, 1 to 100,000

    Returns
    -------
    float64[n] or polars.Series, in units of the price; NaN for the first ``period`` values.

    Examples
    --------
    >>> import numpy as np
    >>> atr(np.array([2.0, 3.0, 5.0]), np.array([1.0, 2.0, 2.0]), np.array([1.0, 3.0, 4.0]), 2)
    array([nan, nan, 2.5])
    """
    return single(ATR(period), "atr", high, low, close)
