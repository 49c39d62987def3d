"""Feeds and brokers as users write them, each with one way of behaving; only pairsim is imported."""

import asyncio
import sys
from collections.abc import Iterator, Sequence
from decimal import Decimal
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
                if k == 100 and self.fault == "exits":
                    sys.exit("no more candles")
                if k % 10 == 5 and self.fault == "nan":
                    candle = candle._replace(close=float("nan"))
                yield candle


class Live(Sawtooth):
    """No speed: its candles are passed on as they come."""

    def __init__(self, n: int = 200, fault: str = "") -> None:
        self.n, self.fault = n, fault


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

    def note(self, what: str, order: Any, more: str = "") -> None:
        with self.ledger.open("a") as file:
            file.write(f"{what} {order.client_order_id if order else '-'} {more}".rstrip() + "\n")


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


class Once(ps.Strategy):
    """Buys 3 with its first candle and keeps them."""

    count: int = ps.state(0)

    def generate_signal(self, ctx: Any) -> Any:
        self.count += 1
        if self.count == 1:
            return ps.buy(quantity=3)
        return None


class Withdrawing(ps.Strategy):
    """Gives a limit order far below the market and takes it back a candle later, or (``both``) in the same decision."""

    both: bool = ps.param(False)
    count: int = ps.state(0)

    def generate_signal(self, ctx: Any) -> Any:
        self.count += 1
        if self.both:
            return ps.buy(quantity=2, limit=ctx.close / 2), ps.cancel()
        if self.count % 2 == 1:
            return ps.buy(quantity=2, limit=ctx.close / 2), ps.hold()
        return ps.cancel(), ps.hold()


class Ladder(ps.Strategy):
    """Two limit orders with its first candle, which it takes back with its second."""

    count: int = ps.state(0)

    def generate_signal(self, ctx: Any) -> Any:
        self.count += 1
        if self.count == 1:
            return ps.buy(quantity=2, limit=ctx.close / 2), ps.buy(quantity=3, limit=ctx.close / 3)
        if self.count == 2:
            return ps.cancel()
        return None


async def file_there(path: Path) -> None:
    """Wait until the test has made a file."""
    while not path.exists():
        await asyncio.sleep(0.002)


class Far(Instant):
    """A venue far away: it has an order when ``submit`` returns, and knows of no cancel that came before."""

    def __init__(self, ledger: Path) -> None:
        super().__init__(ledger)
        self.has: set[str] = set()

    async def submit(self, order: Any) -> None:
        await asyncio.sleep(0.02)
        self.has.add(order.client_order_id)
        self.note("taken", order)
        self.reports.accepted(order)

    async def cancel(self, order: Any) -> None:
        known = order.client_order_id in self.has
        self.note("cancel" if known else "unknown", order)
        if known:
            self.reports.canceled(order, "as asked")


class Patient(Instant):
    """Fills what sells, and confirms a cancel, when the file ``ledger.go`` is there."""

    async def work(self, order: Any) -> None:
        if order.side == "BUY" and order.type == "MARKET":
            await super().work(order)
        elif order.type == "MARKET":
            self.later = asyncio.create_task(self.fill(order))

    async def fill(self, order: Any) -> None:
        await file_there(self.ledger.with_suffix(".go"))
        await super().work(order)

    async def cancel(self, order: Any) -> None:
        self.note("cancel", order)
        await file_there(self.ledger.with_suffix(".go"))
        self.reports.canceled(order, "as asked")


class Crossing(Instant):
    """Keeps limit orders; while it cancels one the other is filled."""

    def __init__(self, ledger: Path) -> None:
        super().__init__(ledger)
        self.orders: list[Any] = []

    async def work(self, order: Any) -> None:
        self.orders.append(order)

    async def cancel(self, order: Any) -> None:
        self.note("cancel", order)
        for other in self.orders:
            if other is not order:
                self.reports.filled(other, other.quantity, other.limit_price)
        self.reports.canceled(order, "as asked")


class Telling(Instant):
    """With each order first what cannot be, by the methods named ``wrong``, noted with the answer; then a good fill."""

    def __init__(self, ledger: Path, *wrong: str) -> None:
        super().__init__(ledger)
        self.wrong, self.first = wrong, None

    async def work(self, order: Any) -> None:
        self.first = self.first or order
        for name in self.wrong:
            try:
                await getattr(self, name)(order)
            except ps.errors.BrokerError as error:
                self.note(name, order, str(error))
            else:
                self.note(name, order, "booked")
        name = f"trade of {order.symbol}" if order is self.first else f"trade of {order.client_order_id}"
        quantity, price = Decimal(str(order.quantity)), f"{order.last_price:.2f}"
        self.reports.filled(order, quantity, price, fee="0.25", trade_id=name)

    async def cancel(self, order: Any) -> None:
        self.note("cancel", order)  # which is not yet an answer

    async def fraction(self, order: Any) -> None:
        self.reports.filled(order, order.quantity, 1.0, timestamp=1.5)

    async def beyond(self, order: Any) -> None:
        self.reports.filled(order, order.quantity, 1.0, timestamp=2**63)

    async def letters(self, order: Any) -> None:
        self.reports.filled(order, "three", 1.0)

    async def huge(self, order: Any) -> None:
        self.reports.filled(order, 10**400, 1.0)

    async def elsewhere(self, order: Any) -> None:
        await asyncio.to_thread(self.reports.filled, order, order.quantity, 1.0)

    async def ended_elsewhere(self, order: Any) -> None:
        await asyncio.to_thread(self.reports.canceled, order)

    async def anothers(self, order: Any) -> None:
        """The trade id that the first order had."""
        if order is not self.first:
            self.reports.filled(order, order.quantity, 1.0, trade_id=f"trade of {order.symbol}")


class Refusing(Instant):
    """Hands an exception on as the reason."""

    async def work(self, order: Any) -> None:
        self.reports.rejected(order, ConnectionError("the venue is closed"))


class Leaving(Instant):
    """Exits in one of its coroutines."""

    def __init__(self, ledger: Path, where: str) -> None:
        super().__init__(ledger)
        self.where = where

    async def submit(self, order: Any) -> None:
        self.note("submit", order)
        self.reports.accepted(order)
        if self.where == "submit":
            sys.exit("no more")

    async def cancel(self, order: Any) -> None:
        self.note("cancel", order)
        if self.where == "cancel":
            sys.exit("no more")
