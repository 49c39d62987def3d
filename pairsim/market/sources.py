"""What may be handed in as market data: files and every usual table, each turned into a plain polars frame.

Polars is imported when called; pandas and pyarrow never are, their objects are recognised by what they offer.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from pairsim.errors import DataError
from pairsim.market.columns import find_columns

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

    Table: TypeAlias = (
        pl.DataFrame | pl.LazyFrame | pd.DataFrame | pa.Table | Mapping[str, Sequence[object]] | npt.NDArray[np.void]
    )
    Source: TypeAlias = str | os.PathLike[str] | Table
    Sources: TypeAlias = Source | Mapping[str, Source]

FORMATS = {".parquet": "parquet", ".pq": "parquet", ".csv": "csv", ".arrow": "ipc", ".feather": "ipc", ".ipc": "ipc"}
_COMPRESSED = (".gz", ".zst")
UNNAMED = "MARKET"


def read_table(source: Source) -> pl.DataFrame:
    """The whole source as a polars frame with the columns it came with.

    Raises
    ------
    DataError
        No such file, not readable, of a kind not known; the message names it and the next step.
    """
    import polars as pl

    if isinstance(source, (str, os.PathLike)):
        return _read_file(existing_file(source))
    if isinstance(source, pl.DataFrame):
        return source
    if isinstance(source, pl.LazyFrame):
        return source.collect()
    if type(source).__module__.partition(".")[0] == "pandas":
        return _from_pandas(source)
    if isinstance(source, np.ndarray) and source.dtype.names:
        return pl.DataFrame({name: np.ascontiguousarray(source[name]) for name in source.dtype.names})
    if isinstance(source, Mapping) or hasattr(source, "__arrow_c_stream__"):
        return pl.DataFrame(source)
    raise DataError(
        f"market data of type {type(source).__name__} is not understood: give the path of a Parquet or CSV file, "
        f"or a polars, pandas or arrow table with columns timestamp, open, high, low, close, volume"
    )


def is_table(source: Mapping[str, object]) -> bool:
    """Whether a dict is one table of columns rather than a table for each market."""
    try:
        return bool(find_columns(list(source)))
    except DataError:
        return False


def by_market(source: Sources) -> dict[str, Source] | None:
    """The sources of a dict that has one for each market; None for any other source, one that lacks columns too."""
    if not isinstance(source, Mapping) or is_table(source):
        return None
    kinds = str, os.PathLike, Mapping
    if not any(isinstance(one, kinds) or hasattr(type(one), "columns") for one in source.values()):
        return None
    return dict(source)  # what else is among them is refused when it is read


def source_name(source: object) -> str:
    """How messages call the source: the path of a file, the type of a table."""
    return str(source) if isinstance(source, (str, os.PathLike)) else f"the {type(source).__name__}"


def default_symbol(source: object) -> str:
    """The market's name where nothing says it: a file's name without its interval ("BTC_PERP-1m.parquet" is
    "BTC_PERP"), else "MARKET"."""
    if not isinstance(source, (str, os.PathLike)):
        return UNNAMED
    stem = Path(source).name.partition(".")[0]
    return re.sub(r"[-_ ]\d+(ms|s|m|h|d|w)$", "", stem) or UNNAMED


def existing_file(path: str | os.PathLike[str]) -> Path:
    """The path, checked: there, a file, of a kind that can be read."""
    file = Path(path).expanduser()
    if not file.exists():
        near = _similar(file)
        raise DataError(f"no file {str(path)!r} (looked in {file.resolve().parent}): check the path{near}")
    if not file.is_file():
        raise DataError(f"{str(path)!r} is a folder: give the path of one Parquet or CSV file")
    if file_format(file) is None:
        raise DataError(f"{str(path)!r} is of a kind not known: give a file that ends with {', '.join(FORMATS)}")
    return file


def file_format(file: Path) -> str | None:
    """ "parquet", "csv" or "ipc" by the file's ending; None for any other."""
    suffix = file.suffix.lower()
    if suffix in _COMPRESSED and Path(file.stem).suffix.lower() == ".csv":
        return "csv"
    return FORMATS.get(suffix)


def unreadable(path: object, error: Exception) -> DataError:
    """The error for a file that is there but cannot be read as what its ending says."""
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return DataError(
        f"{str(path)!r} cannot be read as {file_format(Path(str(path)))}: {reason[:200]}. "
        f"It may be cut short or of another kind: fetch it again, or save it anew as Parquet"
    )


def _read_file(file: Path) -> pl.DataFrame:
    import polars as pl

    try:
        if file_format(file) == "csv":
            # All as text: a stray word in row 100,000 becomes a bad row with a number, not a failed read.
            return pl.read_csv(file, infer_schema=False)
        if file_format(file) == "ipc":
            return pl.read_ipc(file)
        return pl.read_parquet(file)
    except (pl.exceptions.PolarsError, OSError, pl.exceptions.PanicException) as error:
        raise unreadable(file, error) from None


def _from_pandas(table: pd.DataFrame) -> pl.DataFrame:
    """Column by column through numpy: polars' own conversion would need pyarrow, which pairsim does not."""
    import polars as pl

    index_is_time = "datetime" in str(table.index.dtype)
    if index_is_time or any(name is not None for name in table.index.names):
        table = table.reset_index()
    names = [str(name) for name in table.columns]
    wanted = set(find_columns(names).values())
    columns = []
    for name, (_, column) in zip(names, table.items(), strict=True):
        if name not in wanted:
            continue
        if getattr(column.dtype, "tz", None) is not None:
            column = column.dt.tz_convert("UTC").dt.tz_localize(None)
        values = column.to_numpy()
        if values.dtype == object or values.dtype.kind in "UST":
            columns.append(pl.Series(name, [None if v is None or v != v else v for v in values], strict=False))
        else:
            columns.append(pl.Series(name, np.ascontiguousarray(values)))
    return pl.DataFrame(columns)


def _similar(file: Path) -> str:
    from difflib import get_close_matches

    if not file.parent.is_dir():
        return ", its folder is not there either"
    names = [entry.name for entry in file.parent.iterdir() if file_format(entry) is not None]
    near = get_close_matches(file.name, names, n=1, cutoff=0.6)
    return f", or did you mean {near[0]!r}?" if near else ""
