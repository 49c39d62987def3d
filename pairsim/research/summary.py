"""From a run to its numbers: one walk over its events, one over its equity, one over its days. Pure kernels.

Rule: a backtest and every combination of a sweep come through these kernels, so their statistics are the same bits.
Sums are in the order of time. What each number means stands at the fields of ``statistics.Statistics``.
"""

import functools
import math
from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pairsim.market.interval import DAY_NS
from pairsim.orders.matching import EVENT, FILL
from pairsim.portfolio.accounting import HOT, JIT
from pairsim.research.kernel_code import c_function, python_callable
from pairsim.research.kernel_types import integers, reals, records
from pairsim.research.ledger import TRIP, close_part, open_part

Floats = NDArray[np.float64]

# A summary, float64 words. The first ones are the fields of ``Statistics`` in their order.
(Z_RETURN, Z_CAGR, Z_VOLATILITY, Z_SHARPE, Z_ERROR, Z_SORTINO, Z_CALMAR, Z_DRAWDOWN, Z_DRAWDOWN_DAYS, Z_EXPOSURE,
 Z_TURNOVER, Z_FEES, Z_TRADES, Z_WIN_RATE, Z_PROFIT_FACTOR, Z_EXPECTANCY, Z_DAYS, Z_YEAR, Z_RUINED, Z_EQUITY,
 SUMMARY_WORDS) = range(21)  # fmt: skip

# What the fills of a run come to, in units; sums that could pass int64 are floats. SINCE and POSITIONS are where the
# walk stands: the slice since which something is held or nothing is, and how many pairs hold something.
(Y_FILLS, Y_FEES, Y_WINS, Y_TRADES, Y_HELD, Y_SINCE, Y_POSITIONS, Y_NOTIONAL, Y_WON, Y_LOST, TALLY_WORDS) = range(11)

_RATIO_DAYS: Final = 2  # a ratio needs so many daily returns, its error one more

events_at, trips_at = records(EVENT), records(TRIP)


class Tally(NamedTuple):
    """What the fills of a run come to, in the quote currency.

    held : closes at which a position was held. won, lost : profits and losses of closed trades, after fees.
    wins, trades : how many there were.
    """

    held: int = 0
    notional: float = 0.0
    fees: float = 0.0
    won: float = 0.0
    lost: float = 0.0
    wins: int = 0
    trades: int = 0


class Marks(NamedTuple):
    """What the marks of a run say.

    deepest : lowest equity / highest before it - 1. longest_ns : longest time from a high to the next or the end.
    mean : of the equity.
    """

    deepest: float
    longest_ns: int
    mean: float


# --- fills ----------------------------------------------------------------------------------------------------------


def tally_of(events: np.ndarray, pairs: int, slices: NDArray[np.int64], scale: float) -> Tally:
    """`Tally` of a run's events (EVENT rows); ``slices`` are the open times of its slices, ``scale`` of the quote."""
    words, held, trips = np.zeros(TALLY_WORDS, np.int64), np.zeros(pairs, np.int64), np.zeros(pairs, TRIP)
    _kernel(_tally)(_block(len(events), _at(events), len(slices), _at(slices), _at(words), _at(held), _at(trips)))
    sums = words.view(np.float64)
    return Tally(
        int(words[Y_HELD]),
        float(sums[Y_NOTIONAL]) / scale,
        int(words[Y_FEES]) / scale,
        float(sums[Y_WON]) / scale,
        float(sums[Y_LOST]) / scale,
        int(words[Y_WINS]),
        int(words[Y_TRADES]),
    )


@njit(**JIT)
def _tally(arguments):
    a = integers(arguments, 7)
    tally, times = integers(a[4], TALLY_WORDS), integers(a[3], a[2])
    add_fills(events_at(a[1], a[0]), a[0], tally, reals(a[4], 0), integers(a[5], 0), trips_at(a[6], 0), times)
    end_fills(tally, a[2])
    return 0


@njit(**HOT)
def add_fills(events, n, tally, sums, held, trips, times):
    """Take ``n`` more events into a tally; the last slice that they are from is complete.

    sums : the float view of ``tally``. held : position of each pair; trips : its open round trip. times : open times
    of the slices.
    """
    k = 0
    while k < n:
        time, before = events[k].time, tally[Y_POSITIONS]
        while k < n and events[k].time == time:  # moves inside one slice cancel out
            fill = events[k]
            k += 1
            if fill.kind == FILL:
                pair = fill.pair
                tally[Y_POSITIONS] -= 1 if held[pair] != 0 else 0
                _add_fill(fill, pair, tally, sums, held, trips)
                tally[Y_POSITIONS] += 1 if held[pair] != 0 else 0
        if (before > 0) != (tally[Y_POSITIONS] > 0):
            at = _slice_at(times, tally[Y_SINCE], len(times), time)
            tally[Y_HELD] += at - tally[Y_SINCE] if before > 0 else 0
            tally[Y_SINCE] = at


@njit(**HOT)
def end_fills(tally, slices):
    """There are no more fills."""
    if tally[Y_POSITIONS] > 0:
        tally[Y_HELD] += slices - tally[Y_SINCE]


@njit(**HOT)
def _add_fill(fill, pair, tally, sums, held, trips):
    tally[Y_FILLS] += 1
    tally[Y_FEES] += fill.fee
    sums[Y_NOTIONAL] += fill.notional
    trip = trips[pair]
    quantity, notional, fee = fill.quantity, fill.notional, fill.fee
    if held[pair] * fill.side < 0:
        quantity, notional, fee = close_part(trip, fill, held[pair])
        held[pair] += fill.side * (fill.quantity - quantity)
        if held[pair] == 0:
            profit = trip.side * (trip.exit_notional - trip.entry_notional) - trip.fees
            tally[Y_TRADES] += 1
            tally[Y_WINS] += 1 if profit > 0 else 0
            sums[Y_WON] += max(profit, 0)
            sums[Y_LOST] += max(-profit, 0)
    if quantity > 0:
        if held[pair] == 0:
            trip.side, trip.entry_notional, trip.exit_notional, trip.fees = fill.side, 0, 0, 0
        open_part(trip, quantity, notional, fee)
        held[pair] += fill.side * quantity


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


# --- marks ----------------------------------------------------------------------------------------------------------


def walk_marks(times: NDArray[np.int64], equity: Floats, cash: float, start: int) -> Marks:
    """Drawdown and mean of marks; ``times`` rise, the opening ``cash`` at ``start`` is the first high."""
    out, opening = np.zeros(3), np.array([cash])
    _kernel(_walk_marks)(_block(len(times), _at(times), _at(equity), _at(opening), start, _at(out)))
    return Marks(float(out[0]), int(out[1]), float(out[2]))


@njit(**JIT)
def _walk_marks(arguments):
    a = integers(arguments, 6)
    n, out = a[0], reals(a[5], 3)
    deepest, longest, mean = walk(integers(a[1], n), reals(a[2], n), n, reals(a[3], 1)[0], a[4])
    out[0], out[1], out[2] = deepest, longest, mean
    return 0


@njit(**HOT)
def walk(times, equity, n, cash, start):
    """(deepest, longest in ns, mean) of ``n`` marks, see `Marks`.

    Four marks at a time: most are neither a new high nor a new low. Their sum is kept in four parts, because each
    addition waits for the one before it.
    """
    high, low, since, deepest, longest = cash, cash, start, 0.0, 0
    first, second, third, fourth = 0.0, 0.0, 0.0, 0.0
    i = 0
    while i + 4 <= n:
        a, b, c, d = equity[i], equity[i + 1], equity[i + 2], equity[i + 3]
        first += a
        second += b
        third += c
        fourth += d
        top, bottom = _larger(_larger(a, b), _larger(c, d)), _smaller(_smaller(a, b), _smaller(c, d))
        if top >= high or bottom < low:
            for k in range(i, i + 4):
                high, low, since, deepest, longest = _mark(times, k, equity[k], high, low, since, deepest, longest)
        i += 4
    for k in range(i, n):
        first += equity[k]
        high, low, since, deepest, longest = _mark(times, k, equity[k], high, low, since, deepest, longest)
    if low < high:
        deepest = min(deepest, low / high - 1.0)
        longest = max(longest, times[n - 1] - since)
    return deepest, longest, (first + second + (third + fourth)) / max(n, 1)


@njit(**HOT)
def _mark(times, k, level, high, low, since, deepest, longest):
    """One mark: ``high`` is the highest so far, at ``since``, and ``low`` the lowest after it."""
    if level >= high:
        if low < high:  # that of the lowest is the deepest of all since then
            deepest = min(deepest, low / high - 1.0)
            longest = max(longest, times[k] - since)
        return level, level, times[k], deepest, longest
    return high, min(low, level), since, deepest, longest


@njit(**HOT)
def _larger(a, b):
    return a if a > b else b  # one instruction; ``max`` takes care of NaN


@njit(**HOT)
def _smaller(a, b):
    return a if a < b else b


# --- days -----------------------------------------------------------------------------------------------------------


def summary(
    times: NDArray[np.int64], equity: Floats, cash: float, start: int, ends: NDArray[np.int64], year: int, tally: Tally
) -> Floats:
    """The SUMMARY_WORDS of a run.

    Parameters
    ----------
    times, equity : of each slice; opening ``cash`` at ``start``. ends : last slice of each day. year : days of one.
    """
    out, reals_, returns = np.zeros(SUMMARY_WORDS), np.array([cash, *tally], np.float64), np.empty(len(ends))
    addresses = (_at(array) for array in (times, equity, reals_, ends, returns, out))
    _kernel(_summary)(_block(len(times), len(ends), year, start, *addresses))
    return out


@njit(**JIT)
def _summary(arguments):
    a = integers(arguments, 10)
    n, days, given = a[0], a[1], reals(a[6], 8)
    summarise(
        integers(a[4], n), reals(a[5], n), n, given[0], a[3], integers(a[7], days), days, a[2], given[1], given[2],
        given[3], given[4], given[5], given[6], given[7], reals(a[8], days), reals(a[9], SUMMARY_WORDS),
    )  # fmt: skip
    return 0


@njit(**JIT)
def summarise(
    times, equity, n, cash, start, ends, days, year, held, notional, fees, won, lost, wins, trades, returns, out
):  # fmt: skip
    """Write SUMMARY_WORDS of a run into ``out``; ``returns`` is scratch of a word a day."""
    deepest, longest, mean = walk(times, equity, n, cash, start)
    total = equity[n - 1] / cash - 1.0
    average, deviation, downside, ruined = _daily(equity, cash, ends, days, returns)
    ruined = ruined or not equity[n - 1] > 0.0
    root, years = math.sqrt(year), year / max(days, 1)
    out[Z_RETURN] = total
    out[Z_CAGR] = (1.0 + total) ** years - 1.0 if total > -1.0 and days > 0 else -1.0
    out[Z_VOLATILITY] = deviation * root
    out[Z_SHARPE] = _ratio(average, deviation) * root
    usable = days >= _RATIO_DAYS and deviation > 0.0 and not ruined
    out[Z_ERROR] = _sharpe_error(returns, days, average, deviation) * root if usable else np.nan
    out[Z_SORTINO] = _ratio(average, downside) * root
    out[Z_CALMAR] = _ratio(out[Z_CAGR], -deepest)
    out[Z_DRAWDOWN], out[Z_DRAWDOWN_DAYS] = deepest, longest / DAY_NS
    out[Z_EXPOSURE], out[Z_TURNOVER], out[Z_FEES] = held / n, _ratio(notional, mean), fees
    out[Z_TRADES], out[Z_WIN_RATE], out[Z_PROFIT_FACTOR] = trades, _ratio(wins, trades), _ratio(won, lost)
    out[Z_EXPECTANCY] = _ratio(won - lost, trades)
    out[Z_DAYS], out[Z_YEAR], out[Z_RUINED], out[Z_EQUITY] = days, year, 1.0 if ruined else 0.0, equity[n - 1]


@njit(**HOT)
def _daily(equity, cash, ends, days, returns):
    """(mean, deviation with ddof 1, root of the mean squared loss, whether all was lost); writes the returns."""
    before, total, ruined = cash, 0.0, False
    for d in range(days):
        level = equity[ends[d]]
        change = level / before - 1.0 if before > 0.0 else np.nan
        ruined = ruined or change != change
        returns[d] = change
        total += change
        before = level
    if days < _RATIO_DAYS:
        return np.nan, np.nan, np.nan, ruined
    average, squares, losses = total / days, 0.0, 0.0
    for d in range(days):
        away, loss = returns[d] - average, min(returns[d], 0.0)
        squares += away * away
        losses += loss * loss
    return average, math.sqrt(squares / (days - 1)), math.sqrt(losses / days), ruined


@njit(**HOT)
def _sharpe_error(returns, n, average, deviation):
    """Standard error of mean / standard deviation of returns, not annualised; NaN for fewer than three."""
    if n <= _RATIO_DAYS:
        return np.nan
    skew, kurtosis = shape_of(returns, n, average, deviation)
    ratio = average / deviation
    return math.sqrt(max(0.0, 1.0 - skew * ratio + (kurtosis - 1.0) / 4.0 * ratio * ratio) / (n - 1))


@njit(**HOT)
def shape_of(returns, n, average, deviation):
    """(skew, kurtosis) of returns whose ddof-1 deviation is given: third and fourth moments over ddof-0 powers."""
    spread = deviation * math.sqrt((n - 1) / n)
    cubes, fourths = 0.0, 0.0
    for d in range(n):
        z = (returns[d] - average) / spread
        cubes += z * z * z
        fourths += z * z * z * z
    return cubes / n, fourths / n


@njit(**HOT)
def _ratio(a, b):
    return a / b if b == b and b != 0.0 else np.nan


KERNELS: Final = (_tally, _walk_marks, _summary)
"""What statistics run, to be shipped with the package."""


# --- arrays by address ----------------------------------------------------------------------------------------------


@functools.cache
def _kernel(kernel: Callable[[int], int]) -> Callable[[NDArray[np.int64]], int]:
    function = python_callable(c_function(kernel))
    return lambda block: function(_at(block))


def _block(*words: int) -> NDArray[np.int64]:
    return np.array(words, np.int64)


def _at(array: np.ndarray) -> int:
    return int(array.ctypes.data)
