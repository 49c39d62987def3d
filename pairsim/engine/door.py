"""The door of an engine: what it is given, checked before anything starts. Pure; says value, limit and next step."""

import os
from collections.abc import Iterable, Sequence
from inspect import iscoroutinefunction
from numbers import Real
from pathlib import Path

from pairsim.brokers.broker import Broker
from pairsim.brokers.sim import SimBroker
from pairsim.engine.display import port
from pairsim.engine.trader import Trader
from pairsim.errors import InputError
from pairsim.market.instrument import Instrument

MOST_WORKERS = 256
_METHODS = ("connect", "submit", "cancel")


def checked_traders(traders: Trader | Sequence[Trader]) -> tuple[Trader, ...]:
    """One trader or several, as a tuple."""
    if isinstance(traders, Trader):
        return (traders,)
    several = tuple(traders) if isinstance(traders, Iterable) else ()
    if not several or not all(isinstance(t, Trader) for t in several):
        raise InputError(f"traders={traders!r}: give a ps.Trader or a list of them")
    return several


def checked_cash(cash: float) -> float:
    """Opening cash; how much can be counted is the portfolio's to say."""
    if isinstance(cash, bool) or not isinstance(cash, Real) or not 0 < cash < float("inf"):
        raise InputError(f"cash={cash!r} must be a number above 0: it is what the account opens with")
    return float(cash)


def checked_workers(workers: int | None) -> int | None:
    """How many worker processes; None leaves it to the engine."""
    if workers is None:
        return None
    if isinstance(workers, bool) or not isinstance(workers, int) or not 1 <= workers <= MOST_WORKERS:
        raise InputError(f"workers={workers!r} must be a whole number from 1 to {MOST_WORKERS}, or None")
    return workers


def checked_broker(broker: Broker | SimBroker | None) -> Broker | SimBroker:
    """Where orders go, by default to a simulated venue."""
    if broker is None:
        return SimBroker()
    if isinstance(broker, type):
        raise InputError(f"broker={broker.__name__} is a class; pass an instance: {broker.__name__}()")
    if isinstance(broker, SimBroker):
        return broker
    lacking = [name for name in _METHODS if not iscoroutinefunction(getattr(broker, name, None))]
    if lacking:
        raise InputError(
            f"broker={port(broker)} has no `async def {lacking[0]}`; use ps.SimBroker(), or write a class with the "
            f"coroutines {', '.join(_METHODS)} (see ps.brokers.Broker)"
        )
    return broker


def checked_instruments(instruments: Sequence[Instrument]) -> tuple[Instrument, ...]:
    """Declared markets, each once."""
    several = tuple(instruments) if isinstance(instruments, Iterable) else ()
    if not all(isinstance(i, Instrument) for i in several) or (instruments and not several):
        raise InputError(f"instruments={instruments!r}: give a list of ps.Instrument")
    symbols = [i.symbol for i in several]
    for symbol in symbols:
        if symbols.count(symbol) > 1:
            raise InputError(f"{symbols.count(symbol)} instruments are called {symbol!r}; declare a market once")
    return several


def checked_store(store: str | Path | None) -> Path | None:
    """Path of a journal; whether it can be one is looked at when it is opened."""
    if store is None:
        return None
    if not isinstance(store, (str, os.PathLike)) or not str(store):
        raise InputError(f'store={store!r}: give the path of a file, such as "run.db", or None for a temporary one')
    return Path(store)
