"""Where everything stands in the shared memory of a run, and who writes it.

One anonymous memory holds all: the header, the portfolio, the market board, the channels and every trader's state.
The host makes it, workers inherit it, observers map it read-only. Each region names its one writer.
"""

from dataclasses import dataclass

import numpy as np

from pairsim.channels.ring import init_ring, ring_words
from pairsim.engine.layout import (
    A_MARKET,
    AM_SEQUENCE,
    AM_WORDS,
    T_A,
    T_A_WORDS,
    T_B,
    T_B_WORDS,
    T_COMMIT,
    T_MARKETS,
    T_WINDOW,
    T_WINDOWS,
    record_offset,
)
from pairsim.engine.plan import Plan
from pairsim.market.candle import CANDLE_WORDS
from pairsim.orders.order import DECISION_WORDS
from pairsim.portfolio.layout import portfolio_words

LINE = 16  # words of two cache lines: what different processes write never shares one

# Header.
(H_STATE, H_TRADING, H_STOP, H_EPOCH) = range(4)  # host
H_GATE_SLEEPS = 16  # flag and futex of the gate
(H_DISPATCHED, H_FEED_TIME, H_SLICES, H_QUARANTINED, H_HELD) = range(
    32, 37
)  # feed thread: candles, last close, slices, refused
(H_BARRIER, H_CHECKED) = (48, 64)  # lockstep hand-overs: slice evaluated (feed), slice checked (gate)
(H_MARKED, H_SUBMITTED) = (80, 81)  # order engine: slice marked, slice submitted
(H_ORDERS, H_FILLS, H_DENIED, H_LATE, H_OPEN, H_DUPLICATES) = range(96, 102)  # order engine counters
H_MARKED_SLEEPS, H_CHECKED_SLEEPS = 112, 128  # futex words the feed thread and the gate wait on
HEADER_WORDS = 160

# Board, a cell a market (feed thread): the last candle under a seqlock, then what the order engine says of the market.
(BOARD_SEQUENCE, BOARD_TIME, BOARD_OPEN, BOARD_HIGH, BOARD_LOW, BOARD_CLOSE, BOARD_VOLUME, BOARD_NUMBER) = range(8)
BOARD_WORDS = 8
BOARD_WORKING = (
    0  # in the working region, a word a market (order engine): orders the venue works, so candles are wanted
)

# Worker cell (the worker).
(W_HANDLED, W_EVALUATED, W_DECISIONS, W_FAILURES, W_READY, W_CONTROLS, W_REPLAYS) = range(7)
W_ASKED, W_ASKED_N = 7, 8  # the trader asked last, plus one, and its n: being evaluated until n is committed
WORKER_WORDS = 32

SPINS = 200  # looks, about 8 us, before a side of a candle ring sleeps: two system calls cost more than a batch
CREDITS = 512  # candles outstanding per market and worker
CANDLE_RING, ORDER_RING, GATE_RING, BROKER_RING = 8192, 128, 128, 8192
HISTORY = 2048  # a power of two: closed candles kept of each market and interval
HISTORY_WORDS = 6  # closed candles stand in rows: number n of every series together, as the feed thread writes them
SERIES_WORDS = 8  # closed so far, then the open candle; all series' heads stand together
(SR_CLOSED, SR_BUCKET, SR_COUNT, SR_OPEN, SR_HIGH, SR_LOW, SR_CLOSE, SR_VOLUME) = range(8)
SPARE_WORDS = 4_000_000  # for swapped strategies; memory is touched only when used


@dataclass(frozen=True)
class Sizes:
    """Capacities of the channels; a test makes them 1."""

    candles: int = CANDLE_RING
    orders: int = ORDER_RING
    gate: int = GATE_RING
    broker: int = BROKER_RING
    credits: int = CREDITS
    history: int = HISTORY


@dataclass(frozen=True)
class Arena:
    """Word offsets of the regions (``words`` in all). Rings of worker w are ``candle_rings[w]`` and
    ``order_rings[w]``.
    """

    markets: int
    workers: int
    sizes: Sizes
    portfolio: int
    board: int
    working: int
    worker_cells: int
    stamps: tuple[int, ...]
    candle_rings: tuple[int, ...]
    order_rings: tuple[int, ...]
    gate_ring: int
    broker_ring: int
    series_heads: int
    history: int
    series_keys: tuple[tuple[int, int], ...]
    spare: int
    words: int


def plan_arena(plan: Plan, workers: int, sizes: Sizes, series_keys: tuple[tuple[int, int], ...]) -> Arena:
    """Lay the arena out and write the offsets of each trader's state into its row."""
    at = HEADER_WORDS
    markets = len(plan.instruments)

    def take(words: int) -> int:
        nonlocal at
        start = at
        at += -(-words // LINE) * LINE
        return start

    portfolio = take(portfolio_words(markets, len(plan.pairs)))
    board, working = take(BOARD_WORDS * markets), take(markets)
    worker_cells = take(WORKER_WORDS * workers)
    candle_rings = tuple(take(ring_words(sizes.candles, CANDLE_WORDS)) for _ in range(workers))
    stamps = tuple(take(sizes.candles) for _ in range(workers))
    order_rings = tuple(take(ring_words(sizes.orders, DECISION_WORDS)) for _ in range(workers))
    gate_ring, broker_ring = take(ring_words(sizes.gate, DECISION_WORDS)), take(ring_words(sizes.broker, CANDLE_WORDS))
    series_heads = take(SERIES_WORDS * len(series_keys))
    history = take(sizes.history * len(series_keys) * HISTORY_WORDS)
    for row in plan.rows:
        row[T_COMMIT] = take(1)
        row[T_A] = take(2 * int(row[T_A_WORDS]))
        row[T_B] = take(2 * int(row[T_B_WORDS]))
        row[T_WINDOW] = take(max(1, int(row[T_MARKETS] * row[T_WINDOWS])))
    spare = take(SPARE_WORDS)
    return Arena(
        markets, workers, sizes, portfolio, board, working, worker_cells, stamps, candle_rings, order_rings,
        gate_ring, broker_ring,
        series_heads, history, series_keys, spare, at,
    )  # fmt: skip


def init_arena(mem: np.ndarray, arena: Arena) -> None:
    """Make the channels."""
    for w in range(arena.workers):
        init_ring(mem, arena.candle_rings[w], arena.sizes.candles, CANDLE_WORDS, spins=SPINS)
        init_ring(mem, arena.order_rings[w], arena.sizes.orders, DECISION_WORDS)
    init_ring(mem, arena.gate_ring, arena.sizes.gate, DECISION_WORDS)
    init_ring(mem, arena.broker_ring, arena.sizes.broker, CANDLE_WORDS)


def init_trader(mem: np.ndarray, row: np.ndarray, record: np.ndarray, states: np.ndarray, outputs: int) -> None:
    """Write the opening state of a trader into slot 0 of each pair (its counters are 0)."""
    markets = int(row[T_MARKETS])
    a, b = int(row[T_A]), int(row[T_B])
    for k in range(markets):
        mem[a + A_MARKET + k * AM_WORDS + AM_SEQUENCE] = -1
    write_mind(mem, b, markets, record, states, outputs)


def write_mind(mem: np.ndarray, b: int, markets: int, record: np.ndarray, states: np.ndarray, outputs: int) -> None:
    """Write a fresh record, indicator states and NaN outputs into the slot B at ``b``. ``states`` is float64 of one
    market.
    """
    at = b + record_offset(markets)
    mem[at : at + len(record)] = record
    at += len(record)
    for _ in range(markets):
        mem[at : at + len(states)] = states.view(np.int64)
        at += len(states)
    mem[at : at + 2 * markets * outputs].view(np.float64)[:] = np.nan
