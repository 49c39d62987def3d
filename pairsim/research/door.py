"""What a user hands to research, checked: any table of candles becomes arrays, any strategy becomes traders.

Rule: everything that can be wrong with the input is found here, with the value, the limit and the next step; behind
this door nothing is checked again.
"""

import sys
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from pairsim.engine.trader import Trader
from pairsim.errors import DataError, InputError
from pairsim.market.candle import Columns
from pairsim.market.frames import load, to_columns
from pairsim.market.interval import Interval, format_interval, format_time
from pairsim.market.report import common_interval
from pairsim.research.frame_identity import Identity, identity_of
from pairsim.research.history import History, shared_times
from pairsim.strategies.strategy import Strategy

if TYPE_CHECKING:
    import polars as pl

    from pairsim.market.sources import Source

_NAMES = 8  # markets named in a message


@dataclass(frozen=True)
class Bars:
    """Candles that may be traded on.

    Attributes
    ----------
    columns : sorted by (open_time, market).
    interval_ns : length of a candle, the same for all markets.
    """

    columns: Columns
    interval_ns: int

    @cached_property
    def history(self) -> History:
        """These candles with what is known of them; made once. Nobody who tries many indicators keeps them here."""
        return History(self.columns, self.interval_ns)

    def frame(self) -> "pl.DataFrame":
        """The candles as a standard polars frame, sorted by time."""
        from pairsim.market.frames import from_columns

        return from_columns(self.columns)


def read_bars(source: "Source | Bars") -> Bars:
    """Candles from a file or a table (see ``load``), checked to be tradable.

    A polars frame that has been read before is not checked again while it lives and holds the same arrays.

    Raises
    ------
    DataError
        No candle at all, a bad one, out of order or twice; candles that overlap; only one candle in every market.
    """
    if isinstance(source, Bars):
        return source
    known = _seen(source)
    if known is not None:
        return known
    columns = to_columns(load(source))
    n = len(columns.open_time)
    if n == 0:
        raise DataError("bars has no rows: there is nothing to trade on; check the file or the filter that made it")
    interval_ns = _interval(columns)
    if interval_ns == 0:
        raise DataError(
            f"bars has {n:,} row(s) and no market with two: the length of a candle is the distance of two; "
            "give a longer history"
        )
    _check_overlap(columns, interval_ns)
    bars = Bars(columns, interval_ns)
    _remember(source, bars)
    return bars


def traders_of(
    what: Strategy | Trader | Sequence[Trader], symbols: Sequence[str], every: Interval | None
) -> tuple[Trader, ...]:
    """The traders of a backtest: as given, or one a market for a strategy (one on all markets for one of several).

    Raises
    ------
    InputError
        No strategy and no traders; a market that the history does not have; ``every`` beside traders.
    """
    if isinstance(what, Strategy):
        if what.markets == 1:
            return tuple(Trader(symbol, what, every=every) for symbol in symbols)
        if what.markets != len(symbols):
            raise InputError(
                f"{type(what).__name__} trades {what.markets} markets, the history has {len(symbols)} "
                f"({_some(symbols)}); choose them: ps.Trader([...], {type(what).__name__}(...))"
            )
        return (Trader(tuple(symbols), what, every=every),)
    if isinstance(what, type) and issubclass(what, Strategy):
        raise InputError(f"strategy={what.__name__} is a class; pass an instance: {what.__name__}()")
    traders = (what,) if isinstance(what, Trader) else _sequence(what)
    if not traders or not all(isinstance(trader, Trader) for trader in traders):
        raise InputError(
            f"backtest({what!r}, …): give a strategy such as MyStrategy(), a ps.Trader or a list of them, "
            "or a table of signals"
        )
    if every is not None:
        raise InputError(
            f"every={every!r} goes with a bare strategy; a trader has its own: ps.Trader(…, every={every!r})"
        )
    for trader in traders:
        for symbol in trader.markets:
            if symbol not in symbols:
                raise InputError(f"trader {trader.name!r} trades {symbol!r}; the history has {_some(symbols)}")
    return traders


def _sequence(what: object) -> tuple[Any, ...]:
    return tuple(what) if isinstance(what, list | tuple) else ()


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:_NAMES])
    return shown + (f" and {len(names) - _NAMES} more" if len(names) > _NAMES else "")


def _interval(columns: Columns) -> int:
    """The most common distance of two candles, 0 where no market has two; quick where there is only one distance."""
    times = shared_times(columns)
    if times is not None and len(times) > 1:
        step = int(times[1] - times[0])
        if int(times[-1] - times[0]) == step * (len(times) - 1) and bool((np.diff(times) == step).all()):
            return step
    return common_interval(columns.market, columns.open_time)


def _check_overlap(columns: Columns, interval_ns: int) -> None:
    """Two candles of a market that stand closer than a candle is long would be traded on before they are closed."""
    times = shared_times(columns)
    market = np.zeros(0, np.int64) if times is None else np.zeros(len(times), np.int64)
    if times is None:
        order = np.argsort(columns.market, kind="stable")
        times, market = columns.open_time[order], columns.market[order]
    steps = np.diff(times)
    close = np.flatnonzero((steps < interval_ns) & (market[1:] == market[:-1]))
    if len(close):
        at = int(close[0])
        raise DataError(
            f"{columns.symbols[market[at]]}: candles at {format_time(int(times[at]))} and "
            f"{format_time(int(times[at + 1]))} are closer than {format_interval(interval_ns)}, which is how far "
            "most are apart; resample to one interval first"
        )


# --- frames that were read before ----------------------------------------------------------------------------------
#
# Checking a million candles costs three times as much as trading them, and an explorer trades the same frame again and
# again. An entry keeps the frame's columns: see ``frame_identity`` for why.

_read: dict[int, tuple["weakref.ref[Any]", Identity, Any, Bars]] = {}


def _seen(source: Any) -> Bars | None:
    entry = _read.get(id(source))
    if entry is None:
        return None
    frame, identity, _, bars = entry
    unchanged = identity == identity_of(source)
    return bars if unchanged and frame() is source else None


def _remember(source: Any, bars: Bars) -> None:
    if not is_polars(source):
        return
    key = id(source)

    def forget(_: "weakref.ref[Any]") -> None:
        _read.pop(key, None)

    _read[key] = (weakref.ref(source, forget), identity_of(source), source.get_columns(), bars)


def is_polars(source: object) -> bool:
    """Whether this is an eager polars frame, found out without importing polars."""
    polars = sys.modules.get("polars")
    return polars is not None and isinstance(source, polars.DataFrame)
