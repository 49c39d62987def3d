"""The indicators that the conformance suite looks at, and the candles that it looks at them with."""

import numpy as np
from numpy.typing import NDArray

from pairsim.indicators import EMA, RSI, SMA, HeikinAshi, Indicator

CASES: list[Indicator] = [
    RSI(14),
    RSI(2, source="high"),
    SMA(20),
    SMA(1),
    SMA(300, source="volume"),
    EMA(20),
    EMA(1),
    EMA(100, source="open"),
    HeikinAshi(),
]

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
