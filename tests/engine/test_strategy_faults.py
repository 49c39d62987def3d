"""A strategy that raises or returns nonsense stops its own trader and says why; nothing else stops."""

import polars as pl
import pytest
from engine import faulty
from engine.examples import Counting, CountingPlain
from engine.lockstep import backtested, left_by
from engine.running import CANDLES, finish, output_of, python, until

import pairsim as ps
from pairsim.store.reader import Reader

# trader, what its message says, a line of the user's that its traceback shows (None: no line of his is to blame)
FAULTS = [
    (faulty.OutOfBounds(), "IndexError", "return values[at] / 2.0"),
    (faulty.DivisionByZero(), "ZeroDivisionError", "return ps.buy(quantity=1.0 / (self.turn - self.turn))"),
    (faulty.Amount(nan=True), "amount nan must be", None),
    (faulty.Amount(infinite=True), "amount inf must be", None),
    (faulty.Amount(amount=-0.5), "amount -0.5 must be", None),
    (faulty.Amount(amount=0.0), "amount 0.0 must be", None),
    (faulty.Amount(amount=1.5), "weight 1.5", None),
    (faulty.NegativeLimit(), "limit -", None),
    (faulty.LimitOfNothing(), "limit is NaN", "return ps.buy(quantity=1, limit=ctx.close * float(\"nan\"))"),
    (faulty.WrongMarket(), "a market the trader does not have (it has 1)", None),
    (faulty.Raises(), "ValueError: the moon is full", 'raise ValueError("the moon is full")'),
    (faulty.Leaves(), "SystemExit: 3", "raise SystemExit(3)"),
    (faulty.Recurses(), "RecursionError", "return self.wrong(ctx)"),
    (faulty.Text(), "generate_signal returned 'buy'; return None, one of ps.buy", None),
    (faulty.Five(), "returned 5 signals, the limit is 4", None),
    (faulty.Huge(), "does not fit a float", "return ps.buy(10**400)"),
    (faulty.StoresText(), "StrategyError: Faulty.turn is an int", 'self.turn = "many"'),
]  # fmt: skip
NEIGHBOURS = [
    ps.Trader("A/USDT", Counting(), name="before"),
    ps.Trader("A/USDT", CountingPlain(), name="before, plain"),
]


def name_of(number: int) -> str:
    return f"{number} {type(FAULTS[number][0]).__name__}"


@pytest.fixture(scope="module")
def bars():
    return ps.synthetic("A/USDT", "1m", n=60, seed=8, volatility=2.0)


@pytest.fixture(scope="module")
def run(bars):
    """All of them in one engine, in few workers, with neighbours at both ends."""
    wrong = [ps.Trader("A/USDT", strategy, name=name_of(k)) for k, (strategy, _, _) in enumerate(FAULTS)]
    last = ps.Trader("A/USDT", Counting(), name="behind")
    feed = ps.ReplayFeed(bars, speed=None, lockstep=True)
    with ps.Engine([*NEIGHBOURS, *wrong, last], feed, workers=2) as engine:
        yield finish(engine)


@pytest.mark.parametrize("number", range(len(FAULTS)), ids=name_of)
def test_it_stops_its_trader_and_says_why(run, number):
    _, message, line = FAULTS[number]
    health = run[name_of(number)].health
    assert (health.state, health.errors) == ("failed", 1)
    assert message in health.message
    assert "\n" not in health.message
    assert health.evaluations == faulty.FUSE - 1
    if line is not None:
        assert line in health.traceback
        assert "faulty.py" in health.traceback
    assert "numba" not in health.traceback


def test_what_it_held_it_holds(run):
    held = run.portfolio.positions.filter(pl.col("trader").str.contains(r"^\d"))
    assert held.height == len(FAULTS)
    assert (held["quantity"] > 0).all()
    assert run.fills.filter(pl.col("trader").str.contains(r"^\d")).height == len(FAULTS)


def test_its_neighbours_go_on_as_if_alone(run, bars):
    alone = backtested(NEIGHBOURS, bars)
    found = left_by(run)
    for name in ("before", "before, plain"):
        assert [f[:8] for f in found.fills if f[2] == name] == [f[:8] for f in alone.fills if f[2] == name]
        assert run[name].health.state == "active"
        assert run[name].health.evaluations >= 50
    behind = [(f[0], *f[3:8]) for f in found.fills if f[2] == "behind"]
    assert behind == [(f[0], *f[3:8]) for f in found.fills if f[2] == "before"]


def test_the_accounts_are_conserved(run):
    sign = pl.when(pl.col("side") == "BUY").then(1.0).otherwise(-1.0)
    fills, portfolio = run.fills, run.portfolio
    spent = fills.select((sign * pl.col("notional") + pl.col("fee")).sum()).item()
    assert portfolio.cash == pytest.approx(100_000.0 - spent, abs=1e-6)
    bought = fills.group_by("trader").agg((sign * pl.col("quantity")).sum().round(8).alias("quantity"))
    held = portfolio.positions.select("trader", pl.col("quantity").round(8)).filter(pl.col("quantity") != 0)
    assert held.sort("trader").equals(bought.filter(pl.col("quantity") != 0).sort("trader"))


def test_the_journal_keeps_the_tracebacks(run):
    told = Reader(run._path).health()
    assert told.height == len(FAULTS)
    assert set(told["trader"]) == {name_of(k) for k in range(len(FAULTS))}
    moment = run.orders["timestamp"].dt.min() + pl.duration(minutes=faulty.FUSE - 1)
    assert told.select((pl.col("timestamp") == moment).all()).item()
    assert run.metrics.failures == len(FAULTS)
    assert run.status.state == "finished"
    assert run.metrics.worker_restarts == 0


@pytest.mark.parametrize("strategy", [faulty.Mendable(), faulty.MendablePlain()], ids=["compiled", "plain"])
def test_resume_lets_it_try_again(strategy):
    traders = [ps.Trader("A/USDT", strategy), ps.Trader("A/USDT", Counting(), name="neighbour")]
    feed = ps.RandomFeed("100ms", seed=1, speed=20.0, start="2025-01-01")
    with ps.Engine(traders, feed) as engine:
        trader = engine["A/USDT"]
        until(lambda: trader.health.state == "failed", "the first failure")
        assert "IndexError" in trader.health.message
        assert "self.closes[self.done + 7] = ctx.close" in trader.health.traceback
        trader.resume()
        until(lambda: trader.health.errors == 2, "the second failure, at the next candle")
        trader.tune(broken=False)
        assert trader.health.state == "failed"
        trader.resume()
        until(lambda: trader.health.evaluations > 5, "evaluations after it was mended")
        health = trader.health
        assert (health.state, health.errors, health.message) == ("active", 2, "")
        until(lambda: engine.portfolio.positions["quantity"][0] > 0, "its first position")
        assert engine["neighbour"].health.state == "active"


def test_the_traceback_of_a_script_shows_its_line(tmp_path):
    script = tmp_path / "mine.py"
    text = CANDLES.replace("if self.seen % 3 == 1", "if ctx.close / (self.seen - 5) == 0.1").replace(
        "bars =", "\nbars ="
    )
    script.write_text(
        text
        + 'with ps.Engine(ps.Trader("BTC/USDT", Dip()), ps.ReplayFeed(bars, speed=None, lockstep=True)) as engine:\n'
        "    engine.wait(240)\n"
        'health = engine["BTC/USDT"].health\n'
        'print(engine["BTC/USDT"].compiled, health.state, health.message)\n'
        "print(health.traceback)\n"
    )
    told = output_of(python(str(script)))
    assert told.startswith("True failed ZeroDivisionError")
    assert "if ctx.close / (self.seen - 5) == 0.1" in told
    assert "mine.py" in told
