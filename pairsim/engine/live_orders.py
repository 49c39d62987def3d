"""The orders between intent and end."""

from typing import Any

import numpy as np

from pairsim.brokers.broker import Order
from pairsim.engine.arena import H_OPEN
from pairsim.engine.bookkeeper import Bookkeeper
from pairsim.orders.order import OrderType

_MARKET = int(OrderType.MARKET)


class LiveOrders(dict[int, Order]):
    """Orders that a broker has, by venue id."""

    def __init__(self, mem: np.ndarray, books: Bookkeeper, last_id: int) -> None:
        super().__init__()
        self.mem, self.books, self.last_id = mem, books, last_id
        self._market_orders: dict[int, Order] = {}  # by order id, from intent to end

    def next_id(self) -> int:
        """Number of a new order, unique in the store."""
        self.last_id += 1
        return self.last_id

    def begin(self, order: Order) -> None:
        """An intent: it is open until its end."""
        self.mem[H_OPEN] += 1
        if order.kind == _MARKET:
            self._market_orders[order.order_id] = order

    def end(self, order: Order) -> None:
        """It is open no more."""
        self.mem[H_OPEN] -= 1
        self._market_orders.pop(order.order_id, None)

    def leave(self, order: Order) -> None:
        """A broker has it no more; one that has left already (a fill told after its cancel) leaves once."""
        if self.pop(order.venue_id, None) is not None:
            self.end(order)
            self.books.end(order)

    def closing(self, pair: int, units: int) -> int:
        """Units of a trader's position in a market that market orders under way close already, sent or not."""
        return sum(
            o.units - o.filled_units for o in self._market_orders.values() if o.pair == pair and o.sign * units < 0
        )

    def working(self, pair: int) -> list[Order]:
        """The limit and stop orders of a trader in a market."""
        return [o for o in self.values() if o.pair == pair and o.kind != _MARKET]


def order_row(
    order: Order, wall: int, trader: int, n: int | None, signal: int | None, parent: int | None, snapshot: Any
) -> tuple[Any, ...]:
    """An intent as the journal keeps it."""
    return (
        order.order_id, order.client_order_id, order.timestamp, wall, trader, order.market, order.sign, order.kind,
        order.units, order.limit_price, order.stop_price, order.expires, n, signal, parent, *snapshot,
        order.stop_loss, order.take_profit,
    )  # fmt: skip
