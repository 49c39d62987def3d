"""The seqlock in one process. Under a running and a killed writer: see `test_two_processes`."""

import numpy as np
import pytest

from pairsim.channels import Memory
from pairsim.channels.seqlock import GAVE_UP, read_begin, read_retry, seq_read, seq_write, write_begin, write_end


@pytest.mark.parametrize("dtype", [np.int64, np.float64])
@pytest.mark.parametrize("count", [0, 1, 5])
def test_what_is_read_is_what_was_written_bit_for_bit(dtype, count):
    mem, values = np.full(10, -9), np.arange(count).astype(dtype) - 1.0 / (1 if dtype == np.int64 else 3)
    values = values.astype(dtype)
    mem[2] = 0
    seq_write(mem, 2, values)
    out = np.zeros(count, dtype)
    assert seq_read(mem, 2, out) == 2
    assert out.tobytes() == values.tobytes()
    assert (mem[:2] == -9).all() and (mem[3 + count :] == -9).all()


def test_the_sequence_counts_the_writes_twice():
    mem, out = np.zeros(8, np.int64), np.zeros(2, np.int64)
    for k in range(5):
        assert seq_read(mem, 0, out) == 2 * k
        seq_write(mem, 0, out)


def test_a_write_between_the_two_looks_asks_for_another_read():
    mem = np.zeros(8, np.int64)
    sequence = read_begin(mem, 0)
    assert not read_retry(mem, 0, sequence)
    write_begin(mem, 0)
    assert read_retry(mem, 0, sequence)
    write_end(mem, 0)
    assert read_retry(mem, 0, sequence)
    assert not read_retry(mem, 0, read_begin(mem, 0))


def test_a_reader_gives_up_on_a_write_that_never_ends_and_says_so():
    mem = np.zeros(8, np.int64)
    write_begin(mem, 0)
    assert read_begin(mem, 0) == GAVE_UP
    assert read_retry(mem, 0, GAVE_UP)
    assert seq_read(mem, 0, np.zeros(2)) == GAVE_UP


def test_a_writer_that_follows_a_killed_one_stays_unreadable_until_its_end():
    mem = np.zeros(8, np.int64)
    write_begin(mem, 0)
    orphaned = int(mem[0])
    write_begin(mem, 0)
    assert mem[0] % 2 == 1 and mem[0] > orphaned
    write_end(mem, 0)
    assert mem[0] % 2 == 0


def test_a_reader_needs_no_right_to_write():
    with Memory.create(8) as memory, Memory.attach(memory.fd) as reader:
        seq_write(memory.words, 0, np.array([1.5, 2.5]))
        out = np.zeros(2)
        assert seq_read(reader.words, 0, out) == 2
        assert out.tolist() == [1.5, 2.5]
