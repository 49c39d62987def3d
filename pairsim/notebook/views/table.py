"""Rows with a key that come and change: orders, fills, positions, traders."""

import datetime
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from pairsim.errors import InputError
from pairsim.notebook.views import picture, wire
from pairsim.notebook.views.view import View

if TYPE_CHECKING:
    import polars as pl

Kind = Literal["text", "number", "time", "side", "status", "detail"]
Row = Mapping[str, Any] | Sequence[Any]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    Parameters
    ----------
    name : its heading and its key in a row
    kind : ``text``; ``number`` (float or None, right-aligned); ``time`` (ns since 1970 UTC, or a datetime); ``side``
        ("BUY", "SELL"); ``status`` (an order's or a trader's state, as a coloured word); ``detail`` (a long text that a
        row shows when it is opened, and no column)
    width : pixels; by default what suits the kind
    digits : after the decimal point of a number; by default as many as it has, up to eight
    """

    name: str
    kind: Kind = "text"
    width: int | None = None
    digits: int | None = None


class TableView(View):
    """Thousands of rows of which the page holds those in sight; new ones come on top.

    Parameters
    ----------
    columns : see ``Column``
    key : the column that tells rows apart
    title : what stands above
    newest_first : the row that came last stands on top; else below
    filters : columns the reader can choose a value of; those that do not exist are left out
    limit : rows kept; beyond it the oldest go
    on_open : given the key of a row that a reader opens and that has no detail: called in whatever thread hears of
        it, so let it only take note, and ``upsert`` the row with its detail later
    stale_after : seconds without a word from the kernel after which the view says so
    """

    _kind = "table"

    def __init__(
        self,
        columns: Sequence[Column],
        *,
        key: str,
        title: str,
        newest_first: bool = True,
        filters: Sequence[str] = ("market", "trader", "status"),
        limit: int = 20_000,
        on_open: Callable[[Any], None] | None = None,
        stale_after: float = 3.0,
    ) -> None:
        self._columns = tuple(columns)
        self._names = [column.name for column in columns]
        if key not in self._names:
            raise InputError(f"{title}: the key {key!r} is not one of the columns {self._names}")
        self._key, self._limit, self._on_open = self._names.index(key), limit, on_open
        self._clear()
        super().__init__(
            title=title,
            stale_after=stale_after,
            columns=[{"name": c.name, "kind": c.kind, "width": c.width, "digits": c.digits} for c in columns],
            filters=[name for name in filters if name in self._names],
            newestFirst=newest_first,
            asks=on_open is not None,
        )
        self.on_msg(_opened)

    def _clear(self) -> None:
        self._rows: dict[int, tuple[Any, ...]] = {}  # by number; numbers only grow
        self._numbers: dict[Hashable, int] = {}
        self._next = 0
        self._changed: dict[int, None] = {}  # ordered, so that a page gets rows in the order they came
        self._removed: list[int] = []

    def reset(self, rows: "Iterable[Row] | pl.DataFrame") -> None:
        """Replace all rows: mappings by column name, sequences in the order of the columns, or a polars frame."""
        told = self._told(rows)
        with self._lock:
            first = self._next
            self._clear()
            self._next = first  # a number never means two rows
            self._put(told)
            self._whole_wanted = True

    def upsert(self, rows: "Iterable[Row] | pl.DataFrame") -> None:
        """Add rows with a new key and replace those with a known one, which keep their place."""
        told = self._told(rows)
        with self._lock:
            self._put(told)

    def remove(self, keys: Iterable[Hashable]) -> None:
        """Take rows away; keys that are not there are no fault."""
        with self._lock:
            for key in keys:
                number = self._numbers.pop(key, None)
                if number is not None:
                    self._drop(number)

    def _told(self, rows: "Iterable[Row] | pl.DataFrame") -> list[tuple[Any, ...]]:
        if hasattr(rows, "iter_rows"):
            return _from_frame(rows, self._columns)
        listed = [self._in_order(row) for row in rows]
        # Column by column: a look at a hundred traders has a thousand numbers.
        return list(zip(*map(_plain, self._columns, zip(*listed)), strict=True))

    def _in_order(self, row: Row) -> Sequence[Any]:
        if isinstance(row, Mapping):
            row = [row.get(name) for name in self._names]
        if len(row) != len(self._columns):
            raise InputError(f"{self.title}: a row has {len(row)} values for the columns {self._names}")
        return row

    def _put(self, rows: list[tuple[Any, ...]]) -> None:
        for row in rows:
            number = self._numbers.get(row[self._key])
            if number is None:
                number = self._numbers[row[self._key]] = self._next
                self._next += 1
            elif self._rows[number] == row:
                continue
            self._rows[number] = row
            self._changed[number] = None
        while len(self._rows) > self._limit:
            oldest = next(iter(self._rows))
            del self._numbers[self._rows[oldest][self._key]]
            self._drop(oldest)

    def _drop(self, number: int) -> None:
        del self._rows[number]
        self._changed.pop(number, None)
        self._removed.append(number)
        if len(self._removed) > self._limit:  # nobody has taken them for long
            self._removed, self._whole_wanted = [], True

    def _has_changed(self) -> bool:
        return bool(self._changed or self._removed)

    def _changes(self) -> tuple[wire.Header, wire.Arrays] | None:
        if not self._has_changed():
            return None
        header, arrays = self._part(list(self._changed))
        header["removed"] = self._removed
        self._changed, self._removed = {}, []
        return header, arrays

    def _whole(self) -> tuple[wire.Header, wire.Arrays]:
        return self._part(list(self._rows))

    def _part(self, numbers: list[int]) -> tuple[wire.Header, wire.Arrays]:
        columns = list(zip(*(self._rows[number] for number in numbers))) or [()] * len(self._columns)
        arrays: wire.Arrays = {"row": np.array(numbers, dtype=np.int32)}
        words = {}
        for k, (column, values) in enumerate(zip(self._columns, columns)):
            if column.kind == "time":
                arrays[f"c{k}"] = np.array([np.nan if x is None else int(x) / 1e6 for x in values], dtype=np.float64)
            elif column.kind == "number":
                arrays[f"c{k}"] = np.array(values, dtype=np.float64)  # None becomes NaN
            else:
                words[k], arrays[f"c{k}"] = wire.words(["" if x is None else str(x) for x in values])
        return {"words": words}, arrays

    def frame(self) -> "pl.DataFrame":
        """One row for each row on view, the oldest first; times as ``Datetime`` UTC."""
        import polars as pl

        kinds = {"number": pl.Float64, "time": pl.Int64}
        with self._lock:
            columns = list(zip(*self._rows.values())) or [()] * len(self._columns)
        made = [
            pl.Series(c.name, v, dtype=kinds[c.kind], strict=False)
            if c.kind in kinds
            else pl.Series(c.name, [None if x is None else str(x) for x in v], dtype=pl.String)
            for c, v in zip(self._columns, columns)
        ]
        times = [c.name for c in self._columns if c.kind == "time"]
        return pl.DataFrame(made).with_columns(pl.col(times).cast(pl.Datetime("ns", "UTC")))

    def to_svg(self) -> str:
        """The newest rows as an SVG picture."""
        with self._lock:
            rows = list(self._rows.values())[-picture.TABLE_ROWS :][::-1]
            shown = [(c.name, c.kind) for c in self._columns if c.kind != "detail"]
            cells = [[x for x, c in zip(row, self._columns) if c.kind != "detail"] for row in rows]
            return picture.table(self.title, shown, cells, len(self._rows))

    def _summary(self) -> str:
        return f"{len(self._rows):,} rows"


def _opened(view: TableView, content: Any, buffers: Any) -> None:
    if isinstance(content, dict) and "opened" in content and view._on_open is not None:
        with view._lock:
            row = view._rows.get(int(content["opened"]))
        if row is not None:
            view._on_open(row[view._key])


def _plain(column: Column, values: Sequence[Any]) -> Sequence[Any]:
    """Times as nanoseconds, and NaN as nothing: a NaN differs from itself, and its row would be sent for ever."""
    if column.kind == "time":
        values = [_nanoseconds(x) if isinstance(x, datetime.datetime) else x for x in values]
    return [None if x != x else x for x in values]


def _nanoseconds(moment: datetime.datetime) -> int:
    return int(np.datetime64(moment.astimezone(datetime.UTC).replace(tzinfo=None), "ns").astype(np.int64))


def _from_frame(frame: Any, columns: Sequence[Column]) -> list[tuple[Any, ...]]:
    """Rows of a polars frame; a column it lacks is empty. Times without the way over ``datetime``, which has no ns."""
    import polars as pl

    present = {name: pl.col(name) for name in frame.columns}
    for name, kind in frame.schema.items():
        if kind.base_type() is pl.Datetime:
            present[name] = pl.col(name).dt.epoch("ns")
        elif kind.is_float():
            present[name] = pl.col(name).fill_nan(None)
    rows: list[tuple[Any, ...]] = frame.select(present.get(c.name, pl.lit(None)).alias(c.name) for c in columns).rows()
    return rows
