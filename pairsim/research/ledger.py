"""Walking through a finished run once more: what an account held when it decided, and what came of it.

Rule: the accounting kernel is the only one that books; everything here follows from fills and marks, in whole units.
Pure kernels behind thin functions, compiled by `kernel_code`.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pairsim.engine.plan import Plan
from pairsim.orders.matching import EVENT
from pairsim.portfolio.accounting import HOT, JIT, book, pair_cell
from pairsim.portfolio.layout import A_CASH, P_AVERAGE, P_QUANTITY_F, Costs, init_portfolio, portfolio_words
from pairsim.research.kernel_code import address, block, python_kernel
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


class Seen(NamedTuple):
    """What each order's decision had read: position and average price in its market (float64), cash (units)."""

    quantity: NDArray[np.float64]
    average_price: NDArray[np.float64]
    cash: NDArray[np.int64]


# --- fills ----------------------------------------------------------------------------------------------------------


def round_trips(fills: np.ndarray, pairs: int) -> np.ndarray:
    """TRIP rows in the order in which they were entered, open ones included."""
    trips = np.zeros(len(fills) + 1, TRIP)  # each fill begins one at most
    held, current = np.zeros(pairs, np.int64), np.zeros(pairs, np.int64)
    count = python_kernel(_trips)(block(len(fills), address(fills), address(held), address(current), address(trips)))
    return trips[:count]


@njit(**JIT)
def _trips(arguments):
    a = integers(arguments, 5)
    fills, held, current, trips = (
        fills_at(a[1], a[0]),
        integers(a[2], 0),
        integers(a[3], 0),
        trips_at(a[4], a[0]),
    )
    count = 0
    for k in range(a[0]):
        fill = fills[k]
        pair, quantity, notional, fee = fill.pair, fill.quantity, fill.notional, fill.fee
        if held[pair] * fill.side < 0:
            trip = trips[current[pair]]
            quantity, notional, fee = close_part(trip, fill, held[pair])
            trip.fills += 1
            held[pair] += fill.side * (fill.quantity - quantity)
            if held[pair] == 0:
                trip.left = fill.time
        if quantity > 0:
            if held[pair] == 0:
                current[pair] = count
                trips[count].pair, trips[count].side, trips[count].entered = pair, fill.side, fill.time
                count += 1
            trip = trips[current[pair]]
            open_part(trip, quantity, notional, fee)
            trip.fills += 1
            held[pair] += fill.side * quantity
    return count


@njit(**HOT)
def close_part(trip, fill, held):
    """Take the part of a fill that closes ``held`` into the round trip; returns what is left of the fill to open.

    Returns (quantity, notional, fee).
    """
    closing = min(fill.quantity, abs(held))
    share = closing / fill.quantity
    worth = fill.notional if closing == fill.quantity else np.int64(np.rint(fill.notional * share))
    paid = fill.fee if closing == fill.quantity else np.int64(np.rint(fill.fee * share))
    trip.exit_quantity += closing
    trip.exit_notional += worth
    trip.fees += paid
    return fill.quantity - closing, fill.notional - worth, fill.fee - paid


@njit(**HOT)
def open_part(trip, quantity, notional, fee):
    """Take what a fill adds to a position into the round trip."""
    trip.entry_quantity += quantity
    trip.entry_notional += notional
    trip.fees += fee


def positions_at(log: np.ndarray, fills: np.ndarray, plan: Plan, opening: int) -> Seen:
    """Position and cash at each decision of ``log`` (ORDER_LOG), from ``fills`` (EVENT rows)."""
    mem = np.zeros(portfolio_words(len(plan.instruments), len(plan.pairs)), np.int64)
    init_portfolio(mem, 0, plan.instruments, plan.pairs, 0.0, Costs())
    mem[A_CASH] = opening
    seen = Seen(np.empty(len(log)), np.empty(len(log)), np.empty(len(log), np.int64))
    addresses = (address(array) for array in (log, fills, mem, *seen))
    python_kernel(_positions)(block(len(log), len(fills), plan.base_ns, *addresses))
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
