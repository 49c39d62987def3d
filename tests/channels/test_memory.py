"""Shared memory: what is seen through it, who may write, and that nothing is left behind."""

import mmap
import os
import stat

import numpy as np
import pytest
from numba.core.errors import TypingError

from pairsim.channels import PORTABLE, Memory, init_ring
from pairsim.channels.ring import try_push
from pairsim.errors import EngineError, InputError


def open_descriptors() -> int:
    return len(os.listdir("/dev/fd"))


def test_new_memory_is_zero_and_of_the_asked_length():
    with Memory.create(1000) as memory:
        assert memory.words.shape == (1000,) and memory.words.dtype == np.int64
        assert not memory.words.any()


def test_floats_are_the_same_bits_as_words():
    with Memory.create(4) as memory:
        memory.floats[2] = 1.5
        assert memory.words[2] == np.float64(1.5).view(np.int64)


def test_an_attached_block_shows_what_its_creator_writes_and_the_other_way_round():
    with Memory.create(8) as memory, Memory.attach(memory.fd, writable=True) as other:
        memory.words[3] = 42
        assert other.words[3] == 42
        other.words[4] = 43
        assert memory.words[4] == 43


def test_a_reader_cannot_write_through_its_array():
    with Memory.create(8) as memory, Memory.attach(memory.fd) as reader:
        for view in (reader.words, reader.floats):
            with pytest.raises(ValueError, match="read-only"):
                view[0] = 1
            with pytest.raises(ValueError, match="WRITEABLE"):
                view.flags.writeable = True


def test_a_kernel_refuses_to_write_to_read_only_memory_and_says_how_to_get_writable():
    with Memory.create(200) as memory, Memory.attach(memory.fd) as reader:
        init_ring(memory.words, 0, 4, 2)
        with pytest.raises(TypingError):
            try_push(reader.words, 0, np.zeros((1, 2), np.int64))


def test_the_creator_may_close_before_the_reader():
    memory = Memory.create(8)
    memory.words[1] = 7
    reader = Memory.attach(memory.fd)
    memory.close()
    assert reader.words[1] == 7
    reader.close()


def test_an_array_taken_before_close_stays_valid_after_it():
    memory = Memory.create(8)
    words = memory.words
    memory.close()
    words[0] = 5
    assert words[0] == 5


def test_closed_memory_says_so():
    memory = Memory.create(8)
    memory.close()
    memory.close()
    assert repr(memory) == "Memory(closed)"
    with pytest.raises(EngineError, match="closed"):
        _ = memory.words
    with pytest.raises(EngineError, match="closed"):
        _ = memory.floats


def test_closing_gives_every_descriptor_back():
    before = open_descriptors()
    for _ in range(3):
        with Memory.create(8) as memory, Memory.attach(memory.fd):
            pass
    assert open_descriptors() == before


def test_a_failed_attach_gives_its_descriptor_back(tmp_path):
    odd = tmp_path / "odd"
    odd.write_bytes(b"12345")
    before = open_descriptors()
    with odd.open("rb") as file, pytest.raises(InputError, match="5 bytes"):
        Memory.attach(file.fileno())
    assert open_descriptors() == before


@pytest.mark.parametrize("words", [0, -1])
def test_no_words_is_an_error(words):
    with pytest.raises(InputError, match="at least 1"):
        Memory.create(words)


def test_the_block_has_no_name_to_leak():
    with Memory.create(8) as memory:
        about = os.fstat(memory.fd)
        assert stat.S_ISREG(about.st_mode) and about.st_nlink == 0


def test_a_descriptor_is_not_inherited_by_programs_unless_passed():
    with Memory.create(8) as memory, Memory.attach(memory.fd) as other:
        assert not os.get_inheritable(memory.fd) and not os.get_inheritable(other.fd)


@pytest.mark.skipif(PORTABLE, reason="a temporary file cannot be sealed")
def test_nobody_can_shrink_the_block_under_the_others():
    with Memory.create(4096) as memory:
        for size in (0, mmap.PAGESIZE, 1 << 20):
            with pytest.raises(PermissionError):
                os.ftruncate(memory.fd, size)


def test_repr_says_size_and_access():
    with Memory.create(2048) as memory, Memory.attach(memory.fd) as reader:
        assert repr(memory) == f"Memory(2,048 words, fd {memory.fd}, writable)"
        assert "read-only" in repr(reader)
