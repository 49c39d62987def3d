"""Does anything look ahead? What was computed over the whole history is computed again over its beginnings.

Rule: an indicator with a step is causal by construction; a whole-array function or a signal function is causal as
far as its values on a shorter history are the beginning of those on the whole one. A leak that starts late can be
missed.
"""

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from pairsim.engine.plan import Plan
from pairsim.errors import InputError
from pairsim.indicators import Indicator
from pairsim.indicators.builtin import BuiltIn
from pairsim.market.interval import format_time
from pairsim.research.door import Bars
from pairsim.research.history import History, Series
from pairsim.research.signal_table import COLUMNS, GivenSignals, SignalFunction, signal_frame

if TYPE_CHECKING:
    import polars as pl

Floats = NDArray[np.float64]

# About 500, 2,000 and 8,000 candles, as far as together they cost less than a fifth; no two leave the same rest by the
# length of a usual bar (5, 15, 60, 1,440), so that one of them ends inside a bar that was joined on its open time.
_LENGTHS: Final = (499, 1_997, 7_993)
_SHARE: Final = 6
_RELATIVE: Final = 1e-7  # what another order of summation may change, and no leak worth the name stays below
_ABSOLUTE: Final = 1e-9  # of the largest value
_ADVICE: Final = "it looks ahead; use only what came before (causality=False runs it all the same)"


def prefixes(n: int, warmup: int) -> list[int]:
    """Lengths of the beginnings to look at, the shortest one twice: with and without its last candle."""
    lengths = [length for length in _LENGTHS if length > warmup]
    while lengths and sum(lengths) > n // _SHARE:
        lengths.pop()
    if not lengths:
        lengths = [min(n - 1, max(n // 8, warmup + 16))]
    return [length for length in (lengths[0] - 1, *lengths) if 0 < length < n]


def check_indicators(plan: Plan, history: History) -> str:
    """One line about the indicators of all traders.

    Raises
    ------
    InputError
        The first one that looks ahead, with its candle and both values.
    """
    checked: set[Indicator] = set()
    for row, code, trader in zip(plan.rows, plan.codes, plan.traders, strict=True):
        for series, symbol in zip(history.series_of(row), trader.markets, strict=True):
            for name, indicator in code.indicators:
                if not causal_by_construction(indicator):
                    check_indicator(f"indicator {name!r} = {indicator!r} of {symbol}", series, indicator)
                    checked.add(indicator)
    if not checked:
        return "causality: indicators are computed candle by candle"
    return f"causality: {len(checked)} whole-array indicator(s) unchanged on shorter histories"


def causal_by_construction(indicator: Indicator) -> bool:
    """Whether its history is what its step gives candle by candle, or a given column."""
    own = type(indicator).batch_into is Indicator.batch_into
    return own or isinstance(indicator, BuiltIn | GivenSignals) or bool(getattr(indicator, "_exact", False))


def check_indicator(what: str, series: Series, indicator: Indicator) -> None:
    """Refuse an indicator that looks ahead; ``what`` it is called in the message."""
    whole = series.outputs(indicator)
    lengths = prefixes(len(series), indicator.warmup)
    scale = _scale(whole[:, : lengths[-1]])  # not of all of it: a look at a million values costs as much as the run
    for length in lengths:
        part = np.empty((len(indicator.fields), length))
        indicator.batch_into([price[:length] for price in series.prices], part.T)
        differs = _differs(whole[:, :length], part, scale)
        if differs.any():
            at = int(np.argmax(differs.any(axis=0)))
            raise InputError(
                f"{what}: at {format_time(int(series.opened[at]))} it is {whole[:, at].tolist()} on {len(series):,} "
                f"candles, but {part[:, at].tolist()} on the first {length:,}: {_ADVICE}"
            )


def _scale(whole: Floats) -> float:
    finite = whole[np.isfinite(whole)]
    return _ABSOLUTE * float(np.abs(finite).max()) if len(finite) else 0.0


def _differs(whole: Floats, part: Floats, scale: float) -> NDArray[np.bool_]:
    return ~np.isclose(whole, part, rtol=_RELATIVE, atol=scale, equal_nan=True)


def check_function(function: SignalFunction, whole: "pl.DataFrame", bars: Bars, frame: "pl.DataFrame") -> str:
    """One line about a function that makes signals; ``whole`` is what it made of all of ``frame``.

    Raises
    ------
    InputError
        On a shorter history it makes other signals; the first is named.
    """
    import polars as pl

    times = np.unique(bars.columns.open_time)
    for length in prefixes(len(times), 0):
        last = pl.lit(int(times[length - 1])).cast(pl.Datetime("ns", "UTC"))
        part = signal_frame(function, frame.filter(pl.col("timestamp") <= last))
        first = _first_difference(_known(whole, int(times[length - 1])), _known(part, None))
        if first is not None:
            raise InputError(
                f"signals: {first[0]} on {len(times):,} candles, but {first[1]} on the first {length:,}: the function "
                f"looks ahead; use only what came before (causality=False runs it all the same)"
            )
    return "causality: the signal function gives the same on shorter histories"


def _known(signals: "pl.DataFrame", until: int | None) -> list[tuple[Any, ...]]:
    """Rows as (time, symbol, side, weight), sorted, up to a time."""
    import polars as pl

    rows = signals.select(pl.col("timestamp").cast(pl.Datetime("ns")).to_physical(), *COLUMNS[1:]).sort(
        "timestamp", "symbol"
    )
    kept = rows if until is None else rows.filter(pl.col("timestamp") <= until)
    return kept.rows()


def _first_difference(whole: list[tuple[Any, ...]], part: list[tuple[Any, ...]]) -> tuple[str, str] | None:
    for a, b in zip(whole, part, strict=False):
        if a[:3] != b[:3] or not np.isclose(_number(a[3]), _number(b[3]), rtol=_RELATIVE, atol=0.0, equal_nan=True):
            return (_told(a), _told(b)) if a[:2] == b[:2] else _earlier(a, b)
    if len(whole) == len(part):
        return None
    longer = whole if len(whole) > len(part) else part
    extra = _told(longer[min(len(whole), len(part))])
    return (extra, "none") if longer is whole else (f"nothing where it gives {extra}", "that")


def _earlier(a: tuple[Any, ...], b: tuple[Any, ...]) -> tuple[str, str]:
    if a[:2] < b[:2]:
        return _told(a), "none there"
    return f"none at {_told(b)}", "that"


def _told(row: tuple[Any, ...]) -> str:
    return f"{row[2]} {row[1]} (weight {row[3]}) at {format_time(row[0])}"


def _number(weight: Any) -> float:
    return float("nan") if weight is None else float(weight)
