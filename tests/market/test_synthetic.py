"""Synthetic data: deterministic, one stream per market, and with the statistics it claims."""

import numpy as np
import polars as pl
import pytest

from pairsim.errors import InputError
from pairsim.market import load, quality, to_columns
from pairsim.market.assets import start_price
from pairsim.market.synthetic import synthetic
from pairsim.market.walk import EXPONENTIAL, NORMAL, Walk

PINNED_FIRST = (60000.0, 60021.87896139932, 59985.017404241815, 60000.11397352502, 0.8252263225229839)
PINNED_LAST = 61564.42069565002


def test_the_same_arguments_give_the_same_candles():
    assert synthetic("A/B", "1m", n=1_000, seed=7).equals(synthetic("A/B", "1m", n=1_000, seed=7))
    assert not synthetic("A/B", "1m", n=1_000, seed=7).equals(synthetic("A/B", "1m", n=1_000, seed=8))


def test_the_candles_of_a_seed_are_the_same_on_every_machine_and_in_every_version():
    frame = synthetic("BTC/USDT", "1m", n=1_000, seed=7)
    assert frame.row(0)[2:] == pytest.approx(PINNED_FIRST, rel=1e-12)
    assert frame["close"][-1] == pytest.approx(PINNED_LAST, rel=1e-12)


def test_adding_a_market_or_more_candles_changes_none_of_the_others():
    alone = synthetic("A/B", "1m", n=500, seed=3)
    both = synthetic(["C/D", "A/B"], "1m", n=700, seed=3)
    assert both.filter(pl.col("symbol") == "A/B")[:500].equals(alone)


def test_what_is_made_is_good_data_without_gaps_sorted_by_time():
    frame = synthetic(["A/B", "C/D", "E/F"], "5s", n=5_000, seed=2)
    assert load(frame).equals(frame)
    assert (quality(frame).gaps, quality(frame).interval_ns) == (0, 5 * 10**9)
    assert frame["timestamp"].is_sorted() and frame["volume"].min() >= 0.0
    assert to_columns(frame).market[:6].tolist() == [0, 1, 2, 0, 1, 2]


def test_each_candle_opens_where_the_last_one_closed():
    frame = synthetic("A/B", "1m", n=1_000)
    assert frame["open"][1:].equals(frame["close"][:-1])


def test_days_count_candles_and_the_start_is_floored_to_the_interval():
    frame = synthetic("A/B", "1h", days=2, start="2024-05-05 10:30")
    assert len(frame) == 48 and str(frame["timestamp"][0]) == "2024-05-05 10:00:00+00:00"
    assert len(synthetic("A/B", "1d")) == 30


@pytest.mark.parametrize("interval", ["1m", "1d"])
def test_volatility_kurtosis_and_range_are_those_of_the_walk(interval):
    """The tables are exact in variance, so four standard errors of 200,000 draws are the limits."""
    n = 200_000
    frame = synthetic("A/B", interval, n=n, seed=11, volatility=0.3, start="1700-01-01")
    step = 0.3 * np.sqrt({"1m": 1 / (365 * 1_440), "1d": 1 / 365}[interval])
    moves = np.log(frame["close"] / frame["open"]).to_numpy() / step
    assert abs(moves.std() - 1.0) < 4 / np.sqrt(2 * n)
    assert abs(moves.mean() + step / 2) < 4 / np.sqrt(n)
    assert abs(((moves - moves.mean()) ** 4).mean() - 3.0) < 4 * np.sqrt(24 / n)
    assert abs(np.corrcoef(moves[1:], moves[:-1])[0, 1]) < 4 / np.sqrt(n)
    spread = np.log(frame["high"] / frame["low"]).to_numpy() / step
    assert spread.mean() == pytest.approx(np.sqrt(8 / np.pi), rel=0.01)  # a Brownian path's mean range


def test_two_markets_are_not_correlated():
    frame = synthetic(["A/B", "C/D"], "1m", n=100_000, seed=1)
    moves = np.log(frame["close"] / frame["open"]).to_numpy().reshape(-1, 2)
    assert abs(np.corrcoef(moves.T)[0, 1]) < 4 / np.sqrt(100_000)


def test_the_tables_have_variance_and_mean_of_one():
    a, b = NORMAL[:-1], NORMAL[1:]
    assert np.mean((a * a + a * b + b * b) / 3) == pytest.approx(1.0, abs=1e-12)
    assert np.mean((EXPONENTIAL[:-1] + EXPONENTIAL[1:]) / 2) == pytest.approx(1.0, abs=1e-12)
    assert np.all(np.diff(NORMAL) > 0) and np.all(np.diff(EXPONENTIAL) > 0)


def test_candles_before_the_start_join_it_and_do_not_depend_on_how_many_there_are():
    walk = Walk(["A/B", "C/D"], 10, 1_000, 5, 0.6)
    long, short, live = walk.backward(300), walk.backward(40), walk.forward(2)
    assert np.array_equal(long[-80:], short)
    assert np.array_equal(short["close"][-2:], live["open"][:2])
    assert short["open_time"][-1] == 990 and np.all(np.diff(long["open_time"]) >= 0)
    assert np.array_equal(long["open"][2:], long["close"][:-2])


def test_cutting_a_path_into_batches_changes_nothing():
    whole = Walk(["A/B", "C/D"], 10, 0, 5, 0.6).forward(100)
    walk = Walk(["A/B", "C/D"], 10, 0, 5, 0.6)
    assert np.array_equal(np.concatenate([walk.forward(k) for k in (1, 9, 40, 50)]), whole)


def test_known_assets_start_near_their_price_and_others_by_their_name():
    assert start_price("BTC/USDT") == 60_000.0 and start_price("ETH/BTC") == pytest.approx(0.05)
    assert start_price("QQQ/USDT") == start_price("QQQ/USD") != start_price("QQR/USDT")
    assert 0.1 <= start_price("QQQ/USDT") <= 320


def test_no_volatility_means_no_movement():
    frame = synthetic("A/B", "1m", n=100, volatility=0.0)
    assert frame["high"].n_unique() == frame["low"].n_unique() == 1 and frame["volume"].min() >= 0


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"symbols": []}, "symbols"),
        ({"symbols": ["A/B", "A/B"]}, "twice"),
        ({"symbols": [3]}, "symbols"),
        ({"interval": "1 parsec"}, "parsec"),
        ({"n": 0}, "n=0"),
        ({"n": 5, "days": 1}, "one of them"),
        ({"days": -1}, "days=-1"),
        ({"days": 0.0001}, "at least one candle"),
        ({"volatility": -0.1}, "volatility=-0.1"),
        ({"volatility": float("nan")}, "volatility=nan"),
        ({"seed": 1.5}, "seed=1.5"),
        ({"start": "soon"}, "soon"),
        ({"interval": "1ms", "days": 300}, "RandomFeed"),
    ],
)
def test_wrong_arguments_are_refused_by_name(wrong, named):
    with pytest.raises(InputError, match=named):
        synthetic(**{"symbols": ["A/B"], "interval": "1m", **wrong})
