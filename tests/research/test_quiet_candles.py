"""Passing over quiet candles in the strategy's own loop changes nothing, bit for bit."""

import numpy as np
import pytest
from research.workload import bars

import pairsim as ps
from pairsim.engine.plan import make_plan
from pairsim.market.candle import Columns
from pairsim.market.interval import parse_interval
from pairsim.research import History, Prepared, Simulation
from pairsim.research.door import Bars


class Everything(ps.Strategy):
    """Looks at every field of ctx and wants every kind of order."""

    period: int = ps.param(9, 2, 100)
    top: float = ps.state(0.0)
    told: int = ps.state(0)
    last: float = ps.state([0.0, 0.0])

    def indicators(self):
        return {"rsi": ps.RSI(self.period), "macd": ps.MACD(), "highest": ps.Highest(20)}

    def generate_signal(self, ctx):
        self.top = max(self.top, ctx.high)
        self.last[ctx.index % 2] = ctx.open + ctx.volume + ctx.time * 1e-18
        spread = ctx.macd.value - ctx.prev.macd.signal + (ctx.equity - ctx.cash) * 1e-9
        if ctx.position.quantity == 0 and ctx.rsi < 30.0 and spread < 0.5:
            self.told += 1
            if self.told % 4 == 0:
                return ps.buy(weight=0.5, limit=ctx.low * 0.999, expires=3, stop_loss=ctx.low * 0.99)
            if self.told % 4 == 1:
                return ps.buy(notional=500.0, stop=ctx.high * 1.001, take_profit=ctx.high * 1.01)
            if self.told % 4 == 2:
                return ps.sell(quantity=1.0)  # denied: there is nothing to sell
            return ps.buy(weight=0.3)
        if ctx.position.quantity > 0 and ctx.rsi > 70.0 and ctx.close > ctx.position.average_price * 0.99:
            return ps.close()
        if ctx.rsi > 80.0:
            return ps.cancel()
        return None


class Restless(ps.Strategy):
    """Wants something at every candle, mostly what it has."""

    def indicators(self):
        return {"slow": ps.SMA(50)}

    def generate_signal(self, ctx):
        return ps.target(weight=0.5 if ctx.close > ctx.slow else 0.0)


def _both(
    strategy: ps.Strategy, history: Bars, every: str | None, broker: ps.SimBroker
) -> tuple[Simulation, Simulation]:
    columns = history.columns
    trader = ps.Trader(columns.symbols[0], strategy, every=every)
    plan = make_plan([trader], history.interval_ns, markets=columns.symbols)
    fast = Prepared(plan, History(columns, history.interval_ns), broker, 10_000.0)
    assert fast._scan != 0, plan.codes[0].reason
    slow = Prepared(plan, History(columns, history.interval_ns), broker, 10_000.0)
    slow._scan = 0
    return [fast.run(), slow.run()]


@pytest.mark.parametrize("every", [None, "5m", "1h"])
@pytest.mark.parametrize(
    "strategy",
    [Everything(), Restless(), ps.strategies.RSI(), ps.strategies.Simple(), ps.strategies.HeikinAshiMomentum()],
    ids=lambda strategy: type(strategy).__name__,
)
def test_the_strategys_own_loop_changes_nothing(strategy: ps.Strategy, every: str | None) -> None:
    broker = ps.SimBroker(latency="90s", slippage_bps=3.0, participation=0.9, jitter="30s", seed=3)
    for chosen in (ps.SimBroker(), broker):
        fast, slow = _both(strategy, bars(30_000, 5), every, chosen)
        assert len(slow.orders) > 3
        for name in ("orders", "events", "times", "equity", "portfolio"):
            assert getattr(fast, name).tobytes() == getattr(slow, name).tobytes(), name
        assert fast.evaluations == slow.evaluations
        assert fast.skipped == slow.skipped


@pytest.mark.parametrize("every", ["1m", "5m"])
def test_nothing_changes_either_where_candles_are_missing(every: str) -> None:
    whole = bars(30_000, 6)
    kept = np.random.default_rng(1).random(30_000) > 0.02
    kept[500:700] = False
    columns = Columns(whole.columns.symbols, *(column[kept] for column in whole.columns[1:]))
    plan = make_plan([ps.Trader("BTC/USDT", Everything(), every=every)], whole.interval_ns, markets=columns.symbols)
    history = History(columns, whole.interval_ns)
    series = history.series(0, parse_interval(every))
    results = []
    for own_loop in (True, False):
        prepared = Prepared(plan, history, ps.SimBroker(), 10_000.0)
        if not own_loop:
            prepared._scan = 0
        assert prepared.alone == own_loop
        results.append(prepared.run())
    assert results[0].equity.tobytes() == results[1].equity.tobytes()
    assert results[0].events.tobytes() == results[1].events.tobytes()
    assert results[0].orders.tobytes() == results[1].orders.tobytes()
    # A candle behind a gap may complete two; only the later one is decided on, and then there is no own loop.
    assert results[0].evaluations[0] <= len(series)


def test_a_second_run_of_a_prepared_simulation_is_the_first_again() -> None:
    history = bars(20_000, 7)
    plan = make_plan([ps.Trader("BTC/USDT", Everything())], history.interval_ns, markets=history.columns.symbols)
    prepared = Prepared(plan, History(history.columns, history.interval_ns), ps.SimBroker(), 10_000.0)
    first, second = prepared.run(), prepared.run()
    assert first.orders.tobytes() == second.orders.tobytes()
    assert first.equity.tobytes() == second.equity.tobytes()
