"""The matching kernel: working orders against one candle, for the simulated venue and the backtest alike.

Rules, in the order they are obeyed for a candle of a market:

1. An order takes part once it has arrived: ``open_time >= arrival``. Cancels and expiries take effect first.
2. At the open, first in first out: market orders, stops the open has passed, limits the open is better than.
3. Inside the candle: protective stops (both touched: the loss wins), then stop and limit entries, then the stops those
   entries armed, then take-profits. A limit fills when touched, at its price; a stop at its price, slippage on top. A
   stop with a limit becomes a limit order from the next candle on. A take-profit armed by an entry inside the candle
   waits for the next one, and a stop so armed that the market has passed already fills where the entry did.

Market orders, stops and limits that are marketable when they come take (slippage, taker fee); resting limits make.
Prices go to the tick against us, but no limit order fills beyond its limit (one off the grid counts to the tick on its
own side). Buys are trimmed to what cash pays, sells of a cash account to the position. A fill is booked in the venue's
ledger at once. Pure: arrays in, arrays out.
"""

import numpy as np
from numba import njit

from pairsim.orders.order import Liquidity, OrderType
from pairsim.orders.order_book import COUNT, LINKS, NEVER, cancel_pair, grow_book, new_book, submit, sweep
from pairsim.orders.protective import ID_STEP, STOP_LOSS, TAKE_PROFIT, after_fill, end_entry, is_protective
from pairsim.orders.venue_event import (
    ARMED,
    BY_STRATEGY,
    BY_USER,
    CANCELED,
    END_OF_DATA,
    EVENT,
    EXPIRED,
    FILL,
    HALTED,
    NO_CASH,
    NONE,
    POSITION_CLOSED,
    REASONS,
    REJECTED,
    REPLACED,
    STOPPED,
    TIMED_OUT,
    TOO_LARGE,
    TRIMMED,
    TRIMMED_POSITION,
    TWIN_EXECUTED,
    log_event,
)
from pairsim.portfolio.accounting import (
    JIT,
    affordable,
    book,
    countable,
    fee_of,
    lots_of,
    notional_of,
    pair_cell,
    pays,
    to_grid,
)
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

# The venue's door: whoever trades with it needs no more than this module.
__all__ = [
    "ARMED",
    "BY_STRATEGY",
    "BY_USER",
    "CANCELED",
    "COUNT",
    "END_OF_DATA",
    "EVENT",
    "EXPIRED",
    "FILL",
    "HALTED",
    "ID_STEP",
    "LIMIT",
    "MAKER",
    "MARKET",
    "NEVER",
    "REASONS",
    "REJECTED",
    "REPLACED",
    "STOP",
    "STOPPED",
    "STOP_LOSS",
    "TAKER",
    "TAKE_PROFIT",
    "TRIMMED_POSITION",
    "arrival_of",
    "cancel_pair",
    "end_orders",
    "grow_book",
    "match_candle",
    "match_inside",
    "match_open",
    "new_book",
    "submit",
    "takeable",
]

MARKET, LIMIT, STOP = int(OrderType.MARKET), int(OrderType.LIMIT), int(OrderType.STOP)
TAKER, MAKER = int(Liquidity.TAKER), int(Liquidity.MAKER)


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
def match_candle(orders, links, mem, memf, base, market, time, opening, high, low, volume, participation, events, n):
    """Match a market's working orders against one candle.

    orders, links : the book; two rows must be free for each entry that could arm protective orders.
    mem, memf, base : the venue's ledger. time : open of the candle, ns. participation : share of volume that may be
    taken, 0 = all. events : EVENT[...] written from ``n`` on, eight an order at most; returns the new n.
    """
    budget = np.int64(NEVER) if participation == 0.0 else takeable(mem, memf, base, market, participation, volume)
    n, budget = match_open(orders, links, mem, memf, base, market, time, opening, budget, events, n)
    return match_inside(orders, links, mem, memf, base, market, time, high, low, budget, events, n)


@njit(**JIT)
def takeable(mem, memf, base, market, participation, volume):
    """Base units that orders may take of a candle of ``volume``, where they may not take all of it."""
    cell = base + ACCOUNT_WORDS + market * MARKET_WORDS
    share = lots_of(participation * volume, memf[cell + M_BASE_SCALE], mem[cell + M_LOT])
    return share if share >= 0 else np.int64(NEVER)


@njit(**JIT)
def match_open(orders, links, mem, memf, base, market, time, opening, budget, events, n):
    """The first half of `match_candle`: cancels, expiries and the open. Returns (n, budget left).

    Apart, because a market order is done after it: whoever walks through a history need not look at the rest of the
    candle then.
    """
    tick = memf[base + ACCOUNT_WORDS + market * MARKET_WORDS + M_TICK]
    row = links[LINKS + 2 * market]
    while row >= 0:
        o = orders[row]
        if o.quantity > 0:
            if o.cancel_at <= time:
                n = log_event(events, n, CANCELED, o, time, o.cancel_reason, 1)
                o.quantity = 0
            elif o.expires <= time:
                n = log_event(events, n, EXPIRED, o, time, TIMED_OUT, 1)
                o.quantity = 0
            elif o.arrival <= time and o.armed < time:
                if o.rested == 0 and o.limit == o.limit:
                    o.limit = to_grid(o.limit, tick, -o.side)
                price, liquidity = _price_at_open(o, opening)
                o.rested = 1
                if price == price:
                    n, budget = _execute(
                        orders, links, row, mem, memf, base, price, liquidity, time, False, budget, events, n
                    )
        row = o.next
    sweep(orders, links, market)
    return n, budget


@njit(**JIT)
def match_inside(orders, links, mem, memf, base, market, time, high, low, budget, events, n):
    """The second half of `match_candle`: what the candle's high and low reach. Returns the new n."""
    for phase in range(4):
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
    sweep(orders, links, market)
    return n


@njit(**JIT)
def end_orders(orders, links, markets, kind, reason, time, pair, events, n):
    """End every working order (of ``pair``, or of all when -1) now: at the end of data, a halt, a stop."""
    for market in range(markets):
        row = links[LINKS + 2 * market]
        while row >= 0:
            o = orders[row]
            if pair < 0 or o.pair == pair:
                n = log_event(events, n, kind, o, time, reason, 1)
                o.quantity = 0
            row = o.next
        sweep(orders, links, market)
    return n


@njit(**JIT)
def _price_at_open(o, opening):
    """(price or NaN, liquidity) of an order at the open."""
    if o.type == MARKET or (o.triggered and o.limit != o.limit):
        return opening, TAKER
    if o.type == LIMIT or o.type == TAKE_PROFIT or o.triggered:
        # marketable when it comes, it takes; one that rested and is passed by the open makes, at the better open
        if o.side * (opening - o.limit) <= 0.0:
            return opening, MAKER if o.rested else TAKER
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
        o.triggered, o.rested = 1, 0  # with a limit: comes as a limit order at the next open
        if o.limit != o.limit:
            return o.stop, TAKER
    return np.nan, TAKER


@njit(**JIT)
def _refuse(events, n, o, time, kind, reason):
    """End an order that cannot be filled. What has been filled in part is not rejected any more, but canceled."""
    n = log_event(events, n, kind if o.filled == 0 else CANCELED, o, time, reason, 1)
    o.quantity = 0
    return n


@njit(**JIT)
def _execute(orders, links, row, mem, memf, base, price, liquidity, time, inside, budget, events, n):
    """Fill what can be filled of the order in ``row`` at ``price``; returns (n, budget left)."""
    o = orders[row]
    cell = pair_cell(mem, base, o.pair)
    market = base + ACCOUNT_WORDS + o.market * MARKET_WORDS
    held, lot = mem[cell + P_QUANTITY], mem[market + M_LOT]
    to_quote, tick = memf[market + M_TO_QUOTE], memf[market + M_TICK]
    market_price = price
    if is_protective(o):
        if held * o.side >= 0:
            return _refuse(events, n, o, time, CANCELED, POSITION_CLOSED), budget
        n = end_entry(orders, links, events, n, o.market, o.order_id // ID_STEP, time, TWIN_EXECUTED)
        o.quantity = min(o.quantity, o.filled + abs(held))
    wanted = o.quantity - o.filled
    if liquidity == TAKER:
        price *= 1.0 + o.side * memf[base + A_SLIPPAGE]
    price = max(to_grid(price, tick, o.side), tick)
    if o.limit == o.limit:
        price = min(price, o.limit) if o.side > 0 else max(price, o.limit)
    rate = mem[base + (A_TAKER if liquidity == TAKER else A_MAKER)]
    quantity, reason = wanted, NONE
    if o.side > 0:
        cash = mem[base + A_CASH]
        if (held >= 0 or wanted > -held) and not pays(cash, price, wanted, to_quote, rate):
            quantity, reason = min(wanted, max(affordable(cash, price, to_quote, rate, lot), -held)), TRIMMED
    elif mem[base + A_SHORT] == 0:
        quantity, reason = min(wanted, max(held, 0)), TRIMMED_POSITION
    if quantity == wanted:
        reason = NONE
    elif quantity < lot:
        kind, why = (REJECTED, NO_CASH) if o.side > 0 else (CANCELED, POSITION_CLOSED)
        return _refuse(events, n, o, time, kind, why), budget
    if quantity > budget:
        quantity, reason = budget // lot * lot, NONE
        if quantity <= 0:
            return n, budget
    notional = notional_of(price, quantity, to_quote)
    fee = fee_of(notional, rate)
    if not countable(mem, base, o.pair, o.side, quantity, notional, fee):
        return _refuse(events, n, o, time, REJECTED, TOO_LARGE), budget
    book(mem, memf, base, o.pair, o.side, quantity, notional, fee)
    o.filled += quantity
    final = o.filled >= o.quantity or reason != NONE
    n = log_event(events, n, FILL, o, time, reason, 1 if final else 0)
    e = events[n - 1]
    e.quantity, e.notional, e.fee, e.liquidity, e.price = quantity, notional, fee, liquidity, price
    if final:
        o.quantity = o.filled
    now = mem[cell + P_QUANTITY]
    n = after_fill(orders, links, row, events, n, held, now, quantity, tick, market_price, time, inside)
    if final:
        o.quantity = 0
    return n, budget - quantity
