"""What the notebook's views cost in a real JupyterLab with Debian's Chromium: a row for each load, as a markdown table.

    python benchmarks/notebook.py [--seconds 20] [--only table]

Each load runs ten times a second from a plain thread of the kernel. Kernel and browser are measured from outside by
their processor time, bytes as they reach the page's socket with all that Jupyter adds, latency from the kernel's clock
to the end of the drawing, and to the animation frame after it, the first that can show it. "First" counts from run-all
to the first drawing, "reload" from when a reloaded page has its kernel until all stands there again.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from browser.lab import READY, Lab, Tab
from chromium import chromium

_VIEWS = """
import os, threading, time, numpy as np
from IPython.display import display
from pairsim.notebook.views import CandleView, Column, LineView, TableView, TilesView, together

T0 = time.time_ns()
random = np.random.default_rng(7)
running = threading.Event()
open("kernel.pid", "w").write(str(os.getpid()))

def every_100_ms(step):
    running.set()
    def run():
        due = time.monotonic()
        while running.is_set():
            step()
            due += 0.1
            time.sleep(max(0.0, due - time.monotonic()))
    threading.Thread(target=run, daemon=True).start()

def step(parts):
    with together():
        for part in parts:
            part.step()

class Chart:
    def __init__(self, series, points=10_000):
        self.k = series
        self.view = LineView([f"trader {i}" for i in range(series)], title="Equity", window=points)
        self.last = np.full(series, 1e5)
        self.view.reset(T0 - np.arange(points)[::-1] * 10_000_000, self.walk(points))
    def walk(self, n):
        values = self.last + np.cumsum(random.normal(0, 1, (n, self.k)), axis=0)
        self.last = values[-1]
        return values
    def step(self):
        self.view.append(time.time_ns() - np.arange(10)[::-1] * 10_000_000, self.walk(10))
        self.view.flush()

STATES = ["SUBMITTED", "PARTIALLY_FILLED", "FILLED", "CANCELED", "DENIED"]
class Orders:
    def __init__(self, rows=5_000):
        texts = [Column(name) for name in ("order", "market", "trader", "type", "reason")]
        numbers = [Column(name, "number") for name in ("quantity", "price", "filled", "fee")]
        columns = [Column("time", "time"), *texts, Column("side", "side"), *numbers, Column("status", "status")]
        self.view, self.next = TableView(columns, key="order", title="Orders", limit=rows), 0
        self.view.reset([self.row(self.new()) for _ in range(rows)])
    def new(self):
        self.next += 1
        return self.next
    def row(self, i):
        market = f"M{i % 100}/USDT"
        texts = f"1-{i % 100}-{i}", market, f"trader {i % 20}", "MARKET", ""
        numbers = 0.25 + i % 7, 60_000.5 + i % 1_000, 0.25, 1.25
        return (T0 + i * 1_000_000, *texts, "BUY" if i % 2 else "SELL", *numbers, STATES[random.integers(5)])
    def step(self):
        changed = [self.next - int(i) for i in random.integers(0, 400, 40)] + [self.new() for _ in range(10)]
        self.view.upsert([self.row(i) for i in changed])
        self.view.flush()

class Candles:
    def __init__(self, count=2_000):
        self.view, self.at, self.close = CandleView(title="BTC/USDT 1s"), T0 // 10**9 * 10**9, 60_000.0
        rows = [self.candle() for _ in range(count)]
        times = self.at + np.arange(-count, 0) * 10**9
        lines = {"sma": ("price", [row[3] for row in rows]), "rsi": ("rsi", random.normal(50, 9, count))}
        self.view.reset(times, rows, lines)
        self.steps = 0
    def candle(self):
        open_, self.close = self.close, self.close + random.normal(0, 10)
        return [open_, max(open_, self.close) + 3, min(open_, self.close) - 3, self.close, 1.0]
    def step(self):
        self.steps += 1
        at = self.at + self.steps // 10 * 10**9
        self.view.append([at], [self.candle()], {"sma": [self.close], "rsi": [50.0]})
        if self.steps % 20 == 0:
            self.view.mark([(at, self.close, 1 if self.steps % 40 else -1, "0.5")])
        self.view.flush()

class Tiles:
    def __init__(self):
        self.view = TilesView()
    def step(self):
        names = "equity", "PnL", "orders", "fills", "cash"
        self.view.update({name: (float(random.normal()), "USDT", "") for name in names})
        self.view.flush()
"""

_LOADS = {
    "chart, 1 series × 10,000": "parts = [Chart(1)]",
    "chart, 20 series × 10,000": "parts = [Chart(20)]",
    "chart, 100 series × 4,000": "parts = [Chart(100, 4_000)]",
    "table, 5,000 rows, 50 changes": "parts = [Orders()]",
    "candles, 2,000": "parts = [Candles()]",
    "chart of 20 and table": "parts = [Chart(20), Orders()]",
    "chart of 20, table, candles, tiles": "parts = [Tiles(), Chart(20), Candles(), Orders()]",
}
_SHOW = "for part in parts: display(part.view)"
_BEGIN = "every_100_ms(lambda: step(parts))"

_COUNT = """() => {
    window.frames_seen = 0; window.delays = []; window.shown = [];
    const beat = () => { window.frames_seen++; window.beating = requestAnimationFrame(beat); };
    beat();
    window.watcher = new MutationObserver((all) => {
        for (const { target, attributeName } of all)
            if (attributeName === "data-latency") {
                const [drawn, at] = [Number(target.dataset.latency), performance.now()];
                window.delays.push(drawn);
                requestAnimationFrame(() => window.shown.push(drawn + performance.now() - at));
            }
    });
    for (const el of document.querySelectorAll(".pairsim")) window.watcher.observe(el, { attributes: true });
}"""
_COUNTED = """() => {
    cancelAnimationFrame(window.beating); window.watcher.disconnect();
    return [window.frames_seen, window.delays, window.shown];
}"""
_DRAWN = "() => [...document.querySelectorAll('.pairsim')].map((el) => +el.dataset.drawn)"


class Sockets:
    """Sizes of the messages with changes that reach the page."""

    def __init__(self, page: Any) -> None:
        self.sizes: list[int] = []
        page.on("websocket", lambda socket: socket.on("framereceived", self._frame))

    def _frame(self, payload: bytes | str) -> None:
        data = payload if isinstance(payload, bytes) else payload.encode()
        if b'"what":"change"' in data:
            self.sizes.append(len(data))


def _cpu(processes: list[psutil.Process]) -> float:
    total = 0.0
    for process in processes:
        try:
            used = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += used.user + used.system
    return total


def _browser_processes() -> list[psutil.Process]:
    return [p for p in psutil.Process().children(recursive=True) if "chrom" in p.name()]


def _heap(page: Any) -> float:
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    session.send("Performance.enable")
    metrics = {metric["name"]: metric["value"] for metric in session.send("Performance.getMetrics")["metrics"]}
    return metrics["JSHeapUsedSize"] / 1e6


def _drawn(page: Any, count: int) -> float:
    """Seconds until so many views have drawn something."""
    begun = time.perf_counter()
    page.wait_for_function(
        "(n) => [...document.querySelectorAll('.pairsim')].filter((el) => el.dataset.drawn).length >= n",
        arg=count,
        polling=10,
    )
    return time.perf_counter() - begun


def _blocked(tab: Tab) -> int:
    """Updates that reach the page while a cell computes for two seconds; twenty are due."""
    sequence = "() => Number(document.querySelector('.pairsim').dataset.sequence)"
    tab.start_cell("end = time.monotonic() + 2.5\nwhile time.monotonic() < end: sum(range(1000))")
    tab.page.wait_for_timeout(200)
    before = tab.page.evaluate(sequence)
    tab.page.wait_for_timeout(2_000)
    seen: int = tab.page.evaluate(sequence) - before
    tab.page.wait_for_timeout(1_000)
    return seen


def _reloaded(tab: Tab, views: int) -> float:
    """Seconds from a reloaded page's having its kernel until it shows all views."""
    tab.command("docmanager:save")
    tab.page.reload(wait_until="domcontentloaded")
    tab.page.wait_for_function("window.jupyterapp !== undefined", timeout=60_000)
    tab.page.evaluate(READY, tab.path)
    return _drawn(tab.page, views)


def _measure(opened: Any, lab: Lab, name: str, load: str, seconds: float) -> dict[str, str]:
    context = opened.new_context(viewport={"width": 1400, "height": 1600})
    page = context.new_page()
    sockets = Sockets(page)
    tab = Tab(page, lab, lab.put(f"load-{len(name)}.ipynb", [f"from loads import *\n{load}", _SHOW])).open()
    views = load.count("(")
    begun = time.perf_counter()
    tab.run_all()
    _drawn(page, views)
    first = time.perf_counter() - begun
    kernel = [psutil.Process(int((lab.notebooks / "kernel.pid").read_text()))]
    idle, _ = _rates(page, 3.0, kernel, [])
    tab.run(_BEGIN)
    page.wait_for_timeout(2_000)
    sockets.sizes.clear()
    heap, memory, before = _heap(page), kernel[0].memory_info().rss / 1e6, page.evaluate(_DRAWN)
    page.evaluate(_COUNT)
    used, browsed = _rates(page, seconds, kernel, _browser_processes())
    (frames, delays, shown), after = page.evaluate(_COUNTED), page.evaluate(_DRAWN)
    grown, kept = _heap(page) - heap, kernel[0].memory_info().rss / 1e6 - memory
    blocked = _blocked(tab)
    whole = _reloaded(tab, views)
    tab.run("running.clear()")
    context.close()
    drawn, seen = (" / ".join(f"{sorted(ms)[int(len(ms) * q)]:.0f}" for q in (0.5, 0.95)) for ms in (delays, shown))
    return {
        "load": name,
        "first": f"{first:.1f} s",
        "kernel CPU": f"{100 * used:.1f} % (idle {100 * idle:.1f})",
        "bytes an update": f"{statistics.median(sockets.sizes):,.0f}",
        "latency p50 / p95, drawn": f"{drawn} ms",
        "shown": f"{seen} ms",
        "drawn a second": f"{min(b - a for a, b in zip(before, after)) / seconds:.1f}",
        "page frames a second": f"{frames / seconds:.0f}",
        "browser CPU": f"{100 * browsed:.0f} %",
        "JS heap": f"{heap:.0f} MB ({grown:+.1f})",
        "kernel memory": f"{memory:.0f} MB ({kept:+.1f})",
        "updates in a 2 s cell": f"{blocked} of 20",
        "reload": f"{whole:.1f} s",
    }


def _rates(page: Any, seconds: float, *groups: list[psutil.Process]) -> list[float]:
    """Share of a core that each group of processes uses."""
    at, before = time.perf_counter(), [_cpu(group) for group in groups]
    page.wait_for_timeout(seconds * 1000)
    took = time.perf_counter() - at
    return [(_cpu(group) - used) / took for group, used in zip(groups, before)]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--only", default="")
    given = parser.parse_args()
    os.environ.setdefault("JUPYTER_PLATFORM_DIRS", "1")
    import ipykernel

    load = os.getloadavg()[0]
    print(f"ipykernel {ipykernel.__version__}, load {load:.1f}, {given.seconds:.0f} s each, ten updates a second\n")
    headed = False
    with tempfile.TemporaryDirectory() as folder, chromium() as opened:
        lab = Lab(Path(folder), "benchmark")
        (lab.notebooks / "loads.py").write_text(_VIEWS)  # a module: a long cell would push the views out of sight
        try:
            for name, load in _LOADS.items():
                if given.only not in name:
                    continue
                row = _measure(opened, lab, name, load, given.seconds)
                if not headed:
                    print(f"| {' | '.join(row)} |\n|---|{'--:|' * (len(row) - 1)}")
                headed = True
                print(f"| {' | '.join(row.values())} |", flush=True)
        finally:
            lab.close()


if __name__ == "__main__":
    main()
