"""Strategies as users write them, each using another corner of the language; all of them compile."""

import math
from typing import Any

import numpy as np
from strategies.running import One, Three

from pairsim import strategies as ps

THRESHOLD = 30.0
LEVELS = (0.25, 0.5, 0.75)
TABLE = np.array([1.0, 2.0, 3.0])


def scaled(x: float, factor: float = 2.0) -> float:
    return shifted(x) * factor


def shifted(x: float) -> float:
    return x + 1.0


def countdown(n: int) -> int:
    return 0 if n <= 0 else 1 + countdown(n - 1)


class Peak(ps.Strategy):
    """States of all kinds, a trailing stop."""

    stop: float = ps.param(0.05, 0.0, 1.0)
    hard: bool = ps.param(True)
    peak: float = ps.state(float("nan"))
    entries: int = ps.state(0)
    armed: bool = ps.state(False)

    def generate_signal(self, ctx: Any) -> Any:
        if ctx.position.quantity == 0:
            self.peak = ctx.close
            self.entries += 1
            self.armed = ctx.close > ctx.open
            if self.armed:
                return ps.buy(1)
        else:
            self.peak = max(self.peak, ctx.close)
            if self.hard and ctx.close < self.peak * (1.0 - self.stop):
                return ps.sell(ctx.position.quantity, limit=ctx.low)
        return None


class Window(ps.Strategy):
    """An array as a ring buffer, loops, numpy, ctx.index."""

    length: int = ps.param(4, 1, 4)
    closes = ps.state([0.0, 0.0, 0.0, 0.0])

    def generate_signal(self, ctx: Any) -> Any:
        self.closes[ctx.index % self.length] = ctx.close
        if ctx.index + 1 < self.length:
            return None
        total = 0.0
        for i in range(self.length):
            total += self.closes[i]
        mean = total / self.length
        if ctx.close > mean and np.max(self.closes) > 0.0:
            return ps.target(weight=min(1.0, ctx.close / mean - 1.0))
        return ps.target(0.0)


class Crossing(ps.Strategy):
    """ctx.prev, an indicator with several outputs, unpacking."""

    def indicators(self) -> dict[str, Any]:
        return {"macd": Three(), "rsi": One()}

    def generate_signal(self, ctx: Any) -> Any:
        line, signal, _ = ctx.macd
        crossed = line > signal and ctx.prev.macd.line <= ctx.prev.macd.signal
        if crossed and ctx.rsi > ctx.prev.rsi:
            return ps.buy(notional=1_000, stop_loss=ctx.close * 0.9, take_profit=ctx.close * 1.2, expires=5)
        if ctx.macd.histogram < 0 and ctx.position.quantity > 0:
            return ps.close()
        return None


class Helpers(ps.Strategy):
    """Helper functions with defaults, recursion, methods, a static method, a property, constants, a closure."""

    FACTOR = 3.0
    STEPS = (1, 2, 3)
    seen: int = ps.state(0)

    def generate_signal(self, ctx: Any) -> Any:
        self.note()
        if self.score(ctx.close, bonus=self.FACTOR) > self.limit + len(self.STEPS):
            return ps.buy(scaled(ctx.close) / scaled(1.0, factor=4.0), limit=self.half(ctx.close))
        if countdown(self.seen % 5) == 4:
            return ps.cancel()
        return None

    def note(self) -> None:
        self.seen += 1

    def score(self, x: float, bonus: float = 0.0) -> float:
        return math.log(abs(x) + 1.0) + bonus + LEVELS[1] + TABLE[self.seen % 3]

    @staticmethod
    def half(x: float) -> float:
        return abs(x) * 0.5 + 1.0

    @property
    def limit(self) -> float:
        return THRESHOLD / 10.0


class Brackets(ps.Strategy):
    """A tuple of one fixed length, padded with hold."""

    def generate_signal(self, ctx: Any) -> Any:
        if ctx.close > ctx.open:
            return ps.buy(1, limit=ctx.low), ps.hold(), ps.sell(2, stop=ctx.low, market=0)
        if ctx.close < ctx.open:
            return ps.cancel(), ps.close(), ps.hold()
        return None


class Pair(ps.Strategy):
    """Two markets, by constant and by computed index, in a loop and unpacked."""

    markets = 2

    def indicators(self) -> dict[str, Any]:
        return {"rsi": One(), "macd": Three()}

    def generate_signal(self, ctx: Any) -> Any:
        first, second = ctx.markets
        cheap = 0 if first.rsi < second.rsi else 1
        total = 0.0
        for market in ctx.markets:
            total += market.close * market.position.quantity + market.macd.line - market.prev.rsi
        if ctx.markets[cheap].close > 0 and ctx.markets[-1].position.quantity == 0 and total == total:
            return ps.buy(abs(total) + 1.0, market=cheap), ps.sell(ctx.close + 1.0, market=1 - cheap)
        return ps.close(market=0), ps.close(market=1)


class Fragile(ps.Strategy):
    """Raises on some candles: by division, by index, by hand, by a bad signal, by a store that does not fit."""

    count: int = ps.state(0)
    flag: bool = ps.state(False)
    window = ps.state([0.0, 0.0])

    def generate_signal(self, ctx: Any) -> Any:
        self.count += 1
        case = int(ctx.volume) % 8
        if case == 1:
            return ps.buy(1.0 / (ctx.close - ctx.open))
        if case == 2:
            self.window[case] = ctx.close
        if case == 3:
            raise ValueError("by hand")
        if case == 4:
            return ps.buy(1, weight=0.5)
        if case == 5:
            self.count = ctx.close
        if case == 6:
            return ps.buy(1, limit=ctx.close * float("nan"))
        if case == 7:
            self.flag = self.count
        return None


class Optional(ps.Strategy):
    """A price that may be None, amounts of either kind of number, conditional expressions."""

    def generate_signal(self, ctx: Any) -> Any:
        limit = ctx.low if ctx.close > ctx.open else None
        if ctx.volume > 1:
            return ps.sell(ctx.index + 1, limit=limit, expires=ctx.index)
        return ps.buy(weight=1, stop=ctx.high) if ctx.time > 0 else None


class Child(Peak):
    """Inherits declarations, adds one, calls what it inherits."""

    extra: int = ps.param(3, 0, 9)

    def generate_signal(self, ctx: Any) -> Any:
        if ctx.index % 10 == self.extra:
            self.peak = 0
        return ps.hold()


def closure_over(level: float) -> type[ps.Strategy]:
    """A class whose method closes over a number and a function."""

    def above(x: float) -> bool:
        return x > level

    class Closed(ps.Strategy):
        def generate_signal(self, ctx: Any) -> Any:
            return ps.buy(level) if above(ctx.close) else None

    return Closed


EXAMPLES = (Peak, Window, Crossing, Helpers, Brackets, Pair, Fragile, Optional, Child)
