"""The plain loop for a trader that is alone on one market: the same steps, without a look at what cannot matter.

Between two events nothing but the strategy's own code runs: `scan` shows it candle after candle until it wants
something, and only then a candle is looked at here. The rules are those of `loop`, and so are their kernels.
"""

from numba import njit

from pairsim.channels.native import address_of, call
from pairsim.engine.evaluation import decide, fill_view, read_snapshot
from pairsim.engine.layout import B_EVALUATED, B_MARKET, B_PENDING, BM_CLOSE, BM_CLOSED, T_B, T_WARMUP
from pairsim.orders.matching import COUNT, match_candle
from pairsim.orders.order import D_SNAPSHOT
from pairsim.portfolio.accounting import HOT, JIT, mark_equity
from pairsim.portfolio.layout import A_CASH_F, ACCOUNT_WORDS, M_BASE_SCALE, M_MARK, M_QUANTITY
from pairsim.research.kernel_types import integers, part, prefetch, reals
from pairsim.research.loop_layout import (
    C_CODE,
    C_EVENTS,
    C_ROW,
    C_SLICE,
    C_TRADER,
    CURSOR_WORDS,
    DONE,
    LOG_FULL,
    R_BASE_NS,
    R_BLOCK,
    R_CANDLES,
    R_CLOSE,
    R_CURSOR,
    R_EQUITY,
    R_EVENTS,
    R_EVENTS_ROOM,
    R_HIGH,
    R_LATENCY,
    R_LINKS,
    R_LOG,
    R_LOG_ROOM,
    R_LOW,
    R_OPEN,
    R_ORDERS,
    R_ORDERS_ROOM,
    R_PARTICIPATION,
    R_PORTFOLIO,
    R_ROWS,
    R_SCAN,
    R_SCRATCH,
    R_SERIES,
    R_STATE,
    R_TABLE,
    R_TABLE_WORDS,
    R_TIMES,
    R_TRADING,
    R_VOLUME,
    RUN_WORDS,
    SCRATCH_DECISION,
    SCRATCH_VIEW,
    STRATEGY_FAILED,
    X_CLOSE,
    X_COMPLETE,
    X_COUNT,
)
from pairsim.research.loop_steps import (
    apply_events,
    close_from_series,
    closed_after,
    end_all,
    events_at,
    has_room,
    order_log,
    submit_decision,
    working_orders,
)
from pairsim.research.memory_reads import integer_at, real_at
from pairsim.strategies.scan_entry import CASH, FROM, QUANTITY, TO
from pairsim.strategies.scan_entry import COUNT as SCAN_COUNT


@njit(**JIT)
def run_alone(arguments):
    """Trade from the cursor on, as far as the logs have room; ``arguments`` is the address of the block."""
    a = integers(arguments, RUN_WORDS)
    return trade_alone(
        integers(a[R_TIMES], a[R_CANDLES]),
        reals(a[R_OPEN], a[R_CANDLES]),
        reals(a[R_HIGH], a[R_CANDLES]),
        reals(a[R_LOW], a[R_CANDLES]),
        reals(a[R_CLOSE], a[R_CANDLES]),
        reals(a[R_VOLUME], a[R_CANDLES]),
        a,
        integers(a[R_SERIES], 0),
        integers(a[R_ROWS], 0),
        integers(a[R_STATE], 0),
        reals(a[R_STATE], 0),
        integers(a[R_PORTFOLIO], 0),
        reals(a[R_PORTFOLIO], 0),
        integers(a[R_TABLE], a[R_TABLE_WORDS]),
        working_orders(a[R_ORDERS], a[R_ORDERS_ROOM]),
        integers(a[R_LINKS], 0),
        events_at(a[R_EVENTS], a[R_EVENTS_ROOM]),
        order_log(a[R_LOG], a[R_LOG_ROOM]),
        reals(a[R_EQUITY], 0),
        integers(a[R_CURSOR], CURSOR_WORDS),
        integers(a[R_SCRATCH], 0),
        reals(a[R_SCRATCH], 0),
        integers(a[R_BLOCK], 0),
        reals(a[R_BLOCK], 0),
    )


@njit(**HOT)
def trade_alone(
    times, opens, highs, lows, closes, volumes, a, series, row, state, statef, mem, memf, table, orders, links, events,
    log, equity, cursor, scratch, scratchf, block, blockf,
):  # fmt: skip
    """See ``loop.run_slices``; here every row of the candles is a slice, ``series`` and ``row`` are the only ones.

    block : arguments of the strategy's own loop, whose address is ``a[R_SCAN]``.
    """
    base, base_ns, trading, b = 0, a[R_BASE_NS], a[R_TRADING], row[T_B]
    delays, participation = part(a, R_LATENCY), real_at(a[R_PARTICIPATION], 0)
    out, outf, view, viewf = scratch, scratchf, part(scratch, SCRATCH_VIEW), part(scratchf, SCRATCH_VIEW)
    decision, decisionf = part(scratch, SCRATCH_DECISION), part(scratchf, SCRATCH_DECISION)
    complete, market = series[X_COMPLETE], base + ACCOUNT_WORDS
    i, closed = cursor[C_ROW], state[b + B_MARKET + BM_CLOSED]
    while i < len(times):
        if not has_room(orders, links, events, log, cursor, 1):
            state[b + B_MARKET + BM_CLOSED] = closed
            cursor[C_ROW] = i
            return LOG_FULL
        if links[COUNT] > 0:
            first = cursor[C_EVENTS]
            cursor[C_EVENTS] = match_candle(
                orders, links, mem, memf, base, 0, times[i], opens[i], highs[i], lows[i], volumes[i], participation,
                events, first,
            )  # fmt: skip
            apply_events(mem, base, events, first, cursor[C_EVENTS])
        memf[market + M_MARK] = closes[i]
        equity[i] = mark_equity(mem, memf, base, times[i] + base_ns)
        following = i + 1 if complete == 0 else closed_after(series, closed, i)
        due, closed, last = following > closed and following >= row[T_WARMUP], following, i
        if due:
            read_snapshot(row, state, statef, b, mem, memf, base, decision, decisionf)
            if decisionf[D_SNAPSHOT + 2] == 0.0:  # as ``evaluate``: what is settled is pending no more
                statef[b + B_PENDING] = 0.0
            fill_view(row, state, statef, b, times[i] + base_ns, memf, base, decision, decisionf, view, viewf)
        while due:
            quiet = links[COUNT] == 0
            block[FROM], block[TO] = closed - 1, series[X_COUNT] if quiet else closed
            found, last = look_on(a[R_SCAN], block, blockf, mem, memf, base, closes, complete, last, equity, quiet)
            state[b + B_EVALUATED] += found - block[FROM]
            closed = min(found + 1, block[TO])
            if found == block[TO]:
                break
            prefetch(opens, last + 1)  # where its order will be filled: each of these is a miss
            prefetch(highs, last + 1)
            prefetch(lows, last + 1)
            prefetch(volumes, last + 1)
            state[b + B_EVALUATED] += 1
            memf[market + M_MARK] = closes[last]
            mark_equity(mem, memf, base, times[last] + base_ns)
            state[b + B_MARKET + BM_CLOSED] = closed  # sizing looks at the close; the rest of the candle costs misses
            statef[b + B_MARKET + BM_CLOSE] = real_at(series[X_CLOSE], found)
            read_snapshot(row, state, statef, b, mem, memf, base, decision, decisionf)
            fill_view(row, state, statef, b, times[last] + base_ns, memf, base, decision, decisionf, view, viewf)
            count = block[SCAN_COUNT]
            if count > 0:
                count = decide(
                    0, last, row, state, statef, b, count, times[last] + base_ns, mem, memf, base, out, outf, view,
                    viewf, decision, decisionf,
                )  # fmt: skip
            if count < 0:
                close_from_series(state, statef, b, 0, closed, series)  # for the message
                fill_view(row, state, statef, b, times[last] + base_ns, memf, base, decision, decisionf, view, viewf)
                cursor[C_ROW], cursor[C_SLICE], cursor[C_TRADER], cursor[C_CODE] = last + 1, last, 0, count
                return STRATEGY_FAILED
            if count > 0:
                submit_decision(
                    orders, links, mem, memf, base, table, 0, row, decision, decisionf, out, outf, delays, log, cursor,
                    trading,
                )  # fmt: skip
                break
            closed += 1  # on to the next candle; where there is none, or an order works, the outer loop goes on
            due = quiet and closed <= series[X_COUNT]
            closed = closed if due else closed - 1
        i = last + 1
    end_of_data = times[len(times) - 1] + base_ns
    memf[market + M_MARK] = closes[len(times) - 1]
    mark_equity(mem, memf, base, end_of_data)
    cursor[C_ROW] = i
    state[b + B_MARKET + BM_CLOSED] = closed
    return DONE if end_all(orders, links, 1, end_of_data, events, cursor) else LOG_FULL


@njit(**HOT)
def look_on(scan, block, blockf, mem, memf, base, closes, complete, row, equity, quiet):
    """Let the strategy look at its candles alone until it wants something; equity is marked at every one passed.

    scan : address of the strategy's own loop. block : its arguments, FROM and TO set. ``row`` is the last base candle
    marked; ``complete`` the address of the series' complete_at, or 0. quiet : no order works, so TO is the end.
    Returns (the candle on which it wants something, or TO; the base candle of it, or the last one passed).
    """
    market = base + ACCOUNT_WORDS
    quantity, cash = mem[market + M_QUANTITY] / memf[market + M_BASE_SCALE], memf[base + A_CASH_F]
    blockf[QUANTITY], blockf[CASH] = quantity, cash
    found = call(scan, address_of(block, 0))
    last = row
    if found < block[TO]:
        last = found if complete == 0 else integer_at(complete, found)
    elif quiet:
        last = len(closes) - 1
    if quantity == 0.0:
        for i in range(row + 1, last + 1):
            equity[i] = cash
    else:
        for i in range(row + 1, last + 1):  # as ``mark_equity`` for one market
            equity[i] = cash + quantity * closes[i]
    return found, last
