"""The orders of a run as a table; a row that is opened tells the order's story."""

import contextlib
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final

from pairsim.errors import PairsimError
from pairsim.notebook.look import Look
from pairsim.notebook.order_log import MOST_ORDERS, OrderRow
from pairsim.notebook.panels import ViewPanel
from pairsim.notebook.views import TableView
from pairsim.notebook.views.table import Column

if TYPE_CHECKING:
    import polars as pl

    from pairsim.notebook.source import Source
    from pairsim.notebook.views.view import Tone

COLUMNS: Final = (
    Column("time", "time"), Column("market"), Column("trader"), Column("side", "side"), Column("type"),
    Column("quantity", "number"), Column("limit", "number"), Column("filled", "number"),
    Column("average price", "number", width=104), Column("status", "status"), Column("reason", width=200),
    Column("order", width=120), Column("story", "detail"),
)  # fmt: skip


class OrdersPanel(ViewPanel):
    """The last orders, newest first."""

    def __init__(self, source: "Source") -> None:
        self._opened: SimpleQueue[str] = SimpleQueue()
        self._stories: dict[str, str] = {}  # of the orders that were opened
        self._seen = 0
        self.table = TableView(COLUMNS, key="order", title="Orders", limit=MOST_ORDERS, on_open=self._opened.put)
        super().__init__(source, self.table)

    def note(self, look: Look) -> "tuple[str, Tone]":
        """Says that there are none yet."""
        text, tone = super().note(look)
        return ("No orders yet", "muted") if not text and not self.source.orders.orders else (text, tone)

    def update(self, look: Look) -> None:
        """Rows that were added or changed, and the stories asked for."""
        log = self.source.orders
        changed = {row.client_order_id: row for row in log.changed_since(self._seen)}
        self._seen = log.changes
        asked: set[str] = set()
        with contextlib.suppress(Empty):
            while True:
                asked.add(self._opened.get_nowait())
        for name in asked | (self._stories.keys() & changed.keys()):
            self._stories[name] = self._story(name)
        by_name = {row.client_order_id: row for row in log.orders.values()} if asked - changed.keys() else {}
        changed |= {name: by_name[name] for name in asked if name in by_name}
        self.table.upsert(self._row(row) for row in changed.values())

    def _row(self, row: OrderRow) -> tuple[object, ...]:
        price = row.price if row.price == row.price else row.stop
        return (
            row.time, row.market, row.trader, row.side, row.kind, row.quantity, price, row.filled, row.average,
            row.status.name, row.reason, row.client_order_id, self._stories.get(row.client_order_id, ""),
        )  # fmt: skip

    def _story(self, name: str) -> str:
        try:
            journal = self.source.journal
            return "" if journal is None else story_text(journal.events(name))
        except PairsimError as error:
            return f"The story could not be read: {error}"


def story_text(story: "pl.DataFrame") -> str:
    """What happened to an order, a line a step."""
    lines = []
    for step in story.iter_rows(named=True):
        moment = f"{step['wall_time']:%H:%M:%S.%f}"[:-3]
        parts = [f"{moment}  {step['status'].lower().replace('_', ' '):<17}"]
        if step["quantity"] is not None:
            amount = f"{step['quantity']:,.8g} at {step['price']:,.8g}"
            parts.append(f"{amount}, fee {step['fee']:,.6g}, {step['liquidity'].lower()}")
        if step["reason"]:
            parts.append(step["reason"])
        lines.append("  ".join(parts).rstrip())
    return "\n".join(lines)
