"""Signals: what the six functions make, refuse, and mean inside compiled code."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numba import njit

from pairsim.errors import InputError, StrategyError
from pairsim.orders.order import MAX_SIGNALS as ORDER_SIGNALS
from pairsim.strategies import SIGNAL, Signal, buy, cancel, close, hold, sell, target
from pairsim.strategies.signal import MAX_SIGNALS, SIGNAL_WORDS, check_signals

ENTRIES = (buy, sell, target)
nan = math.nan


def test_the_layout_is_nine_words_and_the_fields_of_a_signal() -> None:
    assert SIGNAL.itemsize == 8 * SIGNAL_WORDS == 72
    assert SIGNAL.names == Signal._fields
    assert MAX_SIGNALS == ORDER_SIGNALS


def test_an_entry_takes_its_amount_in_one_of_three_units() -> None:
    assert buy(2)[:4] == (1, 0, 0, 2.0)
    assert sell(notional=1_000, market=1)[:4] == (2, 1, 1, 1000.0)
    assert target(weight=-0.5)[:4] == (3, 2, 0, -0.5)
    assert type(buy(2).amount) is float


def test_absent_prices_are_nan_and_given_ones_floats() -> None:
    signal = buy(1, limit=99, stop_loss=np.float64(90.5), expires=3)
    assert (signal.limit, signal.stop_loss, signal.expires) == (99.0, 90.5, 3)
    assert math.isnan(signal.stop) and math.isnan(signal.take_profit)


@pytest.mark.parametrize(
    ("signal", "text"),
    [
        (buy(weight=0.25, limit=101), "buy(weight=0.25, limit=101.0)"),
        (sell(1, market=1, expires=5), "sell(quantity=1.0, expires=5, market=1)"),
        (close(), "close()"),
        (cancel(market=1), "cancel(market=1)"),
        (hold(), "hold()"),
    ],
)
def test_a_signal_reads_as_the_call_that_made_it(signal: Signal, text: str) -> None:
    assert repr(signal) == text


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "exactly one of quantity, weight and notional, not none of them"),
        ({"quantity": 1, "weight": 0.5}, "exactly one of quantity, weight and notional, not quantity and weight"),
        ({"quantity": "much"}, "quantity must be a number, got 'much'"),
        ({"quantity": True}, "quantity must be a number, got True"),
        ({"quantity": 10**400}, "quantity 1000"),
        ({"weight": 0.1, "limit": nan}, "limit is NaN"),
        ({"weight": 0.1, "stop": []}, r"stop must be a number, got \[\]"),
        ({"weight": 0.1, "expires": 1.5}, "expires must be a whole number, got 1.5"),
        ({"weight": 0.1, "market": 2**70}, "does not fit an int64"),
    ],
)
def test_a_wrong_call_says_what_is_wrong(entry: Callable[..., Signal], arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        entry(**arguments)


def test_only_the_quantity_is_positional() -> None:
    with pytest.raises(TypeError):
        buy(1, 2)  # type: ignore[misc]
    with pytest.raises(TypeError):
        close(1)  # type: ignore[misc]


# --- what a plain strategy may return ------------------------------------------------------------------------------


def test_legal_returns_become_signals_without_holds() -> None:
    assert check_signals(None, 1) == ()
    assert check_signals(hold(), 1) == ()
    assert check_signals(buy(1), 1) == (buy(1),)
    assert [s.kind for s in check_signals((cancel(), hold(), target(-1, market=1), close()), 2)] == [5, 3, 4]


@pytest.mark.parametrize(
    ("result", "words"),
    [
        ("buy", "returned 'buy'; return None, one of ps.buy"),
        (1, "returned 1;"),
        ([buy(1)], "returned \\["),
        ((), "returned 0 signals, the limit is 4"),
        ((hold(),) * 5, "returned 5 signals, the limit is 4"),
        ((buy(1), None), "a tuple with None in it"),
        (buy(nan), "quantity nan must be a finite number above 0"),
        (buy(math.inf), "quantity inf must be"),
        (buy(-1), "quantity -1.0 must be"),
        (buy(0), "quantity 0.0 must be"),
        (target(nan), "quantity nan must be a finite number;"),
        (buy(weight=1.5), "weight 1.5 is more than 1"),
        (target(weight=-1.5), "weight -1.5 is more than 1"),
        (buy(1, limit=-3), "limit -3.0 must be a finite price above 0"),
        (buy(1, stop_loss=math.inf), "stop_loss inf must be"),
        (buy(1, expires=-1), "expires -1 must be"),
        (buy(1, market=1), "market 1, of which 0 is the only one"),
        (close(market=-1), "market -1"),
        ("x" * 1000, r"\.\.\. \(str\)"),
    ],
)
def test_nonsense_is_named_with_value_and_limit(result: object, words: str) -> None:
    with pytest.raises(StrategyError, match=words):
        check_signals(result, 1)


def test_a_value_whose_repr_fails_is_still_named() -> None:
    with pytest.raises(StrategyError, match="a int"):
        check_signals(10**5000, 1)


# --- inside compiled code ------------------------------------------------------------------------------------------


def same_bits(one: Signal, other: Signal) -> bool:
    return np.array([one], SIGNAL).tobytes() == np.array([other], SIGNAL).tobytes()


@njit
def compiled_calls(x, n):
    return (
        buy(x),
        buy(n, market=n, expires=3),
        buy(quantity=2, limit=n, stop=x),
        sell(weight=0.25, stop_loss=x, take_profit=n),
        target(notional=x, limit=None),
        target(-x),
        close(),
        close(limit=x, expires=n),
        cancel(market=1),
        hold(),
        sell(None, weight=x if n > 0 else 1.0),
    )


def test_calls_in_compiled_code_make_the_same_signals() -> None:
    for x, n in ((0.5, 1), (7.25, 3)):
        for one, other in zip(compiled_calls(x, n), compiled_calls.py_func(x, n), strict=True):
            assert same_bits(one, other), (one, other)


@njit
def optional_limit(x, given):
    limit = x if given else None
    return buy(1, limit=limit)


def test_a_price_may_be_none_at_run_time() -> None:
    for x, given in ((3.0, True), (3.0, False), (nan, False)):
        assert same_bits(optional_limit(x, given), optional_limit.py_func(x, given))
    with pytest.raises(ValueError, match="limit is NaN"):
        optional_limit(nan, True)


@pytest.mark.parametrize("entry", ENTRIES)
def test_not_exactly_one_amount_raises_in_compiled_code_when_it_is_reached(entry: Callable[..., Signal]) -> None:
    @njit
    def call(case):
        if case == 1:
            return entry()
        if case == 2:
            return entry(1, weight=0.5)
        return entry(1)

    assert call(0) == call.py_func(0) or math.isnan(call(0).limit)
    for case in (1, 2):
        with pytest.raises(ValueError, match="exactly one of quantity, weight and notional"):
            call(case)


def test_a_nan_price_raises_in_compiled_code() -> None:
    @njit
    def call(price):
        return buy(1, stop_loss=price)

    assert call(3.0).stop_loss == 3.0
    with pytest.raises(ValueError, match="stop_loss is NaN"):
        call(nan)
