"""The plain loop: history through the very kernels of the live machine, slice by slice, in the order lockstep obeys.

A slice is all candles with one open time. Broker matches and books -> equity is marked -> every due trader evaluates
the same snapshot -> its orders are checked and submitted, in (trader, signal) order. Between two events of a trader
that is alone on one market nothing but its own code runs (`pass_over`). No I/O, no clock; stops where a log is full and
goes on.
"""

import numpy as np
from numba import njit

from pairsim.channels.native import address_of, call
from pairsim.engine.evaluation import decide, evaluate, fill_view, read_snapshot
from pairsim.engine.layout import (
    ACTIVE,
    B_EVALUATED,
    B_MARKET,
    B_STATUS,
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
    T_B,
    T_MARKETS,
    T_OUTPUTS,
    T_PAIR,
    T_WARMUP,
    record_offset,
)
from pairsim.orders.checks import PASSED, check_order, reserve
from pairsim.orders.matching import (
    ARMED,
    BY_STRATEGY,
    COUNT,
    ID_STEP,
    REPLACED,
    arrival_of,
    cancel_pair,
    match_candle,
    submit,
)
from pairsim.orders.order import (
    D_NUMBER,
    D_ORDER,
    D_ORDERS,
    D_TIME,
    DECISION_WORDS,
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
from pairsim.portfolio.accounting import HOT, JIT, begin_order, end_order, mark_equity, pair_cell, settle
from pairsim.portfolio.layout import (
    A_CASH_F,
    ACCOUNT_WORDS,
    M_BASE_SCALE,
    M_MARK,
    M_QUANTITY,
    MARKET_WORDS,
    P_MARKET,
)
from pairsim.research.memory_reads import integer_at, real_at
from pairsim.strategies.scan_entry import CASH, FROM, QUANTITY, TO
from pairsim.strategies.scan_entry import COUNT as SCAN_COUNT

MARKET, STOP = int(OrderType.MARKET), int(OrderType.STOP)

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

# Scratch: signals, view, decision, the block of ``scan``, then the outputs of the widest trader twice.
SCRATCH_OUT, SCRATCH_VIEW, SCRATCH_DECISION = 0, MAX_SIGNALS * SIGNAL_WORDS, MAX_SIGNALS * SIGNAL_WORDS + 36
SCRATCH_VALUES = SCRATCH_DECISION + DECISION_WORDS


def scratch_words(rows: np.ndarray) -> int:
    """Words of scratch the loop needs for these traders."""
    return SCRATCH_VALUES + 2 * int(max([1, *(rows[:, T_MARKETS] * rows[:, T_OUTPUTS])]))


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


@njit(**JIT)
def pass_over(scan, block, blockf, mem, memf, base, closes, complete, row, last, equity):
    """Let one trader look at its candles alone until it wants something; equity is marked at every base candle passed.

    scan : address of the strategy's own loop. block : its arguments, K_FROM and TO set. ``row`` is the first base
    candle not yet marked, ``last`` the end of the history; ``complete`` the address of the series' complete_at, or 0.
    Returns (the decision on which it wants something, or TO; the base candle of it, or ``last``).
    """
    market = base + ACCOUNT_WORDS
    quantity = mem[market + M_QUANTITY] / memf[market + M_BASE_SCALE]
    blockf[QUANTITY], blockf[CASH] = quantity, memf[base + A_CASH_F]
    found = call(scan, address_of(block, 0))
    end = last
    if found < block[TO]:
        end = found + 1 if complete == 0 else integer_at(complete, found) + 1
    cash = memf[base + A_CASH_F]
    if quantity == 0.0:
        for i in range(row, end):
            equity[i] = cash
    else:
        for i in range(row, end):  # as ``mark_equity`` for one market
            equity[i] = cash + quantity * closes[i]
    return found, end - 1


@njit(**JIT)
def run_slices(
    times, market, opens, highs, lows, closes, volumes, base_ns, series, subscribers, subscription, rows, addresses,
    output_addresses, outputs_at, state, statef, mem, memf, table, orders, links, delays, participation, trading,
    events, log, equity, cursor, seen, due, scratch, block, scan,
):  # fmt: skip
    """Trade slices from the cursor on.

    times, market, opens … volumes : candles sorted by (time, market); ``base_ns`` is the length of one.
    series : int64[k, SERIES_WORDS]. subscribers : int64[markets + 1] into ``subscription`` rows (trader, k, series).
    rows : traders' words. addresses : of their strategies. output_addresses : of the columns of indicator outputs,
    ``outputs_at[trader, k]`` says where those of a market begin.
    state : slots B of the traders. mem : the portfolio. table : reservations. delays : latency, jitter (ns) and seed.
    equity : float64[slices], marked at each close. seen : int64[markets], base candles so far; due : int64[traders].
    block, scan : for a trader that is alone on one market, the arguments of its strategy's own loop and its address, 0
    if it has none.
    """
    base = 0
    out, view, decision = (
        scratch[:SCRATCH_VIEW],
        scratch[SCRATCH_VIEW:SCRATCH_DECISION],
        scratch[SCRATCH_DECISION:SCRATCH_VALUES],
    )
    outf, viewf, decisionf, blockf = (
        out.view(np.float64),
        view.view(np.float64),
        decision.view(np.float64),
        block.view(np.float64),
    )
    widest = (len(scratch) - SCRATCH_VALUES) // 2
    now = scratch[SCRATCH_VALUES : SCRATCH_VALUES + widest].view(np.float64)
    before = scratch[SCRATCH_VALUES + widest :].view(np.float64)
    i, s, traders = cursor[C_ROW], cursor[C_SLICE], len(rows)
    while i < len(times):
        if len(events) - cursor[C_EVENTS] < 8 * (links[COUNT] + 1) or len(log) - cursor[C_ORDERS] < 4 * traders:
            return LOG_FULL
        if len(orders) - links[COUNT] < 2 * links[COUNT] + 8 * traders:
            return LOG_FULL
        time, end = times[i], i + 1
        while end < len(times) and times[end] == time:
            end += 1
        if links[COUNT] > 0:
            first = cursor[C_EVENTS]
            n = first
            for p in range(i, end):
                n = match_candle(
                    orders, links, mem, memf, base, market[p], time, opens[p], highs[p], lows[p], volumes[p],
                    participation, events, n,
                )  # fmt: skip
            apply_events(mem, base, events, first, n)
            cursor[C_EVENTS] = n
        for p in range(i, end):
            memf[base + ACCOUNT_WORDS + market[p] * MARKET_WORDS + M_MARK] = closes[p]
        equity[s] = mark_equity(mem, memf, base, time + base_ns)
        for p in range(i, end):
            j = seen[market[p]]
            seen[market[p]] = j + 1
            for q in range(subscribers[market[p]], subscribers[market[p] + 1]):
                t, k, x = subscription[q, 0], subscription[q, 1], subscription[q, 2]
                b = rows[t, T_B]
                if series[x, X_COMPLETE] == 0:
                    close_candle(state, statef, b, k, j + 1, opens[p], highs[p], lows[p], closes[p], volumes[p])
                else:
                    closed = state[b + B_MARKET + k * BM_WORDS + BM_CLOSED]
                    following = closed_after(series[x], closed, j)
                    if following == closed:
                        continue
                    close_from_series(state, statef, b, k, following, series[x])
                due[t] = 1
        i, s, quiet = end, s + 1, False
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
                closed = state[b + B_MARKET + k * BM_WORDS + BM_CLOSED]
                warm = warm and closed >= row[T_WARMUP]
                for w in range(outputs):
                    column = output_addresses[outputs_at[t, k] + w]
                    now[k * outputs + w] = real_at(column, closed - 1) if closed > 0 else np.nan
                    before[k * outputs + w] = real_at(column, closed - 2) if closed > 1 else np.nan
            if not warm:
                continue
            read_snapshot(row, state, statef, b, mem, memf, base, decision, decisionf)
            p_self = address_of(state, b + record_offset(m))
            count = evaluate(
                t, s - 1, row, state, statef, b, addresses[t], p_self, address_of(now, 0), address_of(before, 0),
                time + base_ns, mem, memf, base, out, outf, view, viewf, decision, decisionf,
            )  # fmt: skip
            if count < 0:
                cursor[C_ROW], cursor[C_SLICE], cursor[C_TRADER], cursor[C_CODE] = i, s - 1, t, count
                return STRATEGY_FAILED
            if count > 0:
                submit_decision(
                    orders, links, mem, memf, base, table, t, row, decision, decisionf, out, outf, delays, log, cursor,
                    trading,
                )  # fmt: skip
            else:
                quiet = scan != 0 and links[COUNT] == 0
        while quiet and i < len(times):  # one trader, one market: rows are slices
            row, x = rows[0], series[0]
            b = row[T_B]
            block[FROM] = state[b + B_MARKET + BM_CLOSED]
            found, last = pass_over(scan, block, blockf, mem, memf, base, closes, x[X_COMPLETE], i, len(times), equity)
            state[b + B_EVALUATED] += found - block[FROM]
            closed = min(found + 1, block[TO])
            if closed > 0:
                close_from_series(state, statef, b, 0, closed, x)
            memf[base + ACCOUNT_WORDS + M_MARK] = closes[last]
            mark_equity(mem, memf, base, times[last] + base_ns)
            i, s, seen[0] = last + 1, last + 1, last + 1
            if found == block[TO]:
                break
            state[b + B_EVALUATED] += 1
            time = times[last]
            read_snapshot(row, state, statef, b, mem, memf, base, decision, decisionf)
            fill_view(row, state, statef, b, time + base_ns, memf, base, decision, decisionf, view, viewf)
            count = block[SCAN_COUNT]
            if count > 0:
                count = decide(
                    0, last, row, state, statef, b, count, time + base_ns, mem, memf, base, out, outf, view, viewf,
                    decision, decisionf,
                )  # fmt: skip
            if count < 0:
                cursor[C_ROW], cursor[C_SLICE], cursor[C_TRADER], cursor[C_CODE] = i, last, 0, count
                return STRATEGY_FAILED
            if count > 0:
                submit_decision(
                    orders, links, mem, memf, base, table, 0, row, decision, decisionf, out, outf, delays, log, cursor,
                    trading,
                )  # fmt: skip
                quiet = False
        cursor[C_ROW], cursor[C_SLICE] = i, s
    return DONE
