"""The desk between the order engine and the simulated venue: what happened there is written down and booked.

It decides nothing: prices, sizes and fees are the matching kernel's.
"""

from collections.abc import Sequence
from math import nan
from typing import Any

import numpy as np

from pairsim import clock
from pairsim.brokers.broker import Order
from pairsim.brokers.sim import SimBroker, Venue
from pairsim.engine.arena import BOARD_NUMBER, BOARD_TIME, BOARD_WORDS, H_LATE, H_ORDERS, Arena
from pairsim.engine.desk import Cancel, Halted
from pairsim.engine.live_orders import LiveOrders, order_row
from pairsim.engine.plan import Plan
from pairsim.orders import matching
from pairsim.orders.order import OrderType, Status
from pairsim.portfolio.layout import ACCOUNT_WORDS, M_BASE_SCALE, MARKET_WORDS
from pairsim.store.journal import Journal

_MARKET = int(OrderType.MARKET)
_TYPES = [t.name for t in OrderType]
_SIDES = {1: "BUY", -1: "SELL"}
_STATUS_OF = {matching.CANCELED: Status.CANCELED, matching.EXPIRED: Status.EXPIRED, matching.REJECTED: Status.REJECTED}
PRICE = 13  # place in an EVENT row


class VenueDesk:
    """See `Desk`."""

    protects = True

    def __init__(
        self, mem: np.ndarray, arena: Arena, plan: Plan, journal: Journal, live: LiveOrders, broker: SimBroker,
        lockstep: bool, halted: Halted,
    ) -> None:  # fmt: skip
        self.mem, self.memf, self.arena, self.plan, self.journal = mem, mem.view(np.float64), arena, plan, journal
        self.live, self.books, self.broker, self.lockstep, self.halted = live, live.books, broker, lockstep, halted
        ledger = mem[arena.portfolio : arena.board].copy()
        ledger[0] = 0
        self.venue = Venue(broker, ledger, arena.markets)
        self._working = [0] * arena.markets
        self._trades = 0
        self._last_filled: Order | None = None
        self._unsaid: list[Order] = []  # market orders sent: most are filled before anybody could read that they work

    async def open(self) -> None:
        """The venue is always open."""

    async def close(self) -> None:
        """It has nothing to close."""

    async def execute(self, ready: Sequence[Order | Cancel]) -> None:
        """It answers at once: nothing is waited for."""
        for order in ready:
            if isinstance(order, Cancel):
                self._cancel(*order)
            elif not self.halted(order):
                self._submit(order)

    def _submit(self, order: Order) -> None:
        arrival = self.broker.arrival(order.timestamp, order.venue_id)
        if order.replaces:
            self.venue.cancel_working(order.market, order.pair, arrival, matching.REPLACED)
        self.live[order.venue_id] = order
        # Before the look at the board: at most a candle of the block being sent now is missed and not called late.
        self._wants_candles(order.market, 1)
        order.status = Status.ACCEPTED
        board = self.arena.board + order.market * BOARD_WORDS
        if not self.lockstep and self.mem[board + BOARD_NUMBER] >= 0 and self.mem[board + BOARD_TIME] >= arrival:
            order.emit_ns = -abs(order.emit_ns)  # its candle has passed: the fill will be marked late
        self.venue.submit(order, arrival)
        if order.kind != _MARKET:
            self._say_accepted([order])
        elif not self.lockstep:
            self._unsaid.append(order)

    def say_what_works(self) -> None:
        """Write down that the venue has the market orders which still wait for their candle."""
        unsaid, self._unsaid = self._unsaid, []
        self._say_accepted([o for o in unsaid if o.venue_id in self.live and not o.filled_units])

    def _say_accepted(self, orders: list[Order]) -> None:
        wall = clock.wall_ns()
        rows = [(o.order_id, o.timestamp, wall, int(Status.ACCEPTED), None, 0, None) for o in orders]
        if rows:
            self.journal.append("events", rows)

    def _cancel(self, pair: int, market: int, time: int, number: int) -> None:
        """Cancel what works of a trader in a market, decided at ``time``; the delay is drawn from ``number``."""
        self.venue.cancel_working(market, pair, self.broker.arrival(time, number), matching.BY_STRATEGY)

    def match(self, candles: np.ndarray) -> None:
        """Let the venue see candles, records int64[n, 8]."""
        self._apply(self.venue.match_all(candles))

    async def end_all(self, status: Status, reason: int, time: int) -> None:
        """Take every working order out of the market."""
        kind = matching.EXPIRED if status is Status.EXPIRED else matching.CANCELED
        self._apply(self.venue.end(kind, reason, time))

    def _wants_candles(self, market: int, change: int) -> None:
        """One order more (1) or less (-1) at the venue: the feed sends it a market's candles only while it has any."""
        self._working[market] += change
        self.mem[self.arena.working + market] = self._working[market]

    def _apply(self, happened: list[Any]) -> None:
        """Journal what happened at the venue, and queue its booking."""
        if not happened:
            return
        wall = clock.wall_ns()
        orders: list[tuple[Any, ...]] = []
        events: list[tuple[Any, ...]] = []
        fills: list[tuple[Any, ...]] = []
        for event in happened:
            (
                kind,
                venue_id,
                pair,
                market,
                side,
                type_,
                time,
                quantity,
                notional,
                fee,
                liquidity,
                final,
                reason,
                price,
                _,
            ) = event
            if kind == matching.ARMED:
                orders.append(self._arm(event, wall))
                continue
            order = self.live[venue_id]
            if kind == matching.FILL:
                self._last_filled = order
                self._trades += 1
                late = order.emit_ns < 0
                self.mem[H_LATE] += late
                order.filled_units += quantity
                trader = self.plan.pairs[pair][0]
                fills.append(
                    (f"{self.journal.run}-{self._trades}", order.order_id, time, wall, trader, market, side, quantity,
                    price, notional, fee,
                     liquidity, int(late))
                )  # fmt: skip
                self.books.fill(order, pair, side, quantity, notional, fee)
                order.status = Status.FILLED if final else Status.PARTIALLY_FILLED
                if final and order.filled_units < order.units:
                    why = matching.REASONS[reason or matching.TRIMMED_POSITION]
                    events.append((order.order_id, time, wall, int(Status.FILLED), why, order.filled_units, None))
            else:
                order.status = _STATUS_OF[kind]
                events.append(
                    (order.order_id, time, wall, int(order.status), matching.REASONS[reason], order.filled_units, None)
                )
            if final:
                del self.live[venue_id]
                self._wants_candles(market, -1)
                self.live.end(order)
                if type_ <= matching.STOP:
                    self.books.end(order)
        for table, rows in (("orders", orders), ("events", events), ("fills", fills)):
            if rows:
                self.journal.append(table, rows)
        self.books.soon()

    def _arm(self, event: Any, wall: int) -> tuple[Any, ...]:
        """A protective order that a fill of its parent has set up: from now on it is an order like any other."""
        _, venue_id, pair, market, side, type_, time, units, *_ = event
        price = event[PRICE]
        parent_id = venue_id // matching.ID_STEP * matching.ID_STEP
        parent = self.live.get(parent_id, self._last_filled)  # a parent filled whole has just left
        assert parent is not None and parent.venue_id == parent_id
        self.mem[H_ORDERS] += 1
        cell = self.arena.portfolio + ACCOUNT_WORDS + market * MARKET_WORDS
        stop = type_ == matching.STOP_LOSS
        order = Order(
            self.live.next_id(), f"{parent.client_order_id}-{'sl' if stop else 'tp'}", time, parent.symbol,
            parent.trader, _SIDES[side], _TYPES[type_], units / float(self.memf[cell + M_BASE_SCALE]),
            nan if stop else price, price if stop else nan, nan, nan, 0, price,
            venue_id, pair, market, side, type_, units, status=Status.ACCEPTED, emit_ns=clock.monotonic_ns(),
        )  # fmt: skip
        self.live[venue_id] = order
        self._wants_candles(market, 1)
        self.live.begin(order)
        return order_row(order, wall, self.plan.pairs[pair][0], None, None, parent.order_id, (None,) * 6)
