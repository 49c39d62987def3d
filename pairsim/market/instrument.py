"""What may be traded and in which steps. A market nobody declared gets no tick, a lot of 1e-8 and no minimum."""

from dataclasses import dataclass
from decimal import Decimal

from pairsim.errors import InputError

_MOST_DIGITS = 15  # beyond that an int64 would hold fewer than 9,223 units of the asset


@dataclass(frozen=True, slots=True)
class Instrument:
    """A market and its rules.

    Parameters
    ----------
    symbol : the market's name, ``BASE/QUOTE`` such as "BTC/USDT".
    tick_size : smallest step of the price, in quote currency; None when prices have no grid.
    lot_size : smallest step of a quantity, in base currency.
    minimum_notional : smallest worth of an order, in quote currency.
    base_scale, quote_scale : digits after the point in which the two assets are accounted (8: units of 1e-8).
    """

    symbol: str
    tick_size: float | None = None
    lot_size: float = 1e-8
    minimum_notional: float = 0.0
    base_scale: int = 8
    quote_scale: int = 8

    def __post_init__(self) -> None:
        if not isinstance(self.symbol, str) or not self.symbol.strip():
            raise InputError(f'symbol {self.symbol!r} is not a market\'s name: write text such as "BTC/USDT"')
        for name in ("base_scale", "quote_scale"):
            digits = getattr(self, name)
            if not isinstance(digits, int) or not 0 <= digits <= _MOST_DIGITS:
                raise InputError(f"{name}={digits!r} of {self.symbol}: give whole digits from 0 to {_MOST_DIGITS}")
        if self.tick_size is not None and not 0 < self.tick_size < float("inf"):
            raise InputError(f"tick_size={self.tick_size!r} of {self.symbol}: give a price step above 0, or None")
        if not 0 <= self.minimum_notional < float("inf"):
            raise InputError(f"minimum_notional={self.minimum_notional!r} of {self.symbol}: give 0 or more")
        if not 0 < self.lot_size < float("inf"):
            raise InputError(f"lot_size={self.lot_size!r} of {self.symbol}: give a quantity step above 0")
        if self._exact_lot() % 1 != 0:
            raise InputError(
                f"lot_size={self.lot_size!r} of {self.symbol} is not a whole number of units of 1e-{self.base_scale}: "
                f"raise base_scale or choose a coarser lot"
            )

    @property
    def base(self) -> str:
        """What is bought: "BTC" of "BTC/USDT"."""
        return self.symbol.partition("/")[0]

    @property
    def quote(self) -> str:
        """What is paid with: "USDT" of "BTC/USDT"; empty where the symbol does not say."""
        return self.symbol.partition("/")[2]

    @property
    def lot_units(self) -> int:
        """The lot as a whole number of the base asset's accounting units."""
        return int(self._exact_lot())

    def _exact_lot(self) -> Decimal:
        # repr gives the shortest decimal that names the float: 1e-5 is meant as exactly 0.00001.
        return Decimal(repr(float(self.lot_size))).scaleb(self.base_scale)
