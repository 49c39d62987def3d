"""Memory that is used again: never while an array in it is looked at, never more than is allowed."""

import gc
import subprocess
import sys
import threading

import numpy as np
import pytest

from pairsim.research import kept_memory
from pairsim.research.kept_memory import KEPT, SMALL, empty

WORDS = SMALL // 8


@pytest.fixture(autouse=True)
def nothing_waits(monkeypatch):
    monkeypatch.setattr(kept_memory, "_waiting", {})


def address(array):
    return array.ctypes.data


def test_has_shape_and_dtype_of_what_is_asked_for():
    table = np.dtype([("a", "i8"), ("b", "f8"), ("c", "i8")])
    for shape, dtype in (((3, WORDS), np.float64), ((WORDS,), table), ((2,), np.int64), ((0,), table)):
        array = empty(shape, dtype)
        assert (array.shape, array.dtype, array.flags.c_contiguous, array.flags.writeable) == (shape, dtype, True, True)


def test_memory_of_an_array_that_is_gone_is_used_again():
    first = empty((WORDS,))
    place = address(first)
    del first
    assert address(empty((WORDS,))) == place


def test_memory_is_not_used_again_while_a_part_of_it_is_looked_at():
    array = empty((WORDS,))
    array[:] = 7.0
    part = array[5:9].view(np.int64)[::2].view()
    del array
    gc.collect()
    empty((WORDS,))[:] = 1.0
    assert (part.view(np.float64) == 7.0).all()


def test_memory_much_larger_than_is_asked_for_is_not_given():
    place = address(empty((3 * WORDS,)))
    assert address(empty((WORDS,))) != place
    assert address(empty((2 * WORDS,))) == place


def test_what_waits_is_bounded_and_the_oldest_goes_first():
    arrays = [empty((KEPT // 8 // 4,)) for _ in range(6)]
    places = [address(array) for array in arrays]
    while arrays:
        del arrays[0]
    waiting = [at for _, at in kept_memory._waiting]
    assert waiting == places[2:]


def test_threads_never_share_memory():
    wrong = []

    def use(number):
        for _ in range(300):
            array = empty((WORDS,))
            array[::4096] = number
            if not (array[::4096] == number).all():
                wrong.append(number)

    threads = [threading.Thread(target=use, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_nothing_is_said_when_the_interpreter_ends_with_arrays_alive():
    code = f"from pairsim.research.kept_memory import empty; ring = [empty(({WORDS},))]; ring.append(ring)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""
