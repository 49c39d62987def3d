"""Highest and Lowest: the largest and the smallest of the last `period` values.

A maximum is exact, so step and kernel may come to it on different ways. The kernel widens: from the largest of every
 four neighbours it makes the largest of every sixteen, and so on, a few vector instructions each, whatever the data.
The step remembers the largest and its age, and searches the window again only when it has grown too old.
The smallest is the largest of the negatives.
"""

import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numba import njit, types

from pairsim.indicators.abi import COLUMNS, JIT, LONGEST, FloatArray, floats, places
from pairsim.indicators.builtin import INPUT, BuiltIn, compiled
from pairsim.indicators.series import SeriesT, single

__all__ = ["Highest", "Lowest", "highest", "lowest"]

_CHUNK = 2048  # outputs at a time: two work arrays of it stay in the first-level cache
_SEEN, _BEST, _AGE = range(3)  # the state


@njit(**JIT)
def _larger(one, other):
    return one if one > other else other  # one instruction; max() looks for NaN


@njit(**JIT)
def _take(values, flip, target):
    """Values, or their negatives; false if one is not finite."""
    unfit = 0
    if flip:
        for i in range(target.size):
            unfit += values[i] - values[i] != 0.0
            target[i] = -values[i]
    else:
        for i in range(target.size):
            unfit += values[i] - values[i] != 0.0
            target[i] = values[i]
    return unfit == 0


@njit(**JIT)
def _take_fours(first, second, third, fourth, flip, target):
    """As `_take`, the largest of every four neighbours at once; the first three are not looked at."""
    unfit = 0
    if flip:
        for i in range(target.size):
            unfit += fourth[i] - fourth[i] != 0.0
            target[i] = _larger(_larger(-first[i], -second[i]), _larger(-third[i], -fourth[i]))
    else:
        for i in range(target.size):
            unfit += fourth[i] - fourth[i] != 0.0
            target[i] = _larger(_larger(first[i], second[i]), _larger(third[i], fourth[i]))
    return unfit == 0


@njit(**JIT)
def _widen(first, second, third, fourth, target):
    for i in range(target.size):
        target[i] = _larger(_larger(first[i], second[i]), _larger(third[i], fourth[i]))


@njit(**JIT)
def _finish_two(first, second, sign, out):
    for i in range(out.size):
        out[i] = sign * _larger(first[i], second[i]) + 0.0  # no negative zero


@njit(**JIT)
def _finish_five(first, second, third, fourth, fifth, sign, out):
    for i in range(out.size):
        four = _larger(_larger(first[i], second[i]), _larger(third[i], fourth[i]))
        out[i] = sign * _larger(four, fifth[i]) + 0.0


@njit(**JIT)
def _batch(values, period, flip, out):
    """The largest (or smallest) of finite values; false if one was not."""
    # Each loop is a function of its own: with its arrays as arguments numba makes vector instructions of it.
    out[: period - 1] = np.nan
    sign = -1.0 if flip else 1.0
    chunk = max(_CHUNK, period)
    best, wider = np.empty(chunk + period), np.empty(chunk + period)
    for start in range(0, values.size - period + 1, chunk):
        count = min(chunk, values.size - period + 1 - start)
        size = count + period - 1
        taken = values[start : start + size]
        if period < 4:
            width = 1  # best[i] is the largest of so many values from i on
            finite = _take(taken, flip, best[:size])
        else:
            width = 4
            finite = _take_fours(taken, taken[1:], taken[2:], taken[3:], flip, best[: size - 3])
            finite &= math.isfinite(taken[0] + taken[1] + taken[2])
        if not finite:
            return False
        while 5 * width < period:
            target = wider[: size - 4 * width + 1]
            _widen(best, best[width:], best[2 * width :], best[3 * width :], target)
            best, wider = wider, best
            width *= 4
        after = out[start + period - 1 : start + period - 1 + count]
        last = period - width
        if last <= width:
            _finish_two(best, best[last:], sign, after)
        else:
            second, third, fourth = best[width:], best[min(2 * width, last) :], best[min(3 * width, last) :]
            _finish_five(best, second, third, fourth, best[last:], sign, after)
    return True


def _step(index: int, constants: int, state: int, window: int, candle: int, out: int) -> int:
    c, s, w, o = floats(constants), floats(state), floats(window), floats(out)
    value = floats(candle)[int(c[0])]
    period, last, sign = int(c[1]), int(c[2]), c[3]
    newest = sign * value
    w[index & last] = newest
    o[0] = np.nan
    if not math.isfinite(value):
        s[_SEEN] = 0.0
        return 0
    best, age = s[_BEST], s[_AGE] + 1.0
    if s[_SEEN] == 0.0 or newest >= best:
        best, age = newest, 0.0
    elif age >= c[1]:
        best, age = newest, 0.0
        for back in range(1, period):
            if w[(index - back) & last] > best:
                best, age = w[(index - back) & last], float(back)
    s[_SEEN] = min(s[_SEEN] + 1.0, c[1])
    s[_BEST], s[_AGE] = best, age
    if s[_SEEN] == c[1]:
        o[0] = sign * best + 0.0
    return 0


class _Extreme(BuiltIn):
    period: int = 20
    source: str = "close"

    limits: ClassVar = {"period": (1, LONGEST)}
    _step: ClassVar = staticmethod(_step)
    _sign: ClassVar[float]

    @property
    def warmup(self) -> int:
        return self.period

    @property
    def constants(self) -> FloatArray:
        return np.array([COLUMNS.index(self.source), self.period, places(self.period - 1) - 1, self._sign])

    def initial_state(self) -> FloatArray:
        return np.zeros(3)

    @property
    def window_words(self) -> int:
        return places(self.period - 1)

    def _batch(self, inputs: Sequence[FloatArray], outputs: Sequence[FloatArray]) -> bool:
        kernel = compiled(_batch, outputs, INPUT, types.int64, types.boolean)
        return kernel(inputs[0], self.period, self._sign < 0.0, outputs[0])


class Highest(_Extreme):
    """The largest of the last `period` values, by default highs; defined from candle ``period - 1`` on."""

    source: str = "high"
    _sign: ClassVar[float] = 1.0


class Lowest(_Extreme):
    """The smallest of the last `period` values, by default lows; defined from candle ``period - 1`` on."""

    source: str = "low"
    _sign: ClassVar[float] = -1.0


def highest(values: SeriesT, period: int = 20) -> SeriesT:
    """Largest of the last `period` values.

    Parameters
    ----------
    values : float64[n] or polars.Series
        NaN or null: no value there, and the window begins anew after it.
    period : int, 1 to 100,000

    Returns
    -------
    float64[n] or polars.Series; NaN for the first ``period - 1`` values.

    Examples
    --------
    >>> import numpy as np
    >>> highest(np.array([3.0, 1.0, 2.0]), 2)
    array([nan,  3.,  2.])
    """
    return single(Highest(period), "highest", values)


def lowest(values: SeriesT, period: int = 20) -> SeriesT:
    """Smallest of the last `period` values; see `highest`.

    Examples
    --------
    >>> import numpy as np
    >>> lowest(np.array([3.0, 1.0, 2.0]), 2)
    array([nan,  1.,  1.])
    """
    return single(Lowest(period), "lowest", values)
