"""Reading arrays by address inside kernels: the columns of any number of traders without an argument for each.

Rule: an address is a promise of the caller, who keeps the array alive; nothing is checked here.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

__all__ = ["integer_at", "real_at"]


def _reader(kind: Any, word: Any) -> Any:
    @intrinsic
    def read(typing_context, address, index):
        def generate(context, builder, signature, arguments):
            place = builder.inttoptr(arguments[0], word.as_pointer())
            position = context.cast(builder, arguments[1], signature.args[1], types.int64)
            return builder.load(builder.gep(place, [position]))

        return kind(types.intp, index), generate

    return read


real_at: Callable[[int, int], float] = _reader(types.float64, ir.DoubleType())
"""``real_at(address, i)``: element `i` of the float64 array at an address."""

integer_at: Callable[[int, int], int] = _reader(types.int64, ir.IntType(64))
"""``integer_at(address, i)``: element `i` of the int64 array at an address."""
