"""What a strategy is shown: the layout of ``ctx`` over three blocks of words, and its plain-Python form.

Rule: the layout is the one description of ``ctx``; the compiled form (``compiled_types``) and the plain form here are
both made from it. A plain ``ctx`` is a snapshot: a tuple of Python numbers that later candles do not change.

The words: ``view`` is time, index, cash, equity, then for each market open, high, low, close, volume, quantity,
average_price, pending; ``values`` and ``previous`` are the outputs of the indicators, market by market.
"""

from collections import namedtuple
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from keyword import iskeyword
from typing import Any, Final, NamedTuple

from pairsim.errors import StrategyError
from pairsim.indicators import Indicator

__all__ = ["CANDLE_FIELDS", "Layout", "Position", "context_class", "indicator_type", "layout_of"]

HEAD: Final = ("time", "index", "cash", "equity")
CANDLE_FIELDS: Final = ("open", "high", "low", "close", "volume")
POSITION_FIELDS: Final = ("quantity", "average_price", "pending")
VIEW_MARKET: Final = len(HEAD)
MARKET_WORDS: Final = len(CANDLE_FIELDS) + len(POSITION_FIELDS)
POSITION_WORD: Final = VIEW_MARKET + len(CANDLE_FIELDS)
CONTEXT_FIELDS: Final = frozenset((*HEAD, *CANDLE_FIELDS, "position", "prev", "markets"))


class Position(NamedTuple):
    """The trader's own position in one market; `pending` is the signed quantity of a market order in flight."""

    quantity: float
    average_price: float
    pending: float


@dataclass(frozen=True)
class Layout:
    """Which indicators ``ctx`` has, with their outputs, and how many markets.

    Attributes
    ----------
    indicators : (name, names of the outputs) in the order of their values.
    markets : markets of the trader; each has all indicators.
    """

    indicators: tuple[tuple[str, tuple[str, ...]], ...] = ()
    markets: int = 1

    @property
    def outputs(self) -> int:
        """Words of the indicators of one market."""
        return sum(len(fields) for _, fields in self.indicators)

    @property
    def view_words(self) -> int:
        """Words of the view."""
        return VIEW_MARKET + MARKET_WORDS * self.markets

    @cached_property
    def places(self) -> Mapping[str, tuple[int, tuple[str, ...]]]:
        """Where an indicator's first output is among those of one market, and its outputs."""
        found, offset = {}, 0
        for name, fields in self.indicators:
            found[name] = (offset, fields)
            offset += len(fields)
        return found


def layout_of(owner: str, indicators: object, markets: int) -> Layout:
    """The layout of what ``indicators()`` returned, checked.

    Raises
    ------
    StrategyError
        Not a dict of indicators by name, or a name that ``ctx`` cannot show.
    """
    if not isinstance(indicators, dict):
        raise StrategyError(
            f"{owner}.indicators() returned {indicators!r}; return a dict such as {{'rsi': ps.RSI(14)}}"
        )
    described = []
    for name, indicator in indicators.items():
        _check_indicator_name(owner, name)
        if not isinstance(indicator, Indicator):
            raise StrategyError(
                f"{owner}.indicators()[{name!r}] is {indicator!r}; it must be an indicator such as ps.RSI(14)"
            )
        described.append((name, tuple(indicator.fields)))
    return Layout(tuple(described), markets)


def _check_indicator_name(owner: str, name: object) -> None:
    if not isinstance(name, str) or not name.isidentifier() or iskeyword(name) or name.startswith("_"):
        raise StrategyError(f"{owner}: an indicator is called {name!r}; it must be an identifier, for ctx.<name>")
    if name in CONTEXT_FIELDS:
        raise StrategyError(f"{owner}: an indicator is called {name!r}, which is already a field of ctx; rename it")


@cache
def indicator_type(fields: tuple[str, ...]) -> type[tuple[float, ...]]:
    """The named tuple in which an indicator with several outputs shows them (``ctx.macd.signal``)."""
    return namedtuple("Outputs", fields)


# --- the plain form ------------------------------------------------------------------------------------------------
#
# One flat tuple a candle, whose attributes are indices or slices of it: building named tuples of named tuples costs
# several times as much, and most of what they hold is not looked at.

_new = tuple.__new__
_at: Any = type(vars(Position)["quantity"])  # the C-level getter that named tuples use: 16 ns against 35 for itemgetter


class _Shown(tuple[Any, ...]):
    """A flat tuple of words shown by attributes."""

    __slots__ = ()
    _fields: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name in self._fields)})"


def _outputs(layout: Layout, start: int) -> dict[str, Any]:
    """Attributes for the indicators whose first output is at index ``start``."""
    shown: dict[str, Any] = {}
    for name, (offset, fields) in layout.places.items():
        first = start + offset
        shown[name] = _at(first, name) if len(fields) == 1 else _slice(indicator_type(fields), first, len(fields))
    return shown


def _slice(kind: type, start: int, length: int) -> property:
    end = start + length
    return property(lambda shown: _new(kind, shown[start:end]))


def _class(name: str, attributes: dict[str, Any]) -> type[_Shown]:
    fields = tuple(attributes)
    return type(name, (_Shown,), {"__slots__": (), "_fields": fields, **attributes})


@cache
def _previous_class(layout: Layout) -> type[_Shown]:
    return _class("Previous", _outputs(layout, 0))


@cache
def _market_class(layout: Layout) -> type[_Shown]:
    """One market: 8 words of the view, its values, its previous values."""
    outputs, start = layout.outputs, MARKET_WORDS
    return _class(
        "Market",
        {
            **{name: _at(i, name) for i, name in enumerate(CANDLE_FIELDS)},
            "position": _slice(Position, len(CANDLE_FIELDS), len(POSITION_FIELDS)),
            **_outputs(layout, start),
            "prev": _slice(_previous_class(layout), start + outputs, outputs),
        },
    )


@cache
def context_class(layout: Layout) -> type[tuple[Any, ...]]:
    """Class of a plain ``ctx``: a tuple of the view, the values, the previous values and the first market's position.

    Instances are made in C (see ``plain_entry``): a tuple of that class, filled with Python numbers and a `Position`.
    """
    outputs, view = layout.outputs, layout.view_words
    values, previous = view, view + outputs * layout.markets
    last = previous + outputs * layout.markets
    market = _market_class(layout)

    def markets(shown: _Shown) -> tuple[_Shown, ...]:
        return tuple(
            _new(
                market,
                shown[VIEW_MARKET + k * MARKET_WORDS : VIEW_MARKET + (k + 1) * MARKET_WORDS]
                + shown[values + k * outputs : values + (k + 1) * outputs]
                + shown[previous + k * outputs : previous + (k + 1) * outputs],
            )
            for k in range(layout.markets)
        )

    return _class(
        "Context",
        {
            **{name: _at(i, name) for i, name in enumerate(HEAD)},
            **{name: _at(VIEW_MARKET + i, name) for i, name in enumerate(CANDLE_FIELDS)},
            "position": _at(last, "position"),
            **_outputs(layout, values),
            "prev": _slice(_previous_class(layout), previous, outputs),
            "markets": property(markets),
        },
    )
