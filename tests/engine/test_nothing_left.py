"""However a script ends, nothing of its run is left after two seconds: no process, no shared memory, no socket."""

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from engine.running import CANDLES, ROOT, left_after, marked, titles, until

import pairsim as ps

ENDLESS = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests may have it ignored
class Slow(Dip):
    def generate_signal(self, ctx):
        return super().generate_signal(ctx) if {1} else None

engine = ps.Engine(
    [ps.Trader("BTC/USDT", Dip()), ps.Trader("ETH/USDT", Dip()), ps.Trader("SOL/USDT", Slow())],
    ps.RandomFeed(speed=100.0, seed=1), workers=2,
)
engine.start()
"""
PROMISED = 2.0


class Script:
    """A script in a process of its own, its environment marked."""

    def __init__(self, folder: Path, text: str) -> None:
        self.marker = uuid.uuid4().hex
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PAIRSIM_TEST_MARKER": self.marker, "TMPDIR": str(folder)}
        self.process = subprocess.Popen(
            [sys.executable, "-c", CANDLES + ENDLESS + text],
            cwd=folder, env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def reaches(self, line: str) -> None:
        assert self.process.stdout
        found = self.process.stdout.readline().strip()
        if found != line:
            self.process.kill()
            raise AssertionError(f"{found!r} instead of {line!r}: {self.process.communicate()[1][-2000:]}")

    def others(self) -> list[psutil.Process]:
        return [process for process in marked(self.marker) if process.pid != self.process.pid]


@pytest.fixture
def script(tmp_path) -> Iterator[object]:
    made = []

    def make(text: str) -> Script:
        made.append(Script(tmp_path, text))
        return made[-1]

    yield make
    for one in made:
        one.process.kill()
        one.process.communicate()


def assert_gone(run: list[psutil.Process], script: Script) -> None:
    assert run
    left = titles([*left_after(run, PROMISED), *script.others()])
    for process in script.others():
        process.kill()
    assert left == []


WAIT = "engine.wait(0)\nprint('running', flush=True)\ninput()\n"


def test_names_and_kinship_of_the_processes(script):
    """Attached runs are descendants of their caller, and call themselves what `ps` is asked for."""
    one = script(WAIT)
    one.reaches("running")
    until(lambda: len(one.others()) == 5, "a host, a zygote and three workers")
    names = titles(one.others())
    assert names == ["pairsim-host", "pairsim-worker-0", "pairsim-worker-1", "pairsim-worker-2", "pairsim-zygote"]
    descendants = psutil.Process(one.process.pid).children(recursive=True)
    assert {process.pid for process in descendants} == {process.pid for process in one.others()}


def test_sigkill(script, tmp_path):
    """Nothing of it runs on; its folder stays until the next run begins."""
    one = script(WAIT)
    one.reaches("running")
    run = one.others()
    (folder,) = tmp_path.glob("pairsim-run-*")
    one.process.kill()
    one.process.wait()
    assert_gone(run, one)
    assert folder.is_dir()
    two = script(WAIT)
    two.reaches("running")
    assert not folder.exists()


SELDOM = pytest.mark.soak  # takes the way of one of the others


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=SELDOM)])
def test_a_signal(script, number):
    one = script(WAIT)
    one.reaches("running")
    run = one.others()
    assert len(run) >= 5
    one.process.send_signal(number)
    assert one.process.wait(60) != 0
    assert_gone(run, one)


def test_sigkill_while_it_starts(script):
    one = script("import os\nprint('started', flush=True)\nos.kill(os.getpid(), 9)\n")
    one.reaches("started")
    one.process.wait(60)
    assert left_after(one.others(), PROMISED) == []
    assert one.others() == []


@pytest.mark.parametrize(
    ("end", "status"),
    [
        pytest.param("pass", 0, id="end of the script"),
        pytest.param("raise RuntimeError('mine')", 1, id="an exception"),
        pytest.param("del engine", 0, id="the handle let go", marks=SELDOM),
        pytest.param("import sys; sys.exit(3)", 3, id="sys.exit", marks=SELDOM),
        pytest.param("import os; os._exit(4)", 4, id="os._exit", marks=SELDOM),
        pytest.param("engine.stop()", 0, id="stop", marks=SELDOM),
    ],
)
def test_an_end_of_its_own(script, tmp_path, end, status):
    one = script(f"{WAIT}{end}\n")
    one.reaches("running")
    run = one.others()
    one.process.stdin.write("\n")
    one.process.stdin.flush()
    assert one.process.wait(60) == status
    assert_gone(run, one)
    if end != "import os; os._exit(4)":  # Python ended in order: the temporary folder went too
        assert list(tmp_path.glob("pairsim-run-*")) == []


def test_a_host_that_is_killed_takes_everything_along_and_is_told():
    engine = ps.Engine(ps.Trader("A/USDT", ps.strategies.RSI()), ps.RandomFeed(speed=100.0, seed=1))
    engine.start()
    engine.wait(0)
    until(lambda: engine.status.candles > 0, "candles")
    host = psutil.Process(engine._process.pid)
    run = host.children(recursive=True)  # the host itself is waited for by the engine: two cannot
    host.kill()
    assert left_after(run, PROMISED) == []
    until(lambda: engine.status.state == "failed", "the failure")
    assert "the host process has ended (exit status -9)" in engine.status.error
    assert engine.wait(1) == "failed"
    with pytest.raises(ps.errors.EngineDied, match="what was journalled is kept"):
        engine.pause()
    assert engine.orders.height >= 0
    assert engine.portfolio.equity > 0
    assert engine.metrics.candles > 0
    assert engine["A/USDT"].health.state == "active"
    engine.stop()
    assert engine.status.state == "failed"
