"""Candles of a run, copied from shared memory by an observer while the feed thread writes on.

The feed thread never waits for a reader: what it may have overwritten during the copy is left out.
"""

from typing import TYPE_CHECKING

import numpy as np

from pairsim.engine.arena import (
    HISTORY_WORDS,
    SERIES_WORDS,
    SR_BUCKET,
    SR_CLOSED,
    SR_COUNT,
    SR_OPEN,
    SR_VOLUME,
    Arena,
)
from pairsim.engine.plan import Plan
from pairsim.errors import InputError
from pairsim.market.candle import Columns
from pairsim.market.interval import Interval, format_interval, parse_interval

if TYPE_CHECKING:
    import polars as pl

TRIES = 100


def intervals_of(arena: Arena, market: int) -> tuple[int, ...]:
    """Lengths in ns, ascending, of the candles that are kept of a market: those its traders decide on."""
    return tuple(interval for m, interval in arena.series_keys if m == market)


def closed_candles(mem: np.ndarray, arena: Arena, market: int, interval: int) -> int:
    """How many candles of a market have closed at one interval, whether they are still kept or not."""
    return int(mem[arena.series_heads + arena.series_keys.index((market, interval)) * SERIES_WORDS + SR_CLOSED])


def read_candles(mem: np.ndarray, arena: Arena, market: int, interval: int) -> tuple[np.ndarray, np.ndarray]:
    """The last closed candles of a market at one interval, fewer than `Sizes.history`, oldest first.

    Returns
    -------
    open times int64[n] in ns UTC; open, high, low, close, volume as float64[n, 5].
    """
    i = arena.series_keys.index((market, interval))
    head, keep, kept = arena.series_heads + i * SERIES_WORDS, arena.sizes.history, len(arena.series_keys)
    block = mem[arena.history : arena.history + keep * kept * HISTORY_WORDS].reshape(keep, kept, HISTORY_WORDS)[:, i]
    closed = int(mem[head + SR_CLOSED])
    numbers = np.arange(max(0, closed - keep), closed)
    rows = block[numbers % keep]
    rows = rows[numbers > int(mem[head + SR_CLOSED]) - keep]  # the place after the newest may be half written
    return rows[:, 0].copy(), rows[:, 1:].view(np.float64).copy()


def forming_candle(mem: np.ndarray, arena: Arena, market: int, interval: int) -> tuple[int, np.ndarray] | None:
    """The candle that is not closed yet: open time, and open, high, low, close, volume; None between two candles."""
    head = arena.series_heads + arena.series_keys.index((market, interval)) * SERIES_WORDS
    cell = mem[head : head + SERIES_WORDS]
    before = cell.tobytes()
    for _ in range(TRIES):
        after = cell.tobytes()
        if before == after:
            break
        before = after
    words = np.frombuffer(before, np.int64)
    if words[SR_COUNT] == 0:
        return None
    return int(words[SR_BUCKET]), words[SR_OPEN : SR_VOLUME + 1].view(np.float64)


def candles_frame(
    mem: np.ndarray | None, arena: Arena | None, plan: Plan, symbol: str, every: Interval | None
) -> "pl.DataFrame":
    """See `Engine.candles`; empty before the run has begun."""
    from pairsim.market.frames import from_columns

    if symbol not in plan.symbols:
        raise InputError(f"no trader of this engine trades {symbol!r}; its markets: {', '.join(plan.symbols)}")
    asked = None if every is None else parse_interval(every)
    time, values = np.zeros(0, np.int64), np.zeros((0, 5))
    if mem is not None and arena is not None:
        market = plan.symbols.index(symbol)
        kept = intervals_of(arena, market)
        if asked is not None and asked not in kept:
            raise InputError(
                f"every={every!r}: candles of {symbol} are kept at {', '.join(map(format_interval, kept))}, the "
                "intervals its traders decide on"
            )
        time, values = read_candles(mem, arena, market, kept[0] if asked is None else asked)
    return from_columns(Columns((symbol,), np.zeros(len(time), np.int64), time, *np.ascontiguousarray(values.T)))
