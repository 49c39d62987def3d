"""The ring in one process: what fits, what comes out, what is counted. Two processes: see `test_two_processes`."""

import select
import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pairsim.channels import Memory, init_ring, ring_stats, ring_words
from pairsim.channels.ring import (
    _CONSUMER_SLEEPS,
    _PRODUCER_SLEEPS,
    HEADER_WORDS,
    arm_consumer,
    available,
    head,
    pop,
    publish,
    push,
    record,
    release,
    room,
    room_for,
    rouse,
    tail,
    try_pop,
    try_push,
    wait_for_data,
    wait_for_release,
    wait_for_room,
    wake_consumer,
    wake_producer,
)
from pairsim.channels.waiting import Doorbell
from pairsim.errors import InputError

MOMENT_NS = 1_000_000
LONG_NS = 10_000_000_000


def new_ring(capacity: int, width: int = 2, base: int = 32) -> np.ndarray:
    mem = np.full(base + ring_words(capacity, width) + 32, -99)
    init_ring(mem, base, capacity, width)
    return mem


def records(first: int, count: int, width: int = 2) -> np.ndarray:
    return np.arange(first * width, (first + count) * width).reshape(count, width)


BASE = 32


@settings(max_examples=150, deadline=None)
@given(
    capacity=st.sampled_from([1, 2, 4, 8]),
    width=st.sampled_from([1, 2, 5]),
    steps=st.lists(st.tuples(st.sampled_from(["push", "pop"]), st.integers(0, 11)), max_size=60),
)
def test_a_ring_is_a_bounded_queue(capacity, width, steps):
    mem, queue, pushed, high = new_ring(capacity, width), [], 0, 0
    for step, count in steps:
        if step == "push":
            given_ = records(pushed, count, width)
            done = try_push(mem, BASE, given_)
            assert done == min(count, capacity - len(queue))
            queue += given_[:done].tolist()
            pushed += done
            high = max(high, len(queue))
        else:
            out = np.full((count, width), -1)
            done = try_pop(mem, BASE, out)
            assert 0 <= done <= min(count, len(queue))
            assert done > 0 or count == 0 or not queue
            assert out[:done].tolist() == queue[:done]
            del queue[:done]
        stats = ring_stats(mem, BASE)
        assert stats["depth"] == len(queue) == tail(mem, BASE) - head(mem, BASE)
        assert stats["high_water"] == high
        assert stats["pushed"] == pushed and stats["popped"] == pushed - len(queue)
        assert room_for(mem, BASE, capacity) == capacity - len(queue)
        assert (room(mem, BASE) == 0) is (len(queue) == capacity)
        assert (available(mem, BASE) == 0) is (not queue)
    assert (mem[:BASE] == -99).all() and (mem[BASE + ring_words(capacity, width) :] == -99).all()


def test_records_stand_behind_the_header_and_wrap_around():
    mem = new_ring(4, 3)
    assert [record(mem, BASE, i) for i in range(6)] == [BASE + HEADER_WORDS + 3 * (i % 4) for i in range(6)]


def test_nothing_is_seen_before_it_is_published_and_no_place_is_free_before_its_release():
    mem = new_ring(2)
    mem[record(mem, BASE, 0)] = 5
    assert available(mem, BASE) == 0 and not wait_for_data(mem, BASE, 0)
    publish(mem, BASE, 2)
    assert available(mem, BASE) == 2 and mem[record(mem, BASE, 0)] == 5
    assert room(mem, BASE) == 0 and not wait_for_room(mem, BASE, 0)
    release(mem, BASE, 1)
    assert room(mem, BASE) == 1 and available(mem, BASE) == 1


def test_records_of_floats_pass_bit_for_bit():
    mem, out = new_ring(4), np.zeros((2, 2))
    sent = np.array([[0.1, -0.0], [np.inf, np.nan]])
    try_push(mem, BASE, sent)
    try_pop(mem, BASE, out)
    assert out.tobytes() == sent.tobytes()


def test_two_rings_in_one_block_do_not_touch_each_other():
    second = BASE + ring_words(2, 2)
    mem = np.zeros(second + ring_words(8, 1), np.int64)
    assert init_ring(mem, BASE, 2, 2) == second
    assert init_ring(mem, second, 8, 1) == len(mem)
    try_push(mem, BASE, records(0, 5))
    try_push(mem, second, records(7, 3, 1))
    assert ring_stats(mem, BASE)["depth"] == 2 and ring_stats(mem, second)["depth"] == 3
    assert pop(mem, second, np.zeros((9, 1), np.int64)) == 3


def test_a_ring_restarts_empty():
    mem = new_ring(4)
    try_push(mem, BASE, records(0, 4))
    init_ring(mem, BASE, 4, 2)
    stats = ring_stats(mem, BASE)
    assert stats == {"capacity": 4} | dict.fromkeys(stats.keys() - {"capacity"}, 0)


def test_the_high_water_mark_of_a_large_ring_is_right_to_a_64th_of_it():
    capacity = 1024
    mem, out = new_ring(capacity, 1), np.zeros((capacity, 1), np.int64)
    rng, depth, high = np.random.default_rng(3), 0, 0
    for _ in range(2000):
        count = int(rng.integers(1, 30))
        for i in range(count):
            depth += try_push(mem, BASE, records(i, 1, 1))
            high = max(high, depth)
            assert high - capacity // 64 <= ring_stats(mem, BASE)["high_water"] <= high
        depth -= try_pop(mem, BASE, out[: int(rng.integers(1, 31))])
    assert high > capacity // 8


def test_stalls_count_occasions_and_blocked_time_adds_up():
    mem = new_ring(1)
    assert push(mem, BASE, records(0, 1)) == 1
    assert ring_stats(mem, BASE)["stalls"] == 0
    for _ in range(3):  # one occasion, waited for in three slices
        assert push(mem, BASE, records(1, 1), -1, MOMENT_NS) == 0
    stats = ring_stats(mem, BASE)
    assert stats["stalls"] == 1 and stats["blocked_ns"] >= 3 * MOMENT_NS
    release(mem, BASE, 1)
    push(mem, BASE, records(1, 1))
    push(mem, BASE, records(2, 1), -1, MOMENT_NS)
    assert ring_stats(mem, BASE)["stalls"] == 2


def test_push_says_how_many_went_in_when_time_is_over():
    mem = new_ring(4)
    assert push(mem, BASE, records(0, 9), -1, MOMENT_NS) == 4
    out = np.zeros((9, 2), np.int64)
    assert pop(mem, BASE, out, MOMENT_NS) == 4
    assert out[:4].tolist() == records(0, 4).tolist()


def test_pop_from_an_empty_ring_comes_back_at_its_deadline():
    assert pop(new_ring(4), BASE, np.zeros((1, 2), np.int64), MOMENT_NS) == 0


def test_stats_are_read_through_read_only_memory():
    with Memory.create(ring_words(4, 2)) as memory, Memory.attach(memory.fd) as reader:
        init_ring(memory.words, 0, 4, 2)
        try_push(memory.words, 0, records(0, 3))
        assert ring_stats(reader.words, 0)["depth"] == 3
        assert tail(reader.words, 0) == 3 and head(reader.words, 0) == 0


# ---------------------------------------------------------------- sleeping and waking


def run_beside(work) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_a_waiting_kernel_lets_other_threads_run_and_is_woken_by_a_publish():
    mem, got = new_ring(2), []
    pop(mem, BASE, np.zeros((1, 2), np.int64), 0)  # compiled before the clock matters
    sleeper = run_beside(lambda: got.append(wait_for_data(mem, BASE, LONG_NS)))
    try_push(mem, BASE, records(0, 1))
    wake_consumer(mem, BASE, -1)
    sleeper.join(5)
    assert got == [True]


def test_a_blocked_producer_is_woken_by_a_release():
    mem, got = new_ring(1), []
    push(mem, BASE, records(0, 1), -1, 0)
    blocked = run_beside(lambda: got.append(push(mem, BASE, records(1, 1), -1, LONG_NS)))
    release(mem, BASE, 1)
    wake_producer(mem, BASE)
    blocked.join(5)
    assert got == [1]


def test_the_doorbell_rings_only_for_an_armed_consumer_and_once():
    mem = new_ring(4)
    with Doorbell() as bell:
        try_push(mem, BASE, records(0, 1))
        wake_consumer(mem, BASE, bell.write_fd)
        assert not is_readable(bell)
        assert not arm_consumer(mem, BASE)  # there is a record: look again
        release(mem, BASE, 1)
        assert arm_consumer(mem, BASE)
        try_push(mem, BASE, records(1, 1))
        wake_consumer(mem, BASE, bell.write_fd)
        assert is_readable(bell)
        bell.clear()
        wake_consumer(mem, BASE, bell.write_fd)  # not armed any more
        assert not is_readable(bell)


def test_a_producer_may_wait_for_less_than_a_full_ring():
    mem, got = new_ring(8), []
    push(mem, BASE, records(0, 3))
    assert not wait_for_release(mem, BASE, 0, MOMENT_NS)
    assert ring_stats(mem, BASE)["stalls"] == 1 and ring_stats(mem, BASE)["blocked_ns"] >= MOMENT_NS
    held_back = run_beside(lambda: got.append(wait_for_release(mem, BASE, 1, LONG_NS)))
    release(mem, BASE, 2)
    wake_producer(mem, BASE)
    held_back.join(5)
    assert got == [True]


def test_rouse_rings_the_doorbell_of_a_consumer_that_is_not_armed():
    mem = new_ring(1)
    with Doorbell() as bell:
        rouse(mem, BASE, bell.write_fd)
        assert is_readable(bell)


@pytest.mark.parametrize(("side", "flag"), [("consumer", _CONSUMER_SLEEPS), ("producer", _PRODUCER_SLEEPS)])
def test_rouse_wakes_whoever_sleeps_with_its_flag_already_cleared(side, flag):
    """A process killed between clearing the flag and the wake-up leaves a sleeper behind: its successor rouses it."""
    mem, took_ns = new_ring(1), []
    wait = wait_for_data
    if side == "producer":
        push(mem, BASE, records(0, 1))
        wait = wait_for_room
    wait(mem, BASE, 0)
    rouse(mem, BASE, -1)

    def sleep() -> None:
        begin = time.monotonic_ns()
        wait(mem, BASE, LONG_NS)
        took_ns.append(time.monotonic_ns() - begin)

    sleeper = run_beside(sleep)
    while mem[BASE + flag] == 0:
        sleeper.join(0.001)
    sleeper.join(0.01)  # asleep by now, or it shows nothing
    mem[BASE + flag] = 0  # the killed waker came so far
    while sleeper.is_alive():
        rouse(mem, BASE, -1)
    assert took_ns[0] < LONG_NS


@pytest.mark.parametrize("spins", [0, 10])
def test_spinning_changes_nothing_but_time(spins):
    mem = new_ring(1)
    init_ring(mem, BASE, 1, 2, spins=spins)
    assert not wait_for_data(mem, BASE, MOMENT_NS)
    push(mem, BASE, records(0, 1))
    assert wait_for_data(mem, BASE, MOMENT_NS) and not wait_for_room(mem, BASE, MOMENT_NS)


def is_readable(bell: Doorbell) -> bool:
    return bool(select.select([bell.fd], [], [], 0)[0])


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize("capacity", [0, -1, 3, 100])
def test_a_capacity_that_is_no_power_of_two_is_refused(capacity):
    with pytest.raises(InputError, match=f"{capacity} records.*power of two"):
        ring_words(capacity, 8)


def test_records_without_words_are_refused():
    with pytest.raises(InputError, match="at least 1"):
        ring_words(8, 0)


def test_a_ring_that_does_not_fit_is_refused():
    with pytest.raises(InputError, match="does not fit into 100 words"):
        init_ring(np.zeros(100, np.int64), 0, 8, 8)
    with pytest.raises(InputError, match="from word -1"):
        init_ring(np.zeros(1000, np.int64), -1, 8, 8)


def test_records_of_another_width_are_refused():
    mem = new_ring(4, 2)
    for copy in (try_push, try_pop):
        with pytest.raises(InputError, match="columns"):
            copy(mem, BASE, np.zeros((1, 3), np.int64))


def test_the_size_is_a_multiple_of_two_cache_lines():
    assert all(
        ring_words(c, w) % 16 == 0 and ring_words(c, w) >= HEADER_WORDS + c * w for c in (1, 8) for w in (1, 3, 8)
    )
