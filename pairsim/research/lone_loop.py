"""The plain loop for a trader that is alone on one market: the same steps, without a look at what cannot matter.

Between two events nothing but the strategy's own code runs: `scan` shows it candle after candle until it wants
something, and only then a candle is looked at here. The rules are those of `loop`, and so are their kernels.
"""

from numba import njit

from pairsim.channels.native import address_of, call
from pairsim.engine.evaluation import decide, fill_view, read_snapshot, show_snapshot
from pairsim.engine.layout import B_EVALUATED, B_MARKET, B_PENDING, BM_CLOSED, T_B, T_WARMUP, V_MARKET, VM_CLOSE
from pairsim.orders.matching import COUNT
from pairsim.orders.order import D_SNAPSHOT
from pairsim.portfolio.accounting import HOT, JIT, mark_equity
from pairsim.portfolio.layout import A_CASH_F, ACCOUNT_WORDS, M_BASE_SCALE, M_MARK, M_QUANTITY
from pairsim.research.kernel_types import integers, part, prefetch, reals
from pairsim.research.loop_layout import (
    C_CODE,
    C_ROW,
    C_SLICE,
    C_TRADER,
    DONE,
    LOG_FULL,
    R_BASE_NS,
    R_BLOCK,
    R_LATENCY,
    R_PARTICIPATION,
    R_ROWS,
    R_SCAN,
    R_SERIES,
    R_TRADING,
    RUN_WORDS,
    STRATEGY_FAILED,
    X_CLOSE,
    X_COMPLETE,
    X_COUNT,
)
from pairsim.research.loop_steps import (
    candles_of,
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
from pairsim.research.memory_reads import integer_at, real_at
from pairsim.strategies.scan_entry import CASH, FROM, QUANTITY, TO
from pairsim.strategies.scan_entry import COUNT as SCAN_COUNT

# An order fills at the open of the candle after the one it was decided on, and nothing else looks at opens: each is a
# cache miss. Those of the next candles are fetched while the strategy looks: 1.1 of 8.7 ns a candle where every 25th
# brings an order, nothing lost where few do.
AHEAD, LINE = 64, 8  # candles; so many share a line of the cache


@njit(**JIT)
def run_alone(arguments):
    """See ``loop.run``; here every row of the candles is a slice, ``series`` and ``row`` are the only ones.

    block : arguments of the strategy's own loop, whose address is ``a[R_SCAN]``.
    """
    a = integers(arguments, RUN_WORDS)
    times, opens, highs, lows, closes, volumes = candles_of(a)
    state, statef, mem, memf, table = memory_of(a)
    orders, links, events, log, equity, cursor = logs_of(a)
    out, outf, view, viewf, decision, decisionf = scratch_of(a)
    series, row = integers(a[R_SERIES], 0), integers(a[R_ROWS], 0)
    block, blockf = integers(a[R_BLOCK], 0), reals(a[R_BLOCK], 0)
    base, base_ns, trading, b = 0, a[R_BASE_NS], a[R_TRADING], row[T_B]
    delays, participation = part(a, R_LATENCY), real_at(a[R_PARTICIPATION], 0)
    complete, market = series[X_COMPLETE], base + ACCOUNT_WORDS
    i, closed = cursor[C_ROW], state[b + B_MARKET + BM_CLOSED]
    # candles are a candle apart at least, so those that span no more have no gap: their times need not be looked up
    gapless = times[len(times) - 1] - times[0] == base_ns * (len(times) - 1)
    while i < len(times):
        if not has_room(orders, links, events, log, cursor, 1):
            state[b + B_MARKET + BM_CLOSED] = closed
            cursor[C_ROW] = i
            return LOG_FULL
        time = time_of(times, i, base_ns, gapless)
        if links[COUNT] > 0:
            match_row(
                orders, links, mem, memf, base, 0, time, i, opens, highs, lows, volumes, participation, events, cursor
            )
        memf[market + M_MARK] = closes[i]
        equity[i] = mark_equity(mem, memf, base, time + base_ns)
        following = i + 1 if complete == 0 else closed_after(series, closed, i)
        due, closed, last = following > closed and following >= row[T_WARMUP], following, i
        if due:
            read_snapshot(row, state, statef, b, mem, memf, base, decision, decisionf)
            if decisionf[D_SNAPSHOT + 2] == 0.0:  # as ``evaluate``: what is settled is pending no more
                statef[b + B_PENDING] = 0.0
            show_snapshot(row, state, b, time + base_ns, memf, base, decision, decisionf, view, viewf)
        while due:
            quiet = links[COUNT] == 0
            block[FROM], block[TO] = closed - 1, series[X_COUNT] if quiet else closed
            found, last = look_on(
                a[R_SCAN], block, blockf, mem, memf, base, opens, closes, complete, last, equity, quiet
            )
            state[b + B_EVALUATED] += found - block[FROM]
            closed = min(found + 1, block[TO])
            if found == block[TO]:
                break
            prefetch(opens, last + 1)  # where a market order will be filled: a miss
            state[b + B_EVALUATED] += 1
            memf[market + M_MARK] = closes[last]
            time = time_of(times, last, base_ns, gapless) + base_ns
            mark_equity(mem, memf, base, time)
            state[b + B_MARKET + BM_CLOSED] = closed
            read_snapshot(row, state, statef, b, mem, memf, base, decision, decisionf)
            show_snapshot(row, state, b, time, memf, base, decision, decisionf, view, viewf)
            viewf[V_MARKET + VM_CLOSE] = real_at(series[X_CLOSE], found)  # all that sizing looks at; others are misses
            count = block[SCAN_COUNT]
            if count > 0:
                count = decide(
                    0, last, row, state, statef, b, count, time, mem, memf, base, out, outf, view, viewf, decision,
                    decisionf,
                )  # fmt: skip
            if count < 0:
                close_from_series(state, statef, b, 0, closed, series)  # for the message
                fill_view(row, state, statef, b, time, memf, base, decision, decisionf, view, viewf)
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
def time_of(times, i, base_ns, gapless):
    """Open time of candle ``i``; looking it up is a cache miss."""
    return times[0] + base_ns * i if gapless else times[i]


@njit(**HOT)
def look_on(scan, block, blockf, mem, memf, base, opens, closes, complete, row, equity, quiet):
    """Let the strategy look at its candles alone until it wants something; equity is marked at every one passed.

    scan : address of the strategy's own loop. block : its arguments, FROM and TO set. ``row`` is the last base candle
    marked; ``complete`` the address of the series' complete_at, or 0. quiet : no order works, so TO is the end.
    Returns (the candle on which it wants something, or TO; the base candle of it, or the last one passed).
    """
    market = base + ACCOUNT_WORDS
    quantity, cash = mem[market + M_QUANTITY] / memf[market + M_BASE_SCALE], memf[base + A_CASH_F]
    blockf[QUANTITY], blockf[CASH] = quantity, cash
    for i in range(row, row + AHEAD, LINE):
        prefetch(opens, i)
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
