"""Steps of the plain loop that both of its forms take: submit, settle, close a candle. Pure kernels."""

import numpy as np
from numba import njit

from pairsim.engine.layout import (
    B_MARKET,
    BM_CLOSE,
    BM_CLOSED,
    BM_HIGH,
    BM_LOW,
    BM_OPEN,
    BM_VOLUME,
    BM_WORDS,
    S_AMOUNT,
    S_KIND,
    S_MARKET,
    S_UNIT,
    SIGNAL_WORDS,
    T_PAIR,
)
from pairsim.orders.checks import PASSED, check_order, reserve
from pairsim.orders.matching import (
    ARMED,
    BY_STRATEGY,
    COUNT,
    END_OF_DATA,
    EVENT,
    EXPIRED,
    ID_STEP,
    NEVER,
    REPLACED,
    arrival_of,
    cancel_pair,
    end_orders,
    match_inside,
    match_open,
    submit,
    takeable,
)
from pairsim.orders.order import (
    D_NUMBER,
    D_ORDER,
    D_ORDERS,
    D_TIME,
    MAX_SIGNALS,
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
    ORDER_WORDS,
    OrderType,
)
from pairsim.orders.order_book import LINKS, WORKING
from pairsim.portfolio.accounting import HOT, JIT, begin_order, end_order, pair_cell, settle
from pairsim.portfolio.layout import ACCOUNT_WORDS, M_MARK, MARKET_WORDS, P_MARKET
from pairsim.research.kernel_types import integers, part, reals, records
from pairsim.research.loop_layout import (
    C_EVENTS,
    C_NEXT_ID,
    C_ORDERS,
    CURSOR_WORDS,
    ORDER_LOG,
    R_CANDLES,
    R_CLOSE,
    R_CURSOR,
    R_EQUITY,
    R_EVENTS,
    R_EVENTS_ROOM,
    R_HIGH,
    R_LINKS,
    R_LOG,
    R_LOG_ROOM,
    R_LOW,
    R_OPEN,
    R_ORDERS,
    R_ORDERS_ROOM,
    R_PORTFOLIO,
    R_SCRATCH,
    R_STATE,
    R_TABLE,
    R_TABLE_WORDS,
    R_TIMES,
    R_VOLUME,
    SCRATCH_DECISION,
    SCRATCH_VIEW,
    X_CLOSE,
    X_COMPLETE,
    X_COUNT,
    X_HIGH,
    X_LOW,
    X_OPEN,
    X_VOLUME,
)
from pairsim.research.memory_reads import integer_at, real_at

MARKET, STOP = int(OrderType.MARKET), int(OrderType.STOP)

working_orders, events_at, order_log = records(WORKING), records(EVENT), records(ORDER_LOG)


@njit(**HOT)
def candles_of(a):
    """times, opens, highs, lows, closes, volumes of a run, from its block of arguments."""
    n = a[R_CANDLES]
    return (
        integers(a[R_TIMES], n), reals(a[R_OPEN], n), reals(a[R_HIGH], n), reals(a[R_LOW], n), reals(a[R_CLOSE], n),
        reals(a[R_VOLUME], n),
    )  # fmt: skip


@njit(**HOT)
def logs_of(a):
    """orders (the book) and its links, events, the log of orders, equity (marked at each close), the cursor."""
    return (
        working_orders(a[R_ORDERS], a[R_ORDERS_ROOM]), integers(a[R_LINKS], 0),
        events_at(a[R_EVENTS], a[R_EVENTS_ROOM]), order_log(a[R_LOG], a[R_LOG_ROOM]),
        reals(a[R_EQUITY], 0), integers(a[R_CURSOR], CURSOR_WORDS),
    )  # fmt: skip


@njit(**HOT)
def memory_of(a):
    """Slots B of the traders, the portfolio (both also as floats), reservations."""
    return (
        integers(a[R_STATE], 0), reals(a[R_STATE], 0), integers(a[R_PORTFOLIO], 0), reals(a[R_PORTFOLIO], 0),
        integers(a[R_TABLE], a[R_TABLE_WORDS]),
    )  # fmt: skip


@njit(**HOT)
def scratch_of(a):
    """Signals, view and decision of an evaluation: each as integers and as floats."""
    out, outf = integers(a[R_SCRATCH], 0), reals(a[R_SCRATCH], 0)
    return (
        out, outf, part(out, SCRATCH_VIEW), part(outf, SCRATCH_VIEW), part(out, SCRATCH_DECISION),
        part(outf, SCRATCH_DECISION),
    )  # fmt: skip


@njit(**HOT)
def has_room(orders, links, events, log, cursor, traders):
    """Whether one more slice surely fits into the logs and the book."""
    working = links[COUNT]
    return (
        len(events) - cursor[C_EVENTS] >= 8 * (working + 1)
        and len(log) - cursor[C_ORDERS] >= 4 * traders
        and len(orders) - working >= 2 * working + 8 * traders
    )


@njit(**HOT)
def match_row(
    orders, links, mem, memf, base, market, time, p, opens, highs, lows, volumes, participation, events, cursor
):  # fmt: skip
    """``match_candle`` for row ``p`` of the candles, of ``time``, and what came of it told to the pairs.

    No more of the candle is read than its orders need: each column is a cache miss, and a market order needs the open.
    """
    first, budget = cursor[C_EVENTS], np.int64(NEVER)
    if participation > 0.0:
        budget = takeable(mem, memf, base, market, participation, volumes[p])
    n, budget = match_open(orders, links, mem, memf, base, market, time, opens[p], budget, events, first)
    if links[LINKS + 2 * market] >= 0:
        n = match_inside(orders, links, mem, memf, base, market, time, highs[p], lows[p], budget, events, n)
    apply_events(mem, base, events, first, n)
    cursor[C_EVENTS] = n


@njit(**HOT)
def end_all(orders, links, markets, time, events, cursor):
    """Expire what still works at the end of the data; false where the log has no room for it."""
    if len(events) - cursor[C_EVENTS] < links[COUNT]:
        return False
    cursor[C_EVENTS] = end_orders(
        orders, links, markets, EXPIRED, END_OF_DATA, time, -1, events, cursor[C_EVENTS]
    )  # fmt: skip
    return True


@njit(**JIT)
def submit_decision(
    orders, links, mem, memf, base, table, trader, row, decision, decisionf, out, outf, delays, log, cursor, trading
):  # fmt: skip
    """Check and submit the orders of one decision, and log them."""
    x = -1
    for j in range(decision[D_ORDERS]):
        o = D_ORDER + j * ORDER_WORDS
        pair, side, type_, number = decision[o + O_PAIR], decision[o + O_SIDE], decision[o + O_TYPE], decision[D_NUMBER]
        arrival = arrival_of(decision[D_TIME], cursor[C_NEXT_ID], delays[0], delays[1], delays[2])
        market = mem[pair_cell(mem, base, pair) + P_MARKET]
        last = memf[base + ACCOUNT_WORDS + market * MARKET_WORDS + M_MARK]
        verdict, money = check_order(mem, memf, base, table, decision, decisionf, o, number, trading, last)
        reserve(table, pair, number, money)
        decision[o + O_VERDICT] = verdict
        if verdict == PASSED and (j == 0 or decision[o - ORDER_WORDS + O_PAIR] != pair):
            cancel_pair(orders, links, market, pair, arrival, BY_STRATEGY if side == 0 else REPLACED, False)
        if side == 0:
            continue
        x = next_signal(out, x + 1, pair - row[T_PAIR])
        entry = log[cursor[C_ORDERS]]
        entry.order_id, entry.time, entry.trader, entry.number = cursor[C_NEXT_ID], decision[D_TIME], trader, number
        entry.signal, entry.pair, entry.market, entry.side, entry.type = j, pair, market, side, type_
        entry.quantity, entry.limit, entry.stop = (
            decision[o + O_QUANTITY],
            decisionf[o + O_LIMIT],
            decisionf[o + O_STOP],
        )
        entry.verdict, entry.stop_loss, entry.take_profit = (
            verdict,
            decisionf[o + O_STOP_LOSS],
            decisionf[o + O_TAKE_PROFIT],
        )
        entry.expires, entry.kind, entry.unit = decision[o + O_EXPIRES], out[x + S_KIND], out[x + S_UNIT]
        entry.amount = outf[x + S_AMOUNT]
        cursor[C_ORDERS] += 1
        if verdict == PASSED:
            begin_order(mem, base, pair, number, type_ == MARKET)
            submit(
                orders, links, cursor[C_NEXT_ID], pair, market, side, type_, decision[o + O_QUANTITY],
                decisionf[o + O_LIMIT], decisionf[o + O_STOP], decisionf[o + O_STOP_LOSS], decisionf[o + O_TAKE_PROFIT],
                arrival, decision[o + O_EXPIRES],
            )  # fmt: skip
        else:
            settle(mem, base, pair, number)
        cursor[C_NEXT_ID] += ID_STEP


@njit(**JIT)
def next_signal(out, x, k):
    """Word of the next signal for the trader's market ``k``, from word ``x`` on; 0 if there is none."""
    x = -(-x // SIGNAL_WORDS) * SIGNAL_WORDS
    while x < MAX_SIGNALS * SIGNAL_WORDS:
        if out[x + S_KIND] != 0 and out[x + S_MARKET] == k:
            return x
        x += SIGNAL_WORDS
    return 0


@njit(**JIT)
def apply_events(mem, base, events, start, end):
    """Tell the pairs which of their own orders are final (the fills are booked by the matching kernel)."""
    for k in range(start, end):
        e = events[k]
        if e.kind != ARMED and e.final and e.type <= STOP:
            end_order(mem, base, e.pair, e.type == MARKET)


@njit(**HOT)
def close_candle(state, statef, b, k, closed, o, h, l, c, v):
    """The last closed candle of a trader's market ``k`` is now this one."""
    m = b + B_MARKET + k * BM_WORDS
    statef[m + BM_OPEN], statef[m + BM_HIGH], statef[m + BM_LOW], statef[m + BM_CLOSE] = o, h, l, c
    statef[m + BM_VOLUME] = v
    state[m + BM_CLOSED] = closed


@njit(**HOT)
def close_from_series(state, statef, b, k, closed, series):
    """Candle ``closed - 1`` of a series is now the last one of a trader's market ``k``."""
    i = closed - 1
    close_candle(
        state, statef, b, k, closed, real_at(series[X_OPEN], i), real_at(series[X_HIGH], i), real_at(series[X_LOW], i),
        real_at(series[X_CLOSE], i), real_at(series[X_VOLUME], i),
    )  # fmt: skip


@njit(**HOT)
def closed_after(series, closed, j):
    """How many candles of a resampled series are closed once base candle ``j`` of its market is."""
    while closed < series[X_COUNT] and integer_at(series[X_COMPLETE], closed) <= j:
        closed += 1
    return closed
