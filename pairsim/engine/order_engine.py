"""The order engine: an asyncio loop in a thread of the host.

An order's way: decision from the gate -> duplicate check -> intent into the journal -> durable -> broker (the desk of
the simulated venue, or one's own) -> fill into the journal -> durable -> portfolio (the bookkeeper). It never waits for
a candle, and nothing here decides a price, a size or a fee: that is the kernels' work.

What was taken in together waits for the disk together, in one task; the desk of a broker of one's own, which does I/O
for each order, makes a task per order from there. The simulated venue answers at once: a task for each of its orders
was a third of what an order costs.
"""

import asyncio
import threading
import traceback
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from math import nan
from typing import Any

import numpy as np

from pairsim import clock
from pairsim.brokers.broker import Broker, Order
from pairsim.brokers.sim import SimBroker
from pairsim.channels.ring import arm_consumer
from pairsim.channels.waiting import Doorbell
from pairsim.engine.arena import (
    BOARD_CLOSE,
    BOARD_WORDS,
    H_DENIED,
    H_DUPLICATES,
    H_FEED_TIME,
    H_ORDERS,
    H_SUBMITTED,
    H_TRADING,
    Arena,
)
from pairsim.engine.booking import begin_orders, store_and_wake, take
from pairsim.engine.bookkeeper import LATENCIES, Bookkeeper
from pairsim.engine.broker_desk import BrokerDesk
from pairsim.engine.broker_reports import BrokerReports
from pairsim.engine.desk import Cancel, Desk
from pairsim.engine.gate import SLICE_END
from pairsim.engine.layout import T_PAIR
from pairsim.engine.live_orders import LiveOrders, order_row
from pairsim.engine.plan import Plan
from pairsim.engine.venue_desk import VenueDesk
from pairsim.engine.worker_loop import SLICE
from pairsim.errors import StoreError
from pairsim.market.candle import CANDLE_WORDS, KIND_SHIFT
from pairsim.orders import checks, matching
from pairsim.orders.order import (
    D_CASH,
    D_EMIT,
    D_EQUITY,
    D_N,
    D_NUMBER,
    D_ORDER,
    D_ORDERS,
    D_SEQUENCE,
    D_SNAPSHOT,
    D_TICK,
    D_TIME,
    D_TRADER,
    DECISION_WORDS,
    ORDER_WORDS,
    SNAPSHOT_WORDS,
    OrderType,
    Status,
)
from pairsim.portfolio.accounting import pair_cell
from pairsim.portfolio.layout import A_QUOTE_SCALE, ACCOUNT_WORDS, M_BASE_SCALE, MARKET_WORDS, P_QUANTITY
from pairsim.store.journal import Journal

TAKE = 128  # decisions taken per callback, so that candles and timers get their turn
BEHIND = 8_192  # rows that wait for the disk: from there on decisions stay in their ring, and so the feed slows down
MARK_SECONDS = 0.1
_MARKET = int(OrderType.MARKET)
_TYPES = [t.name for t in OrderType]
_SIDES = {1: "BUY", -1: "SELL"}
_NO_PROTECTION = "this broker takes no stop_loss or take_profit; use SimBroker, or stop= and limit= orders"


class OrderEngine:
    """Executes orders. Made by the host; runs in a thread of its own; `call` reaches it from other threads."""

    def __init__(
        self,
        mem: np.ndarray,
        arena: Arena,
        plan: Plan,
        broker: Broker | SimBroker,
        journal: Journal,
        bell: Doorbell,
        lockstep: bool,
    ) -> None:
        self.mem, self.memf = mem, mem.view(np.float64)
        self.arena, self.plan, self.journal = arena, plan, journal
        self.bell, self.lockstep = bell, lockstep
        self.last_number = [0] * len(plan.traders)
        self.count = self.manual = 0
        self.quote_scale = float(self.memf[arena.portfolio + A_QUOTE_SCALE])
        first_cell = arena.portfolio + ACCOUNT_WORDS + M_BASE_SCALE
        self.base_scales = self.memf[first_cell : first_cell + arena.markets * MARKET_WORDS : MARKET_WORDS].tolist()
        self.first_pairs = plan.rows[:, T_PAIR].tolist()
        self.slice_tasks: list[asyncio.Task[None]] = []
        self.turn: asyncio.Future[None] | None = None  # of the last order taken in
        self.catching_up: asyncio.Task[None] | None = None
        self.slice_candles: list[list[int]] = []
        self.tasks: set[asyncio.Task[Any]] = set()
        self.sending: set[asyncio.Task[None]] = set()
        self.tick_to_order: deque[int] = deque(maxlen=LATENCIES)
        self.order_to_durable: deque[int] = deque(maxlen=LATENCIES)
        self.loop = asyncio.new_event_loop()
        self.error: str = ""
        self.on_error: Callable[[str], None] = lambda message: None  # the broker said something odd
        self.on_failure: Callable[[str], None] = lambda message: None  # no order can be sent any more
        self.books = Bookkeeper(mem, arena, journal, lockstep, self._spawn, self._fail)
        self.live = LiveOrders(mem, self.books, journal.highest["orders"])
        self.desk = self._desk(broker)
        self._decisions = np.zeros((TAKE, DECISION_WORDS), np.int64)
        self._candles = np.zeros((1024, CANDLE_WORDS), np.int64)
        self._stopping = asyncio.Event()
        self.thread = threading.Thread(target=self._run, name="pairsim-orders", daemon=True)

    def _desk(self, broker: Broker | SimBroker) -> Desk:
        mem, arena, plan, journal, live = self.mem, self.arena, self.plan, self.journal, self.live
        if isinstance(broker, SimBroker):
            return VenueDesk(mem, arena, plan, journal, live, broker, self.lockstep, self._halted)
        reports = BrokerReports(mem, arena, plan, journal, live, lambda what: self.on_error(what), journal.trade_ids())
        return BrokerDesk(broker, reports, live, len(plan.pairs), self._halted, self._withdraw)

    # -- other threads -----------------------------------------------------------------------------------------------

    def call(self, work: Callable[[], Coroutine[Any, Any, Any]]) -> Future[Any]:
        """Run a coroutine function in the loop."""
        return asyncio.run_coroutine_threadsafe(work(), self.loop)

    def stop(self, timeout: float = 5.0) -> None:
        """End the loop after what is under way."""
        if self.thread.is_alive():
            self.loop.call_soon_threadsafe(self._stopping.set)
            self.thread.join(timeout)

    # -- the loop ----------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_until_complete(self._main())
        except BaseException as error:  # the edge of the thread, where an exit in user code ends too
            self._fail(f"{type(error).__name__}: {error}")

    async def _main(self) -> None:
        await self.desk.open()
        self.loop.add_reader(self.bell.fd, self._on_bell)
        if not self.lockstep:
            self.loop.call_later(MARK_SECONDS, self._mark_now)
        self._on_bell()
        await self._stopping.wait()
        self.loop.remove_reader(self.bell.fd)
        if self.tasks:
            await asyncio.wait(self.tasks, timeout=2.0)
        await self.desk.close()
        if not self.error:
            self.books.write_marks()

    def _on_bell(self) -> None:
        self.bell.clear()
        self._work()

    def _work(self) -> None:
        behind = self.journal.queued > BEHIND
        try:
            candles, decisions = self._take_candles(), 0 if behind else self._take_decisions()
        except Exception as error:
            traceback.print_exc()
            self._fail(f"{type(error).__name__}: {error}")
            raise
        armed = arm_consumer(self.mem, self.arena.broker_ring) and (
            behind or arm_consumer(self.mem, self.arena.gate_ring)
        )
        if candles or decisions or not armed:
            self.loop.call_soon(self._work)
        elif behind and self.catching_up is None:
            self.catching_up = self._spawn(self._catch_up())

    async def _catch_up(self) -> None:
        """Go on taking decisions when the disk has what there is."""
        try:
            await self.journal.durable()
        except StoreError as error:
            self._fail(str(error))
            return
        finally:
            self.catching_up = None
        self._work()

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        task = self.loop.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: "asyncio.Task[Any]") -> None:
        self.tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(f"{type(error).__name__}: {error}")

    def _fail(self, message: str) -> None:
        """Fail closed: no new order is accepted; what works at the broker is left as it is and said."""
        if not self.error:
            self.error = message
            self.mem[H_TRADING] = checks.HALT
            self.on_failure(message)

    # -- decisions in ------------------------------------------------------------------------------------------------

    def _take_decisions(self) -> int:
        count = take(self.mem, self.arena.gate_ring, self._decisions)
        if count == 0:
            return 0
        rows: list[tuple[Any, ...]] = []
        events: list[tuple[Any, ...]] = []
        begun: list[tuple[int, int, int, bool]] = []
        ready: list[Order | Cancel] = []
        wall = clock.wall_ns()
        taken = self._decisions[:count, : D_ORDER + ORDER_WORDS * int(self._decisions[:count, D_ORDERS].max())]
        for d, f in zip(taken.tolist(), taken.view(np.float64).tolist(), strict=True):
            if d[D_TRADER] == SLICE_END:
                self._flush(rows, events, begun, ready)
                rows, events, begun, ready = [], [], [], []
                tasks, self.slice_tasks = self.slice_tasks, []
                self._spawn(self._end_slice(d[D_TIME], tasks))
                continue
            if d[D_NUMBER] <= self.last_number[d[D_TRADER]]:
                self.mem[H_DUPLICATES] += 1  # a guard: exactly-once evaluation leaves nothing for it
                continue
            self.last_number[d[D_TRADER]] = d[D_NUMBER]
            self.tick_to_order.append(d[D_EMIT] - d[D_TICK])
            self._open_decision(d, f, wall, rows, events, begun, ready)
        self._flush(rows, events, begun, ready)
        return count

    def _open_decision(self, d: Any, f: Any, wall: int, rows: Any, events: Any, begun: Any, ready: Any) -> None:
        trader, number = d[D_TRADER], d[D_NUMBER]
        name, previous = self.plan.traders[trader].name, -1
        for j in range(d[D_ORDERS]):
            o = D_ORDER + j * ORDER_WORDS
            pair, side, kind, units = d[o], d[o + 1], d[o + 2], d[o + 3]
            market = self.plan.pairs[pair][1]
            first, previous = pair != previous, pair
            if side == 0:
                if first:  # it takes back what worked before its decision, not what stands before it there
                    next_id = matching.ID_STEP * (self.count + 1)  # as the backtest numbers it
                    ready.append(Cancel(pair, market, d[D_TIME], next_id))
                continue
            self.count += 1
            base_scale = self.base_scales[market]
            order = Order(
                self.live.next_id(), f"{self.journal.run}-{number}-{trader}-{j}", d[D_TIME], self.plan.symbols[market],
                name, _SIDES[side],
                _TYPES[kind], units / base_scale, f[o + 4], f[o + 5], f[o + 6], f[o + 7], d[o + 8],
                float(self.memf[self.arena.board + market * BOARD_WORDS + BOARD_CLOSE]),
                matching.ID_STEP * self.count, pair, market, side,
                kind, units, emit_ns=d[D_EMIT], replaces=first,
            )  # fmt: skip
            s = D_SNAPSHOT + (pair - self.first_pairs[trader]) * SNAPSHOT_WORDS
            snapshot = (d[s] / base_scale, f[s + 1], f[s + 2], d[D_CASH] / self.quote_scale, f[D_EQUITY], d[D_SEQUENCE])
            rows.append(order_row(order, wall, trader, d[D_N], j, None, snapshot))
            reason = checks.REASONS[d[o + 9]]
            if (
                not reason
                and not self.desk.protects
                and not (order.stop_loss != order.stop_loss and order.take_profit != order.take_profit)
            ):
                reason = _NO_PROTECTION
            if reason:
                order.status = Status.DENIED
                events.append((order.order_id, d[D_TIME], wall, int(Status.DENIED), reason, 0, None))
                self.mem[H_DENIED] += 1
            else:
                ready.append(order)
            begun.append((pair, number, int(kind == _MARKET), not reason))

    def _flush(self, rows: Any, events: Any, begun: Any, ready: Sequence[Order | Cancel]) -> None:
        if rows:
            self.mem[H_ORDERS] += len(rows)
            self.journal.append("orders", rows)
        if events:
            self.journal.append("events", events)
        if begun:
            begin_orders(self.mem, self.arena.portfolio, np.array(begun, np.int64))
        for order in ready:
            if isinstance(order, Order):
                self.live.begin(order)
        if ready:
            before, self.turn = self.turn, self.loop.create_future()
            task = self._spawn(self._execute(ready, before, self.turn))
            self.sending.add(task)
            task.add_done_callback(self.sending.discard)
            if self.lockstep:
                self.slice_tasks.append(task)

    # -- orders out --------------------------------------------------------------------------------------------------

    async def _execute(
        self, ready: "Sequence[Order | Cancel]", before: "asyncio.Future[None] | None", turn: "asyncio.Future[None]"
    ) -> None:
        """The life of orders up to the broker. An intent that is not durable is never sent, and none overtakes
        another: the later ones may find their rows on disk while the earlier ones have not been woken yet.
        """
        try:
            await self.journal.durable()
            if before is not None and not before.done():
                await before
        except StoreError as error:
            self._fail(str(error))
            return
        finally:
            if not turn.done():  # who waits for it goes on behind what follows here without a pause
                turn.set_result(None)
        now = clock.monotonic_ns()
        self.order_to_durable.extend(now - order.emit_ns for order in ready if isinstance(order, Order))
        await self.desk.execute(ready)

    def _halted(self, order: Order) -> bool:
        """Whether the kill switch came after an order's verdict; then it is withdrawn."""
        if order.manual or self.mem[H_TRADING] != checks.HALT:
            return False
        self._withdraw(order, matching.HALTED)
        return True

    def _withdraw(self, order: Order, why: int) -> None:
        """End an order that was never sent."""
        order.status = Status.CANCELED
        reason = matching.REASONS[why]
        row = (order.order_id, int(self.mem[H_FEED_TIME]), clock.wall_ns(), int(Status.CANCELED), reason, 0, None)
        self.journal.append("events", [row])
        self.live.end(order)
        self.books.end(order)
        self.books.soon()

    # -- candles in --------------------------------------------------------------------------------------------------

    def _take_candles(self) -> int:
        count = take(self.mem, self.arena.broker_ring, self._candles)
        if count == 0:
            return 0
        start = 0
        if self.lockstep:
            for end in np.flatnonzero(self._candles[:count, 0] >> KIND_SHIFT == SLICE).tolist():
                self._match(self._candles[start:end])
                _, number, time = self._candles[end, :3].tolist()
                self._spawn(self.books.mark_slice(number, time, self.slice_candles))
                self.slice_candles, start = [], end + 1
        self._match(self._candles[start:count])
        return count

    def _match(self, candles: np.ndarray) -> None:
        if self.lockstep:
            self.slice_candles += candles.tolist()
        if len(candles):
            self.desk.match(candles)

    # -- marking -----------------------------------------------------------------------------------------------------

    async def _end_slice(self, number: int, tasks: "list[asyncio.Task[None]]") -> None:
        if tasks:
            await asyncio.wait(tasks)
        store_and_wake(self.mem, H_SUBMITTED, number)

    def _mark_now(self) -> None:
        try:
            if not self.error:
                self.desk.say_what_works()
            self.books.mark(journal=not self.error)
        except StoreError as error:
            self._fail(str(error))
        self.loop.call_later(MARK_SECONDS, self._mark_now)

    # -- commands ----------------------------------------------------------------------------------------------------

    async def halt(self) -> int:
        """Nothing works at the broker when this is done; returns how many orders did. Trading is halted already."""
        if self.sending:
            await asyncio.wait(set(self.sending), timeout=1.0)
        return await self.end_all(Status.CANCELED, matching.HALTED)

    async def end_all(self, status: Status, reason: int) -> int:
        """Take every working order out of the market; returns how many."""
        count = len(self.live)
        await self.desk.end_all(status, reason, int(self.mem[H_FEED_TIME]))
        await self.books.settled()
        return count

    async def flatten(self) -> int:
        """Send a market order against what of each position is not being closed already; returns how many. They pass
        whatever the trading state is: they only reduce.
        """
        await self.books.settled()  # what has been filled stands in the positions
        time, wall, base = int(self.mem[H_FEED_TIME]), clock.wall_ns(), self.arena.portfolio
        rows, ready = [], []
        for pair, (trader, market) in enumerate(self.plan.pairs):
            held = int(self.mem[pair_cell(self.mem, base, pair) + P_QUANTITY])
            units = abs(held) - self.live.closing(pair, held)
            if units <= 0:
                continue
            self.count, self.manual = self.count + 1, self.manual + 1
            side = -1 if held > 0 else 1
            order = Order(
                self.live.next_id(), f"{self.journal.run}-m{self.manual}-{trader}-0", time, self.plan.symbols[market],
                self.plan.traders[trader].name, _SIDES[side], "MARKET",
                units / self.base_scales[market], nan, nan, nan, nan,
                0, float(self.memf[self.arena.board + market * BOARD_WORDS + BOARD_CLOSE]),
                matching.ID_STEP * self.count, pair, market, side,
                _MARKET, units, emit_ns=clock.monotonic_ns(), replaces=True,
                manual=True,
            )  # fmt: skip
            rows.append(order_row(order, wall, trader, None, None, None, (None,) * 6))
            ready.append(order)
        begun = [(o.pair, self.last_number[self.plan.pairs[o.pair][0]], 1, True) for o in ready]
        self._flush(rows, [], begun, ready)
        return len(ready)

    async def drained(self, seconds: float) -> None:
        """Wait until no task is under way and all is booked; what a broker has not answered by then is given up."""
        me, deadline = asyncio.current_task(), self.loop.time() + seconds
        while others := [t for t in self.tasks if t is not me]:
            left = deadline - self.loop.time()
            if left <= 0:
                for task in self.sending:
                    task.cancel()
                await asyncio.wait(others, timeout=1.0)
                break
            await asyncio.wait(others, timeout=min(left, 1.0))
        await self.books.settled()
