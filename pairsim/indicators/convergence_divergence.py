"""MACD: moving average convergence/divergence: how far a fast average is above a slow one, and that line's own average.

Aligned as TA-Lib aligns it: both averages begin at candle ``slow - 1``, each seeded with the plain average of the last
candles of its own period; the signal line is seeded with the average of the first `signal` values; and nothing is
shown before all three are there. An average is carried as its distance from the newest value,

    distance[i] = keep * (distance[i-1] - change[i])           where keep = 1 - 2 / (period + 1)

so ``fast - slow`` is the difference of two distances, in which the price itself, and its rounding, never appears. Three
recursions keep a processor busy enough for none to be made shorter, as that of EMA is.

While nothing moves a distance shrinks for ever. Every 256 candles what is next to nothing becomes nothing, before it
gets among the subnormal numbers, with which a processor is 40 times slower.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, NamedTuple, overload

import numpy as np
from numba import njit, types

from pairsim.errors import InputError
from pairsim.indicators.abi import COLUMNS, JIT, LONGEST, FloatArray, floats
from pairsim.indicators.builtin import INPUT, BuiltIn, compiled
from pairsim.indicators.series import several

if TYPE_CHECKING:
    import polars as pl

__all__ = ["MACD", "MACDLines", "macd"]

_TERM = 256  # candles from one settling to the next
_NOTHING = 1e-180  # settled to 0; the shortest period that shrinks at all, 2, makes 1e-302 of it in a term
# The state: candles seen, the first value, the last value and line; the sums of the seeds; the three distances.
_SEEN, _ANCHOR, _VALUE, _LINE, _FAST_SUM, _SLOW_SUM, _SIGNAL_SUM, _FAST, _SLOW, _SIGNAL = range(10)


@njit(**JIT)
def _seed(anchor, total, period, value):
    """The first distance; `total` is what the first values are above `anchor`."""
    return (anchor - value) + total / period


@njit(**JIT)
def _update(distance, change, keep):
    return keep * (distance - change)


@njit(**JIT)
def _settle(distance):
    return 0.0 if abs(distance) < _NOTHING else distance


@njit(**JIT)
def _batch(values, fast, slow, signal, fast_keep, slow_keep, signal_keep, out, out_signal, out_histogram):
    """The three lines of finite values; false if one was not."""
    first = slow + signal - 2
    out[:first] = np.nan
    out_signal[:first] = np.nan
    out_histogram[:first] = np.nan
    if values.size <= first:
        return True
    anchor, fast_sum, slow_sum = values[0], 0.0, 0.0
    for i in range(slow):
        slow_sum += values[i] - anchor
        if i >= slow - fast:
            fast_sum += values[i] - anchor
    value = values[slow - 1]
    fast_gap, slow_gap = _seed(anchor, fast_sum, fast, value), _seed(anchor, slow_sum, slow, value)
    line = fast_gap - slow_gap
    signal_sum = line
    for i in range(slow, first + 1):
        change = values[i] - value
        value = values[i]
        fast_gap, slow_gap = _update(fast_gap, change, fast_keep), _update(slow_gap, change, slow_keep)
        line = fast_gap - slow_gap
        signal_sum += line
    signal_gap = _seed(0.0, signal_sum, signal, line)
    out[first], out_signal[first], out_histogram[first] = line, line + signal_gap, -signal_gap
    rest, after = values[first + 1 :], out[first + 1 :]
    after_signal, after_histogram = out_signal[first + 1 :], out_histogram[first + 1 :]
    for start in range(0, rest.size, _TERM):
        end = start + _TERM
        term, lines, signals, histogram = (
            rest[start:end],
            after[start:end],
            after_signal[start:end],
            after_histogram[start:end],
        )
        for i in range(term.size):
            change = term[i] - value
            value = term[i]
            fast_gap, slow_gap = _update(fast_gap, change, fast_keep), _update(slow_gap, change, slow_keep)
            new_line = fast_gap - slow_gap
            signal_gap = _update(signal_gap, new_line - line, signal_keep)
            line = new_line
            lines[i], signals[i], histogram[i] = line, line + signal_gap, -signal_gap
        fast_gap, slow_gap, signal_gap = _settle(fast_gap), _settle(slow_gap), _settle(signal_gap)
    return math.isfinite(signal_gap)


def _step(index: int, constants: int, state: int, window: int, candle: int, out: int) -> int:
    c, s, o = floats(constants), floats(state), floats(out)
    value = floats(candle)[int(c[0])]
    fast, slow, signal = c[1], c[2], c[3]
    o[0] = o[1] = o[2] = np.nan
    if not math.isfinite(value):
        s[_SEEN] = 0.0
        return 0
    seen = s[_SEEN]
    s[_SEEN] = seen + 1.0
    if seen < slow:
        if seen == 0.0:
            s[_ANCHOR] = value
            s[_FAST_SUM] = s[_SLOW_SUM] = s[_SIGNAL_SUM] = 0.0
        s[_VALUE] = value
        s[_SLOW_SUM] += value - s[_ANCHOR]
        if seen >= slow - fast:
            s[_FAST_SUM] += value - s[_ANCHOR]
        if seen < slow - 1.0:
            return 0
        s[_FAST] = _seed(s[_ANCHOR], s[_FAST_SUM], fast, value)
        s[_SLOW] = _seed(s[_ANCHOR], s[_SLOW_SUM], slow, value)
    else:
        change = value - s[_VALUE]
        s[_VALUE] = value
        s[_FAST], s[_SLOW] = _update(s[_FAST], change, c[4]), _update(s[_SLOW], change, c[5])
    line = s[_FAST] - s[_SLOW]
    since = seen - (slow + signal - 2.0)  # candles since the first output
    if since <= 0.0:
        s[_SIGNAL_SUM] += line
        s[_SIGNAL] = _seed(0.0, s[_SIGNAL_SUM], signal, line)  # of use with the last of them only
    else:
        s[_SIGNAL] = _update(s[_SIGNAL], line - s[_LINE], c[6])
    s[_LINE] = line
    if since >= 0.0:
        o[0], o[1], o[2] = line, line + s[_SIGNAL], -s[_SIGNAL]
        if since > 0.0 and int(since) & (_TERM - 1) == 0:
            s[_FAST], s[_SLOW], s[_SIGNAL] = _settle(s[_FAST]), _settle(s[_SLOW]), _settle(s[_SIGNAL])
    return 0


class MACD(BuiltIn):
    """Moving average convergence/divergence; all outputs defined from candle ``slow + signal - 2`` on, as TA-Lib's."""

    fast: int = 12
    slow: int = 26
    signal: int = 9
    source: str = "close"

    fields: ClassVar = ("value", "signal", "histogram")
    limits: ClassVar = {"fast": (1, LONGEST), "slow": (2, LONGEST), "signal": (1, LONGEST)}
    _step: ClassVar = staticmethod(_step)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.fast >= self.slow:
            raise InputError(f"MACD: fast = {self.fast} must be below slow = {self.slow}; exchange or change them")

    @property
    def warmup(self) -> int:
        return self.slow + self.signal - 1

    @property
    def _keeps(self) -> tuple[float, float, float]:
        fast, slow, signal = (1.0 - 2.0 / (period + 1.0) for period in (self.fast, self.slow, self.signal))
        return fast, slow, signal

    @property
    def constants(self) -> FloatArray:
        return np.array([COLUMNS.index(self.source), self.fast, self.slow, self.signal, *self._keeps])

    def initial_state(self) -> FloatArray:
        return np.zeros(10)

    def _batch(self, inputs: Sequence[FloatArray], outputs: Sequence[FloatArray]) -> bool:
        kernel = compiled(_batch, outputs, INPUT, *[types.int64] * 3, *[types.float64] * 3)
        return kernel(inputs[0], self.fast, self.slow, self.signal, *self._keeps, *outputs)


class MACDLines(NamedTuple):
    """Three float64[n]."""

    value: FloatArray
    signal: FloatArray
    histogram: FloatArray


@overload
def macd(close: FloatArray, fast: int = 12, slow: int = 26, signal: int = 9) -> MACDLines: ...
@overload
def macd(close: "pl.Series", fast: int = 12, slow: int = 26, signal: int = 9) -> "pl.DataFrame": ...
def macd(
    close: "FloatArray | pl.Series", fast: int = 12, slow: int = 26, signal: int = 9
) -> "MACDLines | pl.DataFrame":
    """Moving average convergence/divergence.

    Parameters
    ----------
    close : float64[n] or polars.Series
        NaN or null: no value there, and everything begins anew after it.
    fast, slow, signal : int, 1 to 100,000, fast below slow
        Periods of the three exponential averages.

    Returns
    -------
    MACDLines (value, signal, histogram: float64[n]), or a polars.DataFrame with these columns. NaN for the first
    ``slow + signal - 2`` values; ``histogram`` is ``value - signal``.

    Examples
    --------
    >>> import numpy as np
    >>> macd(np.array([1.0, 2.0, 4.0, 8.0]), 1, 2, 2).value
    array([       nan,        nan, 0.83333333, 1.61111111])
    """
    return several(MACD(fast, slow, signal), MACDLines, close)
