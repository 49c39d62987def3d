"""The one place where orders are checked, as pure kernels: what the gate runs live and the backtest runs inline.

A refusal is a verdict, a small integer with a reason; nothing is raised. Reservations hold the cash that approved buys
will take until they are settled, so two orders cannot spend the same money.
"""

import numpy as np
from numba import njit

from pairsim.orders.order import O_LIMIT, O_PAIR, O_QUANTITY, O_SIDE, O_STOP
from pairsim.portfolio.accounting import JIT, cost_of, notional_of, pair_cell
from pairsim.portfolio.layout import (
    A_CASH,
    A_MARKETS,
    A_MAX_GROSS,
    A_MAX_ORDER,
    A_MAX_POSITION,
    A_PAIRS,
    A_SHORT,
    A_TAKER,
    ACCOUNT_WORDS,
    M_LOT,
    M_MARK,
    M_MINIMUM,
    M_QUANTITY,
    M_TO_QUOTE,
    MARKET_WORDS,
    MONEY_LIMIT,
    P_MARKET,
    P_QUANTITY,
    P_RELEASED,
)

(PASSED, UNKNOWN_SYMBOL, NO_LOT, BELOW_MINIMUM, NO_CASH, NO_POSITION, NO_PRICE, TOO_LARGE, HALTED, REDUCE_ONLY,
 DUPLICATE, ORDER_LIMIT, POSITION_LIMIT, GROSS_LIMIT) = range(14)  # fmt: skip
REASONS: tuple[str, ...] = (
    "",
    "unknown symbol",
    "quantity is less than one lot",
    "below the minimum notional",
    "not enough cash",
    "more than the position; short selling needs SimBroker(short=True)",
    "no price yet",
    "too large to count",
    "trading is halted; unhalt() clears it",
    "reduce-only: the order would enlarge a position",
    "duplicate",
    "above max_order_notional",
    "above max_position_notional",
    "above max_gross_exposure",
)
ACTIVE, REDUCE, HALT = 0, 1, 2  # trading states, as words of shared memory

# Reservations: word 0 how many, then rows of (pair, number, money): the buys of one decision a pair, because a new
# decision replaces the old.
R_PAIR, R_NUMBER, R_MONEY, R_WORDS = 0, 1, 2, 3


def reservation_words(capacity: int) -> int:
    """Words of a table of reservations for so many unsettled decisions."""
    return 1 + capacity * R_WORDS


@njit(**JIT)
def reserved_cash(mem, base, table, pair, number):
    """Cash still reserved, but for what decision ``number`` of ``pair`` would replace.

    Drops what the portfolio says is released.
    """
    total, kept = np.int64(0), 0
    for k in range(table[0]):
        row = 1 + k * R_WORDS
        if mem[pair_cell(mem, base, table[row]) + P_RELEASED] < table[row + R_NUMBER]:
            kept = _keep(table, row, kept)
            if table[row] != pair or table[row + R_NUMBER] == number:
                total += table[row + R_MONEY]
    table[0] = kept
    return total


@njit(**JIT)
def _keep(table, row, kept):
    to = 1 + kept * R_WORDS
    table[to], table[to + 1], table[to + 2] = table[row], table[row + 1], table[row + 2]
    return kept + 1


@njit(**JIT)
def _passed(table, pair, number, money):
    """The decision stands: what it replaces holds nothing any more. (A refused one replaces nothing.)"""
    kept = 0
    for k in range(table[0]):
        row = 1 + k * R_WORDS
        if table[row] != pair or table[row + R_NUMBER] == number:
            kept = _keep(table, row, kept)
    table[0] = kept
    return PASSED, money


@njit(**JIT)
def beyond_limits(mem, memf, base, market, after, price, notional, reserved):
    """PASSED, or which of the account's limits an order of ``notional`` breaks that leaves ``after`` in its market."""
    if notional > mem[base + A_MAX_ORDER]:
        return ORDER_LIMIT
    position = notional_of(price, abs(after), memf[market + M_TO_QUOTE])
    if position < 0 or position > mem[base + A_MAX_POSITION]:
        return POSITION_LIMIT
    if mem[base + A_MAX_GROSS] == MONEY_LIMIT:
        return PASSED
    gross = float(position) + reserved
    for k in range(mem[base + A_MARKETS]):
        other = base + ACCOUNT_WORDS + k * MARKET_WORDS
        if other != market and mem[other + M_QUANTITY] != 0:
            gross += abs(mem[other + M_QUANTITY]) * memf[other + M_MARK] * memf[other + M_TO_QUOTE]
    return GROSS_LIMIT if gross > mem[base + A_MAX_GROSS] else PASSED


@njit(**JIT)
def check_order(mem, memf, base, table, order_mem, order_memf, order, number, trading, last):
    """The verdict on one sized order, and the cash to reserve for it: (verdict, money).

    mem, base : the portfolio region. table : reservations. order : word of the order record in ``order_mem``. number :
    of the decision. trading : ACTIVE, REDUCE or HALT. last : last close of the market, NaN if none. A buy passes if at
    least one lot can be paid: the fill trims the rest, so that a price that moved does not refuse an all-in order.
    """
    nothing = np.int64(0)
    pair, side = order_mem[order + O_PAIR], order_mem[order + O_SIDE]
    if pair < 0 or pair >= mem[base + A_PAIRS]:
        return UNKNOWN_SYMBOL, nothing
    if side == 0:
        return PASSED, nothing  # a cancel always passes
    if trading == HALT:
        return HALTED, nothing
    cell = pair_cell(mem, base, pair)
    market = base + ACCOUNT_WORDS + mem[cell + P_MARKET] * MARKET_WORDS
    held, quantity, lot = mem[cell + P_QUANTITY], order_mem[order + O_QUANTITY], mem[market + M_LOT]
    short = side < 0 and mem[base + A_SHORT] == 0
    if trading == REDUCE and (held * side >= 0 or quantity > abs(held)):
        return REDUCE_ONLY, nothing
    if short and held <= 0:
        return NO_POSITION, nothing  # before the lot: sizing has cut the order to nothing
    price = last
    limit, stop = order_memf[order + O_LIMIT], order_memf[order + O_STOP]
    if limit == limit:
        price = limit
    elif stop == stop:
        price = stop
    if not price > 0.0:
        return NO_PRICE, nothing
    to_quote, rate = memf[market + M_TO_QUOTE], mem[base + A_TAKER]
    opens = quantity - max(-held, 0)
    reserved = reserved_cash(mem, base, table, pair, number)
    free = mem[base + A_CASH] - reserved
    penniless = side > 0 and opens >= 0 and not 0 <= cost_of(price, lot, to_quote, rate) <= free
    closes = held * side < 0 and 0 < quantity == abs(held)
    if quantity < lot and not closes:
        return (NO_CASH if penniless else NO_LOT), nothing
    notional = notional_of(price, quantity, to_quote)
    most = MONEY_LIMIT - quantity
    if notional < 0 or side * held > most or side * mem[market + M_QUANTITY] > most:
        return TOO_LARGE, nothing
    if notional < mem[market + M_MINIMUM] and not closes:
        return BELOW_MINIMUM, nothing
    if short and quantity > held:
        return NO_POSITION, nothing
    before = mem[market + M_QUANTITY]
    if abs(before + side * quantity) > abs(before):
        broken = beyond_limits(mem, memf, base, market, before + side * quantity, price, notional, reserved)
        if broken != PASSED:
            return broken, nothing
    if side < 0 or opens <= 0:
        return _passed(table, pair, number, nothing)
    if penniless:
        return NO_CASH, nothing
    cost = cost_of(price, opens, to_quote, rate)
    return _passed(table, pair, number, free if cost < 0 else min(cost, free))


@njit(**JIT)
def reserve(table, pair, number, money):
    """Hold ``money`` for decision ``number`` of ``pair`` until it is released.

    A full table holds nothing: the fill still trims.
    """
    if money > 0 and 1 + (table[0] + 1) * R_WORDS <= len(table):
        row = 1 + table[0] * R_WORDS
        table[row], table[row + 1], table[row + 2] = pair, number, money
        table[0] += 1
