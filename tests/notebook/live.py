"""Small engines that run, for tests of what looks at them; every wait is bounded and says what it saw."""

import time
from collections.abc import Callable
from typing import Any

import pairsim as ps


class Often(ps.Strategy):
    """Buys and sells in turn, every few candles."""

    pace: int = ps.param(2, 1, 20)
    weight: float = ps.param(0.1, 0.0, 1.0)
    turn: int = ps.state(0)

    def indicators(self) -> dict[str, Any]:
        return {"mean": ps.SMA(3), "rsi": ps.RSI(5)}

    def generate_signal(self, ctx: Any) -> Any:
        self.turn += 1
        if self.turn % self.pace:
            return None
        return ps.buy(weight=self.weight) if ctx.position.quantity == 0 else ps.close()


class Never(ps.Strategy):
    """Decides nothing."""

    def generate_signal(self, ctx: Any) -> Any:
        return None


class Failing(ps.Strategy):
    """Fails at every candle."""

    nothing: float = ps.param(0.0)

    def generate_signal(self, ctx: Any) -> Any:
        return ps.buy(1.0 / self.nothing)


def two_traders(**options: Any) -> ps.Engine:
    """An engine that trades now and then for as long as it is let."""
    return ps.Engine(
        [ps.Trader("BTC/USDT", Often(), every="200ms"), ps.Trader("ETH/USDT", Often(pace=3), every="500ms")],
        ps.RandomFeed(tick="100ms", speed=20, seed=1, start="2026-01-01"),
        ps.SimBroker(latency="10ms"),
        workers=1,
        **options,
    )


def replay(bars: Any, *traders: ps.Trader) -> ps.Engine:
    """An engine that ends with its data, the same each time."""
    return ps.Engine(traders, ps.ReplayFeed(bars, speed=None, lockstep=True), workers=1)


def until(reached: Callable[[], object], what: str, seconds: float = 90.0) -> None:
    """Wait for something that another thread or process brings about."""
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.005)
