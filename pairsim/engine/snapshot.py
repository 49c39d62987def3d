"""A whole picture of the portfolio, read from shared memory by an observer."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from pairsim.engine.arena import Arena
from pairsim.engine.plan import Plan
from pairsim.portfolio.layout import (
    A_CASH_F,
    A_EQUITY,
    A_QUOTE_SCALE,
    ACCOUNT_WORDS,
    M_MARK,
    MARKET_WORDS,
    P_AVERAGE,
    P_FEES,
    P_QUANTITY_F,
    P_REALISED,
    PAIR_WORDS,
    portfolio_words,
)

if TYPE_CHECKING:
    import polars as pl

TRIES = 10_000


@dataclass(frozen=True)
class Portfolio:
    """Cash and equity in the quote currency, and one row of ``positions`` a trader and market.

    ``positions`` columns: symbol, trader, quantity, average_price, last_price, value, unrealised, realised, fees.
    """

    cash: float
    equity: float
    plan: Plan = field(repr=False)
    words: np.ndarray | None = field(default=None, repr=False)

    @property
    def positions(self) -> "pl.DataFrame":
        """Positions as a polars frame, flat ones included."""
        import polars as pl

        schema = {"symbol": pl.String, "trader": pl.String} | dict.fromkeys(
            ("quantity", "average_price", "last_price", "value", "unrealised", "realised", "fees"), pl.Float64
        )
        rows = []
        for k, (trader, market) in enumerate(self.plan.pairs):
            name, symbol = self.plan.traders[trader].name, self.plan.symbols[market]
            rows.append((symbol, name, *self._numbers(k, market)))
        return pl.DataFrame(rows, schema=schema, orient="row")

    def _numbers(self, pair: int, market: int) -> tuple[float, ...]:
        if self.words is None:
            return (0.0, 0.0, float("nan"), 0.0, 0.0, 0.0, 0.0)
        floats = self.words.view(np.float64)
        markets = len(self.plan.instruments)
        cell = ACCOUNT_WORDS + markets * MARKET_WORDS + pair * PAIR_WORDS
        last = float(floats[ACCOUNT_WORDS + market * MARKET_WORDS + M_MARK])
        scale = float(floats[A_QUOTE_SCALE])
        quantity, average = float(floats[cell + P_QUANTITY_F]), float(floats[cell + P_AVERAGE])
        value = quantity * last if quantity else 0.0
        open_profit = quantity * (last - average) if quantity else 0.0
        return (
            quantity,
            average,
            last,
            value,
            open_profit,
            float(self.words[cell + P_REALISED]) / scale,
            float(self.words[cell + P_FEES]) / scale,
        )

    def _repr_html_(self) -> str:
        from pairsim.engine import display

        return display.portfolio_html(self)


def read_portfolio(mem: np.ndarray, arena: Arena, plan: Plan) -> Portfolio:
    """A copy taken between two equal, even sequences; after a writer that died in between, the last words as they
    are.
    """
    words = portfolio_words(len(plan.instruments), len(plan.pairs))
    copy = np.empty(words, np.int64)
    for _ in range(TRIES):
        before = int(mem[arena.portfolio])
        copy[:] = mem[arena.portfolio : arena.portfolio + words]
        if before & 1 == 0 and int(mem[arena.portfolio]) == before:
            break
    floats = copy.view(np.float64)
    return Portfolio(float(floats[A_CASH_F]), float(floats[A_EQUITY]), plan, copy)
