"""Random market data for trying things out: the same arguments give the same candles, on every machine.

Polars is imported when called, never with the module.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from pairsim.errors import InputError
from pairsim.market.candle import Columns
from pairsim.market.frames import from_columns
from pairsim.market.interval import DAY_NS, Interval, Moment, format_interval, parse_interval, parse_time
from pairsim.market.walk import Walk, check_seed, check_symbols, check_volatility

if TYPE_CHECKING:
    import polars as pl

_MOST_ROWS = 500_000_000


def synthetic(
    symbols: str | Sequence[str],
    interval: Interval,
    *,
    days: float | None = None,
    n: int | None = None,
    seed: int = 0,
    start: Moment = "2025-01-01",
    volatility: float = 0.6,
) -> pl.DataFrame:
    """Candles of a geometric random walk, one walk per market.

    Parameters
    ----------
    symbols : one market or several; each has its own random stream, so adding one changes none of the others.
    interval : length of a candle, such as "1m".
    days, n : how much: either days of it, or n candles a market (default 30 days).
    start : open time of the first candle, floored to the interval.
    volatility : standard deviation of the yearly log return; 0.6 is 60 %.

    Returns
    -------
    polars.DataFrame
        symbol, timestamp, open, high, low, close, volume; sorted by time, then by market as given.

    Examples
    --------
    >>> synthetic("BTC/USDT", "1m", n=3, seed=7).shape
    (3, 7)
    """
    names = check_symbols(symbols)
    interval_ns = parse_interval(interval)
    count = _count(interval_ns, days, n)
    if count * len(names) > _MOST_ROWS:
        raise InputError(
            f"{count * len(names):,} candles are more than {_MOST_ROWS:,}: ask for fewer, or use RandomFeed, "
            f"which streams"
        )
    start_ns = parse_time(start)
    start_ns -= start_ns % interval_ns
    walk = Walk(names, interval_ns, start_ns, check_seed(seed), check_volatility(volatility))
    records = walk.forward(count)
    fields = (np.ascontiguousarray(records[name]) for name in ("kind_market", "open_time", *Columns._fields[3:]))
    return from_columns(Columns(names, *fields))


def _count(interval_ns: int, days: float | None, n: int | None) -> int:
    if days is not None and n is not None:
        raise InputError(f"days={days!r} and n={n!r} both say how much: give one of them")
    if n is not None:
        if isinstance(n, bool) or not hasattr(n, "__index__") or n < 1:
            raise InputError(f"n={n!r}: give a whole number of candles, 1 or more")
        return int(n)
    days = 30 if days is None else days
    if not isinstance(days, (int, float)) or not 0 < days * DAY_NS < 2**62 or days * DAY_NS < interval_ns:
        raise InputError(
            f"days={days!r}: give a number that holds at least one candle of {format_interval(interval_ns)}"
        )
    return int(days * DAY_NS) // interval_ns
