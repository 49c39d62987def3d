"""The book of the simulated venue: working orders in a pool of rows, linked market by market, first in first out.

Pure: arrays in, arrays out. Rows never move while orders work, so a row number names an order until `sweep` frees it.
"""

import numpy as np
from numba import njit

from pairsim.orders.order import OrderType
from pairsim.portfolio.accounting import JIT

LIMIT, STOP = int(OrderType.LIMIT), int(OrderType.STOP)
NEVER, LONG_AGO = np.iinfo(np.int64).max, np.iinfo(np.int64).min

# A working order at the venue; ``next`` links the orders of a market, first in first out.
WORKING = np.dtype(
    [
        ("order_id", "i8"),
        ("pair", "i8"),
        ("market", "i8"),
        ("side", "i8"),
        ("type", "i8"),
        ("quantity", "i8"),
        ("filled", "i8"),
        ("limit", "f8"),
        ("stop", "f8"),
        ("stop_loss", "f8"),
        ("take_profit", "f8"),
        ("arrival", "i8"),
        ("expires", "i8"),
        ("cancel_at", "i8"),
        ("cancel_reason", "i8"),
        ("armed", "i8"),  # open time of the candle whose inside armed it (a take-profit waits)
        ("triggered", "i8"),  # a stop that became a market or limit order
        (
            "rested",
            "i8",
        ),  # has been through an open since it came, or became a limit order: what it meets now comes to it
        ("next", "i8"),
    ]
)

# The book: WORKING rows in a pool, and int64 links: FREE (head of the free list), COUNT, then head and tail of each
# market.
FREE, COUNT, LINKS = 0, 1, 2


def new_book(capacity: int, markets: int) -> tuple[np.ndarray, np.ndarray]:
    """An empty book: (WORKING[capacity], int64 links)."""
    orders = np.zeros(capacity, WORKING)
    orders["next"] = np.arange(1, capacity + 1)
    orders["next"][-1] = -1
    links = np.full(LINKS + 2 * markets, -1, np.int64)
    links[FREE], links[COUNT] = 0, 0
    return orders, links


def grow_book(orders: np.ndarray, links: np.ndarray) -> np.ndarray:
    """A book of twice the capacity with the same orders; links keep their meaning and gain the new free rows."""
    capacity = len(orders)
    bigger = np.zeros(2 * capacity, WORKING)
    bigger[:capacity] = orders
    bigger["next"][capacity:] = np.arange(capacity + 1, 2 * capacity + 1)
    bigger["next"][-1] = links[FREE]
    links[FREE] = capacity
    return bigger


@njit(**JIT)
def insert(orders, links, market):
    """Take a free row and link it last in its market; returns the row. The caller saw to it that one is free."""
    row = links[FREE]
    links[FREE] = orders[row].next
    links[COUNT] += 1
    tail = LINKS + 2 * market + 1
    orders[row].next = -1
    orders[row].market = market
    if links[tail] < 0:
        links[tail - 1] = row
    else:
        orders[links[tail]].next = row
    links[tail] = row
    return row


@njit(**JIT)
def submit(
    orders, links, order_id, pair, market, side, type_, quantity, limit, stop, stop_loss, take_profit, arrival, expires
):
    """Put a new order into the book."""
    row = insert(orders, links, market)
    o = orders[row]
    o.order_id, o.pair, o.side, o.type, o.quantity, o.filled = order_id, pair, side, type_, quantity, 0
    o.limit, o.stop, o.stop_loss, o.take_profit = limit, stop, stop_loss, take_profit
    o.arrival, o.expires, o.cancel_at, o.cancel_reason = arrival, expires if expires > 0 else NEVER, NEVER, 0
    o.armed, o.triggered, o.rested = LONG_AGO, 0, 0
    return row


@njit(**JIT)
def cancel_pair(orders, links, market, pair, at, reason, protective):
    """Ask for the cancel of a pair's working entries from feed time ``at`` on; ``protective``: of all its orders."""
    row = links[LINKS + 2 * market]
    while row >= 0:
        o = orders[row]
        if o.pair == pair and (protective or o.type == LIMIT or o.type == STOP) and o.cancel_at > at:
            o.cancel_at, o.cancel_reason = at, reason
        row = o.next


@njit(**JIT)
def sweep(orders, links, market):
    """Unlink the orders that are done (quantity 0)."""
    head = LINKS + 2 * market
    before, row = np.int64(-1), links[head]
    while row >= 0:
        following = orders[row].next
        if orders[row].quantity == 0:
            if before < 0:
                links[head] = following
            else:
                orders[before].next = following
            if links[head + 1] == row:
                links[head + 1] = before
            orders[row].next = links[FREE]
            links[FREE] = row
            links[COUNT] -= 1
        else:
            before = row
        row = following
