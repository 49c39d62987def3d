"""Load every kernel of the host before the first candle, so that no order waits for a compiler."""

from pathlib import Path

import numpy as np

from pairsim.brokers.sim import SimBroker, Venue
from pairsim.channels.memory import Memory
from pairsim.channels.ring import arm_consumer, init_ring, ring_words
from pairsim.engine.booking import NO_ROWS, begin_orders, book_rows, mark_slice, store_and_wake, take
from pairsim.engine.dispatch import F_BROKER, F_CAPACITY, FEED_WORDS, await_drained, dispatch, push_record, send_slice
from pairsim.engine.gate import GATE_WORDS, await_word, raise_barrier, run_gate
from pairsim.engine.worker_loop import run_worker
from pairsim.feeds.feed import Feed
from pairsim.feeds.random import RandomFeed
from pairsim.market.instrument import Instrument
from pairsim.orders.order import DECISION_WORDS
from pairsim.portfolio.accounting import notional_of, pair_cell
from pairsim.portfolio.layout import init_portfolio, portfolio_words


def kernels_on_disk() -> bool:
    """Whether an earlier run left the large kernels compiled: without them a start takes half a minute, not seconds.

    A guess by the times of files, for a message; numba itself decides by more.
    """
    for kernel in (run_worker, run_gate, dispatch):
        source = Path(kernel.py_func.__code__.co_filename)
        found = Path(kernel._cache.cache_path).glob(f"{source.stem}.{kernel.py_func.__name__}-*.nbi")
        if not any(index.stat().st_mtime >= source.stat().st_mtime for index in found):
            return False
    return True


def warm_host(feed: Feed) -> None:
    """Call each kernel once on a small arena of its own."""
    if type(feed) is RandomFeed:  # its own look-alike: what a user's feed does when asked is not ours to begin
        RandomFeed(feed.interval, start=0).history(("A/B",), None, 1)
    candles, decisions = ring_words(8, 8), ring_words(8, DECISION_WORDS)
    portfolio = 256 + candles + decisions
    memory = Memory.create(portfolio + portfolio_words(1, 1) + 64)
    mem, memf = memory.words, memory.floats
    init_ring(mem, 256, 8, 8)
    init_ring(mem, 256 + candles, 8, DECISION_WORDS)
    init_portfolio(mem, portfolio, [Instrument("A/B")], [(0, 0)], 1.0, SimBroker().costs)
    board = portfolio + portfolio_words(1, 1)
    none, one = np.zeros(0, np.int64), np.zeros(1, np.int64)
    lay = np.zeros(FEED_WORDS, np.int64)
    lay[F_CAPACITY], lay[F_BROKER] = 8, 256
    records = np.zeros((0, 8), np.int64)
    marker = np.zeros(8, np.int64)
    books = (
        one.copy(),
        one.copy(),
        one.copy(),
        np.zeros((1, 1), np.int64),
        one.copy(),
        np.zeros((1, 8), np.int64),
    )
    rings = np.array([256], np.int64)
    lists = np.zeros((0, 2), np.int64)
    dispatch(
        mem,
        memf,
        lay,
        records,
        records.view(np.float64),
        0,
        0,
        0,
        np.zeros(2, np.int64),
        none,
        np.zeros(2, np.int64),
        lists,
        rings,
        one.copy(),
        one.copy(),
        one.copy(),
        *books,
    )
    lay[F_CAPACITY] = 8
    push_record(mem, lay, 0, marker, rings, np.zeros(1, np.int64), *books)
    await_drained(mem, rings, 0)
    init_ring(mem, 256, 8, 8)
    send_slice(mem, lay, records, 0, 0, marker)
    raise_barrier(mem, 0)
    await_word(mem, 48, 0, 0)
    run_gate(
        mem,
        memf,
        np.zeros(GATE_WORDS, np.int64),
        none,
        none,
        np.zeros((1, DECISION_WORDS), np.int64),
        0,
        np.zeros(DECISION_WORDS, np.int64),
        0,
    )
    take(mem, 256, np.zeros((4, 8), np.int64))
    arm_consumer(mem, 256)
    begin_orders(mem, portfolio, np.array([(0, 1, 1, True)], np.int64))
    book_rows(mem, memf, portfolio, board, NO_ROWS, True)
    mark_slice(mem, memf, portfolio, records, records.view(np.float64), 0)
    store_and_wake(mem, 80, 0)
    notional_of(1.0, 1, 1.0)
    pair_cell(mem, portfolio, 0)
    ledger = mem[portfolio:board].copy()
    venue = Venue(SimBroker(), ledger, 1)
    from pairsim.brokers.broker import Order

    nan = float("nan")
    order = Order(1, "", 0, "A/B", "", "BUY", "MARKET", 0.0, nan, nan, nan, nan, 0, 1.0, 4, 0, 0, 1, 0, 1)
    venue.submit(order, venue.broker.arrival(0, 4))
    venue.cancel_working(0, 0, 0, 0)
    venue.match_all(np.zeros((1, 8), np.int64))
    venue.end(1, 0, 0)
    memory.close()
