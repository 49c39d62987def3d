"""What a backtest costs, beside a loop written by hand for that one workload, in the same run.

    python benchmarks/backtest.py [--candles 1000000] [--repeats 25] [--cold]

Sketch: a million candles are 8 MB a column; a strategy's own loop looks at one in 1 to 2 ns, an indicator computes one
in 1 to 2 ns, marking takes 0.5 ns; an order (sized, checked, matched, booked, logged) about 100 ns, most of it
cache misses: its candle is far from the last one. So 39,169 orders on a million candles are 4 + 2 + 2 + 0.5 ms and what
Python adds, 1 ms.

Ours and the hand-written loop's runs alternate, so both see the same machine; one markdown table, medians, the best
in brackets. `--cold` starts fresh processes: import to first result, without any cache and with one. Other libraries:
`peers.py`.
"""

import argparse
import datetime
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

import numba
import numpy as np

import pairsim as ps
from pairsim.engine.plan import make_plan
from pairsim.market.candle import Columns
from pairsim.research import Bars, History, Prepared, read_bars

MINUTE = 60_000_000_000
START = 1_600_000_020_000_000_000 // MINUTE * MINUTE


class Cross(ps.Strategy):
    """Crossover of two averages, quantity 1."""

    fast: int = ps.param(10, 2, 1000)
    slow: int = ps.param(30, 2, 1000)

    def indicators(self):
        return {"fast": ps.SMA(self.fast), "slow": ps.SMA(self.slow)}

    def generate_signal(self, ctx):
        if ctx.fast > ctx.slow and ctx.position.quantity == 0:
            return ps.buy(1.0)
        if ctx.slow > ctx.fast and ctx.position.quantity > 0:
            return ps.close()
        return None


class TypedAgain(ps.Strategy):
    """The RSI strategy as a user would type it."""

    def indicators(self):
        return {"strength": ps.RSI(14)}

    def generate_signal(self, ctx):
        if ctx.strength < 30.0 and ctx.position.quantity == 0:
            return ps.buy(weight=1.0)
        if ctx.strength > 70.0 and ctx.position.quantity > 0:
            return ps.close()
        return None


class Plain(TypedAgain):
    """The same with a line that numba does not compile."""

    def generate_signal(self, ctx):
        _ = {"a", "set"}
        if ctx.strength < 30.0 and ctx.position.quantity == 0:
            return ps.buy(weight=1.0)
        if ctx.strength > 70.0 and ctx.position.quantity > 0:
            return ps.close()
        return None


def columns(n: int, seed: int = 42) -> Columns:
    """One-minute bars of a geometric random walk, those of the peers' comparison."""
    close = np.round(100.0 * np.exp(np.cumsum(np.random.default_rng([seed, 0]).normal(0.0, 0.0005, n))), 4)
    opened = np.concatenate([[100.0], close[:-1]])
    times = START + np.arange(n) * MINUTE
    prices = opened, np.maximum(opened, close), np.minimum(opened, close), close, np.ones(n)
    return Columns(("BTC/USDT",), np.zeros(n, np.int64), times, *prices)


@numba.njit(cache=True)
def hand_cross(opened, close, fast, slow, cash, fee):
    """The crossover and nothing else."""
    n = len(close)
    equity = np.empty(n)
    a = b = quantity = 0.0
    wanted = orders = 0
    for i in range(n):
        if wanted == 1:
            cash, quantity, orders = cash - opened[i] * (1.0 + fee), 1.0, orders + 1
        elif wanted == 2:
            cash, quantity, orders = cash + opened[i] * (1.0 - fee), 0.0, orders + 1
        wanted = 0
        a += close[i] - (close[i - fast] if i >= fast else 0.0)
        b += close[i] - (close[i - slow] if i >= slow else 0.0)
        equity[i] = cash + quantity * close[i]
        if i >= slow - 1:
            if a * slow > b * fast and quantity == 0.0:
                wanted = 1
            elif b * fast > a * slow and quantity > 0.0:
                wanted = 2
    return equity, orders


@numba.njit(cache=True)
def hand_rsi(opened, close, period, low, high, cash, fee):
    """All in on Wilder's RSI and nothing else."""
    n = len(close)
    equity = np.empty(n)
    up = down = quantity = 0.0
    wanted = orders = 0
    share = 1.0 / period
    for i in range(n):
        if wanted == 1:
            quantity = np.floor(cash / (opened[i] * (1.0 + fee)) * 1e8) / 1e8
            cash, orders = cash - quantity * opened[i] * (1.0 + fee), orders + 1
        elif wanted == 2:
            cash, quantity, orders = cash + quantity * opened[i] * (1.0 - fee), 0.0, orders + 1
        wanted = 0
        equity[i] = cash + quantity * close[i]
        if i == 0:
            continue
        change = close[i] - close[i - 1]
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
    return equity, orders


def alternate(repeats: int, calls: dict[str, Callable[[], object]]) -> dict[str, tuple[float, float]]:
    """(median, best) milliseconds of each call, taken in turns."""
    for call in calls.values():
        call()
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            times[name].append((time.perf_counter() - start) * 1e3)
    return {name: (statistics.median(taken), min(taken)) for name, taken in times.items()}


def show(title: str, found: dict[str, tuple[float, float]], limit: str = "") -> None:
    """Rows of the table; ratios of the best runs are against ``limit`` in the same run."""
    for name, (median, best) in found.items():
        ratio = f"{best / found[limit][1]:.2f}" if limit in found else ""
        print(f"| {title} | {name} | {median:,.2f} ({best:,.2f}) | {ratio} |")


def workload(strategy: ps.Strategy, bars: Bars, hand: Callable[[], object], repeats: int, **more: ps.Strategy) -> None:
    """One strategy: the loop alone, with the door and indicators, with statistics; and the loop written by hand."""
    whole = ps.backtest(strategy, bars, cash=1e10)
    title = f"{type(strategy).__name__}, {len(whole.orders):,} orders, equity {whole.final_equity:,.3f}"
    plan = make_plan([ps.Trader("BTC/USDT", strategy)], bars.interval_ns, markets=("BTC/USDT",))
    prepared = Prepared(plan, History(bars.columns, bars.interval_ns), ps.SimBroker(), 1e10)
    frame = bars.frame()
    calls: dict[str, Callable[[], object]] = {
        "by hand": hand,
        "loop alone (indicators known)": prepared.run,
        "backtest: fills and equity": lambda: ps.backtest(strategy, bars, cash=1e10),
        "backtest: the same from a polars frame": lambda: ps.backtest(strategy, frame, cash=1e10),
        "backtest with all statistics": lambda: ps.backtest(strategy, bars, cash=1e10).stats,
    }
    for name, other in more.items():
        calls[f"backtest: {name}"] = lambda other=other: ps.backtest(other, bars, cash=1e10)
    show(title, alternate(repeats, calls), "by hand")


def scaling(repeats: int) -> None:
    """Linear in candles and in markets."""
    found = {}
    for n in (10_000, 100_000, 1_000_000):
        bars = Bars(columns(n), MINUTE)
        found |= alternate(repeats, {f"{n:,} candles": lambda bars=bars: ps.backtest(Cross(), bars, cash=1e10)})
    show("one market, by candles", found)
    found, strategy = {}, ps.strategies.RSI(weight=0.01)
    for markets in (1, 10, 100):
        frame = ps.synthetic([f"M{k}/USDT" for k in range(markets)], "1m", n=10_000, seed=1)
        bars = read_bars(frame)
        name = f"{markets} markets x 10,000 candles, one account"
        call = {name: lambda bars=bars: ps.backtest(strategy, bars, cash=1e7)}
        found |= alternate(max(3, repeats // 5), call)
    show("markets on one shared account", found)


def others(bars: Bars, repeats: int) -> None:
    """Plain Python, the causality check, the figure."""
    n = min(200_000, len(bars.columns.open_time))
    part = Bars(Columns(bars.columns.symbols, *(column[:n] for column in bars.columns[1:])), MINUTE)
    found = alternate(3, {"plain": lambda: ps.backtest(Plain(), part, cash=1e10)})
    show(f"plain Python, {n:,} candles", {f"{found['plain'][0] / n * 1e3:.2f} µs a candle": found["plain"]})

    def whole_array(close):
        return np.convolve(close, np.ones(20) / 20.0)[: close.size]

    class Follow(ps.Strategy):
        def indicators(self):
            return {"line": ps.indicator(whole_array, lookback=20)}

        def generate_signal(self, ctx):
            if ctx.close > ctx.line and ctx.position.quantity == 0:
                return ps.buy(1.0)
            if ctx.close < ctx.line and ctx.position.quantity > 0:
                return ps.close()
            return None

    checked = {
        "without the causality check": lambda: ps.backtest(Follow(), bars, cash=1e10, causality=False),
        "with it": lambda: ps.backtest(Follow(), bars, cash=1e10),
    }
    show("a whole-array indicator", alternate(max(3, repeats // 3), checked), "without the causality check")
    result = ps.backtest(Cross(), bars, cash=1e10)
    found = alternate(3, {"plot": result.plot, "orders frame": lambda: ps.backtest(Cross(), bars, cash=1e10).orders})
    show("figure and frames", found)


_COLD = """
import time; start = time.perf_counter()
import sys; sys.path.insert(0, {folder!r})
import backtest
imported = time.perf_counter()
bars = backtest.Bars(backtest.columns({n}), backtest.MINUTE)
made = time.perf_counter()
backtest.ps.backtest(backtest.TypedAgain(), bars, cash=1e10).final_equity
print((imported - start) * 1e3, (time.perf_counter() - made) * 1e3)
"""


def cold(n: int, repeats: int) -> None:
    """Import to first result in fresh processes."""
    code = _COLD.format(folder=os.path.dirname(os.path.abspath(__file__)), n=n)
    found = {}
    for name in ("without any cache", "with caches"):
        taken = []
        with tempfile.TemporaryDirectory() as kept:
            for attempt in range(repeats + 1):
                with tempfile.TemporaryDirectory() as fresh:
                    folder = fresh if name == "without any cache" else kept
                    done = subprocess.run(
                        [sys.executable, "-c", code], env={**os.environ, "NUMBA_CACHE_DIR": folder}, text=True,
                        capture_output=True, check=True,
                    )  # fmt: skip
                    if attempt > 0:
                        taken.append([float(x) for x in done.stdout.split()])
        totals = [sum(pair) for pair in taken]
        found[f"import and first result, {name}"] = (statistics.median(totals), min(totals))
    show(f"fresh process, {n:,} candles", found)


def edited(bars: Bars) -> None:
    """A strategy cell edited: the next result on the same history."""
    found = []
    for k in range(5):
        source = (
            "class Edited(ps.Strategy):\n"
            "    def indicators(self):\n        return {'rsi': ps.RSI(14)}\n"
            "    def generate_signal(self, ctx):\n"
            f"        if ctx.rsi < {20 + k}.0 + {time.time_ns() % 97} * 1e-9 and ctx.position.quantity == 0:\n"
            "            return ps.buy(weight=1.0)\n"
            "        if ctx.rsi > 70.0 and ctx.position.quantity > 0:\n            return ps.close()\n"
        )
        names: dict[str, object] = {"ps": ps, "__name__": "cell"}
        start = time.perf_counter()
        exec(source, names)
        strategy = names["Edited"]
        assert callable(strategy)
        ps.backtest(strategy(), bars, cash=1e10)
        found.append((time.perf_counter() - start) * 1e3)
    show("a cell edited", {"to the next result": (statistics.median(found), min(found))})


def dragged(bars: Bars, repeats: int) -> None:
    """A drag of the explorer's slider: trading, statistics, picture, without a page."""
    panel = ps.explore(Cross, bars, cash=1e10)
    slider = panel._controls.by_name["fast"]

    def drag() -> None:
        slider.value = 10 + (slider.value - 9) % 10
        _ = panel.result

    show("ps.explore", alternate(repeats, {"a drag, from slider to picture sent": drag}))
    panel.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--candles", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=25)
    parser.add_argument("--cold", action="store_true", help="fresh processes too")
    options = parser.parse_args()
    now = datetime.datetime.now(datetime.UTC).date()
    print(
        f"{now}, {os.cpu_count()} cores, {platform.machine()}, load {os.getloadavg()[0]:.1f}, numba {numba.__version__}"
    )
    print("\n| workload | | ms, median (best) | × the loop by hand |\n|---|---|--:|--:|")
    bars = Bars(columns(options.candles), MINUTE)
    data = bars.columns
    workload(Cross(), bars, lambda: hand_cross(data.open, data.close, 10, 30, 1e10, 0.001), options.repeats)
    rsi = ps.strategies.RSI(weight=1.0)
    typed = {"the same typed by a user": TypedAgain()}
    workload(rsi, bars, lambda: hand_rsi(data.open, data.close, 14, 30.0, 70.0, 1e10, 0.001), options.repeats, **typed)
    others(bars, options.repeats)
    edited(bars)
    dragged(bars, options.repeats)
    scaling(options.repeats)
    if options.cold:
        cold(options.candles, 5)


if __name__ == "__main__":
    main()
