"""Scenarios of two real processes on one block of memory. As a program it serves them: a JSON line in, one out.

The rule: the server runs one thread and starts each scenario in a forked process, which forks its second half; so
nothing is ever forked from pytest. Every process has an alarm that kills it: a scenario that hangs is an error.
"""

import asyncio
import json
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import contextmanager

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy: no threads where we fork

import numpy as np
import protocol_kernels as kernels

from pairsim.channels import Doorbell, Memory, init_ring, ring_stats, ring_words
from pairsim.channels.ring import arm_consumer, available, head, rouse, wake_producer
from pairsim.channels.seqlock import GAVE_UP, seq_read, seq_write, write_begin

ALARM_S = 110
LONG_NS = 20_000_000_000  # a wait that takes this long has lost its wake-up
RACE_NS = 1_000_000_000  # a race is run so many rounds, or so long where they are slow
RESULTS = 16  # words before the ring, for what the second process found


@contextmanager
def other_process(work: Callable[[], object], apart: bool = False):
    """Run `work` in a forked process meanwhile, on another core when `apart`; fails when it does not end well."""
    pid = fork(lambda: (stay_on_core(1) if apart else None, work()))
    if apart:
        stay_on_core(0)
    yield pid
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert status == 0, f"the other process ended with {status}"


def fork(work: Callable[[], object]) -> int:
    pid = os.fork()
    if pid:
        return pid
    signal.alarm(ALARM_S)
    try:
        work()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def stay_on_core(which: int) -> None:
    """A race needs both sides at once: left alone, the scheduler may put them on one core."""
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[which % len(cores)]})


def block(*rings: tuple[int, int]) -> tuple[Memory, list[int]]:
    """Memory for results and these rings (capacity, record words), and where each begins."""
    bases, end = [], RESULTS
    for capacity, width in rings:
        bases.append(end)
        end += ring_words(capacity, width)
    memory = Memory.create(end + RESULTS)
    for base, (capacity, width) in zip(bases, rings):
        init_ring(memory.words, base, capacity, width)
    return memory, bases


def stream(capacity: int, width: int, records: int, copying: bool, seed: int, spins: int = 0) -> dict:
    """Checksummed records from one process to the other; both sides sleep, wake and change pace at random.

    With `spins` they hardly sleep, each on its own core, and one is always at the other's heels.
    """
    memory, (base,) = block((capacity, width))
    mem = memory.words
    init_ring(mem, base, capacity, width, spins=spins)
    produce, consume = (kernels.push_all, kernels.pop_all) if copying else (kernels.produce, kernels.consume)
    produce(mem, base, 0, seed, LONG_NS)  # compile before the fork
    consume(mem, base, 0, seed, LONG_NS)

    def other() -> None:
        mem[0] = produce(mem, base, records, seed, LONG_NS)

    with other_process(other, apart=spins > 0):
        bad, lost = consume(mem, base, records, seed + 1, LONG_NS)
    return {"bad": bad, "lost": lost + int(mem[0]), **ring_stats(mem, base)}


def ping_pong(trips: int) -> dict:
    """One record at a time there and back, both sides asleep in between."""
    memory, (there, back) = block((1, 2), (1, 2))
    mem = memory.words
    kernels.bounce(mem, there, back, 0, LONG_NS)
    kernels.serve(mem, there, back, 0, 1, LONG_NS)

    def other() -> None:
        mem[0] = kernels.bounce(mem, there, back, trips, LONG_NS)

    with other_process(other):
        lost = kernels.serve(mem, there, back, trips, 1, LONG_NS)
    return {"lost": lost + int(mem[0]), "popped": ring_stats(mem, back)["popped"]}


def doorbell(bursts: int) -> dict:
    """Bursts to an asyncio reader that takes 128 a callback; each burst waits until the one before was taken."""
    memory, (base,) = block((256, 2))
    mem, bell = memory.words, Doorbell()
    kernels.produce_bursts(mem, base, 0, bell.write_fd, 1, LONG_NS)
    kernels.take(mem, base, 0)

    def other() -> None:
        mem[0] = kernels.produce_bursts(mem, base, bursts, bell.write_fd, 1, LONG_NS)

    with other_process(other):
        bad, callbacks = asyncio.run(_read_all(mem, base, bursts, bell))
    return {"lost": int(mem[0]), "bad": bad, "callbacks": callbacks, **ring_stats(mem, base)}


async def _read_all(mem, base, bursts, bell) -> tuple[int, int]:
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    total = kernels.burst_total(bursts)
    bad = callbacks = 0

    def on_ring() -> None:
        nonlocal bad, callbacks
        callbacks += 1
        bell.clear()
        bad += kernels.take(mem, base, 128)
        wake_producer(mem, base)
        if head(mem, base) == total:
            done.set_result(None)
        elif not arm_consumer(mem, base):
            loop.call_soon(on_ring)

    loop.add_reader(bell.fd, on_ring)
    loop.call_soon(on_ring)
    await asyncio.wait_for(done, ALARM_S / 2)
    loop.remove_reader(bell.fd)
    return bad, callbacks


def store_buffer(rounds: int, fenced: bool) -> dict:
    """Rounds in which both processes missed what the other had just stored."""
    memory = Memory.create(256)
    mem = memory.words
    kernels.store_then_look(mem, 0, 0, fenced, 0)
    with other_process(lambda: kernels.store_then_look(mem, 1, rounds, fenced, 0), apart=True):
        kernels.store_then_look(mem, 0, rounds, fenced, time.monotonic_ns() + RACE_NS)
    return {"both_missed": int(mem[kernels.BOTH_MISSED]), "rounds": int(mem[0])}


def sleep_or_wake(rounds: int, side: str) -> dict:
    """Rounds in which one process decided to sleep just when the other published (or released), and was not woken."""
    memory, (base,) = block((1, 2))
    mem = memory.words
    falls_asleep, wakes = {
        "consumer": (kernels.consumer_falls_asleep, kernels.producer_wakes),
        "producer": (kernels.producer_falls_asleep, kernels.consumer_wakes),
    }[side]
    falls_asleep(mem, base, 0, 0)
    wakes(mem, base, 0)
    with other_process(lambda: wakes(mem, base, rounds), apart=True):
        slept, lost = falls_asleep(mem, base, rounds, time.monotonic_ns() + RACE_NS)
    return {"slept": slept, "lost": lost}


def count_together(additions: int) -> dict:
    """Two processes add to one word."""
    memory = Memory.create(16)
    mem = memory.words
    kernels.add_often(mem, 0, 0)
    with other_process(lambda: kernels.add_often(mem, 0, additions)):
        kernels.add_often(mem, 0, additions)
    return {"sum": int(mem[0])}


def killed(victim: str, kills: int, seed: int) -> dict:
    """SIGKILL one side at random moments; its successor carries on from what stands in the ring."""
    memory, (base,) = block((64, 8))
    mem, rng = memory.words, random.Random(seed)
    kernels.produce(mem, base, 0, 1, LONG_NS)
    kernels.consume_some(mem, base, 0, 1, 0)
    forever, bad = 1 << 60, 0

    def produce() -> None:
        kernels.produce(mem, base, forever, seed, LONG_NS)

    def consume() -> None:
        while True:
            mem[0] += kernels.consume_some(mem, base, forever, seed, 1_000_000)

    survivor = fork(produce) if victim == "consumer" else 0
    for _ in range(kills):
        pid = fork(consume if victim == "consumer" else produce)
        goal = head(mem, base) + rng.randrange(1, 5_000)
        while head(mem, base) < goal:
            if victim == "producer":
                bad += kernels.consume_some(mem, base, goal, seed, 1_000_000)
            else:
                time.sleep(0.0005)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        rouse(mem, base, -1)
    if survivor:
        os.kill(survivor, signal.SIGKILL)
        os.waitpid(survivor, 0)
    while available(mem, base):  # what the last producer had published
        bad += kernels.consume_some(mem, base, forever, seed, 0)
    return {"bad": bad + int(mem[0]), **ring_stats(mem, base)}


def torn_reads(reads: int) -> dict:
    """Equations over a seqlock that a torn read breaks, read the right way, and without the second look."""
    memory = Memory.create(128)
    mem, floats, stop = memory.words, memory.floats, 64
    kernels.write_equations(mem, floats, 0, stop, 1)
    kernels.read_equations(mem, floats, 0, 1, 0, True)
    before = mem[0]
    with other_process(lambda: kernels.write_equations(mem, floats, 0, stop, 1 << 60), apart=True):
        while mem[0] == before:
            time.sleep(0.0005)
        careless = kernels.read_equations(mem, floats, 0, reads, time.monotonic_ns() + 2 * LONG_NS, False)
        careful = kernels.read_equations(mem, floats, 0, reads, time.monotonic_ns() + 2 * LONG_NS, True)
        mem[stop] = 1
    names = ("torn", "gave_up", "changes")
    return {**dict(zip(names, careful)), "torn_without_second_look": careless[0]}


def dead_writer() -> dict:
    """A writer killed between begin and end; then a new one."""
    memory = Memory.create(16)
    mem, out = memory.words, np.zeros(3)
    seq_write(mem, 0, np.array([1.0, 2.0, 3.0]))
    first = seq_read(mem, 0, out)

    def die() -> None:
        write_begin(mem, 0)
        mem[1] = -1
        os.kill(os.getpid(), signal.SIGKILL)

    os.waitpid(fork(die), 0)
    orphaned = seq_read(mem, 0, out)
    write_begin(mem, 0)
    between = seq_read(mem, 0, out)
    seq_write(mem, 0, np.array([4.0, 5.0, 6.0]))
    after = seq_read(mem, 0, out)
    return {
        "gave_up": [orphaned == GAVE_UP, between == GAVE_UP],
        "grew": after > first and after % 2 == 0,
        "out": out.tolist(),
    }


def interrupted_wait() -> dict:
    """A signal ends a wait long before its deadline, so that Python can look at it."""
    memory, (base,) = block((1, 1))
    mem, seen = memory.words, []
    signal.signal(signal.SIGUSR1, lambda *_: seen.append(1))
    kernels.wait_once(mem, base, 0)
    parent = os.getpid()

    def interrupt() -> None:
        while mem[0] == 0:
            os.kill(parent, signal.SIGUSR1)
            time.sleep(0.002)

    with other_process(interrupt):
        waited_ns, got = kernels.wait_once(mem, base, LONG_NS)
        mem[0] = 1
    return {"waited_s": waited_ns / 1e9, "got": got, "handled": bool(seen)}


def write_read_only() -> dict:
    """Write through a raw address into memory attached read-only."""
    memory = Memory.create(16)
    reader = Memory.attach(memory.fd)
    pid = fork(lambda: kernels.poke(reader.words.ctypes.data))
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return {"signal": -status, "word": int(memory.words[0])}


SCENARIOS = {
    scenario.__name__: scenario
    for scenario in (
        stream,
        ping_pong,
        doorbell,
        store_buffer,
        sleep_or_wake,
        count_together,
        killed,
        torn_reads,
        dead_writer,
        interrupted_wait,
        write_read_only,
    )
}


def serve_scenarios() -> None:
    for line in sys.stdin:
        request = json.loads(line)
        readable, writable = os.pipe()

        def scenario(request=request, writable=writable) -> None:
            result = SCENARIOS[request.pop("scenario")](**request)
            os.write(writable, json.dumps(result, default=lambda x: x.item()).encode())

        pid = fork(scenario)
        os.close(writable)
        with os.fdopen(readable, "rb") as answer:
            result = answer.read()
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        print(result.decode() if status == 0 else json.dumps({"failed": status}), flush=True)


if __name__ == "__main__":
    serve_scenarios()
