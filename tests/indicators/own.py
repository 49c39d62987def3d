"""Indicators as users write them, for the tests."""

import numpy as np

from pairsim.indicators import Indicator

# mypy: disable-error-code="no-untyped-def"


class Momentum(Indicator):
    period: int = 10
    lookback = property(lambda self: self.period + 1)

    def step(self, state, candle, past):
        return candle.close / past.close[0] - 1.0


def efficiency(values):
    """How straight the way was, 0 to 1."""
    return absolute(values[-1] - values[0]) / path(values)


def path(values):
    total = 1e-9
    for i in range(1, len(values)):
        total += absolute(values[i] - values[i - 1])
    return total


def absolute(x):
    return x if x > 0.0 else -x


class Adaptive(Indicator):
    """Kaufman's adaptive average: state, lookback, functions of one's own."""

    period: int = 10
    fast: float = 0.6
    slow: float = 0.06
    state = {"average": 0.0, "begun": False}  # noqa: RUF012
    limits = {"period": (2, 1_000)}  # noqa: RUF012
    lookback = property(lambda self: self.period)

    def step(self, state, candle, past):
        if not state.begun:
            state.begun = True
            state.average = candle.close
        weight = (self.slow + efficiency(past.close) * (self.fast - self.slow)) ** 2
        state.average += weight * (candle.close - state.average)
        return state.average


class Words(Indicator):
    """A parameter and a state of each type."""

    whole: int = 1
    real: float = 0.25
    choice: bool = False
    fields = ("sum", "chosen")
    state = {"count": 0, "total": 0.0, "chosen": False}  # noqa: RUF012

    def step(self, state, candle):
        state.count += 1
        state.chosen = self.choice
        state.total = state.count * self.whole if self.choice else state.count * self.real
        return state.total, 1.0 if state.chosen else 0.0


class Odd(Indicator):
    """What numba does not compile."""

    factor: int = 1

    def step(self, state, candle):
        return float(str(candle.close)) * self.factor


def momentum(close, length=5):
    return close / np.roll(close, length) - 1.0


def middle(high, low):
    return 0.5 * (high + low)
