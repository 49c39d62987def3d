"""Rows for the journal's tests: each follows from its number, so what is read back is compared with what was meant."""

from pairsim.orders.order import OrderType

EPOCH = 1_700_000_000_000_000_000
SCALE = 10**8


def markets(count=2):
    return [(k, f"M{k}/USDT", 8, 6, 0.01, 1e-8, 0.0) for k in range(count)]


def traders(count=2):
    return [(k, f"trader {k}", "RSI", 5_000_000_000) for k in range(count)]


def order(i, *, quantity=None, kind=OrderType.MARKET, side=1, limit=None, run=1):
    units = SCALE + i if quantity is None else quantity
    place = (i % 2, i % 2, side, int(kind), units, limit, None, None, i, 0, None)
    snapshot = (0.5, 100.25, 0.0, 1_000.0 + i / 3, 2_000.0 + i / 7, i)
    return (i, f"{run}-{i}-{i % 2}-0", EPOCH + i, EPOCH + 10 * i, *place, *snapshot, None, None)


def fill(trade, i, *, quantity=None, price=None, side=1, liquidity=0, late=0):
    units = SCALE + i if quantity is None else quantity
    money = (units, 100.0 + i / 7 if price is None else price, 123_456 + i, 789 + i)
    return (trade, i, EPOCH + i + 1, EPOCH + 10 * i + 5, i % 2, i % 2, side, *money, liquidity, late)


def event(i, status, reason=None, step=1):
    return (i, EPOCH + i + step, EPOCH + 10 * i + step, int(status), reason, None, None)
