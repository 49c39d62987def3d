"""A block of words with one writer and any number of readers, who never make the writer wait.

The rule: one writer. It makes the sequence odd, changes any words, makes it even. A reader copies the words between
two looks at the sequence and keeps the copy only if both were the same even number. Word 0 at `base` is the sequence,
the data follow from word 1.

Why a copy that is kept is whole: the writer's release fence stands between the odd sequence and its stores; the
reader's acquire fence between its loads and the second look. If a load saw a store of some write, the fences
synchronise, so the second look sees that write's odd number or a later one, which is not the number of the first
look. If the first look saw the even number of a write, by release and acquire all of that write's stores are seen.
(Boehm, "Can seqlocks get along with programming language memory models?", MSPC 2012.)

A writer killed in the middle leaves the sequence odd. Readers try a bounded number of times and say that they gave
up; the next `write_begin` keeps the number odd, and its `write_end` makes the block readable again.
"""

from typing import Any, Final

from numba import njit
from numpy.typing import NDArray

from pairsim.channels.atomics import (
    cpu_pause,
    fence_acquire,
    fence_release,
    load_acquire,
    load_relaxed,
    store_relaxed,
    store_release,
)
from pairsim.channels.native import Words, get_word, set_word
from pairsim.channels.waiting import sleep_ns

__all__ = ["GAVE_UP", "READ_TRIES", "read_begin", "read_retry", "seq_read", "seq_write", "write_begin", "write_end"]

READ_TRIES: Final = 1_000
"""How often a reader tries: some pauses first, then sleeps, about 0.1 s in all. Busy machines stop a writer for 3 to
8 ms."""

GAVE_UP: Final = -1
"""Instead of a sequence: no whole copy in `READ_TRIES` tries; the writer is dead or very slow."""

_PAUSES = 100  # before the first sleep: a writer that runs needs a few of them
_SLEEP_NS = 50_000


@njit(cache=True, nogil=True, error_model="numpy")
def write_begin(mem: Words, base: int) -> None:
    """Writer: from here to `write_end` any of its words may change, through plain stores."""
    odd = (load_relaxed(mem, base) + 1) | 1  # where the last writer was killed it stays odd, and grows
    store_relaxed(mem, base, odd)
    fence_release()


@njit(cache=True, nogil=True, error_model="numpy")
def write_end(mem: Words, base: int) -> None:
    """Writer: the words are whole again."""
    store_release(mem, base, load_relaxed(mem, base) + 1)


@njit(cache=True, nogil=True, error_model="numpy")
def read_begin(mem: Words, base: int) -> int:
    """Reader: the even sequence to give to `read_retry` after copying, or `GAVE_UP`, for which that says "again".

    Bound the loop around it::

        for _ in range(READ_TRIES):
            sequence = read_begin(mem, base)
            ...  # copy the words
            if not read_retry(mem, base, sequence):
                break
    """
    for tried in range(READ_TRIES):
        sequence = load_acquire(mem, base)
        if sequence & 1 == 0:
            return sequence
        _pause(tried)
    return GAVE_UP


@njit(cache=True, nogil=True, error_model="numpy")
def read_retry(mem: Words, base: int, sequence: int) -> bool:
    """Reader: whether what was copied since `read_begin` may be torn and must be copied again."""
    fence_acquire()
    return load_relaxed(mem, base) != sequence


@njit(cache=True, nogil=True, error_model="numpy")
def seq_write(mem: Words, base: int, values: NDArray[Any]) -> None:
    """Writer: put `values` (contiguous int64 or float64, bit for bit) into the words from ``base + 1``."""
    write_begin(mem, base)
    for w in range(len(values)):
        store_relaxed(mem, base + 1 + w, get_word(values, w))
    write_end(mem, base)


@njit(cache=True, nogil=True, error_model="numpy")
def seq_read(mem: Words, base: int, out: NDArray[Any]) -> int:
    """Reader: copy ``len(out)`` words from ``base + 1`` into `out` (contiguous int64 or float64, bit for bit).

    Returns the even sequence of the copy (twice the number of writes), or `GAVE_UP`: then `out` holds nothing of use.
    """
    for tried in range(READ_TRIES):
        sequence = load_acquire(mem, base)
        if sequence & 1 == 0:
            for w in range(len(out)):
                set_word(out, w, load_relaxed(mem, base + 1 + w))
            if not read_retry(mem, base, sequence):
                return sequence
        _pause(tried)
    return GAVE_UP


@njit(cache=True, nogil=True, error_model="numpy")
def _pause(tried: int) -> None:
    if tried < _PAUSES:
        cpu_pause()
    else:  # the writer may be waiting for the very core this loop burns
        sleep_ns(_SLEEP_NS)
