"""What a broker of one's own tells, checked and written down (see `Reports`).

A report that cannot be true is refused or said aloud, never booked in silence.
"""

from collections.abc import Callable
from math import isfinite

import numpy as np

from pairsim import clock
from pairsim.brokers.broker import Order
from pairsim.engine.arena import H_FEED_TIME, Arena
from pairsim.engine.live_orders import LiveOrders
from pairsim.engine.plan import Plan
from pairsim.errors import BrokerError
from pairsim.orders.order import Liquidity, Status, may_follow
from pairsim.portfolio.accounting import notional_of
from pairsim.portfolio.layout import ACCOUNT_WORDS, M_BASE_SCALE, M_TO_QUOTE, MARKET_WORDS
from pairsim.store.journal import Journal

_LEFT = {Status.SUBMITTED, Status.ACCEPTED, Status.PARTIALLY_FILLED, Status.PENDING_CANCEL, Status.UNKNOWN}


class BrokerReports:
    """The `Reports` that a broker is given; ``tell`` takes what it said and cannot have meant."""

    def __init__(
        self, mem: np.ndarray, arena: Arena, plan: Plan, journal: Journal, live: LiveOrders, tell: Callable[[str], None]
    ) -> None:
        self.mem, self.memf, self.arena, self.plan, self.journal = mem, mem.view(np.float64), arena, plan, journal
        self.live, self.books, self.tell = live, live.books, tell
        self.trades = 0

    def accepted(self, order: Order) -> None:
        """See `Reports`."""
        self._advance(order, Status.ACCEPTED)

    def filled(
        self, order: Order, quantity: float, price: float, *, fee: float = 0.0, maker: bool = False,
        trade_id: str | None = None,
        timestamp: int | None = None,
    ) -> None:  # fmt: skip
        """See `Reports`."""
        cell = self.arena.portfolio + ACCOUNT_WORDS + order.market * MARKET_WORDS
        if not (isfinite(quantity) and isfinite(price) and isfinite(fee) and quantity > 0 and price > 0):
            raise BrokerError(
                f"a fill of {quantity!r} at {price!r}, fee {fee!r}, for {order.client_order_id} cannot be booked: "
                "quantity and price must be finite numbers above 0, the fee finite"
            )
        if trade_id in order.trades:
            return
        units = round(quantity * float(self.memf[cell + M_BASE_SCALE]))
        notional = int(notional_of(float(price), units, float(self.memf[cell + M_TO_QUOTE])))
        if units <= 0 or notional < 0:
            raise BrokerError(
                f"a fill of {quantity!r} at {price!r} for {order.client_order_id} cannot be booked: "
                "it is less than a unit of the market, or more than can be counted"
            )
        left = order.units - order.filled_units
        if units > left:
            self.tell(f"broker filled {units} units of {order.client_order_id}, {left} were left; booked as it says")
        scale = 10 ** self.plan.instruments[order.market].quote_scale
        order.filled_units += units
        final = order.filled_units >= order.units
        time, wall = int(self.mem[H_FEED_TIME]) if timestamp is None else timestamp, clock.wall_ns()
        self.trades += 1
        name = trade_id if trade_id is not None else f"{self.journal.run}-{self.trades}"
        order.trades.add(name)
        trader, liquidity = self.plan.pairs[order.pair][0], Liquidity.MAKER if maker else Liquidity.TAKER
        fee_units = -int(-fee * scale // 1)
        self.journal.append(
            "fills",
            [
                (
                    name,
                    order.order_id,
                    time,
                    wall,
                    trader,
                    order.market,
                    order.sign,
                    units,
                    float(price),
                    notional,
                    fee_units,
                    int(liquidity),
                    0,
                )
            ],
        )
        self.books.fill(order, order.pair, order.sign, units, notional, fee_units)
        order.status = Status.FILLED if final else Status.PARTIALLY_FILLED
        if final:
            self.live.leave(order)
        self.books.soon()

    def rejected(self, order: Order, reason: str) -> None:
        """See `Reports`."""
        self.event(order, Status.REJECTED, reason)

    def canceled(self, order: Order, reason: str = "") -> None:
        """See `Reports`."""
        self.event(order, Status.CANCELED, reason)

    def expired(self, order: Order, reason: str = "") -> None:
        """See `Reports`."""
        self.event(order, Status.EXPIRED, reason)

    def _advance(self, order: Order, status: Status) -> bool:
        if not may_follow(Status(order.status), status):
            return False
        order.status = status
        return True

    def event(self, order: Order, status: Status, reason: str) -> None:
        """Write a change of status down, if it may follow the present one."""
        if not self._advance(order, status):
            self.tell(
                f"broker reported {status.name} for {order.client_order_id}, which is "
                f"{Status(order.status).name}; ignored"
            )
            return
        row = (
            order.order_id,
            int(self.mem[H_FEED_TIME]),
            clock.wall_ns(),
            int(status),
            reason,
            order.filled_units,
            None,
        )
        self.journal.append("events", [row])
        if status not in _LEFT:
            self.live.leave(order)
        self.books.soon()
