"""The plain twin: what `self` and `ctx` are to the interpreter, and what happens when user code misbehaves."""

import gc
import sys
import threading
from typing import Any

import numpy as np
import pytest
from strategies import examples
from strategies.running import GENERATE, One, Runner, Three, candle

from pairsim import strategies as ps
from pairsim.errors import StrategyError


def plain(strategy: ps.Strategy) -> Runner:
    code = ps.prepare(strategy)
    return Runner(code, code.plain().address())


class Recorder(ps.Strategy):
    """Keeps what it is shown; an undeclared attribute, so it runs as plain Python."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Any] = []

    def indicators(self) -> dict[str, Any]:
        return {"rsi": One(), "macd": Three()}

    def generate_signal(self, ctx: Any) -> Any:
        self.seen.append(ctx)


class PairRecorder(Recorder):
    markets = 2


# --- ctx -----------------------------------------------------------------------------------------------------------


def test_ctx_shows_every_word_under_its_name() -> None:
    strategy = Recorder()
    runner = plain(strategy)
    runner.step(candle(1.0), [9, 9, 9, 9])
    runner.step([[1, 2, 3, 4, 5, 6, 7, 8]], [10, 11, 12, 13], time=1_700_000_000_000_000_001, cash=20, equity=30)
    ctx = strategy.seen[1]
    assert (ctx.time, ctx.index, ctx.cash, ctx.equity) == (1_700_000_000_000_000_001, 1, 20.0, 30.0)
    assert (ctx.open, ctx.high, ctx.low, ctx.close, ctx.volume) == (1, 2, 3, 4, 5)
    assert ctx.position == (6, 7, 8)
    assert (ctx.position.quantity, ctx.position.average_price, ctx.position.pending) == (6, 7, 8)
    assert (ctx.rsi, ctx.macd.line, ctx.macd.signal, ctx.macd.histogram) == (10, 11, 12, 13)
    assert (ctx.prev.rsi, ctx.prev.macd) == (9, (9, 9, 9))
    assert [type(x) for x in (ctx.time, ctx.index, ctx.close, ctx.rsi, ctx.macd.line)] == [
        int,
        int,
        float,
        float,
        float,
    ]
    assert len(ctx.markets) == 1


def test_every_market_has_its_candle_position_indicators_and_previous_values() -> None:
    strategy = PairRecorder()
    runner = plain(strategy)
    runner.step([range(8), range(8, 16)], range(8))
    runner.step([range(8), range(8, 16)], range(10, 18))
    ctx = strategy.seen[1]
    for k, market in enumerate(ctx.markets):
        assert market.close == 3 + 8 * k
        assert market.position == (5 + 8 * k, 6 + 8 * k, 7 + 8 * k)
        assert market.rsi == 10 + 4 * k
        assert market.macd == (11 + 4 * k, 12 + 4 * k, 13 + 4 * k)
        assert (market.prev.rsi, market.prev.macd.histogram) == (4 * k, 4 * k + 3)
    assert (ctx.close, ctx.rsi, ctx.prev.rsi) == (3, 10, 0)


def test_a_kept_ctx_is_a_snapshot() -> None:
    strategy = Recorder()
    runner = plain(strategy)
    for close in (1.0, 2.0, 3.0):
        runner.step(candle(close, quantity=close), [close] * 4)
    assert [(c.close, c.position.quantity, c.rsi, c.markets[0].close) for c in strategy.seen] == [
        (x, x, x, x) for x in (1.0, 2.0, 3.0)
    ]


def test_ctx_cannot_be_changed_and_reads_well() -> None:
    strategy = Recorder()
    plain(strategy).step(candle(2.5), [1, 2, 3, 4])
    ctx = strategy.seen[0]
    with pytest.raises(AttributeError):
        ctx.close = 3.0
    assert repr(ctx).startswith("Context(time=0, index=0, cash=10000.0, equity=10000.0, open=2.5")
    assert "macd=Outputs(line=2.0, signal=3.0, histogram=4.0)" in repr(ctx)
    assert repr(ctx.prev).startswith("Previous(rsi=nan, macd=")


# --- self ----------------------------------------------------------------------------------------------------------


def test_self_is_the_record_at_whatever_address_it_is_called_with() -> None:
    runner = plain(examples.Peak(stop=0.5))
    other = Runner(runner.code, runner.code.plain().address())
    runner.step(candle(5.0))
    other.step(candle(7.0, open=1.0))
    assert (runner.fields()["peak"], other.fields()["peak"]) == (5.0, 7.0)
    assert (runner.fields()["armed"], other.fields()["armed"]) == (0, 1)
    runner.record.view(np.float64)[0] = 0.01  # tuned from outside
    runner.step(candle(4.9, quantity=1.0))
    assert runner.signals(1)[0].kind == 2


def test_more_addresses_than_are_remembered_are_no_trouble() -> None:
    code = ps.prepare(examples.Window())
    runners = [Runner(code, code.plain().address()) for _ in range(200)]
    for i, runner in enumerate(runners):
        runner.step(candle(float(i)))
    assert [runner.fields()["closes"][0] for runner in runners] == [float(i) for i in range(200)]


class Stores(ps.Strategy):
    level: float = ps.param(1.0)
    x: float = ps.state(0.0)
    n: int = ps.state(0)
    flag: bool = ps.state(False)
    window = ps.state([0.0, 0.0])

    def __init__(self, name: str, value: Any) -> None:
        super().__init__()
        self.what = (name, value)

    def generate_signal(self, ctx: Any) -> None:
        setattr(self, *self.what)


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("x", 3, 3.0),
        ("x", True, 1.0),
        ("x", np.float64(2.5), 2.5),
        ("n", np.int64(4), 4),
        ("n", True, 1),
        ("n", -(2**63), -(2**63)),
    ]
    + [("flag", True, 1), ("flag", np.bool_(True), 1)],
)
def test_what_fits_is_stored(name: str, value: Any, kept: Any) -> None:
    runner = plain(Stores(name, value))
    assert runner.step(candle()) == 0, runner.code.last_error()
    assert runner.fields()[name] == kept


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("x", None, "must be real number, not NoneType"),
        ("x", "3", "must be real number, not str"),
        ("x", 10**400, "int too large to convert to float"),
        ("n", 1.5, r"Stores.n is an int \(64 bits\), 1.5 \(float\) does not fit"),
        ("n", 2**63, "9223372036854775808 .* does not fit"),
        ("n", None, "None .* does not fit"),
        ("flag", 1, r"Stores.flag is a bool, 1 \(int\) does not fit"),
        ("level", 2.0, "Stores.level is a parameter, set to 2.0; a strategy changes states only"),
        ("window", [1.0, 2.0], r"change it in place: self.window\[:\] = ..."),
    ],
)
def test_what_does_not_fit_is_an_error_and_changes_nothing(name: str, value: Any, words: str) -> None:
    runner = plain(Stores(name, value))
    before = runner.record.copy()
    assert runner.step(candle()) == -1
    with pytest.raises(AssertionError, match=words):
        raise AssertionError(runner.code.last_error())
    assert np.array_equal(runner.record, before)


def test_undeclared_attributes_live_on_the_instance() -> None:
    strategy = Recorder()
    runner = plain(strategy)
    for _ in range(3):
        runner.step(candle(), [1, 2, 3, 4])
    assert len(strategy.seen) == 3


def test_super_and_isinstance_work_as_in_any_class() -> None:
    seen = []

    class Child(examples.Peak):
        def generate_signal(self, ctx: Any) -> Any:
            seen.append((isinstance(self, Child), type(self).__name__))
            return super().generate_signal(ctx)

    code = ps.prepare(Child())
    assert "plain Python: line" in code.reason
    runner = Runner(code, code.address())
    assert runner.step(candle(5.0, open=1.0)) == 1
    assert runner.fields()["entries"] == 1
    assert seen == [(True, "Child")]


# --- misbehaviour --------------------------------------------------------------------------------------------------


class Misbehaves(ps.Strategy):
    n: int = ps.state(0)

    def __init__(self, act: Any) -> None:
        super().__init__()
        self.act = act

    def generate_signal(self, ctx: Any) -> Any:
        self.n += 1
        return self.act() if callable(self.act) else self.act


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        ("buy", "returned 'buy'"),
        (ps.buy(float("nan")), "quantity nan must be a finite number above 0"),
        (ps.buy(float("inf")), "quantity inf"),
        (10**400, "returned 1000"),
        ((ps.buy(1),) * 5, "5 signals, the limit is 4"),
        (ps.buy(1, market=3), "market 3, of which 0 is the only one"),
        (lambda: ps.buy(10**400), "does not fit a float"),
        (lambda: ps.buy(), "exactly one of quantity, weight and notional, not none of them"),
        (ps.Signal(1, 0, 0, 1.0, 2**2000, 0.0, 0.0, 0.0, 0), "Error"),
    ],
)
def test_nonsense_is_minus_one_with_value_and_limit(returned: Any, words: str) -> None:
    runner = plain(Misbehaves(returned))
    assert runner.step(candle()) == -1
    assert words in runner.code.last_error()
    assert runner.fields()["n"] == 1


@pytest.mark.parametrize("error", [ValueError("by hand"), SystemExit(3), KeyboardInterrupt(), RecursionError()])
def test_an_exception_of_any_kind_is_minus_one_with_its_traceback(error: BaseException) -> None:
    def act() -> None:
        raise error

    runner = plain(Misbehaves(act))
    assert runner.step(candle()) == -1
    text = runner.code.last_error()
    assert text.startswith("Traceback (most recent call last):")
    assert type(error).__name__ in text
    assert "in generate_signal" in text
    assert "in decide" not in text, "our own frames are left out"
    assert type(runner.code.plain().last_exception) is type(error)


def test_endless_recursion_is_contained() -> None:
    def act() -> Any:
        return act()

    runner = plain(Misbehaves(act))
    assert runner.step(candle()) == -1
    assert "RecursionError" in runner.code.last_error()
    assert runner.step(candle()) == -1


def test_explaining_leaves_the_last_error_alone() -> None:
    runner = plain(Misbehaves("nonsense"))
    runner.step(candle())
    before = runner.code.last_error()
    text = runner.code.explain(runner.record, runner.view, runner.values, runner.previous)
    assert "returned 'nonsense'" in text
    assert runner.code.last_error() == before
    assert runner.fields()["n"] == 1


def test_explaining_a_candle_that_goes_well_is_empty() -> None:
    runner = plain(Misbehaves(None))
    runner.step(candle())
    assert runner.code.explain(runner.record, runner.view, runner.values, runner.previous) == ""


def test_nothing_leaks_over_many_candles() -> None:
    runner = plain(Misbehaves(ps.buy(1)))
    markets = candle()

    def used() -> np.ndarray:
        for _ in range(2_000):
            assert runner.step(markets) == 1
        gc.collect()
        return np.array([sys.getallocatedblocks(), sys.getrefcount(1)])

    used()
    first = used()
    assert (abs(used() - first) < 200).all()


def test_it_can_be_called_from_any_thread() -> None:
    code = ps.prepare(examples.Window())
    runner = Runner(code, code.plain().address())
    answers: list[int] = []
    thread = threading.Thread(target=lambda: answers.append(runner.step(candle(3.0))))
    thread.start()
    thread.join(10)
    assert answers == [0]
    assert runner.fields()["closes"][0] == 3.0


def test_the_address_stays_good_while_the_code_lives() -> None:
    code = ps.prepare(examples.Window())
    address = code.plain().address()
    gc.collect()
    assert code.plain().address() == address
    words = [np.zeros(64, np.int64) for _ in range(5)]
    words[0][0] = 4
    assert GENERATE(address)(*(block.ctypes.data for block in words)) == 0


def test_a_strategy_error_is_what_nonsense_raises() -> None:
    runner = plain(Misbehaves("nonsense"))
    runner.step(candle())
    assert isinstance(runner.code.plain().last_exception, StrategyError)
