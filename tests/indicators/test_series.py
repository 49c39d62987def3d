"""The door: what may be given, and what comes back."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from indicators.cases import random_candles

import pairsim.indicators as ind
from pairsim.errors import InputError

OPEN, HIGH, LOW, CLOSE, _ = random_candles(300)
SINGLE: list[Callable[..., Any]] = [ind.rsi, ind.sma, ind.ema, ind.zscore, ind.stddev, ind.highest, ind.lowest]


@pytest.mark.parametrize("function", SINGLE)
def test_arrays_give_arrays_and_series_give_series(function: Callable[..., Any]) -> None:
    expected = function(CLOSE, 10)
    assert isinstance(expected, np.ndarray) and expected.dtype == np.float64 and expected.shape == (300,)
    series = function(pl.Series("close", CLOSE), 10)
    assert isinstance(series, pl.Series) and series.name == function.__name__
    np.testing.assert_array_equal(series.to_numpy(), expected)


@pytest.mark.parametrize(
    "make", [list, tuple, pd.Series, np.float64, lambda x: x[::-1][::-1], lambda x: x.astype(">f8")]
)
def test_anything_like_an_array_is_accepted(make: Callable[[Any], Any]) -> None:
    np.testing.assert_array_equal(ind.sma(make(CLOSE), 10), ind.sma(CLOSE, 10))


def test_whole_numbers_are_accepted() -> None:
    assert ind.sma(np.array([1, 2, 4]), 2).tolist()[1:] == [1.5, 3.0]  # type: ignore[arg-type]
    assert ind.sma(pl.Series([1, 2, 4]), 2).to_list()[1:] == [1.5, 3.0]


def test_several_outputs_come_with_names() -> None:
    bands = ind.bollinger(CLOSE, 10)
    upper, middle, lower = bands
    assert upper is bands.upper and middle is bands.middle and lower is bands.lower
    frame = ind.bollinger(pl.Series(CLOSE), 10)
    assert frame.columns == ["upper", "middle", "lower"]
    np.testing.assert_array_equal(frame["lower"].to_numpy(), lower)
    assert ind.macd(pl.Series(CLOSE)).columns == ["value", "signal", "histogram"]
    candles = ind.heikin_ashi(*(pl.Series(column) for column in (OPEN, HIGH, LOW, CLOSE)))
    assert candles.columns == ["open", "high", "low", "close"] and candles.height == 300


def test_a_null_is_a_missing_value() -> None:
    with_null = pl.Series([1.0, 2.0, None, 4.0, 6.0])
    with_nan = np.array([1.0, 2.0, np.nan, 4.0, 6.0])
    expected = [np.nan, 1.5, np.nan, np.nan, 5.0]
    np.testing.assert_array_equal(ind.sma(with_null, 2).to_numpy(), expected)
    np.testing.assert_array_equal(ind.sma(with_nan, 2), expected)
    assert ind.sma(with_null, 2).null_count() == 0


def test_the_input_is_not_changed_and_may_be_read_only() -> None:
    close = CLOSE.copy()
    close.setflags(write=False)
    ind.highest(close, 10)
    np.testing.assert_array_equal(close, CLOSE)


@pytest.mark.parametrize("bad", ["text", [["a"]], np.ones((3, 2)), 5.0, None, ["a", "b"]])
def test_what_is_no_series_of_numbers_is_refused(bad: Any) -> None:
    with pytest.raises(InputError, match="SMA"):
        ind.sma(bad, 2)


def test_series_of_different_lengths_are_refused() -> None:
    with pytest.raises(InputError, match=r"different lengths \[299, 300\]"):
        ind.atr(HIGH, LOW[1:], CLOSE)


def test_compute_takes_a_frame_or_a_mapping_of_columns() -> None:
    frame = pl.DataFrame({"high": HIGH, "low": LOW, "close": CLOSE})
    expected = ind.atr(HIGH, LOW, CLOSE, 5)
    np.testing.assert_array_equal(ind.ATR(5).compute(frame)[:, 0], expected)
    np.testing.assert_array_equal(ind.ATR(5).compute({"high": HIGH, "low": LOW, "close": CLOSE})[:, 0], expected)
    with pytest.raises(InputError, match="volume"):
        ind.SMA(5, source="volume").compute(frame)
    with pytest.raises(InputError, match="different lengths"):
        ind.ATR(5).compute({"high": HIGH, "low": LOW[1:], "close": CLOSE})


def test_many_computes_each_distinct_indicator_once() -> None:
    columns = list(random_candles(200))
    results = ind.batch_many([ind.SMA(5), ind.MACD(3, 6, 3), ind.SMA(5), ind.SMA(6)], columns)
    assert list(results) == [ind.SMA(5), ind.MACD(3, 6, 3), ind.SMA(6)]
    np.testing.assert_array_equal(results[ind.SMA(5)][:, 0], ind.sma(columns[3], 5))
    np.testing.assert_array_equal(results[ind.MACD(3, 6, 3)].T, np.array(ind.macd(columns[3], 3, 6, 3)))
