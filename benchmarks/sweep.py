"""What a sweep costs, beside loops written by hand for those workloads, in the same run; prints markdown.

    python benchmarks/sweep.py [--repeats 9] [--quick]

Sketch: 10,000 combinations on 10,000 candles are 1e8 candles. A strategy's own loop looks at one in 0.5 ns, marking
takes 0.3 and drawdown 0.4; an order (sized, checked, matched, booked, logged) 100 ns. A combination of 74 orders is
then 12 + 7 + a fixed 4 µs, so 10,000 of them 0.12 s on two quiet cores.

Peers trade the same workloads in ``benchmarks/peers.py``. Ours and the loops by hand alternate; medians, the best in
brackets. Memory is the peak of a fresh process that does the work once, less that of one that only imports.
"""

import argparse
import datetime
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
from backtest import MINUTE, START, Cross, Plain, columns

import pairsim as ps
from pairsim.market.candle import Columns
from pairsim.research import Bars

CASH = 1e10
FEW = {"fast": range(5, 105), "slow": range(110, 310, 2)}
MANY = {"fast": range(2, 102), "slow": range(2, 102)}


# --- by hand --------------------------------------------------------------------------------------------------------


@numba.njit(cache=True, nogil=True, error_model="numpy")
def hand_averages(close, periods):
    """Simple averages, NaN while warming."""
    out = np.full((len(periods), len(close)), np.nan)
    for k in range(len(periods)):
        total, n = 0.0, periods[k]
        for i in range(len(close)):
            total += close[i] - (close[i - n] if i >= n else 0.0)
            if i >= n - 1:
                out[k, i] = total / n
    return out


@numba.njit(cache=True, nogil=True, error_model="numpy")
def hand_cross(opened, close, averages, pairs, first, last, cash, fee, day, out):
    """Crossovers with quantity 1: final equity and the Sharpe ratio of days, nothing else."""
    n = len(close)
    for p in range(first, last):
        fast, slow = averages[pairs[p, 0]], averages[pairs[p, 1]]
        money, held, before, total, squares, days = cash, False, cash, 0.0, 0.0, 0
        for i in range(n):
            if i > 0:
                if fast[i - 1] > slow[i - 1] and not held:
                    money, held = money - opened[i] * (1.0 + fee), True
                elif slow[i - 1] > fast[i - 1] and held:
                    money, held = money + opened[i] * (1.0 - fee), False
            if (i + 1) % day == 0 or i == n - 1:
                level = money + (close[i] if held else 0.0)
                change = level / before - 1.0
                total, squares, days, before = total + change, squares + change * change, days + 1, level
        mean = total / days
        out[p, 0], out[p, 1] = before, mean / np.sqrt((squares - days * mean * mean) / (days - 1))


def cross_by_hand(data: Columns, space: dict[str, range]) -> np.ndarray:
    """All pairs on all cores."""
    periods = np.unique([*space["fast"], *space["slow"]])
    at = {period: k for k, period in enumerate(periods.tolist())}
    pairs = np.array([(at[f], at[s]) for f in space["fast"] for s in space["slow"]])
    averages, out = hand_averages(data.close, periods), np.empty((len(pairs), 2))
    cores = os.cpu_count() or 1
    cuts = np.linspace(0, len(pairs), 4 * cores + 1).astype(int)
    with ThreadPoolExecutor(cores) as threads:
        list(
            threads.map(
                lambda a, b: hand_cross(data.open, data.close, averages, pairs, a, b, CASH, 0.001, 1440, out),
                cuts[:-1], cuts[1:],
            )
        )  # fmt: skip
    return out


@numba.njit(cache=True, nogil=True, error_model="numpy")
def hand_rsi(opened, close, period, low, high, cash, fee, first, last, out):
    """All in on Wilder's RSI, market by market (float64[markets, n]): final equity and nothing else."""
    for m in range(first, last):
        up = down = quantity = 0.0
        money, wanted, share = cash, 0, 1.0 / period
        for i in range(close.shape[1]):
            if wanted == 1:
                quantity = np.floor(money / (opened[m, i] * (1.0 + fee)) * 1e8) / 1e8
                money -= quantity * opened[m, i] * (1.0 + fee)
            elif wanted == 2:
                money, quantity = money + quantity * opened[m, i] * (1.0 - fee), 0.0
            wanted = 0
            if i == 0:
                continue
            change = close[m, i] - close[m, i - 1]
            gain, loss = max(change, 0.0), max(-change, 0.0)
            if i <= period:
                up, down = up + gain * share, down + loss * share
            else:
                up, down = up + (gain - up) * share, down + (loss - down) * share
            if i >= period:
                if 100.0 * up < low * (up + down) and quantity == 0.0:
                    wanted = 1
                elif 100.0 * up > high * (up + down) and quantity > 0.0:
                    wanted = 2
        out[m] = money + quantity * close[m, -1]


def panel(markets: int, n: int) -> Bars:
    """Random walks of many markets, sorted by time."""
    each = [columns(n, seed) for seed in range(markets)]
    names = tuple(f"M{k}/USDT" for k in range(markets))
    market, times = np.tile(np.arange(markets), n), np.repeat(START + np.arange(n) * MINUTE, markets)
    prices = [np.stack([getattr(one, name) for one in each], axis=1).ravel() for name in Columns._fields[3:]]
    return Bars(Columns(names, market, times, *prices), MINUTE)


def rsi_by_hand(opened: np.ndarray, close: np.ndarray) -> np.ndarray:
    """All markets on all cores; the columns are split already."""
    cores, out = os.cpu_count() or 1, np.empty(len(close))
    cuts = np.linspace(0, len(close), 4 * cores + 1).astype(int)
    with ThreadPoolExecutor(cores) as threads:
        list(
            threads.map(
                lambda a, b: hand_rsi(opened, close, 14, 30.0, 70.0, CASH, 0.001, a, b, out), cuts[:-1], cuts[1:]
            )
        )
    return out


# --- measuring ------------------------------------------------------------------------------------------------------


def alternate(repeats: int, calls: dict[str, Callable[[], object]]) -> dict[str, list[float]]:
    """Seconds of each call, taken in turns after one that is not counted; beside its name, "cpu": of the processor."""
    for call in calls.values():
        call()
    taken: dict[str, list[float]] = {name: [] for each in calls for name in (each, f"{each} cpu")}
    for _ in range(repeats):
        for name, call in calls.items():
            start, busy = time.perf_counter(), time.process_time()
            call()
            taken[name].append(time.perf_counter() - start)
            taken[f"{name} cpu"].append(time.process_time() - busy)
    return taken


def told(seconds: list[float]) -> str:
    """Median and best, in ms."""
    return f"{1e3 * statistics.median(seconds):,.0f} ({1e3 * min(seconds):,.0f})"


_MEMORY = """
import resource, sys
sys.path.insert(0, {folder!r})
import sweep
{work}
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def peak(work: str) -> float:
    """Peak memory of a fresh process that does some work, in MB."""
    code = _MEMORY.format(folder=os.path.dirname(os.path.abspath(__file__)), work=work)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


# --- workloads ------------------------------------------------------------------------------------------------------


def crossovers(repeats: int) -> None:
    """10,000 pairs of averages."""
    bars = Bars(columns(10_000), MINUTE)
    before = peak("sweep.Bars(sweep.columns(10_000), sweep.MINUTE)")
    for name, space in (("few", FEW), ("many", MANY)):
        table = ps.sweep(Cross, bars, space, cash=CASH)
        hand = cross_by_hand(bars.columns, space)
        away = np.abs(table.frame["final_equity"].to_numpy() - hand[:, 0])
        assert np.median(away) < 1e-3, "the loop by hand trades something else"
        taken = alternate(
            repeats, {"ours": lambda space=space: ps.sweep(Cross, bars, space, cash=CASH),
                      "hand": lambda space=space: cross_by_hand(bars.columns, space)},
        )  # fmt: skip
        start = time.perf_counter()
        assert table.best
        judged = time.perf_counter() - start
        memory = peak(
            "bars = sweep.Bars(sweep.columns(10_000), sweep.MINUTE)\n"
            f"sweep.ps.sweep(sweep.Cross, bars, sweep.{name.upper()}, cash=1e10)"
        )
        ratio = min(taken["ours"]) / min(taken["hand"])
        print(
            f"| {len(table):,} pairs x 10,000 candles, {table.frame['orders'].mean():.0f} orders each "
            f"| {told(taken['ours'])} | {told(taken['ours cpu'])} | {told(taken['hand'])} | {ratio:.1f} "
            f"| {memory - before:.0f} | 300 ms, 400 MB |"
        )
        print(f"| … its judgement (deflated Sharpe, overfitting), once | {1e3 * judged:,.0f} | | | | | |")


def markets(repeats: int) -> None:
    """1,000 markets, an account each, and one account for all."""
    bars = panel(1_000, 10_000)
    names, strategy = list(bars.columns.symbols), ps.strategies.RSI(weight=1.0)

    def ours() -> ps.Sweep:
        return ps.sweep(strategy, bars, {"symbol": names}, cash=CASH)

    start = time.perf_counter()
    table = ours()
    first = time.perf_counter() - start
    split = [bars.history.series(k, MINUTE) for k in range(len(names))]
    opened, close = (np.stack([series.prices[k] for series in split]) for k in (0, 3))
    away = np.abs(table.frame["final_equity"].to_numpy() / rsi_by_hand(opened, close) - 1.0)
    assert away.max() < 1e-9, "the loop by hand trades something else"
    taken = alternate(repeats, {"ours": ours, "hand": lambda: rsi_by_hand(opened, close)})
    ratio = min(taken["ours"]) / min(taken["hand"])
    orders = table.frame["orders"].mean()
    print(
        f"| 1,000 markets x 10,000 candles, RSI all-in, an account each, {orders:.0f} orders each "
        f"| {told(taken['ours'])} | {told(taken['ours cpu'])} | {told(taken['hand'])} | {ratio:.1f} | | 60 ms |"
    )
    print(f"| … the first time, candles split by market | {1e3 * first:,.0f} | | | | | |")
    one = alternate(1, {"one": lambda: ps.backtest(ps.strategies.RSI(weight=0.001), bars, cash=CASH)})
    print(
        f"| … all on one shared account (a backtest, weight 0.001, one core) | {told(one['one'])} "
        f"| {told(one['one cpu'])} | | | | |"
    )


def growth(repeats: int) -> None:
    """Linear in candles and in combinations; plain Python."""
    for n, count in ((10_000, 1_000), (20_000, 1_000), (40_000, 1_000), (10_000, 2_000), (10_000, 4_000)):
        bars, space = Bars(columns(n), MINUTE), {"fast": range(5, 5 + count // 50), "slow": range(110, 210, 2)}
        taken = alternate(repeats, {"": lambda bars=bars, space=space: ps.sweep(Cross, bars, space, cash=CASH)})
        each = min(taken[" cpu"]) / n / count * 1e9
        print(
            f"| {count:,} pairs x {n:,} candles, {each:.2f} ns of a processor a candle "
            f"| {told(taken[''])} | {told(taken[' cpu'])} | | | | linear |"
        )
    n, levels = 50_000, 100
    bars, found = Bars(columns(n), MINUTE), {}
    space = {"period": range(5, 5 + levels)}

    class Slow(Plain):
        period: int = ps.param(14, 2, 200)

    found = alternate(1, {"": lambda: ps.sweep(Slow, bars, space, cash=CASH, progress=False)})[""]
    each = min(found) / n / levels * 1e9
    print(f"| plain Python, {levels} combinations x {n:,} candles, {each:.0f} ns a candle | {told(found)} | | | | | |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--quick", action="store_true", help="the crossovers only")
    options = parser.parse_args()
    load = f", load {os.getloadavg()[0]:.1f} at the start" if hasattr(os, "getloadavg") else ""
    now = datetime.datetime.now(datetime.UTC).date()
    print(
        f"{now}, {platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python "
        f"{platform.python_version()}, numba {numba.__version__}{load}\n"
    )
    print(
        "| workload | ms, median (best) | processor ms | by hand, ms | ratio of bests | peak MB more | goal |\n"
        "|---|--:|--:|--:|--:|--:|---|"
    )
    crossovers(options.repeats)
    if not options.quick:
        markets(options.repeats)
        growth(max(3, options.repeats // 3))


if __name__ == "__main__":
    main()
