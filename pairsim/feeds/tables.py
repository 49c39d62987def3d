"""Tables read in slices: a Parquet file is never in memory as a whole, whatever its size.

Polars is imported when called, never with the module. A slice of 262,144 rows costs 63 ns a row and keeps about 60 MB
(a file of one single row group costs more of both, as every slice of it is read from its beginning).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from pairsim.errors import DataError
from pairsim.market.candle import Columns
from pairsim.market.columns import PRICES, find_columns, standardise
from pairsim.market.report import common_interval
from pairsim.market.sources import default_symbol, existing_file, file_format, read_table, source_name, unreadable
from pairsim.market.validation import NO_TIME

if TYPE_CHECKING:
    import polars as pl

    from pairsim.market.sources import Source

SLICE_ROWS = 262_144
_LOOK_ROWS = 65_536  # enough to tell the interval of a few thousand markets


class Part(NamedTuple):
    """A run of a table's rows: their candles, in the order given, and their numbers in the table."""

    columns: Columns
    rows: npt.NDArray[np.int64]


class Table:
    """A file or a table in memory with the columns of candles, of one market or several.

    ``symbol`` names the market where the table holds one, and picks one where it holds several.
    """

    def __init__(self, source: Source, symbol: str | None = None) -> None:
        self.name = source_name(source)
        self._symbol = symbol
        self._default = symbol or default_symbol(source)
        self._path: Path | None = None
        self._frame: pl.DataFrame | None = None
        if isinstance(source, (str, os.PathLike)):
            # Absolute: the feed is read in another process. Only Parquet can be read from the middle.
            path = existing_file(source).resolve()
            self._path = path if file_format(path) == "parquet" else None
        try:
            if self._path is not None:
                self._found = find_columns(self._column_names())
            else:
                table = read_table(source)
                self._frame = standardise(table, find_columns(table.columns), self._default)
                self._found = {name: name for name in self._frame.columns}
        except DataError as error:
            raise error if self.name in str(error) else DataError(f"{self.name}: {error}") from None

    @property
    def in_memory(self) -> bool:
        """Whether the table is held whole; else it is a file read in slices."""
        return self._frame is not None

    @property
    def symbols(self) -> tuple[str, ...]:
        """The markets of the table, by first appearance."""
        return tuple(self._held)

    @cached_property
    def interval_ns(self) -> int:
        """The most common distance of two candles of a market near the beginning of the table."""
        first = next(self.parts(self.symbols, rows=_LOOK_ROWS), None)
        if first is None:
            raise DataError(f"{self.name} has no rows: there is nothing to replay")
        known = first.columns.open_time != NO_TIME
        interval_ns = common_interval(first.columns.market[known], first.columns.open_time[known])
        if not interval_ns:
            raise DataError(
                f'{self.name} has no two candles of one market: say how long a candle is, such as interval="1m"'
            )
        return interval_ns

    def range_of(self, symbol: str) -> tuple[int, int] | None:
        """First row and number of rows of a market whose rows stand together; None where others stand between them."""
        place = self._places.get(self._held[symbol])
        return None if place is None or place[1] - place[0] + 1 != place[2] else (place[0], place[2])

    def parts(
        self, symbols: Sequence[str], place: tuple[int, int] | None = None, *, rows: int = SLICE_ROWS
    ) -> Iterator[Part]:
        """Runs of up to ``rows`` rows, with the candles of the markets asked for; ``market`` is an index into these.

        ``place``: only from a first row on, so many rows.
        """
        first, end = (0, None) if place is None else (place[0], sum(place))
        while end is None or first < end:
            raw = self._slice(first, rows if end is None else min(rows, end - first))
            if not len(raw):
                return
            held = [self._part(raw, tuple(symbols), first)]
            first += len(raw)
            # Nothing is kept while this generator waits for its turn: there may be hundreds of them.
            del raw
            yield held.pop()

    @cached_property
    def _held(self) -> dict[str, str]:
        """The markets as they are called here, and how the table calls each."""
        if "symbol" not in self._found:
            return {self._default: self._default}
        names = list(self._places)
        if self._symbol is None:
            return {name: name for name in names}
        if len(names) != 1 and self._symbol not in names:
            listed = ", ".join(names[:8])
            raise DataError(f"{self.name} has no market {self._symbol!r}: choose one of {listed or '(it has none)'}")
        return {self._symbol: names[0] if len(names) == 1 else self._symbol}

    @cached_property
    def _places(self) -> dict[str, tuple[int, int, int]]:
        """Of each market, as the table calls it: first row, last row, number of rows. One look at a single column."""
        if "symbol" not in self._found:
            return {}
        import polars as pl

        symbols = self._lazy().select(pl.col(self._found["symbol"]).cast(pl.String).alias("symbol"))
        row = pl.col("row")
        places = (
            symbols.with_row_index("row")
            .drop_nulls()
            .group_by("symbol")
            .agg(row.min(), row.max().alias("last"), row.len().alias("n"))
        )
        return {name: (first, last, n) for name, first, last, n in self._collect(places.sort("row")).iter_rows()}

    def _part(self, raw: pl.DataFrame, symbols: tuple[str, ...], first: int) -> Part:
        import polars as pl

        frame = standardise(raw, self._found, self._default) if self._frame is None else raw
        rows = np.arange(first, first + len(frame))
        if "symbol" in self._found:
            names = pl.Enum([self._held[symbol] for symbol in symbols])
            market = frame["symbol"].cast(names, strict=False).to_physical().cast(pl.Int64)
            if market.has_nulls():
                wanted = market.is_not_null()
                frame, rows, market = frame.filter(wanted), rows[wanted.to_numpy()], market.drop_nulls()
            numbers = market.to_numpy()
        else:
            numbers = np.zeros(len(frame), np.int64)
        times = frame["timestamp"].to_physical().fill_null(NO_TIME).to_numpy()
        return Part(Columns(symbols, numbers, times, *(frame[name].to_numpy() for name in PRICES)), rows)

    def _slice(self, first: int, rows: int) -> pl.DataFrame:
        if self._frame is not None:
            return self._frame.slice(first, rows)
        return self._collect(self._lazy().select(*self._found.values()).slice(first, rows))

    def _lazy(self) -> pl.LazyFrame:
        import polars as pl

        return self._frame.lazy() if self._frame is not None else pl.scan_parquet(str(self._path))

    def _collect(self, query: pl.LazyFrame) -> pl.DataFrame:
        import polars as pl

        try:
            return query.collect(engine="streaming")
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
            raise unreadable(self.name, error) from None

    def _column_names(self) -> list[str]:
        import polars as pl

        try:
            return self._lazy().collect_schema().names()
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
            raise unreadable(self.name, error) from None
