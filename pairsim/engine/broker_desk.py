"""The desk between the order engine and a broker of one's own, which does I/O for each order.

An order that may have been executed is never sent again: what nobody knows is UNKNOWN until the broker reports.
"""

import asyncio
import inspect
import threading
from collections.abc import Callable, Sequence

import numpy as np

from pairsim.brokers.broker import Broker, Order
from pairsim.engine.broker_reports import BrokerReports
from pairsim.engine.desk import Cancel, Halted
from pairsim.engine.live_orders import LiveOrders
from pairsim.orders import matching
from pairsim.orders.order import Status, may_follow

CANCEL_SECONDS = 3.0  # a broker that does not answer a cancel by then leaves the order UNKNOWN
_RAISED = (Exception, SystemExit, KeyboardInterrupt)  # by user code: an exit ends its order, no thread of ours


class BrokerDesk:
    """See `Desk`. ``withdraw(order, reason)`` ends an order that was never sent."""

    protects = False

    def __init__(
        self, broker: Broker, reports: BrokerReports, live: LiveOrders, pairs: int, halted: Halted,
        withdraw: Callable[[Order, int], None],
    ) -> None:  # fmt: skip
        self.broker, self.reports, self.live = broker, reports, live
        self.halted, self.withdraw = halted, withdraw
        self._turns = [asyncio.Lock() for _ in range(pairs)]
        self._submits: dict[int, asyncio.Future[None]] = {}  # by order id, while `submit` runs

    async def open(self) -> None:
        """Connect the broker: from now on it may report."""
        self.reports.thread = threading.get_ident()
        await self.broker.connect(self.reports)

    async def close(self) -> None:
        """Close the broker if it can be closed: its orders are settled, nothing hangs on it."""
        close = getattr(self.broker, "close", None)
        if close is None:
            return
        try:
            closing = close()
            if inspect.isawaitable(closing):
                async with asyncio.timeout(CANCEL_SECONDS):
                    await closing
        except _RAISED as error:
            self.reports.tell(f"broker.close failed: {type(error).__name__}: {error}")

    async def execute(self, ready: Sequence[Order | Cancel]) -> None:
        """Send all at once; in a trader's market one goes after the other."""
        await asyncio.gather(*map(self._send, ready))

    async def end_all(self, status: Status, reason: int, time: int) -> None:
        """Ask for a cancel of every order; what became of it is what the broker reports."""
        await asyncio.gather(*map(self._cancel, list(self.live.values())))

    def match(self, candles: np.ndarray) -> None:
        """Such a broker has its own market."""

    def say_what_works(self) -> None:
        """Its reports say it."""

    async def _send(self, order: Order | Cancel) -> None:
        """Hand over an order, or a cancel; none overtakes an order that still waits for what it replaces."""
        try:
            async with self._turns[order.pair]:
                if isinstance(order, Cancel) or order.replaces:
                    for other in self.live.working(order.pair):
                        await self._cancel(other)
                if isinstance(order, Cancel) or self.halted(order):
                    return
                self.reports.event(order, Status.SUBMITTED, "")
                self.live[order.venue_id] = order
                self._submits[order.order_id] = taken = asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:  # the engine ends, and waits no longer for what it replaces
            if isinstance(order, Order):
                self.withdraw(order, matching.STOPPED)
            raise
        try:
            await self.broker.submit(order)
        except asyncio.CancelledError:  # the engine ends, and has waited long enough
            self.reports.event(order, Status.UNKNOWN, "the engine stopped before the broker had answered")
        except _RAISED as error:  # maybe executed: never resent
            self.reports.event(order, Status.UNKNOWN, f"submit failed: {type(error).__name__}: {error}")
            if order.status is Status.UNKNOWN:
                self.reports.tell(
                    f"submit of {order.client_order_id} failed ({type(error).__name__}: {error}): it may live at the "
                    f"broker, so trader {order.trader} waits until the broker reports what became of it"
                )
        finally:
            del self._submits[order.order_id]
            taken.set_result(None)

    async def _cancel(self, order: Order) -> None:
        """Ask for a cancel, once the broker has taken the order: one that comes first finds nothing. An order that is
        UNKNOWN may live: it is asked too, and stays so.
        """
        if (taken := self._submits.get(order.order_id)) is not None:
            await asyncio.wait([taken], timeout=CANCEL_SECONDS)
        if may_follow(Status(order.status), Status.PENDING_CANCEL):
            order.status = Status.PENDING_CANCEL
        elif order.status != Status.UNKNOWN:  # it has ended while others were waited for
            return
        try:
            async with asyncio.timeout(CANCEL_SECONDS):  # not wait_for, whose task an exit would take out of the loop
                await self.broker.cancel(order)
            return
        except TimeoutError:
            what = f"the broker has not answered the cancel within {CANCEL_SECONDS:g} s"
        except _RAISED as error:
            what = f"cancel failed: {type(error).__name__}: {error}"
        if order.status in (Status.PENDING_CANCEL, Status.UNKNOWN):
            self.reports.event(order, Status.UNKNOWN, what)
