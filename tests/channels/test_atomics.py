"""Atomics: what they return, and that the orderings asked for are in the compiled code.

x86 orders nearly everything by itself, so a missing acquire or release shows in no test that runs there. The orderings
are therefore looked up in LLVM's IR, which every machine compiles from.
"""

import functools
import re
import time

import numpy as np
import pytest
from numba import njit
from numba.core.errors import TypingError

from pairsim.channels import ring, seqlock
from pairsim.channels.atomics import (
    compiler_fence,
    cpu_pause,
    exchange,
    fence,
    fence_acquire,
    fence_release,
    fetch_add,
    load_acquire,
    load_relaxed,
    now_ns,
    store_relaxed,
    store_release,
)

EXTREMES = [0, 1, -1, 2**63 - 1, -(2**63), 0x0123_4567_89AB_CDEF]


@pytest.mark.parametrize("store", [store_relaxed, store_release])
@pytest.mark.parametrize("load", [load_relaxed, load_acquire])
@pytest.mark.parametrize("value", EXTREMES)
def test_a_load_gives_what_was_stored(store, load, value):
    assert pass_through(store, load)(np.zeros(5, np.int64), value) == value


@functools.cache
def pass_through(store, load):
    @njit
    def kernel(words, value):
        store(words, 3, value)
        return load(words, 3)

    return kernel


def test_a_store_touches_its_word_only():
    @njit
    def kernel(words):
        store_release(words, 2, -7)

    words = np.arange(5)
    kernel(words)
    assert words.tolist() == [0, 1, -7, 3, 4]


def test_exchange_and_fetch_add_return_the_value_before():
    @njit
    def kernel(words):
        return exchange(words, 1, 9), fetch_add(words, 1, -4), load_relaxed(words, 1)

    assert kernel(np.array([5, 6, 7])) == (6, 9, 5)


def test_fetch_add_wraps_around():
    @njit
    def kernel(words):
        fetch_add(words, 0, 1)

    words = np.array([2**63 - 1])
    kernel(words)
    assert words[0] == -(2**63)


def test_now_is_the_monotonic_clock_of_python():
    @njit
    def kernel():
        return now_ns()

    kernel()
    before = time.monotonic_ns()
    now = kernel()
    assert before <= now <= time.monotonic_ns()


def test_a_pause_passes():
    @njit
    def kernel():
        cpu_pause()
        return 1

    assert kernel() == 1


@pytest.mark.parametrize(
    "words", [np.zeros(4), np.zeros((2, 2), np.int64), np.zeros(8, np.int64)[::2], np.zeros(4, np.int32)]
)
def test_only_a_vector_of_words_is_accepted(words):
    @njit
    def kernel(words):
        return load_acquire(words, 0)

    with pytest.raises(TypingError, match="int64"):
        kernel(words)


def test_a_float_is_not_silently_converted():
    @njit
    def kernel(words):
        store_release(words, 0, 1.5)

    with pytest.raises(TypingError, match="float64 view"):
        kernel(np.zeros(4, np.int64))


# ---------------------------------------------------------------- orderings


def ir(function, *arguments) -> str:
    """Optimised LLVM IR of a kernel and all it inlines, compiled anew, as one from the disk cache shows none; without
    numba's wrappers, which count references with atomics of their own."""
    fresh = njit(nogil=True, error_model="numpy")(function)
    fresh(*arguments)
    (text,) = fresh.inspect_llvm().values()
    bodies = re.findall(r"(?ms)^define [^\n]*@_ZN(?!7cpython)[^\n]*\{\n(.*?)^\}", text)
    assert len(bodies) == 1, "the kernel was not inlined into one function"
    return bodies[0]


WORDS = np.zeros(256, np.int64)


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        (lambda w: load_relaxed(w, 1), r"load atomic i64, .* monotonic, align 8"),
        (lambda w: load_acquire(w, 1), r"load atomic i64, .* acquire, align 8"),
        (lambda w: store_relaxed(w, 1, 2), r"store atomic i64 2, .* monotonic, align 8"),
        (lambda w: store_release(w, 1, 2), r"store atomic i64 2, .* release, align 8"),
        (lambda w: exchange(w, 1, 2), r"atomicrmw xchg .* i64 2 seq_cst"),
        (lambda w: fetch_add(w, 1, 2), r"atomicrmw add .* i64 2 seq_cst"),
        (lambda w: fence(), r"fence seq_cst"),
        (lambda w: fence_acquire(), r"fence acquire"),
        (lambda w: fence_release(), r"fence release"),
        # Of one thread only: no instruction, but the compiler moves nothing across.
        (lambda w: compiler_fence(), r'fence syncscope\("singlethread"\) seq_cst'),
    ],
)
def test_each_operation_compiles_to_its_ordering(operation, expected):
    assert re.search(expected, ir(operation, WORDS))


def one_ring() -> np.ndarray:
    words = np.zeros(256, np.int64)
    ring.init_ring(words, 0, 4, 2)
    return words


@pytest.mark.parametrize(
    ("kernel", "arguments", "expected"),
    [
        (ring.tail, (), [r"load atomic i64, .* acquire"]),
        (ring.head, (), [r"load atomic i64, .* acquire"]),
        (ring.room, (), [r"load atomic i64, .* acquire"]),
        (ring.available, (), [r"load atomic i64, .* acquire"]),
        (ring.publish, (0,), [r"store atomic i64 .* release"]),
        (ring.release, (0,), [r"store atomic i64 .* release"]),
        (ring.wake_consumer, (-1,), [r"fence seq_cst", r"load atomic", r"atomicrmw xchg"]),
        (ring.wake_producer, (), [r"fence seq_cst", r"load atomic", r"atomicrmw xchg"]),
        (ring.arm_consumer, (), [r"store atomic", r"fence seq_cst", r"load atomic i64, .* acquire"]),
        (ring._arm_producer, (0,), [r"store atomic", r"fence seq_cst", r"load atomic i64, .* acquire"]),
        (seqlock.write_begin, (), [r"store atomic", r"fence release"]),
        (seqlock.write_end, (), [r"store atomic i64 .* release"]),
        (seqlock.read_begin, (), [r"load atomic i64, .* acquire"]),
        (seqlock.read_retry, (0,), [r"fence acquire", r"load atomic"]),
    ],
)
def test_ring_and_seqlock_keep_the_orderings_their_proofs_need(kernel, arguments, expected):
    """In this order, in the code of the function itself."""
    text = ir(kernel.py_func, one_ring(), 0, *arguments)
    assert re.search("(?s)" + ".*?\n.*?".join(expected), text), expected


def test_reading_a_seqlock_into_an_array_keeps_its_orderings():
    text = ir(seqlock.seq_read.py_func, WORDS, 0, np.zeros(2))
    assert re.search(r"(?s)load atomic i64, [^\n]* acquire.*fence acquire.*load atomic i64, [^\n]* monotonic", text)
