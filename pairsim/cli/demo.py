"""What ``pairsim demo`` runs: three traders on random candles, the same candles whenever it is started.

Pure until `make_engine`: options are checked here, with the value, the limit and the next step.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pairsim.errors import InputError

if TYPE_CHECKING:
    from pairsim.engine.engine import Engine
    from pairsim.engine.trader import Trader
    from pairsim.feeds.random import RandomFeed

MARKETS = ("SUI/USDT", "SOL/USDT", "BTC/USDT")
SECONDS = 30.0
SPEED = 60.0
# With this seed each of the three has filled within a second of the default speed and all have sold again within ten,
# so a short look shows everything. Found by computing the rules over the candles of the first half hour, for thousands
# of seeds; tests/cli holds it. Not by profit: the walk is a martingale, so that what the run loses is its fees.
SEED = 459
START = "2025-01-01"  # fixed, so that the candles are: traders' intervals are cut from it
CASH = 100_000.0
WEIGHT = 0.25
LATENCY_MS = 50

MOST_SECONDS = 86_400.0
MOST_MARKETS = 100
_SYMBOL = re.compile(r"[A-Za-z0-9._-]{1,20}/[A-Za-z0-9._-]{1,20}")


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for. ``speed`` None is as fast as the channels take; ``store`` None keeps nothing."""

    seconds: float = SECONDS
    markets: tuple[str, ...] = MARKETS
    speed: float | None = SPEED
    seed: int = SEED
    store: Path | None = None


def parse_seconds(text: str) -> float:
    """Seconds to run.

    Raises
    ------
    InputError : no number, or outside the limits.
    """
    seconds = _number(text)
    if seconds is None or not 0 < seconds <= MOST_SECONDS:
        raise InputError(
            f"{text!r} must be a number of seconds above 0 and at most {MOST_SECONDS:,.0f} (a day), such as 30"
        )
    return seconds


def parse_speed(text: str) -> float | None:
    """A factor above 0, or None for the word "max".

    Raises
    ------
    InputError : it is neither.
    """
    if text.strip().lower() == "max":
        return None
    speed = _number(text)
    if speed is None or not 0 < speed <= 1e9:
        raise InputError(
            f"{text!r} must be a factor above 0 and at most 1e9: 1 is real time, 60 a minute in a second; "
            f"or max, for as fast as the machine goes"
        )
    return speed


def parse_seed(text: str) -> int:
    """A whole number of 64 bits.

    Raises
    ------
    InputError : it is none.
    """
    try:
        seed = int(text)
    except ValueError:
        seed = 1 << 63
    if not -(1 << 63) <= seed < 1 << 63:
        raise InputError(
            f"{text!r} must be a whole number of at most 64 bits, such as 7; the same seed gives the same candles"
        )
    return seed


def parse_markets(text: str) -> tuple[str, ...]:
    """Symbols in a list with commas, all paid for in one currency.

    Raises
    ------
    InputError : one is no symbol or comes twice, there are too many, or their quote currencies differ.
    """
    symbols = tuple(part.strip() for part in text.split(",") if part.strip())
    if not symbols:
        raise InputError(f'{text!r} names no market; give symbols with commas between, such as "BTC/USDT,ETH/USDT"')
    for symbol in symbols:
        if not _SYMBOL.fullmatch(symbol):
            raise InputError(
                f'{symbol!r} is no symbol; write BASE/QUOTE with commas between, such as "BTC/USDT,ETH/USDT"'
            )
        if symbols.count(symbol) > 1:
            raise InputError(
                f"{symbol!r} comes {symbols.count(symbol)} times; name each market once, it gets one trader"
            )
    quotes = sorted({symbol.partition("/")[2] for symbol in symbols})
    if len(quotes) > 1:
        raise InputError(
            f"the markets are paid for in {' and '.join(quotes)}, an engine has one account in one currency; "
            f"choose markets that end in /{quotes[0]}"
        )
    if len(symbols) > MOST_MARKETS:
        raise InputError(
            f"{len(symbols)} markets, the demo shows at most {MOST_MARKETS}; for more write a script with ps.Engine"
        )
    return symbols


def make_traders(markets: tuple[str, ...]) -> "list[Trader]":
    """A trader a market, by turns RSI on 5 s, Simple on 2 s, RSI on 15 s; beyond four they share the cash evenly."""
    from pairsim.engine.trader import Trader
    from pairsim.strategies.shipped import RSI, Simple

    weight = min(WEIGHT, 1.0 / len(markets))
    turns = ((RSI, "5s"), (Simple, "2s"), (RSI, "15s"))
    out = []
    for k, symbol in enumerate(markets):
        strategy, every = turns[k % len(turns)]
        out.append(Trader(symbol, strategy(weight=weight), every=every))
    return out


def make_feed(options: Options, *, n: int | None = None, lockstep: bool = False) -> "RandomFeed":
    """The demo's candles; ``n`` ends them after so many of each market."""
    from pairsim.feeds.random import RandomFeed

    return RandomFeed("100ms", speed=options.speed, seed=options.seed, start=START, n=n, lockstep=lockstep)


def make_engine(options: Options, feed: "RandomFeed | None" = None) -> "Engine":
    """The demo's engine, not started. Compiles the strategies.

    Raises
    ------
    PairsimError : the store or the machine does not allow it; the message says why.
    """
    from pairsim.brokers.sim import SimBroker
    from pairsim.engine.engine import Engine

    return Engine(
        make_traders(options.markets),
        make_feed(options) if feed is None else feed,
        SimBroker(latency=f"{LATENCY_MS}ms", fee_bps=10),
        cash=CASH,
        store=options.store,
    )


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
