"""Fewer points that look the same: candles merged, lines kept by the extremes of each bucket. Pure numpy.

Rule: the highest and the lowest value of the data are in what is drawn, whatever is left out.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Merged(NamedTuple):
    """Candles of a whole number of candles each; the last may hold fewer."""

    time: NDArray[np.int64]
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    candles: int


def merge_candles(time: NDArray[np.int64], prices: tuple[Floats, ...], most: int) -> Merged:
    """At most ``most`` candles out of open, high, low, close and volume."""
    size = max(1, -(-len(time) // most))
    starts = np.arange(0, len(time), size)
    ends = np.minimum(starts + size, len(time)) - 1
    o, h, l, c, v = prices
    return Merged(
        time[starts],
        o[starts],
        np.maximum.reduceat(h, starts),
        np.minimum.reduceat(l, starts),
        c[ends],
        np.add.reduceat(v, starts),
        size,
    )


def extremes(values: Floats, most: int) -> NDArray[np.int64]:
    """Which points of a line to draw: first, lowest, highest and last of each bucket; all of them if there are few.

    A NaN is among them only as the first or last of its bucket.
    """
    n = len(values)
    if n <= most:
        return np.arange(n)
    size = -(-n // max(1, most // 4))
    whole = n // size * size
    starts = np.arange(0, n, size)
    picked = [starts, np.append(starts[1:], n) - 1]
    for start, end in ((0, whole), (whole, n)):  # whole buckets, then the rest as one
        if start < end:
            picked += _lowest_and_highest(values[start:end].reshape(-1, min(size, end - start)), start)
    return np.unique(np.concatenate(picked))


def _lowest_and_highest(table: Floats, start: int) -> list[NDArray[np.int64]]:
    """Where each row of consecutive values has its extremes; numpy finds a NaN first, so such rows are asked twice."""
    rows, length = np.arange(len(table)), table.shape[1]
    picked = []
    for find, worst in ((np.argmin, np.inf), (np.argmax, -np.inf)):
        at = find(table, axis=1)
        unknown = np.flatnonzero(np.isnan(table[rows, at]))
        if len(unknown):
            part = table[unknown]
            at[unknown] = find(np.where(np.isnan(part), worst, part), axis=1)
        picked.append(start + rows * length + at)
    return picked
