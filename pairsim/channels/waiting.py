"""Sleeping and waking between processes: a futex on a shared word, and a doorbell that asyncio can wait on.

The rule: every wait has a deadline and may end early; the caller looks again. Who sleeps sets a flag first, fences
and looks again; who wakes publishes, fences and looks at the flag. That protocol is in `ring`; here are only the
sleep and the wake-up.

The portable path (see `memory`) sleeps in short steps and looks; its doorbell is a pipe. Which path is taken must not
be frozen into a kernel, because kernels of both would mix in one disk cache. So kernels read a cell that belongs to
the process, whose address is bound by name when a kernel is linked: the machine code in the cache is the same for
both paths.
"""

import contextlib
import ctypes
import os
import platform
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self

import llvmlite.binding
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from pairsim.channels.atomics import load_acquire, now_ns
from pairsim.channels.memory import FUTEX_NUMBERS, HAS_FUTEX, PORTABLE
from pairsim.channels.native import INT64, Words, as_int64, require_integers, require_vector, word_pointer

__all__ = ["Doorbell", "ring_doorbell", "sleep_ns", "wait_word", "wake_word"]

# Steps of the portable path: a wake-up is late by at most the longest, and an idle side costs 1 to 2 % of a core.
SHORTEST_SLEEP_NS: Final = 20_000
LONGEST_SLEEP_NS: Final = 1_000_000

_INT32 = ir.IntType(32)
_PORTABLE_SYMBOL = "pairsim_channels_portable"
_portable_cell = ctypes.c_int64(PORTABLE)  # must live as long as the process: kernels hold its address
llvmlite.binding.add_symbol(_PORTABLE_SYMBOL, ctypes.addressof(_portable_cell))


@njit(cache=True, nogil=True, error_model="numpy")
def wait_word(words: Words, index: int, expected: int, timeout_ns: int) -> bool:
    """Sleep while the low 32 bits of a word equal those of `expected`, until woken or the time is over.

    Returns
    -------
    bool
        Whether the word differs now. False says nothing else: a time-out, a signal, or a wake-up for nothing.
    """
    if timeout_ns > 0 and not _differs(words, index, expected):
        if _is_portable():
            _sleep_until_differs(words, index, expected, timeout_ns)
        else:
            _futex_wait(words, index, expected, timeout_ns)
    return _differs(words, index, expected)


@njit(cache=True, nogil=True, error_model="numpy")
def wake_word(words: Words, index: int) -> None:
    """Wake everyone who sleeps on a word. Change the word first, or they go on sleeping."""
    if not _is_portable():
        _futex_wake(words, index)


@njit(cache=True, nogil=True, error_model="numpy")
def _differs(words: Words, index: int, expected: int) -> bool:
    return (load_acquire(words, index) ^ expected) & 0xFFFFFFFF != 0


@njit(cache=True, nogil=True, error_model="numpy")
def _sleep_until_differs(words: Words, index: int, expected: int, timeout_ns: int) -> None:
    deadline = now_ns() + timeout_ns
    step = SHORTEST_SLEEP_NS
    while not _differs(words, index, expected):
        left = deadline - now_ns()
        if left <= 0 or not sleep_ns(min(step, left)):
            return
        step = min(2 * step, LONGEST_SLEEP_NS)


class Doorbell:
    """Wakes an event loop in this or another process: add `fd` to it as a reader. Ringing twice is ringing once.

    It is an eventfd, or a pipe on the portable path; neither end ever blocks. Children inherit it by fork.

    Attributes
    ----------
    fd : int
        Becomes readable when the bell was rung.
    write_fd : int
        What `ring_doorbell` takes in a kernel; the same as `fd` for an eventfd.
    """

    __slots__ = ("_open", "fd", "write_fd")

    def __init__(self) -> None:
        if PORTABLE:
            self.fd, self.write_fd = os.pipe()  # pipe2 is not everywhere; both ends are close-on-exec already
            os.set_blocking(self.fd, False)
            os.set_blocking(self.write_fd, False)
        else:
            self.fd = self.write_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._open = True

    def ring(self) -> None:
        """Make `fd` readable."""
        with contextlib.suppress(BlockingIOError):  # full: it is readable already
            os.write(self.write_fd, _ONE)

    def clear(self) -> None:
        """Make `fd` unreadable. Clear first, then look for work, or a ring in between is lost."""
        with contextlib.suppress(BlockingIOError):
            if self.fd == self.write_fd:
                os.read(self.fd, 8)
                return
            while len(os.read(self.fd, 4096)) == 4096:
                pass

    def close(self) -> None:
        """Close both ends. Closing twice is harmless."""
        if self._open:
            self._open = False
            for fd in {self.fd, self.write_fd}:
                os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Doorbell(fd {self.fd})" if self._open else "Doorbell(closed)"


_ONE = (1).to_bytes(8, "little")


# ---------------------------------------------------------------- intrinsics: libc by name


def _make_is_portable() -> Any:
    @intrinsic
    def is_portable(typing_context):
        def generate(context, builder, signature, arguments):
            if not HAS_FUTEX:  # the cache is keyed by machine and system, so this may be frozen; the mode may not
                return ir.Constant(ir.IntType(1), 1)
            cell = builder.module.globals.get(_PORTABLE_SYMBOL)
            if cell is None:
                cell = ir.GlobalVariable(builder.module, INT64, _PORTABLE_SYMBOL)
                cell.linkage = "external"
            return builder.icmp_signed("!=", builder.load(cell), INT64(0))

        return types.boolean(), generate

    return is_portable


def _system_call(builder: Any) -> Any:
    return cgutils.get_or_insert_function(builder.module, ir.FunctionType(INT64, [INT64], var_arg=True), "syscall")


_FUTEX = FUTEX_NUMBERS.get(platform.machine(), 0)
_FUTEX_WAIT, _FUTEX_WAKE = 0, 1  # without FUTEX_PRIVATE_FLAG: the sleeper is in another process
_EVERYONE = 0x7FFFFFFF


def _make_futex_wait() -> Any:
    @intrinsic
    def futex_wait(typing_context, words, index, expected, timeout_ns):
        require_vector("wait_word", words)
        require_integers("wait_word", index, expected, timeout_ns)

        def generate(context, builder, signature, arguments):
            if not HAS_FUTEX:  # never called there (see is_portable), and must not even be linked
                return INT64(0)
            word = word_pointer(context, builder, signature, arguments, 1)
            value = builder.trunc(as_int64(context, builder, signature, arguments, 2), _INT32)
            spec = _timespec(builder, as_int64(context, builder, signature, arguments, 3))
            given = [INT64(_FUTEX), word, _INT32(_FUTEX_WAIT), value, spec, INT64(0), _INT32(0)]
            return builder.call(_system_call(builder), given)

        return types.int64(words, index, expected, timeout_ns), generate

    return futex_wait


def _make_futex_wake() -> Any:
    @intrinsic
    def futex_wake(typing_context, words, index):
        require_vector("wake_word", words, writable=True)
        require_integers("wake_word", index)

        def generate(context, builder, signature, arguments):
            if not HAS_FUTEX:
                return INT64(0)
            word = word_pointer(context, builder, signature, arguments, 1)
            given = [INT64(_FUTEX), word, _INT32(_FUTEX_WAKE), _INT32(_EVERYONE), INT64(0), INT64(0), _INT32(0)]
            return builder.call(_system_call(builder), given)

        return types.int64(words, index), generate

    return futex_wake


def _make_sleep_ns() -> Any:
    @intrinsic
    def sleep_ns(typing_context, duration_ns):
        require_integers("sleep_ns", duration_ns)

        def generate(context, builder, signature, arguments):
            spec = _timespec(builder, as_int64(context, builder, signature, arguments, 0))
            kind = ir.FunctionType(_INT32, [INT64.as_pointer(), INT64.as_pointer()])
            nanosleep = cgutils.get_or_insert_function(builder.module, kind, "nanosleep")
            result = builder.call(nanosleep, [spec, ir.Constant(INT64.as_pointer(), None)])
            return builder.icmp_signed("==", result, _INT32(0))

        return types.boolean(duration_ns), generate

    return sleep_ns


def _timespec(builder: Any, duration_ns: Any) -> Any:
    spec = builder.bitcast(cgutils.alloca_once(builder, ir.ArrayType(INT64, 2)), INT64.as_pointer())
    builder.store(builder.sdiv(duration_ns, INT64(1_000_000_000)), spec)
    builder.store(builder.srem(duration_ns, INT64(1_000_000_000)), builder.gep(spec, [INT64(1)]))
    return spec


def _make_ring_doorbell() -> Any:
    @intrinsic
    def ring_doorbell(typing_context, write_fd):
        require_integers("ring_doorbell", write_fd)

        def generate(context, builder, signature, arguments):
            fd = builder.trunc(as_int64(context, builder, signature, arguments, 0), _INT32)
            one = cgutils.alloca_once_value(builder, INT64(1))
            kind = ir.FunctionType(INT64, [_INT32, INT64.as_pointer(), INT64])
            builder.call(cgutils.get_or_insert_function(builder.module, kind, "write"), [fd, one, INT64(8)])
            return context.get_dummy_value()

        return types.void(write_fd), generate

    return ring_doorbell


_is_portable: Callable[[], bool] = _make_is_portable()
_futex_wait: Callable[[Words, int, int, int], int] = _make_futex_wait()
_futex_wake: Callable[[Words, int], int] = _make_futex_wake()

sleep_ns: Callable[[int], bool] = _make_sleep_ns()
"""``sleep_ns(duration_ns)``, in kernels: sleep; False when a signal cut it short."""

ring_doorbell: Callable[[int], None] = _make_ring_doorbell()
"""``ring_doorbell(write_fd)``, in kernels: ring a `Doorbell`; the same 8-byte write for eventfd and pipe."""
