"""pairsim beside vectorbt and backtesting.py: the same candles, the same decisions, in one run. `make bench-peers`

Rule: a time counts only for an equal outcome, so every row asserts orders and final equity before it is timed. What is
timed is what a user of each library writes: indicators, trading, final equity. Runs of the libraries alternate.

    python benchmarks/peers.py [--candles 1000000] [--repeats 5] [--only RSI,…] [--processor-time]

The peers are dependencies of this file alone (benchmarks/peers.lock, an environment of their own).
"""

import argparse
import contextlib
import datetime
import io
import math
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from typing import NamedTuple

import backtesting
import numba
import numpy as np
import pandas as pd
import talib
import vectorbt as vbt
from backtest import MINUTE, Cross, columns, hand_cross, hand_rsi

import pairsim as ps
from pairsim.market.candle import Columns
from pairsim.research import Bars

warnings.filterwarnings("ignore")  # the peers' own

FEE = 0.001
CASH = 1e10
RSI_EQUITY, RSI_ORDERS = 13_055_951.375, 6_926
CROSS_EQUITY, CROSS_ORDERS = 9_999_996_622.5, 39_169
_ROUNDS = 3


class Outcome(NamedTuple):
    """What a library made of a workload."""

    orders: int
    equity: float


class Row(NamedTuple):
    """One workload by one library: how often it is timed, and what runs."""

    library: str
    run: Callable[[], Outcome]
    once: bool = False


# --- the two workloads, by each library ------------------------------------------------------------------------------


def ours(strategy: ps.Strategy, bars: Bars) -> Outcome:
    result = ps.backtest(strategy, bars, cash=CASH, fee_bps=1e4 * FEE)
    return Outcome(len(result._simulation.orders), result.final_equity)


def ours_with_statistics(strategy: ps.Strategy, bars: Bars) -> Outcome:
    result = ps.backtest(strategy, bars, cash=CASH, fee_bps=1e4 * FEE)
    assert result.stats.trades > 0
    return Outcome(len(result._simulation.orders), result.final_equity)


def by_vectorbt(opened: pd.Series, close: pd.Series, entries: pd.Series, exits: pd.Series, size: float) -> Outcome:
    """Decided at a close, filled at the next open."""
    after = {"fill_value": False}
    portfolio = vbt.Portfolio.from_signals(
        close, entries.shift(1, **after), exits.shift(1, **after), price=opened, size=size, init_cash=CASH, fees=FEE,
        freq="1min",
    )  # fmt: skip
    return Outcome(int(portfolio.orders.count()), float(portfolio.value().iloc[-1]))


def cross_by_vectorbt(opened: pd.Series, close: pd.Series) -> Outcome:
    fast, slow = vbt.MA.run(close, 10).ma, vbt.MA.run(close, 30).ma
    return by_vectorbt(opened, close, fast > slow, fast < slow, 1.0)


def rsi_by_vectorbt(opened: pd.Series, close: pd.Series) -> Outcome:
    """With TA-Lib's RSI, which is Wilder's; vectorbt's own is another."""
    value = vbt.talib("RSI").run(close, timeperiod=14).real
    return by_vectorbt(opened, close, value < 30.0, value > 70.0, np.inf)


class CrossPeer(backtesting.Strategy):
    """The crossover as backtesting.py writes it."""

    def init(self) -> None:
        self.fast = self.I(talib.SMA, self.data.Close, 10, plot=False)
        self.slow = self.I(talib.SMA, self.data.Close, 30, plot=False)

    def next(self) -> None:
        if self.fast[-1] > self.slow[-1] and not self.position:
            self.buy(size=1)
        elif self.slow[-1] > self.fast[-1] and self.position:
            self.position.close()


class RsiPeer(backtesting.Strategy):
    """All in on RSI as backtesting.py writes it: whole units only."""

    def init(self) -> None:
        self.value = self.I(talib.RSI, self.data.Close, 14, plot=False)

    def next(self) -> None:
        if self.value[-1] < 30.0 and not self.position:
            self.buy()
        elif self.value[-1] > 70.0 and self.position:
            self.position.close()


def by_backtesting(strategy: type[backtesting.Strategy], frame: pd.DataFrame) -> Outcome:
    with contextlib.redirect_stderr(io.StringIO()):  # its progress bar
        stats = backtesting.Backtest(frame, strategy, cash=CASH, commission=FEE, finalize_trades=False).run()
    open_trades = len(stats._strategy.trades)
    return Outcome(2 * len(stats._trades) + open_trades, float(stats._equity_curve.Equity.iloc[-1]))


def by_hand(loop: Callable[..., tuple[np.ndarray, int]], *arguments: object) -> Outcome:
    equity, orders = loop(*arguments)
    return Outcome(orders, float(equity[-1]))


# --- measuring -------------------------------------------------------------------------------------------------------


def timed(
    rows: list[Row], repeats: int, clock: Callable[[], float] = time.perf_counter
) -> list[tuple[Row, Outcome, float, float]]:
    """(row, outcome, median and least milliseconds): rounds of a few runs of each in turn, the first not counted.

    So all see the same machine, and none pays for the caches and the heap as another one left them.
    """
    outcomes: list[Outcome] = []
    taken: list[list[float]] = [[] for _ in rows]
    for round_ in range(_ROUNDS):
        for row, times in zip(rows, taken, strict=True):
            if row.once and round_ > 0:
                continue
            start = clock()
            outcome = row.run()
            if round_ == 0:
                outcomes.append(outcome)
            if row.once:
                times.append((clock() - start) * 1e3)
                continue
            for _ in range(repeats):
                start = clock()
                row.run()
                times.append((clock() - start) * 1e3)
    return [(r, o, statistics.median(t), min(t)) for r, o, t in zip(rows, outcomes, taken, strict=True)]


def table(
    title: str,
    rows: list[Row],
    repeats: int,
    check: Callable[[str, Outcome], None],
    clock: Callable[[], float] = time.perf_counter,
) -> None:
    """Print one workload as a markdown table; ratios are against pairsim's first row."""
    found = timed(rows, repeats, clock)
    for row, outcome, *_ in found:
        check(row.library, outcome)
    first = found[0][2]
    print(f"\n**{title}**\n\n| | ms, median (best) | × pairsim | orders | final equity |\n|---|--:|--:|--:|--:|")
    for row, outcome, median, best in found:
        times = f"{median:,.1f}" + ("" if row.once else f" ({best:,.1f})")
        print(f"| {row.library} | {times} | {median / first:,.2f} | {outcome.orders:,} | {outcome.equity:,.3f} |")
    sys.stdout.flush()


def close_to(equity: float, orders: int, tolerance: dict[str, float], slack: int = 0) -> Callable[[str, Outcome], None]:
    """A check: so many orders, within ``slack``, and this equity within what is allowed a library, relative."""

    def check(library: str, outcome: Outcome) -> None:
        allowed = next((t for name, t in tolerance.items() if library.startswith(name)), 1e-9)
        assert abs(outcome.orders - orders) <= slack, (library, outcome)
        assert math.isclose(outcome.equity, equity, rel_tol=allowed), (library, outcome)

    return check


def single(n: int, repeats: int, only: str, clock: Callable[[], float]) -> None:
    """The two workloads on one market."""
    data = columns(n)
    bars = Bars(data, MINUTE)
    close = pd.Series(data.close, pd.DatetimeIndex(data.open_time))
    opened = pd.Series(data.open, close.index)
    frame = pd.DataFrame(
        {"Open": data.open, "High": data.high, "Low": data.low, "Close": data.close, "Volume": data.volume}, close.index
    )
    if "SMA" in only:
        # Exact ties of two averages are broken by rounding: a library may differ by one round trip.
        wanted = (CROSS_EQUITY, CROSS_ORDERS) if n == 1_000_000 else tuple(reversed(ours(Cross(), bars)))
        rows = [
            Row("pairsim", lambda: ours(Cross(), bars)),
            Row("pairsim with all statistics", lambda: ours_with_statistics(Cross(), bars)),
            Row("a numba loop by hand", lambda: by_hand(hand_cross, data.open, data.close, 10, 30, CASH, FEE)),
            Row("vectorbt", lambda: cross_by_vectorbt(opened, close)),
            Row("backtesting.py", lambda: by_backtesting(CrossPeer, frame), once=True),
        ]
        table(f"SMA 10/30, {n:,} candles, quantity 1", rows, repeats, close_to(*wanted, {}, slack=2), clock)  # type: ignore[arg-type]
    if "RSI" in only:
        strategy = ps.strategies.RSI(weight=1.0)
        wanted = (RSI_EQUITY, RSI_ORDERS) if n == 1_000_000 else tuple(reversed(ours(strategy, bars)))
        rows = [
            Row("pairsim", lambda: ours(strategy, bars)),
            Row("pairsim with all statistics", lambda: ours_with_statistics(strategy, bars)),
            Row("a numba loop by hand", lambda: by_hand(hand_rsi, data.open, data.close, 14, 30.0, 70.0, CASH, FEE)),
            Row("vectorbt", lambda: rsi_by_vectorbt(opened, close)),
            Row("backtesting.py", lambda: by_backtesting(RsiPeer, frame), once=True),
        ]
        check = close_to(*wanted, {"backtesting": 1e-5})  # type: ignore[arg-type]
        table(f"RSI 14 30/70 all in, {n:,} candles", rows, repeats, check, clock)


# --- cold start ------------------------------------------------------------------------------------------------------

_COLD = {
    "pairsim": "import backtest as r, pairsim as ps; b = r.Bars(r.columns({n}), r.MINUTE); "
    "ps.backtest(r.TypedAgain(), b, cash=1e10).final_equity",
    "vectorbt": "import numpy as np, pandas as pd, vectorbt as vbt; close = pd.Series(100 * np.exp(np.cumsum("
    "np.random.default_rng(1).normal(0, 5e-4, {n})))); value = vbt.RSI.run(close, 14).rsi; "
    "vbt.Portfolio.from_signals(close, value < 30, value > 70, fees=0.001, init_cash=1e10, freq='1min').value()",
}


def cold(n: int, repeats: int) -> None:
    """A fresh process from its start to the end of the first result, without caches and with them."""
    print(f"\n**Fresh process to first RSI result, {n:,} candles**\n")
    print("| | s without caches | s with caches |\n|---|--:|--:|")
    folder = os.path.dirname(os.path.abspath(__file__))
    for library, code in _COLD.items():
        medians = []
        for cached in (False, True):
            taken = []
            with tempfile.TemporaryDirectory() as kept:
                for attempt in range(repeats + cached):
                    with tempfile.TemporaryDirectory() as fresh:
                        environment = {
                            **os.environ, "NUMBA_CACHE_DIR": kept if cached else fresh, "PYTHONPATH": folder
                            + os.pathsep + os.environ.get("PYTHONPATH", ""),
                        }  # fmt: skip
                        start = time.perf_counter()
                        subprocess.run([sys.executable, "-c", code.format(n=n)], env=environment, check=True)
                        if attempt >= cached:
                            taken.append(time.perf_counter() - start)
            medians.append(statistics.median(taken))
        print(f"| {library} | {medians[0]:.2f} | {medians[1]:.2f} |")


def many_markets(markets: int, n: int, repeats: int) -> None:
    """RSI all in, an account for each of many markets."""
    prices = [columns(n, seed) for seed in range(markets)]
    close = pd.DataFrame({k: data.close for k, data in enumerate(prices)}, pd.DatetimeIndex(prices[0].open_time))
    opened = pd.DataFrame({k: data.open for k, data in enumerate(prices)}, close.index)
    names = tuple(f"M{k}/USDT" for k in range(markets))
    stacked = [np.column_stack([data[field] for data in prices]).ravel() for field in range(2, 8)]
    bars = Bars(Columns(names, np.tile(np.arange(markets), n), *stacked), MINUTE)
    strategy = ps.strategies.RSI(weight=1.0)

    def ours_all() -> Outcome:
        found = ps.sweep(strategy, bars, {"symbol": names}, cash=CASH, fee_bps=1e4 * FEE)
        return Outcome(markets, float(found.frame["final_equity"].sum()))

    def vectorbt_all() -> Outcome:
        value = vbt.talib("RSI").run(close, timeperiod=14).real
        value.columns = close.columns
        entries, exits = (value < 30.0).shift(1, fill_value=False), (value > 70.0).shift(1, fill_value=False)
        portfolio = vbt.Portfolio.from_signals(
            close, entries, exits, price=opened, size=np.inf, init_cash=CASH, fees=FEE, freq="1min"
        )
        return Outcome(markets, float(portfolio.final_value().sum()))

    rows = [Row("pairsim (sweep over symbols)", ours_all), Row("vectorbt", vectorbt_all)]
    check = close_to(vectorbt_all().equity, markets, {})
    table(f"{markets:,} markets x {n:,} candles, RSI, an account each", rows, max(3, repeats // 2), check)


def sweep(pairs: int, n: int) -> None:
    """SMA pairs over one market; vectorbt in chunks of columns, as its memory demands."""
    data = columns(n)
    bars = Bars(data, MINUTE)
    side = math.isqrt(pairs)
    fast, slow = list(range(2, 2 + side)), list(range(110, 110 + side))
    close = pd.Series(data.close, pd.DatetimeIndex(data.open_time))

    def ours_all() -> Outcome:
        found = ps.sweep(Cross, bars, {"fast": fast, "slow": slow}, cash=CASH, fee_bps=1e4 * FEE)
        return Outcome(len(found), float(found.frame["final_equity"].sum()))

    def vectorbt_all() -> Outcome:
        averages = {w: vbt.MA.run(close, w).ma.to_numpy() for w in (*fast, *slow)}
        total = 0.0
        for a in fast:  # 100 columns at a time: all at once take 2.2 GB
            above = np.column_stack([averages[a] > averages[b] for b in slow])
            below = np.column_stack([averages[a] < averages[b] for b in slow])
            entries, exits = (np.vstack([np.zeros((1, side), bool), each[:-1]]) for each in (above, below))
            portfolio = vbt.Portfolio.from_signals(
                close, entries, exits, price=data.open[:, None], size=1.0, init_cash=CASH, fees=FEE, freq="1min"
            )
            total += float(portfolio.final_value().sum())
        return Outcome(side * side, total)

    rows = [Row("pairsim", ours_all), Row("vectorbt, 100 columns at a time", vectorbt_all, once=True)]
    table(f"{side * side:,} SMA pairs x {n:,} candles", rows, 3, close_to(vectorbt_all().equity, side * side, {}))
    print(f"\nPeak memory of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--candles", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", default="SMA,RSI,cold,markets,sweep")
    parser.add_argument("--processor-time", action="store_true", help="of one market: on a busy machine")
    options = parser.parse_args()
    now = datetime.datetime.now(datetime.UTC).date()
    peers = ", ".join(f"{name} {version(name)}" for name in ("vectorbt", "backtesting", "TA-Lib"))
    print(f"{now}, {os.cpu_count()} cores, {platform.machine()}, load {os.getloadavg()[0]:.1f}, Python "
          f"{platform.python_version()}, numba {numba.__version__}, {peers}")  # fmt: skip
    clock = time.process_time if options.processor_time else time.perf_counter
    single(options.candles, options.repeats, options.only, clock)
    if "cold" in options.only:
        cold(options.candles, 3)
    if "markets" in options.only:
        many_markets(1_000, 10_000, options.repeats)
    if "sweep" in options.only:
        sweep(10_000, 10_000)


if __name__ == "__main__":
    main()
