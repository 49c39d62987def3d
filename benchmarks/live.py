"""The live machine measured end to end, each row beside a hand-written numba loop in the same run. Prints a markdown
table.

    python benchmarks/live.py [--quick]

Throughput counts candles from the first to the last one evaluated by the worker, with speed=None; every candle is
evaluated unless the row says otherwise, and the journal is FULL in every row. Timed from outside the machine, by its
own counters.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numba import njit

import pairsim as ps
from pairsim.engine.arena import W_HANDLED, WORKER_WORDS
from pairsim.engine.metrics import Metrics

MARKETS = 1_000


class Dip(ps.Strategy):
    """RSI on every market; with low=0 it never orders."""

    period: int = ps.param(14, 2, 1_000)
    low: float = ps.param(0.0, 0.0, 100.0)

    def indicators(self):
        return {"rsi": ps.RSI(self.period)}

    def generate_signal(self, ctx):
        if ctx.rsi < self.low:
            return ps.buy(quantity=1e-6)
        return None


class Metronome(ps.Strategy):
    """RSI as above, and an order in about ``every`` evaluations, whatever the position."""

    every: int = ps.param(1_000, 1, 1_000_000)

    def indicators(self):
        return {"rsi": ps.RSI(14)}

    def generate_signal(self, ctx):
        if int(ctx.close * 1e7) % self.every == 0 and ctx.rsi > 0.0:
            return ps.buy(quantity=1e-6)
        return None


class PlainDip(Dip):
    """The same in plain Python: numba cannot compile a set."""

    def generate_signal(self, ctx):
        if ctx.rsi < self.low and ctx.index in {-1}:
            return ps.buy(quantity=1e-6)
        return None


@njit
def hand_written(candles, markets, period):
    """What the machine does at least: make a candle, advance its market's Wilder RSI, compare."""
    last, gain, loss = np.full(markets, 100.0), np.zeros(markets), np.zeros(markets)
    x, hits = np.int64(88172645463325252), 0
    for i in range(candles):
        m = i % markets
        x ^= x << 13
        x ^= (x >> 7) & 0x1FFFFFFFFFFFFFF
        x ^= x << 17
        close = last[m] * (1.0 + (((x >> 11) & 0x1FFFFFFFFFFFFF) / 9007199254740992.0 - 0.5) * 0.002)
        change = close - last[m]
        last[m] = close
        gain[m] += (max(change, 0.0) - gain[m]) / period
        loss[m] += (max(-change, 0.0) - loss[m]) / period
        if 100.0 * gain[m] < 0.0 * (gain[m] + loss[m]):
            hits += 1
    return hits


def throughput(
    strategy: ps.Strategy, candles: int, every: str | None = None, markets: int = MARKETS
) -> tuple[float, int, float]:
    """(M candles/s, orders, orders/s) of one run."""
    traders = [ps.Trader(f"M{i}/USDT", strategy, every=every) for i in range(markets)]
    feed = ps.RandomFeed(tick="1s", speed=None, seed=1, n=candles // markets, start="2025-01-01")
    engine = ps.Engine(traders, feed, ps.SimBroker(), cash=1e9, workers=1)
    with engine:
        engine.wait(0)
        mem, arena = engine._mem, engine._arena
        assert mem is not None and arena is not None
        cells = [arena.worker_cells + w * WORKER_WORDS + W_HANDLED for w in range(arena.workers)]
        first, begin = sum(int(mem[c]) for c in cells), time.perf_counter()
        while (done := sum(int(mem[c]) for c in cells)) < candles and engine.status.state == "running":
            time.sleep(0.001)
        seconds = time.perf_counter() - begin
        engine.wait(60)
        orders = engine.status.orders
    return (done - first) / seconds / 1e6, orders, orders / seconds


def latency(pin: bool, seconds: float) -> Metrics:
    """Metrics at 100,000 candles a second, 100 markets in bursts of a millisecond, an order in about 1,000 candles."""
    traders = [ps.Trader(f"M{i}/USDT", Metronome()) for i in range(100)]
    feed = ps.RandomFeed(tick="1ms", speed=1.0, seed=1, start="2025-01-01")
    engine = ps.Engine(traders, feed, ps.SimBroker(), cash=1e9, workers=1, pin=pin)
    with engine:
        engine.wait(seconds)
        return engine.metrics


def start_and_idle(seconds: float) -> tuple[float, float, float]:
    """(seconds from start() to the first candle evaluated, share of a core idle, MB of a worker)."""
    traders = [ps.Trader(s, ps.strategies.RSI(), every="1s") for s in ("SUI/USDT", "SOL/USDT", "BTC/USDT")]
    engine = ps.Engine(traders, ps.RandomFeed(tick="100ms", seed=1), workers=2)
    begin = time.perf_counter()
    with engine:
        while engine.status.state in ("created", "starting") or engine.metrics.evaluated == 0:
            time.sleep(0.005)
        first = time.perf_counter() - begin
        assert engine._process is not None
        pids = _family(engine._process.pid)
        before, moment = sum(_cpu(p) for p in pids), time.perf_counter()
        time.sleep(seconds)
        idle = (sum(_cpu(p) for p in pids) - before) / (time.perf_counter() - moment)
        memory = max(_memory(p) for p in pids if "worker" in _name(p))
    return first, idle, memory


def _family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(p for c in children for p in _family(int(c)))]


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory(pid: int) -> float:
    line = next(x for x in Path(f"/proc/{pid}/status").read_text().splitlines() if x.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def _name(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text()


def main() -> None:
    """Run every row and print the tables."""
    cli = argparse.ArgumentParser(description=__doc__)
    cli.add_argument("--quick", action="store_true", help="a tenth of the candles, one run a row")
    quick = cli.parse_args().quick
    runs, scale = (1, 10) if quick else (3, 1)
    load = os.getloadavg()[0]
    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python "
        f"{platform.python_version()}, load {load:.1f}, {datetime.now(UTC):%Y-%m-%d}\n"
    )
    hand_written(1_000, MARKETS, 14)
    rows = [
        ("no orders, decides every 5th candle", Dip(), "5s", 30_000_000, "≥ 20 M"),
        ("no orders, decides every candle", Dip(), None, 20_000_000, "≥ 20 M"),
        ("an order per 1,000", Metronome(every=1_000), None, 10_000_000, "≥ 10 M"),
        ("an order per 50", Metronome(every=50), None, 1_000_000, "≥ 0.75 M"),
        ("plain Python, one worker", PlainDip(), None, 2_000_000, "≥ 0.8 M"),
    ]
    print(
        "| live, 1,000 markets | M candles/s (median, min-max) | orders/s | hand-written loop, same "
        "run | goal |\n|---|--:|--:|--:|--:|"
    )
    for name, strategy, every, candles, goal in rows:
        found = [throughput(strategy, candles // scale, every) for _ in range(runs)]
        begin = time.perf_counter()
        hand_written(candles, MARKETS, 14)
        limit = candles / (time.perf_counter() - begin) / 1e6
        rates = sorted(f[0] for f in found)
        rate = statistics.median(f[2] for f in found)
        print(
            f"| {name} | {statistics.median(rates):.2f} ({rates[0]:.2f}-{rates[-1]:.2f}) | "
            f"{rate:,.0f} | {limit:.0f} | {goal} |",
            flush=True,
        )
    print(
        "\n| 100,000 candles/s, an order per 1,000 | tick to order | order to durable | order to "
        "fill |\n|---|--:|--:|--:|"
    )
    for pin in (True, False):
        m = latency(pin, 3 if quick else 10)
        print(
            f"| {'pinned' if pin else 'unpinned'} | {m.tick_to_order} | {m.order_to_durable} | {m.order_to_fill} |",
            flush=True,
        )
    first, idle, memory = start_and_idle(2 if quick else 10)
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import pairsim"], check=True)
    imported = time.perf_counter() - begin
    print("\n| what | measured | goal |\n|---|--:|--:|")
    print(
        f"| start() to first candle evaluated, warm cache | {first:.2f} s | ≤ 2.5 s |\n| engine of "
        f"three traders at 100 ms ticks | {100 * idle:.2f} % of a core | ≤ 1 % |"
    )
    print(
        f"| resident memory of a worker | {memory:.0f} MB | ≤ 200 MB |\n| python -c 'import pairsim' "
        f"| {imported:.2f} s | ≤ 0.5 s |"
    )


if __name__ == "__main__":
    main()
