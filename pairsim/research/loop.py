"""The plain loop: history through the very kernels of the live machine, slice by slice, in the order lockstep obeys.

A slice is all candles with one open time. Broker matches and books -> equity is marked -> every due trader evaluates
the same snapshot -> its orders are checked and submitted, in (trader, signal) order. No I/O, no clock; stops where a
log is full and goes on. Compiled as a whole by `kernel_code`; its arrays are `kernel_types.Words`.
"""

import numpy as np
from numba import njit

from pairsim.channels.native import address_of
from pairsim.engine.evaluation import evaluate, read_snapshot
from pairsim.engine.layout import (
    ACTIVE,
    B_MARKET,
    B_STATUS,
    BM_CLOSED,
    BM_WORDS,
    T_B,
    T_MARKETS,
    T_OUTPUTS,
    T_WARMUP,
    TRADER_WORDS,
    record_offset,
)
from pairsim.orders.matching import COUNT
from pairsim.orders.order import MAX_MARKETS
from pairsim.portfolio.accounting import JIT, mark_equity
from pairsim.portfolio.layout import ACCOUNT_WORDS, M_MARK, MARKET_WORDS
from pairsim.research.kernel_types import integers, part
from pairsim.research.loop_layout import (
    C_CODE,
    C_ROW,
    C_SLICE,
    C_TRADER,
    DONE,
    LOG_FULL,
    R_ADDRESSES,
    R_BASE_NS,
    R_DUE,
    R_LATENCY,
    R_MARKET,
    R_MARKETS,
    R_OUTPUT_ADDRESSES,
    R_OUTPUTS_AT,
    R_PARTICIPATION,
    R_ROWS,
    R_SEEN,
    R_SERIES,
    R_SUBSCRIBERS,
    R_SUBSCRIPTION,
    R_TRADERS,
    R_TRADING,
    R_WIDEST,
    RUN_WORDS,
    SCRATCH_VALUES,
    SERIES_WORDS,
    STRATEGY_FAILED,
    X_COMPLETE,
)
from pairsim.research.loop_steps import (
    candles_of,
    close_candle,
    close_from_series,
    closed_after,
    end_all,
    has_room,
    logs_of,
    match_row,
    memory_of,
    scratch_of,
    submit_decision,
)
from pairsim.research.memory_reads import real_at


@njit(**JIT)
def run(arguments):
    """Trade slices from the cursor on, as far as the logs have room; ``arguments`` is the address of the block.

    times, market, opens … volumes : candles sorted by (time, market).
    series : SERIES_WORDS for each. subscribers : markets + 1 words into ``subscription`` rows (trader, k, series).
    rows : traders' words. addresses : of their strategies. output_addresses : of the columns of indicator outputs,
    ``outputs_at[trader * MAX_MARKETS + k]`` says where those of a market begin.
    seen : base candles of each market so far; due : of each trader.
    """
    a = integers(arguments, RUN_WORDS)
    times, opens, highs, lows, closes, volumes = candles_of(a)
    state, statef, mem, memf, table = memory_of(a)
    orders, links, events, log, equity, cursor = logs_of(a)
    out, outf, view, viewf, decision, decisionf = scratch_of(a)
    market, series, rows = integers(a[R_MARKET], len(times)), integers(a[R_SERIES], 0), integers(a[R_ROWS], 0)
    subscribers, subscription = integers(a[R_SUBSCRIBERS], 0), integers(a[R_SUBSCRIPTION], 0)
    output_addresses, outputs_at = integers(a[R_OUTPUT_ADDRESSES], 0), integers(a[R_OUTPUTS_AT], 0)
    addresses, seen, due = integers(a[R_ADDRESSES], a[R_TRADERS]), integers(a[R_SEEN], 0), integers(a[R_DUE], 0)
    base, base_ns, trading = 0, a[R_BASE_NS], a[R_TRADING]
    delays, participation = part(a, R_LATENCY), real_at(a[R_PARTICIPATION], 0)
    now, before = part(outf, SCRATCH_VALUES), part(outf, SCRATCH_VALUES + a[R_WIDEST])
    i, s, traders = cursor[C_ROW], cursor[C_SLICE], len(addresses)
    while i < len(times):
        if not has_room(orders, links, events, log, cursor, traders):
            return LOG_FULL
        time, end = times[i], i + 1
        while end < len(times) and times[end] == time:
            end += 1
        if links[COUNT] > 0:
            for p in range(i, end):
                match_row(
                    orders, links, mem, memf, base, market[p], time, p, opens, highs, lows, volumes, participation,
                    events, cursor,
                )  # fmt: skip
        for p in range(i, end):
            memf[base + ACCOUNT_WORDS + market[p] * MARKET_WORDS + M_MARK] = closes[p]
        equity[s] = mark_equity(mem, memf, base, time + base_ns)
        for p in range(i, end):
            j = seen[market[p]]
            seen[market[p]] = j + 1
            for q in range(subscribers[market[p]], subscribers[market[p] + 1]):
                t, k, x = (
                    subscription[3 * q],
                    subscription[3 * q + 1],
                    part(series, subscription[3 * q + 2] * SERIES_WORDS),
                )
                b = rows[t * TRADER_WORDS + T_B]
                if x[X_COMPLETE] == 0:
                    close_candle(state, statef, b, k, j + 1, opens[p], highs[p], lows[p], closes[p], volumes[p])
                else:
                    closed = state[b + B_MARKET + k * BM_WORDS + BM_CLOSED]
                    following = closed_after(x, closed, j)
                    if following == closed:
                        continue
                    close_from_series(state, statef, b, k, following, x)
                due[t] = 1
        i, s = end, s + 1
        for t in range(traders):
            if due[t] == 0:
                continue
            due[t] = 0
            row = part(rows, t * TRADER_WORDS)
            b, m, outputs = row[T_B], row[T_MARKETS], row[T_OUTPUTS]
            if state[b + B_STATUS] != ACTIVE:
                continue
            warm = True
            for k in range(m):
                closed = state[b + B_MARKET + k * BM_WORDS + BM_CLOSED]
                warm = warm and closed >= row[T_WARMUP]
                for w in range(outputs):
                    column = output_addresses[outputs_at[t * MAX_MARKETS + k] + w]
                    now[k * outputs + w] = real_at(column, closed - 1) if closed > 0 else np.nan
                    before[k * outputs + w] = real_at(column, closed - 2) if closed > 1 else np.nan
            if not warm:
                continue
            read_snapshot(row, state, statef, b, mem, memf, base, decision, decisionf)
            count = evaluate(
                t, s - 1, row, state, statef, b, addresses[t], address_of(state, b + record_offset(m)),
                address_of(now, 0), address_of(before, 0), time + base_ns, mem, memf, base, out, outf, view, viewf,
                decision, decisionf,
            )  # fmt: skip
            if count < 0:
                cursor[C_ROW], cursor[C_SLICE], cursor[C_TRADER], cursor[C_CODE] = i, s - 1, t, count
                return STRATEGY_FAILED
            if count > 0:
                submit_decision(
                    orders, links, mem, memf, base, table, t, row, decision, decisionf, out, outf, delays, log, cursor,
                    trading,
                )  # fmt: skip
        cursor[C_ROW], cursor[C_SLICE] = i, s
    end_of_data = times[len(times) - 1] + base_ns if len(times) > 0 else 0
    return DONE if end_all(orders, links, a[R_MARKETS], end_of_data, events, cursor) else LOG_FULL
