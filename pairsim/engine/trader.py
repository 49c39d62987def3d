"""A trader: one strategy on one or more markets at one interval. A plain value; the engine does the rest."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from pairsim.errors import InputError
from pairsim.market.interval import Interval, format_interval, parse_interval
from pairsim.orders.order import MAX_MARKETS
from pairsim.strategies.strategy import Strategy


@dataclass(frozen=True)
class Trader:
    """A strategy that trades.

    Parameters
    ----------
    markets : a symbol such as "BTC/USDT", or up to four of them for a strategy of several markets.
    strategy : an instance of a `Strategy`.
    every : length of the candles it decides on, "5s"; None for the feed's own.
    name : unique in an engine; the market (or the markets, joined by "+") unless given.

    Examples
    --------
    >>> import pairsim as ps
    >>> ps.Trader("BTC/USDT", ps.strategies.RSI(period=21), every="15s")
    Trader('BTC/USDT', RSI(period=21, low=30.0, high=70.0, weight=0.25), every='15s')
    """

    markets: tuple[str, ...]
    strategy: Strategy
    every_ns: int | None = field(default=None, compare=True)
    name: str = ""

    def __init__(
        self,
        markets: str | Sequence[str],
        strategy: Strategy,
        *,
        every: Interval | None = None,
        name: str | None = None,
    ) -> None:
        symbols = (markets,) if isinstance(markets, str) else tuple(markets) if isinstance(markets, Iterable) else ()
        if not symbols or not all(isinstance(s, str) and s for s in symbols):
            raise InputError(f'markets={markets!r}: give a symbol such as "BTC/USDT" or a list of them')
        if len(set(symbols)) != len(symbols):
            raise InputError(f"markets={list(symbols)} names a market twice; a trader has each of its markets once")
        if len(symbols) > MAX_MARKETS:
            raise InputError(f"{len(symbols)} markets for one trader, the limit is {MAX_MARKETS}; use several traders")
        if isinstance(strategy, type) and issubclass(strategy, Strategy):
            raise InputError(f"strategy={strategy.__name__} is a class; pass an instance: {strategy.__name__}()")
        if not isinstance(strategy, Strategy):
            raise InputError(
                f"strategy={strategy!r} is no ps.Strategy; write a class with generate_signal(self, "
                "ctx) and pass an instance"
            )
        if strategy.markets != len(symbols):
            raise InputError(
                f"{type(strategy).__name__} trades {strategy.markets} market(s), {len(symbols)} "
                f"given: {list(symbols)}; "
                f"set `markets = {len(symbols)}` in the class if that is what it is written for"
            )
        if name is not None and not (isinstance(name, str) and name):
            raise InputError(f"name={name!r}: give a text, or leave it out to use the market")
        object.__setattr__(self, "markets", symbols)
        object.__setattr__(self, "strategy", strategy)
        object.__setattr__(self, "every_ns", None if every is None else parse_interval(every))
        object.__setattr__(self, "name", name or "+".join(symbols))

    def _repr_html_(self) -> str:
        from pairsim.engine import display

        return display.plain_trader_html(self)

    def __repr__(self) -> str:
        market = repr(self.markets[0]) if len(self.markets) == 1 else repr(list(self.markets))
        every = "" if self.every_ns is None else f", every={format_interval(self.every_ns)!r}"
        name = "" if self.name == "+".join(self.markets) else f", name={self.name!r}"
        return f"Trader({market}, {self.strategy!r}{every}{name})"
