"""A user's own class: ``step`` in plain Python, compiled where that can be, the same in batch, streaming and Python."""

import logging
import math
import pickle

import cloudpickle
import numpy as np
import pytest
from indicators.cases import random_candles
from indicators.own import Adaptive, Momentum, Odd, Words

from pairsim.errors import InputError, StrategyError
from pairsim.indicators import COLUMNS, EMA, Indicator
from pairsim.indicators.own_step import own_step
from pairsim.indicators.stream import stream_into

CANDLES = random_candles(1_000)
TABLE = dict(zip(COLUMNS, CANDLES, strict=True))


def is_compiled(indicator: Indicator) -> bool:
    indicator.step_address()
    return own_step(type(indicator), {})._entry is not None


def test_a_step_with_state_computes_over_a_frame() -> None:
    class Average(Indicator):
        period: int = 20
        state = {"average": 0.0, "count": 0}  # noqa: RUF012
        warmup = property(lambda self: self.period)

        def step(self, state, candle):  # type: ignore[no-untyped-def]
            state.count += 1
            if state.count <= self.period:
                state.average += candle.close / self.period
                return state.average if state.count == self.period else math.nan
            state.average += 2.0 / (self.period + 1.0) * (candle.close - state.average)
            return state.average

    assert is_compiled(Average(20))
    np.testing.assert_allclose(Average(20).compute(TABLE), EMA(20).compute(TABLE), rtol=1e-13)
    np.testing.assert_allclose(Average(5).compute(TABLE), EMA(5).compute(TABLE), rtol=1e-13)  # the same code


def test_a_lookback_gives_the_last_candles_the_present_one_last() -> None:
    close = CANDLES[3]
    values = Momentum(7).compute(TABLE)[:, 0]
    assert np.isnan(values[:7]).all() and Momentum(7).warmup == 8
    np.testing.assert_array_equal(values[7:], close[7:] / close[:-7] - 1.0)


def test_all_columns_of_the_past_are_there() -> None:
    class Sums(Indicator):
        fields = ("open", "high", "low", "close", "volume", "size")
        lookback = 3

        def step(self, state, candle, past):  # type: ignore[no-untyped-def]
            total = past.open.sum(), past.high.sum(), past.low.sum(), past.close.sum(), past.volume.sum()
            return total + (float(past.close.size),)

    assert is_compiled(Sums())
    values = Sums().compute(TABLE)
    expected = np.lib.stride_tricks.sliding_window_view(CANDLES, 3, axis=1).sum(axis=2)
    np.testing.assert_allclose(values[2:, :5].T, expected, rtol=1e-14)
    assert (values[2:, 5] == 3.0).all()


def test_functions_that_a_step_calls_are_compiled_too() -> None:
    assert is_compiled(Adaptive())
    assert np.isfinite(Adaptive().compute(TABLE)[Adaptive().warmup - 1 :]).all()


def test_what_numba_cannot_compile_runs_as_plain_python_and_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    class Spelled(Indicator):
        state = {"n": 0}  # noqa: RUF012

        def step(self, state, candle):  # type: ignore[no-untyped-def]
            state.n += 1
            return float(f"{candle.close:.2f}") + len(type(self).__name__) * state.n

    with caplog.at_level(logging.WARNING, "pairsim.indicators"):
        values = Spelled().compute(TABLE)[:, 0]
        Spelled().compute(TABLE)
    assert not is_compiled(Spelled())
    np.testing.assert_allclose(values, np.round(CANDLES[3], 2) + 7.0 * np.arange(1, 1_001), atol=1e-9)
    assert len(caplog.records) == 1 and "Spelled.step runs as plain Python: numba cannot compile line" in caplog.text


def test_compiled_and_plain_python_agree_bit_for_bit() -> None:
    for indicator in (Adaptive(), Momentum(5)):
        plain, state = indicator.plain_step(), indicator.initial_state()
        constants, window, out = indicator.constants, np.full(indicator.window_words, 7.0), np.empty(1)
        expected = indicator.compute(TABLE)[:, 0]
        for i in range(300):
            candle = np.ascontiguousarray(CANDLES[:, i])
            addresses = [array.ctypes.data for array in (constants, state, window, candle, out)]
            assert plain(i, *addresses) == 0
            np.testing.assert_array_equal(out[0], expected[i])


def test_parameters_and_state_keep_their_types() -> None:
    assert Words(2, 0.5, True).compute(TABLE)[-1].tolist() == [2.0 * 1_000, 1.0]
    assert Words(2, 0.5, False).compute(TABLE)[-1].tolist() == [0.5 * 1_000, 0.0]
    assert is_compiled(Words())


@pytest.mark.parametrize("compiled", [True, False])
def test_a_step_that_raises_names_the_candle_and_the_error(compiled: bool) -> None:
    class Fails(Indicator):
        state = {"n": 0}  # noqa: RUF012

        def step(self, state, candle):  # type: ignore[no-untyped-def]
            state.n += 1
            return 1.0 / (state.n - 6)

    class FailsInPython(Indicator):
        state = {"n": 0}  # noqa: RUF012

        def step(self, state, candle):  # type: ignore[no-untyped-def]
            state.n += 1
            return 1.0 / (state.n - 6) + len(str({}))

    indicator = Fails() if compiled else FailsInPython()
    with pytest.raises(StrategyError, match="step raised at candle 5: ZeroDivisionError") as caught:
        indicator.compute(TABLE)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_an_index_outside_the_past_is_an_error_and_no_crash() -> None:
    class Beyond(Indicator):
        lookback = 4

        def step(self, state, candle, past):  # type: ignore[no-untyped-def]
            return past.close[-5]

    with pytest.raises(StrategyError, match="at candle 3: IndexError"):
        Beyond().compute(TABLE)


def test_none_means_no_value_compiled_and_plain() -> None:
    class Even(Indicator):
        state = {"n": 0}  # noqa: RUF012

        def step(self, state, candle):  # type: ignore[no-untyped-def]
            state.n += 1
            if state.n % 2:
                return None
            return candle.close

    class Never(Indicator):
        def step(self, state, candle):  # type: ignore[no-untyped-def]
            return None

    values = Even().compute(TABLE)[:, 0]
    assert is_compiled(Even()) and np.isnan(values[::2]).all() and (values[1::2] == CANDLES[3][1::2]).all()
    assert np.isnan(Never().compute(TABLE)).all()
    plain, state, out = Even().plain_step(), Even().initial_state(), np.empty(1)
    candle, constants = np.ascontiguousarray(CANDLES[:, 0]), Even().constants
    plain(0, constants.ctypes.data, state.ctypes.data, 0, candle.ctypes.data, out.ctypes.data)
    assert np.isnan(out[0])


@pytest.mark.parametrize("returned", ["text", (1.0, 2.0)])
def test_a_step_that_returns_no_number_is_an_error(returned: object) -> None:
    class Returns(Indicator):
        def step(self, state, candle):  # type: ignore[no-untyped-def]
            return returned

    with pytest.raises(StrategyError, match="at candle 0"):
        Returns().compute(TABLE)


def test_the_first_state_must_be_plain_numbers() -> None:
    class Memory(Indicator):
        state = {"values": [1.0]}  # noqa: RUF012

        def step(self, state, candle):  # type: ignore[no-untyped-def]
            return 0.0

    with pytest.raises(InputError, match=r"Memory\.state\['values'\] = \[1\.0\] must be an int, a float or a bool"):
        Memory().initial_state()


def test_unknown_state_is_an_error_in_plain_python_too() -> None:
    class Forgets(Indicator):
        def step(self, state, candle):  # type: ignore[no-untyped-def]
            state.seen = 1.0
            return 0.0

    with pytest.raises(StrategyError, match="no state 'seen'"):
        Forgets().compute(TABLE)


def test_wrong_forms_are_refused() -> None:
    class Nothing(Indicator):
        pass

    class Few(Indicator):
        def step(self, candle):  # type: ignore[no-untyped-def]
            return 0.0

    class Far(Indicator):
        lookback = 0

        def step(self, state, candle, past):  # type: ignore[no-untyped-def]
            return 0.0

    for indicator, message in [(Nothing(), "has no step"), (Few(), "takes 2 arguments"), (Far(), "lookback = 0")]:
        with pytest.raises(InputError, match=message):
            indicator.step_address()


def test_it_is_a_value_and_travels_to_another_process() -> None:
    assert Momentum(5) == Momentum(5) != Momentum(6) and repr(Momentum(5)) == "Momentum(5)"
    Momentum(5).step_address()
    again = pickle.loads(pickle.dumps(Momentum(5)))
    assert again == Momentum(5)

    class Local(Indicator):
        def step(self, state, candle):  # type: ignore[no-untyped-def]
            return candle.high - candle.low

    Local().step_address()
    there = pickle.loads(cloudpickle.dumps(Local()))
    np.testing.assert_array_equal(there.compute(TABLE), Local().compute(TABLE))


def test_a_plain_python_step_has_an_address_for_each_instance() -> None:
    one, other = Odd(1), Odd(2)
    assert one.step_address() != other.step_address() and one.step_address() == Odd(1).step_address()
    out = np.empty((1_000, 1))
    stream_into(other, list(CANDLES), out)
    assert out[-1, 0] == 2.0 * CANDLES[3, -1]
