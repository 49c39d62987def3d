"""``pin=True``: orders on the first core, workers on the others, and a paced feed beside the first worker."""

import os
from pathlib import Path

import pytest

import pairsim as ps


def cores_of(pid: int) -> list[set[int]]:
    """The cores that each thread of a process may use."""
    return [os.sched_getaffinity(int(task.name)) for task in Path(f"/proc/{pid}/task").iterdir()]


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2, reason="pinning needs Linux and two cores"
)
@pytest.mark.parametrize(("speed", "beside"), [(1.0, 1), (None, 0)])
def test_a_paced_feed_stands_beside_the_first_worker_and_an_unpaced_one_has_a_core(speed, beside) -> None:
    trader = ps.Trader("A/USDT", ps.strategies.RSI())
    with ps.Engine([trader], ps.RandomFeed("10ms", speed=speed, seed=1), workers=1, pin=True) as engine:
        engine.wait(0)
        host = engine._process.pid
        (zygote,) = children(host)
        (worker,) = children(zygote)
        (where,) = cores_of(worker)
        threads = cores_of(host)
        assert len(where) == 1
        assert threads.count(where) == beside
        first = {min(os.sched_getaffinity(0))}
        assert threads.count(first) >= 3, "gate, order engine and journal"
