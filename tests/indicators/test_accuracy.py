"""No drift, no loss at any price level, and exact values where nothing moves."""

import math

import numpy as np
import pytest
import talib
from indicators.cases import CASES, batch, random_candles
from numpy.typing import NDArray

import pairsim.indicators as ind
from pairsim.indicators import Indicator
from pairsim.indicators.stream import run_steps, stream_into

Floats = NDArray[np.float64]
LONG = 2_300_000


def exact_mean_and_deviation(window: Floats) -> tuple[float, float]:
    """Correctly rounded sums."""
    mean = math.fsum(window) / window.size
    distances = window - mean
    return mean, math.sqrt(math.fsum(distances * distances) / window.size)


@pytest.fixture(scope="module")
def long_walk() -> Floats:
    """Over two million candles between 1 and 1,000."""
    columns = random_candles(LONG, seed=5, sigma=1e-3)
    turned = 100.0 * np.exp(3.0 * np.sin(np.log(columns[3] / 100.0)))  # keeps it from wandering off
    scale = turned / columns[3]
    columns[:4] *= scale
    return columns


def test_windows_do_not_drift_in_two_million_candles(long_walk: Floats) -> None:
    close = long_walk[3]
    for period in (20, 100, 1_500):
        mean, deviation, score = ind.sma(close, period), ind.stddev(close, period), ind.zscore(close, period)
        for end in (*range(LONG - 4_000, LONG, 97), LONG // 2):
            window = close[end - period : end]
            expected_mean, expected_deviation = exact_mean_and_deviation(window)
            assert mean[end - 1] == pytest.approx(expected_mean, rel=1e-14)
            assert deviation[end - 1] == pytest.approx(expected_deviation, rel=1e-9)
            assert score[end - 1] == pytest.approx((window[-1] - expected_mean) / expected_deviation, abs=1e-8)


def test_recursions_equal_talib_after_two_million_candles(long_walk: Floats) -> None:
    _, high, low, close, _ = long_walk
    np.testing.assert_allclose(ind.ema(close, 200)[200:], talib.EMA(close, 200)[200:], rtol=1e-11)
    np.testing.assert_allclose(ind.rsi(close, 14)[14:], talib.RSI(close, 14)[14:], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(ind.atr(high, low, close, 14)[14:], talib.ATR(high, low, close, 14)[14:], rtol=1e-9)
    for ours, theirs in zip(ind.macd(close), talib.MACD(close), strict=True):
        np.testing.assert_allclose(ours[33:], theirs[33:], atol=1e-9)


@pytest.mark.parametrize("indicator", [each for each in CASES if each.warmup < 60], ids=repr)
def test_streaming_equals_batch_after_two_million_candles(indicator: Indicator, long_walk: Floats) -> None:
    whole = batch(indicator, long_walk)
    streamed = np.empty_like(whole)
    stream_into(indicator, list(long_walk), streamed)
    np.testing.assert_array_equal(streamed, whole)


@pytest.mark.parametrize(("level", "sigma"), [(1e8, 1e-11), (1e8, 1e-6), (1.0, 1e-4), (1e-8, 1e-3), (1e-30, 1e-2)])
@pytest.mark.parametrize("period", [5, 50, 600])
def test_a_deviation_keeps_its_digits_at_any_price_level(level: float, sigma: float, period: int) -> None:
    """At 1e8 a price that moves by 1e-3: its squares are 1e16, their last digit is 2."""
    close = random_candles(3_000, seed=2, level=level, sigma=sigma)[3]
    deviation, mean = ind.stddev(close, period), ind.sma(close, period)
    for end in range(period, 3_000, 61):
        expected_mean, expected = exact_mean_and_deviation(close[end - period : end])
        assert mean[end - 1] == pytest.approx(expected_mean, rel=1e-15)
        assert deviation[end - 1] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("level", "sigma"), [(1e8, 1e-11), (1e8, 1e-6), (1e-3, 1e-2)])
def test_equals_talib_at_any_price_level(level: float, sigma: float) -> None:
    _, high, low, close, _ = random_candles(20_000, seed=4, level=level, sigma=sigma)
    for ours, theirs in [
        (ind.sma(close, 20), talib.SMA(close, 20)),
        (ind.ema(close, 20), talib.EMA(close, 20)),
        (ind.stddev(close, 20), talib.STDDEV(close, 20)),
        (ind.rsi(close, 14), talib.RSI(close, 14)),
        (ind.atr(high, low, close, 14), talib.ATR(high, low, close, 14)),
    ]:
        np.testing.assert_allclose(ours, theirs, rtol=1e-9)


@pytest.mark.parametrize("price", [0.1, 1.0, 33.3333, 1e8 / 3.0, 1e-9])
def test_averages_of_a_constant_are_that_constant(price: float) -> None:
    close = np.full(5_000, price)
    for values in (ind.sma(close, 10), ind.ema(close, 30), ind.bollinger(close, 20).upper, *heikin_ashi_of(close)):
        defined = values[~np.isnan(values)]
        assert defined.size > 4_900 and (defined == price).all()


def heikin_ashi_of(close: Floats) -> tuple[Floats, ...]:
    return ind.heikin_ashi(close, close, close, close)


def test_a_market_that_stands_still_has_clean_values() -> None:
    close = np.full(3_000, 0.1)
    assert (ind.stddev(close, 20)[19:] == 0.0).all()
    assert np.isnan(ind.zscore(close, 20)).all()
    assert (ind.atr(close, close, close, 14)[14:] == 0.0).all()
    assert (ind.rsi(close, 14)[14:] == 0.0).all()  # as TA-Lib
    for line in ind.macd(close):
        assert (line[33:] == 0.0).all()


def test_a_market_that_has_come_to_rest_has_clean_values() -> None:
    close = np.concatenate([random_candles(777)[3], np.full(20_000, 99.9)])
    at_rest = 777 + 20
    assert (ind.stddev(close, 20)[at_rest:] == 0.0).all()
    assert np.isnan(ind.zscore(close, 20)[at_rest:]).all()
    assert (ind.bollinger(close, 20).middle[at_rest:] == 99.9).all()
    assert (ind.sma(close, 20)[at_rest + 256 :] == 99.9).all()
    assert (ind.ema(close, 20)[-1_000:] == 99.9).all()
    assert ind.atr(close, close, close, 14)[-1] == 0.0
    for line in ind.macd(close):
        assert line[-1] == 0.0


def test_a_window_of_equal_values_has_no_deviation_wherever_it_stands() -> None:
    moving = random_candles(1_300)[3]
    for start in (*range(0, 60, 7), *range(500, 560), 1_030, 1_044, 1_270):
        close = moving.copy()
        close[start : start + 20] = 99.5
        deviation = ind.stddev(close, 20)
        assert deviation[start + 19] == 0.0 and np.isnan(ind.zscore(close, 20)[start + 19])
        assert (np.delete(deviation, start + 19)[19:] > 0.0).all()


def test_nothing_lingers_among_the_subnormal_numbers() -> None:
    """They are 40 times slower: what shrinks has to become 0 before."""
    close = np.concatenate([[100.0, 101.0], np.full(40_000, 101.0)])
    for indicator in (ind.EMA(5), ind.ATR(5), ind.MACD(5, 10, 5), ind.RSI(5), ind.EMA(2), ind.RSI(2), ind.ATR(2)):
        state, out = indicator.initial_state(), np.empty((1, len(indicator.fields)))
        constants, window = indicator.constants, np.zeros(indicator.window_words)

        for i in range(6_000):
            run_steps(indicator.step_address(), i, constants, state, window, np.full((5, 1), close[i]), out)
            assert not ((np.abs(state) > 0.0) & (np.abs(state) < 1e-307)).any()


def test_a_huge_value_is_forgotten_with_its_window() -> None:
    close = random_candles(3_000)[3]
    spiked = close.copy()
    spiked[1_000] = 1e12
    later = 1_000 + 2 * 512 + 20
    np.testing.assert_allclose(ind.sma(spiked, 20)[later:], ind.sma(close, 20)[later:], rtol=1e-13)
    np.testing.assert_allclose(ind.stddev(spiked, 20)[later:], ind.stddev(close, 20)[later:], rtol=1e-9)
    np.testing.assert_array_equal(ind.highest(spiked, 20)[1_020:], ind.highest(close, 20)[1_020:])
