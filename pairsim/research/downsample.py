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

    NaN is drawn only where a whole bucket is NaN.
    """
    n = len(values)
    if n <= most:
        return np.arange(n)
    buckets = max(1, most // 4)
    size = -(-n // buckets)
    whole = n // size * size
    table = values[:whole].reshape(-1, size)
    starts = np.arange(0, whole, size)
    picked = [
        starts,
        starts + np.where(np.isnan(table), np.inf, table).argmin(axis=1),
        starts + np.where(np.isnan(table), -np.inf, table).argmax(axis=1),
        starts + size - 1,
    ]
    rest = values[whole:]
    if len(rest):
        finite = np.nan_to_num(rest, nan=float(np.nanmean(rest)) if not np.isnan(rest).all() else 0.0)
        picked.append(np.array([whole, whole + finite.argmin(), whole + finite.argmax(), n - 1]))
    return np.unique(np.concatenate(picked))
