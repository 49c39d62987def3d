"""Traders are tuned, swapped, silenced; the engine is paused, halted, flattened; seen in orders and controls."""

import contextlib
import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from engine.examples import FOREVER, Counting, CountingPlain
from engine.own_ports import Once, Withdrawing
from engine.running import until

import pairsim as ps
from pairsim.engine.order_engine import BEHIND
from pairsim.market.candle import CANDLE
from pairsim.store.reader import Reader


class Levels(ps.Strategy):
    """Buys by a level of an indicator; ``count`` survives a swap, ``level`` is no indicator's parameter."""

    period: int = ps.param(3, 2, 50)
    level: float = ps.param(1e9, 0.0, 1e9)
    count: int = ps.state(0)
    seen: float = ps.state(0.0)
    mean: float = ps.state(0.0)

    def indicators(self) -> dict[str, Any]:
        return {"mean": ps.SMA(self.period)}

    def generate_signal(self, ctx: Any) -> Any:
        self.count += 1
        self.seen = self.level
        self.mean = ctx.mean
        if ctx.mean > self.level and ctx.position.quantity == 0:
            return ps.buy(notional=100.0)
        return None


class Limits(ps.Strategy):
    """Keeps one limit order far below the market, so that something always works and nothing fills."""

    count: int = ps.state(0)

    def generate_signal(self, ctx: Any) -> Any:
        self.count += 1
        return ps.buy(quantity=0.001, limit=ctx.close * 0.5)


def running(*traders: ps.Trader, speed: float | None = 20.0, **options: Any) -> ps.Engine:
    feed = ps.RandomFeed("100ms", seed=11, speed=speed, start="2025-01-01", n=options.pop("n", None))
    engine = ps.Engine(list(traders), feed, **options)
    engine.start()
    assert engine.wait(0) in ("running", "finished")
    return engine


def sampled(value: Callable[[], int], seconds: float) -> list[int]:
    """A value at the beginning and at the end of a while."""
    first, deadline = value(), time.monotonic() + seconds
    until(lambda: time.monotonic() > deadline, "time passing")
    return [first, value()]


def controls(engine: ps.Engine) -> pl.DataFrame:
    return Reader(engine._path, run=engine._run).controls()


def journalled(engine: ps.Engine, name: str | None, kinds: list[str]) -> pl.DataFrame:
    """The controls of a trader, or of the engine, once these kinds are on disk: a command does not wait for that."""
    of = pl.col("trader").is_null() if name is None else pl.col("trader") == name
    until(lambda: controls(engine).filter(of).height >= len(kinds), f"{kinds} in the journal")
    told = controls(engine).filter(of)
    assert told["kind"].to_list() == kinds
    return told


def evaluated(engine: ps.Engine, name: str, more: int) -> None:
    """Wait for so many further evaluations of a trader."""
    handle = engine[name]
    before = handle.health.evaluations
    until(lambda: handle.health.evaluations >= before + more, f"{more} further evaluations of {name}")


@pytest.fixture(scope="module")
def engine():
    """One engine for all that leaves it as it was; each test has a trader of its own."""
    traders = [
        ps.Trader("A/USDT", Levels(), name="tuned"),
        ps.Trader("A/USDT", Levels(), name="tuned indicator"),
        ps.Trader("A/USDT", Counting(hold=FOREVER), name="swapped"),
        ps.Trader("A/USDT", Counting(), name="to plain"),
        ps.Trader("B/USDT", CountingPlain(), name="from plain"),
        ps.Trader("B/USDT", Counting(), name="paused"),
        ps.Trader("B/USDT", Counting(), every="300ms", name="often"),
        ps.Trader("B/USDT", Counting(), name="neighbour"),
    ]
    engine = running(*traders, workers=2)
    yield engine
    assert engine.status.state == "running"
    assert {handle.health.state for handle in engine.traders} == {"active"}
    engine.stop()
    assert engine.metrics.duplicates == engine.metrics.worker_restarts == 0


def test_a_tuned_parameter_counts_from_the_next_candle(engine):
    evaluated(engine, "tuned", 3)
    assert engine.fills.filter(pl.col("trader") == "tuned").height == 0
    engine["tuned"].tune(level=0.0)
    assert engine["tuned"].strategy.level == 0.0
    until(lambda: engine.fills.filter(pl.col("trader") == "tuned").height == 1, "the order that the new level asks for")
    told = journalled(engine, "tuned", ["tune"])
    assert json.loads(told["payload"][0]) == {"level": 0.0}
    assert told["timestamp"][0] <= engine.orders.filter(pl.col("trader") == "tuned")["timestamp"][0]


def test_a_parameter_of_an_indicator_is_tuned_with_its_warm_up(engine):
    """SMA(40) is warm at once from the host's history; states go on counting."""
    until(lambda: engine["tuned indicator"].health.evaluations > 45, "so much history")
    before = engine["tuned indicator"].health.evaluations
    engine["tuned indicator"].tune(period=40, level=0.0)
    assert engine["tuned indicator"].strategy.period == 40
    fills = pl.col("trader") == "tuned indicator"
    until(lambda: engine.fills.filter(fills).height == 1, "the order of the new version")
    health = engine["tuned indicator"].health
    assert health.evaluations >= before  # counters are carried over, not begun anew
    told = journalled(engine, "tuned indicator", ["tune"])
    assert json.loads(told["payload"][0])["values"] == {"period": 40, "level": 0.0}
    order = engine.orders.filter(fills)
    waited = (order["timestamp"][0] - told["timestamp"][0]).total_seconds()  # of feed time
    assert waited < 3.0, "40 candles of 100 ms would be 4 s"


def test_a_swap_keeps_position_and_states_of_the_same_name(engine):
    until(lambda: engine.fills.filter(pl.col("trader") == "swapped").height == 1, "its position")

    class Showing(ps.Strategy):
        """Shows its states as the limit of an order that never fills."""

        count: int = ps.state(0)  # goes on from what Counting had
        hold: float = ps.state(0.5)  # begins anew: it was a parameter

        def generate_signal(self, ctx: Any) -> Any:
            self.count += 1
            return ps.close(limit=1e7 + self.count + self.hold)

    evaluated(engine, "swapped", 3)
    before = engine["swapped"].health.evaluations
    bought = engine.orders.filter(pl.col("trader") == "swapped")["quantity"][0]
    engine["swapped"].swap(Showing())
    assert type(engine["swapped"].strategy) is Showing
    until(lambda: engine.orders.filter(pl.col("trader") == "swapped").height >= 4, "orders of the new one")
    shown = engine.orders.filter((pl.col("trader") == "swapped") & (pl.col("side") == "SELL"))
    assert shown["quantity"].unique().to_list() == [bought], "the position is the one the old strategy bought"
    assert shown["limit_price"][0] - 1e7 > before
    assert shown["limit_price"].diff().drop_nulls().unique().to_list() == [1.0]
    assert shown["limit_price"][0] % 1.0 == 0.5
    told = journalled(engine, "swapped", ["swap"])
    assert json.loads(told["payload"][0]) == {"strategy": "Showing()", "compiled": True}


def test_compiled_to_plain_and_back(engine):
    """A plain-Python strategy may take over a compiled trader, several times over."""
    fills = pl.col("trader") == "to plain"
    for k, strategy in enumerate([CountingPlain(hold=2), Counting(hold=3), CountingPlain(hold=4)]):
        engine["to plain"].swap(strategy)
        assert engine["to plain"].compiled == (k % 2 == 1)
        at = engine.fills.filter(fills).height
        until(lambda at=at: engine.fills.filter(fills).height >= at + 2, f"fills of version {k + 1}")
    journalled(engine, "to plain", ["swap"] * 3)


def test_plain_to_compiled(engine):
    engine["from plain"].swap(Counting(hold=5))
    assert engine["from plain"].compiled
    fills = pl.col("trader") == "from plain"
    at = engine.fills.filter(fills).height
    until(lambda: engine.fills.filter(fills).height >= at + 2, "fills")


def test_many_swaps_and_tunes_in_a_row(engine):
    """More than the two versions a trader has room for: each waits for the one before it."""
    for k in range(1, 8):
        engine["often"].swap(Counting(hold=k) if k % 2 else CountingPlain(hold=k))
        engine["often"].tune(hold=k + 1)
    assert engine["often"].strategy.hold == 8
    told = journalled(engine, "often", ["swap", "tune"] * 7)
    assert told["sequence"].to_list() == list(range(1, 15))
    at = engine.fills.filter(pl.col("trader") == "often").height
    until(lambda: engine.fills.filter(pl.col("trader") == "often").height > at, "a fill of the last version")


def test_a_paused_trader_is_silent_and_its_neighbour_is_not(engine):
    until(lambda: engine.fills.filter(pl.col("trader") == "paused").height > 1, "its first fills")
    engine["paused"].pause()
    until(lambda: engine["paused"].health.state == "paused", "the pause")
    silent = engine["paused"].health.evaluations
    evaluated(engine, "neighbour", 20)
    assert engine["paused"].health.evaluations == silent
    engine["paused"].resume()
    evaluated(engine, "paused", 2)
    told = journalled(engine, "paused", ["pause", "resume"])
    paused, resumed = told["timestamp"].to_list()
    assert paused < resumed
    orders = pl.col("trader") == "paused"
    until(lambda: engine.orders.filter(orders)["timestamp"][-1] > resumed, "an order after the pause")
    silence = pl.col("timestamp").is_between(paused, resumed, closed="right")
    assert engine.orders.filter(orders & silence).height == 0


# --- the engine ------------------------------------------------------------------------------------------------------


def test_a_paused_engine_takes_no_candle():
    with running(ps.Trader("A/USDT", Counting())) as engine:
        evaluated(engine, "A/USDT", 3)
        engine.pause()
        assert engine.status.state == "paused"
        engine["A/USDT"].tune(hold=7)  # a trader can be changed meanwhile; the feed thread does it, so it has paused
        stopped, seen = time.monotonic(), engine.status.candles
        assert engine.wait(1.0) == "paused"
        assert engine.status.candles == seen
        engine.pause()  # again is harmless
        resumed = time.monotonic()
        engine.resume()
        assert engine.status.state == "running"
        evaluated(engine, "A/USDT", 3)
        # the clock of the feed stood still: no burst of what was missed, at 200 a second
        more, missed, due = (
            engine.status.candles - seen, 200 * (resumed - stopped), 200 * (time.monotonic() - resumed),
        )  # fmt: skip
        assert more < due + missed / 2
        engine.pause()
    assert engine.status.state == "stopped"


def test_halt_latches_cancels_and_denies_with_the_reason():
    traders = [ps.Trader("A/USDT", Limits(), name="limits"), ps.Trader("B/USDT", Counting(hold=FOREVER), name="long")]
    with running(*traders) as engine:
        until(lambda: engine.status.open_orders == 1 and engine.status.fills == 1, "a working order and a position")
        assert engine.halt() >= 0
        assert engine.status.trading == "halted"
        until(lambda: engine.status.open_orders == 0, "the end of what was on its way")
        last = engine.orders.filter(pl.col("status") == "CANCELED")
        assert last["reason"].to_list()[-1] == "halted"

        def denied() -> pl.DataFrame:
            return engine.orders.filter(pl.col("status") == "DENIED")

        until(lambda: denied().height >= 5, "denials")
        assert denied()["reason"].unique().to_list() == ["trading is halted; unhalt() clears it"]
        assert engine.status.trading == "halted"
        until(lambda: engine.status.open_orders == 0, "the end of what had passed before and was withdrawn")
        position = engine.portfolio.positions.filter(pl.col("trader") == "long")
        assert position["quantity"][0] > 0
        assert engine.flatten() == 1  # reduces, so it passes
        until(lambda: engine.portfolio.positions["quantity"].to_list() == [0.0, 0.0], "a flat account")
        engine.pause()
        engine.resume()
        assert engine.status.trading == "halted"
        engine.unhalt()
        assert engine.status.trading == "active"
        until(lambda: engine.status.open_orders == 1, "a working order again")
        until(lambda: engine.metrics.denied == denied().height, "as many denials in the journal as were counted")
        journalled(engine, None, ["halt", "flatten", "pause", "resume", "unhalt"])


class Quiet:
    """A few candles, then none until somebody writes into a pipe. It is live."""

    interval = "1s"

    def __init__(self, pipe: Path, few: int = 20) -> None:
        os.mkfifo(pipe)
        self.pipe, self.few = pipe, few

    def candles(self, symbols: Sequence[str]) -> Iterator[ps.Candle]:
        for k in range(40):
            if k == self.few:
                self.pipe.read_bytes()
            yield ps.Candle(symbols[0], k * 1_000_000_000, 1.0, 1.0, 1.0, 1.0, 1.0)


class Fed:
    """Live; a candle for each byte that the test writes into its pipe."""

    interval = "1s"

    def __init__(self, pipe: Path) -> None:
        os.mkfifo(pipe)
        self.pipe = pipe

    def candles(self, symbols: Sequence[str]) -> Iterator[ps.Candle]:
        with self.pipe.open("rb", buffering=0) as pipe:
            for k in range(1_000_000):
                if not pipe.read(1):
                    return
                yield ps.Candle(symbols[0], k * 1_000_000_000, 1.0, 1.0, 1.0, 1.0, 1.0)


def fed(engine: ps.Engine, pipe: Any, reached: Callable[[], object], what: str) -> None:
    """Candles until something is so; then wait until all of them have been taken."""
    count = engine.status.candles

    def another() -> object:
        nonlocal count
        count += pipe.write(b".")
        return reached()

    until(another, what)
    until(lambda: engine.status.candles == count, "the last candle")


class Stuck(Quiet):
    """The same in one-candle arrays and not live: the thread that dispatches waits for the pipe."""

    validated, speed = True, None

    def candles(self, symbols: Sequence[str]) -> Iterator[Any]:
        for k, candle in enumerate(super().candles(symbols)):
            yield np.array([(0, k, *candle[1:])], CANDLE)


def test_halt_latches_though_a_command_before_it_takes_long(tmp_path):
    feed = Stuck(tmp_path / "pipe")
    with ps.Engine(ps.Trader("A/USDT", Levels()), feed) as engine, ThreadPoolExecutor(2) as threads:
        engine.wait(0)
        until(lambda: engine.status.candles >= 10, "candles")
        asked = engine._number
        waits = threads.submit(engine["A/USDT"].tune, period=5)  # for the next candle
        until(lambda: engine._number > asked, "a command under way")
        halted = threads.submit(engine.halt)
        until(lambda: engine.status.trading == "halted", "halted")
        assert not waits.done() and not halted.done()
        feed.pipe.write_bytes(b"")
        waits.result(30)
        assert halted.result(30) == 0


def test_a_live_feed_that_waits_for_its_next_candle_holds_up_no_control(tmp_path):
    """Nobody writes into its pipe: whatever waited for a candle would fail."""
    feed = Quiet(tmp_path / "pipe")
    with ps.Engine(ps.Trader("A/USDT", Counting(hold=FOREVER)), feed) as engine:
        engine.wait(0)
        trader = engine["A/USDT"]
        until(lambda: trader.health.evaluations == 20, "its candles")
        trader.tune(hold=5)
        trader.pause()
        until(lambda: trader.health.state == "paused", "the pause")
        trader.resume()
        trader.swap(Levels())
        trader.tune(period=5)
        engine.pause()
        engine.resume()
        until(lambda: trader.health.state == "active", "an end of the pause")
        journalled(engine, "A/USDT", ["tune", "pause", "resume", "swap", "tune"])
        assert engine.status.candles == 20
    assert engine.status.state == "stopped"


def test_a_position_that_no_candle_closes_is_told_when_a_stop_should_have_flattened(tmp_path):
    feed = Fed(tmp_path / "pipe")
    engine = ps.Engine(ps.Trader("A/USDT", Once()), feed).start()
    with feed.pipe.open("wb", buffering=0) as pipe:
        fed(engine, pipe, lambda: engine.portfolio.positions["quantity"].to_list() == [3.0], "a position")
        with pytest.warns(RuntimeWarning, match=r"1 position\(s\) are still open: no further candle came"):
            engine.stop(flatten=True)
    assert engine.status.state == "stopped"
    assert engine.portfolio.positions["quantity"].to_list() == [3.0]


def test_flatten_twice_closes_a_position_once(tmp_path):
    """No candle comes between the two, so the first order is still under way."""
    feed = Fed(tmp_path / "pipe")
    with (
        ps.Engine(ps.Trader("A/USDT", Once()), feed, ps.SimBroker(short=True)) as engine,
        feed.pipe.open("wb", buffering=0) as pipe,
    ):
        fed(engine, pipe, lambda: engine.portfolio.positions["quantity"].to_list() == [3.0], "a position")
        assert [engine.flatten(), engine.flatten()] == [1, 0]
        fed(engine, pipe, lambda: engine.status.open_orders == 0, "its fill")
        until(lambda: engine.portfolio.positions["quantity"].to_list() == [0.0], "its booking")
        assert engine.orders["side"].to_list() == ["BUY", "SELL"]


def test_a_cancel_reaches_the_venue_after_the_order_it_takes_back():
    """As fast as it goes: the order waits for the disk while the next decision comes."""
    with running(ps.Trader("A/USDT", Withdrawing()), speed=None, broker=ps.SimBroker(latency="50ms")) as engine:
        until(lambda: engine.status.orders > 1_000, "orders")
        ends = pl.DataFrame()

        def settled() -> bool:
            nonlocal ends
            ends = engine.orders.head(1_000)
            return set(ends["status"].unique()) == {"CANCELED"}

        until(settled, "their ends")
    assert ends["reason"].unique().to_list() == ["canceled by the strategy"]


def test_a_journal_that_fails_while_nothing_trades_halts_trading(tmp_path):
    with running(ps.Trader("A/USDT", Once()), store=tmp_path / "run.db") as engine:
        until(lambda: engine.status.fills == 1, "the only trade")
        until(lambda: engine.status.open_orders == 0, "nothing under way")
        with contextlib.closing(sqlite3.connect(engine._path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")  # the journal waits for this lock for 5 s, then it gives up
            until(lambda: engine.status.trading == "halted", "a halt")
        until(lambda: engine.status.state == "failed", "the failure")
        assert "database is locked" in engine.status.error
        assert engine.status.error.startswith("order engine: ")
        with pytest.raises(ps.errors.EngineError, match="database is locked"):
            engine.unhalt()
    assert engine.portfolio.positions["quantity"].to_list() == [3.0]


def test_a_market_order_that_waits_for_its_candle_is_seen_to_work(tmp_path):
    feed = Quiet(tmp_path / "pipe", few=3)
    with ps.Engine(ps.Trader("A/USDT", Counting(hold=FOREVER)), feed, ps.SimBroker(latency="5s")) as engine:
        engine.wait(0)
        until(lambda: engine.orders["status"].to_list() == ["ACCEPTED"], "an order at the venue")
        feed.pipe.write_bytes(b"")
        until(lambda: engine.orders["status"].to_list() == ["FILLED"], "its fill")
        told = Reader(engine._path, run=engine._run).events(engine.orders["client_order_id"][0])
        assert told["status"].to_list() == ["INITIALIZED", "ACCEPTED", "FILLED"]


def test_flatten_closes_every_position():
    traders = [
        ps.Trader(m, Counting(hold=FOREVER), name=n)
        for n, m in (("one", "A/USDT"), ("two", "A/USDT"), ("three", "B/USDT"))
    ]
    with running(*traders) as engine:
        until(lambda: engine.status.fills == 3, "three positions")
        for name in ("one", "two", "three"):
            engine[name].pause()
        until(lambda: {t.health.state for t in engine.traders} == {"paused"}, "silence")
        held = engine.portfolio.positions["quantity"].to_list()
        assert all(held)
        assert engine.flatten() == 3
        until(lambda: not any(engine.portfolio.positions["quantity"].to_list()), "a flat account")
        manual = engine.orders.tail(3)
        assert manual["side"].to_list() == ["SELL"] * 3
        assert manual["quantity"].to_list() == held
        assert manual["status"].to_list() == ["FILLED"] * 3
        assert manual["client_order_id"].str.contains("-m").all()
        assert engine.flatten() == 0


@pytest.mark.parametrize("speed", [None, pytest.param(50.0, marks=pytest.mark.soak)])
def test_a_stop_may_flatten(speed):
    traders = [ps.Trader("A/USDT", Counting(hold=FOREVER), name="long"), ps.Trader("A/USDT", Limits(), name="limits")]
    engine = running(*traders, speed=speed)
    until(lambda: engine.status.fills >= 1 and engine.status.open_orders >= 1, "a position and a working order")
    engine.stop(flatten=True)
    assert engine.status.state == "stopped"
    assert engine.portfolio.positions["quantity"].to_list() == [0.0, 0.0]
    assert engine.status.open_orders == 0
    assert engine.orders.filter(pl.col("status").is_in(["SUBMITTED", "ACCEPTED", "INITIALIZED"])).height == 0
    assert engine.portfolio.equity == pytest.approx(engine.portfolio.cash)


def test_a_disk_that_falls_behind_slows_the_feed_down():
    with running(ps.Trader("A/USDT", Limits()), ps.Trader("B/USDT", Limits()), speed=None) as engine:
        until(lambda: engine.status.orders > 0, "orders")
        with contextlib.closing(sqlite3.connect(engine._path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")  # the journal waits for this lock as it would for a slow disk, at most 5 s
            until(lambda: engine.metrics.journal.queued > BEHIND, "as many rows waiting as may wait")
            until(lambda: len(set(sampled(lambda: engine.status.orders, 0.2))) == 1, "no more orders taken")
            waiting = engine.status.orders
            assert BEHIND < engine.metrics.journal.queued < BEHIND + 4_000
        until(lambda: engine.status.orders > waiting + 2_000, "orders again")
        assert engine.metrics.journal.refused == 0
        assert engine.status.state == "running"


def test_a_stop_keeps_positions_and_settles_working_orders():
    traders = [ps.Trader("A/USDT", Counting(hold=FOREVER), name="long"), ps.Trader("A/USDT", Limits(), name="limits")]
    engine = running(*traders)
    until(lambda: engine.status.fills >= 1 and engine.status.open_orders >= 1, "a position and a working order")
    engine.stop()
    assert engine.portfolio.positions["quantity"][0] > 0
    assert engine.status.open_orders == 0
    last = engine.orders.filter(pl.col("trader") == "limits").tail(1)
    assert (last["status"][0], last["reason"][0]) == ("EXPIRED", "end of data")


def test_a_stop_that_flattens_in_lockstep_at_full_speed():
    feed = ps.RandomFeed("100ms", seed=1, speed=None, start="2025-01-01", lockstep=True)
    engine = ps.Engine([ps.Trader("A/USDT", Counting(hold=FOREVER))], feed)
    engine.start()
    until(lambda: engine.status.fills >= 1, "a position")
    engine.stop(flatten=True)
    assert engine.status.state == "stopped"
    assert engine.portfolio.positions["quantity"].to_list() == [0.0]


def test_control_after_the_end_of_the_data():
    """A finished run can still be tuned, paused and asked; nothing trades any more."""
    with running(ps.Trader("A/USDT", Counting()), speed=None, n=500) as engine:
        assert engine.wait(240) == "finished"
        orders = engine.orders.height
        engine["A/USDT"].tune(hold=9)
        engine["A/USDT"].swap(CountingPlain())
        engine["A/USDT"].pause()
        until(lambda: engine["A/USDT"].health.state == "paused", "the pause")
        assert engine.halt() == 0
        engine.unhalt()
        assert engine.status.state == "finished"
        assert engine.orders.height == orders
