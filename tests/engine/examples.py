"""Strategies as users write them. Only pairsim is imported: the processes of a run load this file too."""

from typing import Any

import pairsim as ps


class Everything(ps.Strategy):
    """Each kind of signal in turn: limit, stop, stop_loss, take_profit, expires, target, cancel, tuples, states, prev.

    ``turn`` counts evaluations, so that every branch is taken again and again whatever the prices do.
    """

    size: float = ps.param(0.2, 0.0, 1.0)
    distance: float = ps.param(0.004, 0.0, 0.5)
    turn: int = ps.state(0)
    highest: float = ps.state(float("nan"))
    crossed: bool = ps.state(False)
    closes = ps.state([0.0] * 8)

    def indicators(self) -> dict[str, Any]:
        return {"fast": ps.EMA(3), "slow": ps.SMA(9), "macd": ps.MACD(3, 7, 4)}

    def generate_signal(self, ctx: Any) -> Any:
        self.turn += 1
        self.closes[self.turn % 8] = ctx.close
        self.highest = ctx.high if self.highest != self.highest else max(self.highest, ctx.high)
        self.crossed = ctx.fast > ctx.slow and ctx.prev.fast <= ctx.prev.slow
        step = self.turn % 40
        flat = ctx.position.quantity == 0
        if step == 1:
            return ps.buy(weight=self.size, limit=ctx.close * (1.0 - self.distance), expires=4), ps.hold()
        if step == 6:
            lower, upper = ctx.close * (1.0 - self.distance), ctx.close * (1.0 + self.distance)
            return ps.target(weight=self.size, stop_loss=lower, take_profit=upper), ps.hold()
        if step == 12:
            touch = ctx.close * (1.0 + self.distance)
            return ps.buy(notional=500, stop=touch, limit=touch * (1.0 + self.distance)), ps.hold()
        if step == 16:
            return ps.cancel(), ps.buy(notional=250.0 + abs(ctx.macd.histogram), limit=ctx.low)
        if step == 20:
            return ps.close(limit=ctx.close * (1.0 + self.distance), expires=6), ps.hold()
        if step == 27 and not flat:
            return ps.sell(ctx.position.quantity / 2, stop=ctx.close * (1.0 - self.distance)), ps.buy(notional=100)
        if step == 33:
            return ps.target(0.0), ps.hold()
        if self.crossed and flat and ctx.close < self.highest and ctx.cash > 0.1 * ctx.equity:
            return ps.buy(weight=0.05, stop_loss=min(self.closes) * 0.5 + 0.4 * ctx.close), ps.hold()
        return None


class EverythingPlain(Everything):
    """The same method, which stays plain Python because it builds a set."""

    def generate_signal(self, ctx: Any) -> Any:
        _ = {self.turn, "no machine code for this"}
        return super().generate_signal(ctx)


class Spread(ps.Strategy):
    """Two markets: long the cheaper one by their ratio to its average; states and both positions."""

    markets = 2
    entry: float = ps.param(0.002, 0.0, 1.0)
    mean: float = ps.state(float("nan"))
    last_index: int = ps.state(-1)

    def indicators(self) -> dict[str, Any]:
        return {"rsi": ps.RSI(5)}

    def generate_signal(self, ctx: Any) -> Any:
        first, second = ctx.markets[0], ctx.markets[1]
        ratio = first.close / second.close
        self.mean = ratio if self.mean != self.mean else self.mean + 0.05 * (ratio - self.mean)
        self.last_index = ctx.index
        if ratio < self.mean * (1.0 - self.entry) and first.position.quantity == 0 and second.rsi > 40:
            return ps.buy(weight=0.1), ps.close(market=1)
        if ratio > self.mean * (1.0 + self.entry) and second.position.quantity == 0 and second.prev.rsi < 60:
            return ps.close(), ps.buy(weight=0.1, market=1, stop_loss=second.close * 0.99)
        return None


FOREVER = 1_000_000_000  # a `Counting` that keeps what it has bought


class Counting(ps.Strategy):
    """Buys and closes by turns, as often as it is asked; counts in a state that survives a swap."""

    notional: float = ps.param(100.0, 0.0, 1e9)
    hold: int = ps.param(2, 1, FOREVER)
    count: int = ps.state(0)

    def generate_signal(self, ctx: Any) -> Any:
        self.count += 1
        if ctx.position.quantity == 0:
            if ctx.position.pending == 0:
                return ps.buy(notional=self.notional)
        elif self.count % self.hold == 0:
            return ps.close()
        return None


class CountingPlain(Counting):
    """The same in plain Python."""

    def generate_signal(self, ctx: Any) -> Any:
        _ = {self.count, "no machine code for this"}
        return super().generate_signal(ctx)
