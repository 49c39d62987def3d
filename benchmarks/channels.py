"""What the channels cost between two processes: records a second, round trips, reads of a seqlock.

    python benchmarks/channels.py [--records 4000000] [--repeats 5]

Sketch: a record is one 64-byte line that moves from core to core (50 to 100 ns of latency, hidden when several are
under way), so batches should pass 20 M/s, and one publish a record, with its full fence, 5 M/s. A wake-up is two system
calls and a scheduler: 20 to 60 µs. A quiet seqlock of 8 words is 8 loads and two looks: about 5 ns. Beside them stands
what the standard library does.
"""

import argparse
import datetime
import multiprocessing
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy: a process that forks must have one thread

import numpy as np
from numba import njit

from pairsim.channels import PORTABLE, Memory, init_ring, ring_words
from pairsim.channels.atomics import load_acquire, now_ns, store_release
from pairsim.channels.native import Words
from pairsim.channels.ring import (
    available,
    head,
    publish,
    record,
    release,
    room_for,
    tail,
    wait_for_data,
    wait_for_room,
    wake_consumer,
    wake_producer,
)
from pairsim.channels.seqlock import seq_read, seq_write

CAPACITY, RECORD_WORDS, PAYLOAD_WORDS = 8192, 8, 8
SLICE_NS = 20_000_000
CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
THERE, BACK, CELL, STOP = 0, 80_000, 160_000, 170_000  # words: two rings, a seqlock, a word that ends the writer


@njit(cache=True, nogil=True, error_model="numpy")
def produce(mem: Words, base: int, count: int, batch: int) -> None:
    """`count` records, `batch` to a publish."""
    at = tail(mem, base)
    end = at + count
    while at < end:
        n = min(batch, end - at)
        if room_for(mem, base, n) < n:
            wait_for_room(mem, base, SLICE_NS)
            continue
        for i in range(at, at + n):
            place = record(mem, base, i)
            for w in range(RECORD_WORDS):
                mem[place + w] = i + w
        at += n
        publish(mem, base, at)
        wake_consumer(mem, base, -1)


@njit(cache=True, nogil=True, error_model="numpy")
def consume(mem: Words, base: int, count: int) -> int:
    """Take `count` records, at most 64 to a release; returns a sum, so that nothing is optimised away."""
    at = head(mem, base)
    end = at + count
    total = 0
    while at < end:
        n = min(available(mem, base), 64, end - at)
        if n == 0:
            wait_for_data(mem, base, SLICE_NS)
            continue
        for i in range(at, at + n):
            place = record(mem, base, i)
            for w in range(RECORD_WORDS):
                total += mem[place + w]
        at += n
        release(mem, base, at)
        wake_producer(mem, base)
    return total


@njit(cache=True, nogil=True, error_model="numpy")
def echo(mem: Words, there: int, back: int, count: int) -> None:
    """Send each record back."""
    for _ in range(count):
        consume(mem, there, 1)
        produce(mem, back, 1, 1)


@njit(cache=True, nogil=True, error_model="numpy")
def round_trips(mem: Words, there: int, back: int, took_ns: Words) -> None:
    """Time each record there and back."""
    for i in range(len(took_ns)):
        begin = now_ns()
        produce(mem, there, 1, 1)
        consume(mem, back, 1)
        took_ns[i] = now_ns() - begin


@njit(cache=True, nogil=True, error_model="numpy")
def read_often(mem: Words, base: int, out: Words, count: int) -> int:
    """`count` reads of a seqlock."""
    total = 0
    for _ in range(count):
        total += seq_read(mem, base, out) + out[0]
    return total


@njit(cache=True, nogil=True, error_model="numpy")
def write_until(mem: Words, base: int, values: Words, stop: int, every_ns: int) -> None:
    """Write a seqlock at a fixed pace until the word `stop` is set."""
    due = now_ns()
    while load_acquire(mem, stop) == 0:
        if now_ns() >= due:
            due += every_ns
            values[0] += 1
            seq_write(mem, base, values)


def pin(which: int) -> None:
    """Stay on one core: the scheduler at times puts both processes on the same one, which is another experiment."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {CORES[which % len(CORES)]})


def beside(child: Callable[[], object], parent: Callable[[], object]) -> float:
    """Seconds until the parent is through, with the child running in a forked process on another core."""
    pid = os.fork()
    if pid == 0:
        try:
            pin(1)
            child()
        finally:
            os._exit(0)
    begin = time.perf_counter()
    parent()
    seconds = time.perf_counter() - begin
    os.waitpid(pid, 0)
    return seconds


def median(measure: Callable[[], float], repeats: int) -> float:
    """The middle one of several runs."""
    return statistics.median(measure() for _ in range(repeats))


def ring_rate(mem: Words, count: int, batch: int) -> float:
    """M records/s through a fresh ring."""
    init_ring(mem, THERE, CAPACITY, RECORD_WORDS)
    sums: list[int] = []
    seconds = beside(
        lambda: produce(mem, THERE, count, batch),
        lambda: sums.append(consume(mem, THERE, count)),
    )
    assert sums == [RECORD_WORDS * (count * (count - 1) // 2) + count * sum(range(RECORD_WORDS))]
    return count / 1e6 / seconds


def ring_round_trips(mem: Words, count: int, spins: int) -> tuple[float, float]:
    """p50 and p99 of a round trip over two rings, in µs."""
    init_ring(mem, THERE, 64, RECORD_WORDS, spins=spins)
    init_ring(mem, BACK, 64, RECORD_WORDS, spins=spins)
    took = np.zeros(count, np.int64)
    beside(lambda: echo(mem, THERE, BACK, count), lambda: round_trips(mem, THERE, BACK, took))
    return tuple(np.percentile(took[count // 10 :], [50, 99]) / 1e3)  # type: ignore[return-value]


def pipe_rate(count: int, batch: int) -> float:
    """M records/s through a pipe, `batch` to a message."""
    receiver, sender = multiprocessing.Pipe(duplex=False)
    message = bytes(8 * RECORD_WORDS * batch)

    def send() -> None:
        for _ in range(count // batch):
            sender.send_bytes(message)

    def receive() -> None:
        for _ in range(count // batch):
            receiver.recv_bytes()

    return count / 1e6 / beside(send, receive)


def pipe_round_trips(count: int) -> tuple[float, float]:
    """p50 and p99 of a round trip over a pipe, in µs."""
    here, there = multiprocessing.Pipe()
    message, took = bytes(8 * RECORD_WORDS), np.zeros(count, np.int64)

    def send_back() -> None:
        for _ in range(count):
            there.send_bytes(there.recv_bytes())

    def measure() -> None:
        for i in range(count):
            begin = time.perf_counter_ns()
            here.send_bytes(message)
            here.recv_bytes()
            took[i] = time.perf_counter_ns() - begin

    beside(send_back, measure)
    return tuple(np.percentile(took[count // 10 :], [50, 99]) / 1e3)  # type: ignore[return-value]


def seqlock_ns(mem: Words, count: int, every_ns: int | None) -> float:
    """ns a read of 8 words in a compiled loop: quiet, or under a process that writes every so often."""
    out, values = np.zeros(PAYLOAD_WORDS, np.int64), np.zeros(PAYLOAD_WORDS, np.int64)
    mem[STOP] = 0

    def read() -> None:
        read_often(mem, CELL, out, count)
        store_stop(mem)

    if every_ns is None:
        begin = time.perf_counter()
        read()
        return (time.perf_counter() - begin) / count * 1e9
    return beside(lambda: write_until(mem, CELL, values, STOP, every_ns), read) / count * 1e9


@njit(cache=True, nogil=True, error_model="numpy")
def store_stop(mem: Words) -> None:
    """End `write_until`."""
    store_release(mem, STOP, 1)


def seqlock_python_ns(mem: Words, count: int) -> float:
    """ns a read of 8 words called from Python."""
    out = np.zeros(PAYLOAD_WORDS, np.int64)
    begin = time.perf_counter()
    for _ in range(count):
        seq_read(mem, CELL, out)
    return (time.perf_counter() - begin) / count * 1e9


def compile_all(mem: Words) -> None:
    """Before the first fork: two cold processes would compile everything twice, and it would be timed."""
    init_ring(mem, THERE, 64, RECORD_WORDS)
    init_ring(mem, BACK, 64, RECORD_WORDS)
    produce(mem, THERE, 2, 1)
    consume(mem, THERE, 1)
    echo(mem, THERE, BACK, 1)
    round_trips(mem, THERE, BACK, np.zeros(0, np.int64))
    values = np.zeros(PAYLOAD_WORDS, np.int64)
    read_often(mem, CELL, values, 1)
    store_stop(mem)
    write_until(mem, CELL, values, STOP, 100)


def report(options: argparse.Namespace) -> list[tuple[str, str]]:
    """All rows: what, and how much."""
    words = ring_words(CAPACITY, RECORD_WORDS)
    assert words <= BACK - THERE
    count, repeats = options.records, options.repeats
    pin(0)
    with Memory.create(STOP + 16) as memory:
        mem = memory.words
        compile_all(mem)
        trips = max(1000, count // 200)

        def trip(measure: Callable[[], tuple[float, float]]) -> str:
            runs = sorted(measure() for _ in range(repeats))
            return "{:.2f} / {:.2f} µs".format(*runs[len(runs) // 2])

        return [
            ("ring, one at a time", f"{median(lambda: ring_rate(mem, count, 1), repeats):.1f} M/s"),
            ("ring, batches of 64", f"{median(lambda: ring_rate(mem, 4 * count, 64), repeats):.1f} M/s"),
            ("Pipe.send_bytes, one at a time", f"{median(lambda: pipe_rate(count // 20, 1), repeats):.2f} M/s"),
            ("Pipe.send_bytes, batches of 64", f"{median(lambda: pipe_rate(count, 64), repeats):.1f} M/s"),
            ("ring, round trip p50 / p99, sleeping", trip(lambda: ring_round_trips(mem, trips, 0))),
            ("ring, round trip p50 / p99, 2,000 spins", trip(lambda: ring_round_trips(mem, trips, 2000))),
            ("Pipe, round trip p50 / p99", trip(lambda: pipe_round_trips(trips))),
            ("seqlock of 8 words, read", f"{median(lambda: seqlock_ns(mem, count, None), repeats):.1f} ns"),
            ("the same, written every 1 µs", f"{median(lambda: seqlock_ns(mem, count, 1000), repeats):.1f} ns"),
            ("the same, written without pause", f"{median(lambda: seqlock_ns(mem, count, 0), repeats):.1f} ns"),
            ("the same, called from Python", f"{median(lambda: seqlock_python_ns(mem, 100_000), repeats):.0f} ns"),
        ]


def machine() -> str:
    """The processor, how many of it, and the system."""
    model = platform.processor() or platform.machine()
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo") as lines:
            model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), model)
    return (
        f"{model}, {os.cpu_count()} cores, {platform.system()} {platform.release()}, Python {platform.python_version()}"
    )


def main(arguments: list[str] | None = None) -> Any:
    """Measure and print a markdown table."""
    cli = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    cli.add_argument("--records", type=int, default=4_000_000)
    cli.add_argument("--repeats", type=int, default=5)
    options = cli.parse_args(arguments)
    rows = report(options)
    today = datetime.datetime.now(datetime.UTC).date()
    print(f"{machine()}; {today}; medians of {options.repeats} runs{'; portable path' if PORTABLE else ''}")
    print(f"`python benchmarks/channels.py --records {options.records} --repeats {options.repeats}`\n")
    print("| 64-byte records between two processes | |\n|---|--:|")
    for what, how_much in rows:
        print(f"| {what} | {how_much} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
