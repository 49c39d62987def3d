"""Where the plain loop's words stand: its logs, its cursor, its block of arguments. Pure data.

Rule: the loop is machine code that is given one address; whoever calls it fills the block as described here.
"""

import numpy as np

from pairsim.engine.layout import SIGNAL_WORDS, T_MARKETS, T_OUTPUTS, VIEW_WORDS
from pairsim.orders.order import DECISION_WORDS, MAX_SIGNALS

# One row an order, in order of submission; kind, unit and amount are those of the signal it came from.
ORDER_LOG = np.dtype(
    [
        ("order_id", "i8"),
        ("time", "i8"),
        ("trader", "i8"),
        ("number", "i8"),
        ("signal", "i8"),
        ("pair", "i8"),
        ("market", "i8"),
        ("side", "i8"),
        ("type", "i8"),
        ("quantity", "i8"),
        ("limit", "f8"),
        ("stop", "f8"),
        ("verdict", "i8"),
        ("stop_loss", "f8"),
        ("take_profit", "f8"),
        ("expires", "i8"),
        ("kind", "i8"),
        ("unit", "i8"),
        ("amount", "f8"),
    ]
)

# Where a run stands: next row and slice, events and orders logged, next order id, trader that failed (or -1), its code.
(C_ROW, C_SLICE, C_EVENTS, C_ORDERS, C_NEXT_ID, C_TRADER, C_CODE) = range(7)
CURSOR_WORDS = 7
DONE, LOG_FULL, STRATEGY_FAILED = 0, 1, 2

# A series of candles that traders decide on: addresses of complete_at (0: every base candle is one; see ``resample``)
# and of open, high, low, close, volume, and how many candles there are.
(X_COMPLETE, X_OPEN, X_HIGH, X_LOW, X_CLOSE, X_VOLUME, X_COUNT) = range(7)
SERIES_WORDS = 7

# The block of arguments of a run: addresses and lengths of its arrays, and a few numbers.
(R_TIMES, R_MARKET, R_OPEN, R_HIGH, R_LOW, R_CLOSE, R_VOLUME, R_CANDLES, R_SERIES, R_SUBSCRIBERS, R_SUBSCRIPTION,
 R_ROWS, R_TRADERS, R_ADDRESSES, R_OUTPUT_ADDRESSES, R_OUTPUTS_AT, R_WIDEST, R_STATE, R_PORTFOLIO, R_MARKETS, R_TABLE,
 R_TABLE_WORDS, R_ORDERS, R_ORDERS_ROOM, R_LINKS, R_EVENTS, R_EVENTS_ROOM, R_LOG, R_LOG_ROOM, R_EQUITY, R_CURSOR,
 R_SEEN, R_DUE, R_SCRATCH, R_BLOCK, R_SCAN, R_BASE_NS, R_TRADING, R_PARTICIPATION, R_LATENCY, R_JITTER, R_SEED,
 RUN_WORDS) = range(43)  # fmt: skip

# Scratch: signals, view, decision, then the outputs of the widest trader twice.
SCRATCH_OUT = 0
SCRATCH_VIEW = SCRATCH_OUT + MAX_SIGNALS * SIGNAL_WORDS
SCRATCH_DECISION = SCRATCH_VIEW + VIEW_WORDS
SCRATCH_VALUES = SCRATCH_DECISION + DECISION_WORDS


def scratch_words(rows: np.ndarray) -> int:
    """Words of scratch the loop needs for these traders."""
    return SCRATCH_VALUES + 2 * widest(rows)


def widest(rows: np.ndarray) -> int:
    """Indicator outputs of the trader that has most of them, at least one."""
    return int(max([1, *(rows[:, T_MARKETS] * rows[:, T_OUTPUTS])]))
