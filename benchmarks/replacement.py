"""A worker is killed: how long until its successor has handled a record. Prints a markdown table.

    python benchmarks/replacement.py [--kills 30]

Timed from outside: from just before the SIGKILL until a counter of one of its traders moves again, which the dead can
move no more. The feed is random and paced, so that there is always a record to handle. "Told" is the part within the
host: from its notice of the death until the successor says that it is ready. The first row is what any replacement
costs at least: a process with nothing in it, forked and heard of.
"""

import argparse
import os
import platform
import select
import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import psutil

import pairsim as ps
from pairsim.engine.arena import W_READY
from pairsim.engine.layout import T_COMMIT


class Dip(ps.Strategy):
    """RSI, an average and a deviation: three indicators to resolve."""

    seen: int = ps.state(0)

    def indicators(self):
        return {"rsi": ps.RSI(14), "mean": ps.EMA(20), "spread": ps.StdDev(10)}

    def generate_signal(self, ctx):
        self.seen += 1
        if ctx.rsi < 20.0 and ctx.close < ctx.mean - 2.0 * ctx.spread and ctx.position.quantity == 0:
            return ps.buy(notional=100)
        return None


class PlainDip(Dip):
    """The same in plain Python: numba cannot compile a set."""

    def generate_signal(self, ctx):
        if ctx.rsi < 20.0 and ctx.index in {-1}:
            return ps.buy(notional=100)
        return None


def named(host: psutil.Process, name: str) -> psutil.Process:
    """The process that calls itself so, as soon as there is one."""
    while True:
        for process in host.children(recursive=True):
            try:
                if process.cmdline()[:1] == [name]:
                    return process
            except (psutil.Error, IndexError):
                continue
        time.sleep(0.001)


def replaced_ms(traders: list[ps.Trader], kills: int) -> tuple[np.ndarray, np.ndarray]:
    """Milliseconds from kill to handled record, and those told by the host."""
    feed = ps.RandomFeed("100ms", speed=100.0, seed=3)
    with ps.Engine(traders, feed, workers=1) as engine:
        engine.wait(1.0)
        mem, arena = engine._mem, engine._arena
        host = psutil.Process(engine._process.pid)
        commits = engine._rows[:, T_COMMIT]
        begun = arena.worker_cells + W_READY
        took = []
        for _ in range(kills):
            life, victim = int(mem[begun]), os.pidfd_open(named(host, "pairsim-worker-0").pid)
            start = time.perf_counter()
            signal.pidfd_send_signal(victim, signal.SIGKILL)
            select.select([victim], [], [])  # it has ended
            os.close(victim)
            dead = mem[commits].copy()
            while np.array_equal(mem[commits], dead):
                time.sleep(0.0002)
            took.append(1e3 * (time.perf_counter() - start))
            while mem[begun] == life:
                time.sleep(0.001)
            time.sleep(0.2)
        told = engine.metrics.replaced_ms
        assert engine.metrics.worker_restarts == kills
    return np.array(took), np.array(told)


def bare_fork_ms(times: int) -> np.ndarray:
    """Fork a child from a small process and hear from it: what no replacement can do without."""
    took = []
    for _ in range(times):
        start = time.perf_counter()
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.write(write, b"!")
            os._exit(0)
        os.read(read, 1)
        took.append(1e3 * (time.perf_counter() - start))
        os.waitpid(pid, 0)
        os.close(read)
        os.close(write)
    return np.array(took)


def line(*cells: str) -> None:
    """A row of the table."""
    print("| " + " | ".join(cells) + " |", flush=True)


def cells(values: np.ndarray) -> tuple[str, str, str]:
    """Median, ninth decile, worst."""
    return f"{np.median(values):.0f}", f"{np.quantile(values, 0.9):.0f}", f"{values.max():.0f}"


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--kills", type=int, default=30)
    kills = options.parse_args().kills
    sys.path.insert(0, str(Path(__file__).parent))
    command = f"python {' '.join([str(Path(sys.argv[0]).name), *sys.argv[1:]])}"
    load = f"load {os.getloadavg()[0]:.1f}"
    print(
        f"{datetime.now(UTC).date()}, {platform.machine()}, {os.cpu_count()} cores, {load}, "
        f"Python {platform.python_version()}: `{command}`\n"
    )
    line("a killed worker, ms until its successor has handled a record", "median", "p90", "worst", "told, median")
    line("---", "---:", "---:", "---:", "---:")
    line("a bare fork, heard of", *cells(bare_fork_ms(kills)), "")
    symbols = [f"M{i}/USDT" for i in range(100)]
    for name, traders in (
        ("3 compiled traders", [ps.Trader(s, Dip()) for s in symbols[:3]]),
        ("100 compiled traders", [ps.Trader(s, Dip()) for s in symbols]),
        ("3 plain-Python traders", [ps.Trader(s, PlainDip()) for s in symbols[:3]]),
    ):
        took, told = replaced_ms(traders, kills)
        line(name, *cells(took), f"{np.median(told):.0f}")


if __name__ == "__main__":
    main()
