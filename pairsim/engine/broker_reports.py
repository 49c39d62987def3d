"""What a broker of one's own tells, checked and written down (see `Reports`).

A report that cannot be true is refused or said aloud, never booked in silence.
"""

import operator
import threading
from collections.abc import Callable, Iterable
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

_LATEST = 2**63 - 1  # ns, what the journal holds
_LEFT = {Status.SUBMITTED, Status.ACCEPTED, Status.PARTIALLY_FILLED, Status.PENDING_CANCEL, Status.UNKNOWN}


class BrokerReports:
    """The `Reports` that a broker is given; ``tell`` takes what it said and cannot have meant."""

    def __init__(
        self, mem: np.ndarray, arena: Arena, plan: Plan, journal: Journal, live: LiveOrders,
        tell: Callable[[str], None], trades: Iterable[str],
    ) -> None:  # fmt: skip
        self.mem, self.memf, self.arena, self.plan, self.journal = mem, mem.view(np.float64), arena, plan, journal
        self.live, self.books, self.tell = live, live.books, tell
        self.thread = 0  # of the event loop; set when it runs
        self._trades = 0
        self._told = dict.fromkeys(trades, "")  # order of each trade known; earlier runs of the store: ""

    def accepted(self, order: Order) -> None:
        """See `Reports`."""
        self._check_thread()
        if may_follow(Status(order.status), Status.ACCEPTED):
            self.event(order, Status.ACCEPTED, "")

    def filled(
        self, order: Order, quantity: float, price: float, *, fee: float = 0.0, maker: bool = False,
        trade_id: str | None = None,
        timestamp: int | None = None,
    ) -> None:  # fmt: skip
        """See `Reports`."""
        self._check_thread()
        fault = f"a fill of {quantity!r} at {price!r}, fee {fee!r}, for {order.client_order_id} cannot be booked"
        try:
            quantity, price, fee = float(quantity), float(price), float(fee)  # a Decimal, or a venue's text
            time = int(self.mem[H_FEED_TIME]) if timestamp is None else operator.index(timestamp)
            if not -_LATEST <= time <= _LATEST:
                raise OverflowError(f"timestamp={time} is no moment")
        except (TypeError, ValueError, ArithmeticError) as error:
            raise BrokerError(f"{fault}: {error}; timestamp is feed time in whole ns, or None for now") from None
        if not (isfinite(quantity) and isfinite(price) and isfinite(fee) and quantity > 0 and price > 0):
            raise BrokerError(f"{fault}: quantity and price must be finite numbers above 0, the fee finite")
        self._trades += 1
        name = f"{self.journal.run}-{self._trades}" if trade_id is None else str(trade_id)
        if (known := self._told.get(name)) is not None:
            if known == order.client_order_id:
                return
            raise BrokerError(
                f"{fault}: trade id {name!r} was told before, for {known or 'an order of an earlier run'}; ids are "
                "unique in the store, so put the venue's symbol or the client_order_id before one that is not"
            )
        cell = self.arena.portfolio + ACCOUNT_WORDS + order.market * MARKET_WORDS
        units = round(quantity * float(self.memf[cell + M_BASE_SCALE]))
        notional = int(notional_of(price, units, float(self.memf[cell + M_TO_QUOTE])))
        if units <= 0 or notional < 0:
            raise BrokerError(f"{fault}: it is less than a unit of the market, or more than can be counted")
        self._told[name] = order.client_order_id
        left = order.units - order.filled_units
        if units > left:
            self.tell(f"broker filled {units} units of {order.client_order_id}, {left} were left; booked as it says")
        scale = 10 ** self.plan.instruments[order.market].quote_scale
        order.filled_units += units
        final = order.filled_units >= order.units
        trader, liquidity = self.plan.pairs[order.pair][0], Liquidity.MAKER if maker else Liquidity.TAKER
        fee_units = -int(-fee * scale // 1)
        self.journal.append(
            "fills",
            [
                (name, order.order_id, time, clock.wall_ns(), trader, order.market, order.sign, units, price, notional,
                 fee_units, int(liquidity), 0)
            ],
        )  # fmt: skip
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

    def event(self, order: Order, status: Status, reason: object) -> None:
        """Write a change of status down, if it may follow the present one."""
        self._check_thread()
        further_doubt = order.status == status == Status.UNKNOWN
        if not further_doubt and not may_follow(Status(order.status), status):
            self.tell(
                f"broker reported {status.name} for {order.client_order_id}, which is "
                f"{Status(order.status).name}; ignored"
            )
            return
        order.status = status
        why = str(reason) or None  # brokers hand exceptions on
        row = (order.order_id, int(self.mem[H_FEED_TIME]), clock.wall_ns(), int(status), why, order.filled_units, None)
        self.journal.append("events", [row])
        if status not in _LEFT:
            self.live.leave(order)
        self.books.soon()

    def _check_thread(self) -> None:
        if threading.get_ident() != self.thread:
            raise BrokerError(
                "a report came from another thread than the event loop's; call it by "
                "loop.call_soon_threadsafe(reports.filled, ...), loop = asyncio.get_running_loop() in connect()"
            )
