"""Walking through the fills of a run once more: what an account held when it decided, and the trades that came of it.

Rule: the accounting kernel is the only one that books; everything here follows from the fills, in whole units.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pairsim.engine.plan import Plan
from pairsim.portfolio.accounting import JIT, book, pair_cell
from pairsim.portfolio.layout import A_CASH, P_AVERAGE, P_QUANTITY_F, Costs, init_portfolio, portfolio_words

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


class Seen(NamedTuple):
    """What each order's decision had read: position and average price in its market (float64), cash (units)."""

    quantity: NDArray[np.float64]
    average_price: NDArray[np.float64]
    cash: NDArray[np.int64]


def positions_at(log: np.ndarray, fills: np.ndarray, plan: Plan, opening: int) -> Seen:
    """Position and cash at each decision of ``log`` (ORDER_LOG), from ``fills`` (EVENT rows)."""
    mem = np.zeros(portfolio_words(len(plan.instruments), len(plan.pairs)), np.int64)
    init_portfolio(mem, 0, plan.instruments, plan.pairs, 0.0, Costs())
    mem[A_CASH] = opening
    seen = Seen(np.empty(len(log)), np.empty(len(log)), np.empty(len(log), np.int64))
    _walk(log, fills, plan.base_ns, mem, mem.view(np.float64), *seen)
    return seen


@njit(**JIT)
def _walk(log, fills, base_ns, mem, memf, quantity, average, cash):
    f = 0
    for i in range(len(log)):
        slice_open = log[i].time - base_ns
        while f < len(fills) and fills[f].time <= slice_open:
            fill = fills[f]
            book(mem, memf, 0, fill.pair, fill.side, fill.quantity, fill.notional, fill.fee)
            f += 1
        cell = pair_cell(mem, 0, log[i].pair)
        quantity[i], average[i], cash[i] = memf[cell + P_QUANTITY_F], memf[cell + P_AVERAGE], mem[A_CASH]


def round_trips(fills: np.ndarray, pairs: int) -> np.ndarray:
    """TRIP rows in the order in which they were entered, open ones included."""
    trips = np.zeros(len(fills) + 1, TRIP)  # each fill begins one at most
    held, current = np.zeros(pairs, np.int64), np.zeros(pairs, np.int64)
    count = _trips(fills, held, current, trips)
    return trips[:count]


@njit(**JIT)
def _trips(fills, held, current, trips):
    count = 0
    for k in range(len(fills)):
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
                trips[count].pair, trips[count].side, trips[count].entered = pair, side, fill.time
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
    changes = _changes(fills, np.zeros(pairs, np.int64))
    if not len(changes):
        return 0
    at = np.searchsorted(times, changes)  # held from the slice of the first, flat from that of the second, and so on
    ends = np.append(at, len(times)) if len(at) % 2 else at
    return int((ends[1::2] - ends[::2]).sum())


def _changes(fills: np.ndarray, held: NDArray[np.int64]) -> NDArray[np.int64]:
    """Times at which the account became invested, flat, invested …; moves inside one slice cancel out."""
    times = np.empty(len(fills), np.int64)
    return times[: _invested(fills, held, times)]


@njit(**JIT)
def _invested(fills, held, times):
    count, positions = 0, 0
    k = 0
    while k < len(fills):
        time, before = fills[k].time, positions
        while k < len(fills) and fills[k].time == time:
            pair = fills[k].pair
            positions -= held[pair] != 0
            held[pair] += fills[k].side * fills[k].quantity
            positions += held[pair] != 0
            k += 1
        if (before > 0) != (positions > 0):
            times[count] = time
            count += 1
    return count
