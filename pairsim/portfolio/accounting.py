"""The accounting kernels: integer money, one rule for backtest, venue and live.

A fill's notional and fee are integers computed once and stored with the fill; the floats that strategies see derive
from them. Invariants, exact in int64: cash = opening - sum(side * notional) - sum(fee), quantity = sum(side *
quantity). Pure: words in, words out. Whoever calls `book` holds the region's seqlock open where others read it.
"""

import numpy as np
from numba import njit

from pairsim.portfolio.layout import (
    A_CASH,
    A_CASH_F,
    A_EQUITY,
    A_FEES,
    A_FILLS,
    A_MARK_TIME,
    A_MARKETS,
    A_QUOTE_SCALE,
    A_REALISED,
    ACCOUNT_WORDS,
    M_BASE_SCALE,
    M_MARK,
    M_QUANTITY,
    M_TO_QUOTE,
    MARKET_WORDS,
    MONEY_LIMIT,
    P_AVERAGE,
    P_COST,
    P_FEES,
    P_FILLS,
    P_IN_FLIGHT,
    P_MARKET,
    P_NUMBER,
    P_QUANTITY,
    P_QUANTITY_F,
    P_REALISED,
    P_RELEASED,
    P_SETTLED,
    P_WORKING,
    PAIR_WORDS,
    RATE_SCALE,
)

# _nrt=False: no kernel allocates, so none counts references; counting cost more than the work (a slice is an atomic
# increment).
JIT = {"cache": True, "nogil": True, "error_model": "numpy", "_nrt": False}
HOT = {**JIT, "forceinline": True}  # small and in the inner loop: a call with a dozen arrays costs more than its body


@njit(**HOT)
def pair_cell(mem, base, pair):
    """First word of a pair's cell."""
    return base + ACCOUNT_WORDS + mem[base + A_MARKETS] * MARKET_WORDS + pair * PAIR_WORDS


@njit(**JIT)
def notional_of(price, quantity, to_quote):
    """Money units of ``quantity`` base units at ``price``, to the nearest unit; -1 if it cannot be counted."""
    value = price * quantity * to_quote
    if not value < MONEY_LIMIT:
        return np.int64(-1)
    return np.int64(np.rint(value))


@njit(**JIT)
def fee_of(notional, rate):
    """``notional * rate / RATE_SCALE`` rounded up, exactly: split so that no product passes int64."""
    return notional // RATE_SCALE * rate + -(-(notional % RATE_SCALE * rate) // RATE_SCALE)


@njit(**JIT)
def cost_of(price, quantity, to_quote, rate):
    """What a buy takes from cash, fee included; -1 if it cannot be counted."""
    notional = notional_of(price, quantity, to_quote)
    return notional if notional < 0 else notional + fee_of(notional, rate)


@njit(**JIT)
def affordable(money, price, to_quote, rate, lot):
    """The largest whole number of lots, in base units, whose cost with fee is at most ``money``.

    The float estimate can be off by a lot either way (a division of exact lots is not exact), so integers decide.
    """
    if money <= 0 or not price > 0.0:
        return np.int64(0)
    estimate = money / (price * to_quote * (1.0 + rate / RATE_SCALE)) / lot
    if not estimate < MONEY_LIMIT / lot:
        return np.int64(0)
    quantity = np.int64(estimate) * lot
    while quantity > 0:
        cost = cost_of(price, quantity, to_quote, rate)
        if 0 <= cost <= money:
            break
        quantity -= lot
    for _ in range(2):
        cost = cost_of(price, quantity + lot, to_quote, rate)
        if cost < 0 or cost > money:
            break
        quantity += lot
    return max(quantity, np.int64(0))


@njit(**JIT)
def book(mem, memf, base, pair, side, quantity, notional, fee):
    """Book one fill: ``side`` +1 or -1, the rest in units. Touches the account, one market and one pair cell."""
    cell = pair_cell(mem, base, pair)
    market = base + ACCOUNT_WORDS + mem[cell + P_MARKET] * MARKET_WORDS
    held, cost = mem[cell + P_QUANTITY], mem[cell + P_COST]
    realised = np.int64(0)
    if held * side >= 0:
        cost += side * notional
    else:
        size = abs(held)
        if quantity < size:
            removed = np.int64(np.rint(cost * (quantity / size)))
            realised = -side * notional - removed
            cost -= removed
        else:  # closes all of it, and opens the rest on the other side
            closing = notional if quantity == size else np.int64(np.rint(notional * (size / quantity)))
            realised = -side * closing - cost
            cost = side * (notional - closing)
    held += side * quantity
    mem[cell + P_QUANTITY], mem[cell + P_COST] = held, cost
    memf[cell + P_QUANTITY_F] = held / memf[market + M_BASE_SCALE]
    memf[cell + P_AVERAGE] = abs(cost / (held * memf[market + M_TO_QUOTE])) if held != 0 else 0.0
    mem[cell + P_REALISED] += realised
    mem[cell + P_FEES] += fee
    mem[cell + P_FILLS] += 1
    mem[market + M_QUANTITY] += side * quantity
    mem[base + A_CASH] -= side * notional + fee
    mem[base + A_FEES] += fee
    mem[base + A_REALISED] += realised
    mem[base + A_FILLS] += 1
    memf[base + A_CASH_F] = mem[base + A_CASH] / memf[base + A_QUOTE_SCALE]


@njit(**JIT)
def begin_order(mem, base, pair, number, market_type):
    """An order of decision ``number`` goes to the broker: the pair is pending (market orders) and holds a
    reservation.
    """
    cell = pair_cell(mem, base, pair)
    mem[cell + P_NUMBER] = number
    mem[cell + P_WORKING] += 1
    if market_type:
        mem[cell + P_IN_FLIGHT] += 1


@njit(**JIT)
def end_order(mem, base, pair, market_type):
    """An order begun before is final."""
    cell = pair_cell(mem, base, pair)
    mem[cell + P_WORKING] -= 1
    if market_type:
        mem[cell + P_IN_FLIGHT] -= 1
    settle(mem, base, pair, mem[cell + P_NUMBER])


@njit(**JIT)
def settle(mem, base, pair, number):
    """Say that decision ``number`` is settled where nothing of it is under way (its orders are final, or were all
    denied).
    """
    cell = pair_cell(mem, base, pair)
    if mem[cell + P_IN_FLIGHT] == 0:
        mem[cell + P_SETTLED] = number
    if mem[cell + P_WORKING] == 0:
        mem[cell + P_RELEASED] = number


@njit(**HOT)
def mark_equity(mem, memf, base, time):
    """Equity = cash + sum over markets of quantity * mark, in order of market index; stored and returned."""
    equity = memf[base + A_CASH_F]
    for k in range(mem[base + A_MARKETS]):
        cell = base + ACCOUNT_WORDS + k * MARKET_WORDS
        held = mem[cell + M_QUANTITY]
        if held != 0:
            equity += held / memf[cell + M_BASE_SCALE] * memf[cell + M_MARK]
    memf[base + A_EQUITY] = equity
    mem[base + A_MARK_TIME] = time
    return equity
