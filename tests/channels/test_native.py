"""Addresses, copies and calls; and that all kernels come from the disk cache, in both modes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numba import carray, cfunc, njit, types
from numba.core.errors import TypingError

from pairsim.channels.native import (
    MAX_CALL_ARGUMENTS,
    address_of,
    call,
    copy_words,
    from_front,
    get_word,
    part,
    pointer,
    reals,
    set_word,
)

HERE = Path(__file__).resolve().parent


def digits(*values: int) -> int:
    return int("".join(map(str, values)) or "0")


def c_function(count: int):
    """A C function that writes its arguments behind one another as digits: order and number both show."""
    body = "0"
    for i in range(count):
        body = f"({body}) * 10 + a{i}"
    names = ", ".join(f"a{i}" for i in range(count))
    scope: dict = {}
    exec(f"def function({names}): return {body}", scope)
    return cfunc(types.int64(*[types.intp] * count))(scope["function"])


@pytest.mark.parametrize("count", range(MAX_CALL_ARGUMENTS + 1))
def test_call_passes_each_argument_in_its_place(count):
    names = ", ".join(f"a{i}" for i in range(count))
    scope = {"call": call}
    exec(f"def kernel(address, {names}): return call(address, {names})", scope)
    values = tuple(range(1, count + 1))
    assert njit(scope["kernel"])(c_function(count).address, *values) == digits(*values)


def test_call_brings_back_a_negative_result():
    @cfunc(types.int64(types.intp))
    def negated(x):
        return -x

    @njit
    def kernel(address, x):
        return call(address, x)

    assert kernel(negated.address, 2**40) == -(2**40)


def test_call_refuses_a_seventh_argument():
    @njit
    def kernel(address):
        return call(address, 1, 2, 3, 4, 5, 6, 7)

    with pytest.raises(TypingError, match="at most 6"):
        kernel(0)


def test_call_refuses_a_float():
    @njit
    def kernel(address):
        return call(address, 1.0)

    with pytest.raises(TypingError, match="integers"):
        kernel(0)


def test_addresses_are_those_of_numpy_and_lead_back_to_the_words():
    @njit
    def kernel(words, floats):
        view = carray(pointer(address_of(words, 2)), 2, np.int64)
        view[0] = 7
        return view[1], address_of(words, 0), address_of(floats, 3)

    words = np.arange(5)
    floats = words.view(np.float64)
    start = words.ctypes.data
    assert kernel(words, floats) == (3, start, start + 24)
    assert words[2] == 7


@pytest.mark.parametrize(("destination", "source"), [(0, 4), (4, 0), (1, 0), (0, 1), (3, 3)])
@pytest.mark.parametrize("count", [0, 1, 4])
def test_copied_words_arrive_also_where_they_overlap(destination, source, count):
    @njit
    def kernel(words, destination, source, count):
        copy_words(words, destination, source, count)

    words = np.arange(10, 20)
    expected = words.copy()
    expected[destination : destination + count] = words[source : source + count].copy()
    kernel(words, destination, source, count)
    assert words.tolist() == expected.tolist()


def test_an_overlapping_copy_is_asked_of_the_compiler_as_a_move():
    """The memcpy of today's glibc moves too, so the test above would not see the difference."""

    @njit
    def kernel(words):
        copy_words(words, 0, 1, 1000)

    kernel(np.zeros(1001, np.int64))
    (text,) = kernel.inspect_llvm().values()
    assert "llvm.memmove" in text and "llvm.memcpy.p0.p0.i64(ptr align 8" not in text


def test_bits_of_floats_and_matrices_are_read_and_written_as_words():
    @njit
    def kernel(floats, matrix):
        set_word(floats, 1, get_word(floats, 0))
        set_word(matrix, 5, 9)
        return get_word(matrix, 4)

    floats, matrix = np.array([-0.0, 1.0]), np.arange(6).reshape(2, 3)
    assert kernel(floats, matrix) == 4
    assert np.signbit(floats[1]) and floats[1] == 0
    assert matrix[1, 2] == 9


@pytest.mark.parametrize("words", [np.zeros(8, np.int64)[::2], np.zeros(4, np.int32)])
def test_only_contiguous_words_have_addresses(words):
    @njit
    def kernel(words):
        return address_of(words, 0)

    with pytest.raises(TypingError, match="contiguous"):
        kernel(words)


def test_read_only_words_are_not_copied_onto():
    @njit
    def kernel(words):
        copy_words(words, 0, 1, 1)

    words = np.zeros(4, np.int64)
    words.flags.writeable = False
    with pytest.raises(TypingError, match="read-only"):
        kernel(words)


def test_from_the_front_a_table_is_its_elements_in_order():
    @njit
    def kernel(table):
        words = from_front(table)
        row = part(words, 4)
        row[1] += 100
        reals(row)[2] = 0.5
        return row[0], len(words), len(row), address_of(row, 1) - address_of(words, 0)

    table = np.arange(12).reshape(3, 4)
    assert kernel(table) == (4, 12, 8, 40)
    assert table[1].tolist() == [4, 105, int(np.array([0.5]).view(np.int64)[0]), 7]
    assert table[0].tolist() == [0, 1, 2, 3] and table[2].tolist() == [8, 9, 10, 11]


def test_from_the_front_no_index_is_asked_for_its_sign():
    @njit
    def counted(words, i):
        return words[i]

    @njit
    def kernel(words, i):
        return from_front(words)[i]

    words = np.arange(3)
    assert counted(words, 2) == kernel(words, 2) == 2
    assert "icmp slt" in "".join(counted.inspect_llvm().values())
    assert "icmp slt" not in "".join(kernel.inspect_llvm().values())


def test_from_the_front_read_only_words_stay_so():
    @njit
    def read(words):
        return from_front(words)[1]

    @njit
    def write(words):
        from_front(words)[1] = 0

    words = np.arange(3)
    words.flags.writeable = False
    assert read(words) == 1
    with pytest.raises(TypingError, match="readonly"):
        write(words)


@pytest.mark.parametrize("words", [np.zeros(8, np.int64)[::2], np.zeros(4, np.int32)])
def test_only_contiguous_words_have_a_front(words):
    @njit
    def kernel(words):
        return from_front(words)[0]

    with pytest.raises(TypingError, match="contiguous"):
        kernel(words)


# ---------------------------------------------------------------- the disk cache


def run_everything(cache: Path, *, portable: bool) -> dict:
    environment = {
        **os.environ,
        "NUMBA_CACHE_DIR": str(cache),
        "PAIRSIM_PORTABLE": "1" if portable else "0",
        "PYTHONPATH": str(HERE.parents[1]),
    }
    command = [sys.executable, "-W", "error", str(HERE / "cached_kernels.py")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_kernels_come_from_the_disk_cache_and_serve_both_paths(tmp_path):
    """A kernel that held an address, or the mode, would be compiled again, or would wait in the wrong way."""
    first = run_everything(tmp_path, portable=False)
    assert first["compiled"] > 20
    for portable in (True, False):
        again = run_everything(tmp_path, portable=portable)
        assert again["compiled"] == 0, again["names"]
        assert again["noticed_unwoken_change"] is portable
        assert again["results"] == first["results"]
