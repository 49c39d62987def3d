"""Waiting for a word, and the doorbell, in one process."""

import asyncio
import os
import select
import threading

import numpy as np
import pytest
from numba import njit

from pairsim.channels import PORTABLE, Doorbell
from pairsim.channels.atomics import now_ns, store_release
from pairsim.channels.waiting import ring_doorbell, wait_word, wake_word

LONG_NS = 60_000_000_000


@njit(nogil=True)
def timed_wait(words, expected, timeout_ns):
    begin = now_ns()
    differs = wait_word(words, 0, expected, timeout_ns)
    return differs, now_ns() - begin


@njit
def set_word(words, value):
    store_release(words, 0, value)


def test_a_word_that_differs_is_not_waited_for():
    differs, took_ns = timed_wait(np.array([5]), 4, LONG_NS)
    assert differs and took_ns < LONG_NS


@pytest.mark.parametrize("timeout_ns", [-1, 0, 1, 3_000_000])
def test_a_wait_ends_at_its_deadline(timeout_ns):
    differs, took_ns = timed_wait(np.array([5]), 5, timeout_ns)
    assert not differs and timeout_ns <= took_ns < LONG_NS


def test_only_the_low_half_of_the_word_counts():
    words = np.array([(7 << 32) | 5])
    assert not wait_word(words, 0, 5, 1000)
    assert wait_word(words, 0, (7 << 32) | 6, 1000)
    assert not wait_word(np.array([-1]), 0, 0xFFFFFFFF, 1000)


def test_a_wake_up_ends_the_wait():
    words, found = np.array([1]), []
    timed_wait(words, 0, 0)
    set_word(np.zeros(1, np.int64), 1)
    sleeper = threading.Thread(target=lambda: found.append(timed_wait(words, 1, LONG_NS)))
    sleeper.start()
    set_word(words, 0)
    while sleeper.is_alive():  # the first may come before it sleeps, and then it does not sleep
        wake_word(words, 0)
    assert found[0][0] and found[0][1] < LONG_NS


def test_all_sleepers_on_a_word_are_woken():
    words, woken = np.array([1]), []
    wait_word(words, 0, 0, 0)
    sleepers = [threading.Thread(target=lambda: woken.append(wait_word(words, 0, 1, LONG_NS))) for _ in range(3)]
    for sleeper in sleepers:
        sleeper.start()
    set_word(words, 0)
    wake_word(words, 0)
    for sleeper in sleepers:
        sleeper.join(60)
    assert woken == [True] * 3


def test_a_doorbell_is_readable_from_the_ring_until_it_is_cleared():
    with Doorbell() as bell:
        assert not is_readable(bell)
        bell.ring()
        bell.ring()
        assert is_readable(bell)
        bell.clear()
        assert not is_readable(bell)
        bell.clear()


def test_a_doorbell_rung_very_often_blocks_nobody():
    """A pipe holds 64 KiB; an eventfd counts."""

    @njit
    def ring_often(write_fd):
        for _ in range(20_000):
            ring_doorbell(write_fd)

    with Doorbell() as bell:
        ring_often(bell.write_fd)
        bell.ring()
        assert is_readable(bell)
        bell.clear()
        assert not is_readable(bell)


def test_a_kernel_wakes_an_event_loop():
    @njit
    def ring(write_fd):
        ring_doorbell(write_fd)

    async def wait_for_the_bell(bell):
        loop = asyncio.get_running_loop()
        rung = asyncio.Event()
        loop.add_reader(bell.fd, lambda: (bell.clear(), rung.set()))
        ring(bell.write_fd)
        await asyncio.wait_for(rung.wait(), 60)
        loop.remove_reader(bell.fd)
        return is_readable(bell)

    with Doorbell() as bell:
        assert not asyncio.run(wait_for_the_bell(bell))


def test_a_doorbell_is_an_eventfd_or_a_pipe():
    with Doorbell() as bell:
        assert (bell.fd == bell.write_fd) is not PORTABLE
        assert not os.get_blocking(bell.fd) and not os.get_blocking(bell.write_fd)
        assert not os.get_inheritable(bell.fd) and not os.get_inheritable(bell.write_fd)


def test_a_doorbell_gives_its_descriptors_back():
    before = len(os.listdir("/dev/fd"))
    bell = Doorbell()
    assert repr(bell) == f"Doorbell(fd {bell.fd})"
    bell.close()
    bell.close()
    assert len(os.listdir("/dev/fd")) == before and repr(bell) == "Doorbell(closed)"


def is_readable(bell: Doorbell) -> bool:
    return bool(select.select([bell.fd], [], [], 0)[0])
