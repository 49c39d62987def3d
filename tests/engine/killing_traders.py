"""Traders whose state remembers every evaluation. The processes of a run load this file too: it imports pairsim only.

Each mixes all that it is shown into ``mix``, with a factor below one, so that an evaluation missed, done twice or done
on another portfolio changes every later value, and with them what is ordered.
"""

import os
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import pairsim as ps
from pairsim.feeds.feed import Records

SYMBOLS = tuple(f"{name}/USDT" for name in ("BTC", "ETH", "SOL", "SUI", "ADA"))


class Marker(ps.Strategy):
    """Market orders, closed again; now and then a share of equity, so that the quantity depends on the portfolio."""

    beat: int = ps.param(7, 2, 100)
    mix: float = ps.state(0.0)
    turn: int = ps.state(0)

    def indicators(self) -> dict[str, Any]:
        return {"rsi": ps.RSI(5), "top": ps.Highest(9)}

    def generate_signal(self, ctx: Any) -> Any:
        self.turn += 1
        seen = ctx.cash + ctx.equity + ctx.position.quantity * ctx.position.average_price + ctx.position.pending
        self.mix = self.mix * 0.93 + seen * 1e-4 + ctx.rsi + ctx.top - ctx.low
        if ctx.position.quantity > 0 and (self.turn % self.beat == 0 or ctx.rsi > 80.0):
            return ps.close()
        if ctx.position.quantity == 0 and (int(self.mix * 1e3) + self.turn) % self.beat == 0:
            return ps.buy(weight=0.03 + 0.01 * (self.turn % 3))  # a hundred of them spend more than there is
        return None


class Maker(ps.Strategy):
    """Pairs of limit orders that expire, replaced by the next."""

    beat: int = ps.param(5, 2, 100)
    mix: float = ps.state(0.0)
    turn: int = ps.state(0)
    last = ps.state([0.0, 0.0, 0.0, 0.0])

    def indicators(self) -> dict[str, Any]:
        return {"mean": ps.SMA(4), "spread": ps.StdDev(6)}

    def generate_signal(self, ctx: Any) -> Any:
        self.turn += 1
        self.last[self.turn % 4] = ctx.close
        self.mix = self.mix * 0.97 + ctx.mean * ctx.spread + ctx.cash * 1e-5 + ctx.position.quantity + self.last[0]
        if self.turn % self.beat == 0:
            low, high = ctx.mean - ctx.spread, ctx.mean + ctx.spread
            if ctx.position.quantity > 0:
                return ps.sell(ctx.position.quantity, limit=high, expires=3), ps.buy(notional=60, limit=low, expires=6)
            return ps.buy(notional=150.0 + self.turn % 50, limit=low, expires=4), ps.hold()
        if self.turn % (3 * self.beat) == 1:
            return ps.cancel(), ps.hold()
        return None


class Breaker(ps.Strategy):
    """Stop entries with protective orders."""

    beat: int = ps.param(9, 2, 100)
    mix: float = ps.state(0.0)
    turn: int = ps.state(0)
    highest: float = ps.state(0.0)

    def generate_signal(self, ctx: Any) -> Any:
        self.turn += 1
        self.highest = max(self.highest * 0.999, ctx.high)
        self.mix = self.mix * 0.9 + ctx.close * 0.01 + ctx.equity * 1e-4 + ctx.position.average_price * 1e-3
        if ctx.position.quantity == 0 and self.turn % self.beat == 0:
            touch = ctx.close * (1.0 + 0.0002 * (int(self.mix * 100.0) % 5))
            return ps.buy(notional=200, stop=touch, stop_loss=touch * 0.996, take_profit=touch * 1.004)
        return None


class Couple(ps.Strategy):
    """Two markets, held against each other."""

    markets = 2
    beat: int = ps.param(6, 2, 100)
    mix: float = ps.state(0.0)
    turn: int = ps.state(0)

    def indicators(self) -> dict[str, Any]:
        return {"score": ps.ZScore(8)}

    def generate_signal(self, ctx: Any) -> Any:
        self.turn += 1
        a, b = ctx.markets[0], ctx.markets[1]
        self.mix = (
            self.mix * 0.95 + a.score - 2.0 * b.score + a.position.quantity - b.position.pending + ctx.cash * 1e-5
        )
        if self.turn % self.beat:
            return None
        first = 0.004 if int(self.mix * 1e4) % 2 == 0 else 0.0
        return ps.target(weight=first), ps.target(weight=0.004 - first, market=1)


EVERY = (None, "3m", None, "5m", "2m", None, "15m")


def hundred() -> list[ps.Trader]:
    """A hundred compiled traders over five markets; one in ten has two of them."""
    traders = []
    for i in range(100):
        a, b = SYMBOLS[i % 5], SYMBOLS[(i + 1 + i // 25) % 5]
        every, beat = EVERY[i % 7], 2 + i % 9
        if i % 10 == 3:
            traders.append(ps.Trader((a, b), Couple(beat=beat), every=every, name=f"{i} couple"))
        else:
            strategy = (Marker(beat=beat), Maker(beat=beat), Breaker(beat=beat))[i % 3]
            traders.append(ps.Trader(a, strategy, every=every, name=f"{i} {type(strategy).__name__}"))
    return traders


class Scribe(ps.Strategy):
    """When it orders is up to the candles alone, and only then it looks at the portfolio: its orders are its log."""

    beat: int = ps.param(50, 2, 100_000)
    taker: bool = ps.param(False)
    prices: float = ps.state(0.0)
    seen: float = ps.state(0.0)
    candles: int = ps.state(0)
    orders: int = ps.state(0)

    def generate_signal(self, ctx: Any) -> Any:
        self.candles += 1
        self.prices = self.prices * 0.5 + ctx.close
        if int(ctx.close * 1e6) % self.beat == 0 and ctx.position.pending == 0.0:
            held = ctx.position.quantity * 7.0 + ctx.position.average_price
            self.seen = self.seen * 0.5 + ctx.cash * 0.25 + ctx.equity + held
            self.orders += 1
            if self.taker:
                return ps.buy(0.01) if self.orders % 2 else ps.sell(0.01)
            return ps.buy(0.02, limit=ctx.close * 0.999, expires=20)
        return None


class Staged:
    """A lockstep replay that stops before each of its parts until a file of that number lies in a folder.

    The first slice of a part waits for what the host wants to do, so a control record has the same place in each run.
    """

    validated = lockstep = True
    speed = None

    def __init__(self, bars: Any, parts: int, folder: Path) -> None:
        self._replay = ps.ReplayFeed(bars, speed=None, lockstep=True)
        self.interval, self.symbols = self._replay.interval, self._replay.symbols
        self.parts, self.folder = parts, folder
        slices = len(bars["timestamp"].unique())
        self.ends = [k * slices // parts for k in range(1, parts + 1)]  # slices handed out when a part has ended

    def go_on(self, part: int) -> None:
        """Let a part begin."""
        (self.folder / str(part)).touch()

    def candles(self, symbols: Sequence[str]) -> Iterator[Records]:
        """All slices, in so many parts."""
        records = np.concatenate(list(self._replay.candles(symbols)))
        begins = np.unique(records["open_time"], return_index=True)[1]
        bounds = [int(begins[k * len(begins) // self.parts]) for k in range(self.parts)]
        for k, (first, last) in enumerate(zip(bounds, [*bounds[1:], len(records)], strict=True)):
            while k and not (self.folder / str(k)).exists():
                time.sleep(0.001)
            yield records[first:last]


class Deadly(ps.Strategy):
    """Takes its process down at one candle, each time it is asked; plain Python, because it builds a set."""

    how: int = ps.param(0, 0, 2)
    turn: int = ps.state(0)

    def generate_signal(self, ctx: Any) -> Any:
        self.turn += 1
        if self.turn in {40}:
            if self.how == 0:
                os._exit(3)
            os.kill(os.getpid(), signal.SIGSEGV)
        return None


class MarkerPlain(Marker):
    """The same method, which stays plain Python because it builds a set."""

    def generate_signal(self, ctx: Any) -> Any:
        _ = {self.turn, "no machine code for this"}
        return super().generate_signal(ctx)
