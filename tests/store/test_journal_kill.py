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
WRITER = """
import asyncio, itertools, os, sys
from store import journal_rows as make
from pairsim.store import Journal

async def order(journal, i):
    journal.append("orders", [make.order(i)])
    await journal.durable()
    os.write(1, f"o {i}\\n".encode())
    journal.append("fills", [make.fill(f"t{i}", i)])
    await journal.durable()
    os.write(1, f"f {i}\\n".encode())

async def main(journal):
    tasks = set()
    for i in itertools.count(journal.highest["orders"] + 1):
        tasks.add(asyncio.create_task(order(journal, i)))
        while len(tasks) >= 32:
            _, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)

asyncio.run(main(Journal.open(sys.argv[1], run={})))
"""


def run_and_kill(path, lines):
    """What the writer acknowledged until it was killed, just after ``lines`` lines."""
    environment = {**os.environ, "PYTHONPATH": ":".join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], env=environment, stdout=subprocess.PIPE) as writer:
        told = [writer.stdout.readline() for _ in range(lines)]
        writer.send_signal(signal.SIGKILL)
        told += [line for line in writer.stdout.readlines() if line.endswith(b"\n")]
    assert writer.returncode == -signal.SIGKILL
    return [line.decode().split() for line in told]


def survive(path, kills, seed):
    moments = random.Random(seed)
    orders, fills = set(), set()
    for _ in range(kills):
        for kind, number in run_and_kill(path, moments.randrange(1, 1_500)):
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
    survive(tmp_path / "run.db", kills=6, seed=1)


@pytest.mark.kill
@pytest.mark.timeout(1_800)
def test_nothing_acknowledged_is_lost_over_two_hundred_kills(tmp_path):
    survive(tmp_path / "run.db", kills=200, seed=2)
