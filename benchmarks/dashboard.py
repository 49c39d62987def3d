"""What a dashboard costs, kernel and engine: a real engine in a real JupyterLab with Debian's Chromium.

    python benchmarks/dashboard.py [--seconds 20] [--markets 3 100] [--soak 10 --warm 20]

Kernel and browser are measured from outside by their processor time. "First" counts from run-all of a notebook whose
engine runs already to the first picture. Fills are timed by the engine itself, from an order's publication to its
booked fill, in the same run without a dashboard and with one. ``--soak`` does nothing but watch for so many minutes, as
somebody would who looks on: memory of the page, of the kernel and of the run's processes, and the updates that came. It
begins after ``--warm`` minutes: the kernel keeps 10,000 points a chart, 5,000 orders and 1,000 fills a market and grows
until these are full.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from browser.lab import READY, Lab, Tab
from chromium import chromium

_ENGINE = """
import os
import pairsim as ps, polars as pl

strategy = ps.strategies.Simple(fast=2, slow=5, weight=0.5 / {markets})
traders = [ps.Trader(f"M{{k:03}}/USDT", strategy, every="1s") for k in range({markets})]
feed = ps.RandomFeed(tick="100ms", speed={speed}, seed=7)
engine = ps.Engine(traders, feed, ps.SimBroker(latency="20ms"), workers=1)
engine.start()
engine.wait(2)
open("kernel.pid", "w").write(str(os.getpid()))
open("host.pid", "w").write(str(engine._process.pid))

def fills(seconds):
    # Milliseconds from the intent to the fill, of the orders of the next seconds.
    after = engine.orders["wall_time"].max()
    engine.wait(seconds)
    orders = engine.orders.filter(pl.col("wall_time") > after).select("client_order_id", sent="wall_time")
    took = engine.fills.join(orders, on="client_order_id").select(pl.col("wall_time") - pl.col("sent")).to_series()
    open("fills.txt", "w").write(" ".join(str(ms / 1e3) for ms in took.dt.total_microseconds()))
"""


def _cpu(process: psutil.Process) -> float:
    used = process.cpu_times()
    return used.user + used.system


def _share(page: Any, seconds: float, processes: list[psutil.Process]) -> float:
    """Of a core, in percent."""
    at, before = time.perf_counter(), sum(map(_cpu, processes))
    page.wait_for_timeout(seconds * 1000)
    return 100 * (sum(map(_cpu, processes)) - before) / (time.perf_counter() - at)


def _quantiles(path: Path) -> str:
    took = sorted(map(float, path.read_text().split()))
    if not took:
        return "no fills"
    return f"{took[len(took) // 2]:.1f} / {took[int(len(took) * 0.99)]:.1f} ms ({len(took):,})"


def _heap(page: Any) -> float:
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    session.send("Performance.enable")
    metrics = {metric["name"]: metric["value"] for metric in session.send("Performance.getMetrics")["metrics"]}
    return float(metrics["JSHeapUsedSize"]) / 1e6


def _until_drawn(page: Any) -> float:
    """Seconds until the five views in sight of a dashboard have drawn."""
    begun = time.perf_counter()
    drawn = "() => [...document.querySelectorAll('.pairsim')].filter((el) => el.dataset.drawn).length >= 5"
    page.wait_for_function(drawn, polling=10, timeout=60_000)
    return time.perf_counter() - begun


def _measure(opened: Any, lab: Lab, markets: int, speed: float, given: argparse.Namespace) -> dict[str, str]:
    context = opened.new_context(viewport={"width": 1400, "height": 2_400})
    page = context.new_page()
    tab = Tab(page, lab, lab.put(f"dashboard-{markets}.ipynb", ["dashboard = engine.dashboard()\ndashboard"])).open()
    tab.run(_ENGINE.format(markets=markets, speed=speed))
    kernel = psutil.Process(int((lab.notebooks / "kernel.pid").read_text()))
    if given.soak:
        tab.run_all()
        _until_drawn(page)
        row = _soak(tab, kernel, psutil.Process(int((lab.notebooks / "host.pid").read_text())), given)
        tab.run("engine.stop()")
        context.close()
        return {"traders": str(markets), **row}
    browsers = [p for p in psutil.Process().children(recursive=True) if "chrom" in p.name()]
    row = {"traders": str(markets)}
    idle = _share(page, 3, [kernel])
    tab.run(f"fills({given.seconds})")
    row["order to fill without, p50 / p99"] = _quantiles(lab.notebooks / "fills.txt")
    tab.run_all()
    row["first"] = f"{_until_drawn(page):.1f} s"
    tab.idle()
    page.wait_for_timeout(3_000)
    row["kernel CPU (idle)"] = f"{_share(page, given.seconds, [kernel]):.1f} % ({idle:.1f})"
    row["browser CPU"] = f"{_share(page, given.seconds, browsers):.0f} %"
    tab.run(f"fills({given.seconds})")
    row["order to fill with, p50 / p99"] = _quantiles(lab.notebooks / "fills.txt")
    row["updates in a 2 s cell"] = f"{_in_a_cell(tab)} of 20"
    tab.command("docmanager:save")
    page.reload(wait_until="domcontentloaded")
    page.wait_for_function("window.jupyterapp !== undefined", timeout=60_000)
    page.evaluate(READY, tab.path)
    row["reload"] = f"{_until_drawn(page):.1f} s"
    tab.run("engine.stop()")
    context.close()
    return row


def _in_a_cell(tab: Tab) -> int:
    """Updates of equity that the page shows while a cell computes."""
    tab.start_cell("import time\nend = time.monotonic() + 2.6\nwhile time.monotonic() < end: sum(range(1000))")
    tab.page.wait_for_timeout(300)
    before = tab.shown("lines")
    tab.page.wait_for_timeout(2_000)
    seen = tab.shown("lines") - before
    tab.page.evaluate("window.running.done")
    return seen


def _soak(tab: Tab, kernel: psutil.Process, host: psutil.Process, given: argparse.Namespace) -> dict[str, str]:
    tab.page.wait_for_timeout(60_000 * given.warm)
    minutes = given.soak
    run = [host, *host.children(recursive=True)]
    load, drawn, begun = os.getloadavg()[0], tab.shown("lines"), time.perf_counter()
    seen = [_memory(tab.page, kernel, run)]
    for _ in range(max(1, round(minutes))):
        tab.page.wait_for_timeout(60_000 * minutes / max(1, round(minutes)))
        seen.append(_memory(tab.page, kernel, run))
    took = time.perf_counter() - begun
    row = {"soak": f"{took / 60:.1f} min, load {load:.0f} to {os.getloadavg()[0]:.0f}"}
    for name, values in zip(("page's heap", "kernel", "run's processes"), zip(*seen)):
        row[name] = f"{values[0]:.1f} MB ({values[-1] - values[0]:+.1f}, most {max(values) - values[0]:+.1f})"
    return row | {"updates a second": f"{(tab.shown('lines') - drawn) / took:.1f}"}


def _memory(page: Any, kernel: psutil.Process, run: list[psutil.Process]) -> tuple[float, float, float]:
    """MB of the page's heap, of the kernel, and of the processes of the run that no other process shares."""
    return _heap(page), kernel.memory_info().rss / 1e6, sum(p.memory_full_info().uss for p in run) / 1e6


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--soak", type=float, default=0.0, help="minutes")
    parser.add_argument("--warm", type=float, default=1.0, help="minutes before a soak")
    parser.add_argument("--markets", type=int, nargs="*", default=[3, 100])
    given = parser.parse_args()
    import ipykernel

    print(f"ipykernel {ipykernel.__version__}, load {os.getloadavg()[0]:.1f}, {given.seconds:.0f} s each\n")
    with tempfile.TemporaryDirectory() as folder, chromium() as opened:
        lab = Lab(Path(folder), "benchmark")
        try:
            for k, markets in enumerate(given.markets):
                row = _measure(opened, lab, markets, 10.0 if markets < 20 else 2.0, given)
                if k == 0:
                    print(f"| {' | '.join(row)} |\n|{'--:|' * len(row)}")
                print(f"| {' | '.join(row.values())} |", flush=True)
        finally:
            lab.close()


if __name__ == "__main__":
    main()
