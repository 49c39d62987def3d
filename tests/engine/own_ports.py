"""Feeds and brokers as users write them, each with one way of behaving; only pairsim is imported."""

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pairsim as ps

SECOND = 10**9


class Sawtooth:
    """Paced by the engine, or as fast as it goes; may yield something wrong at candle ``fault``."""

    interval = "1s"

    def __init__(self, n: int = 200, speed: float | None = None, lockstep: bool = False, fault: str = "") -> None:
        self.n, self.speed, self.lockstep, self.fault = n, speed, lockstep, fault

    def candles(self, symbols: Sequence[str]) -> Iterator[Any]:
        for k in range(self.n):
            for symbol in symbols:
                low = 100.0 + k % 50
                candle = ps.Candle(symbol, k * SECOND, low, low + 1, low, low + 1, 5.0)
                if k == 100 and self.fault == "raises":
                    raise ConnectionError("the exchange is closed")
                if k == 100 and self.fault == "market":
                    candle = candle._replace(symbol="XRP/USDT")
                if k == 100 and self.fault == "text":
                    candle = "no candle"  # type: ignore[assignment]
                if k % 10 == 5 and self.fault == "nan":
                    candle = candle._replace(close=float("nan"))
                yield candle


class Live(Sawtooth):
    """No speed: its candles are passed on as they come."""

    def __init__(self, n: int = 200) -> None:
        self.n, self.fault = n, ""


class Instant:
    """Fills at once at the last price, and writes down every order it is sent."""

    fee_bps = 10.0

    def __init__(self, ledger: Path) -> None:
        self.ledger = ledger

    async def connect(self, reports: Any) -> None:
        self.reports = reports

    async def submit(self, order: Any) -> None:
        self.note("submit", order)
        self.reports.accepted(order)
        await self.work(order)

    async def cancel(self, order: Any) -> None:
        self.note("cancel", order)
        self.reports.canceled(order, "as asked")

    async def work(self, order: Any) -> None:
        self.reports.filled(order, order.quantity, order.last_price, fee=0.001 * order.quantity * order.last_price)

    async def close(self) -> None:
        self.note("close", None)

    def note(self, what: str, order: Any) -> None:
        with self.ledger.open("a") as file:
            file.write(f"{what} {order.client_order_id if order else '-'}\n")


class Rejecting(Instant):
    async def work(self, order: Any) -> None:
        self.reports.rejected(order, "insufficient balance at the venue")


class Raising(Instant):
    """Every third order is cut off; whether it was taken nobody knows."""

    def __init__(self, ledger: Path) -> None:
        super().__init__(ledger)
        self.count = 0

    async def submit(self, order: Any) -> None:
        self.note("submit", order)
        self.count += 1
        if self.count % 3 == 0:
            raise TimeoutError("no answer from the venue")
        await self.work(order)

    async def cancel(self, order: Any) -> None:
        self.note("cancel", order)  # which is not yet an answer


class Partial(Instant):
    """Three fills an order, the last one as a maker and with an id of its own, told twice."""

    async def work(self, order: Any) -> None:
        third = round(order.quantity / 3, 8)
        self.reports.filled(order, third, order.last_price, fee=0.01)
        self.reports.filled(order, third, order.last_price + 1.0, fee=0.01)
        for _ in range(2):
            rest = order.quantity - 2 * third
            name = f"venue-{order.client_order_id}"
            self.reports.filled(order, rest, order.last_price + 2.0, maker=True, trade_id=name, timestamp=77)


class Late(Instant):
    """Keeps limit orders working; confirms a cancel, and then tells of a fill that had come before it."""

    async def work(self, order: Any) -> None:
        if order.type == "MARKET":
            await super().work(order)

    async def cancel(self, order: Any) -> None:
        self.note("cancel", order)
        self.reports.canceled(order, "as asked")
        self.reports.filled(order, order.quantity / 2, order.limit_price)


class Nonsense(Instant):
    """Fills that cannot be booked, one kind after the other; then a good one."""

    def __init__(self, ledger: Path) -> None:
        super().__init__(ledger)
        nan = float("nan")
        self.fills = [
            (0.0, 1.0, 0.0),
            (-1.0, 1.0, 0.0),
            (nan, 1.0, 0.0),
            (1.0, nan, 0.0),
            (1.0, -5.0, 0.0),
            (1.0, 1.0, nan),
        ]

    async def work(self, order: Any) -> None:
        if self.fills:
            quantity, price, fee = self.fills.pop(0)
            self.reports.filled(order, quantity, price, fee=fee)
        await super().work(order)

    async def cancel(self, order: Any) -> None:
        self.note("cancel", order)  # which is not yet an answer


class Silent(Instant):
    """Never answers."""

    async def submit(self, order: Any) -> None:
        self.note("submit", order)
        await asyncio.Event().wait()

    async def cancel(self, order: Any) -> None:
        self.note("cancel", order)
        await asyncio.Event().wait()


class Closed(Instant):
    async def connect(self, reports: Any) -> None:
        raise ConnectionError("wrong key")


class Steady(ps.Strategy):
    """Buys 3 and closes, by turns; with ``limit`` it keeps a limit order instead, replaced each time."""

    limit: bool = ps.param(False)
    protect: bool = ps.param(False)
    count: int = ps.state(0)

    def generate_signal(self, ctx: Any) -> Any:
        self.count += 1
        if self.limit:
            return ps.buy(quantity=2, limit=ctx.close - 20.0)
        if self.protect:
            return ps.buy(quantity=3, stop_loss=ctx.close / 2)
        if ctx.position.quantity > 0:
            return ps.close()
        if self.count % 2 == 1:
            return ps.buy(quantity=3)
        return None
