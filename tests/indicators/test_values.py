"""The numbers: TA-Lib's where TA-Lib has the indicator, and those of a naive twin that looks at the whole window."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import talib
from indicators.cases import random_candles
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

import pairsim.indicators as ind

Floats = NDArray[np.float64]
N = 20_000
OPEN, HIGH, LOW, CLOSE, VOLUME = random_candles(N, seed=11, sigma=1e-3)


def assert_close(ours: Floats, theirs: Floats, tolerance: float = 1e-9) -> None:
    np.testing.assert_array_equal(np.isnan(ours), np.isnan(theirs))
    np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)


# ---------------------------------------------------------------- TA-Lib


@pytest.mark.parametrize("period", [2, 3, 14, 100, 1_000])
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (ind.rsi, talib.RSI),
        (ind.sma, talib.SMA),
        (ind.ema, talib.EMA),
        (ind.stddev, talib.STDDEV),
        (ind.highest, talib.MAX),
        (ind.lowest, talib.MIN),
    ],
)
def test_equals_talib(ours: Callable[..., Floats], theirs: Callable[..., Floats], period: int) -> None:
    assert_close(ours(CLOSE, period), theirs(CLOSE, period))


@pytest.mark.parametrize("period", [1, 2, 14, 100])
def test_atr_equals_talib(period: int) -> None:
    assert_close(ind.atr(HIGH, LOW, CLOSE, period), talib.ATR(HIGH, LOW, CLOSE, period))


@pytest.mark.parametrize(("fast", "slow", "signal"), [(12, 26, 9), (5, 35, 5), (2, 3, 1), (20, 21, 50)])
def test_macd_equals_talib(fast: int, slow: int, signal: int) -> None:
    for ours, theirs in zip(ind.macd(CLOSE, fast, slow, signal), talib.MACD(CLOSE, fast, slow, signal), strict=True):
        assert_close(ours, theirs)


@pytest.mark.parametrize(("period", "deviations"), [(20, 2.0), (2, 1.0), (100, 0.5)])
def test_bollinger_equals_talib(period: int, deviations: float) -> None:
    expected = talib.BBANDS(CLOSE, period, deviations, deviations)
    for ours, theirs in zip(ind.bollinger(CLOSE, period, deviations), expected, strict=True):
        assert_close(ours, theirs)


def test_zscore_equals_talibs_average_and_deviation() -> None:
    assert_close(ind.zscore(CLOSE, 100), (CLOSE - talib.SMA(CLOSE, 100)) / talib.STDDEV(CLOSE, 100), 1e-7)


def test_heikin_ashi_equals_talib() -> None:
    expected = talib.HA(OPEN, HIGH, LOW, CLOSE)
    for ours, theirs in zip(ind.heikin_ashi(OPEN, HIGH, LOW, CLOSE), expected, strict=True):
        assert_close(ours, theirs)


@pytest.mark.parametrize("size", range(45))
def test_short_input_is_undefined_where_talibs_is(size: int) -> None:
    close, high, low = CLOSE[:size].copy(), HIGH[:size].copy(), LOW[:size].copy()
    if size == 0:  # TA-Lib refuses it
        assert ind.rsi(close).size == 0
        return
    for ours, theirs in [
        (ind.rsi(close, 14), talib.RSI(close, 14)),
        (ind.sma(close, 20), talib.SMA(close, 20)),
        (ind.ema(close, 20), talib.EMA(close, 20)),
        (ind.atr(high, low, close, 14), talib.ATR(high, low, close, 14)),
        *zip(ind.macd(close), talib.MACD(close), strict=True),
        *zip(ind.bollinger(close, 20), talib.BBANDS(close, 20), strict=True),
    ]:
        assert_close(ours, theirs)


def test_equals_talib_on_real_candles(shared_data: Path) -> None:
    frame = pl.read_parquet(shared_data / "BTC_PERP-1m.parquet")
    high, low, close = (frame[name].to_numpy() for name in ("high", "low", "close"))
    assert_close(ind.rsi(close, 14), talib.RSI(close, 14))
    assert_close(ind.sma(close, 20), talib.SMA(close, 20))
    assert_close(ind.ema(close, 20), talib.EMA(close, 20))
    assert_close(ind.atr(high, low, close, 14), talib.ATR(high, low, close, 14))
    for ours, theirs in zip(ind.macd(close), talib.MACD(close), strict=True):
        assert_close(ours, theirs)
    assert_close(ind.stddev(close, 20), talib.STDDEV(close, 20))


# ---------------------------------------------------------------- naive twins


def rolling(values: Floats, period: int, of: Callable[..., Floats]) -> Floats:
    return np.concatenate([np.full(period - 1, np.nan), of(sliding_window_view(values, period), axis=-1)])


def naive_ema(values: Floats, period: int) -> Floats:
    out = np.full(values.size, np.nan)
    out[period - 1] = average = values[:period].mean()
    for i in range(period, values.size):
        average += 2.0 / (period + 1.0) * (values[i] - average)
        out[i] = average
    return out


def naive_wilder(parts: Floats, period: int) -> Floats:
    out = np.full(parts.size, np.nan)
    out[period - 1] = average = parts[:period].mean()
    for i in range(period, parts.size):
        average += (parts[i] - average) / period
        out[i] = average
    return out


SHORT = slice(0, 3_000)


@pytest.mark.parametrize("period", [2, 5, 20, 255, 256, 257, 700])
def test_windows_equal_the_naive_twin(period: int) -> None:
    close = CLOSE[SHORT]
    mean, deviation = rolling(close, period, np.mean), rolling(close, period, np.std)
    assert_close(ind.sma(close, period), mean, 1e-13)
    assert_close(ind.stddev(close, period), deviation, 1e-10)
    # of two values that are all but equal the deviation is a few of the last digits
    assert_close(ind.zscore(close, period), (close - mean) / deviation, 1e-8 if period > 2 else 1e-4)
    np.testing.assert_array_equal(ind.highest(close, period), rolling(close, period, np.max))
    np.testing.assert_array_equal(ind.lowest(close, period), rolling(close, period, np.min))
    bands = ind.bollinger(close, period, 1.5)
    assert_close(bands.upper, mean + 1.5 * deviation, 1e-11)
    assert_close(bands.middle, mean, 1e-13)
    assert_close(bands.lower, mean - 1.5 * deviation, 1e-11)


@pytest.mark.parametrize("period", [2, 14, 300])
def test_recursions_equal_the_naive_twin(period: int) -> None:
    high, low, close = HIGH[SHORT], LOW[SHORT], CLOSE[SHORT]
    assert_close(ind.ema(close, period), naive_ema(close, period), 1e-13)
    change = np.diff(close)
    up, down = naive_wilder(np.maximum(change, 0.0), period), naive_wilder(np.maximum(-change, 0.0), period)
    assert_close(ind.rsi(close, period)[1:], 100.0 * up / (up + down), 1e-11)
    spans = [high[1:] - low[1:], np.abs(high[1:] - close[:-1]), np.abs(low[1:] - close[:-1])]
    assert_close(ind.atr(high, low, close, period)[1:], naive_wilder(np.max(spans, axis=0), period), 1e-12)


def test_macd_is_the_distance_of_two_averages_that_begin_together() -> None:
    close, fast, slow, signal = CLOSE[SHORT], 12, 26, 9
    line = naive_ema(close[slow - fast :], fast)[fast - 1 :] - naive_ema(close, slow)[slow - 1 :]
    lines = ind.macd(close, fast, slow, signal)
    first = slow + signal - 2
    assert_close(lines.value[first:], line[signal - 1 :], 1e-11)
    assert_close(lines.signal[first:], naive_ema(line, signal)[signal - 1 :], 1e-11)
    assert_close(lines.histogram[first:], lines.value[first:] - lines.signal[first:], 1e-11)


def test_worked_examples() -> None:
    close = np.array([10.0, 11.0, 12.0, 11.0, 14.0])
    np.testing.assert_allclose(ind.sma(close, 3), [np.nan, np.nan, 11.0, 34.0 / 3.0, 37.0 / 3.0], rtol=1e-15)
    np.testing.assert_array_equal(ind.ema(close, 3), [np.nan, np.nan, 11.0, 11.0, 12.5])
    # gains 1 1 0 3, losses 0 0 1 0, averages of two: 1, .5, 1.75 and 0, .5, .25
    np.testing.assert_allclose(ind.rsi(close, 2), [np.nan, np.nan, 100.0, 50.0, 87.5])
    assert ind.stddev(close, 2)[-1] == 1.5 and ind.zscore(close, 2)[-1] == 1.0
    assert ind.highest(close, 2).tolist()[1:] == [11.0, 12.0, 12.0, 14.0]
    assert ind.lowest(close, 2).tolist()[1:] == [10.0, 11.0, 11.0, 11.0]
    candles = ind.heikin_ashi(close, close + 2.0, close - 1.0, close + 1.0)
    assert candles.close[0] == 10.5 and candles.open[0] == 10.5 and candles.open[1] == 10.5
    assert candles.open[2] == 0.5 * (candles.open[1] + candles.close[1]) == 11.0
    assert ind.atr(close + 1.0, close - 1.0, close, 2)[-1] == pytest.approx(0.5 * (0.5 * (2 + 2) + 2) * 0.5 + 0.5 * 4)
    bands = ind.bollinger(close, 2, 2.0)
    assert (bands.upper[-1], bands.middle[-1], bands.lower[-1]) == (15.5, 12.5, 9.5)


def test_a_steady_rise_has_rsi_100_and_a_steady_fall_0() -> None:
    rise = np.arange(1.0, 3_000.0)
    assert (ind.rsi(rise, 14)[14:] == 100.0).all()
    assert (ind.rsi(rise[::-1].copy(), 14)[14:] == 0.0).all()
    assert math.isnan(ind.rsi(rise, 14)[13])
