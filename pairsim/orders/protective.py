"""Protective orders: stop-loss and take-profit of an entry, armed when it fills, gone when the position is.

The two of one entry are one-cancels-the-other. Where they execute, or the position is closed, what is left of the entry
ends with them: nothing would guard what it still buys. A later entry with protective orders of its own takes over from
the older ones.
"""

import numpy as np
from numba import njit

from pairsim.orders.order import OrderType
from pairsim.orders.order_book import LINKS, NEVER, insert
from pairsim.orders.venue_event import ARMED, CANCELED, NEW_ENTRY, NONE, POSITION_CLOSED, TWIN_EXECUTED, log_event
from pairsim.portfolio.accounting import JIT, to_grid

STOP_LOSS, TAKE_PROFIT = int(OrderType.STOP_LOSS), int(OrderType.TAKE_PROFIT)
# Ids: a decision's order is a multiple of four; its protective orders are the next two.
ID_STEP = 4


@njit(**JIT)
def is_protective(o):
    """Whether an order only ever closes a position."""
    return o.type == STOP_LOSS or o.type == TAKE_PROFIT


@njit(**JIT)
def after_fill(orders, links, row, events, n, before, held, quantity, tick, market_price, time, inside):
    """What the fill of the order in ``row`` does to protective orders.

    before, held : the position before and after. quantity : of the fill. market_price : where the market stood when it
    filled.
    time : open of the candle; ``inside`` it, or at its open. Returns the number of events.
    """
    o = orders[row]
    if held == 0 or (before != 0 and (before > 0) != (held > 0)):  # flat, or through flat to the other side
        n = _cancel_protective(orders, links, events, n, o.market, o.pair, time, POSITION_CLOSED)
    if is_protective(o):
        return _reduce_twin(orders, links, events, n, row, quantity, time)
    stop_loss, take_profit = o.stop_loss, o.take_profit
    if held * o.side > 0 and (stop_loss == stop_loss or take_profit == take_profit):
        n = _cancel_protective(orders, links, events, n, o.market, o.pair, time, NEW_ENTRY)
        o.stop_loss = o.take_profit = np.nan  # a partial fill that comes later finds them armed already
        if stop_loss == stop_loss:
            n = _arm(orders, links, events, n, row, STOP_LOSS, stop_loss, tick, market_price, time, inside, held)
        if take_profit == take_profit:
            n = _arm(orders, links, events, n, row, TAKE_PROFIT, take_profit, tick, market_price, time, inside, held)
    return n


@njit(**JIT)
def end_entry(orders, links, events, n, market, group, time, reason):
    """End what is left of the entry whose protective orders have ids of this group."""
    row = links[LINKS + 2 * market]
    while row >= 0:
        o = orders[row]
        if o.order_id == group * ID_STEP and o.quantity > o.filled:
            n = log_event(events, n, CANCELED, o, time, reason, 1)
            o.quantity = 0  # done: swept at the end of the candle
        row = o.next
    return n


@njit(**JIT)
def _arm(orders, links, events, n, parent_row, type_, price, tick, market_price, time, inside, held):
    row = insert(orders, links, orders[parent_row].market)
    o, parent = orders[row], orders[parent_row]
    o.order_id = parent.order_id + (1 if type_ == STOP_LOSS else 2)
    o.pair, o.side, o.type, o.filled = parent.pair, -parent.side, type_, 0
    o.quantity = abs(held) + parent.quantity - parent.filled  # what the entry may still fill is guarded too
    o.limit, o.stop = (np.nan, price) if type_ == STOP_LOSS else (to_grid(price, tick, parent.side), np.nan)
    o.stop_loss, o.take_profit, o.arrival, o.expires = np.nan, np.nan, time, NEVER
    o.cancel_at, o.cancel_reason, o.triggered, o.rested = NEVER, 0, 0, 0
    o.armed = time if inside else time - 1
    if inside and type_ == TAKE_PROFIT:
        o.rested = 1 if o.side * (market_price - o.limit) > 0.0 else 0
    elif inside and o.side * (market_price - price) >= 0.0:
        o.stop = market_price  # the market is beyond it already, and gives no better price than its own
    n = log_event(events, n, ARMED, o, time, NONE, 0)
    events[n - 1].quantity, events[n - 1].price = o.quantity, price
    return n


@njit(**JIT)
def _cancel_protective(orders, links, events, n, market, pair, time, reason):
    """Cancel a pair's protective orders; when the position is closed, what is left of their entries with them."""
    row = links[LINKS + 2 * market]
    while row >= 0:
        o = orders[row]
        if o.pair == pair and is_protective(o) and o.quantity > o.filled:
            n = log_event(events, n, CANCELED, o, time, reason, 1)
            o.quantity = 0
            if reason == POSITION_CLOSED:
                n = end_entry(orders, links, events, n, market, o.order_id // ID_STEP, time, reason)
        row = o.next
    return n


@njit(**JIT)
def _reduce_twin(orders, links, events, n, filled_row, quantity, time):
    """What a protective order has filled, the other one of its entry need not fill any more."""
    filled = orders[filled_row]
    row = links[LINKS + 2 * filled.market]
    while row >= 0:
        o = orders[row]
        same = o.order_id // ID_STEP == filled.order_id // ID_STEP
        if row != filled_row and same and is_protective(o) and o.quantity > o.filled:
            o.quantity -= quantity
            if o.quantity <= o.filled:
                n = log_event(events, n, CANCELED, o, time, TWIN_EXECUTED, 1)
                o.quantity = 0
        row = o.next
    return n
