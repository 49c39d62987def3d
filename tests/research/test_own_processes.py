"""Processes of our own: what they are handed, what comes back, and what happens when one dies."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest
from engine.running import left_after
from research.workload import bars

import pairsim as ps
from pairsim.research import division
from pairsim.research.own_processes import OwnProcesses


@pytest.fixture
def processes() -> Iterator[OwnProcesses]:
    with OwnProcesses(2) as made:
        yield made


def test_functions_of_this_very_module_come_back_with_their_results(processes: OwnProcesses) -> None:
    offset = 10
    futures = [processes.submit(lambda x: x * x + offset, k) for k in range(20)]
    assert [future.result(60) for future in futures] == [k * k + 10 for k in range(20)]
    big = processes.submit(bytes, 5_000_000)
    assert len(big.result(60)) == 5_000_000


def test_what_a_task_raises_is_raised_and_what_it_prints_does_no_harm(processes: OwnProcesses) -> None:
    def talkative() -> int:
        os.write(1, b"hello\n")
        raise ValueError("no luck")

    with pytest.raises(ValueError, match="no luck"):
        processes.submit(talkative).result(60)
    assert processes.submit(os.getpid).result(60) != os.getpid()


def test_a_process_that_dies_costs_its_task_only(processes: OwnProcesses) -> None:
    with pytest.raises(BrokenPipeError, match="is gone"):
        processes.submit(lambda: os.kill(os.getpid(), signal.SIGKILL)).result(60)
    assert [processes.submit(abs, -k).result(60) for k in range(4)] == [0, 1, 2, 3]


def test_they_end_with_their_caller() -> None:
    code = (
        "import os, sys\n"
        "from pairsim.research.own_processes import OwnProcesses\n"
        "made = OwnProcesses(1)\n"
        "print(made.submit(os.getpid).result(60), flush=True)\n"
        "made.submit(sum, range(10 ** 11))\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, timeout=60)
    worker = int(done.stdout)
    assert left_after([psutil.Process(worker)] if psutil.pid_exists(worker) else [], 2.0) == []


class Plain(ps.Strategy):
    """A line that numba does not compile."""

    level: float = ps.param(30.0, 0.0, 100.0)

    def indicators(self):
        return {"rsi": ps.RSI(14)}

    def generate_signal(self, ctx):
        _ = {"a", "set"}
        if ctx.rsi < self.level and ctx.position.quantity == 0:
            return ps.buy(weight=1.0)
        if ctx.rsi > 60.0 and ctx.position.quantity > 0:
            return ps.close()
        return None


def test_much_plain_python_is_swept_by_processes_and_the_table_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    source, space = bars(1_000), {"level": [20.0, 25.0, 30.0, 35.0]}
    expected = ps.sweep(Plain, source, space).frame
    used = []
    monkeypatch.setattr(division, "_WORTH_PROCESSES", 1)
    monkeypatch.setattr(division, "cores", lambda: 2)
    monkeypatch.setattr(division, "OwnProcesses", lambda count: used.append(count) or OwnProcesses(count))
    assert ps.sweep(Plain, source, space).frame.equals(expected)
    assert used == [2]
