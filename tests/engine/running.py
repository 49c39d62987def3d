"""Driving engines and scripts in tests: every wait is bounded and says what it saw."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

import pairsim as ps

ROOT = Path(__file__).resolve().parents[2]
CANDLES = """
import pairsim as ps

class Dip(ps.Strategy):
    level: float = ps.param(0.0, -1.0, 1.0)
    seen: int = ps.state(0)

    def generate_signal(self, ctx):
        self.seen += 1
        if self.seen % 3 == 1 and ctx.position.quantity == 0:
            return ps.buy(notional=1_000)
        if ctx.position.quantity > 0 and self.seen % 3 == 0:
            return ps.close()

bars = ps.synthetic("BTC/USDT", "1m", n=200, seed=3)
"""


def finish(engine: ps.Engine, seconds: float = 240.0) -> ps.Engine:
    """Wait until the data has ended and every order is settled."""
    state = engine.wait(seconds)
    assert state == "finished", engine.status
    return engine


def until(reached: Callable[[], object], what: str, seconds: float = 60.0) -> None:
    """Wait for something that another process brings about, for longer than any busy machine takes."""
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.002)


def python(
    *arguments: str, text: str | None = None, folder: Path | None = None, environment: dict[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run the interpreter to its end, with the project importable; warnings are errors there too."""
    return subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        input=text,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})},
        capture_output=True,
        text=True,
        timeout=280,
    )


def output_of(done: "subprocess.CompletedProcess[str]") -> str:
    """What a script printed; it must have ended well and said nothing else."""
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert done.stderr == ""
    return done.stdout.strip()


def left_after(processes: list[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Those that have not ended so many seconds later, each second 50 turns of ours: a machine that keeps us waiting
    keeps them waiting too. (Who is dead and not yet reaped has ended: the new parent may be slow.)
    """
    turns = int(seconds * 50)
    while (left := [process for process in processes if _runs(process)]) and turns > 0:
        time.sleep(0.02)
        turns -= 1
    return left


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def marked(marker: str) -> list[psutil.Process]:
    """Every living process with this word in its environment, however far it has strayed from us."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.status() != psutil.STATUS_ZOMBIE and marker in process.environ().values():
                found.append(process)
    return found


def titles(processes: list[psutil.Process]) -> list[str]:
    """What processes call themselves, sorted."""
    found = []
    for process in processes:
        with contextlib.suppress(psutil.Error):
            found.append(" ".join(process.cmdline()).strip())
    return sorted(found)
