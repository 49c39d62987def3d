"""The indicators that the conformance suite looks at, and the candles that it looks at them with."""

import numpy as np
from indicators.own import Adaptive, Momentum, Odd, Words, middle, momentum
from numpy.typing import NDArray

from pairsim.indicators import (
    ATR,
    EMA,
    MACD,
    RSI,
    SMA,
    Bollinger,
    HeikinAshi,
    Highest,
    Indicator,
    Lowest,
    StdDev,
    ZScore,
    indicator,
)

CASES: list[Indicator] = [
    RSI(14),
    RSI(2, source="high"),
    SMA(20),
    SMA(1),
    SMA(300, source="volume"),
    EMA(20),
    EMA(1),
    EMA(100, source="open"),
    ATR(14),
    ATR(1),
    ATR(50),
    MACD(12, 26, 9),
    MACD(1, 2, 1),
    MACD(30, 100, 20, source="high"),
    HeikinAshi(),
    StdDev(20),
    StdDev(2),
    StdDev(700, source="volume"),
    Bollinger(20, 2.0),
    Bollinger(5, 1.5, source="low"),
    ZScore(100),
    ZScore(2),
    Highest(20),
    Highest(1, source="close"),
    Highest(3),
    Highest(150),
    Lowest(20),
    Lowest(2, source="volume"),
    Lowest(33),
]

OWN: list[Indicator] = [
    Momentum(10),
    Adaptive(10),
    Words(2, 0.5, True),
    Odd(3),
    indicator(momentum, lookback=6),
    indicator(middle, lookback=1, exact=True),
]
"""As users write them: compiled, plain Python, and vectorised functions."""

Columns = NDArray[np.float64]


def random_candles(n: int, *, seed: int = 7, level: float = 100.0, sigma: float = 5e-4) -> Columns:
    """float64[5, n]: a geometric random walk, opens at the close before, wicks and volumes at random."""
    random = np.random.default_rng(seed)
    close = level * np.exp(np.cumsum(random.normal(0.0, sigma, n)))
    open_ = np.concatenate([[level], close[:-1]])[:n]
    wick = sigma * close * np.abs(random.normal(0.0, 1.0, (2, n)))
    high, low = np.maximum(open_, close) + wick[0], np.minimum(open_, close) - wick[1]
    return np.stack([open_, high, low, close, random.lognormal(0.0, 1.0, n)])


def batch(indicator: Indicator, columns: Columns) -> NDArray[np.float64]:
    """All outputs, float64[n, fields], of the whole columns at once."""
    out = np.full((columns.shape[1], len(indicator.fields)), -1e99)
    indicator.batch_into(list(columns), out)
    return out
