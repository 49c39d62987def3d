"""The port to a place where orders are executed: a small protocol in plain Python, run in the host's event loop.

A broker of one's own in ten lines::

    class Instant:                                   # fills at once at the last price
        async def connect(self, reports):
            self.reports = reports

        async def submit(self, order):
            self.reports.accepted(order)
            self.reports.filled(order, order.quantity, order.last_price)

        async def cancel(self, order):
            self.reports.canceled(order)
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(slots=True, eq=False)
class Order:
    """An order as a broker sees it.

    ``quantity`` is in the base asset, prices in the quote currency; NaN means absent. ``timestamp`` is the feed time of
    the decision, int ns. The order engine keeps ``status`` and what was filled.
    """

    order_id: int
    client_order_id: str
    timestamp: int
    symbol: str
    trader: str
    side: str
    type: str
    quantity: float
    limit_price: float
    stop_price: float
    stop_loss: float
    take_profit: float
    expires: int
    last_price: float
    # What the machine itself goes by: indices, and quantities in whole units.
    venue_id: int
    pair: int
    market: int
    sign: int
    kind: int
    units: int
    filled_units: int = 0
    status: int = 0
    emit_ns: int = 0
    replaces: bool = False  # first of a decision: the pair's working entries go before it
    manual: bool = False  # by the user's hand, not a strategy's: it passes a halt


class Reports(Protocol):
    """What a broker tells the order engine. Call these from the event loop's thread, in the order things happened."""

    def accepted(self, order: Order) -> None:
        """The venue works the order."""

    def filled(
        self,
        order: Order,
        quantity: float,
        price: float,
        *,
        fee: float = 0.0,
        maker: bool = False,
        trade_id: str | None = None,
        timestamp: int | None = None,
    ) -> None:
        """A fill: quantity in the base asset, fee in the quote currency, ``timestamp`` in feed time (ns).

        Numbers may be floats, Decimals or a venue's text. ``trade_id`` is the venue's, unique in the store; a fill told
        again with it counts once, one of another order with it is refused (BrokerError).
        """

    def rejected(self, order: Order, reason: str) -> None:
        """The venue definitely refused the order."""

    def canceled(self, order: Order, reason: str = "") -> None:
        """The order is out of the market."""

    def expired(self, order: Order, reason: str = "") -> None:
        """The order's time is over."""


@runtime_checkable
class Broker(Protocol):
    """Where orders are executed.

    ``submit`` returns once the venue has taken the order; what becomes of it is told to the `Reports` given to
    ``connect``. An exception from ``submit`` leaves the order UNKNOWN: it may live at the venue, and is never sent
    again; its trader waits until the broker reports what became of it. Optional: ``fee_bps``, ``slippage_bps``,
    ``short`` (what sizes and checks assume), ``close()``.
    """

    async def connect(self, reports: Reports) -> None:
        """Called once before the first order."""

    async def submit(self, order: Order) -> None:
        """Send an order."""

    async def cancel(self, order: Order) -> None:
        """Ask for the cancel of a working order."""
