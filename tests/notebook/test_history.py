"""Equity and PnL in bounded memory, and PnL by trader from fills and what is known of prices."""

import numpy as np

from pairsim.notebook.history import Fills, History, profit_over_time


def test_a_short_run_is_kept_whole() -> None:
    history = History(2, capacity=8)
    for k in range(8):
        history.add(10 * (k + 1), [k, -k])
    time, values = history.points()
    assert time.tolist() == [10, 20, 30, 40, 50, 60, 70, 80]
    assert values[:, 1].tolist() == [0, -1, -2, -3, -4, -5, -6, -7]


def test_a_long_run_is_thinned_evenly_and_spans_it_whole() -> None:
    history = History(1, capacity=8)
    for k in range(1, 1_001):
        history.add(k, [k])
    time, values = history.points()
    assert 4 <= len(time) <= 8
    assert time[0] <= 256
    assert time[-1] > 1_000 - 256
    assert len(set(np.diff(time).tolist())) == 1
    assert values[:, 0].tolist() == time.tolist()


def test_a_past_is_filled_in_and_its_newest_point_kept() -> None:
    history = History(1, capacity=8)
    history.fill(np.arange(1, 1_002), np.arange(1, 1_002, dtype=float)[:, None])
    assert history.last_time == 1_001
    assert len(history.points()[0]) <= 4
    history.add(2_000, [5.0])
    assert history.last_time == 2_000


def test_an_empty_past_is_no_point() -> None:
    history = History(3)
    history.fill(np.zeros(0, np.int64), np.zeros((0, 3)))
    assert history.last_time == 0
    assert history.points()[1].shape == (0, 3)


def test_pnl_over_time_equals_a_ledger_kept_step_by_step() -> None:
    rng = np.random.default_rng(5)
    n, traders, markets = 300, 4, 3
    time = np.sort(rng.integers(0, 200, n))
    fills = Fills(
        time, rng.integers(0, traders, n), rng.integers(0, markets, n), rng.normal(size=n), rng.uniform(50, 150, n),
        rng.uniform(0, 1, n),
    )  # fmt: skip
    closes = {m: (np.arange(80, 200, 7), rng.uniform(50, 150, 18)) for m in (0, 2)}  # of one market none is kept
    at = np.arange(-3, 210, 2)
    found = profit_over_time(at, fills, closes, traders)
    cash, held, price = np.zeros(traders), np.zeros((traders, markets)), np.zeros(markets)
    for k, moment in enumerate(range(-3, 210)):
        for m, (closed, prices) in closes.items():
            for p in prices[closed == moment]:
                price[m] = p
        for t, m, q, p, fee in zip(*(column[fills.time == moment] for column in fills[1:]), strict=True):
            cash[t] -= q * p + fee
            held[t, m] += q
            price[m] = p
        if k % 2 == 0:
            assert np.allclose(found[k // 2], cash + held @ price)


def test_pnl_moves_between_two_fills_where_candles_are_kept() -> None:
    fills = Fills(*(np.array(column) for column in ([10, 50], [0, 0], [0, 0], [1.0, -1.0], [100.0, 104.0], [0.5, 0.5])))
    at = np.arange(0, 60, 10)
    found = profit_over_time(at, fills, {0: (np.array([20, 30, 40]), np.array([90.0, 95.0, 101.0]))}, 1)
    assert found[:, 0].tolist() == [0.0, -0.5, -10.5, -5.5, 0.5, 3.0]
    staircase = profit_over_time(at, fills, {}, 1)
    assert staircase[:, 0].tolist() == [0.0, -0.5, -0.5, -0.5, -0.5, 3.0]
