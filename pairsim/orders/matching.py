"""The matching kernel: working orders against one candle, for the simulated venue and the backtest alike.

Rules, in the order they are obeyed for a candle of a market:

1. An order takes part once it has arrived: ``open_time >= arrival``. Cancels and expiries take effect first.
2. At the open, first in first out: market orders, stops the open has passed, limits the open is better than.
3. Inside the candle: protective stops (both touched: the loss wins), then stop and limit entries, then the stops those
   entries armed, then take-profits. A limit fills when touched, at its price; a stop at its price, slippage on top. A
   stop with a limit becomes a limit order from the next candle on. A take-profit armed by an entry inside the candle
   waits for the next one.

Market orders, stops and marketable limits take (slippage, taker fee); resting limits make. Buys are trimmed to what
cash pays, sells of a cash account to the position. A fill is booked in the venue's ledger at once. Pure: arrays in,
arrays out.
"""

import numpy as np
from numba import njit

from pairsim.orders.order import Liquidity, OrderType
from pairsim.portfolio.accounting import JIT, affordable, book, cost_of, fee_of, notional_of, pair_cell
from pairsim.portfolio.layout import (
    A_CASH,
    A_MAKER,
    A_SHORT,
    A_SLIPPAGE,
    A_TAKER,
    ACCOUNT_WORDS,
    M_BASE_SCALE,
    M_LOT,
    M_TICK,
    M_TO_QUOTE,
    MARKET_WORDS,
    P_QUANTITY,
)

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
        ("armed", "i8"),  # open time of the candle whose inside armed it (a take-profit waits), else 0
        ("triggered", "i8"),  # a stop that became a market or limit order
        ("next", "i8"),
    ]
)

# What happened to an order: the kernel's only output.
EVENT = np.dtype(
    [
        ("kind", "i8"),
        ("order_id", "i8"),
        ("pair", "i8"),
        ("market", "i8"),
        ("side", "i8"),
        ("type", "i8"),
        ("time", "i8"),  # feed time: the open of the candle
        ("quantity", "i8"),  # of the fill, or of the armed order
        ("notional", "i8"),
        ("fee", "i8"),
        ("liquidity", "i8"),
        ("final", "i8"),  # 1: the order is done
        ("reason", "i8"),
        ("price", "f8"),  # of the fill, or the armed order's limit or stop
        ("late", "i8"),
    ]
)
FILL, CANCELED, EXPIRED, REJECTED, ARMED = range(5)

REASONS: tuple[str, ...] = (
    "",
    "trimmed to cash",
    "not enough cash at the fill",
    "position closed",
    "replaced by a new signal",
    "canceled by the strategy",
    "expired",
    "end of data",
    "halted",
    "engine stopped",
    "replaced by a new entry",
    "trimmed to the position",
    "canceled by the user",
)
(NONE, TRIMMED, NO_CASH, POSITION_CLOSED, REPLACED, BY_STRATEGY, TIMED_OUT, END_OF_DATA, HALTED, STOPPED, NEW_ENTRY,
TRIMMED_POSITION,
 BY_USER) = range(13)  # fmt: skip

MARKET, LIMIT, STOP, STOP_LOSS, TAKE_PROFIT = (int(t) for t in OrderType)
TAKER, MAKER = int(Liquidity.TAKER), int(Liquidity.MAKER)
# Ids: a decision's order is a multiple of four; its protective orders are the next two.
ID_STEP = 4
NEVER = np.iinfo(np.int64).max

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
def arrival_of(time, order_id, latency, jitter, seed):
    """Feed time at which an order reaches the venue: decision + latency + an even draw from 0 to ``jitter``.

    The draw is splitmix64 of (seed, order id), so that it depends on nothing drawn before (Steele, Lea, Flood, OOPSLA
    2014).
    """
    if jitter == 0:
        return time + latency
    z = (np.uint64(seed) + np.uint64(order_id) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return time + latency + np.int64((z ^ (z >> np.uint64(31))) >> np.uint64(1)) % (jitter + 1)


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
    o.arrival, o.expires, o.cancel_at, o.cancel_reason, o.armed, o.triggered = (
        arrival,
        expires if expires > 0 else NEVER,
        NEVER,
        0,
        0,
        0,
    )
    return row


@njit(**JIT)
def cancel_pair(orders, links, market, pair, at, reason, protective):
    """Ask for the cancel of a pair's working entries (``protective``: of its protective orders too) from feed time
    ``at`` on.
    """
    row = links[LINKS + 2 * market]
    while row >= 0:
        o = orders[row]
        if o.pair == pair and (protective or o.type == LIMIT or o.type == STOP) and o.cancel_at > at:
            o.cancel_at, o.cancel_reason = at, reason
        row = o.next


@njit(**JIT)
def _event(events, n, kind, o, time, reason, final):
    e = events[n]
    e.kind, e.order_id, e.pair, e.market, e.side, e.type, e.time = (
        kind,
        o.order_id,
        o.pair,
        o.market,
        o.side,
        o.type,
        time,
    )
    e.quantity, e.notional, e.fee, e.liquidity, e.final, e.reason, e.price, e.late = 0, 0, 0, 0, final, reason, 0.0, 0
    return n + 1


@njit(**JIT)
def _arm(orders, links, events, n, parent_row, type_, price, time, inside, held):
    """Create a protective order of the filled entry ``parent_row``."""
    row = insert(orders, links, orders[parent_row].market)
    o, parent = orders[row], orders[parent_row]
    o.order_id = parent.order_id + (1 if type_ == STOP_LOSS else 2)
    o.pair, o.side, o.type, o.filled = parent.pair, -parent.side, type_, 0
    o.quantity = abs(held) + parent.quantity - parent.filled
    o.limit, o.stop = (np.nan, price) if type_ == STOP_LOSS else (price, np.nan)
    o.stop_loss, o.take_profit, o.arrival, o.expires = np.nan, np.nan, time, NEVER
    o.cancel_at, o.cancel_reason, o.triggered = NEVER, 0, 0
    o.armed = time if inside else time - 1
    n = _event(events, n, ARMED, o, time, NONE, 0)
    events[n - 1].quantity, events[n - 1].price = o.quantity, price
    return n


@njit(**JIT)
def _protective(o):
    return o.type == STOP_LOSS or o.type == TAKE_PROFIT


@njit(**JIT)
def _cancel_protective(orders, links, events, n, market, pair, but, time, reason):
    """Cancel a pair's protective orders except the children of order ``but``."""
    row = links[LINKS + 2 * market]
    while row >= 0:
        o = orders[row]
        if o.pair == pair and _protective(o) and o.quantity > o.filled and o.order_id // ID_STEP != but:
            n = _event(events, n, CANCELED, o, time, reason, 1)
            o.quantity = 0  # done: swept at the end of the candle
        row = o.next
    return n


@njit(**JIT)
def _round_to_tick(price, side, tick):
    if tick == 0.0:
        return price
    ticks = price / tick
    nearest = np.rint(ticks)
    if abs(ticks - nearest) > 1e-9 * nearest:
        nearest = np.ceil(ticks) if side > 0 else np.floor(ticks)
    return nearest * tick


@njit(**JIT)
def _execute(orders, links, row, mem, memf, base, price, liquidity, time, inside, budget, events, n):
    """Fill what can be filled of the order in ``row`` at ``price``; returns (n, budget left)."""
    o = orders[row]
    cell = pair_cell(mem, base, o.pair)
    market = base + ACCOUNT_WORDS + o.market * MARKET_WORDS
    held, lot, to_quote = mem[cell + P_QUANTITY], mem[market + M_LOT], memf[market + M_TO_QUOTE]
    wanted = o.quantity - o.filled
    reason = NONE
    if _protective(o):
        if held * o.side >= 0:
            n = _event(events, n, CANCELED, o, time, POSITION_CLOSED, 1)
            o.quantity = 0
            return n, budget
        wanted = min(wanted, abs(held))
        if wanted < o.quantity - o.filled:
            o.quantity = o.filled + wanted
    if liquidity == TAKER:
        price *= 1.0 + o.side * memf[base + A_SLIPPAGE]
    price = _round_to_tick(price, o.side, memf[market + M_TICK])
    rate = mem[base + (A_TAKER if liquidity == TAKER else A_MAKER)]
    quantity, most = wanted, wanted
    if o.side > 0:
        if held >= 0 or wanted > -held:
            cost = cost_of(price, wanted, to_quote, rate)
            if cost < 0 or cost > mem[base + A_CASH]:  # else what can be paid need not be found out
                most = max(affordable(mem[base + A_CASH], price, to_quote, rate, lot), max(-held, 0))
                reason = TRIMMED
    elif mem[base + A_SHORT] == 0:
        most, reason = max(held, 0), TRIMMED_POSITION
    if most < wanted:
        if most < lot:
            n = _event(
                events, n, REJECTED if o.side > 0 else CANCELED, o, time, NO_CASH if o.side > 0 else POSITION_CLOSED, 1
            )
            o.quantity = 0
            return n, budget
        quantity = most
    else:
        reason = NONE
    if quantity > budget:
        quantity = budget // lot * lot
        reason = NONE
        if quantity <= 0:
            return n, budget
    notional = notional_of(price, quantity, to_quote)
    fee = fee_of(notional, rate)
    if notional < 0 or abs(mem[base + A_CASH]) + notional + fee < 0:
        n = _event(events, n, REJECTED, o, time, NO_CASH, 1)
        o.quantity = 0
        return n, budget
    book(mem, memf, base, o.pair, o.side, quantity, notional, fee)
    o.filled += quantity
    final = o.filled >= o.quantity or reason != NONE
    n = _event(events, n, FILL, o, time, reason, 1 if final else 0)
    e = events[n - 1]
    e.quantity, e.notional, e.fee, e.liquidity, e.price = quantity, notional, fee, liquidity, price
    held = mem[cell + P_QUANTITY]
    if final:
        o.quantity = o.filled
    if held == 0:
        n = _cancel_protective(orders, links, events, n, o.market, o.pair, -1, time, POSITION_CLOSED)
    elif not _protective(o) and held * o.side > 0 and (o.stop_loss == o.stop_loss or o.take_profit == o.take_profit):
        n = _cancel_protective(orders, links, events, n, o.market, o.pair, o.order_id // ID_STEP, time, NEW_ENTRY)
        # a partial fill that comes later finds its protective orders armed already
        stop_loss, take_profit = o.stop_loss, o.take_profit
        o.stop_loss = o.take_profit = np.nan
        if stop_loss == stop_loss:
            n = _arm(orders, links, events, n, row, STOP_LOSS, stop_loss, time, inside, held)
        if take_profit == take_profit:
            n = _arm(orders, links, events, n, row, TAKE_PROFIT, take_profit, time, inside, held)
    if final:
        o.quantity = 0
    return n, budget - quantity


@njit(**JIT)
def _price_at_open(o, time, opening):
    """(price or NaN, liquidity) of an order at the open."""
    if o.type == MARKET or (o.triggered and o.limit != o.limit):
        return opening, TAKER
    if o.type == LIMIT or o.type == TAKE_PROFIT or o.triggered:
        # marketable on arrival takes; one that rested and is passed by the open makes, at the better open
        if o.side * (opening - o.limit) <= 0.0:
            return opening, TAKER if o.arrival == time else MAKER
    elif o.side * (opening - o.stop) >= 0.0:
        o.triggered = 1
        if o.limit != o.limit:
            return opening, TAKER
        if o.side * (opening - o.limit) <= 0.0:
            return opening, TAKER
    return np.nan, TAKER


@njit(**JIT)
def _price_inside(o, high, low):
    """(price or NaN, liquidity) of an order between open and close; the open did not fill it."""
    if o.type == MARKET or (o.triggered and o.limit != o.limit):
        return np.nan, TAKER
    if o.type == LIMIT or o.type == TAKE_PROFIT or o.triggered:
        if (low <= o.limit) if o.side > 0 else (high >= o.limit):
            return o.limit, MAKER
    elif (high >= o.stop) if o.side > 0 else (low <= o.stop):
        o.triggered = 1
        if o.limit != o.limit:
            return o.stop, TAKER
    return np.nan, TAKER


@njit(**JIT)
def _sweep(orders, links, market):
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


@njit(**JIT)
def match_candle(orders, links, mem, memf, base, market, time, opening, high, low, volume, participation, events, n):
    """Match a market's working orders against one candle.

    orders, links : the book; two rows must be free for each entry that could arm protective orders.
    mem, memf, base : the venue's ledger. time : open of the candle, ns. participation : share of volume that may be
        taken, 0 = all.
    events : EVENT[...] written from ``n`` on; returns the new n.
    """
    row = links[LINKS + 2 * market]
    if row < 0:
        return n
    budget = np.int64(NEVER)
    if participation > 0.0:
        share = participation * volume * memf[base + ACCOUNT_WORDS + market * MARKET_WORDS + M_BASE_SCALE]
        budget = np.int64(share) if share < 9e18 else budget
    while row >= 0:  # 1: cancels and expiries, 2: the open
        o = orders[row]
        if o.quantity > 0:
            if o.cancel_at <= time:
                n = _event(events, n, CANCELED, o, time, o.cancel_reason, 1)
                o.quantity = 0
            elif o.expires <= time:
                n = _event(events, n, EXPIRED, o, time, TIMED_OUT, 1)
                o.quantity = 0
            elif o.arrival <= time and o.armed < time:
                price, liquidity = _price_at_open(o, time, opening)
                if price == price:
                    n, budget = _execute(
                        orders, links, row, mem, memf, base, price, liquidity, time, False, budget, events, n
                    )
        row = o.next
    for phase in range(4):  # 3: inside the candle
        row = links[LINKS + 2 * market]
        while row >= 0:
            o = orders[row]
            if phase == 0:
                due = o.type == STOP_LOSS
            elif phase == 1:
                due = o.type == LIMIT or o.type == STOP
            elif phase == 2:
                due = o.type == STOP_LOSS and o.armed == time
            else:
                due = o.type == TAKE_PROFIT and o.armed < time
            if due and o.quantity > 0 and o.arrival <= time:
                price, liquidity = _price_inside(o, high, low)
                if price == price:
                    n, budget = _execute(
                        orders, links, row, mem, memf, base, price, liquidity, time, True, budget, events, n
                    )
            row = o.next
    _sweep(orders, links, market)
    return n


@njit(**JIT)
def end_orders(orders, links, markets, kind, reason, time, pair, events, n):
    """End every working order (of ``pair``, or of all when -1) now: at the end of data, a halt, a stop."""
    for market in range(markets):
        row = links[LINKS + 2 * market]
        while row >= 0:
            o = orders[row]
            if pair < 0 or o.pair == pair:
                n = _event(events, n, kind, o, time, reason, 1)
                o.quantity = 0
            row = o.next
        _sweep(orders, links, market)
    return n
