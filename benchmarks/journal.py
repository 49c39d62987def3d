"""How fast the journal makes rows durable: grouped rows, single commits, and whole orders at 128 in flight.

Run on the disk that matters: ``python benchmarks/journal.py --folder .`` (a tmpfs flatters). Prints markdown. Every
row is ``synchronous=FULL``; the plain loop is stdlib sqlite3 without threads or waiting tasks: what the disk gives.
"""

import argparse
import asyncio
import contextlib
import datetime
import os
import platform
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from pairsim.store import Journal, schema

IN_FLIGHT = 128
PACE = 10_000
TRADERS = 100
EPOCH = 1_700_000_000_000_000_000


def order(i: int) -> tuple[object, ...]:
    trader, n = i % TRADERS, i // TRADERS
    seen = (0.0, 0.0, 0.0, 100_000.123 + i, 100_001.5 + i, i)
    return (
        *(i, f"1-{n}-{trader}-0", EPOCH + i * 1_000, time.time_ns(), trader, trader, 1, 0, 25_000_000_000 + i),
        *(None, None, None, n, 0, None, *seen, None, None),
    )


def fill(i: int) -> tuple[object, ...]:
    money = (25_000_000_000 + i, 101.25 + i, 1_234_567_890_123 + i, 123_456 + i)
    return (f"1-{i}", i, EPOCH + i * 1_000, time.time_ns(), i % TRADERS, i % TRADERS, 1, *money, 0, 0)


@contextlib.contextmanager
def journal(folder: Path) -> Iterator[Journal]:
    with tempfile.TemporaryDirectory(dir=folder) as run, Journal.open(Path(run) / "bench.db", run={}) as opened:
        yield opened


def plain_rows(folder: Path, rows: int, group: int) -> float:
    """The twin: one statement a row through executemany, one transaction a group."""
    with tempfile.TemporaryDirectory(dir=folder) as run:
        connection = sqlite3.connect(Path(run) / "plain.db", isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        for statement in schema.statements():
            connection.execute(statement)
        sql = schema.insert("orders", 1, 1)
        made = [order(i) for i in range(1, rows + 1)]
        began = time.perf_counter()
        for start in range(0, rows, group):
            connection.execute("BEGIN")
            connection.executemany(sql, made[start : start + group])
            connection.execute("COMMIT")
        took = time.perf_counter() - began
        connection.close()
    return rows / took


def grouped_rows(folder: Path, rows: int, group: int) -> float:
    made = [order(i) for i in range(1, rows + 1)]
    with journal(folder) as opened:
        began = time.perf_counter()
        for start in range(0, rows, group):
            opened.append("orders", made[start : start + group])
            opened.flush()
        return rows / (time.perf_counter() - began)


class Orders:
    """A task per order: intent, wait until durable, fill, wait until durable. Latencies in ns."""

    def __init__(self, opened: Journal) -> None:
        self.journal = opened
        self.tasks: set[asyncio.Task[None]] = set()
        self.intent: list[int] = []
        self.both: list[int] = []

    def start(self, i: int) -> None:
        task = asyncio.get_running_loop().create_task(self._one(i))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _one(self, i: int) -> None:
        began = time.perf_counter_ns()
        self.journal.append("orders", (order(i),))
        await self.journal.durable()
        self.intent.append(time.perf_counter_ns() - began)
        self.journal.append("fills", (fill(i),))
        await self.journal.durable()
        self.both.append(time.perf_counter_ns() - began)


async def closed_loop(orders: Orders, count: int) -> float:
    began = time.perf_counter()
    for i in range(1, count + 1):
        while len(orders.tasks) >= IN_FLIGHT:
            await asyncio.wait(orders.tasks, return_when=asyncio.FIRST_COMPLETED)
        orders.start(i)
    await asyncio.gather(*orders.tasks)
    return count / (time.perf_counter() - began)


async def paced(orders: Orders, count: int) -> float:
    began = time.perf_counter()
    started = 0
    while started < count:
        due = min(count, int((time.perf_counter() - began) * PACE))
        for i in range(started + 1, due + 1):
            orders.start(i)
        started = due
        await asyncio.sleep(0.0005)
    await asyncio.gather(*orders.tasks)
    return count / (time.perf_counter() - began)


def quantiles(values: list[int]) -> str:
    ordered = sorted(values)
    return f"{ordered[len(ordered) // 2] / 1e6:.2f} / {ordered[int(len(ordered) * 0.99)] / 1e6:.2f}"


def line(*cells: str) -> None:
    print("| " + " | ".join(cells) + " |", flush=True)


def best_and_median(values: list[float]) -> str:
    ordered = sorted(values)
    return f"{ordered[len(ordered) // 2]:,.0f} (best {ordered[-1]:,.0f})"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--folder", type=Path, default=Path.cwd(), help="where the stores are made")
    options.add_argument("--orders", type=int, default=50_000)
    options.add_argument("--repeats", type=int, default=3)
    chosen = options.parse_args()
    folder, count, repeats = chosen.folder, chosen.orders, chosen.repeats

    today = datetime.datetime.now(datetime.UTC).date()
    print(f"{today}, {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, ", end="")
    print(f"SQLite {sqlite3.sqlite_version}: `python {' '.join(sys.argv)}`\n")
    line("journal, synchronous=FULL", "rate, median", "p50 / p99 ms")
    line("---", "---:", "---:")

    for group in (64, 256, 1_024):
        rows = count // group * group
        plain = [plain_rows(folder, rows, group) for _ in range(repeats)]
        line(f"plain sqlite3 loop, order rows in groups of {group}", f"{best_and_median(plain)} rows/s", "")
        ours = [grouped_rows(folder, rows, group) for _ in range(repeats)]
        line(f"order rows in groups of {group}, each waited for", f"{best_and_median(ours)} rows/s", "")

    rates, latencies = [], ""
    for _ in range(repeats):
        with journal(folder) as opened:
            began = time.perf_counter()
            for i in range(1, 2_001):
                opened.append("orders", (order(i),))
                opened.flush()
            rates.append(2_000 / (time.perf_counter() - began))
            stats = opened.stats()
            latencies = f"{stats.commit_p50_ns / 1e6:.2f} / {stats.commit_p99_ns / 1e6:.2f} (COMMIT)"
    line("one by one", f"{best_and_median(rates)} commits/s", latencies)

    for name, drive in ((f"orders, {IN_FLIGHT} in flight", closed_loop), (f"orders, paced at {PACE:,}/s", paced)):
        rates, intent, both = [], list[int](), list[int]()
        for _ in range(repeats):
            with journal(folder) as opened:
                orders = Orders(opened)
                rates.append(asyncio.run(drive(orders, count)))
                intent += orders.intent
                both += orders.both
                stats = opened.stats()
        line(f"{name}: intent durable", f"{best_and_median(rates)} orders/s", quantiles(intent))
        line(f"{name}: intent and fill durable", f"{stats.rows / stats.commits:.0f} rows a commit", quantiles(both))


if __name__ == "__main__":
    main()
