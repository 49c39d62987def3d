"""What the venue says of an order: the records that matching writes, and the reasons that stand in the journal."""

import numpy as np
from numba import njit

from pairsim.portfolio.accounting import JIT

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
    "a protective order of the same entry executed",
    "too large to count",
)
(NONE, TRIMMED, NO_CASH, POSITION_CLOSED, REPLACED, BY_STRATEGY, TIMED_OUT, END_OF_DATA, HALTED, STOPPED, NEW_ENTRY,
 TRIMMED_POSITION, BY_USER, TWIN_EXECUTED, TOO_LARGE) = range(15)  # fmt: skip


@njit(**JIT)
def log_event(events, n, kind, o, time, reason, final):
    """Write event ``n`` of the working order ``o``; returns the number of events."""
    e = events[n]
    e.kind, e.order_id, e.pair, e.market = kind, o.order_id, o.pair, o.market
    e.side, e.type, e.time = o.side, o.type, time
    e.quantity, e.notional, e.fee, e.liquidity, e.final, e.reason, e.price, e.late = 0, 0, 0, 0, final, reason, 0.0, 0
    return n + 1
