"""What a lockstep run must leave, by the backtest loop, and what it left: plain rows, compared bit for bit."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

import pairsim as ps
from pairsim.engine.plan import make_plan
from pairsim.market.frames import to_columns
from pairsim.market.interval import parse_interval
from pairsim.orders import checks, matching
from pairsim.orders.order import Liquidity, OrderType
from pairsim.portfolio.layout import A_CASH_F, ACCOUNT_WORDS, MARKET_WORDS, P_QUANTITY_F, PAIR_WORDS
from pairsim.research.simulate import Simulation, simulate

CASH = 100_000.0
_SIDES = {1: "BUY", -1: "SELL"}
_STATUS = {
    matching.FILL: "FILLED",
    matching.CANCELED: "CANCELED",
    matching.EXPIRED: "EXPIRED",
    matching.REJECTED: "REJECTED",
}


@dataclass(frozen=True)
class Outcome:
    """Orders by client order id (without the run's number), fills as booked, equity marks, what is left at the end.

    An order: timestamp, symbol, trader, side, type, quantity, limit, stop, status, filled quantity, reason.
    """

    orders: dict[str, tuple[Any, ...]]
    fills: list[tuple[Any, ...]]
    equity: list[tuple[int, float]]
    cash: float
    quantities: list[float]


def backtested(
    traders: Sequence[ps.Trader],
    frame: pl.DataFrame,
    *,
    interval: str = "1m",
    broker: ps.SimBroker | None = None,
    instruments: Sequence[ps.Instrument] = (),
    cash: float = CASH,
) -> Outcome:
    """The outcome by the plain loop over the same kernels."""
    plan = make_plan(traders, parse_interval(interval), instruments)
    return _Reading(simulate(plan, to_columns(frame, plan.symbols), broker or ps.SimBroker(), cash)).outcome()


def left_by(engine: ps.Engine) -> Outcome:
    """The outcome of a run, by the engine's frames."""
    ns = pl.col("timestamp").to_physical()
    name = pl.col("client_order_id").str.replace(r"^\d+-", "")
    told = engine.orders.select(
        name, ns, "symbol", "trader", "side", "type", "quantity", "limit_price", "stop_price", "status",
        "filled_quantity", "reason",
    )  # fmt: skip
    fills = engine.fills.select(
        ns, "symbol", "trader", "side", "quantity", "price", "fee", "liquidity", name, "notional"
    )
    portfolio = engine.portfolio
    return Outcome(
        {row[0]: row[1:] for row in told.rows()},
        fills.rows(),
        engine.equity.select(ns, "equity").rows(),
        portfolio.cash,
        portfolio.positions["quantity"].to_list(),
    )


def assert_same(left: Outcome, right: Outcome) -> None:
    """Bit for bit; the first difference is named."""
    for name in sorted(left.orders.keys() | right.orders.keys()):
        assert left.orders.get(name) == right.orders.get(name), (
            f"order {name}: {left.orders.get(name)} != {right.orders.get(name)}"
        )
    for what in ("fills", "equity"):
        one, other = getattr(left, what), getattr(right, what)
        for k, (a, b) in enumerate(zip(one, other, strict=False)):
            assert a == b, f"{what}, row {k}"
        assert len(one) == len(other), what
    assert (left.cash, left.quantities) == (right.cash, right.quantities)


class _Reading:
    """Puts names to the numbers of a simulation."""

    def __init__(self, run: Simulation) -> None:
        self.run, self.plan = run, run.plan
        self.units = [10.0**i.base_scale for i in run.plan.instruments]
        self.money = 10.0 ** run.plan.instruments[0].quote_scale
        self.names = {int(row["order_id"]): f"{row['number']}-{row['trader']}-{row['signal']}" for row in run.orders}

    def outcome(self) -> Outcome:
        orders, ends, filled, fills = self._intents()
        for event in self.run.events:
            number = int(event["order_id"])
            if event["kind"] == matching.ARMED:
                orders[number] = self._armed(event)
            if event["kind"] == matching.FILL:
                filled[number] = filled.get(number, 0) + int(event["quantity"])
                fills.append(self._fill(event))
            if event["final"]:
                ends[number] = _STATUS[int(event["kind"])], matching.REASONS[event["reason"]] or None
        whole = {}
        for number, (units, row) in orders.items():
            status, reason = ends[number]
            done = filled.get(number, 0)
            if status == "FILLED" and reason is None and done < units:  # a protective order closes what is there
                reason = matching.REASONS[matching.TRIMMED_POSITION]
            unit = self.units[self.plan.symbols.index(row[1])]
            whole[self.names[number]] = (*row, "FILLED" if 0 < units <= done else status, done / unit, reason)
        floats, pairs, markets = self.run.portfolio.view(np.float64), len(self.plan.pairs), len(self.plan.instruments)
        cells = [ACCOUNT_WORDS + markets * MARKET_WORDS + k * PAIR_WORDS for k in range(pairs)]
        return Outcome(
            whole,
            fills,
            list(zip(self.run.times.tolist(), self.run.equity.tolist(), strict=True)),
            float(floats[A_CASH_F]),
            [float(floats[cell + P_QUANTITY_F]) for cell in cells],
        )

    def _intents(self) -> tuple[dict[int, Any], dict[int, tuple[str, str | None]], dict[int, int], list[Any]]:
        orders, ends = {}, {}
        for row in self.run.orders:
            number, market = int(row["order_id"]), int(row["market"])
            orders[number] = (
                int(row["quantity"]),
                (
                    *self._head(row["time"], market, row["trader"], row["side"], row["type"]),
                    float(row["quantity"] / self.units[market]),
                    _absent(row["limit"]),
                    _absent(row["stop"]),
                ),
            )
            if row["verdict"]:
                ends[number] = "DENIED", checks.REASONS[row["verdict"]]
        return orders, ends, {}, []

    def _head(self, time: int, market: int, trader: int, side: int, kind: int) -> tuple[Any, ...]:
        name = self.plan.traders[trader].name
        return int(time), self.plan.symbols[market], name, _SIDES[int(side)], OrderType(kind).name

    def _armed(self, event: Any) -> tuple[int, tuple[Any, ...]]:
        trader, market = self.plan.pairs[event["pair"]]
        stop, price = event["type"] == matching.STOP_LOSS, float(event["price"])
        number = int(event["order_id"])
        parent = self.names[number // matching.ID_STEP * matching.ID_STEP]
        self.names[number] = f"{parent}-{'sl' if stop else 'tp'}"
        return int(event["quantity"]), (
            *self._head(event["time"], market, trader, event["side"], event["type"]),
            float(event["quantity"] / self.units[market]),
            None if stop else price,
            price if stop else None,
        )

    def _fill(self, event: Any) -> tuple[Any, ...]:
        trader, market = self.plan.pairs[event["pair"]]
        time, symbol, name, side, _ = self._head(event["time"], market, trader, event["side"], event["type"])
        return (
            time, symbol, name, side, float(event["quantity"] / self.units[market]), float(event["price"]),
            float(event["fee"] / self.money), Liquidity(event["liquidity"]).name, self.names[int(event["order_id"])],
            float(event["notional"] / self.money),
        )  # fmt: skip


def _absent(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
