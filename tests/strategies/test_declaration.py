"""Declared parameters and states: what is accepted, and what every refusal says."""

from abc import ABC
from collections.abc import Callable
from typing import Any

import cloudpickle
import numpy as np
import pytest

from pairsim.errors import InputError, StrategyError
from pairsim.orders.order import MAX_MARKETS as ORDER_MARKETS
from pairsim.strategies import RSI, HeikinAshiMomentum, Simple, Strategy, fields_of, param, retuned, state
from pairsim.strategies.strategy import MAX_MARKETS


class Dip(Strategy):
    period: int = param(14, 2, 60)
    low: float = param(30, 10, 50)  # an int where a float is annotated
    share: float = param(0.25, 0.0, 1.0, above_low=True)
    twice: bool = param(False)
    anything: float = param(1.0)
    peak: float = state(float("nan"))
    count: int = state(0)
    window = state([0.0, 1.0])


def test_the_limit_of_markets_is_that_of_orders() -> None:
    assert MAX_MARKETS == ORDER_MARKETS


def test_values_are_converted_to_the_declared_type() -> None:
    dip = Dip(period=np.int64(21), low=20, twice=np.bool_(True))
    assert (dip.period, dip.low, dip.twice) == (21, 20.0, True)
    assert [type(v) for v in (dip.period, dip.low, dip.twice)] == [int, float, bool]


def test_the_repr_is_the_call_that_makes_it() -> None:
    assert repr(Dip(period=21)) == "Dip(period=21, low=30.0, share=0.25, twice=False, anything=1.0)"
    assert repr(RSI()) == "RSI(period=14, low=30.0, high=70.0, weight=0.25)"
    assert repr(Simple()) == "Simple(fast=10, slow=30, weight=0.25)"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"period": 1}, r"Dip.period=1 is outside its limits; it must be from 2 to 60"),
        ({"period": 61}, r"Dip.period=61 is outside .* from 2 to 60"),
        ({"period": 14.0}, r"Dip.period is an int \(64 bits\), got 14.0 \(float\)"),
        ({"period": True}, r"got True \(bool\)"),
        ({"period": "14"}, r"got '14' \(str\)"),
        ({"period": None}, r"got None \(NoneType\)"),
        ({"low": "x"}, r"Dip.low is a float, got 'x'"),
        ({"low": float("nan")}, r"Dip.low=nan is outside .* from 10.0 to 50.0"),
        ({"anything": float("inf")}, r"Dip.anything=inf is outside its limits; it must be finite"),
        ({"anything": 10**400}, r"Dip.anything is a float, got 1000"),
        ({"share": 0}, r"Dip.share=0.0 is outside .* above 0.0 and at most 1.0"),
        ({"twice": 1}, r"Dip.twice is a bool, got 1"),
        ({"perod": 3}, r"Dip has no parameter 'perod' \(got 3\); it has: period, low, share, twice, anything"),
        ({"peak": 3.0}, r"Dip.peak is a state, got peak=3.0; only parameters are set from outside"),
    ],
)
def test_a_wrong_value_is_refused_with_class_name_value_and_limits(values: dict[str, Any], words: str) -> None:
    with pytest.raises(StrategyError, match=words):
        Dip(**values)
    with pytest.raises(StrategyError, match=words):
        retuned(Dip(), **values)


def test_a_value_set_later_is_checked_too() -> None:
    dip = Dip()
    dip.period = 30
    assert dip.period == 30
    with pytest.raises(StrategyError, match="from 2 to 60"):
        dip.period = 100
    with pytest.raises(StrategyError, match="holds 2 floats"):
        dip.window = [1.0]


def test_retuning_leaves_the_original_alone() -> None:
    one = Dip()
    other = retuned(one, period=40)
    other.window[0] = 9.0
    assert (one.period, other.period, one.window[0], other.low) == (14, 40, 0.0, 30.0)


def test_array_states_are_not_shared_between_instances() -> None:
    one, other = Dip(), Dip()
    one.window[0] = 5.0
    assert other.window[0] == 0.0


def test_strategies_travel_between_processes() -> None:
    copied = cloudpickle.loads(cloudpickle.dumps(Dip(period=21)))
    assert repr(copied) == repr(Dip(period=21))


def declare(**body: Any) -> Callable[[], type]:
    return lambda: type("Bad", (Strategy,), body)


def annotated(note: Any, default: Any) -> Callable[[], type]:
    return declare(x=param(default), __annotations__={"x": note})


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (annotated(int, 1.5), r"Bad.x: annotated int, but the default 1.5 is a float"),
        (annotated("int", 1.5), r"annotated int, but"),
        (annotated(bool, 1), r"annotated bool, but the default 1 is an int"),
        (annotated(float, True), r"annotated float, but the default True is a bool"),
        (annotated(str, 1), r"annotated <class 'str'>, it must be float, int or bool"),
        (declare(x=param("a")), r"Bad.x: the default is 'a', it must be a float, an int or a bool"),
        (declare(x=state(None)), r"the default is None, .*for \"no value\" use float\('nan'\)"),
        (declare(x=param(1, 2, 3)), r"Bad.x=1 is outside its limits; it must be from 2 to 3"),
        (declare(x=param(1, 3, 2)), r"low=3 is above high=2"),
        (declare(x=param(1, 0.5, 3)), r"low=0.5 must be an int"),
        (declare(x=param(True, 0, 1)), r"a bool has no limits"),
        (declare(x=param([1.0])), r"arrays are for state\(\)"),
        (declare(x=state(["a"])), r"is no list of floats"),
        (declare(x=state([])), r"shape \(0,\)"),
        (declare(x=state(np.zeros((2, 2)))), r"shape \(2, 2\)"),
        (declare(indicators=param(1)), r"Bad.indicators: Strategy uses this name itself"),
        (declare(markets=param(1)), r"Bad.markets: Strategy uses this name itself"),
        (declare(**{"a b": param(1)}), r"'a b' cannot be a name"),
        (declare(**{"class": param(1)}), r"'class' cannot be a name"),
        (declare(x=state([0.0] * 257)), r"declares 257 words .* the limit is 256"),
        (declare(markets=0), r"Bad.markets is 0; it must be a whole number from 1 to 4"),
        (declare(markets=True), r"Bad.markets is True"),
        (lambda: type("Child", (Dip,), {"low": 3}), r"Child.low stands for a parameter of Dip and for something else"),
        (lambda: type("Child", (Dip,), {"count": lambda self: 3}), r"Child.count stands for a state of Dip"),
    ],
)
def test_a_wrong_declaration_is_refused_when_the_class_is_made(make: Callable[[], type], words: str) -> None:
    with pytest.raises(StrategyError, match=words):
        make()


def test_a_subclass_inherits_and_may_declare_again() -> None:
    class Child(Dip):
        period: int = param(5, 2, 10)
        extra: float = param(0.5)

    assert list(fields_of(Child))[:2] == ["period", "low"]
    assert Child().period == 5
    assert Dip().period == 14
    with pytest.raises(StrategyError, match=r"Child\.period=11"):
        Child(period=11)


def test_what_cannot_be_laid_over_a_record_is_refused() -> None:
    with pytest.raises(StrategyError, match="Abstract has a metaclass or __slots__"):

        class Abstract(Strategy, ABC):
            pass

    with pytest.raises(StrategyError, match="Slotted has a metaclass or __slots__"):

        class Slotted(Strategy):
            __slots__ = ("note",)


def test_a_constructor_of_ones_own_that_forgets_ours_gives_the_defaults() -> None:
    class Own(Dip):
        def __init__(self) -> None:
            self.note = "mine"

    assert Own().period == 14
    assert repr(Own()).startswith("Own(period=14")


@pytest.mark.parametrize("cls", [RSI, Simple, HeikinAshiMomentum])
def test_shipped_strategies_have_the_limits_they_promise(cls: type[Strategy]) -> None:
    for name, field in fields_of(cls).items():
        if field.kind is int:
            assert (field.low, field.high) == (2, 1000), name
        elif name == "weight":
            assert (field.low, field.high, field.above_low) == (0.0, 1.0, True)
        else:
            assert (field.low, field.high) == (0.0, 100.0), name


def test_a_strategy_error_is_no_input_error() -> None:
    assert not issubclass(StrategyError, InputError)
