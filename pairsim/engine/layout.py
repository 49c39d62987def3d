"""Words of a trader: its immutable row, the two pairs of slots that hold its state, and the view a strategy is shown.

A trader's counter n says how many records it has handled. What changes at every candle is slot A[n & 1]; what changes
only when one of its own candles closes, or at a control record, is slot B[c & 1], with c in slot A. So the one word n
commits both.
"""

from numba.extending import register_jitable

from pairsim.orders.order import MAX_MARKETS

# Row of a trader: constants of one version of its strategy. A swap writes the row of the other parity of ``version``.
(T_MARKETS, T_INTERVAL, T_BASE, T_WARMUP, T_INDICATORS, T_OUTPUTS, T_RECORD, T_A, T_A_WORDS, T_B, T_B_WORDS, T_WINDOW,
T_INDICATOR,
 T_COMMIT, T_LOCKSTEP, T_PLAIN, T_STATES, T_WINDOWS, T_STATE, T_VALUES) = range(20)  # fmt: skip
T_MARKET = 20  # market index of each of its markets
T_PAIR = T_MARKET + MAX_MARKETS  # position cell of each
TRADER_WORDS = T_PAIR + MAX_MARKETS


@register_jitable
def row_place(trader: int, version: int) -> int:
    """Where the row of one version of a trader begins in the table of all, int64[traders, 2, TRADER_WORDS]."""
    return (2 * trader + (version & 1)) * TRADER_WORDS


# Row of an indicator (each process resolves the address of its step function for itself).
(I_ADDRESS, I_CONSTANTS, I_STATE, I_WINDOW, I_OUTPUTS) = range(5)
INDICATOR_WORDS = 5

# Slot A, changed by every record.
(A_CLOSES, A_VERSION, A_CONTROL, A_DUE, A_DUE_BUCKET) = range(5)
A_MARKET = 5  # then for each market: sequence handled, and the open candle (bucket is its open time)
(AM_SEQUENCE, AM_BUCKET, AM_COUNT, AM_OPEN, AM_HIGH, AM_LOW, AM_CLOSE, AM_VOLUME) = range(8)
AM_WORDS = 8

# Slot B, changed by a close or a control record.
(B_STATUS, B_NUMBER, B_EVALUATED, B_SKIPPED, B_ERRORS, B_DENIED) = range(6)
B_PENDING_NUMBER = 6  # of each market: the decision whose market order is in flight ...
B_PENDING = B_PENDING_NUMBER + MAX_MARKETS  # ... and its signed quantity, 0 when there is none
B_MARKET = B_PENDING + MAX_MARKETS  # then for each market: the last closed candle and how many have closed
(BM_OPEN, BM_HIGH, BM_LOW, BM_CLOSE, BM_VOLUME, BM_CLOSED) = range(6)
BM_WORDS = 6
# after them: the strategy's record, the indicator states of each market, values[markets * outputs], previous[...]

ACTIVE, PAUSED, FAILED = 0, 1, 2  # B_STATUS

# The view a strategy is shown (see ``strategies.context``).
(V_TIME, V_INDEX, V_CASH, V_EQUITY) = range(4)
V_MARKET = 4
(VM_OPEN, VM_HIGH, VM_LOW, VM_CLOSE, VM_VOLUME, VM_QUANTITY, VM_AVERAGE, VM_PENDING) = range(8)
VM_WORDS = 8
VIEW_WORDS = V_MARKET + MAX_MARKETS * VM_WORDS

SIGNAL_WORDS = 9
(S_KIND, S_UNIT, S_MARKET, S_AMOUNT, S_LIMIT, S_STOP, S_STOP_LOSS, S_TAKE_PROFIT, S_EXPIRES) = range(9)


SLOT_STEP = 8  # slots are whole multiples of this, so that they are copied by vector moves


def slot_a_words(markets: int) -> int:
    """Words of one slot A."""
    return _padded(A_MARKET + AM_WORDS * markets)


def _padded(words: int) -> int:
    return -(-words // SLOT_STEP) * SLOT_STEP


@register_jitable
def record_offset(markets: int) -> int:
    """Where in slot B the strategy's record begins."""
    return B_MARKET + BM_WORDS * markets


def slot_b_words(markets: int, record: int, state: int, outputs: int) -> int:
    """Words of one slot B: ``state`` and ``outputs`` are those of one market."""
    return _padded(record_offset(markets) + record + markets * (state + 2 * outputs))


LEAST_A, LEAST_B = slot_a_words(1), slot_b_words(1, 0, 0, 0)  # words that every slot has
