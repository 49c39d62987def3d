"""Signals: what a strategy wants, never an order.

Rule: a signal is a plain value of nine words, made by six functions that mean the same in plain Python and in compiled
code (``compiled_signal`` holds the compiled half). "Absent" is NaN in a price and 0 in ``expires``; a price that was
given but is NaN is an error, because silently dropping a limit would turn it into a market order.
"""

import math
from typing import Final, NamedTuple, TypeAlias

import numpy as np

from pairsim.errors import InputError, StrategyError

__all__ = [
    "BUY",
    "CANCEL",
    "CLOSE",
    "HOLD",
    "MAX_SIGNALS",
    "NOTIONAL",
    "QUANTITY",
    "SELL",
    "SIGNAL",
    "SIGNAL_WORDS",
    "TARGET",
    "WEIGHT",
    "Signal",
    "buy",
    "cancel",
    "check_signals",
    "close",
    "hold",
    "sell",
    "target",
]

HOLD: Final = 0
BUY: Final = 1
SELL: Final = 2
TARGET: Final = 3
CLOSE: Final = 4
CANCEL: Final = 5
KINDS: Final = ("hold", "buy", "sell", "target", "close", "cancel")

QUANTITY: Final = 0
NOTIONAL: Final = 1
WEIGHT: Final = 2
UNITS: Final = ("quantity", "notional", "weight")

SIGNAL: Final = np.dtype(
    [
        ("kind", "i8"),
        ("unit", "i8"),
        ("market", "i8"),
        ("amount", "f8"),
        ("limit", "f8"),
        ("stop", "f8"),
        ("stop_loss", "f8"),
        ("take_profit", "f8"),
        ("expires", "i8"),
    ]
)
SIGNAL_WORDS: Final = 9
MAX_SIGNALS: Final = 4
"""Signals one evaluation may return: an entry of an order ring holds so many."""

PRICES: Final = ("limit", "stop", "stop_loss", "take_profit")

_NAN: Final = math.nan

Number: TypeAlias = float | int


class Signal(NamedTuple):
    """One wish of a strategy, made by `buy`, `sell`, `target`, `close`, `cancel` or `hold`; laid out as `SIGNAL`."""

    kind: int
    unit: int
    market: int
    amount: float
    limit: float
    stop: float
    stop_loss: float
    take_profit: float
    expires: int

    def __repr__(self) -> str:
        """Read as the call that made it: ``buy(weight=0.25, limit=101.0)``."""
        name = KINDS[self.kind] if 0 <= self.kind < len(KINDS) else f"kind {self.kind}"
        parts = [f"{UNITS[self.unit]}={self.amount!r}"] if self.kind in (BUY, SELL, TARGET) else []
        parts += [f"{price}={getattr(self, price)!r}" for price in PRICES if not math.isnan(getattr(self, price))]
        parts += [f"{word}={getattr(self, word)}" for word in ("expires", "market") if getattr(self, word) != 0]
        return f"{name}({', '.join(parts)})"


def buy(
    quantity: Number | None = None,
    *,
    weight: Number | None = None,
    notional: Number | None = None,
    limit: Number | None = None,
    stop: Number | None = None,
    stop_loss: Number | None = None,
    take_profit: Number | None = None,
    expires: int = 0,
    market: int = 0,
) -> Signal:
    """Buy: an amount given in exactly one of three ways.

    Parameters
    ----------
    quantity : units of the base asset.
    weight : share of the account's equity, above 0 to 1; capped by the cash there is after fees.
    notional : money in the quote currency.
    limit : buy at this price or better; without it (and without `stop`) at the market.
    stop : become a market order (a limit order, with `limit`) once the price touches this.
    stop_loss, take_profit : prices of protective orders, sent when this one fills and cancelled when flat.
    expires : candles of this trader after which a working order is cancelled; 0 is never.
    market : which of the trader's markets.

    Raises
    ------
    InputError (a ValueError)
        Not exactly one of quantity, weight and notional; something that is no number; a price that is NaN. In compiled
        code the very same calls fail, and the candle is shown again in plain Python for its traceback.

    Examples
    --------
    >>> buy(weight=0.25, stop_loss=95)
    buy(weight=0.25, stop_loss=95.0)
    """
    return _entry(BUY, quantity, weight, notional, (limit, stop, stop_loss, take_profit), expires, market)


def sell(
    quantity: Number | None = None,
    *,
    weight: Number | None = None,
    notional: Number | None = None,
    limit: Number | None = None,
    stop: Number | None = None,
    stop_loss: Number | None = None,
    take_profit: Number | None = None,
    expires: int = 0,
    market: int = 0,
) -> Signal:
    """Sell: takes what `buy` takes."""
    return _entry(SELL, quantity, weight, notional, (limit, stop, stop_loss, take_profit), expires, market)


def target(
    quantity: Number | None = None,
    *,
    weight: Number | None = None,
    notional: Number | None = None,
    limit: Number | None = None,
    stop: Number | None = None,
    stop_loss: Number | None = None,
    take_profit: Number | None = None,
    expires: int = 0,
    market: int = 0,
) -> Signal:
    """Bring the trader's position to this amount, whatever it is now; negative is short. Takes what `buy` takes."""
    return _entry(TARGET, quantity, weight, notional, (limit, stop, stop_loss, take_profit), expires, market)


def close(*, limit: Number | None = None, stop: Number | None = None, expires: int = 0, market: int = 0) -> Signal:
    """Close the trader's own position in one market; nothing happens when it is flat."""
    return Signal(
        CLOSE,
        QUANTITY,
        _integer("market", market),
        _NAN,
        _price("limit", limit),
        _price("stop", stop),
        _NAN,
        _NAN,
        _integer("expires", expires),
    )


def cancel(*, market: int = 0) -> Signal:
    """Cancel the trader's working orders in one market."""
    return Signal(CANCEL, QUANTITY, _integer("market", market), _NAN, _NAN, _NAN, _NAN, _NAN, 0)


def hold() -> Signal:
    """Do nothing: fills a tuple of signals up to its fixed length."""
    return _HOLD


_HOLD: Final = Signal(HOLD, QUANTITY, 0, _NAN, _NAN, _NAN, _NAN, _NAN, 0)


def check_signals(result: object, markets: int) -> tuple[Signal, ...]:
    """What a plain-Python strategy returned, as signals without holds.

    Compiled code needs no such look: its types are known, and the numbers are judged by the sizing kernel, whose rules
    these are.

    Raises
    ------
    StrategyError
        Anything but None, a signal or a tuple of 1 to 4 signals; an amount or price that no order can carry.
    """
    if result is None:
        return ()
    signals = (result,) if type(result) is Signal else result
    if type(signals) is not tuple:
        raise StrategyError(f"generate_signal returned {_short(result)}; {_LEGAL}")
    if not 1 <= len(signals) <= MAX_SIGNALS:
        raise StrategyError(f"generate_signal returned {len(signals)} signals, the limit is {MAX_SIGNALS}; {_LEGAL}")
    for signal in signals:
        if type(signal) is not Signal:
            raise StrategyError(f"generate_signal returned a tuple with {_short(signal)} in it; {_LEGAL}")
    return tuple(_judged(signal, markets) for signal in signals if signal.kind != HOLD)


_LEGAL: Final = (
    "return None, one of ps.buy, ps.sell, ps.target, ps.close, ps.cancel, ps.hold, "
    f"or a tuple of 1 to {MAX_SIGNALS} of them"
)


def _judged(signal: Signal, markets: int) -> Signal:
    if not 0 <= signal.market < markets:
        known = "0 is the only one" if markets == 1 else f"0 to {markets - 1} exist"
        raise StrategyError(f"{signal} is for market {signal.market}, of which {known}; set market= accordingly")
    if signal.kind in (BUY, SELL, TARGET):
        amount, unit = signal.amount, UNITS[signal.unit]
        if not math.isfinite(amount) or (signal.kind != TARGET and amount <= 0.0):
            rule = "a finite number" if signal.kind == TARGET else "a finite number above 0"
            raise StrategyError(f"{signal}: {unit} {amount!r} must be {rule}; check it before signalling")
        if signal.unit == WEIGHT and abs(amount) > 1.0:
            raise StrategyError(f"{signal}: weight {amount!r} is more than 1, all of the equity; use at most 1")
    for name in PRICES:
        price = getattr(signal, name)
        if price <= 0.0 or price == math.inf:  # NaN is "absent" here: `_price` refuses a NaN that was given
            raise StrategyError(f"{signal}: {name} {price!r} must be a finite price above 0; leave it out for none")
    if signal.expires < 0:
        raise StrategyError(f"{signal}: expires {signal.expires} must be a number of candles, or 0 for never")
    return signal


def _entry(
    kind: int,
    quantity: Number | None,
    weight: Number | None,
    notional: Number | None,
    prices: tuple[Number | None, Number | None, Number | None, Number | None],
    expires: int,
    market: int,
) -> Signal:
    given = [
        (unit, amount)
        for unit, amount in ((QUANTITY, quantity), (WEIGHT, weight), (NOTIONAL, notional))
        if amount is not None
    ]
    if len(given) != 1:
        named = " and ".join(UNITS[unit] for unit, _ in given) or "none of them"
        raise InputError(f"{KINDS[kind]}: {ONE_AMOUNT}, not {named}")
    unit, amount = given[0]
    limit, stop, stop_loss, take_profit = prices
    return Signal(
        kind,
        unit,
        _integer("market", market),
        _number(UNITS[unit], amount),
        _price("limit", limit),
        _price("stop", stop),
        _price("stop_loss", stop_loss),
        _price("take_profit", take_profit),
        _integer("expires", expires),
    )


ONE_AMOUNT: Final = "give exactly one of quantity, weight and notional"


def _number(name: str, value: object) -> float:
    if type(value) is float:
        return value
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        raise InputError(f"{name} must be a number, got {_short(value)}")
    try:
        return float(value)
    except (OverflowError, TypeError):
        raise InputError(f"{name} {_short(value)} does not fit a float (up to 1.8e308); use a smaller number") from None


def _price(name: str, value: object) -> float:
    if value is None:
        return _NAN
    price = _number(name, value)
    if math.isnan(price):
        raise InputError(f"{name} is NaN (an indicator still warming up?); give a price, or None for none")
    return price


def _integer(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise InputError(f"{name} must be a whole number, got {_short(value)}")
    if not -(2**63) <= value < 2**63:
        raise InputError(f"{name} {_short(value)} does not fit an int64; use a smaller number")
    return int(value)


def _short(value: object) -> str:
    """A value for a message: never a megabyte, never an exception (a huge int has no str)."""
    try:
        text = repr(value)
    except Exception:
        text = f"a {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:45]}... ({type(value).__name__})"
