"""What every step function is to a caller: a C function of six addresses, called once a candle.

``int64 step(intp index, intp constants, intp state, intp window, intp candle, intp out)``. `index` is the number of
candles handled before this one; `candle` are five float64: open, high, low, close, volume; `out` takes one float64 for
each output, NaN while there is none. It returns 0, or -1 where a user's own method raised.

The rule that makes a candle repeatable: the state may change as a whole, but of the window only places that belong to
candle `index` may be written, and no place from which this candle has read. So a caller who kept the old state can run
the same candle again, over a window already written, and gets the same bytes. For that `W` earlier values live in
more than `W` places (`places`): the newest never takes the place of one that is still needed.
"""

from typing import Final, TypeAlias

import numpy as np
from numba import carray, njit, types
from numpy.typing import NDArray

from pairsim.channels.native import pointer

__all__ = ["COLUMNS", "JIT", "LONGEST", "RAISED", "STEP", "FloatArray", "floats", "places"]

FloatArray: TypeAlias = NDArray[np.float64]

COLUMNS: Final = ("open", "high", "low", "close", "volume")
"""What a candle is to a step, in this order."""

LONGEST: Final = 100_000
"""Longest period or lookback, as in TA-Lib: a window is held in memory for each market."""

STEP: Final = types.int64(*[types.intp] * 6)
"""The C signature of a step."""

RAISED: Final = -1
"""What a step returns when the method of a user's indicator raised; its outputs are NaN then."""

JIT: Final = {"cache": True, "nogil": True, "error_model": "numpy"}

_UNKNOWN = 1 << 32  # the length of what stands at an address: nothing reads it


def places(earlier: int) -> int:
    """Places for a window that reaches `earlier` values back: a power of two, so that a place is one AND away."""
    return 1 << earlier.bit_length()


@njit(**JIT)
def floats(address):
    """The float64 values at an address. Reading past them is the caller's fault and goes unnoticed."""
    return carray(pointer(address), _UNKNOWN, np.float64)
