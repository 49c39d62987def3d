"""The candle: one 64-byte record in shared memory and arrays, one named tuple at the Python surface.

A candle is stamped with its open time (int64 nanoseconds since the UTC epoch) and covers ``[time, time + interval)``.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

CANDLE = np.dtype(
    [
        ("kind_market", np.int64),  # kind << KIND_SHIFT | market; the kind of a candle is 0
        ("sequence", np.int64),  # numbered per market by whoever dispatches it
        ("open_time", np.int64),  # ns UTC
        ("open", np.float64),
        ("high", np.float64),
        ("low", np.float64),
        ("close", np.float64),
        ("volume", np.float64),
    ]
)

CANDLE_WORDS = 8
"""Length of a record in 8-byte words; the constants below are the offsets of its fields."""

KIND_MARKET, SEQUENCE, OPEN_TIME, OPEN, HIGH, LOW, CLOSE, VOLUME = range(CANDLE_WORDS)

CANDLE_KIND = 0
KIND_SHIFT = 32
MARKET_MASK = (1 << KIND_SHIFT) - 1


class Candle(NamedTuple):
    """One candle of one market, as a feed written in plain Python yields it.

    ``time`` is the open time in nanoseconds since the UTC epoch; prices are in the quote currency, ``volume`` is in
    units of the base currency.
    """

    symbol: str
    time: int
    open: float
    high: float
    low: float
    close: float
    volume: float


class Columns(NamedTuple):
    """Candles of several markets as arrays for kernels, sorted by ``(open_time, market)``.

    symbols : the markets; ``market`` holds indices into them.
    market, open_time : int64[n], the latter in nanoseconds UTC.
    open, high, low, close, volume : float64[n].
    """

    symbols: tuple[str, ...]
    market: npt.NDArray[np.int64]
    open_time: npt.NDArray[np.int64]
    open: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]
    low: npt.NDArray[np.float64]
    close: npt.NDArray[np.float64]
    volume: npt.NDArray[np.float64]


def candle_words(records: npt.NDArray[np.void]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Two views of CANDLE records for kernels, int64[n, 8] and float64[n, 8], without copying."""
    assert records.dtype == CANDLE and records.flags.c_contiguous
    return records.view(np.int64).reshape(-1, CANDLE_WORDS), records.view(np.float64).reshape(-1, CANDLE_WORDS)
