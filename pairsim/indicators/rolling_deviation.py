"""StdDev, Bollinger and ZScore: the average of the last `period` values and how far they spread around it.

The plain formula is ``variance = sum((value - average)**2) / period`` (the population's, ddof 0, as TA-Lib), which
would cost a look at the whole window each candle. Two running totals, of ``value - anchor`` and of its square, give the
same in a few operations. Three things keep them good:

- They are of distances from an anchor, a value of the last one or two blocks. Squares of the price itself would lose
  everything at a price of 1e8 that moves by 1e-3; distances lose nothing.
- At the end of every block of candles they are replaced by totals that were summed up from nothing over the last
  period of the block, with its first value as their anchor: no drift, and no candle that costs more than another.
- Where all values of the window are equal the deviation is 0 and the average that value, whatever the totals say.

The error of a variance is about 1e-16 times the square of the widest distance from the anchor. So the deviation of a
window in which almost nothing moves, shortly after a move a million times as large, is not to be trusted to many digits
until a block has passed. Until the first sums are complete the running totals are NaN, and so is all made of them.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, NamedTuple, overload

import numpy as np
from numba import njit, types

from pairsim.indicators.abi import COLUMNS, JIT, LONGEST, FloatArray, floats, places
from pairsim.indicators.builtin import INPUT, BuiltIn, compiled
from pairsim.indicators.series import SeriesT, several, single

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Bollinger", "BollingerBands", "StdDev", "ZScore", "bollinger", "stddev", "zscore"]

_BLOCK = 512  # shortest block: totals are good for that many steps, and a short one costs time
# The state: place in the block; the totals of distances and of squares, and their anchor; the fresh ones; how many
# values in a row are equal, and which.
_POSITION, _TOTAL, _SQUARES, _ANCHOR, _FRESH, _FRESH_SQUARES, _NEXT_ANCHOR, _EQUAL, _LAST = range(9)


# ---------------------------------------------------------------- the arithmetic of one candle


@njit(**JIT)
def _slide(total, squares, anchor, entering, leaving):
    """Both totals with one value in and one out; the difference of squares is a product, which keeps its digits."""
    change = entering - leaving
    return total + change, squares + change * ((entering - anchor) + (leaving - anchor))


@njit(**JIT)
def _add(total, squares, anchor, entering):
    distance = entering - anchor
    return total + distance, squares + distance * distance


@njit(**JIT)
def _average(total, anchor, share):
    return anchor + total * share


@njit(**JIT)
def _variance(total, squares, share):
    variance = (squares - total * total * share) * share
    return 0.0 if variance < 0.0 else variance


@njit(**JIT)
def _score(value, average, variance):
    return (value - average) / math.sqrt(variance) if variance > 0.0 else np.nan


# ---------------------------------------------------------------- whole columns


@njit(**JIT)
def _start():
    state = np.zeros(9)
    state[_TOTAL] = state[_SQUARES] = state[_LAST] = np.nan
    return state


@njit(**JIT)
def _block(values, start, middle, stop, period, state, average, variance):
    """Average and variance of the candles from `start` to `stop`, which are summed up afresh from `middle` on.

    Totals come from `state` and go there. False if a value was not finite.
    """
    share = 1.0 / period
    total, squares, anchor = state[_TOTAL], state[_SQUARES], state[_ANCHOR]
    entering, leaving = values[start:middle], values[max(start - period, 0) :]
    for i in range(entering.size):
        total, squares = _slide(total, squares, anchor, entering[i], leaving[i])
        average[i], variance[i] = total, squares
    entering, leaving = values[middle:stop], values[max(middle - period, 0) :]
    totals, squareds = average[middle - start :], variance[middle - start :]
    fresh, fresh_squares, next_anchor = 0.0, 0.0, values[min(middle, values.size - 1)]
    for i in range(entering.size):
        total, squares = _slide(total, squares, anchor, entering[i], leaving[i])
        fresh, fresh_squares = _add(fresh, fresh_squares, next_anchor, entering[i])
        totals[i], squareds[i] = total, squares
    finite = math.isfinite(fresh + fresh_squares) and (start == 0 or math.isfinite(total + squares))
    for i in range(stop - start):
        average[i], variance[i] = _average(average[i], anchor, share), _variance(average[i], variance[i], share)
    if stop == middle + period:
        total, squares, anchor = fresh, fresh_squares, next_anchor
        average[stop - start - 1] = _average(total, anchor, share)
        variance[stop - start - 1] = _variance(total, squares, share)
    state[_TOTAL], state[_SQUARES], state[_ANCHOR] = total, squares, anchor
    _flatten(values, start, stop, period, state, average, variance)
    return finite


@njit(**JIT)
def _repeats(values, earlier):
    count = 0
    for i in range(values.size):
        count += values[i] == earlier[i]
    return count


@njit(**JIT)
def _flatten(values, start, stop, period, state, average, variance):
    """Where all values of a window are equal: exactly that average, no variance."""
    first = max(start, 1)
    if state[_EQUAL] + _repeats(values[first:stop], values[first - 1 :]) + 1.0 >= period:
        equal, last = state[_EQUAL], state[_LAST]
        for i in range(start, stop):
            equal = equal + 1.0 if values[i] == last else 1.0
            last = values[i]
            if equal >= period:
                average[i - start], variance[i - start] = last, 0.0
    else:  # too few for any window: only the run at the end may go on, and a whole block of equals is no few
        equal, i = 1.0, stop - 1
        while i > start and values[i] == values[i - 1]:
            equal += 1.0
            i -= 1
        last = values[stop - 1]
    state[_EQUAL], state[_LAST] = equal, last


@njit(**JIT)
def _batch_single(values, period, block, score, out):
    """The scores, or the deviations, of finite values; false if one was not."""
    out[: period - 1] = np.nan
    state, average, variance = _start(), np.empty(block), np.empty(block)
    start, middle = 0, 0
    while start < values.size:
        stop = min(middle + period, values.size)
        if not _block(values, start, min(middle, values.size), stop, period, state, average, variance):
            return False
        first = max(start, period - 1)
        after, newest = out[first:stop], values[first:stop]
        mean, spread = average[first - start :], variance[first - start :]
        if score:
            for i in range(after.size):
                after[i] = _score(newest[i], mean[i], spread[i])
        else:
            for i in range(after.size):
                after[i] = math.sqrt(spread[i])
        start, middle = stop, stop + block - period
    return True


@njit(**JIT)
def _batch_bands(values, period, block, deviations, out_upper, out_middle, out_lower):
    out_upper[: period - 1] = np.nan
    out_middle[: period - 1] = np.nan
    out_lower[: period - 1] = np.nan
    state, average, variance = _start(), np.empty(block), np.empty(block)
    start, middle = 0, 0
    while start < values.size:
        stop = min(middle + period, values.size)
        if not _block(values, start, min(middle, values.size), stop, period, state, average, variance):
            return False
        first = max(start, period - 1)
        upper, center, lower = out_upper[first:stop], out_middle[first:stop], out_lower[first:stop]
        mean, spread = average[first - start :], variance[first - start :]
        for i in range(upper.size):
            reach = deviations * math.sqrt(spread[i])
            upper[i], center[i], lower[i] = mean[i] + reach, mean[i], mean[i] - reach
        start, middle = stop, stop + block - period
    return True


# ---------------------------------------------------------------- candle by candle


@njit(**JIT)
def _take(index, c, s, w, value):
    """One candle into window and state; its average and variance, NaN while there are none."""
    period, last_place, block = int(c[1]), int(c[4]), c[3]
    leaving = w[(index - period) & last_place]
    w[index & last_place] = value
    if not math.isfinite(value):
        s[_POSITION] = block - c[1]
        s[_TOTAL] = s[_SQUARES] = s[_LAST] = np.nan
        return np.nan, np.nan
    position = s[_POSITION]
    total, squares = _slide(s[_TOTAL], s[_SQUARES], s[_ANCHOR], value, leaving)
    equal = s[_EQUAL] + 1.0 if value == s[_LAST] else 1.0
    if position >= block - c[1]:
        if position == block - c[1]:
            s[_NEXT_ANCHOR] = value
            s[_FRESH] = s[_FRESH_SQUARES] = 0.0
        s[_FRESH], s[_FRESH_SQUARES] = _add(s[_FRESH], s[_FRESH_SQUARES], s[_NEXT_ANCHOR], value)
        if position == block - 1.0:
            total, squares = s[_FRESH], s[_FRESH_SQUARES]
            s[_ANCHOR] = s[_NEXT_ANCHOR]
            position = -1.0
    s[_POSITION] = position + 1.0
    s[_TOTAL], s[_SQUARES], s[_EQUAL], s[_LAST] = total, squares, equal, value
    if equal >= c[1]:
        return value, 0.0
    return _average(total, s[_ANCHOR], c[2]), _variance(total, squares, c[2])


def _step_deviation(index: int, constants: int, state: int, window: int, candle: int, out: int) -> int:
    c = floats(constants)
    _, variance = _take(index, c, floats(state), floats(window), floats(candle)[int(c[0])])
    floats(out)[0] = math.sqrt(variance)
    return 0


def _step_bands(index: int, constants: int, state: int, window: int, candle: int, out: int) -> int:
    c, o = floats(constants), floats(out)
    average, variance = _take(index, c, floats(state), floats(window), floats(candle)[int(c[0])])
    reach = c[5] * math.sqrt(variance)
    o[0], o[1], o[2] = average + reach, average, average - reach
    return 0


def _step_score(index: int, constants: int, state: int, window: int, candle: int, out: int) -> int:
    c = floats(constants)
    value = floats(candle)[int(c[0])]
    average, variance = _take(index, c, floats(state), floats(window), value)
    floats(out)[0] = _score(value, average, variance)
    return 0


# ---------------------------------------------------------------- what a user sees


class _Rolling(BuiltIn):
    period: int = 20

    limits: ClassVar = {"period": (2, LONGEST)}

    @property
    def warmup(self) -> int:
        return self.period

    @property
    def _block(self) -> int:
        return max(self.period, _BLOCK)

    @property
    def constants(self) -> FloatArray:
        source = COLUMNS.index(self.columns[0])
        return np.array([source, self.period, 1.0 / self.period, self._block, places(self.period) - 1])

    def initial_state(self) -> FloatArray:
        state = np.zeros(9)
        state[_POSITION] = self._block - self.period
        state[[_TOTAL, _SQUARES, _LAST]] = np.nan
        return state

    @property
    def window_words(self) -> int:
        return places(self.period)

    def _single(self, values: FloatArray, score: bool, outputs: Sequence[FloatArray]) -> bool:
        kernel = compiled(_batch_single, outputs, INPUT, types.int64, types.int64, types.boolean)
        return kernel(values, self.period, self._block, score, outputs[0])


class StdDev(_Rolling):
    """Standard deviation (ddof 0) of the last `period` values; defined from candle ``period - 1`` on."""

    source: str = "close"

    _step: ClassVar = staticmethod(_step_deviation)

    def _batch(self, inputs: Sequence[FloatArray], outputs: Sequence[FloatArray]) -> bool:
        return self._single(inputs[0], False, outputs)


class ZScore(_Rolling):
    """How many standard deviations (ddof 0) the newest value is above the average of the last `period` values.

    Defined from candle ``period - 1`` on, but NaN where all values of the window are equal.
    """

    source: str = "close"

    _step: ClassVar = staticmethod(_step_score)

    def _batch(self, inputs: Sequence[FloatArray], outputs: Sequence[FloatArray]) -> bool:
        return self._single(inputs[0], True, outputs)


class Bollinger(_Rolling):
    """Bollinger bands: the average of the last `period` values and `deviations` standard deviations (ddof 0) around it.

    Defined from candle ``period - 1`` on.
    """

    deviations: float = 2.0
    source: str = "close"

    fields: ClassVar = ("upper", "middle", "lower")
    limits: ClassVar = {"period": (2, LONGEST), "deviations": (0.0, 100.0)}
    _step: ClassVar = staticmethod(_step_bands)

    @property
    def constants(self) -> FloatArray:
        return np.append(super().constants, self.deviations)

    def _batch(self, inputs: Sequence[FloatArray], outputs: Sequence[FloatArray]) -> bool:
        kernel = compiled(_batch_bands, outputs, INPUT, types.int64, types.int64, types.float64)
        return kernel(inputs[0], self.period, self._block, self.deviations, *outputs)


class BollingerBands(NamedTuple):
    """Three float64[n]."""

    upper: FloatArray
    middle: FloatArray
    lower: FloatArray


def stddev(close: SeriesT, period: int = 20) -> SeriesT:
    """Standard deviation of the last `period` values, ddof 0.

    Parameters
    ----------
    close : float64[n] or polars.Series
        NaN or null: no value there, and the window begins anew after it.
    period : int, 2 to 100,000

    Returns
    -------
    float64[n] or polars.Series; NaN for the first ``period - 1`` values, exactly 0 where all values are equal.

    Examples
    --------
    >>> import numpy as np
    >>> stddev(np.array([1.0, 3.0, 3.0]), 2)
    array([nan,  1.,  0.])
    """
    return single(StdDev(period), "stddev", close)


def zscore(close: SeriesT, period: int = 20) -> SeriesT:
    """How many standard deviations (ddof 0) a value is above the average of the last `period` values, itself included.

    Parameters
    ----------
    close : float64[n] or polars.Series
        NaN or null: no value there, and the window begins anew after it.
    period : int, 2 to 100,000

    Returns
    -------
    float64[n] or polars.Series; NaN for the first ``period - 1`` values, and where all values are equal.

    Examples
    --------
    >>> import numpy as np
    >>> zscore(np.array([1.0, 3.0, 3.0]), 2)
    array([nan,  1., nan])
    """
    return single(ZScore(period), "zscore", close)


@overload
def bollinger(close: FloatArray, period: int = 20, deviations: float = 2.0) -> BollingerBands: ...
@overload
def bollinger(close: "pl.Series", period: int = 20, deviations: float = 2.0) -> "pl.DataFrame": ...
def bollinger(
    close: "FloatArray | pl.Series", period: int = 20, deviations: float = 2.0
) -> "BollingerBands | pl.DataFrame":
    """Bollinger bands.

    Parameters
    ----------
    close : float64[n] or polars.Series
        NaN or null: no value there, and the window begins anew after it.
    period : int, 2 to 100,000
    deviations : float, 0 to 100
        Half the width of the bands, in standard deviations (ddof 0).

    Returns
    -------
    BollingerBands (upper, middle, lower: float64[n]), or a polars.DataFrame with these columns; NaN for the first
    ``period - 1`` values.

    Examples
    --------
    >>> import numpy as np
    >>> bollinger(np.array([1.0, 3.0, 3.0]), 2).upper
    array([nan,  4.,  3.])
    """
    return several(Bollinger(period, deviations), BollingerBands, close)
