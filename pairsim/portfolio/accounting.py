"""The accounting kernels: integer money, one rule for backtest, venue and live.

A fill's notional and fee are integers computed once and stored with the fill; the floats that strategies see derive
from them. Invariants, exact in int64: cash = opening - sum(side * notional) - sum(fee), and position = sum(side *
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
EPSILON = 2.0**-52


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
    if notional < 0:
        return notional
    fee = fee_of(notional, rate)
    return notional + fee if fee <= MONEY_LIMIT - notional else np.int64(-1)


@njit(**HOT)
def is_whole(ratio):
    """Whether a quotient of floats means a whole number: off by 1e-9 at most, or by the roundings of a large one."""
    return abs(ratio - np.rint(ratio)) <= max(1e-9, 2.0 * EPSILON * abs(ratio))


@njit(**JIT)
def lots_of(quantity, base_scale, lot):
    """Base units of a float quantity, rounded down to the lot; an exact lot stays exact. -1: cannot be counted."""
    lots = quantity * base_scale / lot
    if not abs(lots) < MONEY_LIMIT / lot:
        return np.int64(-1)
    return np.int64(np.rint(lots) if is_whole(lots) else np.floor(lots)) * lot


@njit(**JIT)
def to_grid(price, tick, direction):
    """A price on the tick grid (0: none): there already, it stays as it is; else the next above (1) or below (-1)."""
    if tick == 0.0:
        return price
    ticks = price / tick
    if is_whole(ticks):
        return price
    ticks = np.ceil(ticks) if direction > 0 else np.floor(ticks)
    per_unit = 1.0 / tick  # 100 for 0.01: dividing by it gives the very decimal, multiplying by 0.01 does not
    return ticks / np.rint(per_unit) if is_whole(per_unit) else ticks * tick


@njit(**HOT)
def pays(money, price, quantity, to_quote, rate):
    """Whether ``money`` pays a buy, fee included, that can be counted."""
    cost = cost_of(price, quantity, to_quote, rate)
    return 0 <= cost <= money


@njit(**JIT)
def affordable(money, price, to_quote, rate, lot):
    """The largest whole number of lots, in base units, that costs at most ``money`` with fee and can be counted.

    The float estimate is off by a lot or more (a division of exact lots is not exact, and cheap assets have more units
    than a float has digits), so integers decide, in doubling steps.
    """
    if money <= 0 or not price > 0.0:
        return np.int64(0)
    most = MONEY_LIMIT // lot
    estimate = money / (price * to_quote * (1.0 + rate / RATE_SCALE)) / lot
    lots = np.int64(estimate) if estimate < most else np.int64(most)
    step = np.int64(1)
    while lots > 0 and not pays(money, price, lots * lot, to_quote, rate):
        lots -= step
        step *= 2
    lots = max(lots, np.int64(0))
    step = np.int64(1)
    while step <= most - lots and pays(money, price, (lots + step) * lot, to_quote, rate):
        lots += step
        step *= 2
    while step > 1:
        step //= 2
        if step <= most - lots and pays(money, price, (lots + step) * lot, to_quote, rate):
            lots += step
    return lots * lot


@njit(**JIT)
def countable(mem, base, pair, side, quantity, notional, fee):
    """Whether the ledger can hold what this fill would leave: position, cost and cash within plus or minus MONEY_LIMIT.

    Numbers that are counted are compared with what is left of the limit, and never added: the sum could pass int64.
    """
    if notional < 0 or quantity > MONEY_LIMIT:
        return False
    cell = pair_cell(mem, base, pair)
    market = base + ACCOUNT_WORDS + mem[cell + P_MARKET] * MARKET_WORDS
    room = MONEY_LIMIT - quantity
    if side * mem[cell + P_QUANTITY] > room or side * mem[market + M_QUANTITY] > room:
        return False
    if side * mem[cell + P_COST] > MONEY_LIMIT - notional:
        return False
    cash = mem[base + A_CASH]
    if side < 0:
        return cash <= MONEY_LIMIT - notional
    return notional - MONEY_LIMIT <= cash and fee - MONEY_LIMIT <= cash - notional


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
            if abs(removed) > abs(cost):  # a cost of more digits than a float has
                removed = cost
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
    """An order of decision ``number`` goes to the broker: the pair is pending (market orders), its money reserved."""
    cell = pair_cell(mem, base, pair)
    mem[cell + P_NUMBER] = max(mem[cell + P_NUMBER], number)
    mem[cell + P_WORKING] += 1
    # not settled, also where another order of the same decision was denied before this one
    mem[cell + P_RELEASED] = min(mem[cell + P_RELEASED], number - 1)
    if market_type:
        mem[cell + P_IN_FLIGHT] += 1
        mem[cell + P_SETTLED] = min(mem[cell + P_SETTLED], number - 1)


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
    """Take in that decision ``number`` has come so far: it, and all before it, are settled where nothing is under way.

    A denied decision counts as taken in. Otherwise the end of an older order would take back that it is settled, and
    its trader would wait for ever.
    """
    cell = pair_cell(mem, base, pair)
    mem[cell + P_NUMBER] = max(mem[cell + P_NUMBER], number)
    if mem[cell + P_IN_FLIGHT] == 0:
        mem[cell + P_SETTLED] = mem[cell + P_NUMBER]
    if mem[cell + P_WORKING] == 0:
        mem[cell + P_RELEASED] = mem[cell + P_NUMBER]


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
