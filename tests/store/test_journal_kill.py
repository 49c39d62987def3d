"""A writing process is killed at any moment: what it acknowledged is there, what is there is what was meant."""

import os
import random
import signal
import subprocess
import sys

import pytest
from store import journal_rows as make

from pairsim.store import Journal
from pairsim.store.reader import Reader

# Acknowledges on its standard output, by one write a line, what became durable: "o 17" the intent, "f 17" the fill.
# After a given number of lines it kills itself, just behind the first line of a group (a pause stands before it): the
# moment at which a line that came too early is found out.
WRITER = """
import asyncio, itertools, os, signal, sys, time
from store import journal_rows as make
from pairsim.store import Journal

left = int(sys.argv[2]) or 10**9
last = 0

def acknowledge(line):
    global left, last
    os.write(1, line.encode())
    left -= 1
    if left < 0 and time.perf_counter_ns() - last > 50_000:
        os.kill(os.getpid(), signal.SIGKILL)
    last = time.perf_counter_ns()

async def order(journal, i):
    journal.append("orders", [make.order(i)])
    await journal.durable()
    acknowledge(f"o {i}\\n")
    journal.append("fills", [make.fill(f"t{i}", i)])
    await journal.durable()
    acknowledge(f"f {i}\\n")

async def main(journal):
    tasks = set()
    for i in itertools.count(journal.highest["orders"] + 1):
        tasks.add(asyncio.create_task(order(journal, i)))
        while len(tasks) >= 32:
            _, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)

asyncio.run(main(Journal.open(sys.argv[1], run={})))
"""


def run_and_kill(path, lines, from_outside):
    """What the writer acknowledged until it was killed: by itself soon after its ``lines``-th line, or by us."""
    environment = {**os.environ, "PYTHONPATH": ":".join(sys.path)}
    command = [sys.executable, "-c", WRITER, str(path), str(0 if from_outside else lines)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as writer:
        told = [writer.stdout.readline() for _ in range(lines)]
        if from_outside:
            writer.send_signal(signal.SIGKILL)
        told += [line for line in writer.stdout.readlines() if line.endswith(b"\n")]
    assert writer.returncode == -signal.SIGKILL
    return [line.decode().split() for line in told]


def survive(path, kills, seed):
    moments = random.Random(seed)
    orders, fills = set(), set()
    for kill in range(kills):
        for kind, number in run_and_kill(path, moments.randrange(1, 1_000), from_outside=kill % 3 == 0):
            (orders if kind == "o" else fills).add(int(number))
        kept_orders, _ = Reader(path).since("orders", 0, limit=10**9)
        kept_fills, _ = Reader(path).since("fills", 0, limit=10**9)
        meant = [make.order(row[0]) for row in kept_orders]
        assert [(row[0], *row[2:]) for row in kept_orders] == meant
        filled = {row[3] for row in kept_fills}
        assert sorted(row[2:] for row in kept_fills) == sorted(make.fill(f"t{i}", i) for i in filled)
        assert orders <= {row[0] for row in kept_orders}, "an acknowledged intent is lost"
        assert fills <= filled, "an acknowledged fill is lost"
    assert len(orders) > kills
    with Journal.open(path, run={}) as journal:
        assert journal.run == kills + 1


def test_nothing_acknowledged_is_lost_when_the_writer_is_killed(tmp_path):
    survive(tmp_path / "run.db", kills=12, seed=1)


@pytest.mark.kill
@pytest.mark.parametrize("seed", range(2, 12))
def test_nothing_acknowledged_is_lost_over_two_hundred_kills(tmp_path, seed):
    survive(tmp_path / "run.db", kills=20, seed=seed)
