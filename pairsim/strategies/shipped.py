"""Strategies that come with pairsim, each as a user would write it in a notebook cell. Long only.

Rule: nothing here that a user's class could not do; an average is "above" another when it compares so by ``>``.
"""

from typing import Any

from pairsim import indicators
from pairsim.strategies.declaration import param
from pairsim.strategies.signal import buy, close
from pairsim.strategies.strategy import Returned, Strategy

__all__ = ["RSI", "HeikinAshiMomentum", "Simple"]


class RSI(Strategy):
    """Buy when Wilder's RSI is below `low` and flat, close when it is above `high`.

    Parameters
    ----------
    period : candles of the RSI, 2 to 1000.
    low, high : levels of the RSI, 0 to 100.
    weight : share of the equity that a position takes, above 0 to 1.
    """

    period: int = param(14, 2, 1000)
    low: float = param(30.0, 0.0, 100.0)
    high: float = param(70.0, 0.0, 100.0)
    weight: float = param(0.25, 0.0, 1.0, above_low=True)

    def indicators(self) -> dict[str, Any]:
        return {"rsi": indicators.RSI(self.period)}

    def generate_signal(self, ctx: Any) -> Returned:
        if ctx.rsi < self.low and ctx.position.quantity == 0:
            return buy(weight=self.weight)
        if ctx.rsi > self.high and ctx.position.quantity > 0:
            return close()
        return None


class Simple(Strategy):
    """Moving-average crossover: long while the fast average is above the slow one.

    Parameters
    ----------
    fast, slow : candles of the averages, 2 to 1000.
    weight : share of the equity that a position takes, above 0 to 1.
    """

    fast: int = param(10, 2, 1000)
    slow: int = param(30, 2, 1000)
    weight: float = param(0.25, 0.0, 1.0, above_low=True)

    def indicators(self) -> dict[str, Any]:
        return {"fast": indicators.SMA(self.fast), "slow": indicators.SMA(self.slow)}

    def generate_signal(self, ctx: Any) -> Returned:
        if ctx.fast > ctx.slow and ctx.position.quantity == 0:
            return buy(weight=self.weight)
        if ctx.slow > ctx.fast and ctx.position.quantity > 0:
            return close()
        return None


class HeikinAshiMomentum(Strategy):
    """Buy a rising Heikin-Ashi candle with momentum behind it, close on a falling one without.

    Parameters
    ----------
    period : candles of the RSI that measures momentum, 2 to 1000.
    enter, leave : levels of the RSI, 0 to 100: above `enter` there is momentum, below `leave` there is none.
    weight : share of the equity that a position takes, above 0 to 1.
    """

    period: int = param(14, 2, 1000)
    enter: float = param(55.0, 0.0, 100.0)
    leave: float = param(45.0, 0.0, 100.0)
    weight: float = param(0.25, 0.0, 1.0, above_low=True)

    def indicators(self) -> dict[str, Any]:
        return {"averaged": indicators.HeikinAshi(), "momentum": indicators.RSI(self.period)}

    def generate_signal(self, ctx: Any) -> Returned:
        candle = ctx.averaged
        if candle.close > candle.open and ctx.momentum > self.enter and ctx.position.quantity == 0:
            return buy(weight=self.weight)
        if candle.open > candle.close and ctx.momentum < self.leave and ctx.position.quantity > 0:
            return close()
        return None
