"""Signals computed elsewhere: a table of them becomes strategies, so a vectorised idea needs no class.

Rule: a row carries the open stamp of the candle it was computed from and is acted on at that candle's close, by the
same kernels as any other signal.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from pairsim.engine.trader import Trader
from pairsim.errors import DataError, InputError
from pairsim.indicators import Indicator
from pairsim.market.interval import format_time
from pairsim.research.door import Bars
from pairsim.strategies.signal import buy, close, sell, target
from pairsim.strategies.strategy import Strategy

if TYPE_CHECKING:
    import polars as pl

Floats = NDArray[np.float64]

COLUMNS: Final = ("timestamp", "symbol", "side", "weight")
_SIDES: Final = {"BUY": 1.0, "SELL": 2.0, "TARGET": 3.0, "CLOSE": 4.0}


class GivenSignals(Indicator):
    """A column of sides and one of weights, known before the run; live there is nothing behind it."""

    fields = ("side", "weight")

    if TYPE_CHECKING:
        table: Floats

    def __init__(self, table: Floats) -> None:
        object.__setattr__(self, "table", table)

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({int(np.count_nonzero(self.table[0])):,} signals)"

    @property
    def constants(self) -> Floats:
        return np.zeros(0)

    def initial_state(self) -> Floats:
        return np.zeros(0)

    @property
    def window_words(self) -> int:
        return 0

    def batch_into(self, columns: Sequence[Floats], out: Floats) -> None:
        out[:] = self.table.T


class SignalTable(Strategy):
    """Does what a table says, candle by candle."""

    given: GivenSignals

    def indicators(self) -> dict[str, Any]:
        return {"given": self.given}

    def generate_signal(self, ctx: Any) -> Any:
        side, weight = ctx.given.side, ctx.given.weight
        if side == 1.0:
            return buy(weight=weight)
        if side == 2.0:
            return sell(weight=weight)
        if side == 3.0:
            return target(weight=weight)
        if side == 4.0:
            return close()
        return None

    def __repr__(self) -> str:
        return repr(self.given)


def is_signal_table(what: object) -> bool:
    """Whether this is a table of signals or a function that makes one, and no strategy."""
    if isinstance(what, Strategy | Trader | type | list | tuple | str):
        return False
    return callable(what) or hasattr(what, "columns") or isinstance(what, Mapping)


def signal_frame(what: Any, bars: "pl.DataFrame") -> "pl.DataFrame":
    """The table itself, or what the function makes of these candles, with the columns it must have.

    Raises
    ------
    InputError
        The function raised or returned no table; a column is missing.
    """
    import polars as pl

    from pairsim.market.sources import read_table

    if callable(what):
        try:
            what = what(bars)
        except Exception as error:
            raise InputError(f"the signal function raised {type(error).__name__}: {error}") from error
    try:
        frame = read_table(what)
    except DataError:
        kind = f"{type(what).__module__}.{type(what).__name__}"
        raise InputError(f"signals are a polars frame of {', '.join(COLUMNS)}, got {kind}") from None
    missing = [name for name in COLUMNS if name not in frame.columns]
    if missing == ["symbol"] and bars["symbol"].n_unique() == 1:
        frame = frame.with_columns(symbol=pl.lit(bars["symbol"][0]))
        missing = []
    if missing:
        raise InputError(f"signals lack {', '.join(missing)}; they have {', '.join(frame.columns) or 'no columns'}")
    return frame.select(COLUMNS)


def read_signals(frame: "pl.DataFrame", bars: Bars) -> dict[str, GivenSignals]:
    """The signals of each market in the order of its candles.

    Raises
    ------
    InputError
        A stamp that is no candle, a side or weight that is none, two signals for one candle; the message names the row.
    """
    import polars as pl

    columns = bars.columns
    times = _times(frame["timestamp"])
    symbols = frame["symbol"].cast(pl.String).to_list()
    sides, weights = _sides(frame["side"]), frame["weight"].cast(pl.Float64, strict=False).fill_null(np.nan).to_numpy()
    given = {}
    rows_of: dict[str, list[int]] = {symbol: [] for symbol in columns.symbols}
    for row, symbol in enumerate(symbols):
        if symbol not in rows_of:
            raise InputError(
                f"signals, row {row}: no market {symbol!r} in bars; it has {', '.join(columns.symbols[:8])}"
            )
        rows_of[symbol].append(row)
    for market, symbol in enumerate(columns.symbols):
        opened = columns.open_time[columns.market == market] if len(columns.symbols) > 1 else columns.open_time
        rows = np.array(rows_of[symbol], np.int64)
        at = np.minimum(np.searchsorted(opened, times[rows]), len(opened) - 1)
        _check_rows(rows, times, opened, at, sides, weights, symbol)
        table = np.zeros((2, len(opened)))
        table[0, at], table[1, at] = sides[rows], weights[rows]
        given[symbol] = GivenSignals(table)
    return given


def signal_traders(given: Mapping[str, GivenSignals]) -> tuple[Trader, ...]:
    """A trader for each market."""
    traders = []
    for symbol, signals in given.items():
        strategy = SignalTable()
        strategy.given = signals
        traders.append(Trader(symbol, strategy))
    return tuple(traders)


def _times(stamps: "pl.Series") -> NDArray[np.int64]:
    import polars as pl

    if not stamps.dtype.is_temporal() or stamps.dtype in (pl.Time, pl.Duration):
        raise InputError(f"signals: timestamp is {stamps.dtype}; give datetimes, as in bars")
    if stamps.has_nulls():
        raise InputError(f"signals, row {stamps.is_null().arg_max()}: it has no timestamp")
    return stamps.cast(pl.Datetime("ns")).to_physical().to_numpy()


def _sides(sides: "pl.Series") -> Floats:
    import polars as pl

    words = sides.cast(pl.String).str.to_uppercase()
    numbers = words.replace_strict(_SIDES, default=None, return_dtype=pl.Float64)
    if numbers.has_nulls():
        row = int(numbers.is_null().arg_max() or 0)
        raise InputError(f"signals, row {row}: side {sides[row]!r} must be one of {', '.join(_SIDES).lower()}")
    return numbers.to_numpy()


def _check_rows(
    rows: NDArray[np.int64], times: Any, opened: Any, at: Any, sides: Floats, weights: Floats, symbol: str
) -> None:
    for fault, text in (
        (
            opened[at] != times[rows] if len(rows) else np.zeros(0, bool),
            "is no candle of {symbol}; stamps are open times",
        ),
        (_repeated(at), "has a second signal for {symbol}; one candle, one signal"),
        (_bad_weight(sides[rows], weights[rows]), "has weight {weight!r}; it must be above 0 to 1 (target: -1 to 1)"),
    ):
        if fault.any():
            row = int(rows[int(np.argmax(fault))])
            told = text.format(symbol=symbol, weight=float(weights[row]))
            raise InputError(f"signals, row {row}: {format_time(int(times[row]))} {told}")


def _repeated(at: NDArray[np.int64]) -> NDArray[np.bool_]:
    repeated = np.ones(len(at), bool)
    repeated[np.unique(at, return_index=True)[1]] = False
    return repeated


def _bad_weight(sides: Floats, weights: Floats) -> NDArray[np.bool_]:
    positive = (weights > 0.0) & (weights <= 1.0)
    fits = np.where(sides == _SIDES["TARGET"], np.abs(weights) <= 1.0, positive)
    return ~(fits | (sides == _SIDES["CLOSE"]))


SignalFunction = Callable[["pl.DataFrame"], "pl.DataFrame"]
