"""Money, metrics and marks: the fills give the portfolio, counters agree with frames, a run ends settled."""

import math
from typing import Any

import polars as pl
import pytest
from engine.examples import Counting, CountingPlain, Everything
from engine.running import finish, until

import pairsim as ps
from pairsim.store.reader import Reader

CASH = 10_000.0
MARKETS = ["A/USDT", "B/USDT"]


def traders() -> list[ps.Trader]:
    return [
        ps.Trader("A/USDT", Counting(), name="counting"),
        ps.Trader("A/USDT", CountingPlain(hold=3), every="300ms", name="plain"),
        ps.Trader("B/USDT", Everything(), name="everything"),
        ps.Trader("B/USDT", ps.strategies.Simple(fast=2, slow=5, weight=1.0), every="1s", name="all in"),
    ]


@pytest.fixture(scope="module", params=["free", "lockstep"])
def run(request):
    """The same candles free running and in lockstep, with everything a venue can do to an order."""
    lockstep = request.param == "lockstep"
    pace = None if lockstep else 100.0
    feed = ps.RandomFeed(seed=4, speed=pace, volatility=20.0, start="2025-01-01", n=1_500, lockstep=lockstep)
    broker = ps.SimBroker(
        latency="150ms", jitter="100ms", fee_bps=5, maker_fee_bps=1, slippage_bps=2, participation=0.5
    )
    with ps.Engine(traders(), feed, broker, cash=CASH, workers=2) as engine:
        finish(engine)
        engine.lockstep = lockstep
        yield engine


def signed() -> pl.Expr:
    return pl.when(pl.col("side") == "BUY").then(1.0).otherwise(-1.0)


def test_there_is_something_to_count(run):
    assert run.status.fills > (100 if run.lockstep else 10)  # free running it depends on the machine


def test_the_fills_give_the_portfolio(run):
    """cash + positions = opening + all fills, exactly: every number is an integer of a small unit."""
    fills, portfolio = run.fills, run.portfolio
    unit = 10**8
    money = fills.select(((signed() * pl.col("notional") + pl.col("fee")) * unit).round(0).cast(pl.Int64).sum()).item()
    assert round(portfolio.cash * unit) == round(CASH * unit) - money
    held = fills.group_by("trader", "symbol").agg(
        (signed() * pl.col("quantity") * unit).round(0).cast(pl.Int64).sum().alias("units")
    )
    units = {(row[1], row[0]): row[2] for row in held.rows()}
    for row in portfolio.positions.rows(named=True):
        assert round(row["quantity"] * unit) == units.get((row["symbol"], row["trader"]), 0)
        assert row["quantity"] >= 0.0
    fees = fills.group_by("trader").agg(pl.col("fee").sum())
    for row in portfolio.positions.rows(named=True):
        assert row["fees"] == pytest.approx(sum(fees.filter(pl.col("trader") == row["trader"])["fee"]))
    value = portfolio.positions["value"].sum()
    assert portfolio.equity == pytest.approx(portfolio.cash + value, rel=1e-12)
    gained = portfolio.positions.select((pl.col("realised") + pl.col("unrealised") - pl.col("fees")).sum()).item()
    assert portfolio.equity == pytest.approx(CASH + gained, rel=1e-9)


def test_cash_never_falls_below_nothing(run):
    spent = run.fills.select((signed() * pl.col("notional") + pl.col("fee")).cum_sum().alias("spent"))
    assert spent["spent"].max() <= CASH + 1e-6


def test_orders_and_fills_agree(run):
    orders, fills = run.orders, run.fills
    by_order = fills.group_by("client_order_id").agg(
        pl.col("quantity").sum(),
        (pl.col("quantity") * pl.col("price")).sum().alias("paid"),
        pl.col("timestamp").min().alias("first"),
    )
    joined = orders.join(by_order, on="client_order_id", how="left", suffix="_filled")
    filled = joined.filter(pl.col("quantity_filled").is_not_null())
    assert filled.height == by_order.height
    assert filled.select((pl.col("filled_quantity") - pl.col("quantity_filled")).abs().max()).item() < 1e-8
    assert (
        filled.select((pl.col("average_price") - pl.col("paid") / pl.col("quantity_filled")).abs().max()).item() < 1e-6
    )
    assert filled.filter(pl.col("first") < pl.col("timestamp")).height == 0
    assert filled.filter(pl.col("filled_quantity") > pl.col("quantity") + 1e-9).height == 0
    assert joined.filter(pl.col("quantity_filled").is_null())["filled_quantity"].unique().to_list() in ([0.0], [])
    assert orders["client_order_id"].is_unique().all()
    assert fills["trade_id"].is_unique().all()
    assert orders.columns[:12] == [
        "timestamp", "symbol", "trader", "side", "type", "quantity", "limit_price", "status", "filled_quantity",
        "average_price", "reason", "client_order_id",
    ]  # fmt: skip
    assert fills.columns[:10] == [
        "timestamp",
        "symbol",
        "trader",
        "side",
        "quantity",
        "price",
        "fee",
        "liquidity",
        "client_order_id",
        "trade_id",
    ]


def test_a_fill_comes_after_the_latency_at_the_open_of_a_candle(run):
    joined = run.fills.join(run.orders, on="client_order_id", suffix="_order").filter(pl.col("type") == "MARKET")
    waited = (joined["timestamp"] - joined["timestamp_order"]).dt.total_milliseconds()
    assert waited.min() >= 150
    assert (joined["timestamp"].to_physical() % 100_000_000 == 0).all()
    if run.lockstep:  # 150 to 250 ms on a grid of 100 ms: the second or third open, unless the volume was taken
        first = joined.group_by("client_order_id").agg(
            (pl.col("timestamp") - pl.col("timestamp_order")).min().dt.total_milliseconds()
        )
        assert first["timestamp"].min() == 200
        assert first.filter(pl.col("timestamp") <= 300).height > 0.5 * first.height
        assert not run.fills["late"].any()


def test_a_finished_run_is_settled(run):
    assert run.status.state == "finished"
    assert run.status.open_orders == 0
    orders = run.orders
    assert set(orders["status"]) <= {"FILLED", "CANCELED", "EXPIRED", "REJECTED", "DENIED"}
    ended = orders.filter(pl.col("reason") == "end of data")
    assert ended.height > 0 or not run.lockstep
    assert set(ended["status"]) <= {"EXPIRED"}
    assert run.status.feed_time == int(run.equity["timestamp"].to_physical().max())


def test_equity_is_marked(run):
    equity = run.equity
    assert equity.columns == ["timestamp", "equity"]
    assert equity.schema["timestamp"] == pl.Datetime("ns", "UTC")
    assert equity["timestamp"].is_sorted()
    assert equity["equity"].is_finite().all()
    assert equity["equity"][-1] == pytest.approx(run.portfolio.equity, rel=1e-12)
    if run.lockstep:
        assert equity.height == 1_500
        assert equity["equity"][0] == CASH
    else:
        assert equity.height >= 1


def test_the_counters_agree_with_each_other(run):
    metrics, status = run.metrics, run.status
    assert metrics.candles == status.candles == 2 * 1_500
    assert metrics.orders == status.orders == run.orders.height
    assert metrics.fills == status.fills == run.fills.height
    assert metrics.denied == run.orders.filter(pl.col("status") == "DENIED").height
    assert metrics.late == run.fills["late"].sum()
    assert (metrics.duplicates, metrics.failures, metrics.worker_restarts, metrics.quarantined, metrics.replays) == (
        0,
    ) * 5
    health = {handle.name: handle.health for handle in run.traders}
    assert health["counting"].evaluations == 1_500
    assert health["plain"].evaluations == 500
    assert health["all in"].evaluations == 150
    assert metrics.evaluated == sum(h.evaluations for h in health.values())
    assert metrics.decisions == sum(h.decisions for h in health.values())
    assert {h.state for h in health.values()} == {"active"}


def test_the_channels_tell_depth_and_high_water(run):
    channels = run.metrics.channels
    names = {"candles to worker 0", "candles to worker 1", "orders of worker 0", "orders of worker 1"}
    assert names <= set(channels)
    assert {"gate to order engine", "candles to broker"} <= set(channels)
    for name, channel in channels.items():
        assert channel["depth"] == 0, name
        assert 0 < channel["high_water"] <= channel["capacity"], name
        assert channel["pushed"] == channel["popped"] > 0, name
        assert channel["blocked_ns"] >= 0
    for name in names:
        if name.startswith("candles"):
            assert channels[name]["high_water"] <= 2 * 512, "credits: 512 a market"


def test_latencies_are_measured(run):
    metrics = run.metrics
    for latency in (metrics.tick_to_order, metrics.order_to_durable, metrics.order_to_fill):
        assert latency.samples > 0
        assert 0.0 < latency.p50_us <= latency.p99_us < math.inf
    assert metrics.tick_to_order.samples == min(metrics.decisions, 4_096)
    assert metrics.journal.rows > metrics.orders
    assert "us" in str(metrics.tick_to_order)


# --- idle and short runs ---------------------------------------------------------------------------------------------


class Never(ps.Strategy):
    def generate_signal(self, ctx: Any) -> Any:
        return None


def test_an_idle_engine_waits_and_marks():
    """Candles come once an hour: nothing to do, and commands are answered all the same."""
    feed = ps.RandomFeed("1h", seed=1, speed=1.0, start="2025-01-01")
    with ps.Engine(ps.Trader("A/USDT", Never()), feed) as engine:
        assert engine.wait(0) == "running"
        assert engine.status.candles == 0
        assert engine.portfolio.equity == 100_000.0
        until(lambda: engine.metrics.handled > 0, "history, to start warm")
        engine["A/USDT"].pause()
        until(lambda: engine["A/USDT"].health.state == "paused", "the pause")
        assert engine.flatten() == engine.halt() == 0
        engine.stop(flatten=True)
    assert engine.status.state == "stopped"
    assert engine.orders.height == engine.fills.height == 0


def test_a_single_candle():
    with ps.Engine(
        ps.Trader("A/USDT", Counting()), ps.RandomFeed(seed=1, speed=None, n=1, start="2025-01-01", lockstep=True)
    ) as engine:
        finish(engine)
        assert engine.orders["status"].to_list() == ["EXPIRED"]
        assert engine.orders["reason"].to_list() == ["end of data"]
        assert engine.equity.height == 1


def test_no_candle_at_all():
    bars = ps.synthetic("A/USDT", "1m", n=10)
    feed = ps.ReplayFeed(bars, speed=None, start="2030-01-01")
    with ps.Engine(ps.Trader("A/USDT", Counting()), feed) as engine:
        finish(engine)
        assert (engine.status.candles, engine.status.feed_time) == (0, 0)
        assert engine.orders.height == engine.fills.height == 0
        assert engine.portfolio.equity == 100_000.0


def test_the_store_outlives_the_engine(tmp_path):
    store = tmp_path / "run.db"
    with ps.Engine(
        ps.Trader("A/USDT", Counting()),
        ps.RandomFeed(seed=1, speed=None, n=500, start="2025-01-01", lockstep=True),
        store=store,
    ) as engine:
        finish(engine)
    assert [path.name for path in tmp_path.iterdir() if "lock" not in path.name] == ["run.db"]
    reader = Reader(store)
    assert reader.orders().equals(engine.orders)
    assert reader.fills().equals(engine.fills)
    runs = reader.runs()
    assert runs.height == 1
    assert runs["ended"][0] is not None
    assert "Counting" in runs["config"][0]
