"""A combination of a sweep is a backtest, to the last bit; the table is the same however the work is divided."""

import math
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import numpy as np
import polars as pl
import pytest
from research.workload import Cross, bars

import pairsim as ps
from pairsim.errors import InputError, StrategyError
from pairsim.orders.matching import new_book
from pairsim.research.combinations import Runner
from pairsim.research.door import read_bars
from pairsim.research.history import Series
from pairsim.research.simulate import Workplace
from pairsim.research.sweep_table import STATISTICS


class Ladder(ps.Strategy):
    """Limit entries with protective orders, a state, and what it looks at besides indicators."""

    step: float = ps.param(0.002, 0.0, 0.1)
    period: int = ps.param(20, 2, 200)
    seen: float = ps.state(0.0)

    def indicators(self):
        return {"top": ps.Highest(self.period), "band": ps.Bollinger(self.period)}

    def generate_signal(self, ctx):
        self.seen += 1.0
        if ctx.position.quantity == 0 and ctx.close < ctx.band.lower:
            low = ctx.close * (1.0 - self.step)
            return ps.buy(weight=0.5, limit=low, stop_loss=low * 0.99, take_profit=low * 1.01, expires=5)
        if ctx.position.quantity > 0 and ctx.close >= ctx.top and self.seen > 50.0:
            return ps.close()
        return None


class Plain(ps.Strategy):
    """A line that numba does not compile."""

    level: float = ps.param(30.0, 0.0, 100.0)

    def indicators(self):
        return {"rsi": ps.RSI(14)}

    def generate_signal(self, ctx):
        _ = {"a", "set"}
        if ctx.rsi < self.level and ctx.position.quantity == 0:
            return ps.buy(weight=1.0)
        if ctx.rsi > 60.0 and ctx.position.quantity > 0:
            return ps.close()
        return None


class Chosen(ps.Strategy):
    """Its indicators, even their names, depend on a parameter; one value cannot begin."""

    kind: int = ps.param(0, 0, 3)

    def indicators(self):
        if self.kind == 3:
            raise ValueError("no such kind")
        return {"line": ps.SMA(10)} if self.kind < 2 else {"line": ps.MACD(), "slow": ps.EMA(50)}

    def generate_signal(self, ctx):
        if ctx.close > ctx.open and ctx.position.quantity == 0:
            return ps.buy(weight=0.1)
        if ctx.close < ctx.open and ctx.position.quantity > 0:
            return ps.close()
        return None


def _same(a: float, b: float) -> bool:
    return a == b or (math.isnan(a) and math.isnan(b))


def _assert_rows_are_backtests(table: ps.Sweep, source, **options) -> None:
    """Each row against a backtest made by hand, bit for bit."""
    for row in range(len(table)):
        result = ps.backtest(table.strategy(row), source, **options)
        found = table.frame.row(row, named=True)
        for name in STATISTICS:
            here, there = getattr(result.stats, name), getattr(table.statistics(row), name)
            assert _same(here, there), f"row {row}: {name} {there!r}, backtest {here!r}"
        assert found["final_equity"] == result.final_equity
        assert found["orders"] == len(result.signals)


CASES = {
    "crossover": (Cross(), {"fast": [2, 5, 13], "slow": [20, 50]}, {"cash": 1e6}),
    "simple": (ps.strategies.Simple(), {"fast": [3, 9], "slow": [20, 31], "weight": [0.1, 1.0]}, {}),
    "rsi, half-paid orders": (ps.strategies.RSI(weight=1.0), {"period": [5, 14], "low": [20.0, 40]}, {"fee_bps": 3}),
    "heikin-ashi, five minutes": (ps.strategies.HeikinAshiMomentum(), {"period": [7, 14, 21]}, {"every": "5m"}),
    "limits, stops, a state": (Ladder(), {"step": [0.0, 0.001], "period": [10, 30]}, {}),
    "latency, slippage, partial fills": (
        ps.strategies.RSI(),
        {"period": [5, 14]},
        {"broker": ps.SimBroker(latency="90s", slippage_bps=2, participation=0.5, jitter="30s", seed=4)},
    ),
    "risk limits": (
        Cross(),
        {"fast": [2, 5], "slow": [20, 50]},
        {"cash": 1e6, "risk": ps.RiskLimits(max_order_notional=100.0)},
    ),
    "plain Python": (Plain(), {"level": [20.0, 30.0, 45.0]}, {}),
    "indicators that differ": (Chosen(), {"kind": [0, 1, 2]}, {}),
}


@pytest.mark.parametrize("case", CASES)
def test_every_row_equals_the_backtest_with_the_same_parameters(case: str) -> None:
    strategy, space, options = CASES[case]
    source = bars(3_000)
    table = ps.sweep(strategy, source, space, **options)
    assert len(table) == math.prod(map(len, space.values()))
    assert table.frame["orders"].sum() > 0
    _assert_rows_are_backtests(table, source, **options)


def test_markets_on_one_account_and_pairs_equal_their_backtests() -> None:
    source = read_bars(ps.synthetic(["A/USDT", "B/USDT"], "1m", n=2_000, seed=3))
    spread = ps.sweep(
        ps.strategies.PairsSpread, source, {"memory": [20, 60], "enter": [1.0]}, broker=ps.SimBroker(short=True)
    )
    assert spread.frame["orders"].sum() > 0
    _assert_rows_are_backtests(spread, source, broker=ps.SimBroker(short=True))
    _assert_rows_are_backtests(ps.sweep(ps.strategies.RSI(), source, {"period": [5, 9], "weight": [0.2, 0.6]}), source)


def test_symbols_are_traded_alone_each_on_an_account_of_its_own() -> None:
    frame = ps.synthetic(["A/USDT", "B/USDT", "C/USDT"], "1m", n=1_500, seed=3)
    table = ps.sweep(ps.strategies.RSI(), frame, {"symbol": ["C/USDT", "A/USDT"], "period": [5, 9]})
    assert table.frame.select("symbol", "period").rows() == [
        ("C/USDT", 5), ("C/USDT", 9), ("A/USDT", 5), ("A/USDT", 9),
    ]  # fmt: skip
    for row, (symbol, period) in enumerate(table.frame.select("symbol", "period").rows()):
        alone = ps.backtest(ps.strategies.RSI(period=period), frame.filter(symbol=symbol))
        assert table.frame["final_equity"][row] == alone.final_equity
        assert all(_same(getattr(table.statistics(row), name), getattr(alone.stats, name)) for name in STATISTICS)
        assert table.result(row).digest == alone.digest


def test_symbols_of_different_histories_are_their_backtests_too() -> None:
    """Other times, other lengths; symbol the fastest axis, or the slowest."""
    frame = ps.synthetic(["A/USDT", "B/USDT"], "1m", n=1_500, seed=3)
    longer = frame.filter((pl.col("symbol") == "A/USDT") | (pl.col("timestamp") > frame["timestamp"][700]))
    for space in (
        {"period": [5, 9], "symbol": ["A/USDT", "B/USDT"]},
        {"symbol": ["A/USDT", "B/USDT"], "period": [5, 9]},
    ):
        table = ps.sweep(ps.strategies.RSI, longer, space, metric="total_return", every="5m")
        for row, (symbol, period) in enumerate(table.frame.select("symbol", "period").rows()):
            alone = ps.backtest(ps.strategies.RSI(period=period), longer.filter(symbol=symbol), every="5m")
            assert table.frame["final_equity"][row] == alone.final_equity
            assert all(_same(getattr(table.statistics(row), name), getattr(alone.stats, name)) for name in STATISTICS)
        assert math.isnan(table.best.overfitting)  # blocks of other times cannot be compared


def test_instruments_of_symbols_are_obeyed() -> None:
    frame = ps.synthetic(["A/USDT", "B/USDT"], "1m", n=1_000, seed=3)
    declared = [ps.Instrument("B/USDT", lot_size=0.5, tick_size=0.5)]
    table = ps.sweep(ps.strategies.RSI, frame, {"symbol": ["A/USDT", "B/USDT"]}, instruments=declared)
    for row, symbol in enumerate(table.frame["symbol"]):
        alone = ps.backtest(ps.strategies.RSI(), frame.filter(symbol=symbol), instruments=declared)
        assert table.frame["final_equity"][row] == alone.final_equity


def test_each_indicator_is_computed_once_and_let_go_of_with_its_symbol(monkeypatch: pytest.MonkeyPatch) -> None:
    computed, held = [], []
    compute = Series._computed

    def counted(self: Series, indicator):
        if indicator not in self._outputs:
            computed.append((id(self), indicator))
            held.append(self)
        return compute(self, indicator)

    monkeypatch.setattr(Series, "_computed", counted)
    ps.sweep(Cross, bars(500), {"fast": range(2, 12), "slow": range(6, 16)})
    assert len(computed) == len(set(computed)) == 14
    computed.clear(), held.clear()
    frame = ps.synthetic(["A/USDT", "B/USDT"], "1m", n=500, seed=3)
    ps.sweep(ps.strategies.RSI, frame, {"symbol": ["A/USDT", "B/USDT"], "period": [5, 9]})
    assert held and not any(series._outputs for series in held)


def test_logs_and_book_that_are_too_small_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Orders by the thousand, through logs that hold a few at a time."""
    source, space = bars(3_000), {"fast": [2, 3], "slow": [4, 5]}
    whole = ps.sweep(Cross, source, space, cash=1e6)
    assert whole.frame["orders"].min() > 500
    monkeypatch.setattr("pairsim.research.sweep_stage._LOG_BYTES", 1)
    assert ps.sweep(Cross, source, space, cash=1e6).frame.equals(whole.frame)


def test_a_book_that_is_too_small_grows_and_its_combination_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    source, space = bars(3_000), {"step": [0.0, 0.001], "period": [10, 30]}
    expected = ps.sweep(Ladder, source, space)
    grown = []
    grow = Workplace.grow
    monkeypatch.setattr(Workplace, "grow", lambda self: grown.append(self) or grow(self))
    module = Workplace.__init__.__globals__  # its name is also that of a function
    monkeypatch.setitem(module, "new_book", lambda capacity, markets: new_book(10, markets))
    assert ps.sweep(Ladder, source, space).frame.equals(expected.frame)
    assert grown


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_the_table_is_the_same_at_any_number_of_threads(workers: int) -> None:
    source, space = bars(1_000), {"fast": range(2, 12), "slow": range(12, 22)}
    with ThreadPoolExecutor(workers) as threads:
        divided = ps.sweep(Cross, source, space, executor=threads)
    assert divided.frame.equals(ps.sweep(Cross, source, space).frame)


def test_the_table_is_the_same_from_processes() -> None:
    source, space = bars(1_000), {"fast": range(2, 12), "slow": range(12, 22)}
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as processes:
        divided = ps.sweep(Cross, source, space, executor=processes)
    assert divided.frame.equals(ps.sweep(Cross, source, space).frame)
    assert len(divided.notes) == 1  # about causality


def test_a_random_search_draws_the_same_by_the_same_seed_and_nothing_twice() -> None:
    source, space = bars(500), {"fast": range(2, 40), "slow": range(40, 90)}
    tables = [ps.sweep(Cross, source, space, search="random", n=50, seed=seed) for seed in (1, 1, 2)]
    assert tables[0].frame.equals(tables[1].frame)
    assert not tables[0].frame.equals(tables[2].frame)
    assert len(tables[0].frame.select("fast", "slow").unique()) == 50 == len(tables[0])
    assert tables[0].whole == 38 * 50
    everything = ps.sweep(Cross, source, {"fast": [2, 3], "slow": [5, 6]}, search="random", n=100)
    assert len(everything) == 4


def test_a_constraint_leaves_out_what_it_is_not_true_of() -> None:
    space = {"fast": range(2, 10), "slow": range(2, 10)}
    table = ps.sweep(Cross, bars(300), space, constraint=lambda p: p.fast < p.slow)
    assert (table.frame["fast"] < table.frame["slow"]).all()
    assert len(table) == 28
    drawn = ps.sweep(Cross, bars(300), space, search="random", n=10, constraint=lambda p: p.fast < p.slow)
    assert (drawn.frame["fast"] < drawn.frame["slow"]).all() and len(drawn) == 10


def test_a_combination_that_cannot_begin_is_a_row_with_an_error() -> None:
    table = ps.sweep(Chosen, bars(500), {"kind": [0, 3, 2]})
    assert table.frame["error"].to_list() == [None, "its parameters were refused", None]
    assert "no such kind" in table.error(1)
    assert math.isnan(table.frame["sharpe"][1])
    assert table.frame["trades"][1] is None


class Fails(ps.Strategy):
    """Raises on a candle that depends on its parameter."""

    after: int = ps.param(10, 1, 10_000)

    def generate_signal(self, ctx):
        if ctx.index >= self.after:
            raise ValueError("enough")
        if ctx.position.quantity == 0:
            return ps.buy(weight=0.5)
        return None


def test_a_strategy_that_raises_keeps_the_others_and_says_where() -> None:
    source = bars(300)
    table = ps.sweep(Fails, source, {"after": [5, 10_000, 200]}, metric="total_return")
    told = table.frame["error"].to_list()
    assert told[1] is None
    assert told[0].startswith("failed at the candle of 2020-")
    assert "enough" in table.error(0) and "close" in table.error(0)
    assert table.best.parameters == {"after": 10_000}
    assert "2 of 3 combinations failed" in repr(table)


class Leaves(ps.Strategy):
    """Leaves a limit order behind where it fails, or never orders at all."""

    after: int = ps.param(10, 1, 10_000)

    def generate_signal(self, ctx):
        if ctx.index >= self.after:
            raise ValueError("enough")
        if self.after < 100 and ctx.index == 3:
            return ps.buy(weight=0.5, limit=ctx.close * 0.995)
        return None


def test_what_a_failed_combination_leaves_behind_is_not_the_next_ones() -> None:
    with ThreadPoolExecutor(1) as threads:
        table = ps.sweep(Leaves, bars(2_000), {"after": [6, 10_000]}, executor=threads)
    assert table.frame["error"].is_null().to_list() == [False, True]
    assert table.frame["final_equity"][1] == 10_000.0
    assert table.frame["orders"].to_list() == [1, 0]


@pytest.mark.parametrize(
    ("space", "error", "words"),
    [
        ({}, InputError, "no axis"),
        ({"fast": []}, InputError, "no values"),
        ({"fsat": [1]}, InputError, "fast, slow"),
        ({"fast": [5, 5]}, InputError, "twice"),
        ({"fast": [5, 5000]}, StrategyError, "from 2 to 1000"),
        ({"fast": ["x"]}, StrategyError, "an int"),
        ({"symbol": ["NONE"]}, InputError, "BTC/USDT"),
        ([("fast", [1])], InputError, "must map"),
    ],
)
def test_a_space_that_cannot_be_tried_says_why(space, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        ps.sweep(Cross, bars(100), space)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"search": "genetic"}, "grid"),
        ({"search": "random"}, "needs n="),
        ({"n": 5}, "random"),
        ({"metric": "beauty"}, "sharpe"),
        ({"memory": "a lot"}, "1GB"),
        ({"memory": "1kB"}, "fit into memory"),
        ({"memory": "20kB"}, "columns would fit"),
        ({"executor": 5}, "concurrent.futures"),
        ({"cash": -1}, "above 0"),
        ({"constraint": lambda p: False}, "none of the"),
        ({"constraint": lambda p: p.size > 3}, "constraint raised AttributeError at fast=2, slow=20"),
        ({"constraint": "fast < slow"}, "must be a function"),
        ({"instruments": ["BTC/USDT"]}, "give a list of ps.Instrument"),
        ({"broker": ps.SimBroker(), "fee_bps": 3}, "not beside"),
    ],
)
def test_options_that_cannot_work_say_why(options, words: str) -> None:
    with pytest.raises(InputError, match=words):
        ps.sweep(Cross, bars(100), {"fast": range(2, 12), "slow": [20, 30]}, **options)


def centred(close: np.ndarray) -> np.ndarray:
    return np.convolve(close, np.ones(5) / 5, mode="same")


class Ahead(ps.Strategy):
    share: float = ps.param(0.1, 0.0, 1.0)

    def indicators(self):
        return {"line": ps.indicator(centred, lookback=5)}

    def generate_signal(self, ctx):
        return ps.buy(weight=self.share) if ctx.close < ctx.line and ctx.position.quantity == 0 else None


def test_an_indicator_that_looks_ahead_is_named() -> None:
    with pytest.raises(InputError, match="centred"):
        ps.sweep(Ahead, bars(2_000), {"share": [0.1, 0.2]})


def test_where_nothing_can_begin_the_reason_is_raised() -> None:
    with pytest.raises(StrategyError, match="no such kind"):
        ps.sweep(Chosen, bars(500), {"kind": [3]})


def test_no_trade_gives_nan_with_a_reason_and_no_warning() -> None:
    table = ps.sweep(ps.strategies.RSI, bars(200), {"low": [0.0, 0.5]})
    assert np.isnan(table.frame["sharpe"].to_numpy()).all()
    assert table.statistics(0).reasons["win_rate"] == "no closed trade"
    with pytest.raises(InputError, match="no combination has a sharpe"):
        table.best
    assert "no combination has a sharpe" in repr(table) and table._repr_html_()


def test_an_interrupt_keeps_what_is_finished() -> None:
    class Interrupted(Executor):
        """Runs two parts; Ctrl-C comes with the third, the others never begin."""

        _max_workers = 2

        def __init__(self) -> None:
            self.futures: list[Future] = []

        def submit(self, function, *arguments, **options):
            future: Future = Future()
            self.futures.append(future)
            if len(self.futures) <= 2:
                future.set_result(function(*arguments, **options))
            elif len(self.futures) == 3:
                future.set_exception(KeyboardInterrupt())
            return future

    executor, space = Interrupted(), {"fast": range(2, 12), "slow": range(12, 22)}
    table = ps.sweep(Cross, bars(1_000), space, executor=executor)
    assert table.interrupted
    assert len(executor.futures) == 8 and all(future.cancelled() for future in executor.futures[3:])
    assert len(table) == 26
    whole = ps.sweep(Cross, bars(1_000), space)
    assert table.frame.equals(whole.frame[:26])
    assert "interrupted: 26 of 100" in repr(table)


def test_parts_that_an_executor_loses_are_run_here() -> None:
    class Losing(ThreadPoolExecutor):
        def submit(self, function, *arguments, **options):
            future = super().submit(function, *arguments, **options)
            future.result = self._lost
            return future

        def _lost(self, timeout=None):
            raise BrokenPipeError("the worker is gone")

    space = {"fast": range(2, 6), "slow": range(12, 16)}
    with Losing(1) as threads:
        table = ps.sweep(Cross, bars(500), space, executor=threads)
    assert table.frame.equals(ps.sweep(Cross, bars(500), space).frame)
    assert "the worker is gone" in table.notes[1]


class Scaled(ps.Indicator):
    """A close times a factor; beyond the limit it raises."""

    factor: float = 1.0

    def step(self, state, candle):
        return candle.close / 0 if candle.close * self.factor > 1e6 else candle.close * self.factor


class Follows(ps.Strategy):
    factor: float = ps.param(1.0, 0.0, 1e9)

    def indicators(self):
        return {"line": Scaled(self.factor)}

    def generate_signal(self, ctx):
        if ctx.index % 40 == 0 and ctx.position.quantity == 0:
            return ps.buy(weight=0.5)
        return ps.close() if ctx.index % 40 == 20 and ctx.position.quantity > 0 else None


@pytest.mark.parametrize("factors", [[1.0, 1e9, 2.0, 1e8], [1e9, 1.0]])
@pytest.mark.parametrize("processes", [False, True])
def test_a_combination_whose_indicator_raises_keeps_the_others_and_says_where(factors, processes: bool) -> None:
    source = bars(300)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor:
        table = ps.sweep(Follows, source, {"factor": factors}, executor=executor if processes else None)
    fine = [k for k, factor in enumerate(factors) if factor < 10.0]
    assert table.frame["error"].is_null().to_list() == [factor < 10.0 for factor in factors]
    assert table.frame[fine].equals(ps.sweep(Follows, source, {"factor": [factors[k] for k in fine]}).frame)
    bad = factors.index(1e9)
    assert table.frame["error"][bad] == "an indicator could not be computed"
    assert "candle 0" in table.error(bad) and "ZeroDivisionError" in table.error(bad)
    assert f"failed, first row {bad} (factor=1000000000.0): Scaled" in repr(table)


def test_where_every_indicator_raises_the_first_reason_is_raised() -> None:
    with pytest.raises(StrategyError, match="ZeroDivisionError"):
        ps.sweep(Follows, bars(300), {"factor": [1e8, 1e9]})


def test_a_symbol_whose_indicator_raises_keeps_the_others() -> None:
    source = ps.synthetic(["A/USDT", "B/USDT", "C/USDT"], "1h", n=300, seed=2)
    dear = pl.when(pl.col("symbol") == "B/USDT").then(1e7).otherwise(1.0)
    source = source.with_columns(pl.col("open", "high", "low", "close") * dear)
    table = ps.sweep(Follows, source, {"symbol": ["A/USDT", "B/USDT", "C/USDT"]})
    assert table.frame["error"].is_null().to_list() == [True, False, True]
    alone = ps.sweep(Follows, source, {"symbol": ["A/USDT", "C/USDT"]})
    assert table.frame["final_equity"].to_list()[::2] == alone.frame["final_equity"].to_list()


def test_a_combination_that_cannot_be_run_at_all_keeps_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    space = {"fast": range(2, 6), "slow": range(12, 16)}
    whole, run = ps.sweep(Cross, bars(500), space), Runner.rows

    def exhausted(self, first, last, needs=None):
        if first <= 5 < last:
            raise MemoryError("no more")
        return run(self, first, last, needs)

    monkeypatch.setattr(Runner, "rows", exhausted)
    table = ps.sweep(Cross, bars(500), space)
    others = [k for k in range(16) if k != 5]
    assert not table.interrupted and table.frame[others].equals(whole.frame[others])
    assert table.frame["error"][5] == "it could not be run"
    assert table.error(5) == "it failed in the sweep, and did not fail again alone"
    assert "MemoryError: no more" in table.notes[1]


def test_an_error_that_comes_back_from_an_executor_loses_no_row() -> None:
    class Refusing(ThreadPoolExecutor):
        """Its second part fails with an error of this package."""

        def submit(self, function, *arguments, **options):
            future = super().submit(function, *arguments, **options)
            if arguments[0] > 0:
                future.result = lambda timeout=None: (_ for _ in ()).throw(StrategyError("not here"))
            return future

    space = {"fast": range(2, 6), "slow": range(12, 16)}
    with Refusing(1) as threads:
        table = ps.sweep(Cross, bars(500), space, executor=threads)
    assert table.frame.equals(ps.sweep(Cross, bars(500), space).frame)
    assert "StrategyError: not here" in table.notes[1]


def test_an_executor_that_takes_no_work_is_named() -> None:
    ended = ThreadPoolExecutor(1)
    ended.shutdown()
    with pytest.raises(InputError, match=r"takes no work.*after shutdown"):
        ps.sweep(Cross, bars(500), {"fast": [5, 6]}, executor=ended)
