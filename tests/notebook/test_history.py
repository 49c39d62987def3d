"""Equity and PnL in bounded memory, and PnL by trader from fills alone."""

import numpy as np

from pairsim.notebook.history import History, profit_over_fills


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


def test_pnl_over_fills_equals_a_ledger_kept_fill_by_fill() -> None:
    rng = np.random.default_rng(5)
    n, traders = 300, 4
    trader, market = rng.integers(0, traders, n), rng.integers(0, 3, n)
    quantity, price, fee = rng.normal(size=n), rng.uniform(50, 150, n), rng.uniform(0, 1, n)
    found = profit_over_fills(trader, market, quantity, price, fee, traders)
    cash, held = np.zeros(traders), np.zeros((traders, 3))
    last = np.zeros((traders, 3))
    for k in range(n):
        t, m = trader[k], market[k]
        cash[t] -= quantity[k] * price[k] + fee[k]
        held[t, m] += quantity[k]
        last[t, m] = price[k]
        assert np.allclose(found[k], cash + (held * last).sum(axis=1))
