"""Evaluating a trader: the kernels that the worker processes and the backtest share. Pure: words in, words out.

A snapshot of the portfolio is written into the decision record first and read from there: the record that travels to
the order engine is at the same time the log of what its evaluation saw, so an evaluation cut short by a crash can be
repeated exactly.
"""

from numba import njit

from pairsim.channels.native import address_of, call
from pairsim.engine.layout import (
    B_EVALUATED,
    B_MARKET,
    B_NUMBER,
    B_PENDING,
    B_PENDING_NUMBER,
    B_SKIPPED,
    BM_CLOSE,
    BM_CLOSED,
    BM_HIGH,
    BM_LOW,
    BM_OPEN,
    BM_VOLUME,
    BM_WORDS,
    S_AMOUNT,
    S_EXPIRES,
    S_KIND,
    S_LIMIT,
    S_MARKET,
    S_STOP,
    S_STOP_LOSS,
    S_TAKE_PROFIT,
    S_UNIT,
    SIGNAL_WORDS,
    T_INTERVAL,
    T_MARKET,
    T_MARKETS,
    T_PAIR,
    V_CASH,
    V_EQUITY,
    V_INDEX,
    V_MARKET,
    V_TIME,
    VM_AVERAGE,
    VM_CLOSE,
    VM_HIGH,
    VM_LOW,
    VM_OPEN,
    VM_PENDING,
    VM_QUANTITY,
    VM_VOLUME,
    VM_WORDS,
)
from pairsim.orders.order import (
    D_CASH,
    D_EQUITY,
    D_N,
    D_NUMBER,
    D_ORDER,
    D_ORDERS,
    D_SEQUENCE,
    D_SNAPSHOT,
    D_TIME,
    D_TRADER,
    MAX_SIGNALS,
    O_PAIR,
    O_QUANTITY,
    O_SIDE,
    O_TYPE,
    ORDER_WORDS,
    SNAPSHOT_WORDS,
)
from pairsim.orders.sizing import MARKET, NOTHING, SIZED, size_signal
from pairsim.portfolio.accounting import HOT, JIT, pair_cell
from pairsim.portfolio.layout import (
    A_CASH,
    A_EQUITY,
    A_QUOTE_SCALE,
    A_SEQUENCE,
    ACCOUNT_WORDS,
    M_BASE_SCALE,
    MARKET_WORDS,
    P_AVERAGE,
    P_QUANTITY,
    P_SETTLED,
)

RAISED = -1  # the strategy raised
PROBLEM = -10  # minus a problem of ``sizing``: the signal could not be sized
BAD_MARKET = -2  # a signal for a market the trader does not have


@njit(**HOT)
def read_snapshot(row, state, statef, b, mem, memf, base, decision, decisionf):
    """Copy cash, equity and the trader's positions into the decision record (the caller guards the read by the
    seqlock).

    row : the trader's words. state, b : slot B. mem, base : the portfolio region. decision : int64[64], decisionf its
        float view.
    """
    decision[D_SEQUENCE] = mem[base + A_SEQUENCE]
    decision[D_CASH], decisionf[D_EQUITY] = mem[base + A_CASH], memf[base + A_EQUITY]
    _read_position(row, state, statef, b, mem, memf, base, decision, decisionf, 0)
    for k in range(1, row[T_MARKETS]):
        _read_position(row, state, statef, b, mem, memf, base, decision, decisionf, k)


# A trader has one market as a rule, so here as elsewhere the first is apart: a loop of one costs more than its body.
@njit(**HOT)
def _read_position(row, state, statef, b, mem, memf, base, decision, decisionf, k):
    cell, s = pair_cell(mem, base, row[T_PAIR + k]), D_SNAPSHOT + k * SNAPSHOT_WORDS
    decision[s], decisionf[s + 1] = mem[cell + P_QUANTITY], memf[cell + P_AVERAGE]
    settled = mem[cell + P_SETTLED] >= state[b + B_PENDING_NUMBER + k]
    decisionf[s + 2] = 0.0 if settled else statef[b + B_PENDING + k]


@njit(**HOT)
def fill_view(row, state, statef, b, time, memf, base, decision, decisionf, view, viewf):
    """Show the strategy its closed candles and the snapshot."""
    show_snapshot(row, state, b, time, memf, base, decision, decisionf, view, viewf)
    _show_candle(statef, b, viewf, 0)
    for k in range(1, row[T_MARKETS]):
        _show_candle(statef, b, viewf, k)


@njit(**HOT)
def _show_candle(statef, b, viewf, k):
    m, v = b + B_MARKET + k * BM_WORDS, V_MARKET + k * VM_WORDS
    # All loads before all stores: then they are vectors.
    o, h, l, c, volume = (
        statef[m + BM_OPEN],
        statef[m + BM_HIGH],
        statef[m + BM_LOW],
        statef[m + BM_CLOSE],
        statef[m + BM_VOLUME],
    )
    viewf[v + VM_OPEN], viewf[v + VM_HIGH], viewf[v + VM_LOW] = o, h, l
    viewf[v + VM_CLOSE], viewf[v + VM_VOLUME] = c, volume


@njit(**HOT)
def show_snapshot(row, state, b, time, memf, base, decision, decisionf, view, viewf):
    """The part of the view that is no candle: time, and the snapshot, whose integers become floats here."""
    view[V_TIME], view[V_INDEX] = time, state[b + B_MARKET + BM_CLOSED] - 1
    viewf[V_CASH], viewf[V_EQUITY] = decision[D_CASH] / memf[base + A_QUOTE_SCALE], decisionf[D_EQUITY]
    _show_position(row, memf, base, decision, decisionf, viewf, 0)
    for k in range(1, row[T_MARKETS]):
        _show_position(row, memf, base, decision, decisionf, viewf, k)


@njit(**HOT)
def _show_position(row, memf, base, decision, decisionf, viewf, k):
    v, s = V_MARKET + k * VM_WORDS, D_SNAPSHOT + k * SNAPSHOT_WORDS
    base_scale = memf[base + ACCOUNT_WORDS + row[T_MARKET + k] * MARKET_WORDS + M_BASE_SCALE]
    viewf[v + VM_QUANTITY], viewf[v + VM_AVERAGE] = decision[s] / base_scale, decisionf[s + 1]
    viewf[v + VM_PENDING] = decisionf[s + 2]


@njit(**JIT)
def size_signals(row, state, statef, b, memf, mem, base, count, out, outf, view, viewf, decision, decisionf):
    """Turn ``count`` signals into the orders of the decision; returns how many, or a negative problem."""
    orders = 0
    for j in range(count):
        s = j * SIGNAL_WORDS
        kind, k = out[s + S_KIND], out[s + S_MARKET]
        if kind == 0:
            continue
        if k < 0 or k >= row[T_MARKETS]:
            return BAD_MARKET
        if viewf[V_MARKET + k * VM_WORDS + VM_PENDING] != 0.0:
            state[b + B_SKIPPED] += 1  # one working decision per trader and market
            continue
        cell = base + ACCOUNT_WORDS + row[T_MARKET + k] * MARKET_WORDS
        v = V_MARKET + k * VM_WORDS
        held = decision[D_SNAPSHOT + k * SNAPSHOT_WORDS]
        expires = view[V_TIME] + out[s + S_EXPIRES] * row[T_INTERVAL] if out[s + S_EXPIRES] > 0 else 0
        order = D_ORDER + orders * ORDER_WORDS
        problem = size_signal(
            mem, memf, base, cell, decision, decisionf, order, row[T_PAIR + k], kind, out[s + S_UNIT],
            outf[s + S_AMOUNT], outf[s + S_LIMIT],
            outf[s + S_STOP], outf[s + S_STOP_LOSS], outf[s + S_TAKE_PROFIT], expires, viewf[v + VM_CLOSE], held,
            decision[D_CASH],
            viewf[V_EQUITY],
        )  # fmt: skip
        if problem == SIZED:
            orders += 1
        elif problem != NOTHING:
            return PROBLEM - problem
    return orders


@njit(**JIT)
def decide(
    trader, n, row, state, statef, b, count, time, mem, memf, base, out, outf, view, viewf, decision, decisionf
):  # fmt: skip
    """Write the decision that follows from ``count`` signals in ``out``; ``view`` and snapshot are what they rest on.

    Returns what `evaluate` returns. Apart from it, so that a backtest can pass over candles on which nothing is wanted.
    """
    orders = size_signals(
        row, state, statef, b, memf, mem, base, min(count, MAX_SIGNALS), out, outf, view, viewf, decision, decisionf
    )
    if orders <= 0:
        return orders
    state[b + B_NUMBER] += 1
    number = state[b + B_NUMBER]
    decision[D_TRADER], decision[D_N], decision[D_NUMBER], decision[D_TIME], decision[D_ORDERS] = (
        trader,
        n,
        number,
        time,
        orders,
    )
    for j in range(orders):
        order = D_ORDER + j * ORDER_WORDS
        if decision[order + O_TYPE] == MARKET and decision[order + O_SIDE] != 0:
            for k in range(row[T_MARKETS]):
                if row[T_PAIR + k] == decision[order + O_PAIR]:
                    cell = base + ACCOUNT_WORDS + row[T_MARKET + k] * MARKET_WORDS
                    quantity = decision[order + O_QUANTITY] / memf[cell + M_BASE_SCALE]
                    statef[b + B_PENDING + k] += decision[order + O_SIDE] * quantity
                    state[b + B_PENDING_NUMBER + k] = number
    return orders


@njit(**HOT)
def evaluate(
    trader,
    n,
    row,
    state,
    statef,
    b,
    address,
    p_self,
    p_values,
    p_previous,
    time,
    mem,
    memf,
    base,
    out,
    outf,
    view,
    viewf,
    decision,
    decisionf,
):
    """Ask the strategy at ``address`` and write its decision; the snapshot stands in ``decision`` already.

    Returns the number of orders, RAISED, BAD_MARKET or PROBLEM - problem. Slot B counts the decision and what is
    pending.
    """
    fill_view(row, state, statef, b, time, memf, base, decision, decisionf, view, viewf)
    state[b + B_EVALUATED] += 1
    statef[b + B_PENDING] = decisionf[D_SNAPSHOT + 2]  # what the snapshot says is settled is pending no more
    for k in range(1, row[T_MARKETS]):
        statef[b + B_PENDING + k] = decisionf[D_SNAPSHOT + k * SNAPSHOT_WORDS + 2]
    count = call(address, p_self, address_of(view, 0), p_values, p_previous, address_of(out, 0))
    if count <= 0:
        return count
    return decide(
        trader, n, row, state, statef, b, count, time, mem, memf, base, out, outf, view, viewf, decision, decisionf
    )
