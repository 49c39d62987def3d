"""From what a strategy wants to what an order says: quantities in whole lots, sides and types. Pure kernels.

``weight`` is a share of equity, capped by cash after fees; quantities round down to the lot. Prices are the last close.
"""

import numpy as np
from numba import njit

from pairsim.orders.order import (
    O_EXPIRES,
    O_LIMIT,
    O_PAIR,
    O_QUANTITY,
    O_SIDE,
    O_STOP,
    O_STOP_LOSS,
    O_TAKE_PROFIT,
    O_TYPE,
    O_VERDICT,
    OrderType,
)
from pairsim.portfolio.accounting import JIT, affordable, lots_of
from pairsim.portfolio.layout import (
    A_QUOTE_SCALE,
    A_SHORT,
    A_SLIPPAGE,
    A_TAKER,
    M_BASE_SCALE,
    M_LOT,
    M_TO_QUOTE,
    MONEY_LIMIT,
)

# Signal kinds and units as in ``strategies.signal``; repeated here because kernels freeze them and orders stand below.
BUY, SELL, TARGET, CLOSE, CANCEL = 1, 2, 3, 4, 5
QUANTITY, NOTIONAL, WEIGHT = 0, 1, 2
MARKET, LIMIT, STOP = int(OrderType.MARKET), int(OrderType.LIMIT), int(OrderType.STOP)

# Why a signal cannot become an order, and what the trader is told of it.
SIZED, NOTHING = 0, 1
BAD_AMOUNT, BAD_WEIGHT, BAD_PRICE, TOO_LARGE, BAD_KIND = 2, 3, 4, 5, 6
PROBLEMS = {
    BAD_AMOUNT: "amount {amount!r} must be a finite number above 0 (target: any finite number)",
    BAD_WEIGHT: "weight {amount!r} must be above 0 and at most 1 (target: from -1 to 1)",
    BAD_PRICE: (
        "a price (limit {limit!r}, stop {stop!r}, stop_loss {stop_loss!r}, take_profit {take_profit!r}) "
        "must be a finite number above 0"
    ),
    TOO_LARGE: (
        "amount {amount!r} is more than the account can count (int64 units); "
        "declare the Instrument with a smaller base_scale"
    ),
    BAD_KIND: "kind {kind!r} is no signal; return ps.buy, sell, target, close, cancel, hold or None",
}


@njit(**JIT)
def _quantity(unit, amount, equity, price, memf, base, cell, lot):
    """Base units (not negative) of ``abs(amount)``; -1 if it cannot be counted."""
    if unit == QUANTITY:
        return lots_of(abs(amount), memf[cell + M_BASE_SCALE], lot)
    money = abs(amount) * (equity if unit == WEIGHT else 1.0) * memf[base + A_QUOTE_SCALE]
    if not money < MONEY_LIMIT or not money < MONEY_LIMIT * price * memf[cell + M_TO_QUOTE]:
        return np.int64(-1)
    return affordable(np.int64(np.rint(money)), price, memf[cell + M_TO_QUOTE], 0, lot)


@njit(**JIT)
def _bad_price(price):
    return not np.isnan(price) and not (0.0 < price < np.inf)


@njit(**JIT)
def size_signal(
    mem, memf, base, cell, out, outf, order, pair, kind, unit, amount, limit, stop, stop_loss, take_profit, expires,
    price, held, cash, equity,
):  # fmt: skip
    """Write the order of one signal at word ``order`` of ``out``; returns SIZED, NOTHING (no order) or a problem.

    ``base`` is a portfolio region (for fees and scales), ``cell`` the market's cell in it, ``held`` the trader's own
    position in base units, ``price`` the last close, ``cash`` (units) and ``equity`` (float) of the snapshot,
    ``expires`` a feed time or 0.
    """
    if kind < BUY or kind > CANCEL:
        return BAD_KIND
    if _bad_price(limit) or _bad_price(stop) or _bad_price(stop_loss) or _bad_price(take_profit):
        return BAD_PRICE
    lot = mem[cell + M_LOT]
    side, quantity = np.int64(0), np.int64(0)
    if kind == CLOSE:
        if held == 0:
            return NOTHING
        side, quantity = (-1 if held > 0 else 1), abs(held)
    elif kind != CANCEL:
        if not np.isfinite(amount) or (kind != TARGET and amount <= 0.0):
            return BAD_AMOUNT
        if unit == WEIGHT and abs(amount) > 1.0:
            return BAD_WEIGHT
        quantity = _quantity(unit, amount, equity, price, memf, base, cell, lot)
        if quantity < 0:
            return TOO_LARGE
        side = np.int64(-1 if kind == SELL else 1)
        if kind == TARGET:
            change = (quantity if amount >= 0.0 else -quantity) - held
            if abs(change) < lot:
                return NOTHING
            side, quantity = (1 if change > 0 else -1), abs(change)
        if unit != QUANTITY:  # approximate amounts are cut to what can be had; an exact quantity is checked by the gate
            if side > 0 and (held >= 0 or quantity > -held):
                at = limit if limit == limit else price * (1.0 + memf[base + A_SLIPPAGE])
                most = affordable(cash, at, memf[cell + M_TO_QUOTE], mem[base + A_TAKER], lot)
                quantity = min(quantity, max(most, -held))
                if kind == TARGET and quantity < lot:
                    return NOTHING  # nothing is left to approach the target with, and nothing is wrong
            elif side < 0 and mem[base + A_SHORT] == 0:
                quantity = min(quantity, max(held, 0))
    out[order + O_PAIR], out[order + O_SIDE], out[order + O_QUANTITY] = pair, side, quantity
    out[order + O_TYPE] = STOP if stop == stop else (LIMIT if limit == limit else MARKET)
    outf[order + O_LIMIT], outf[order + O_STOP] = limit, stop
    outf[order + O_STOP_LOSS], outf[order + O_TAKE_PROFIT] = stop_loss, take_profit
    out[order + O_EXPIRES], out[order + O_VERDICT] = expires, 0
    return SIZED
