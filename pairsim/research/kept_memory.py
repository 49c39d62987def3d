"""Large arrays in memory that is used again: as ``np.empty``, but what nobody looks at any more is kept for the next.

A run over a million candles writes 40 MB. Memory that went back to the operating system comes again page by page, each
cleared and mapped: 4 to 5 of 14 ms, or nothing, as the C library's heap happens to lie (it gives back what is free at
its end). So the memory of runs that are gone stays here, and a run takes the same time every time.

Rule: memory returns when the last array in it is gone, never before; at most `KEPT` bytes wait, those of the latest.
"""

import math
from typing import Any, Final

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = ["empty"]

KEPT: Final = 128 << 20
SMALL: Final = 1 << 20  # bytes below which an array is left to numpy: the C library keeps those itself

_waiting: dict[tuple[int, int], NDArray[np.uint8]] = {}  # by (bytes, address), the one that came first first


class _Loan:
    """Memory lent to arrays: all of them refer to this, so it ends with the last."""

    def __init__(self, memory: NDArray[np.uint8]) -> None:
        self.__array_interface__: dict[str, Any] = memory.__array_interface__
        self._memory, self._key = memory, (memory.nbytes, self.__array_interface__["data"][0])

    def __del__(self) -> None:
        # in any thread, the collector's too, so never in the middle of a step that needs the dict to stay as it is
        _waiting[self._key] = self._memory
        keys = list(_waiting)
        excess = sum(size for size, _ in keys) - KEPT
        while excess > 0:
            key = keys.pop(0)
            _waiting.pop(key, None)
            excess -= key[0]


def empty(shape: tuple[int, ...], dtype: DTypeLike = np.float64) -> np.ndarray:
    """An array of undefined content, as ``np.empty(shape, dtype)``."""
    kind = np.dtype(dtype)
    wanted = kind.itemsize * math.prod(shape)
    if wanted < SMALL:
        return np.empty(shape, kind)
    return np.asarray(_Loan(_taken(wanted)))[:wanted].view(kind).reshape(shape)


def _taken(wanted: int) -> NDArray[np.uint8]:
    """Memory of so many bytes, or up to twice as many: the smallest that waits, or new."""
    for key in sorted(_waiting):
        if wanted <= key[0] <= 2 * wanted:
            memory = _waiting.pop(key, None)
            if memory is not None:  # else another thread was quicker
                return memory
    return np.empty(wanted, np.uint8)
