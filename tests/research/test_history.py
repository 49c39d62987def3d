"""A history takes its markets apart and never takes one for another."""

import numpy as np
import pytest

import pairsim as ps
from pairsim.market.candle import Columns
from pairsim.research.door import read_bars
from pairsim.research.history import History

MINUTE = 60_000_000_000


def _columns(markets: int, n: int, *, gaps: bool = False) -> Columns:
    frame = ps.synthetic([f"M{k}/USD" for k in range(markets)], "1m", n=n, seed=markets)
    return read_bars(frame.gather(np.flatnonzero(np.arange(len(frame)) % 7 != 3)) if gaps else frame).columns


@pytest.mark.parametrize(("markets", "n", "gaps"), [(3, 1_000, False), (5, 301, False), (4, 500, True)])
def test_each_market_has_its_own_candles(markets: int, n: int, gaps: bool) -> None:
    columns = _columns(markets, n, gaps=gaps)
    history = History(columns, MINUTE)
    for market in range(markets):
        mine = columns.market == market
        series = history.series(market, MINUTE)
        assert np.array_equal(series.opened, columns.open_time[mine])
        for name, price in zip(("open", "high", "low", "close", "volume"), series.prices, strict=True):
            assert np.array_equal(price, getattr(columns, name)[mine])
