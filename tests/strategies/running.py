"""Running a strategy by its C address, one candle at a time: what worker and backtest do, in Python."""

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np

from pairsim.indicators import Indicator
from pairsim.strategies import SIGNAL, Signal, StrategyCode

GENERATE = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_ssize_t] * 5)


class One(Indicator):
    """An indicator with one output whose values the test makes up."""


class Three(Indicator):
    """An indicator with three outputs whose values the test makes up."""

    fields = ("line", "signal", "histogram")


class Runner:
    """One strategy in one mode, with memory of its own."""

    def __init__(self, code: StrategyCode, address: int) -> None:
        self.code = code
        self.record = code.initial_record()
        self.view = np.zeros(4 + 8 * code.markets, np.int64)
        self.values = np.full(max(1, code.markets * code.outputs), np.nan)
        self.previous = self.values.copy()
        self.out = np.zeros(5 * SIGNAL.itemsize // 8, np.int64)
        self._generate = GENERATE(address)

    def step(
        self,
        markets: Sequence[Sequence[float]],
        values: Sequence[float] = (),
        *,
        time: int = 0,
        cash: float = 1e4,
        equity: float = 1e4,
    ) -> int:
        """Evaluate one candle. A market is open, high, low, close, volume, quantity, average_price, pending."""
        self.view[0] = time
        floats = self.view.view(np.float64)
        floats[2:4] = cash, equity
        floats[4:] = np.asarray(markets, np.float64).ravel()
        self.previous[:] = self.values
        if len(values):
            self.values[:] = values
        self.out[:] = -1
        blocks = (self.record, self.view, self.values, self.previous, self.out)
        count = self._generate(*(block.ctypes.data for block in blocks))
        self.view[1] += 1
        return int(count)

    def signals(self, count: int) -> list[Signal]:
        """The signals that the last step wrote."""
        rows = self.out[: SIGNAL.itemsize // 8 * max(0, count)].view(SIGNAL)
        return [Signal(*row.tolist()) for row in rows]

    def fields(self) -> dict[str, Any]:
        """Parameters and states by name."""
        row = self.record.view(self.code.record)[0]
        return {name: row[name].tolist() for name in self.code.record.names or ()}


def both(code: StrategyCode) -> tuple[Runner, Runner]:
    """The compiled strategy and its plain twin."""
    assert code.compiled, code.reason
    return Runner(code, code.address()), Runner(code, code.plain().address())


def candle(close: float = 100.0, quantity: float = 0.0, **more: float) -> list[list[float]]:
    """One market with a candle and a position."""
    row = {"open": close, "high": close, "low": close, "close": close, "volume": 1.0, "quantity": quantity}
    row |= {"average_price": 0.0, "pending": 0.0} | more
    return [list(row.values())]
