"""Heikin-Ashi candles: averaged candles that show the trend with less noise.

``close = (open + high + low + close) / 4``; ``open`` is the middle of the averaged candle before, and of the first
candle ``(open + close) / 2``; ``high`` and ``low`` are the furthest of the candle's own and those two. As in TA-Lib.
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

_SEEN, _OPEN, _CLOSE = range(3)  # the state: whether there was a candle, and the averaged one


@njit(**JIT)
def _close(open, high, low, close):
    return ((open + close) + (high + low)) * 0.25


@njit(**JIT)
def _middle(one, other):
    return 0.5 * one + 0.5 * other


@njit(**JIT)
def _larger(one, other):
    return one if one > other else other  # one instruction; max() looks for NaN


@njit(**JIT)
def _smaller(one, other):
    return one if one < other else other


@njit(**JIT)
def _batch(open, high, low, close, out_open, out_high, out_low, out_close):
    if open.size == 0:
        return True
    high, low, close = high[: open.size], low[: open.size], close[: open.size]
    averaged_open, averaged_close = open[0], close[0]
    for i in range(open.size):
        averaged_open = _middle(averaged_open, averaged_close)
        averaged_close = _close(open[i], high[i], low[i], close[i])
        out_open[i] = averaged_open
        out_high[i] = _larger(high[i], _larger(averaged_open, averaged_close))
        out_low[i] = _smaller(low[i], _smaller(averaged_open, averaged_close))
        out_close[i] = averaged_close
    return math.isfinite(averaged_open + averaged_close)


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
        s[_SEEN], s[_OPEN], s[_CLOSE] = 1.0, open, close
    averaged_open = _middle(s[_OPEN], s[_CLOSE])
    s[_OPEN], s[_CLOSE] = averaged_open, averaged_close
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
