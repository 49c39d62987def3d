"""Tables at the door: columns under any usual name, times in any usual unit, become one standard polars frame.

Nothing is judged or dropped here: an unreadable number becomes NaN, an unreadable time null, and validation names them.
Polars is imported when called, never with the module.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pairsim.errors import DataError

if TYPE_CHECKING:
    import polars as pl

PRICES = ("open", "high", "low", "close", "volume")
FRAME_COLUMNS = ("symbol", "timestamp", *PRICES)

# In order of preference: a file with both "unix" and "date" is read by its date.
ALIASES: Mapping[str, tuple[str, ...]] = {
    "symbol": ("symbol", "market", "ticker", "instrument", "pair", "coin", "asset"),
    "timestamp": (
        *("timestamp", "time", "datetime", "date", "open_time", "opentime", "open time", "open_timestamp", "ts"),
        *("t", "date_time", "timestamp_utc", "candle_begin_time", "gmt time", "start", "unix", "unix_time"),
        *("index", "__index_level_0__"),
    ),
    "open": ("open", "o", "open_price"),
    "high": ("high", "h", "high_price"),
    "low": ("low", "l", "low_price"),
    "close": ("close", "c", "close_price"),
    "volume": ("volume", "v", "vol", "base_volume", "volume_base"),
}

# Digits tell the unit of a whole number: from 1973 to 2286 seconds have 9 or 10, ms 12 or 13, us 15 or 16, ns 18 or 19.
_UNITS_NS = ((10**8, 10**11, 10**9), (10**11, 10**14, 10**6), (10**14, 10**17, 10**3), (10**17, 2**63, 1))
_TEXT_FORMATS = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%d")
_TEXT_OFFSETS = ("%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%d %H:%M%#z")
_LARGEST_NS = 2**63 - 1


def find_columns(names: Sequence[str]) -> dict[str, str]:
    """Which column of a table holds what: standard name to the table's own; without "symbol" where there is none.

    Raises
    ------
    DataError
        A column is missing; the message names it, its usual names and the columns there are.
    """
    exact = {name: name for name in names}
    folded = {name.strip().lower(): name for name in reversed(names)}
    found: dict[str, str] = {}
    for wanted, aliases in ALIASES.items():
        name = exact.get(wanted) or next((folded[alias] for alias in aliases if alias in folded), None)
        if name is not None:
            found[wanted] = name
    missing = [name for name in FRAME_COLUMNS if name not in found and name != "symbol"]
    if missing:
        advice = "rename the columns" if missing != ["volume"] else "rename it, or add volume=0.0 where there is none"
        raise DataError(
            f"no column for {', '.join(missing)} (looked for {', '.join(ALIASES[missing[0]][:5])}, in any case); "
            f"the table has {', '.join(map(repr, names)) or 'no columns'}: {advice}"
        )
    return found


def standardise(frame: pl.DataFrame, found: Mapping[str, str], symbol: str) -> pl.DataFrame:
    """The table as a frame of FRAME_COLUMNS, row for row.

    timestamp is ``Datetime("ns", "UTC")``, null where it could not be read; numbers are float64, NaN where they could
    not. ``symbol`` names the market where the table has no such column.
    """
    import polars as pl

    market = (
        frame[found["symbol"]].cast(pl.String)
        if "symbol" in found
        else pl.Series([symbol]).new_from_index(0, len(frame))
    )
    columns = [market.alias("symbol"), _times(frame[found["timestamp"]]).alias("timestamp")]
    for name in PRICES:
        columns.append(frame[found[name]].cast(pl.Float64, strict=False).fill_null(float("nan")).alias(name))
    return pl.DataFrame(columns)


def _times(column: pl.Series) -> pl.Series:
    import polars as pl

    dtype = column.dtype
    if dtype == pl.Date:
        column = column.cast(pl.Datetime("ms"))
        dtype = column.dtype
    if isinstance(dtype, pl.Datetime):
        # A naive time is taken as UTC; an aware one is UTC inside already, so the numbers are the same.
        scale = {"ms": 1_000_000, "us": 1_000, "ns": 1}[dtype.time_unit]
        times = _scaled(column.to_physical(), scale)
    elif dtype.is_integer():
        times = _epoch(column.cast(pl.Int64, strict=False))
    elif dtype.is_numeric():
        times = _float_epoch(column.cast(pl.Float64))
    elif dtype in (pl.String, pl.Categorical) or isinstance(dtype, pl.Enum):
        times = _text(column.cast(pl.String))
    else:
        raise DataError(
            f"column {column.name!r} of type {dtype} is no time: "
            f"give datetimes, whole s, ms, us or ns since 1970, or ISO text"
        )
    return times.cast(pl.Datetime("ns", "UTC"))


def _scaled(column: pl.Series, scale: int) -> pl.Series:
    """The integers times ``scale``, null where that is beyond what ns since 1970 can hold (years 1677 to 2262)."""
    if scale == 1:
        return column
    fits = column.is_between(-(_LARGEST_NS // scale), _LARGEST_NS // scale)
    return column.set(~fits.fill_null(False), None) * scale


def _unit_ns(largest: float, name: str) -> int:
    for low, high, scale in _UNITS_NS:
        if low <= largest < high:
            return scale
    raise DataError(
        f"column {name!r} holds numbers up to {largest:.16g}, too small for s, ms, us or ns since 1970: "
        f"give datetimes or ISO text"
    )


def _epoch(column: pl.Series) -> pl.Series:
    largest = column.abs().max()
    if not isinstance(largest, int):
        return column  # all null, or empty
    return _scaled(column, _unit_ns(largest, column.name))


def _float_epoch(column: pl.Series) -> pl.Series:
    import polars as pl

    finite = column.set(~column.is_finite().fill_null(False), None)
    largest = finite.abs().max()
    if not isinstance(largest, float):
        return finite.cast(pl.Int64)
    # A float64 holds a time of today to about a quarter of a microsecond: round to that, not to noise in the ns.
    scale = _unit_ns(largest, column.name)
    if scale == 1:
        return finite.cast(pl.Int64, strict=False)
    return (finite * (scale // 1_000)).round().cast(pl.Int64, strict=False) * 1_000


def _text(column: pl.Series) -> pl.Series:
    """Times written out: ISO dates (or with / or .), with or without an offset; or whole numbers since 1970."""
    import polars as pl

    numbers = column.str.strip_chars().str.contains(r"^\d{9,19}$")
    if numbers.any():
        return _epoch(column.str.strip_chars().cast(pl.Int64, strict=False).alias(column.name))
    text = (
        pl.col("text")
        .str.strip_chars()
        .str.replace(r"^(\d{4})[/.](\d{1,2})[/.](\d{1,2})", "$1-$2-$3")
        .str.replace(r"^(\S+)T", "$1 ")
        .str.replace(r"\s*(Z|UTC|GMT)$", "+00:00")
    )
    ns = pl.Datetime("ns")
    readings = [text.str.strptime(pl.Datetime("ns", "UTC"), form, strict=False) for form in _TEXT_OFFSETS]
    readings += [text.str.strptime(ns, form, strict=False).dt.replace_time_zone("UTC") for form in _TEXT_FORMATS]
    return column.alias("text").to_frame().select(pl.coalesce(readings)).to_series().to_physical()
