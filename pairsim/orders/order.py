"""Orders: FIX words, the one transition table, and the record that travels from a worker to the order engine.

Pure data and pure functions; decides what may follow what, never when.
"""

from enum import IntEnum

import numpy as np


class Status(IntEnum):
    """Life of an order, in FIX words. ``DENIED`` is our own refusal, ``REJECTED`` the broker's."""

    INITIALIZED = 0
    DENIED = 1
    SUBMITTED = 2
    ACCEPTED = 3
    PARTIALLY_FILLED = 4
    FILLED = 5
    PENDING_CANCEL = 6
    CANCELED = 7
    REJECTED = 8
    EXPIRED = 9
    UNKNOWN = 10


class OrderType(IntEnum):
    """What makes an order executable. The two protective types close a position and never open one."""

    MARKET = 0
    LIMIT = 1
    STOP = 2
    STOP_LOSS = 3
    TAKE_PROFIT = 4


class Liquidity(IntEnum):
    """Whether a fill took liquidity (market and stop orders, marketable limits) or made it."""

    TAKER = 0
    MAKER = 1


_S = Status
# The literal table: nothing else in pairsim decides which status may follow which. A fill may arrive after a cancel was
# asked for or even confirmed (it happened first at the venue): it is booked, hence CANCELED -> FILLED. UNKNOWN is left
# only by asking.
TRANSITIONS: dict[Status, frozenset[Status]] = {
    _S.INITIALIZED: frozenset({_S.DENIED, _S.SUBMITTED, _S.CANCELED, _S.EXPIRED}),
    _S.SUBMITTED: frozenset(
        {_S.ACCEPTED, _S.REJECTED, _S.PARTIALLY_FILLED, _S.FILLED, _S.PENDING_CANCEL}
        | {_S.CANCELED, _S.EXPIRED, _S.UNKNOWN}
    ),
    _S.ACCEPTED: frozenset(
        {_S.PARTIALLY_FILLED, _S.FILLED, _S.PENDING_CANCEL, _S.CANCELED, _S.REJECTED, _S.EXPIRED, _S.UNKNOWN}
    ),
    _S.PARTIALLY_FILLED: frozenset(
        {_S.PARTIALLY_FILLED, _S.FILLED, _S.PENDING_CANCEL, _S.CANCELED, _S.EXPIRED, _S.UNKNOWN}
    ),
    _S.PENDING_CANCEL: frozenset(
        {_S.CANCELED, _S.PARTIALLY_FILLED, _S.FILLED, _S.ACCEPTED, _S.REJECTED, _S.EXPIRED, _S.UNKNOWN}
    ),
    _S.CANCELED: frozenset({_S.PARTIALLY_FILLED, _S.FILLED}),
    _S.EXPIRED: frozenset({_S.PARTIALLY_FILLED, _S.FILLED}),
    _S.UNKNOWN: frozenset({_S.ACCEPTED, _S.PARTIALLY_FILLED, _S.FILLED, _S.CANCELED, _S.REJECTED, _S.EXPIRED}),
    _S.DENIED: frozenset(),
    _S.REJECTED: frozenset(),
    _S.FILLED: frozenset(),
}

TERMINAL: frozenset[Status] = frozenset({_S.DENIED, _S.FILLED, _S.CANCELED, _S.REJECTED, _S.EXPIRED})


def may_follow(current: Status, following: Status) -> bool:
    """Whether ``following`` is a legal successor of ``current``."""
    return following in TRANSITIONS[current]


MAX_MARKETS = 4  # markets a trader may subscribe to: the decision record has room for so many snapshots
MAX_SIGNALS = 4  # signals of one evaluation

# One entry of an order ring is one evaluation: its identity, everything it read from outside, and its one to four
# orders, published by one store. It is the log of its own evaluation: a worker restarted after a crash decides again on
# these values.
SNAPSHOT = np.dtype([("quantity", "i8"), ("average_price", "f8"), ("pending", "f8")])  # quantity in units
ORDER = np.dtype(
    [
        ("pair", "i8"),  # (trader, market): the cell of the position it changes
        ("side", "i8"),  # +1 buy, -1 sell, 0 cancels the trader's working orders in this market
        ("type", "i8"),
        ("quantity", "i8"),  # units of the base asset
        ("limit", "f8"),
        ("stop", "f8"),
        ("stop_loss", "f8"),
        ("take_profit", "f8"),
        ("expires", "i8"),  # ns of feed time, 0 never
        ("verdict", "i8"),  # written by the gate: 0 passed, else a reason of ``checks.REASONS``
    ]
)
DECISION = np.dtype(
    [
        ("trader", "i8"),
        ("n", "i8"),  # the trader's record counter: with ``trader`` the identity of the evaluation
        ("number", "i8"),  # the trader's decisions so far: part of the client order id
        ("time", "i8"),  # feed time of the decision, ns: the close of the candle that was looked at
        ("orders", "i8"),  # how many of ``order`` are used
        ("tick_ns", "i8"),  # monotonic: the candle was published
        ("emit_ns", "i8"),  # monotonic: this record was published
        ("sequence", "i8"),  # of the portfolio snapshot
        ("cash", "i8"),  # units
        ("equity", "f8"),
        ("snapshot", SNAPSHOT, (MAX_MARKETS,)),
        ("order", ORDER, (MAX_SIGNALS,)),
        ("index", "i8"),  # of this entry in its order ring: tells the last one published from one half written over it
        ("spare", "i8"),
    ]
)
DECISION_WORDS = DECISION.itemsize // 8
assert DECISION_WORDS == 64

# Word offsets of the same record for kernels, which address shared memory by word.
(D_TRADER, D_N, D_NUMBER, D_TIME, D_ORDERS, D_TICK, D_EMIT, D_SEQUENCE, D_CASH, D_EQUITY) = range(10)
D_SNAPSHOT = 10
SNAPSHOT_WORDS = SNAPSHOT.itemsize // 8
D_ORDER = D_SNAPSHOT + MAX_MARKETS * SNAPSHOT_WORDS
ORDER_WORDS = ORDER.itemsize // 8
(O_PAIR, O_SIDE, O_TYPE, O_QUANTITY, O_LIMIT, O_STOP, O_STOP_LOSS, O_TAKE_PROFIT, O_EXPIRES, O_VERDICT) = range(10)
D_INDEX = D_ORDER + MAX_SIGNALS * ORDER_WORDS
assert DECISION.fields is not None and DECISION.fields["order"][1] == 8 * D_ORDER
