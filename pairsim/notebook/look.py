"""What is seen of a run at one moment, as plain values: views need no engine, and a test of a view needs no run.

Rule: an observer reads shared memory and decides nothing. What costs a question to the host is not asked here.
"""

import math
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from pairsim import clock
from pairsim.engine.handle import counters_of
from pairsim.engine.metrics import Metrics, measure
from pairsim.engine.snapshot import Portfolio
from pairsim.engine.status import Health, RunState, Status
from pairsim.portfolio.layout import (
    A_QUOTE_SCALE,
    ACCOUNT_WORDS,
    M_MARK,
    MARKET_WORDS,
    P_AVERAGE,
    P_FEES,
    P_FILLS,
    P_QUANTITY_F,
    P_REALISED,
    PAIR_WORDS,
)

if TYPE_CHECKING:
    from pairsim.engine.engine import Engine

FloatArray = npt.NDArray[np.float64]

ENDED: Final = (RunState.FINISHED, RunState.STOPPED, RunState.FAILED)
SLOW_NS: Final = 500_000_000  # channels and health: twice a second
RATE_NS: Final = 2_000_000_000  # rates are of the last two seconds


@dataclass(frozen=True, slots=True)
class Positions:
    """One element a trader and market, in the order of the plan; money in the quote currency, fees positive."""

    quantity: FloatArray
    average: FloatArray
    last: FloatArray
    value: FloatArray
    unrealised: FloatArray
    realised: FloatArray
    fees: FloatArray
    fills: npt.NDArray[np.int64]

    @property
    def pnl(self) -> FloatArray:
        """Won so far, after fees, open positions at the last price."""
        return self.realised + self.unrealised - self.fees


@dataclass(frozen=True, slots=True)
class Look:
    """A run at one moment.

    Attributes
    ----------
    pnl : float64[traders], after fees.
    candle_rate : candles a second over the last two seconds; NaN before.
    drawdown : below the highest equity seen so far, as a share of it, 0 or above.
    health : one a trader, without the text of a failure: only the host knows that.
    beat : counts the looks at channels and health, twice a second: as often as a reader follows a table.
    """

    status: Status
    cash: float
    equity: float
    opening: float
    positions: Positions
    pnl: FloatArray
    candle_rate: float = math.nan
    drawdown: float = 0.0
    metrics: Metrics = field(default_factory=Metrics)
    health: tuple[Health, ...] = ()
    beat: int = 0

    @property
    def ended(self) -> bool:
        """Whether nothing will change any more."""
        return self.status.state in ENDED


class Looker:
    """Looks at an engine; what is slow it looks at less often."""

    def __init__(self, engine: "Engine") -> None:
        self._engine = engine
        self._trader_of = np.array([trader for trader, _ in engine._plan.pairs], np.int64)
        self._peak = -math.inf
        self._seen: deque[tuple[int, int]] = deque()  # (monotonic ns, candles)
        self._slow_at = self._beat = 0
        self._metrics, self._health = Metrics(), tuple[Health, ...]()

    def look(self, *, everything: bool = False) -> Look:
        """The run now; ``everything`` looks at the slow parts whether it is time or not."""
        engine, now = self._engine, clock.monotonic_ns()
        status, portfolio = engine.status, engine.portfolio
        if everything or now >= self._slow_at or not self._health:
            self._slow_at, self._beat = now + SLOW_NS, self._beat + 1
            self._metrics = measure(engine._mem, engine._arena, engine._rows, None)
            self._health = counters_of(engine, range(len(engine._traders)))
        positions = positions_of(portfolio)
        pnl = np.zeros(len(engine._traders))
        np.add.at(pnl, self._trader_of, positions.pnl)
        if portfolio.equity > self._peak:  # False for NaN: the peak stays
            self._peak = portfolio.equity
        below = 1.0 - portfolio.equity / self._peak if self._peak > 0 else 0.0
        return Look(
            status, portfolio.cash, portfolio.equity, engine._cash, positions, pnl, self._rate(now, status.candles),
            below, self._metrics, self._health, self._beat,
        )  # fmt: skip

    def _rate(self, now: int, candles: int) -> float:
        self._seen.append((now, candles))
        while len(self._seen) > 2 and now - self._seen[0][0] > RATE_NS:
            self._seen.popleft()
        then, before = self._seen[0]
        return (candles - before) / (now - then) * 1e9 if now > then else math.nan


def positions_of(portfolio: Portfolio) -> Positions:
    """Positions of all pairs at once; flat at unknown prices where the run has not begun."""
    pairs = len(portfolio.plan.pairs)
    if portfolio.words is None:
        flat = np.zeros(pairs)
        return Positions(flat, flat, np.full(pairs, np.nan), flat, flat, flat, flat, np.zeros(pairs, np.int64))
    first = ACCOUNT_WORDS + len(portfolio.plan.instruments) * MARKET_WORDS
    cells = portfolio.words[first : first + pairs * PAIR_WORDS].reshape(pairs, PAIR_WORDS)
    floats, scale = cells.view(np.float64), float(portfolio.words.view(np.float64)[A_QUOTE_SCALE])
    marks = portfolio.words[ACCOUNT_WORDS:first].reshape(-1, MARKET_WORDS).view(np.float64)[:, M_MARK]
    last = marks[[market for _, market in portfolio.plan.pairs]]
    quantity, average = floats[:, P_QUANTITY_F], floats[:, P_AVERAGE]
    held = quantity != 0.0
    return Positions(
        quantity,
        average,
        last,
        np.where(held, quantity * last, 0.0),
        np.where(held, quantity * (last - average), 0.0),
        cells[:, P_REALISED] / scale,
        cells[:, P_FEES] / scale,
        cells[:, P_FILLS],
    )
