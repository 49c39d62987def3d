"""The scenes in which a worker is killed: a few records each, every rule of its loop at work in one of them."""

from collections.abc import Callable
from typing import Any

import numpy as np
from engine.killing_stage import Stage

from pairsim import strategies as ps
from pairsim.engine.trader import Trader
from pairsim.engine.worker_loop import HISTORY, PAUSE, RESUME, SLICE, TUNE
from pairsim.indicators import (
    ATR,
    EMA,
    MACD,
    RSI,
    SMA,
    Bollinger,
    HeikinAshi,
    Highest,
    Indicator,
    Lowest,
    StdDev,
    ZScore,
)


class Witness(ps.Strategy):
    """Its state shows any evaluation missed, done twice, or done on another snapshot, for good."""

    every: int = ps.param(1, 1, 100)
    factor: float = ps.param(3.0, 0.0, 100.0)
    mix: float = ps.state(0.0)
    seen: float = ps.state(0.0)
    candles: int = ps.state(0)

    def indicators(self) -> dict[str, Any]:
        return {"average": SMA(2), "top": Highest(3)}

    def generate_signal(self, ctx: Any) -> Any:
        self.candles += 1
        self.mix = self.mix * 0.75 + ctx.close * self.factor + ctx.average + ctx.volume * ctx.top
        held = ctx.position.quantity * 7.0 + ctx.position.average_price + ctx.position.pending
        self.seen = self.seen * 0.5 + ctx.cash + ctx.equity + held
        if self.candles % self.every == 0:
            return ps.buy(0.01, limit=ctx.close * 0.99), ps.sell(0.02, limit=ctx.close * 1.01)
        return None


class Both(ps.Strategy):
    """Two markets; market orders, so that what is in flight is part of the state."""

    markets = 2
    mix: float = ps.state(0.0)

    def generate_signal(self, ctx: Any) -> Any:
        a, b = ctx.markets[0], ctx.markets[1]
        self.mix = self.mix * 0.5 + a.close * 2.0 + b.close * 3.0 + ctx.cash + a.position.pending + b.position.quantity
        return ps.buy(0.01), ps.buy(0.02, market=1)


def several_traders() -> Stage:
    """Two traders of one market; both may decide on the same candle, a third never does."""
    stage = Stage(
        [
            Trader("A/B", Witness(), name="always"),
            Trader("A/B", Witness(every=2), name="sometimes"),
            Trader("A/B", Witness(every=100), name="never"),
        ]
    )
    for i in range(4):
        stage.candle(0, i, 100.0 + i * i % 7)
    return stage


def late_closes() -> Stage:
    """A candle that reveals that the one before has closed, and closes as well: two commits for one record."""
    stage = Stage([Trader("A/B", Witness(), every="2s", name="two"), Trader("A/B", Witness(), every="4s", name="four")])
    for i in (0, 1, 2, 3, 4, 9, 10, 12, 16):
        stage.candle(0, i, 100.0 + i)
    return stage


def two_markets() -> Stage:
    """A trader of two markets, free running: one market is late, then misses an interval."""
    stage = Stage([Trader(("A/B", "C/B"), Both(), every="2s", name="both"), Trader("C/B", Witness(), name="one")])
    for market, i in ((0, 0), (1, 0), (0, 1), (0, 2), (1, 1), (0, 3), (1, 4), (0, 5), (1, 6), (1, 7)):
        stage.candle(market, i, 100.0 + 10 * market + i)
    return stage


def slices() -> Stage:
    """Lockstep: all that are due decide at the end of a slice. The slice before was drained, as the feed sees to."""
    stage = Stage(
        [Trader(("A/B", "C/B"), Both(), name="both"), Trader(("C/B", "A/B"), Both(), every="2s", name="slow")],
        lockstep=True,
    )
    for i in range(2):
        if i == 1:
            stage.finish(stage.worker())
        for market in range(2):
            stage.candle(market, i, 100.0 + 10 * market + i)
        stage.push(SLICE << 32, i + 1, stage.close_of(i), 0, 0, 0, 0, 0)
    return stage


def controls() -> Stage:
    """Tunes and pauses between candles."""
    stage = Stage([Trader("A/B", Witness(), name="a"), Trader("A/B", Witness(every=2), name="b")])
    stage.candle(0, 0, 100.0)
    stage.candle(0, 1, 101.0)
    stage.control(TUNE, 0, 1, int(np.array([5.5]).view(np.int64)[0]))
    stage.control(PAUSE, 1)
    stage.candle(0, 2, 103.0)
    stage.control(RESUME, 1)
    stage.control(TUNE, 0, 1, int(np.array([2.5]).view(np.int64)[0]))
    stage.candle(0, 3, 99.0)
    return stage


def after_history() -> Stage:
    """The warm-up is handled like any record and decided on never; its last candle closes late."""
    stage = Stage([Trader("A/B", Witness(), every="2s", name="a")])
    for i in range(5):
        stage.candle(0, i, 100.0 + i, HISTORY)
    for i in range(6, 9):
        stage.candle(0, i, 100.0 + i)
    return stage


def ring_of_one() -> Stage:
    """The next decision is written over the last one, which the gate has taken."""
    stage = Stage([Trader("A/B", Witness(), name="a")], orders=1)
    for i in range(3):
        stage.candle(0, i, 100.0 + i)
    stage.finish(stage.worker())
    stage.pop()
    stage.candle(0, 3, 104.0)
    return stage


class Momentum(Indicator):
    """One's own, with a window of candles and a state."""

    period: int = 2
    lookback = property(lambda self: self.period + 1)
    state = {"total": 0.0}  # noqa: RUF012

    def step(self, state: Any, candle: Any, past: Any) -> float:
        state.total = state.total * 0.5 + candle.close / past.close[0]
        return float(state.total)


class Observer(ps.Strategy):
    """All indicators there are, short ones, so that their windows come round."""

    mix: float = ps.state(0.0)

    def indicators(self) -> dict[str, Any]:
        return {
            "atr": ATR(2), "bands": Bollinger(3), "bottom": Lowest(2), "dev": StdDev(3), "ema": EMA(3),
            "ha": HeikinAshi(), "macd": MACD(2, 3, 2), "own": Momentum(), "rsi": RSI(2), "score": ZScore(3),
            "sma": SMA(3), "top": Highest(3),
        }  # fmt: skip

    def generate_signal(self, ctx: Any) -> Any:
        first = ctx.atr + ctx.bands.upper + ctx.ema + ctx.ha.close + ctx.top - ctx.bottom
        second = ctx.macd.histogram + ctx.rsi + ctx.sma + ctx.dev + ctx.score + ctx.own + ctx.prev.own
        self.mix = self.mix * 0.5 + first + second
        return ps.buy(0.01, limit=ctx.close)


def indicators() -> Stage:
    """Windows that come round are written in place, and written again after a crash."""
    stage = Stage([Trader("A/B", Observer(), name="a")])
    for i in range(9):
        if i == 6:
            stage.finish(stage.worker())
            stage.pop()
        stage.candle(0, i, 100.0 + (i * i) % 7)
    return stage


SCENES: dict[str, Callable[[], Stage]] = {
    f.__name__: f
    for f in (several_traders, late_closes, two_markets, slices, controls, after_history, ring_of_one, indicators)
}


class Other(ps.Strategy):
    """What a Witness is swapped for: it keeps ``mix`` and ``candles`` and has indicators of its own."""

    factor: float = ps.param(2.0, 0.0, 100.0)
    candles: int = ps.state(0)
    mix: float = ps.state(0.0)
    calm: float = ps.state(1.0)

    def indicators(self) -> dict[str, Any]:
        return {"top": Highest(2)}

    def generate_signal(self, ctx: Any) -> Any:
        self.candles += 10
        self.mix = self.mix * 0.5 + ctx.top * self.factor + ctx.cash
        self.calm = self.calm * 0.25 + ctx.position.average_price
        return ps.buy(0.03, limit=ctx.close * 0.98)


def swaps() -> Stage:
    """A strategy is swapped, tuned and swapped again between candles; another trader goes on."""
    stage = Stage([Trader("A/B", Witness(), name="a"), Trader("A/B", Witness(every=2), name="b")])
    closed = np.array([[99.0, 102.0, 97.0, 100.0, 10.0], [100.0, 103.0, 98.0, 101.0, 11.0]])
    stage.candle(0, 0, 100.0)
    stage.candle(0, 1, 101.0)
    stage.swap(0, Other(), [closed])
    stage.candle(0, 2, 103.0)
    stage.control(TUNE, 0, 0, int(np.array([5.5]).view(np.int64)[0]))
    stage.candle(0, 3, 99.0)
    return stage


class Fragile(Witness):
    """Raises at its third candle."""

    def generate_signal(self, ctx: Any) -> Any:
        self.candles += 1
        self.mix = self.mix * 0.5 + ctx.close
        if self.candles == 2:
            raise ValueError("no")
        return ps.buy(0.01, limit=ctx.close)


def failures() -> Stage:
    """A trader raises between two that go on."""
    stage = Stage(
        [Trader("A/B", Witness(), name="a"), Trader("A/B", Fragile(), name="b"), Trader("A/B", Witness(), name="c")]
    )
    for i in range(5):
        stage.candle(0, i, 100.0 + i)
    return stage
