"""Compiled and plain runs of one class: the same signals, the same states, the same failures, candle by candle."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies.examples import EXAMPLES, closure_over
from strategies.running import Runner, both, candle

from pairsim.strategies import RSI, SIGNAL, HeikinAshiMomentum, Simple, Strategy, StrategyCode, prepare

STRATEGIES: tuple[type[Strategy], ...] = (RSI, Simple, HeikinAshiMomentum, *EXAMPLES, closure_over(50.0))
_codes: dict[type[Strategy], StrategyCode] = {}


def code_of(cls: type[Strategy]) -> StrategyCode:
    """Each class prepared once."""
    if cls not in _codes:
        _codes[cls] = prepare(cls())
    return _codes[cls]


# Numbers near each other, so that comparisons go both ways, and those on which compiled and plain code could part.
number = st.one_of(
    st.floats(0.0, 100.0),
    st.integers(0, 100).map(float),
    st.sampled_from([math.nan, math.inf, -math.inf, 0.0, -0.0, 5e-324, 1e308]),
)
price = st.one_of(st.floats(0.01, 100.0), st.sampled_from([1.0, 50.0, 100.0]))
market = st.tuples(price, price, price, price, st.integers(0, 16).map(float), number, price, number)
step = st.tuples(st.tuples(market, market), st.lists(number, min_size=8, max_size=8), st.integers(-10, 2**60))


@pytest.mark.parametrize("cls", STRATEGIES, ids=lambda cls: cls.__name__)
@settings(max_examples=60, deadline=None)
@given(steps=st.lists(step, min_size=1, max_size=12))
def test_compiled_and_plain_agree_on_every_candle(cls: type[Strategy], steps: list) -> None:
    code = code_of(cls)
    compiled, plain = both(code)
    for markets, values, time in steps:
        shown, outputs = markets[: code.markets], values[: code.markets * code.outputs]
        counts = [runner.step(shown, outputs, time=time) for runner in (compiled, plain)]
        _agree(compiled, plain, counts)


def _agree(compiled: Runner, plain: Runner, counts: list[int]) -> None:
    if counts[0] >= 0 > counts[1]:
        # Amounts that no order can carry: refused at once in plain Python, by the sizing kernel otherwise.
        assert "StrategyError" in plain.code.last_error()
        assert np.array_equal(compiled.record, plain.record)
        return
    assert counts[0] == counts[1], plain.code.last_error()
    assert repr(compiled.signals(counts[0])) == repr(plain.signals(counts[1]))
    words = SIGNAL.itemsize // 8 * max(0, counts[0])
    assert np.array_equal(compiled.out[:words], plain.out[:words])
    assert np.array_equal(compiled.record, plain.record)


def test_the_shipped_strategies_trade_a_random_walk_alike() -> None:
    generator = np.random.default_rng(5)
    closes = 100.0 * np.exp(np.cumsum(generator.normal(0.0, 0.01, 3_000)))
    for cls in (RSI, Simple, HeikinAshiMomentum):
        code = prepare(cls())
        table = dict.fromkeys(("open", "high", "low", "close", "volume"), closes)
        table["open"] = np.concatenate([closes[:1], closes[:-1]])
        outputs = np.concatenate([indicator.compute(table) for _, indicator in code.indicators], axis=1)
        runners, quantity, fills = both(code), 0.0, 0
        for i, close in enumerate(closes):
            shown = candle(close, quantity, open=table["open"][i])
            counts = [runner.step(shown, outputs[i]) for runner in runners]
            _agree(*runners, counts)
            for signal in runners[0].signals(counts[0]):
                quantity, fills = (1.0 if signal.kind == 1 else 0.0), fills + 1
        assert fills > 10, cls


def test_every_failure_of_fragile_is_a_failure_in_both() -> None:
    code = code_of(EXAMPLES[6])
    for case, word in enumerate(
        ("", "ZeroDivision", "IndexError", "by hand", "exactly one", "is an int", "NaN", "bool")
    ):
        compiled, plain = both(code)
        counts = [runner.step(candle(100.0, volume=float(case))) for runner in (compiled, plain)]
        assert counts == ([-1, -1] if case else [0, 0])
        assert word in (code.last_error() if case else "")
        assert compiled.fields() == plain.fields()
