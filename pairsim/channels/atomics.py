"""Atomic words, fences and the clock, as numba intrinsics that become single instructions.

The rule: what two processes share without a lock is read and written through these, and only through these. Each takes
``(array, index)`` where the array is int64; they work inside ``@njit`` functions only.

The memory model is LLVM's, which is C11's: `load_acquire` of a value written by `store_release` makes everything
written before the store visible after the load. `exchange` and `fetch_add` are sequentially consistent. A plain store
followed by a plain load of another word may be swapped by the CPU, on x86 too: only `fence()` between the two forbids
it.
"""

import platform
import sys
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.errors import TypingError
from numba.extending import intrinsic

from pairsim.channels.native import INT64, Words, as_int64, require_integers, require_vector, word_pointer

__all__ = [
    "compiler_fence",
    "cpu_pause",
    "exchange",
    "fence",
    "fence_acquire",
    "fence_release",
    "fetch_add",
    "load_acquire",
    "load_relaxed",
    "now_ns",
    "store_relaxed",
    "store_release",
]

_INT32 = ir.IntType(32)
_IS_X86 = platform.machine() in ("x86_64", "AMD64")
_IS_ARM = platform.machine() in ("aarch64", "arm64")
_CLOCK_MONOTONIC = 6 if sys.platform == "darwin" else 1  # <time.h> of the two systems


def _load(ordering: str) -> Any:
    @intrinsic
    def load(typing_context, array, index):
        _require_shared(array)
        require_integers("load", index)

        def generate(context, builder, signature, arguments):
            return builder.load_atomic(word_pointer(context, builder, signature, arguments, 1), ordering, 8)

        return types.int64(array, index), generate

    return load


def _store(ordering: str) -> Any:
    @intrinsic
    def store(typing_context, array, index, value):
        _require_shared(array, writable=True)
        require_integers("store", index, value)

        def generate(context, builder, signature, arguments):
            word = as_int64(context, builder, signature, arguments, 2)
            builder.store_atomic(word, word_pointer(context, builder, signature, arguments, 1), ordering, 8)
            return context.get_dummy_value()

        return types.void(array, index, value), generate

    return store


def _read_modify_write(operation: str) -> Any:
    @intrinsic
    def read_modify_write(typing_context, array, index, value):
        _require_shared(array, writable=True)
        require_integers(operation, index, value)

        def generate(context, builder, signature, arguments):
            word = as_int64(context, builder, signature, arguments, 2)
            return builder.atomic_rmw(
                operation, word_pointer(context, builder, signature, arguments, 1), word, "seq_cst"
            )

        return types.int64(array, index, value), generate

    return read_modify_write


def _fence(ordering: str, scope: str | None = None) -> Any:
    @intrinsic
    def fence_(typing_context):
        def generate(context, builder, signature, arguments):
            builder.fence(ordering, scope)
            return context.get_dummy_value()

        return types.void(), generate

    return fence_


def _cpu_pause() -> Any:
    @intrinsic
    def cpu_pause(typing_context):
        def generate(context, builder, signature, arguments):
            if _IS_X86:
                kind = ir.FunctionType(ir.VoidType(), [])
                builder.call(cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.sse2.pause"), [])
            elif _IS_ARM:
                kind = ir.FunctionType(ir.VoidType(), [_INT32])
                hint = cgutils.get_or_insert_function(builder.module, kind, "llvm.aarch64.hint")
                builder.call(hint, [_INT32(1)])  # 1 is YIELD
            return context.get_dummy_value()

        return types.void(), generate

    return cpu_pause


def _now_ns() -> Any:
    @intrinsic
    def now_ns(typing_context):
        def generate(context, builder, signature, arguments):
            spec = builder.bitcast(cgutils.alloca_once(builder, ir.ArrayType(INT64, 2)), INT64.as_pointer())
            kind = ir.FunctionType(_INT32, [_INT32, INT64.as_pointer()])
            clock_gettime = cgutils.get_or_insert_function(builder.module, kind, "clock_gettime")
            builder.call(clock_gettime, [_INT32(_CLOCK_MONOTONIC), spec])
            seconds, rest = builder.load(spec), builder.load(builder.gep(spec, [INT64(1)]))
            return builder.add(builder.mul(seconds, INT64(1_000_000_000)), rest)

        return types.int64(), generate

    return now_ns


def _require_shared(array: types.Type, *, writable: bool = False) -> None:
    require_vector("atomics", array, writable=writable)
    if array.dtype != types.int64:
        raise TypingError(f"atomics: the words are int64, got {array}; use the int64 array, not its float64 view")


load_relaxed: Callable[[Words, int], int] = _load("monotonic")
"""``load_relaxed(array, index)``: never torn, orders nothing. For words that only this side writes."""

load_acquire: Callable[[Words, int], int] = _load("acquire")
"""``load_acquire(array, index)``: what the writer wrote before its release store is visible from here on."""

store_relaxed: Callable[[Words, int, int], None] = _store("monotonic")
"""``store_relaxed(array, index, value)``: never torn, orders nothing."""

store_release: Callable[[Words, int, int], None] = _store("release")
"""``store_release(array, index, value)``: everything written before it is visible to who acquires it."""

exchange: Callable[[Words, int, int], int] = _read_modify_write("xchg")
"""``exchange(array, index, value)``: store, and return what stood there; sequentially consistent."""

fetch_add: Callable[[Words, int, int], int] = _read_modify_write("add")
"""``fetch_add(array, index, value)``: add, and return what stood there before; sequentially consistent."""

fence: Callable[[], None] = _fence("seq_cst")
"""``fence()``: nothing moves across, not even a later load before an earlier store."""

fence_acquire: Callable[[], None] = _fence("acquire")
"""``fence_acquire()``: loads before it stay before everything after it."""

fence_release: Callable[[], None] = _fence("release")
"""``fence_release()``: everything before it stays before stores after it."""

compiler_fence: Callable[[], None] = _fence("seq_cst", "singlethread")
"""``compiler_fence()``: no instruction;
forbids the compiler to move memory accesses across. Enough against SIGKILL, which is precise: what was retired
reaches memory, nothing after it does, so the order of the machine code is all that counts."""

cpu_pause: Callable[[], None] = _cpu_pause()
"""``cpu_pause()``: tell the CPU that this is a spinning loop (10 to 50 ns)."""

now_ns: Callable[[], int] = _now_ns()
"""``now_ns()``: nanoseconds of CLOCK_MONOTONIC, comparable between processes of one machine."""
