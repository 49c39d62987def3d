"""Many combinations one after the other in one call, each through the backtest's own loop and summary. Pure kernels.

Rule: nothing is decided here. A combination begins with the words a backtest begins with, its loop is the backtest's,
and so is its summary; only what is known of a run is kept, never its equity or orders. No I/O, no allocation.
"""

import math

import numpy as np
from numba import njit

from pairsim.engine.layout import (
    B_EVALUATED,
    B_SKIPPED,
    T_B,
    T_MARKETS,
    T_OUTPUTS,
    T_WARMUP,
    TRADER_WORDS,
    record_offset,
)
from pairsim.orders.matching import ID_STEP
from pairsim.orders.order_book import COUNT, FREE, LINKS
from pairsim.portfolio.accounting import HOT, JIT
from pairsim.portfolio.layout import A_CASH_F, A_QUOTE_SCALE
from pairsim.research.kernel_types import integers, reals
from pairsim.research.lone_loop import run_alone
from pairsim.research.loop import run
from pairsim.research.loop_layout import (
    C_CODE,
    C_EVENTS,
    C_NEXT_ID,
    C_ORDERS,
    C_SLICE,
    C_TRADER,
    CURSOR_WORDS,
    DONE,
    LOG_FULL,
    R_BLOCK,
    R_CANDLES,
    R_CURSOR,
    R_DUE,
    R_EQUITY,
    R_EVENTS,
    R_LINKS,
    R_MARKET,
    R_MARKETS,
    R_OPEN,
    R_ORDERS,
    R_ORDERS_ROOM,
    R_OUTPUT_ADDRESSES,
    R_PORTFOLIO,
    R_ROWS,
    R_SEEN,
    R_SERIES,
    R_STATE,
    R_TABLE,
    R_TIMES,
    R_TRADERS,
    RUN_WORDS,
)
from pairsim.research.loop_steps import working_orders
from pairsim.research.summary import (
    TALLY_WORDS,
    Y_FEES,
    Y_FILLS,
    Y_HELD,
    Y_LOST,
    Y_NOTIONAL,
    Y_TRADES,
    Y_WINS,
    Y_WON,
    add_fills,
    end_fills,
    events_at,
    shape_of,
    summarise,
    trips_at,
)
from pairsim.research.sweep_layout import (
    COURSE_WORDS,
    J_COURSE,
    J_RECORD,
    J_WARMUP,
    K_CANDLES,
    K_COUNT,
    K_DAY_ENDS,
    K_DAYS,
    K_DECIDED,
    K_FROM,
    K_MARKET,
    K_MARKS,
    K_OPEN,
    K_PERIOD_ENDS,
    K_PERIODS,
    K_PORTFOLIO,
    K_SERIES,
    K_SLICE_COUNT,
    K_SLICES,
    K_STATE,
    K_TIMES,
    K_YEAR,
    ROW_WORDS,
    SWEEP_WORDS,
    W_BLOCKS,
    W_COLUMNS,
    W_COURSES,
    W_HELD,
    W_JOB_WORDS,
    W_JOBS,
    W_LAST,
    W_NEXT,
    W_PAIRS,
    W_PORTFOLIO_WORDS,
    W_RECORD_WORDS,
    W_RETURNS,
    W_ROWS,
    W_RUN,
    W_STATE_WORDS,
    W_TALLY,
    W_TRIPS,
    X_AT,
    X_CODE,
    X_DEVIATION,
    X_EVALUATED,
    X_FILLS,
    X_KURTOSIS,
    X_MEAN,
    X_ORDERS,
    X_SKEW,
    X_SKIPPED,
    X_SUMS,
)
from pairsim.strategies.scan_entry import MARKS, OUTPUTS, TIMES, TO
from pairsim.strategies.scan_entry import OPEN as SCAN_OPEN

_PRICES = 5


@njit(**JIT)
def sweep_alone(arguments):
    """`sweep_together` for strategies with a loop of their own, one trader on one market each."""
    w = integers(arguments, SWEEP_WORDS)
    while w[W_NEXT] < w[W_LAST]:
        begin(w)
        code = run_alone(w[W_RUN])
        while code == LOG_FULL and take_events(w):
            code = run_alone(w[W_RUN])
        if code == LOG_FULL:
            return LOG_FULL
        finish(w, code)
    return DONE


@njit(**JIT)
def sweep_together(arguments):
    """Run the jobs from NEXT to LAST; ``arguments`` is the address of the block.

    Returns DONE, or LOG_FULL where the book is too small for the job at NEXT, which then begins anew.
    """
    w = integers(arguments, SWEEP_WORDS)
    while w[W_NEXT] < w[W_LAST]:
        begin(w)
        code = run(w[W_RUN])
        while code == LOG_FULL and take_events(w):
            code = run(w[W_RUN])
        if code == LOG_FULL:
            return LOG_FULL
        finish(w, code)
    return DONE


@njit(**HOT)
def _job(w):
    return integers(w[W_JOBS] + 8 * w[W_NEXT] * w[W_JOB_WORDS], w[W_JOB_WORDS])


@njit(**HOT)
def _course(w):
    return integers(w[W_COURSES] + 8 * COURSE_WORDS * _job(w)[J_COURSE], COURSE_WORDS)


@njit(**HOT)
def copy(to, source, words):
    """``words`` words from one address to another."""
    a, b = integers(to, words), integers(source, words)
    for k in range(words):
        a[k] = b[k]


@njit(**JIT)
def begin(w):
    """Put down everything that the next job begins with."""
    a, job, course = integers(w[W_RUN], RUN_WORDS), _job(w), _course(w)
    a[R_TIMES], a[R_MARKET], a[R_CANDLES], a[R_SERIES] = (
        course[K_TIMES],
        course[K_MARKET],
        course[K_CANDLES],
        course[K_SERIES],
    )
    for k in range(_PRICES):
        a[R_OPEN + k] = course[K_OPEN + k]
    copy(a[R_STATE], course[K_STATE], w[W_STATE_WORDS])
    copy(a[R_PORTFOLIO], course[K_PORTFOLIO], w[W_PORTFOLIO_WORDS])
    rows, state = integers(a[R_ROWS], 0), integers(a[R_STATE], 0)
    for t in range(a[R_TRADERS]):
        row = t * TRADER_WORDS
        rows[row + T_WARMUP] = job[J_WARMUP]
        place = rows[row + T_B] + record_offset(rows[row + T_MARKETS])
        for k in range(w[W_RECORD_WORDS]):
            state[place + k] = job[J_RECORD + k]
    columns, block = integers(a[R_OUTPUT_ADDRESSES], 0), integers(a[R_BLOCK], 0)
    for k in range(w[W_COLUMNS]):
        columns[k] = job[J_RECORD + w[W_RECORD_WORDS] + k]
    _point_own_loop(block, course, columns, rows)
    cursor, seen, due = integers(a[R_CURSOR], 0), integers(a[R_SEEN], 0), integers(a[R_DUE], 0)
    for k in range(CURSOR_WORDS):
        cursor[k] = 0
    cursor[C_NEXT_ID], cursor[C_TRADER] = ID_STEP, -1
    for k in range(a[R_MARKETS]):
        seen[k] = 0
    for k in range(a[R_TRADERS]):
        due[k] = 0
    integers(a[R_TABLE], 1)[0] = 0
    _empty_book(a)
    _empty_tally(w)


@njit(**HOT)
def _point_own_loop(block, course, columns, rows):
    """The block of a strategy's own loop (of the first trader's, the only one that may have it)."""
    block[TO], block[TIMES], block[MARKS] = course[K_COUNT], course[K_DECIDED], course[K_MARKS]
    series = integers(course[K_SERIES], 0)
    for k in range(_PRICES):
        block[SCAN_OPEN + k] = series[1 + k]
    for k in range(rows[T_OUTPUTS]):
        block[OUTPUTS + k] = columns[k]


@njit(**HOT)
def _empty_book(a):
    """A run that was broken off leaves orders behind."""
    links = integers(a[R_LINKS], 0)
    if links[COUNT] != 0:
        capacity = a[R_ORDERS_ROOM]
        orders = working_orders(a[R_ORDERS], capacity)
        for k in range(capacity):
            orders[k].next = k + 1 if k + 1 < capacity else -1
        links[FREE], links[COUNT] = 0, 0
        for k in range(2 * a[R_MARKETS]):
            links[LINKS + k] = -1


@njit(**HOT)
def _empty_tally(w):
    tally, held = integers(w[W_TALLY], TALLY_WORDS + 1), integers(w[W_HELD], 0)
    for k in range(TALLY_WORDS + 1):
        tally[k] = 0
    for k in range(w[W_PAIRS]):
        held[k] = 0


@njit(**JIT)
def take_events(w):
    """Take the events logged so far into the tally and empty the logs; False if there was nothing in them."""
    a, course = integers(w[W_RUN], RUN_WORDS), _course(w)
    cursor, tally = integers(a[R_CURSOR], CURSOR_WORDS), integers(w[W_TALLY], TALLY_WORDS + 1)
    events, orders = cursor[C_EVENTS], cursor[C_ORDERS]
    add_fills(
        events_at(a[R_EVENTS], events), events, tally, reals(w[W_TALLY], TALLY_WORDS), integers(w[W_HELD], 0),
        trips_at(w[W_TRIPS], 0), integers(course[K_SLICES], course[K_SLICE_COUNT]),
    )  # fmt: skip
    tally[TALLY_WORDS] += orders
    cursor[C_EVENTS], cursor[C_ORDERS] = 0, 0
    return events + orders > 0


@njit(**JIT)
def finish(w, code):
    """Write the row of a job that is done, and go on to the next one."""
    take_events(w)
    a, course = integers(w[W_RUN], RUN_WORDS), _course(w)
    row = reals(w[W_ROWS] + 8 * ROW_WORDS * w[W_NEXT], ROW_WORDS)
    cursor, rows, state = integers(a[R_CURSOR], 0), integers(a[R_ROWS], 0), integers(a[R_STATE], 0)
    if code == DONE:
        _summarised(w, a, course, row)
    else:
        for k in range(ROW_WORDS):
            row[k] = np.nan
    row[X_CODE], row[X_AT] = (0.0 if code == DONE else 1.0 * cursor[C_CODE]), 1.0 * cursor[C_SLICE]
    tally = integers(w[W_TALLY], TALLY_WORDS + 1)
    row[X_ORDERS], row[X_FILLS], row[X_EVALUATED], row[X_SKIPPED] = tally[TALLY_WORDS], tally[Y_FILLS], 0.0, 0.0
    for t in range(a[R_TRADERS]):
        b = rows[t * TRADER_WORDS + T_B]
        row[X_EVALUATED] += state[b + B_EVALUATED]
        row[X_SKIPPED] += state[b + B_SKIPPED]
    w[W_NEXT] += 1


@njit(**HOT)
def _summarised(w, a, course, row):
    n, times = course[K_SLICE_COUNT], integers(course[K_SLICES], course[K_SLICE_COUNT])
    tally, sums = integers(w[W_TALLY], TALLY_WORDS), reals(w[W_TALLY], TALLY_WORDS)
    opening = reals(course[K_PORTFOLIO], 0)
    cash, scale = opening[A_CASH_F], opening[A_QUOTE_SCALE]
    equity, returns = reals(a[R_EQUITY], n), reals(w[W_RETURNS], 0)
    end_fills(tally, n)
    summarise(
        times, equity, n, cash, course[K_FROM], integers(course[K_DAY_ENDS], 0), course[K_DAYS], course[K_YEAR],
        1.0 * tally[Y_HELD], sums[Y_NOTIONAL] / scale, tally[Y_FEES] / scale, sums[Y_WON] / scale, sums[Y_LOST] / scale,
        1.0 * tally[Y_WINS], 1.0 * tally[Y_TRADES], returns, row,
    )  # fmt: skip
    _periods(equity, cash, integers(course[K_PERIOD_ENDS], 0), course[K_PERIODS], returns, w[W_BLOCKS], row)


@njit(**JIT)
def _periods(equity, cash, ends, n, returns, blocks, row):
    """Moments of the returns of ``n`` periods, all of them and block by block; after ruin they are NaN."""
    before, total = cash, 0.0
    for p in range(n):
        level = equity[ends[p]]
        returns[p] = level / before - 1.0 if before > 0.0 else np.nan
        total += returns[p]
        before = level
    average, squares = total / max(n, 1), 0.0
    for p in range(n):
        squares += (returns[p] - average) * (returns[p] - average)
    deviation = math.sqrt(squares / (n - 1)) if n > 1 else np.nan
    skew, kurtosis = shape_of(returns, n, average, deviation) if deviation > 0.0 else (np.nan, np.nan)
    row[X_MEAN], row[X_DEVIATION], row[X_SKEW], row[X_KURTOSIS] = average, deviation, skew, kurtosis
    for b in range(blocks):
        total, squares = 0.0, 0.0
        for p in range(b * n // blocks, (b + 1) * n // blocks):
            total += returns[p]
            squares += returns[p] * returns[p]
        row[X_SUMS + 2 * b], row[X_SUMS + 2 * b + 1] = total, squares
