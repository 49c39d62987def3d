"""What a researcher sees is what the machine does: a lockstep replay through real processes leaves the frames of the
backtest, bit for bit, for every strategy that is shipped, compiled and as plain Python."""

import polars as pl
import pytest
from engine.running import finish

import pairsim as ps
from pairsim.strategies import compiler

ORDERS = (
    "timestamp", "symbol", "trader", "side", "type", "quantity", "limit_price", "stop_price", "status",
    "filled_quantity", "average_price", "reason", "client_order_id", "position_quantity", "position_average_price",
    "cash", "equity",
)  # fmt: skip
FILLS = (
    "timestamp", "symbol", "trader", "side", "quantity", "price", "fee", "liquidity", "client_order_id", "trade_id",
    "notional",
)  # fmt: skip
NAMES = ("ETH/BTC", "LTC/BTC")
SHIPPED = {
    "RSI": lambda: [ps.Trader(name, ps.strategies.RSI(period=6, weight=0.4)) for name in NAMES],
    "Simple": lambda: [ps.Trader(name, ps.strategies.Simple(weight=0.4), every="15m") for name in NAMES],
    "HeikinAshiMomentum": lambda: [ps.Trader(name, ps.strategies.HeikinAshiMomentum(weight=0.4)) for name in NAMES],
    "PairsSpread": lambda: [ps.Trader(NAMES, ps.strategies.PairsSpread(), every="5m")],
}


@pytest.fixture(scope="module")
def bars(shared_data) -> pl.DataFrame:
    frames = [ps.load(shared_data / f"{name.replace('/', '_')}-5m.parquet", symbol=name).head(1_500) for name in NAMES]
    return pl.concat(frames).sort("timestamp", maintain_order=True)


def test_no_shipped_strategy_is_left_out() -> None:
    named = {name: getattr(ps.strategies, name) for name in ps.strategies.__all__}
    classes = {name for name, each in named.items() if isinstance(each, type) and issubclass(each, ps.Strategy)}
    assert classes - {"Strategy"} == set(SHIPPED)


@pytest.mark.parametrize("compiled", [True, False], ids=["compiled", "plain"])
@pytest.mark.parametrize("shipped", SHIPPED)
def test_the_machine_leaves_the_frames_of_the_backtest(
    shipped: str, compiled: bool, bars: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not compiled:
        monkeypatch.setattr(compiler, "_code", lambda strategy, layout, key: (b"", "plain Python: in this test"))
    traders, broker = SHIPPED[shipped](), ps.SimBroker(short=True, fee_bps=4, slippage_bps=1)
    feed = ps.ReplayFeed(bars, speed=None, lockstep=True)
    with ps.Engine(traders, feed, broker, cash=5.0, workers=2) as engine:
        assert [handle.compiled for handle in engine.traders] == [compiled] * len(traders)
        finish(engine)
        orders, fills, equity = engine.orders, engine.fills, engine.equity
    result = engine.backtest(bars)
    assert result._simulation.plan.codes[0].compiled == compiled
    assert len(result.fills) > 20
    assert orders.select(ORDERS).equals(result.orders.select(ORDERS))
    assert fills.select(FILLS).equals(result.fills.select(FILLS))
    assert equity["equity"].to_list() == result.equity["equity"].to_list()
