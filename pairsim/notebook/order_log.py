"""The orders of a run as rows of a table, kept up to date from what is new in the journal; its fills by market, and
what went wrong with its traders.

Rule: bounded. Old orders that are final leave when there are too many; the journal keeps them all.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from pairsim.orders.order import TERMINAL, OrderType, Status

if TYPE_CHECKING:
    from pairsim.engine.plan import Plan
    from pairsim.store.reader import Reader

MOST_ORDERS: Final = 5_000
MOST_FILLS: Final = 1_000  # a market: more markers than a chart of candles can show
_DOUBTS: Final = (Status.PENDING_CANCEL, Status.UNKNOWN)


@dataclass(slots=True)
class OrderRow:
    """An order. Quantities and prices as floats, NaN absent; ``price`` is its limit, ``average`` that of its fills."""

    order_id: int
    client_order_id: str
    time: int
    market: str
    trader: str
    side: str
    kind: str
    quantity: float
    price: float
    stop: float
    units: int
    scale: float
    told: Status = Status.INITIALIZED
    filled_units: int = 0
    paid: float = 0.0
    reason: str = ""

    @property
    def filled(self) -> float:
        """How much of it has been filled."""
        return self.filled_units / self.scale

    @property
    def average(self) -> float:
        """Mean price of its fills, NaN before the first."""
        return self.paid / self.filled_units if self.filled_units else float("nan")

    @property
    def status(self) -> Status:
        """The rule of ``Reader.orders``: full is FILLED, an end or a doubt that was told stands, else fills say it."""
        if 0 < self.filled_units >= self.units:
            return Status.FILLED
        if self.told in TERMINAL or self.told in _DOUBTS:
            return self.told
        return Status.PARTIALLY_FILLED if self.filled_units else self.told


@dataclass(frozen=True, slots=True)
class FillRow:
    """A fill. ``time`` is feed time in ns, ``trader`` an index; ``number`` counts the fills of the store."""

    number: int
    time: int
    trader: int
    side: int
    quantity: float
    price: float


class Fills:
    """The last fills of one market, as bare numbers: a hundred markets full of objects would be 25 MB."""

    def __init__(self) -> None:
        names = "number", "time", "trader", "side", "quantity", "price"
        self._rows = np.empty(MOST_FILLS, list(zip(names, ("i8", "i8", "i4", "i4", "f8", "f8"), strict=True)))
        self._count = self._newest = 0

    def append(self, fill: tuple[int, int, int, int, float, float]) -> None:
        """Add the newest, in the order of the fields of `FillRow`."""
        self._rows[self._count % MOST_FILLS] = fill
        self._count, self._newest = self._count + 1, fill[0]

    def after(self, number: int) -> list[FillRow]:
        """Those with a higher number, oldest first."""
        if number >= self._newest:
            return []
        kept = np.roll(self._rows, -self._count) if self._count > MOST_FILLS else self._rows[: self._count]
        return [FillRow(*row) for row in kept[np.searchsorted(kept["number"], number, side="right") :].tolist()]

    def __iter__(self) -> Iterator[FillRow]:
        return iter(self.after(0))

    def __len__(self) -> int:
        return min(self._count, MOST_FILLS)


@dataclass
class OrderLog:
    """Orders by id, oldest first, the last fills of each market, and message and traceback of each failed trader."""

    plan: "Plan"
    orders: dict[int, OrderRow] = field(default_factory=dict)
    fills: dict[str, Fills] = field(default_factory=dict)
    failures: dict[int, tuple[str, str]] = field(default_factory=dict)
    changes: int = 0  # counts rows that were added or changed
    _seen: dict[str, int] | None = None  # of the journal's tables
    _changed_at: dict[int, int] = field(default_factory=dict)

    def read(self, reader: "Reader") -> bool:
        """Take what is new: at first the last orders of the run with their stories, then row by row. Whether there was
        anything.
        """
        if self._seen is None:
            told, seen = reader.last_orders(MOST_ORDERS)
            wrong, health = reader.news({"health": 0})
            told, self._seen = told | wrong, seen | health
        else:
            told, self._seen = reader.news(self._seen)
        self._take_orders(told["orders"])
        self._take_events(told["events"])
        self._take_fills(told["fills"])
        self._take_failures(told["health"])
        self._forget()
        return any(told.values())

    def changed_since(self, change: int) -> list[OrderRow]:
        """Rows that were added or changed after the ``change``-th change, oldest order first."""
        changed = takewhile(lambda key: self._changed_at[key] > change, reversed(self._changed_at))
        return [self.orders[key] for key in sorted(changed)]

    def _take_orders(self, rows: Iterable[tuple[Any, ...]]) -> None:
        from pairsim.store.schema import TABLES

        names = TABLES["orders"].stored
        for values in rows:
            row = _order_row(dict(zip(names, values, strict=True)), self.plan)
            self.orders[row.order_id] = row
            self._touch(row.order_id)

    def _take_events(self, rows: Iterable[tuple[Any, ...]]) -> None:
        for _, _, order_id, _, _, status, reason, _, _ in rows:
            row = self.orders.get(order_id)
            if row is not None:
                row.told = Status(status)
                row.reason = reason or row.reason
                self._touch(order_id)

    def _take_fills(self, rows: Iterable[tuple[Any, ...]]) -> None:
        for number, _, _, order_id, time, _, trader, market, side, quantity, price, _, _, _, _ in rows:
            instrument = self.plan.instruments[market]
            if instrument.symbol not in self.fills:
                self.fills[instrument.symbol] = Fills()
            self.fills[instrument.symbol].append(
                (number, time, trader, side, quantity / 10.0**instrument.base_scale, price)
            )
            row = self.orders.get(order_id)
            if row is not None:
                row.filled_units += quantity
                row.paid += quantity * price
                self._touch(order_id)

    def _take_failures(self, rows: Iterable[tuple[Any, ...]]) -> None:
        for _, _, _, _, trader, _, message, trace in rows:
            if trader is not None:
                self.failures[trader] = message, trace or ""

    def _touch(self, order_id: int) -> None:
        self.changes += 1
        self._changed_at.pop(order_id, None)  # so that the dictionary stays in the order of changes
        self._changed_at[order_id] = self.changes

    def _forget(self) -> None:
        if len(self.orders) <= MOST_ORDERS + MOST_ORDERS // 10:
            return
        final = [key for key, row in self.orders.items() if row.status in TERMINAL]
        for key in final[: len(self.orders) - MOST_ORDERS]:
            del self.orders[key], self._changed_at[key]


def _order_row(stored: Mapping[str, Any], plan: "Plan") -> OrderRow:
    instrument = plan.instruments[stored["market"]]
    scale = 10.0**instrument.base_scale
    nan = float("nan")
    return OrderRow(
        order_id=stored["order_id"],
        client_order_id=stored["client_order_id"],
        time=stored["timestamp"],
        market=instrument.symbol,
        trader=plan.traders[stored["trader"]].name,
        side="BUY" if stored["side"] > 0 else "SELL",
        kind=OrderType(stored["type"]).name,
        quantity=stored["quantity"] / scale,
        price=nan if stored["limit_price"] is None else stored["limit_price"],
        stop=nan if stored["stop_price"] is None else stored["stop_price"],
        units=stored["quantity"],
        scale=scale,
    )
