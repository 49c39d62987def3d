"""A small venue for worked examples: orders by name, candles one after another, and a transcript of what happened.

It runs the kernels compiled or, with `plain`, as the Python they were written in: there numpy raises on any overflow
that int64 would swallow.
"""

from typing import NamedTuple

import numpy as np
import pytest

from pairsim.market.instrument import Instrument
from pairsim.orders import checks, matching, order_book, protective, sizing, venue_event
from pairsim.portfolio import accounting
from pairsim.portfolio.layout import (
    A_CASH,
    A_FEES,
    A_OPENING,
    A_REALISED,
    P_AVERAGE,
    P_COST,
    P_QUANTITY,
    P_REALISED,
    Costs,
    init_portfolio,
    portfolio_words,
)

NAN = float("nan")
STEP = 60  # from candle to candle; the first opens at 60
_KERNELS = (accounting, order_book, venue_event, protective, matching, checks, sizing)


def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace every kernel of orders and portfolio by its plain Python function, for one test."""
    for module in _KERNELS:
        for name, value in list(vars(module).items()):
            if hasattr(value, "py_func"):
                monkeypatch.setattr(module, name, value.py_func)


class Event(NamedTuple):
    """One row of what the kernel says, quantities and money in units."""

    kind: int
    order_id: int
    pair: int
    market: int
    side: int
    type: int
    time: int
    quantity: int
    notional: int
    fee: int
    liquidity: int
    final: int
    reason: int
    price: float
    late: int


class World:
    """A venue with one ledger; quantities and prices as people write them."""

    def __init__(
        self,
        *,
        cash: float = 10_000.0,
        fee_bps: float = 0.0,
        maker_fee_bps: float = 0.0,
        slippage_bps: float = 0.0,
        short: bool = False,
        participation: float = 0.0,
        pairs: tuple[tuple[int, int], ...] = ((0, 0),),
        capacity: int = 64,
        instrument: dict[str, object] | None = None,
    ) -> None:
        markets = 1 + max(market for _, market in pairs)
        rules = {"lot_size": 1.0} if instrument is None else instrument
        self.instruments = [Instrument(f"M{k}/USD", **rules) for k in range(markets)]  # type: ignore[arg-type]
        self.pairs, self.participation = pairs, participation
        self.mem = np.zeros(portfolio_words(markets, len(pairs)), np.int64)
        self.memf = self.mem.view(np.float64)
        costs = Costs(fee_bps, maker_fee_bps, slippage_bps, short)
        init_portfolio(self.mem, 0, self.instruments, pairs, cash, costs)
        orders, self.links = matching.new_book(capacity, markets)
        self.orders, self.events = _records(orders), _records(np.zeros(8 * capacity, matching.EVENT))
        self.next_id, self.time, self.names = matching.ID_STEP, STEP, dict[int, str]()
        self.base_scale = 10 ** self.instruments[0].base_scale
        self.quote_scale = 10 ** self.instruments[0].quote_scale

    def make_room(self) -> None:
        """Grow the book and the events as the venue does before it takes an order."""
        while len(self.orders) < 3 * (self.working + 1) + 8:
            self.orders = _records(matching.grow_book(self.orders, self.links))
            self.events = _records(np.zeros(8 * len(self.orders), matching.EVENT))

    # -- orders in ---------------------------------------------------------------------------------------------------

    def units(self, quantity: float) -> int:
        """Base units of a quantity."""
        return round(quantity * self.base_scale)

    def submit(
        self,
        name: str,
        side: int,
        quantity: float,
        *,
        limit: float = NAN,
        stop: float = NAN,
        stop_loss: float = NAN,
        take_profit: float = NAN,
        arrival: int = 0,
        expires: int = 0,
        pair: int = 0,
    ) -> int:
        """An order that is at the venue before the next candle, unless ``arrival`` says otherwise; returns its id."""
        order_id, self.next_id = self.next_id, self.next_id + matching.ID_STEP
        type_ = matching.STOP if stop == stop else (matching.LIMIT if limit == limit else matching.MARKET)
        matching.submit(
            self.orders, self.links, order_id, pair, self.pairs[pair][1], side, type_, self.units(quantity), limit,
            stop, stop_loss, take_profit, arrival, expires,
        )  # fmt: skip
        self.names |= {order_id: name, order_id + 1: f"{name}.stop_loss", order_id + 2: f"{name}.take_profit"}
        return order_id

    def buy(self, name: str, quantity: float, **options: float) -> int:
        """See `submit`."""
        return self.submit(name, 1, quantity, **options)  # type: ignore[arg-type]

    def sell(self, name: str, quantity: float, **options: float) -> int:
        """See `submit`."""
        return self.submit(name, -1, quantity, **options)  # type: ignore[arg-type]

    def cancel(self, *, at: int, pair: int = 0, reason: int = matching.BY_STRATEGY) -> None:
        """Ask for the cancel of a pair's entries."""
        matching.cancel_pair(self.orders, self.links, self.pairs[pair][1], pair, at, reason, False)

    # -- candles through ---------------------------------------------------------------------------------------------

    def match(
        self, opening: float, high: float, low: float, *, volume: float = 1e6, market: int = 0, time: int | None = None
    ) -> list[Event]:
        """Match the next candle; the kernel's events."""
        if time is not None:
            self.time = time
        n = matching.match_candle(
            self.orders, self.links, self.mem, self.memf, 0, market, self.time, opening, high, low, volume,
            self.participation, self.events, 0,
        )  # fmt: skip
        self.time += STEP
        return [Event(*row) for row in self.events[:n].tolist()]

    def candle(
        self, opening: float, high: float, low: float, *, volume: float = 1e6, market: int = 0, time: int | None = None
    ) -> list[str]:
        """Match the next candle; the transcript."""
        return self.transcript(self.match(opening, high, low, volume=volume, market=market, time=time))

    def end(self, *, kind: int = matching.EXPIRED, reason: int = matching.END_OF_DATA, pair: int = -1) -> list[str]:
        """End all that works; the transcript."""
        n = matching.end_orders(
            self.orders, self.links, len(self.instruments), kind, reason, self.time, pair, self.events, 0
        )
        return self.transcript([Event(*row) for row in self.events[:n].tolist()])

    def transcript(self, events: list[Event]) -> list[str]:
        """``a bought 10 @ 100 taker``; ``partly`` where the order goes on, and the reason where there is one."""
        lines = []
        for e in events:
            reason = f": {matching.REASONS[e.reason]}" if e.reason else ""
            amount = f"{e.quantity / self.base_scale:g} @ {e.price!r}".removesuffix(".0")
            if e.kind == matching.FILL:
                did = ("" if e.final else "partly ") + ("bought" if e.side > 0 else "sold")
                what = f"{did} {amount} {'maker' if e.liquidity else 'taker'}{reason}"
            elif e.kind == matching.ARMED:
                what = f"armed {amount}"
            else:
                what = {matching.CANCELED: "canceled", matching.EXPIRED: "expired", matching.REJECTED: "rejected"}[
                    e.kind
                ]
                what += reason
            lines.append(f"{self.names[e.order_id]} {what}")
        return lines

    # -- what stands in the ledger -----------------------------------------------------------------------------------

    @property
    def cash(self) -> float:
        """Cash in the quote currency."""
        return int(self.mem[A_CASH]) / self.quote_scale

    @property
    def fees(self) -> float:
        """Fees paid."""
        return int(self.mem[A_FEES]) / self.quote_scale

    @property
    def realised(self) -> float:
        """Realised profit, fees apart."""
        return int(self.mem[A_REALISED]) / self.quote_scale

    @property
    def opening(self) -> float:
        """Cash at the beginning."""
        return int(self.mem[A_OPENING]) / self.quote_scale

    @property
    def working(self) -> int:
        """Orders in the book."""
        return int(self.links[matching.COUNT])

    def cell(self, pair: int = 0) -> int:
        """First word of a pair's cell."""
        return int(accounting.pair_cell(self.mem, 0, pair))

    def held(self, pair: int = 0) -> float:
        """Position of a pair."""
        return int(self.mem[self.cell(pair) + P_QUANTITY]) / self.base_scale

    def average(self, pair: int = 0) -> float:
        """Average price of a pair."""
        return float(self.memf[self.cell(pair) + P_AVERAGE])

    def cost(self, pair: int = 0) -> float:
        """What a pair's position cost."""
        return int(self.mem[self.cell(pair) + P_COST]) / self.quote_scale

    def pair_realised(self, pair: int = 0) -> float:
        """Realised profit of a pair."""
        return int(self.mem[self.cell(pair) + P_REALISED]) / self.quote_scale


def _records(rows: np.ndarray) -> np.ndarray:
    """Plain Python reads and writes a row by attribute only as a record; numba takes the array as it is."""
    return rows if hasattr(matching.submit, "py_func") else rows.view(np.recarray)
