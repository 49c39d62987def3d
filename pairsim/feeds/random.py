"""Random candles for any market, for ever: the default feed. The walk itself is pairsim.market.walk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from pairsim import clock
from pairsim.errors import InputError
from pairsim.feeds.feed import BATCH_ROWS, Records, check_speed
from pairsim.market.candle import CANDLE
from pairsim.market.interval import Interval, Moment, format_interval, format_time, parse_interval, parse_time
from pairsim.market.walk import Walk, check_seed, check_symbols, check_volatility


class RandomFeed:
    """Random OHLC candles of whatever markets are asked for, each a geometric random walk.

    Parameters
    ----------
    tick : length of a candle in feed time.
    speed : seconds of feed time in one second; None is as fast as the channels take.
    seed : the same seed gives the same prices, whatever other markets run and however the candles are batched.
    volatility : standard deviation of the yearly log return; 0.6 is 60 %.
    start : open time of the first candle, floored to the tick; None is the time of the first use.
    n : candles of each market before the feed ends; None is for ever.
    lockstep : time slice by time slice, every trader done before the next.

    Notes
    -----
    The path is defined before the start as well, so ``history`` joins the first candle and traders start warm.
    Known assets begin near their real price, others at one drawn by their name.

    Examples
    --------
    >>> feed = RandomFeed("100ms", seed=7, start="2025-01-01", n=3)
    >>> next(iter(feed.candles(["BTC/USDT"])))["open"][0]
    np.float64(60000.0)
    """

    symbols = None
    validated = True

    def __init__(
        self,
        tick: Interval = "100ms",
        speed: float | None = 1.0,
        seed: int = 0,
        volatility: float = 0.6,
        start: Moment | None = None,
        n: int | None = None,
        *,
        lockstep: bool = False,
    ) -> None:
        self.interval = parse_interval(tick)
        self.speed = check_speed(speed)
        self.seed = check_seed(seed)
        self.volatility = check_volatility(volatility)
        self.lockstep = bool(lockstep)
        if n is not None and (isinstance(n, bool) or not hasattr(n, "__index__") or n < 1):
            raise InputError(f"n={n!r}: give a whole number of candles of each market, 1 or more, or None for no end")
        self.n = None if n is None else int(n)
        self._start_ns = None if start is None else self._floor(parse_time(start))

    @property
    def start_time(self) -> int:
        """Open time of the first candle, ns. Without ``start=`` it is fixed by the first look at it."""
        if self._start_ns is None:
            self._start_ns = self._floor(clock.wall_ns())
        return self._start_ns

    def candles(self, symbols: Sequence[str]) -> Iterator[Records]:
        """CANDLE arrays of whole time slices, from the start on."""
        walk = self._walk(symbols)
        slices = max(1, BATCH_ROWS // len(symbols))
        left = self.n
        while left is None or left > 0:
            step = slices if left is None else min(slices, left)
            yield walk.forward(step)
            left = None if left is None else left - step

    def history(self, symbols: Sequence[str], until_ns: int | None, candles: int) -> Records:
        """The last ``candles`` of each market that are complete at ``until_ns`` (None: at the start), oldest first."""
        until = self.start_time if until_ns is None else until_ns
        end = (until - self.start_time) // self.interval  # complete are candles ..., end - 2, end - 1
        if self.n is not None:
            end = min(end, self.n)
        walk, markets = self._walk(symbols), len(symbols)
        parts = [walk.backward(candles - end)[: candles * markets]] if end < candles else []
        at, first = 0, max(0, end - candles)
        while at < end:
            # What lies between the start and the first candle wanted is walked through in batches and let go.
            step = min(max(1, BATCH_ROWS // markets), (first if at < first else end) - at)
            part = walk.forward(step)
            if at >= first:
                parts.append(part)
            at += step
        return np.concatenate(parts) if parts else np.empty(0, CANDLE)

    def _walk(self, symbols: Sequence[str]) -> Walk:
        return Walk(check_symbols(symbols), self.interval, self.start_time, self.seed, self.volatility)

    def _floor(self, time_ns: int) -> int:
        return time_ns - time_ns % self.interval

    def __repr__(self) -> str:
        start = "" if self._start_ns is None else f", start={format_time(self._start_ns)!r}"
        end = "" if self.n is None else f", n={self.n}"
        lockstep = ", lockstep=True" if self.lockstep else ""
        return (
            f"RandomFeed({format_interval(self.interval)!r}, speed={self.speed}, seed={self.seed}, "
            f"volatility={self.volatility:g}{start}{end}{lockstep})"
        )
