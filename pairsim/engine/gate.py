"""The one place between workers and order engine where orders are checked: drains every order ring, judges, passes on.

It has its channels of its own (order rings in, one gate ring out) and reads the portfolio and the board from shared
memory only, so that it can become a process without a change. It never waits for a candle. In lockstep it holds what
comes until the slice has been evaluated by all, and judges in (trader, signal) order.
"""

import numpy as np
from numba import njit

from pairsim.channels.atomics import fence, load_acquire, now_ns, store_relaxed, store_release
from pairsim.channels.ring import (
    available,
    head,
    publish,
    record,
    release,
    room,
    tail,
    wait_for_room,
    wake_consumer,
    wake_producer,
)
from pairsim.channels.seqlock import READ_TRIES, read_begin, read_retry
from pairsim.channels.waiting import wait_word, wake_word
from pairsim.engine.arena import BOARD_CLOSE, BOARD_NUMBER, BOARD_WORDS, H_BARRIER, H_CHECKED, H_GATE_SLEEPS, H_TRADING
from pairsim.orders.checks import NO_PRICE, check_order, reserve
from pairsim.orders.order import (
    D_NUMBER,
    D_ORDER,
    D_ORDERS,
    D_TIME,
    D_TRADER,
    DECISION_WORDS,
    O_PAIR,
    O_VERDICT,
    ORDER_WORDS,
)
from pairsim.portfolio.accounting import JIT, pair_cell
from pairsim.portfolio.layout import P_MARKET

(G_PORTFOLIO, G_BOARD, G_RING, G_FD, G_LOCKSTEP) = range(5)
GATE_WORDS = 5
SLEEP_NS = 500_000_000  # whoever has something wakes the gate; who takes a dead worker's place does so in any case
SLICE_END = -1  # D_TRADER of the record that closes a slice in lockstep


@njit(**JIT)
def judge(mem, memf, lay, table, decision, decisionf):
    """Write the verdict on each order of a decision."""
    base = lay[G_PORTFOLIO]
    for j in range(decision[D_ORDERS]):
        order = D_ORDER + j * ORDER_WORDS
        market = mem[pair_cell(mem, base, decision[order + O_PAIR]) + P_MARKET]
        board = lay[G_BOARD] + market * BOARD_WORDS
        last = memf[board + BOARD_CLOSE] if mem[board + BOARD_NUMBER] >= 0 else np.nan
        verdict, money = NO_PRICE, np.int64(0)
        for _ in range(READ_TRIES):
            sequence = read_begin(mem, base)
            verdict, money = check_order(
                mem, memf, base, table, decision, decisionf, order, decision[D_NUMBER], mem[H_TRADING], last
            )
            if not read_retry(mem, base, sequence):
                break
        decision[order + O_VERDICT] = verdict
        reserve(table, decision[order + O_PAIR], decision[D_NUMBER], money)


@njit(**JIT)
def _pass_on(mem, lay, decision):
    """Push one judged decision; the order engine always drains, so this waits at most for it."""
    ring = lay[G_RING]
    while room(mem, ring) <= 0:
        wait_for_room(mem, ring, 20_000_000)
    end = tail(mem, ring)
    place = record(mem, ring, end)
    for w in range(DECISION_WORDS):
        mem[place + w] = decision[w]
    publish(mem, ring, end + 1)
    wake_consumer(mem, ring, lay[G_FD])


@njit(**JIT)
def run_gate(mem, memf, lay, rings, table, held, count, marker, budget_ns):
    """Judge what the workers send until ``budget_ns`` are over; returns how many decisions are held.

    held : int64[k, 64], decisions of the running slice in lockstep; the caller enlarges it when it comes back full.
    marker : int64[64], room for the record that ends a slice.
    """
    until = now_ns() + budget_ns
    heldf = held.view(np.float64)
    lockstep = lay[G_LOCKSTEP] != 0
    while True:
        moved = False
        barrier = load_acquire(mem, H_BARRIER)  # before the rings: all of a slice is published before its barrier
        for w in range(len(rings)):
            ring = rings[w]
            n = available(mem, ring)
            at = head(mem, ring)
            for i in range(n):
                if count == len(held):
                    break
                place = record(mem, ring, at + i)
                for j in range(DECISION_WORDS):
                    held[count, j] = mem[place + j]
                if lockstep:
                    count += 1
                else:
                    judge(mem, memf, lay, table, held[count], heldf[count])
                    _pass_on(mem, lay, held[count])
                release(mem, ring, at + i + 1)
                moved = True
            if n > 0:
                wake_producer(mem, ring)
        if lockstep and barrier > mem[H_CHECKED] and not _waiting(mem, rings):
            _finish_slice(mem, memf, lay, table, held, heldf, count, marker, barrier)
            count = 0
            moved = True
        if count == len(held) or now_ns() > until:
            return count
        if not moved:
            store_relaxed(mem, H_GATE_SLEEPS, 1)
            fence()
            if not _waiting(mem, rings) and (not lockstep or load_acquire(mem, H_BARRIER) <= mem[H_CHECKED]):
                wait_word(mem, H_GATE_SLEEPS, 1, SLEEP_NS)
            store_relaxed(mem, H_GATE_SLEEPS, 0)


@njit(**JIT)
def _waiting(mem, rings):
    for w in range(len(rings)):  # noqa: SIM110 (numba compiles no generators)
        if tail(mem, rings[w]) > head(mem, rings[w]):
            return True
    return False


@njit(**JIT)
def _finish_slice(mem, memf, lay, table, held, heldf, count, marker, barrier):
    """Judge what was held in order of trader, pass it on, and close the slice."""
    for i in range(1, count):  # insertion sort: few, and nearly sorted where one worker holds one trader
        for j in range(i, 0, -1):
            if held[j - 1, D_TRADER] <= held[j, D_TRADER]:
                break
            for w in range(DECISION_WORDS):
                held[j - 1, w], held[j, w] = held[j, w], held[j - 1, w]
    for i in range(count):
        judge(mem, memf, lay, table, held[i], heldf[i])
        _pass_on(mem, lay, held[i])
    marker[D_TRADER], marker[D_TIME] = SLICE_END, barrier
    _pass_on(mem, lay, marker)
    store_release(mem, H_CHECKED, barrier)
    wake_word(mem, H_CHECKED)


@njit(**JIT)
def raise_barrier(mem, slice_number):
    """Feed thread: every worker has evaluated this slice; the gate may judge what it holds."""
    store_release(mem, H_BARRIER, slice_number)
    fence()
    store_relaxed(mem, H_GATE_SLEEPS, 0)
    wake_word(mem, H_GATE_SLEEPS)


@njit(**JIT)
def await_word(mem, word, value, timeout_ns):
    """Wait until a word has reached ``value``; False after the deadline."""
    until = now_ns() + timeout_ns
    while True:
        current = load_acquire(mem, word)
        if current >= value:
            return True
        if now_ns() > until:
            return False
        wait_word(mem, word, current, 20_000_000)
