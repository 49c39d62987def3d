"""Heikin-Ashi candles: averaged candles that show the trend with less noise.

``close = (open + high + low + close) / 4``; ``open`` is the middle of the averaged candle before, and of the first
candle ``(open + close) / 2``; ``high`` and ``low`` are the furthest of the candle's own and those two. As in TA-Lib.

Each averaged open is made from the candle before the last, so that the next need not wait for it:

    open[i] = open[i-1] / 2 + close[i-1] / 2 = (open[i-2] / 4 + close[i-2] / 4) + close[i-1] / 2
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, NamedTuple, overload

import numpy as np
from numba import njit

from pairsim.indicators.abi import JIT, FloatArray, floats
from pairsim.indicators.builtin import INPUT, BuiltIn, compiled
from pairsim.indicators.series import several

if TYPE_CHECKING:
    import polars as pl

__all__ = ["HeikinAshi", "HeikinAshiCandles", "heikin_ashi"]

# The state: whether there was a candle; the next averaged open; a quarter of the last averaged open and close.
_SEEN, _OPEN, _QUARTERS = range(3)


@njit(**JIT)
def _close(open, high, low, close):
    return ((open + close) + (high + low)) * 0.25


@njit(**JIT)
def _next_open(quarters, close):
    return quarters + 0.5 * close


@njit(**JIT)
def _quarters(open, close):
    return 0.25 * open + 0.25 * close


@njit(**JIT)
def _larger(one, other):
    return one if one > other else other  # one instruction; max() looks for NaN


@njit(**JIT)
def _smaller(one, other):
    return one if one < other else other


@njit(**JIT)
def _batch(open, high, low, close, out_open, out_high, out_low, out_close):
    """The averaged candles of finite ones; false if one was not."""
    if open.size == 0:
        return True
    high, low, close = high[: open.size], low[: open.size], close[: open.size]
    averaged_open = 0.5 * open[0] + 0.5 * close[0]
    before = 0.5 * averaged_open  # as if the candle before were this open
    for i in range(open.size):
        averaged_close = _close(open[i], high[i], low[i], close[i])
        out_open[i] = averaged_open
        out_high[i] = _larger(high[i], _larger(averaged_open, averaged_close))
        out_low[i] = _smaller(low[i], _smaller(averaged_open, averaged_close))
        out_close[i] = averaged_close
        quarters = _quarters(averaged_open, averaged_close)
        averaged_open, before = _next_open(before, averaged_close), quarters
    return math.isfinite(averaged_open + before)


def _step(index: int, constants: int, state: int, window: int, candle: int, out: int) -> int:
    s, o = floats(state), floats(out)
    values = floats(candle)
    open, high, low, close = values[0], values[1], values[2], values[3]
    averaged_close = _close(open, high, low, close)
    if not (math.isfinite(open) and math.isfinite(high) and math.isfinite(low) and math.isfinite(close)):
        s[_SEEN] = 0.0
        o[0] = o[1] = o[2] = o[3] = np.nan
        return 0
    if s[_SEEN] == 0.0:
        s[_SEEN], s[_OPEN] = 1.0, 0.5 * open + 0.5 * close
        s[_QUARTERS] = 0.5 * s[_OPEN]  # as if the candle before were this open
    averaged_open = s[_OPEN]
    s[_OPEN], s[_QUARTERS] = _next_open(s[_QUARTERS], averaged_close), _quarters(averaged_open, averaged_close)
    o[0] = averaged_open
    o[1] = _larger(high, _larger(averaged_open, averaged_close))
    o[2] = _smaller(low, _smaller(averaged_open, averaged_close))
    o[3] = averaged_close
    return 0


class HeikinAshi(BuiltIn):
    """Heikin-Ashi candles; defined from the first candle on."""

    fields: ClassVar = ("open", "high", "low", "close")
    _step: ClassVar = staticmethod(_step)

    @property
    def columns(self) -> tuple[str, ...]:
        return ("open", "high", "low", "close")

    @property
    def constants(self) -> FloatArray:
        return np.zeros(0)

    def initial_state(self) -> FloatArray:
        return np.zeros(3)

    def _batch(self, inputs: Sequence[FloatArray], outputs: Sequence[FloatArray]) -> bool:
        return compiled(_batch, outputs, *[INPUT] * 4)(*inputs, *outputs)


class HeikinAshiCandles(NamedTuple):
    """Four float64[n]."""

    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray


@overload
def heikin_ashi(open: FloatArray, high: FloatArray, low: FloatArray, close: FloatArray) -> HeikinAshiCandles: ...
@overload
def heikin_ashi(open: "pl.Series", high: "pl.Series", low: "pl.Series", close: "pl.Series") -> "pl.DataFrame": ...
def heikin_ashi(
    open: "FloatArray | pl.Series",
    high: "FloatArray | pl.Series",
    low: "FloatArray | pl.Series",
    close: "FloatArray | pl.Series",
) -> "HeikinAshiCandles | pl.DataFrame":
    """Heikin-Ashi candles.

    Parameters
    ----------
    open, high, low, close : float64[n] or polars.Series
        A candle with NaN or null has no averaged candle, and they begin anew after it.

    Returns
    -------
    HeikinAshiCandles (open, high, low, close: float64[n]), or a polars.DataFrame with these columns. Defined from the
    first candle on.

    Examples
    --------
    >>> import numpy as np
    >>> candles = heikin_ashi(np.array([1.0, 2.0]), np.array([3.0, 4.0]), np.array([1.0, 2.0]), np.array([2.0, 3.0]))
    >>> candles.close
    array([1.75, 2.75])
    """
    return several(HeikinAshi(), HeikinAshiCandles, open, high, low, close)
