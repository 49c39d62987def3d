"""Walking through a finished run once more: what an account held when it decided, and what came of it.

Rule: the accounting kernel is the only one that books; everything here follows from fills and marks, in whole units.
Pure kernels behind thin functions, compiled by `kernel_code`.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pairsim.engine.plan import Plan
from pairsim.orders.matching import EVENT
from pairsim.portfolio.accounting import HOT, JIT, book, pair_cell
from pairsim.portfolio.layout import A_CASH, P_AVERAGE, P_QUANTITY_F, Costs, init_portfolio, portfolio_words
from pairsim.research.kernel_code import c_function, python_callable
from pairsim.research.kernel_types import integers, reals, records
from pairsim.research.loop_layout import ORDER_LOG

# A round trip: from flat to flat of one trader in one market; a reversal ends one and begins the next. Sums in units.
TRIP = np.dtype(
    [
        ("pair", "i8"),
        ("side", "i8"),  # +1 long, -1 short
        ("entered", "i8"),
        ("left", "i8"),  # 0: still open
        ("entry_quantity", "i8"),
        ("entry_notional", "i8"),
        ("exit_quantity", "i8"),
        ("exit_notional", "i8"),
        ("fees", "i8"),
        ("fills", "i8"),
    ]
)

fills_at, trips_at, log_at = records(EVENT), records(TRIP), records(ORDER_LOG)


class Marks(NamedTuple):
    """What the marks of a run say.

    deepest : lowest equity / highest before it - 1. longest_ns : longest time from a high to the next or the end.
    mean : of the equity.
    """

    deepest: float
    longest_ns: int
    mean: float


class Seen(NamedTuple):
    """What each order's decision had read: position and average price in its market (float64), cash (units)."""

    quantity: NDArray[np.float64]
    average_price: NDArray[np.float64]
    cash: NDArray[np.int64]


# --- marks ----------------------------------------------------------------------------------------------------------


def walk_marks(times: NDArray[np.int64], equity: NDArray[np.float64], cash: float, start: int) -> Marks:
    """Drawdown and mean of marks; ``times`` rise, the opening ``cash`` at ``start`` is the first high."""
    out, opening = np.zeros(3), np.array([cash])
    _kernel(_walk_marks)(_block(len(times), _at(times), _at(equity), _at(opening), start, _at(out)))
    return Marks(float(out[0]), int(out[1]), float(out[2]))


@njit(**JIT)
def _walk_marks(arguments):
    a = integers(arguments, 6)
    n, times, equity, out = a[0], integers(a[1], a[0]), reals(a[2], a[0]), reals(a[5], 3)
    high, since, deepest, longest, total = reals(a[3], 1)[0], a[4], 0.0, 0, 0.0
    below = False
    for i in range(n):
        level = equity[i]
        total += level
        if level >= high:
            if below:
                longest = max(longest, times[i] - since)
            below = False
            high, since = level, times[i]
        else:
            below = True
            deepest = min(deepest, level / high - 1.0)
    if below:
        longest = max(longest, times[n - 1] - since)
    out[0], out[1], out[2] = deepest, longest, total / max(n, 1)
    return 0


# --- fills ----------------------------------------------------------------------------------------------------------


def round_trips(fills: np.ndarray, pairs: int) -> np.ndarray:
    """TRIP rows in the order in which they were entered, open ones included."""
    trips = np.zeros(len(fills) + 1, TRIP)  # each fill begins one at most
    held, current = np.zeros(pairs, np.int64), np.zeros(pairs, np.int64)
    count = _kernel(_trips)(_block(len(fills), _at(fills), _at(held), _at(current), _at(trips)))
    return trips[:count]


@njit(**JIT)
def _trips(arguments):
    a = integers(arguments, 5)
    fills, held, current, trips = fills_at(a[1], a[0]), integers(a[2], 0), integers(a[3], 0), trips_at(a[4], a[0])
    count = 0
    for k in range(a[0]):
        fill = fills[k]
        pair, side, quantity, notional, fee = fill.pair, fill.side, fill.quantity, fill.notional, fill.fee
        if held[pair] * side < 0:
            closing = min(quantity, abs(held[pair]))
            share = closing / quantity
            worth = notional if closing == quantity else np.int64(np.rint(notional * share))
            paid = fee if closing == quantity else np.int64(np.rint(fee * share))
            trip = trips[current[pair]]
            trip.exit_quantity += closing
            trip.exit_notional += worth
            trip.fees += paid
            trip.fills += 1
            held[pair] += side * closing
            if held[pair] == 0:
                trip.left = fill.time
            quantity -= closing
            notional -= worth
            fee -= paid
        if quantity > 0:
            if held[pair] == 0:
                current[pair] = count
                trip = trips[count]
                trip.pair, trip.side, trip.entered = pair, side, fill.time
                count += 1
            trip = trips[current[pair]]
            trip.entry_quantity += quantity
            trip.entry_notional += notional
            trip.fees += fee
            trip.fills += 1
            held[pair] += side * quantity
    return count


def held_slices(fills: np.ndarray, pairs: int, times: NDArray[np.int64]) -> int:
    """At how many closes a position was held; ``times`` are the open times of the slices."""
    held = np.zeros(pairs, np.int64)
    return _kernel(_held)(_block(len(fills), _at(fills), _at(held), len(times), _at(times)))


@njit(**JIT)
def _held(arguments):
    a = integers(arguments, 5)
    n, fills, held, slices, times = a[0], fills_at(a[1], a[0]), integers(a[2], 0), a[3], integers(a[4], a[3])
    count, positions, k, since = 0, 0, 0, 0
    while k < n:
        time, before = fills[k].time, positions
        while k < n and fills[k].time == time:  # moves inside one slice cancel out
            pair = fills[k].pair
            positions -= 1 if held[pair] != 0 else 0
            held[pair] += fills[k].side * fills[k].quantity
            positions += 1 if held[pair] != 0 else 0
            k += 1
        if (before > 0) != (positions > 0):
            at = _slice_at(times, since, slices, time)
            count += at - since if before > 0 else 0
            since = at
    return count + (slices - since if positions > 0 else 0)


@njit(**HOT)
def _slice_at(times, start, end, time):
    """The first slice not before a time, from ``start`` on: steps that double, then halve; near ones are near."""
    step = 1
    while start + step < end and times[start + step] < time:
        step *= 2
    low, high = start + step // 2, min(start + step, end)
    while low < high:
        middle = (low + high) // 2
        if times[middle] < time:
            low = middle + 1
        else:
            high = middle
    return low


def positions_at(log: np.ndarray, fills: np.ndarray, plan: Plan, opening: int) -> Seen:
    """Position and cash at each decision of ``log`` (ORDER_LOG), from ``fills`` (EVENT rows)."""
    mem = np.zeros(portfolio_words(len(plan.instruments), len(plan.pairs)), np.int64)
    init_portfolio(mem, 0, plan.instruments, plan.pairs, 0.0, Costs())
    mem[A_CASH] = opening
    seen = Seen(np.empty(len(log)), np.empty(len(log)), np.empty(len(log), np.int64))
    addresses = (_at(array) for array in (log, fills, mem, *seen))
    _kernel(_positions)(_block(len(log), len(fills), plan.base_ns, *addresses))
    return seen


@njit(**JIT)
def _positions(arguments):
    a = integers(arguments, 9)
    orders, n, base_ns = a[0], a[1], a[2]
    log, fills, mem, memf = log_at(a[3], orders), fills_at(a[4], n), integers(a[5], 0), reals(a[5], 0)
    quantity, average, cash = reals(a[6], orders), reals(a[7], orders), integers(a[8], orders)
    f = 0
    for i in range(orders):
        f = _book_until(fills, n, f, log[i].time - base_ns, mem, memf)
        cell = pair_cell(mem, 0, log[i].pair)
        quantity[i], average[i], cash[i] = memf[cell + P_QUANTITY_F], memf[cell + P_AVERAGE], mem[A_CASH]
    return 0


@njit(**HOT)
def _book_until(fills, n, f, time, mem, memf):
    while f < n and fills[f].time <= time:
        fill = fills[f]
        book(mem, memf, 0, fill.pair, fill.side, fill.quantity, fill.notional, fill.fee)
        f += 1
    return f


# --- arrays by address ----------------------------------------------------------------------------------------------


@functools.cache
def _kernel(kernel: Callable[[int], int]) -> Callable[[NDArray[np.int64]], int]:
    function = python_callable(c_function(kernel))
    return lambda block: function(_at(block))


def _block(*words: int) -> NDArray[np.int64]:
    return np.array(words, np.int64)


def _at(array: np.ndarray) -> int:
    return int(array.ctypes.data)
