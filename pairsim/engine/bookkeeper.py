"""Books what happened to orders, durable first: whoever sees a position can find its fill in the journal.

The only writer of the portfolio while a run trades; lives in the order engine's loop.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

import numpy as np

from pairsim import clock
from pairsim.brokers.broker import Order
from pairsim.engine.arena import H_FEED_TIME, H_FILLS, H_MARKED, Arena
from pairsim.engine.booking import BOOK_END, BOOK_FILL, NO_ROWS, book_rows, mark_slice, store_and_wake
from pairsim.errors import StoreError
from pairsim.market.candle import CANDLE_WORDS
from pairsim.orders.order import OrderType
from pairsim.store.journal import Journal

LATENCIES = 4096
MARKS = 10  # marks of equity between fills that are written down together: a commit of each cost an idle run a third
_MARKET = int(OrderType.MARKET)

Spawn = Callable[[Coroutine[Any, Any, Any]], "asyncio.Task[Any]"]


class Bookkeeper:
    """Fills and ends of orders, gathered while the disk works and booked together."""

    def __init__(
        self, mem: np.ndarray, arena: Arena, journal: Journal, lockstep: bool, spawn: Spawn, fail: Callable[[str], None]
    ) -> None:
        self.mem, self.memf, self.arena, self.journal, self.lockstep = (
            mem,
            mem.view(np.float64),
            arena,
            journal,
            lockstep,
        )
        self.order_to_fill: deque[int] = deque(maxlen=LATENCIES)
        self._spawn, self._fail = spawn, fail
        self._waiting: list[list[int]] = []
        self._marks: list[tuple[int, float, float]] = []
        self._task: asyncio.Task[None] | None = None

    def fill(self, order: Order, pair: int, side: int, quantity: int, notional: int, fee: int) -> None:
        """A fill, in whole units."""
        self._waiting.append([BOOK_FILL, pair, side, quantity, notional, fee, 0, abs(order.emit_ns)])

    def end(self, order: Order) -> None:
        """An order is over: what was reserved for it is free."""
        self._waiting.append([BOOK_END, order.pair, 0, 0, 0, 0, int(order.kind == _MARKET), 0])

    def soon(self) -> None:
        """Book what waits, unless that is under way already."""
        if self._waiting and self._task is None:
            self._task = self._spawn(self._book())

    async def _book(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, []
                await self.journal.durable()
                equity, cash = self._write(np.array(batch, np.int64), not self.lockstep)
                self.mem[H_FILLS] += sum(row[0] == BOOK_FILL for row in batch)  # who counts a fill finds it booked
                now = clock.monotonic_ns()
                self.order_to_fill.extend(now - row[7] for row in batch if row[0] == BOOK_FILL and row[7] > 0)
                if not self.lockstep:
                    self._marks.append((int(self.mem[H_FEED_TIME]), equity, cash))
                    self.write_marks()
        except StoreError as error:
            self._fail(str(error))
        finally:
            self._task = None

    def _write(self, rows: np.ndarray, mark: bool) -> tuple[float, float]:
        equity, cash = book_rows(self.mem, self.memf, self.arena.portfolio, self.arena.board, rows, mark)
        return float(equity), float(cash)

    async def settled(self) -> None:
        """Wait until what has happened is booked."""
        while self._task is not None:
            await asyncio.shield(self._task)

    async def mark_slice(self, number: int, time: int, candles: list[list[int]]) -> None:
        """Lockstep: everything booked, then equity marked at the closes of a slice, then the feed may go on."""
        await self.settled()
        rows = np.array(candles, np.int64).reshape(-1, CANDLE_WORDS)
        equity, cash = mark_slice(self.mem, self.memf, self.arena.portfolio, rows, rows.view(np.float64), time)
        self.journal.append("equity", [(time, float(equity), float(cash))])
        store_and_wake(self.mem, H_MARKED, number)

    def mark(self, *, journal: bool) -> None:
        """Free running: equity at the last prices, now."""
        equity, cash = self._write(NO_ROWS, True)
        if journal and (time := int(self.mem[H_FEED_TIME])):
            self._marks.append((time, equity, cash))
            if len(self._marks) >= MARKS:
                self.write_marks()

    def write_marks(self) -> None:
        """Journal the marks of equity that wait."""
        if self._marks:
            self.journal.append("equity", self._marks)
            self._marks = []
