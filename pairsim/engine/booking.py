"""The order engine's kernels on the shared portfolio: it is the only writer, and each call is one seqlock section."""

import numpy as np
from numba import njit

from pairsim.channels.atomics import store_release
from pairsim.channels.ring import try_pop, wake_producer
from pairsim.channels.seqlock import read_begin, read_retry, write_begin, write_end
from pairsim.channels.waiting import wake_word
from pairsim.engine.arena import BOARD_CLOSE, BOARD_NUMBER, BOARD_TIME, BOARD_WORDS, H_FEED_TIME
from pairsim.portfolio.accounting import JIT, begin_order, book, end_order, mark_equity, settle
from pairsim.portfolio.layout import A_CASH_F, A_MARKETS, ACCOUNT_WORDS, M_MARK, M_MARK_TIME, MARKET_WORDS

# Rows of `begin_orders`: pair, number, market type, passed.  Rows of `book_rows`: what, pair, side, quantity,
# notional, fee, market type, moment of emission.
BOOK_FILL, BOOK_END = 0, 1


@njit(**JIT)
def take(mem, ring, out):
    """Pop what is there, at most ``len(out)`` records, and wake the producer."""
    n = try_pop(mem, ring, out)
    if n > 0:
        wake_producer(mem, ring)
    return n


@njit(**JIT)
def begin_orders(mem, base, rows):
    """Orders of decisions taken in: those that passed are under way, decisions without any are settled."""
    write_begin(mem, base)
    for k in range(len(rows)):
        if rows[k, 3]:
            begin_order(mem, base, rows[k, 0], rows[k, 1], rows[k, 2] != 0)
    for k in range(len(rows)):
        if not rows[k, 3]:
            settle(mem, base, rows[k, 0], rows[k, 1])
    write_end(mem, base)


@njit(**JIT)
def book_rows(mem, memf, base, board, rows, from_board):
    """Book fills and ends in order, mark the markets of the fills from the board, and equity; returns equity."""
    write_begin(mem, base)
    for k in range(len(rows)):
        if rows[k, 0] == BOOK_FILL:
            book(mem, memf, base, rows[k, 1], rows[k, 2], rows[k, 3], rows[k, 4], rows[k, 5])
        else:
            end_order(mem, base, rows[k, 1], rows[k, 6] != 0)
    if from_board:
        _marks_from_board(mem, memf, base, board)
    equity = mark_equity(mem, memf, base, mem[H_FEED_TIME])
    write_end(mem, base)
    return equity, memf[base + A_CASH_F]


@njit(**JIT)
def _marks_from_board(mem, memf, base, board):
    markets = mem[base + A_MARKETS]
    for m in range(markets):
        cell = board + m * BOARD_WORDS
        for _ in range(8):
            sequence = read_begin(mem, cell)
            price, number, time = memf[cell + BOARD_CLOSE], mem[cell + BOARD_NUMBER], mem[cell + BOARD_TIME]
            if not read_retry(mem, cell, sequence):
                if number >= 0:
                    memf[base + ACCOUNT_WORDS + m * MARKET_WORDS + M_MARK] = price
                    mem[base + ACCOUNT_WORDS + m * MARKET_WORDS + M_MARK_TIME] = time
                break


@njit(**JIT)
def mark_slice(mem, memf, base, candles, candlesf, time):
    """Mark the markets of a slice at its closes, and equity; returns (equity, cash)."""
    write_begin(mem, base)
    for k in range(len(candles)):
        cell = base + ACCOUNT_WORDS + candles[k, 0] * MARKET_WORDS
        memf[cell + M_MARK] = candlesf[k, 6]
        mem[cell + M_MARK_TIME] = candles[k, 2]
    equity = mark_equity(mem, memf, base, time)
    write_end(mem, base)
    return equity, memf[base + A_CASH_F]


@njit(**JIT)
def store_and_wake(mem, word, value):
    """Store-release a word and wake who waits for it (see `gate.await_word`)."""
    store_release(mem, word, value)
    wake_word(mem, word)


NO_ROWS = np.zeros((0, 8), np.int64)
