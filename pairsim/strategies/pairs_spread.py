"""A strategy of two markets: trade the distance of one from what the other says it should be.

Rule: one record of exponential moments, updated at every candle; nothing is looked back at, so it costs the same for
any memory. As the other shipped strategies, it fits a cell.
"""

import math
from typing import Any

from pairsim.strategies.declaration import param, state
from pairsim.strategies.signal import close, target
from pairsim.strategies.strategy import Returned, Strategy

__all__ = ["PairsSpread"]


class PairsSpread(Strategy):
    """Sell the first market and buy the second when the first is dear against it, the other way round when it is cheap.

    The spread is what a regression of the first log price on the second one leaves over: ``a - mean(a) - hedge * (b -
    mean(b))`` with ``hedge = cov(a, b) / var(b)``, all moments exponential; its z-score is what is traded. One side is
    always short: live and in a backtest it needs ``SimBroker(short=True)``.

    Parameters
    ----------
    memory : candles of the exponential moments (their span), 10 to 10,000; as many pass before the first signal.
    enter, leave : z-score at which a position is opened, and at which it is closed again.
    weight : share of the equity that each of the two sides takes, above 0 to 1.
    """

    markets = 2
    memory: int = param(200, 10, 10_000)
    enter: float = param(2.0, 0.1, 10.0)
    leave: float = param(0.5, 0.0, 10.0)
    weight: float = param(0.25, 0.0, 1.0, above_low=True)
    seen: int = state(0)
    mean_a: float = state(0.0)
    mean_b: float = state(0.0)
    var_a: float = state(0.0)
    var_b: float = state(0.0)
    cov: float = state(0.0)

    def generate_signal(self, ctx: Any) -> Returned:
        a, b = math.log(ctx.markets[0].close), math.log(ctx.markets[1].close)
        share = max(2.0 / (self.memory + 1.0), 1.0 / (self.seen + 1.0))  # plain means until there is enough to forget
        from_a, from_b = a - self.mean_a, b - self.mean_b
        # West (1979), as exponential moments: the old deviation times the new one keeps variances above zero.
        self.mean_a += share * from_a
        self.mean_b += share * from_b
        self.var_a += share * (from_a * (a - self.mean_a) - self.var_a)
        self.var_b += share * (from_b * (b - self.mean_b) - self.var_b)
        self.cov += share * (from_a * (b - self.mean_b) - self.cov)
        self.seen += 1
        if self.seen < self.memory or self.var_b <= 0.0:
            return None
        hedge = self.cov / self.var_b
        variance = self.var_a - hedge * self.cov
        if variance <= 0.0:
            return None
        z = (a - self.mean_a - hedge * (b - self.mean_b)) / math.sqrt(variance)
        held = ctx.markets[0].position.quantity
        if held == 0.0 and z > self.enter:
            return target(weight=-self.weight, market=0), target(weight=self.weight, market=1)
        if held == 0.0 and z < -self.enter:
            return target(weight=self.weight, market=0), target(weight=-self.weight, market=1)
        if held != 0.0 and abs(z) < self.leave:
            return close(market=0), close(market=1)
        return None
