"""The kernels against naive loops, and against what other backtesters give on the same candles."""

import numpy as np
import pytest
from research.workload import Cross, bars, candles, naive_cross, naive_rsi

import pairsim as ps


def _fills(result: ps.Result) -> list[tuple[int, float, float]]:
    frame = result.fills
    sides = [1 if side == "BUY" else -1 for side in frame["side"]]
    return list(zip(sides, frame["quantity"], frame["price"], strict=True))


@pytest.mark.parametrize("seed", range(5))
def test_crossover_trades_as_a_naive_loop_does(seed: int) -> None:
    data = candles(5_000, seed)
    naive = naive_cross(data, 7, 19, 1e6)
    result = ps.backtest(Cross(fast=7, slow=19), bars(5_000, seed), cash=1e6)
    assert _fills(result) == [fill[1:] for fill in naive.fills]
    np.testing.assert_allclose(result.equity["equity"], naive.equity, rtol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_all_in_on_rsi_trades_as_a_naive_loop_does(seed: int) -> None:
    data = candles(20_000, seed)
    naive = naive_rsi(data, 14, 30.0, 70.0, 1e8)
    result = ps.backtest(ps.strategies.RSI(weight=1.0), bars(20_000, seed), cash=1e8)
    assert [fill[0] for fill in _fills(result)] == [fill[1] for fill in naive.fills]
    # In log equity: thousands of orders of 0.1 % each leave little of any account, and a lot of 1e-8 counts for more.
    np.testing.assert_allclose(np.log(result.equity["equity"]), np.log(naive.equity), rtol=0, atol=1e-9)


def test_the_common_workloads_end_as_in_other_backtesters() -> None:
    whole = bars(1_000_000)
    cross = ps.backtest(Cross(), whole, cash=1e10)
    assert len(cross.orders) == 39_169
    assert cross.final_equity == pytest.approx(9_999_996_622.5, abs=0.1)
    all_in = ps.backtest(ps.strategies.RSI(weight=1.0), whole, cash=1e10)
    assert len(all_in.fills) == 6_926
    assert all_in.final_equity == pytest.approx(13_055_951.375, rel=1e-9)
    naive = naive_rsi(candles(1_000_000), 14, 30.0, 70.0, 1e10)
    assert len(naive.fills) == 6_926
    assert all_in.final_equity == pytest.approx(naive.equity[-1], rel=1e-9)
