"""A vectorised function with a declared lookback: once over a history, window by window live, and honest about it."""

import functools
import pickle
from typing import Any

import cloudpickle
import numpy as np
import pytest
from indicators.cases import random_candles
from indicators.own import momentum
from numpy.lib.stride_tricks import sliding_window_view

from pairsim.errors import InputError, StrategyError
from pairsim.indicators import COLUMNS, indicator
from pairsim.indicators.stream import stream_into

CANDLES = random_candles(800)
TABLE = dict(zip(COLUMNS, CANDLES, strict=True))


def channel(high: np.ndarray, low: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    pad = np.full(19, np.nan)
    top, bottom = sliding_window_view(high, 20).max(axis=1), sliding_window_view(low, 20).min(axis=1)
    return np.concatenate([pad, top]), np.concatenate([pad, bottom])


def streamed(made: Any) -> np.ndarray:
    out = np.empty((CANDLES.shape[1], len(made.fields)))
    stream_into(made, list(CANDLES), out)
    return out


def test_batch_calls_the_function_once_and_hides_the_warmup() -> None:
    calls = []

    def counted(close: np.ndarray) -> np.ndarray:
        calls.append(close.size)
        return momentum(close)

    values = indicator(counted, lookback=6).compute(TABLE)[:, 0]
    assert np.isnan(values[:5]).all()
    np.testing.assert_array_equal(values[5:], momentum(CANDLES[3])[5:])
    assert calls.count(800) == 1 and len(calls) < 12


def test_streaming_equals_batch() -> None:
    for made in (indicator(momentum, lookback=6), indicator(channel, lookback=20, fields=("top", "bottom"))):
        np.testing.assert_array_equal(streamed(made), made.compute(TABLE))


def test_exact_computes_a_history_from_windows() -> None:
    def mean(close: np.ndarray) -> np.ndarray:
        sums = np.cumsum(close)
        return (sums - np.concatenate([np.zeros(10), sums[:-10]])) / 10.0

    rough, exact = indicator(mean, lookback=10), indicator(mean, lookback=10, exact=True)
    np.testing.assert_array_equal(streamed(exact), exact.compute(TABLE))
    np.testing.assert_allclose(rough.compute(TABLE), exact.compute(TABLE), rtol=1e-9)
    assert rough != exact


@pytest.mark.parametrize(
    "leaky",
    [
        lambda close: np.roll(close, -1),
        lambda close: (close - close.mean()) / close.std(),
        lambda close: np.cumsum(close),
        lambda close: np.roll(close, 10),
    ],
    ids=["one candle ahead", "scaled by the whole", "all that came before", "one candle further back"],
)
def test_a_function_that_looks_ahead_or_further_back_is_found(leaky: Any) -> None:
    with pytest.raises(InputError, match="looks further back than lookback, or ahead"):
        indicator(leaky, lookback=10).compute(TABLE)


def test_columns_go_by_the_names_of_the_arguments() -> None:
    assert indicator(channel, lookback=20, fields=("a", "b")).columns == ("high", "low")
    assert indicator(momentum, lookback=6).columns == ("close",)  # what has a default is left alone
    assert indicator(lambda x: x, lookback=1, source="volume").columns == ("volume",)
    assert indicator(np.abs, lookback=1).columns == ("close",)
    with pytest.raises(InputError, match="must be columns of a candle"):
        indicator(lambda a, b: a, lookback=1)


def test_the_decorator_makes_an_indicator() -> None:
    @indicator(lookback=3)
    def middle(high: np.ndarray, low: np.ndarray) -> np.ndarray:
        return 0.5 * (high + low)

    assert repr(middle) == "indicator(middle, lookback=3)" and middle.warmup == 3
    np.testing.assert_array_equal(middle.compute(TABLE)[2:, 0], 0.5 * (CANDLES[1] + CANDLES[2])[2:])


def test_it_is_a_value_and_travels_to_another_process() -> None:
    made = indicator(momentum, lookback=6)
    made.step_address()
    assert made == indicator(momentum, lookback=6) and hash(made) == hash(indicator(momentum, lookback=6))
    assert made != indicator(momentum, lookback=7) and made != indicator(channel, lookback=6, fields=("a", "b"))
    assert pickle.loads(pickle.dumps(made)) == made
    there = pickle.loads(cloudpickle.dumps(indicator(lambda close: momentum(close), lookback=6)))
    np.testing.assert_array_equal(there.compute(TABLE), made.compute(TABLE))


def test_a_partial_function_sets_other_arguments() -> None:
    slow = indicator(functools.partial(momentum, length=9), lookback=10)
    np.testing.assert_array_equal(slow.compute(TABLE)[9:, 0], momentum(CANDLES[3], 9)[9:])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lookback": 0}, "lookback = 0 must be a whole number from 1 to 100,000"),
        ({"lookback": 2.0}, "lookback = 2.0 must be"),
        ({"lookback": True}, "lookback = True must be"),
        ({"lookback": 5, "fields": ()}, r"fields = \(\) must be names"),
        ({"lookback": 5, "fields": ("a b",)}, "must be names"),
        ({"lookback": 5, "source": "price"}, "source = 'price' must be a column"),
    ],
)
def test_wrong_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        indicator(momentum, **arguments)
    with pytest.raises(InputError, match="must be a function"):
        indicator(5, lookback=5)  # type: ignore[call-overload]


def test_a_function_that_raises_or_returns_nonsense_is_named() -> None:
    def broken(close: np.ndarray) -> np.ndarray:
        raise ValueError("no such luck")

    with pytest.raises(StrategyError, match=r"broken.*ValueError: no such luck"):
        indicator(broken, lookback=3).compute(TABLE)
    with pytest.raises(StrategyError, match=r"step raised at candle 2.*no such luck"):
        indicator(broken, lookback=3, exact=True).compute(TABLE)
    with pytest.raises(StrategyError, match=r"returned shapes \[\(799,\)\] for 800 candles"):
        indicator(lambda close: close[1:], lookback=3).compute(TABLE)
    with pytest.raises(StrategyError, match="it must return 2 arrays"):
        indicator(lambda close: [close], lookback=3, fields=("a", "b")).compute(TABLE)


def test_fewer_candles_than_the_lookback_give_no_value() -> None:
    few = {name: column[:4] for name, column in TABLE.items()}
    assert np.isnan(indicator(momentum, lookback=6).compute(few)).all()
