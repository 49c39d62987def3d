"""A lockstep replay through real processes leaves what the backtest loop leaves, for any number of workers."""

import polars as pl
import pytest
from engine.examples import Counting, Everything, EverythingPlain, Spread
from engine.lockstep import assert_same, backtested, left_by
from engine.own_ports import Withdrawing
from engine.running import finish

import pairsim as ps


def everybody() -> list[ps.Trader]:
    """Several traders on each market, in other workers than their neighbours; longer intervals; two markets."""
    return [
        ps.Trader("A/USDT", ps.strategies.RSI(period=5), name="rsi"),
        ps.Trader("A/USDT", ps.strategies.Simple(fast=3, slow=8), name="simple"),
        ps.Trader("B/USDT", ps.strategies.HeikinAshiMomentum(period=4), name="momentum"),
        ps.Trader("B/USDT", Everything(), name="everything"),
        ps.Trader("B/USDT", EverythingPlain(), name="everything, plain"),
        ps.Trader("A/USDT", Everything(size=0.1), every="5m", name="everything, 5m"),
        ps.Trader(["A/USDT", "B/USDT"], Spread(), name="spread"),
        ps.Trader(["B/USDT", "A/USDT"], Spread(), every="3m", name="spread, 3m"),
    ]


@pytest.fixture(scope="module")
def two_markets() -> pl.DataFrame:
    return ps.synthetic(["A/USDT", "B/USDT"], "1m", n=1_000, seed=5, volatility=4.0)


@pytest.fixture(scope="module")
def expected(two_markets):
    return backtested(everybody(), two_markets)


def test_the_expectation_holds_every_kind_of_order_and_end(expected):
    orders = list(expected.orders.values())
    assert {row[4] for row in orders} == {"MARKET", "LIMIT", "STOP", "STOP_LOSS", "TAKE_PROFIT"}
    assert {row[8] for row in orders} >= {"FILLED", "CANCELED", "EXPIRED", "DENIED"}
    assert {row[2] for row in expected.fills} == {trader.name for trader in everybody()}
    plain = [row[4] for row in orders if row[2] == "everything, plain"]
    assert len(plain) > 50


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_everybody_at_once(two_markets, expected, workers):
    with ps.Engine(everybody(), ps.ReplayFeed(two_markets, speed=None, lockstep=True), workers=workers) as engine:
        finish(engine)
        assert_same(left_by(engine), expected)
        metrics = engine.metrics
        assert (metrics.late, metrics.duplicates, metrics.worker_restarts) == (0, 0, 0)
        assert [handle.compiled for handle in engine.traders].count(False) == 1


BROKERS = [
    ps.SimBroker(latency="90s", fee_bps=7, maker_fee_bps=2, slippage_bps=3),
    ps.SimBroker(jitter="200s", seed=3, participation=0.0005),
    ps.SimBroker(short=True, fee_bps=0),
]


@pytest.mark.parametrize("broker", BROKERS, ids=repr)
def test_every_option_of_the_simulated_venue(two_markets, broker):
    frame = two_markets.head(800)
    instruments = [
        ps.Instrument("A/USDT", tick_size=0.01, lot_size=0.001, minimum_notional=5.0),
        ps.Instrument("B/USDT", base_scale=4, lot_size=1e-4),
    ]
    cash = 5_000.0
    want = backtested(everybody(), frame, broker=broker, instruments=instruments, cash=cash)
    assert len(want.fills) > 50
    feed = ps.ReplayFeed(frame, speed=None, lockstep=True)
    with ps.Engine(everybody(), feed, broker, cash=cash, instruments=instruments, workers=2) as engine:
        finish(engine)
        assert_same(left_by(engine), want)


@pytest.mark.parametrize("latency", ["0s", "90s"])
def test_orders_that_are_taken_back(two_markets, latency):
    frame, broker = two_markets.head(300), ps.SimBroker(latency=latency)
    traders = [
        ps.Trader("A/USDT", Withdrawing(), name="a candle later"),
        ps.Trader("B/USDT", Withdrawing(both=True), name="in the same decision"),
    ]
    want = backtested(traders, frame, broker=broker)
    ends = [row[8:] for row in want.orders.values()]
    assert ends.count(("CANCELED", 0.0, "canceled by the strategy")) > 70
    # a cancel takes back what worked before its decision
    assert ends.count(("CANCELED", 0.0, "replaced by a new signal")) > 140
    with ps.Engine(traders, ps.ReplayFeed(frame, speed=None, lockstep=True), broker) as engine:
        finish(engine)
        assert_same(left_by(engine), want)


def test_candles_with_gaps(shared_data):
    """ADA/BTC lacks about 40 candles, XMR/BTC others: late closes, slices of one market, a stale second market."""
    frames = [ps.load(shared_data / f"{name}_BTC-5m.parquet", symbol=f"{name}/BTC") for name in ("ADA", "XMR")]
    frame = pl.concat(frames).sort("timestamp", maintain_order=True)
    traders = [
        ps.Trader("ADA/BTC", ps.strategies.RSI(period=4, low=40, high=60)),
        ps.Trader("ADA/BTC", Everything(), every="15m", name="ADA 15m"),
        ps.Trader("XMR/BTC", EverythingPlain(), every="1h", name="XMR 1h"),
        ps.Trader(["ADA/BTC", "XMR/BTC"], Spread(entry=0.001), name="both"),
        ps.Trader(["XMR/BTC", "ADA/BTC"], Spread(entry=0.001), every="15m", name="both 15m"),
    ]
    cash = 10.0
    want = backtested(traders, frame, interval="5m", cash=cash)
    assert len(want.fills) > 300
    with ps.Engine(traders, ps.ReplayFeed(frame, speed=None, lockstep=True), cash=cash, workers=2) as engine:
        finish(engine)
        assert_same(left_by(engine), want)


@pytest.mark.soak
def test_a_replay_of_all_of_a_real_file(shared_data):
    path = shared_data / "BTC_PERP-1m.parquet"
    traders = [ps.Trader("BTC/USD", ps.strategies.RSI()), ps.Trader("BTC/USD", Everything(), name="everything")]
    want = backtested(traders, ps.load(path, symbol="BTC/USD"))
    feed = ps.ReplayFeed(path, speed=None, lockstep=True, symbol="BTC/USD")
    with ps.Engine(traders, feed, workers=2) as engine:
        finish(engine)
        assert_same(left_by(engine), want)


def test_lockstep_may_be_paced(two_markets):
    frame = two_markets.head(60)
    traders = [ps.Trader("A/USDT", Counting())]
    with ps.Engine(traders, ps.ReplayFeed(frame, speed=60_000.0, lockstep=True)) as engine:
        finish(engine)
        assert_same(left_by(engine), backtested(traders, frame))


def test_traders_start_warm_from_what_came_before_the_start(two_markets):
    """What precedes the start warms the indicators; nothing is decided on it, nor because of it."""
    start = two_markets["timestamp"][1_002]  # in the middle of an interval of 3m
    traders = [
        ps.Trader("A/USDT", ps.strategies.Simple(fast=3, slow=50), every="3m", name="single"),
        ps.Trader(["A/USDT", "B/USDT"], Spread(), every="3m", name="both"),
    ]
    with ps.Engine(traders, ps.ReplayFeed(two_markets, speed=None, lockstep=True, start=start)) as engine:
        finish(engine)
        orders = engine.orders
        assert orders["timestamp"].min() >= start
        # each trader decides at every third minute, not sooner and not oftener
        slices = two_markets.filter(pl.col("timestamp") >= start)["timestamp"].unique().sort()
        closes = [t for t in slices.dt.epoch("s").to_list() if (t + 60) % 180 == 0]
        for handle in engine.traders:
            assert handle.health.evaluations == len(closes), handle.name
        assert set((orders["timestamp"].dt.epoch("s") % 180).to_list()) == {0}
