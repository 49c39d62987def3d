"""What an indicator costs over a million closes, beside TA-Lib in the same run.

    python benchmarks/indicators.py [--candles 1000000] [--repeats 41]

Sketch: reading a column and writing another is 0.5 ms for a million values; a recursion costs the latency of a
multiplication and an addition, 7 cycles, unless it is split; a division is 4 cycles. So 0.7 to 3 ms each.

Ours and TA-Lib's calls alternate, so that both see the same machine, and both return fresh arrays. "Output reused" is
what each of many series costs, markets or parameters, where the outputs are there already. "Step" is one candle through
the C function, as a live worker calls it. Compiling is not part of any number.
"""

import argparse
import datetime
import os
import platform
import statistics
import time
from collections.abc import Callable

import numba
import numpy as np
import talib
from numpy.typing import NDArray

import pairsim.indicators as ind
from pairsim.indicators.stream import run_steps

Floats = NDArray[np.float64]


def candles(n: int, seed: int = 42) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """One-minute bars of a geometric random walk: open, high, low, close, volume."""
    random = np.random.default_rng([seed, 0])
    close = np.round(100.0 * np.exp(np.cumsum(random.normal(0.0, 0.0005, n))), 4)
    open_ = np.concatenate([[100.0], close[:-1]])
    wick = 0.0002 * close * np.abs(random.normal(0.0, 1.0, (2, n)))
    return open_, np.maximum(open_, close) + wick[0], np.minimum(open_, close) - wick[1], close, np.ones(n)


def talib_score(close: Floats, period: int) -> Floats:
    """The z-score that a user of TA-Lib would write."""
    return (close - talib.SMA(close, period)) / talib.STDDEV(close, period)


def alternate(repeats: int, *calls: Callable[[], object]) -> list[float]:
    """Median milliseconds of each call, taken in turns; of processor time, so that a busy machine counts less."""
    for call in calls:
        call()
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(repeats):
        for call, taken in zip(calls, times, strict=True):
            start = time.thread_time()
            call()
            taken.append(time.thread_time() - start)
    return [statistics.median(taken) * 1e3 for taken in times]


def step_ns(indicator: ind.Indicator, columns: tuple[Floats, ...], repeats: int) -> float:
    """Nanoseconds of one candle through the C function, the loop that calls it included."""
    table, out = np.stack(columns), np.empty((columns[0].size, len(indicator.fields)))
    constants, window, step = indicator.constants, np.zeros(indicator.window_words), indicator.step_address()
    (taken,) = alternate(repeats, lambda: run_steps(step, 0, constants, indicator.initial_state(), window, table, out))
    return taken * 1e6 / columns[0].size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--candles", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=41)
    arguments = parser.parse_args()
    n, repeats = arguments.candles, arguments.repeats
    columns = candles(n)
    _, high, low, close, _ = columns
    rows: list[tuple[ind.Indicator, Callable[[], object], Callable[[], object]]] = [
        (ind.RSI(14), lambda: ind.rsi(close, 14), lambda: talib.RSI(close, 14)),
        (ind.SMA(20), lambda: ind.sma(close, 20), lambda: talib.SMA(close, 20)),
        (ind.EMA(20), lambda: ind.ema(close, 20), lambda: talib.EMA(close, 20)),
        (ind.ATR(14), lambda: ind.atr(high, low, close, 14), lambda: talib.ATR(high, low, close, 14)),
        (ind.MACD(), lambda: ind.macd(close), lambda: talib.MACD(close)),
        (ind.Bollinger(20), lambda: ind.bollinger(close, 20), lambda: talib.BBANDS(close, 20)),
        (ind.HeikinAshi(), lambda: ind.heikin_ashi(*columns[:4]), lambda: talib.HA(*columns[:4])),
        (ind.ZScore(100), lambda: ind.zscore(close, 100), lambda: talib_score(close, 100)),
        (ind.StdDev(20), lambda: ind.stddev(close, 20), lambda: talib.STDDEV(close, 20)),
        (ind.Highest(20, "close"), lambda: ind.highest(close, 20), lambda: talib.MAX(close, 20)),
        (ind.Lowest(20, "close"), lambda: ind.lowest(close, 20), lambda: talib.MIN(close, 20)),
        (ind.Highest(200, "close"), lambda: ind.highest(close, 200), lambda: talib.MAX(close, 200)),
    ]
    print(f"{n:,} candles, milliseconds of processor time, median of {repeats} calls in turns; below 1 we are faster\n")
    print("| indicator | pairsim | TA-Lib | ratio | output reused | ratio | step, ns |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    for indicator, ours, theirs in rows:
        out = np.empty((len(indicator.fields), n)).T
        kernel = lambda indicator=indicator, out=out: indicator.batch_into(columns, out)  # noqa: E731
        a, b, c = alternate(repeats, ours, theirs, kernel)
        step = step_ns(indicator, columns, max(repeats // 4, 3))
        print(f"| {indicator!r} | {a:.2f} | {b:.2f} | {a / b:.2f} | {c:.2f} | {c / b:.2f} | {step:.0f} |")
    print(
        f"\n{os.cpu_count()} cores ({platform.processor() or platform.machine()}), Python {platform.python_version()}, "
        f"numba {numba.__version__}, numpy {np.__version__}, TA-Lib {talib.__version__}, "
        f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}, python benchmarks/indicators.py"
    )


if __name__ == "__main__":
    main()
