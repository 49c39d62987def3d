"""Market data in and out: any file or table in, one standard polars frame out, and from there arrays for kernels.

The frame has the columns symbol, timestamp (``Datetime("ns", "UTC")``, open time), open, high, low, close, volume
(float64), its rows in the order given. Candles that must not be traded on never pass unnoticed.
Polars is imported when called, never with the module.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from pairsim.errors import DataError, InputError
from pairsim.market.candle import Columns
from pairsim.market.columns import FRAME_COLUMNS, PRICES, find_columns, standardise
from pairsim.market.report import BadRow, Quality, assess, bad_row, count_reasons, reasons_of
from pairsim.market.sources import by_market, default_symbol, read_table, source_name
from pairsim.market.validation import NO_TIME, Reason

if TYPE_CHECKING:
    import polars as pl

    from pairsim.market.sources import Source, Sources

log = logging.getLogger(__name__)

_DROPPED = "_pairsim_dropped"  # on a frame made by load: (counts by reason, first row dropped)


def load(source: Sources, symbol: str | None = None, *, on_bad: Literal["raise", "drop"] = "raise") -> pl.DataFrame:
    """Candles of one or several markets from a Parquet or CSV file or from a table.

    Parameters
    ----------
    source : path of a .parquet, .csv or .arrow file, or a table: polars (eager or lazy), pandas, arrow, or a dict of
        columns; or a dict of these by symbol, such as {"ETH/BTC": "eth.parquet", "LTC/BTC": "ltc.csv"}. Columns may
        have any usual name (``date``, ``Open``, ``vol``); times may be datetimes, ISO text or whole s, ms, us or ns
        since 1970; naive times are UTC.
    symbol : the market. Without a symbol column it names the candles (default: the file's name without its interval,
        or "MARKET"). With one it picks that market; where the table holds one market only, it renames it.
    on_bad : what to do about candles with NaN, zero, negative or crossed prices or negative volume, without a readable
        time, twice for one market, or out of order: "raise" names the first, "drop" leaves them out. How many were
        dropped is logged (INFO) and stands in ``quality(frame)``.

    Returns
    -------
    polars.DataFrame
        symbol, timestamp, open, high, low, close, volume; rows in the order given, of several sources one after the
        other.

    Raises
    ------
    DataError
        A source cannot be read, lacks a column or the symbol, or has bad candles and ``on_bad="raise"``.

    Examples
    --------
    >>> bars = load({"date": ["2025-01-01"], "o": [1.0], "h": [2.0], "l": [1.0], "c": [2.0], "v": [5.0]}, "BTC/USDT")
    >>> bars.row(0, named=True)["close"]
    2.0
    """
    if on_bad not in ("raise", "drop"):
        raise InputError(f'on_bad={on_bad!r}: choose "raise" or "drop"')
    several = _by_market(source, symbol)
    if several is not None:
        return _joined([load(one, market, on_bad=on_bad) for market, one in several.items()])
    name = source_name(source)
    frame, rows = _standard(source, symbol)
    columns = _in_given_order(frame)
    reasons = reasons_of(columns)
    counts = count_reasons(reasons)
    if not counts:
        return frame
    at = int(np.argmax(reasons != Reason.GOOD))
    first = bad_row(columns, at, int(reasons[at]), int(rows[at]))
    bad = sum(counts.values())
    if on_bad == "raise":
        raise DataError(
            f"{name}, {first}; {bad:,} of {len(frame):,} rows are bad: "
            f'correct the data, or leave such rows out with on_bad="drop"'
        )
    kept = frame.filter(reasons == Reason.GOOD)
    log.info("%s: %d of %d rows dropped (%s)", name, bad, len(frame), _tell(counts))
    setattr(kept, _DROPPED, (counts, first))
    return kept


def quality(source: Sources, symbol: str | None = None) -> Quality:
    """What is wrong with, and what is missing in, candles as ``load`` takes them: bad rows by reason, and gaps.

    Never raises for a bad row. Given a frame that ``load(on_bad="drop")`` returned, it also tells what was dropped
    (a frame derived from that one no longer knows).
    """
    counts, first = getattr(source, _DROPPED, ({}, None))
    counts_typed: dict[Reason, int] = counts
    first_typed: BadRow | None = first
    several = _by_market(source, symbol)
    if several is not None:
        frame = _joined([_standard(one, market)[0] for market, one in several.items()])
    else:
        frame, _ = _standard(source, symbol)
    return assess(_in_given_order(frame), counts_typed, first_typed)


def to_columns(frame: pl.DataFrame, symbols: Sequence[str] | None = None) -> Columns:
    """A standard frame (see ``load``) as arrays for kernels, sorted by ``(open_time, market)``.

    Parameters
    ----------
    symbols : the markets wanted, in the order in which they are numbered; default all, by first appearance.

    Raises
    ------
    DataError
        A market asked for is not in the frame.
    """
    columns = _in_given_order(frame, symbols)
    keys = columns.open_time, columns.market
    rising = keys[0][1:] > keys[0][:-1]
    if not np.all(rising | ((keys[0][1:] == keys[0][:-1]) & (keys[1][1:] > keys[1][:-1]))):
        order = np.lexsort((columns.market, columns.open_time))
        columns = Columns(columns.symbols, *(column[order] for column in columns[1:]))  # type: ignore[arg-type]
    return columns


def from_columns(columns: Columns) -> pl.DataFrame:
    """Arrays as a standard frame, row for row."""
    import polars as pl

    names = pl.Series("symbol", columns.symbols, dtype=pl.String)
    times = pl.Series("timestamp", columns.open_time).cast(pl.Datetime("ns", "UTC"))
    prices = [pl.Series(name, column) for name, column in zip(PRICES, columns[3:], strict=True)]
    return pl.DataFrame([names.gather(columns.market), times, *prices])


def _by_market(source: Sources, symbol: str | None) -> dict[str, Source] | None:
    several = by_market(source)
    if several is not None and symbol is not None:
        raise InputError(f"symbol={symbol!r}: a dict of sources names its markets itself, leave it out")
    return several


def _joined(frames: list[pl.DataFrame]) -> pl.DataFrame:
    """One frame after the other, with what was dropped from all of them."""
    import polars as pl

    joined = pl.concat(frames)
    dropped = [getattr(frame, _DROPPED) for frame in frames if hasattr(frame, _DROPPED)]
    if dropped:
        total: Counter[Reason] = sum((Counter(counts) for counts, _ in dropped), Counter())
        setattr(joined, _DROPPED, (dict(total), dropped[0][1]))
    return joined


def _standard(source: Source, symbol: str | None) -> tuple[pl.DataFrame, npt.NDArray[np.int64]]:
    """The source as a standard frame of the market(s) wanted, and each row's number in the source."""
    name = source_name(source)
    if symbol is not None and (not isinstance(symbol, str) or not symbol):
        raise InputError(f'symbol={symbol!r} is not a market\'s name: write text such as "BTC/USDT"')
    table = read_table(source)
    try:
        found = find_columns(table.columns)
        frame = standardise(table, found, symbol or default_symbol(source))
    except DataError as error:
        raise DataError(f"{name}: {error}") from None
    if frame["symbol"].has_nulls():
        raise DataError(f"{name}: row {frame['symbol'].is_null().arg_max()} has no symbol: fill the column in")
    rows = np.arange(len(frame))
    if symbol is not None and "symbol" in found:
        frame, rows = _pick(frame, symbol, name)
    return frame.select(FRAME_COLUMNS), rows


def _pick(frame: pl.DataFrame, symbol: str, name: str) -> tuple[pl.DataFrame, npt.NDArray[np.int64]]:
    import polars as pl

    held = frame["symbol"].unique(maintain_order=True).to_list()
    if len(held) == 1:
        return frame.with_columns(symbol=pl.lit(symbol)), np.arange(len(frame))
    chosen = (frame["symbol"] == symbol).to_numpy()
    if not chosen.any():
        raise DataError(f"{name} has no market {symbol!r}: choose one of {_some(held)}")
    return frame.filter(chosen), np.flatnonzero(chosen)


def _in_given_order(frame: pl.DataFrame, symbols: Sequence[str] | None = None) -> Columns:
    import polars as pl

    if frame.columns != list(FRAME_COLUMNS):
        raise DataError(
            f"not a standard frame of columns {', '.join(FRAME_COLUMNS)}: pass it through pairsim.load first"
        )
    held = frame["symbol"].unique(maintain_order=True).to_list()
    names = tuple(held if symbols is None else symbols)
    absent = [name for name in names if name not in held]
    if absent and len(frame):
        raise DataError(f"no candles of {absent[0]!r}: the markets there are {_some(held)}")
    if symbols is not None and len(names) < len(held):
        frame = frame.filter(pl.col("symbol").is_in(list(names)))
    if len(names) <= 1:
        market = np.zeros(len(frame), np.int64)
    else:
        market = frame["symbol"].cast(pl.Enum(names)).to_physical().cast(pl.Int64).to_numpy()
    times = frame["timestamp"].to_physical().fill_null(NO_TIME).to_numpy()
    return Columns(names, market, times, *(frame[name].to_numpy() for name in PRICES))


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def _tell(counts: dict[Reason, int]) -> str:
    return ", ".join(f"{count} {reason.name.lower().replace('_', ' ')}" for reason, count in counts.items())
