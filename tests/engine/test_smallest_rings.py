"""Every channel holds one entry, a thousand limit orders work at the venue: slow, but nothing waits for itself."""

from typing import Any

import polars as pl
import pytest
from engine.examples import Counting, CountingPlain
from engine.lockstep import assert_same, backtested, left_by
from engine.running import finish

import pairsim as ps
from pairsim.engine.arena import Sizes

ONE = Sizes(candles=1, orders=1, gate=1, broker=1, credits=1)
MARKETS = [f"M{k}/USDT" for k in range(20)]
BARS = ps.synthetic(MARKETS, "1m", n=40, seed=2)


class Resting(ps.Strategy):
    """A limit order that rests for good, and another one every tenth candle in its place."""

    count: int = ps.state(0)

    def generate_signal(self, ctx: Any) -> Any:
        self.count += 1
        if self.count % 10 == 1:
            return ps.buy(notional=1.0, limit=ctx.close * (0.5 + 0.001 * self.count))
        return None


def thousand() -> list[ps.Trader]:
    return [ps.Trader(MARKETS[k % 20], Resting(), name=f"resting {k}") for k in range(1_000)]


@pytest.mark.parametrize("lockstep", [False, True], ids=["free", "lockstep"])
def test_a_thousand_working_orders_do_not_stall(lockstep):
    feed = ps.ReplayFeed(BARS, speed=None, lockstep=lockstep)
    with ps.Engine(thousand(), feed, workers=2, sizes=ONE) as engine:
        finish(engine)
        metrics = engine.metrics
        assert metrics.candles == 20 * 40
        assert metrics.evaluated == 1_000 * 40
        assert metrics.orders == 4 * 1_000
        assert {channel["capacity"] for channel in metrics.channels.values()} == {1}
        assert {channel["high_water"] for channel in metrics.channels.values()} == {1}
        statuses = engine.orders.group_by("status", "reason").len().sort("len").rows()
        if lockstep:
            assert statuses == [
                ("EXPIRED", "end of data", 1_000),
                ("CANCELED", "replaced by a new signal", 3_000),
            ]
        assert sum(row[2] for row in statuses) == 4_000
        assert engine.status.open_orders == 0
        assert engine.portfolio.cash == 100_000.0


def test_fills_and_controls_pass_too():
    """Compiled and plain traders that trade at every candle, with channels of one entry, equal to the backtest."""
    frame = BARS.filter(pl.col("symbol").is_in(MARKETS[:3]))
    traders = [ps.Trader(m, Counting(), name=f"compiled {m}") for m in MARKETS[:3]]
    traders += [ps.Trader(m, CountingPlain(), name=f"plain {m}") for m in MARKETS[:3]]
    want = backtested(traders, frame)
    with ps.Engine(traders, ps.ReplayFeed(frame, speed=None, lockstep=True), workers=2, sizes=ONE) as engine:
        finish(engine)
        assert_same(left_by(engine), want)
    feed = ps.RandomFeed("100ms", seed=1, speed=100.0, start="2025-01-01")
    with ps.Engine(traders, feed, workers=1, sizes=ONE) as engine:
        engine.wait(0)
        for k, handle in enumerate(engine.traders):
            handle.pause()
            handle.tune(hold=3)
            handle.swap(CountingPlain() if k < 3 else Counting())
            handle.resume()
        engine.halt()
        engine.unhalt()
        assert engine.flatten() >= 0
        engine.stop(flatten=True)
    assert engine.portfolio.positions["quantity"].abs().sum() == 0.0
