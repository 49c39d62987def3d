"""Strategies that go wrong, each in its own way, after they have bought; and one that can be mended while it runs."""

from typing import Any

import pairsim as ps

FUSE = 20  # the evaluation at which they go wrong


class Faulty(ps.Strategy):
    """Buys first; at its 20th evaluation something is wrong."""

    turn: int = ps.state(0)

    def opening(self, ctx: Any) -> Any:
        return ps.buy(notional=50.0) if ctx.position.quantity == 0 and ctx.position.pending == 0 else ps.hold()


def share_of(values: Any, at: int) -> float:
    """A helper, so that the traceback has two of the user's frames."""
    return values[at] / 2.0


class OutOfBounds(Faulty):
    window = ps.state([0.0, 0.0, 0.0])

    def generate_signal(self, ctx: Any) -> Any:
        self.turn += 1
        self.window[self.turn % 3] = ctx.close
        if self.turn >= FUSE:
            return ps.buy(notional=share_of(self.window, self.turn))
        return self.opening(ctx)


class DivisionByZero(Faulty):
    def generate_signal(self, ctx: Any) -> Any:
        self.turn += 1
        if self.turn >= FUSE:
            return ps.buy(quantity=1.0 / (self.turn - self.turn))
        return self.opening(ctx)


class Amount(Faulty):
    """An amount that no order can carry."""

    amount: float = ps.param(1.0)
    nan: bool = ps.param(False)
    infinite: bool = ps.param(False)

    def generate_signal(self, ctx: Any) -> Any:
        self.turn += 1
        if self.turn < FUSE:
            return self.opening(ctx)
        amount = self.amount
        if self.nan:
            amount = ctx.close * float("nan")
        if self.infinite:
            amount = float("inf")
        return ps.buy(weight=amount)


class NegativeLimit(Faulty):
    def generate_signal(self, ctx: Any) -> Any:
        self.turn += 1
        if self.turn >= FUSE:
            return ps.buy(quantity=1, limit=-ctx.close)
        return self.opening(ctx)


class LimitOfNothing(Faulty):
    """The limit is an indicator's value before there is one."""

    def generate_signal(self, ctx: Any) -> Any:
        self.turn += 1
        if self.turn >= FUSE:
            return ps.buy(quantity=1, limit=ctx.close * float("nan"))
        return self.opening(ctx)


class WrongMarket(Faulty):
    def generate_signal(self, ctx: Any) -> Any:
        self.turn += 1
        if self.turn >= FUSE:
            return ps.buy(quantity=1, market=1)
        return self.opening(ctx)


class Plain(Faulty):
    """Whatever plain Python lets one return or raise."""

    def wrong(self, ctx: Any) -> Any:
        raise NotImplementedError

    def generate_signal(self, ctx: Any) -> Any:
        _ = {self.turn, "no machine code for this"}
        self.turn += 1
        if self.turn >= FUSE:
            return self.wrong(ctx)
        return self.opening(ctx)


class Raises(Plain):
    def wrong(self, ctx: Any) -> Any:
        raise ValueError("the moon is full")


class Leaves(Plain):
    def wrong(self, ctx: Any) -> Any:
        raise SystemExit(3)


class Recurses(Plain):
    def wrong(self, ctx: Any) -> Any:
        return self.wrong(ctx)


class Text(Plain):
    def wrong(self, ctx: Any) -> Any:
        return "buy"


class Five(Plain):
    def wrong(self, ctx: Any) -> Any:
        return (ps.buy(1),) * 5


class Huge(Plain):
    def wrong(self, ctx: Any) -> Any:
        return ps.buy(10**400)


class StoresText(Plain):
    def wrong(self, ctx: Any) -> Any:
        self.turn = "many"


class Mendable(ps.Strategy):
    """Raises while it is ``broken``."""

    broken: bool = ps.param(True)
    done: int = ps.state(0)
    closes = ps.state([0.0, 0.0])

    def generate_signal(self, ctx: Any) -> Any:
        self.done += 1
        if self.broken:
            self.closes[self.done + 7] = ctx.close
        if ctx.position.quantity == 0 and ctx.position.pending == 0:
            return ps.buy(notional=50.0)
        return None


class MendablePlain(Mendable):
    def generate_signal(self, ctx: Any) -> Any:
        _ = {self.done, "no machine code for this"}
        return super().generate_signal(ctx)
