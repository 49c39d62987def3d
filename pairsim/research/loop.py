"""The plain loop: history through the very kernels of the live machine, slice by slice, in the order lockstep obeys.

A slice is all candles with one open time. Broker matches and books -> equity is marked -> every due trader evaluates the same
snapshot -> its orders are checked and submitted, in (trader, signal) order. No I/O, no clock; stops where a log is full and goes on.
"""

import numpy as np
from numba import njit

from pairsim.channels.native import address_of
from pairsim.engine.evaluation import evaluate, read_snapshot
from pairsim.engine.layout import (
    ACTIVE,
    B_MARKET,
    B_STATUS,
    BM_CLOSE,
    BM_CLOSED,
    BM_HIGH,
    BM_LOW,
    BM_OPEN,
    BM_VOLUME,
    BM_WORDS,
    T_B,
    T_MARKETS,
    T_OUTPUTS,
    T_WARMUP,
    record_offset,
)
from pairsim.orders.checks import PASSED, check_order, reserve
from pairsim.orders.matching import ARMED, BY_STRATEGY, COUNT, ID_STEP, REPLACED, arrival_of, cancel_pair, match_candle, submit
from pairsim.orders.order import (
    D_NUMBER,
    D_ORDER,
    D_ORDERS,
    D_TIME,
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
from pairsim.portfolio.accounting import HOT, JIT, begin_order, end_order, mark_equity, pair_cell, settle
from pairsim.portfolio.layout import ACCOUNT_WORDS, M_MARK, MARKET_WORDS, P_MARKET

MARKET, STOP = int(OrderType.MARKET), int(OrderType.STOP)

# One row an order, in order of submission.
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
    ]
)

# The cursor between calls: next slice, events and orders logged, next order id, trader that failed (or -1), its code.
(C_SLICE, C_EVENTS, C_ORDERS, C_NEXT_ID, C_TRADER, C_CODE) = range(6)
CURSOR_WORDS = 6
DONE, LOG_FULL, STRATEGY_FAILED = 0, 1, 2


@njit(**JIT)
def submit_decision(orders, links, mem, memf, base, table, trader, decision, decisionf, delays, log, cursor, trading):
    """Check and submit the orders of one decision, and log them."""
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
        row = log[cursor[C_ORDERS]]
        row.order_id, row.time, row.trader, row.number, row.signal = cursor[C_NEXT_ID], decision[D_TIME], trader, number, j
        row.pair, row.market, row.side, row.type, row.quantity = pair, market, side, type_, decision[o + O_QUANTITY]
        row.limit, row.stop, row.verdict = decisionf[o + O_LIMIT], decisionf[o + O_STOP], verdict
        cursor[C_ORDERS] += 1
        if verdict == PASSED:
            begin_order(mem, base, pair, number, type_ == MARKET)
            submit(
                orders, links, cursor[C_NEXT_ID], pair, market, side, type_, decision[o + O_QUANTITY], decisionf[o + O_LIMIT],
                decisionf[o + O_STOP], decisionf[o + O_STOP_LOSS], decisionf[o + O_TAKE_PROFIT], arrival, decision[o + O_EXPIRES],
            )  # fmt: skip
        else:
            settle(mem, base, pair, number)
        cursor[C_NEXT_ID] += ID_STEP


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
    statef[m + BM_OPEN], statef[m + BM_HIGH], statef[m + BM_LOW], statef[m + BM_CLOSE], statef[m + BM_VOLUME] = o, h, l, c, v
    state[m + BM_CLOSED] = closed


def scratch_words(rows: np.ndarray) -> int:
    """Room the loop needs: signals, view, decision, a mark a trader, and the outputs of the widest trader twice."""
    return 136 + len(rows) + 2 * int(max([1, *(rows[:, T_MARKETS] * rows[:, T_OUTPUTS])]))


@njit(**JIT)
def run_slices(
    bounds, market, position, times, candles, interval, subscribers, subscription, closed_of, closed_at, closed_candles, rows, addresses,
    state, statef, values, values_at, mem, memf, base, table, orders, links, delays, participation, trading, events, log, equity, cursor, scratch,
):  # fmt: skip
    """Trade slices from ``cursor[C_SLICE]`` on.

    bounds : int64[slices + 1], rows of each slice in the time-sorted ``market``, ``position`` (row in ``times`` and ``candles``).
    candles : float64[n, 5], market by market; ``interval`` is the length of one, ns.
    subscribers : int64[markets + 1] into ``subscription`` rows (trader, k, series, first row of the market).
    closed_of : for each series the start in ``closed_at``, or -1 where every candle closes; then how many are closed after each.
    closed_candles : (start of each series, float64[m, 5]).
    values, values_at : the indicator matrices, one row of NaN first, and where each (trader, k) begins.
    delays : int64[3], latency, jitter (ns) and seed. equity : float64[slices], marked at each
    close. scratch : int64[scratch_words(rows)], zero at first.
    """
    traders = len(rows)
    out, view, decision, due = scratch[:36], scratch[36:72], scratch[72:136], scratch[136 : 136 + traders]
    outf, viewf, decisionf = out.view(np.float64), view.view(np.float64), decision.view(np.float64)
    widest = (len(scratch) - 136 - traders) // 2
    now, before = scratch[136 + traders : 136 + traders + widest].view(np.float64), scratch[136 + traders + widest :].view(np.float64)
    series_start, series_candles = closed_candles
    for s in range(cursor[C_SLICE], len(bounds) - 1):
        lo, hi = bounds[s], bounds[s + 1]
        if len(events) - cursor[C_EVENTS] < 8 * (links[COUNT] + 1) or len(log) - cursor[C_ORDERS] < 4 * traders:
            return LOG_FULL
        if len(orders) - links[COUNT] < 2 * links[COUNT] + 8 * traders:
            return LOG_FULL
        time = times[position[lo]]
        if links[COUNT] > 0:
            first = cursor[C_EVENTS]
            n = first
            for i in range(lo, hi):
                p = position[i]
                n = match_candle(
                    orders, links, mem, memf, base, market[i], time, candles[p, 0], candles[p, 1], candles[p, 2], candles[p, 4],
                    participation, events, n,
                )  # fmt: skip
            apply_events(mem, base, events, first, n)
            cursor[C_EVENTS] = n
        for i in range(lo, hi):
            memf[base + ACCOUNT_WORDS + market[i] * MARKET_WORDS + M_MARK] = candles[position[i], 3]
        equity[s] = mark_equity(mem, memf, base, time + interval)
        for i in range(lo, hi):
            p = position[i]
            for q in range(subscribers[market[i]], subscribers[market[i] + 1]):
                t, k, series, start = subscription[q, 0], subscription[q, 1], subscription[q, 2], subscription[q, 3]
                b = rows[t, T_B]
                j = p - start
                if closed_of[series] < 0:
                    close_candle(state, statef, b, k, j + 1, candles[p, 0], candles[p, 1], candles[p, 2], candles[p, 3], candles[p, 4])
                else:
                    closed = closed_at[closed_of[series] + j]
                    if closed == state[b + B_MARKET + k * BM_WORDS + BM_CLOSED]:
                        continue
                    x = series_candles[series_start[series] + closed - 1]
                    close_candle(state, statef, b, k, closed, x[0], x[1], x[2], x[3], x[4])
                due[t] = 1
        for t in range(traders):
            if due[t] == 0:
                continue
            due[t] = 0
            row = rows[t]
            b, m, outputs = row[T_B], row[T_MARKETS], row[T_OUTPUTS]
            if state[b + B_STATUS] != ACTIVE:
                continue
            warm = True
            for k in range(m):
                warm = warm and state[b + B_MARKET + k * BM_WORDS + BM_CLOSED] >= row[T_WARMUP]
            if not warm:
                continue
            if m == 1:
                at = values_at[t, 0] + state[b + B_MARKET + BM_CLOSED] * outputs
                p_values, p_previous = address_of(values, at), address_of(values, at - outputs)
            else:
                for k in range(m):
                    at = values_at[t, k] + state[b + B_MARKET + k * BM_WORDS + BM_CLOSED] * outputs
                    for w in range(outputs):
                        now[k * outputs + w], before[k * outputs + w] = values[at + w], values[at - outputs + w]
                p_values, p_previous = address_of(now, 0), address_of(before, 0)
            read_snapshot(row, state, statef, b, mem, memf, base, decision, decisionf)
            p_self = address_of(state, b + record_offset(m))
            count = evaluate(
                t, s, row, state, statef, b, addresses[t], p_self, p_values, p_previous, time + interval, mem, memf, base, out, outf, view, viewf,
                decision, decisionf,
            )  # fmt: skip
            if count < 0:
                cursor[C_SLICE], cursor[C_TRADER], cursor[C_CODE] = s, t, count
                return STRATEGY_FAILED
            if count > 0:
                submit_decision(orders, links, mem, memf, base, table, t, decision, decisionf, delays, log, cursor, trading)
        cursor[C_SLICE] = s + 1
    return DONE
