"""Rings, seqlocks and wake-ups between two real processes."""

import os
import signal

import pytest

from pairsim.channels import PORTABLE

RECORDS = int(os.environ.get("PAIRSIM_STREAM_RECORDS", "2000000"))
SOAK_RECORDS = 20_000_000


def stream_and_check(two_processes, **options) -> dict:
    found = two_processes.run("stream", seed=11, **options)
    assert found["bad"] == 0
    assert found["lost"] == 0
    assert found["pushed"] == found["popped"] == options["records"]
    assert found["depth"] == 0
    assert 0 < found["high_water"] <= options["capacity"]
    return found


@pytest.mark.parametrize("copying", [False, True], ids=["zero copy", "copying"])
def test_checksummed_records_arrive_whole_and_in_order(two_processes, copying):
    stream_and_check(two_processes, capacity=8192, width=8, records=RECORDS, copying=copying)


@pytest.mark.parametrize("copying", [False, True], ids=["zero copy", "copying"])
@pytest.mark.parametrize("capacity", [1, 16])
def test_a_side_at_the_heels_of_the_other_sees_only_whole_records(two_processes, capacity, copying):
    records = RECORDS // (400 if PORTABLE else 40)
    stream_and_check(two_processes, capacity=capacity, width=16, records=records, copying=copying, spins=2_000)


@pytest.mark.soak
@pytest.mark.parametrize("copying", [False, True], ids=["zero copy", "copying"])
def test_twenty_million_checksummed_records_arrive_whole_and_in_order(two_processes, copying):
    stream_and_check(two_processes, capacity=8192, width=8, records=SOAK_RECORDS, copying=copying)


@pytest.mark.parametrize("copying", [False, True], ids=["zero copy", "copying"])
@pytest.mark.parametrize("width", [1, 3])
@pytest.mark.parametrize("capacity", [1, 2, 16])
def test_a_small_ring_that_both_sides_sleep_on_loses_nothing(two_processes, capacity, width, copying):
    records = RECORDS // (400 if PORTABLE else 40)
    found = stream_and_check(two_processes, capacity=capacity, width=width, records=records, copying=copying)
    assert found["stalls"] > 0  # it was full at times
    assert found["blocked_ns"] > 0


def test_ping_pong_on_rings_of_one_loses_no_wake_up(two_processes):
    trips = 2_000 if PORTABLE else 20_000
    assert two_processes.run("ping_pong", trips=trips) == {"lost": 0, "popped": trips}


def test_an_asyncio_reader_is_rung_for_every_burst(two_processes):
    bursts = 4_000 if PORTABLE else 20_000
    found = two_processes.run("doorbell", bursts=bursts)
    assert found["lost"] == found["bad"] == 0
    assert found["pushed"] == found["popped"] > bursts
    assert found["callbacks"] > bursts // 2  # it did sleep in between


@pytest.mark.parametrize("side", ["consumer", "producer"])
def test_falling_asleep_while_the_other_publishes_is_never_missed(two_processes, side):
    found = two_processes.run("sleep_or_wake", rounds=500_000, side=side)
    assert found["lost"] == 0
    assert found["slept"] > 0


def test_a_fence_orders_a_store_before_a_later_load(two_processes):
    found = two_processes.run("store_buffer", rounds=500_000, fenced=True)
    assert found["both_missed"] == 0
    assert found["rounds"] >= 1_000


def test_two_processes_add_to_one_word_and_lose_nothing(two_processes):
    assert two_processes.run("count_together", additions=300_000) == {"sum": 600_000}


@pytest.mark.parametrize("victim", ["producer", "consumer"])
def test_records_survive_the_sigkill_of_either_side(two_processes, victim):
    found = two_processes.run("killed", victim=victim, kills=40, seed=5)
    assert found["bad"] == 0
    assert found["pushed"] == found["popped"] > 40


def test_a_seqlock_never_gives_a_torn_copy(two_processes):
    found = two_processes.run("torn_reads", reads=200_000)
    assert found["torn"] == found["gave_up"] == 0
    assert found["changes"] > 100
    assert found["torn_without_second_look"] > 0  # or the equations would prove nothing


def test_a_seqlock_whose_writer_was_killed_is_given_up_and_mended_by_the_next_writer(two_processes):
    assert two_processes.run("dead_writer") == {"gave_up": [True, True], "grew": True, "out": [4.0, 5.0, 6.0]}


def test_a_signal_ends_a_wait_before_its_deadline(two_processes):
    found = two_processes.run("interrupted_wait")
    assert found["handled"] and not found["got"]
    assert found["waited_s"] < 15.0  # of 20


def test_memory_attached_read_only_cannot_be_written_by_address_either(two_processes):
    assert two_processes.run("write_read_only") == {"signal": signal.SIGSEGV, "word": 0}
