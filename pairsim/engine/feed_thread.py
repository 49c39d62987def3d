"""The feed thread of the host: reads a feed, keeps its pace, dispatches, and is the only one that writes into candle
rings.

Control of traders goes through it too, as records between candles; so what reaches a trader has one order, and can be
replayed.
"""

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from pairsim import clock
from pairsim.channels.ring import record
from pairsim.channels.waiting import Doorbell
from pairsim.engine.arena import (
    H_FEED_TIME,
    H_MARKED,
    H_QUARANTINED,
    H_SLICES,
    H_SUBMITTED,
    Arena,
)
from pairsim.engine.candles import read_candles
from pairsim.engine.dispatch import (
    F_BASE,
    F_BOARD,
    F_BROKER,
    F_BROKER_FD,
    F_CAPACITY,
    F_CREDITS,
    F_HISTORY,
    F_KEEP,
    F_KEPT,
    F_LOCKSTEP,
    F_MARKETS,
    F_SERIES,
    F_WORKING,
    FEED_WORDS,
    await_drained,
    dispatch,
    push_record,
    send_slice,
)
from pairsim.engine.gate import await_word, raise_barrier
from pairsim.engine.layout import T_INTERVAL, T_MARKET, T_MARKETS, T_WARMUP
from pairsim.engine.parentage import pin_to
from pairsim.engine.plan import Plan
from pairsim.engine.worker_loop import CANDLE, HISTORY, SLICE
from pairsim.feeds.feed import Feed, batches, history_of, is_live, is_lockstep, speed_of
from pairsim.feeds.quarantine import Quarantine
from pairsim.market.candle import KIND_SHIFT

WAIT_NS = 100_000_000
LONGEST_SLEEP = 0.2  # seconds between two looks at what the host wants
WARMUP_LIMIT = 200_000  # base candles of history a market: one trader on 1d over 1m needs 1,440 for each of its candles


class Stopped(Exception):
    """The host asked the thread to end."""


class FeedThread:
    """Made by the host. `call` runs a function on the thread, between candles."""

    def __init__(
        self, mem: np.ndarray, arena: Arena, plan: Plan, feed: Feed, worker_of: Sequence[int], bell: Doorbell,
        on_end: Callable[[str], None], pinned: bool = False,
    ) -> None:  # fmt: skip
        self.mem, self.memf, self.arena, self.plan, self.feed = mem, mem.view(np.float64), arena, plan, feed
        self.worker_of, self.on_end, self.pinned = worker_of, on_end, pinned
        self.lockstep, self.speed, self.live = is_lockstep(feed), speed_of(feed), is_live(feed)
        self.quarantine = getattr(feed, "quarantined", None) or Quarantine()
        self.paused = self.stopping = False
        self.control = [0] * len(plan.traders)
        self._work: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]]] = queue.SimpleQueue()
        self._tables(bell)
        self.thread = threading.Thread(target=self._run, name="pairsim-feed", daemon=True)

    def _tables(self, bell: Doorbell) -> None:
        markets, workers, sizes = self.arena.markets, self.arena.workers, self.arena.sizes
        lay = self.lay = np.zeros(FEED_WORDS, np.int64)
        lay[F_BOARD], lay[F_WORKING], lay[F_BROKER] = self.arena.board, self.arena.working, self.arena.broker_ring
        lay[F_CAPACITY], lay[F_CREDITS], lay[F_BASE] = sizes.candles, sizes.credits, self.plan.base_ns
        lay[F_HISTORY], lay[F_KEEP], lay[F_KEPT] = self.arena.history, sizes.history, len(self.arena.series_keys)
        lay[F_BROKER_FD], lay[F_MARKETS], lay[F_LOCKSTEP] = bell.write_fd, markets, int(self.lockstep)
        lay[F_SERIES] = self.arena.series_heads
        subscribed: list[set[int]] = [set() for _ in range(markets)]
        several: set[int] = set()
        for t, row in enumerate(self.plan.rows):
            for k in range(int(row[T_MARKETS])):
                subscribed[int(row[T_MARKET + k])].add(self.worker_of[t])
            if row[T_MARKETS] > 1:
                several.add(self.worker_of[t])
        self.slice_workers = sorted(several)
        self.market_workers = np.concatenate([[0], np.cumsum([len(s) for s in subscribed])]).astype(np.int64)
        self.worker_list = np.array([w for s in subscribed for w in sorted(s)], np.int64)
        keys = self.arena.series_keys
        of_market = [
            [(i, interval) for i, (m, interval) in enumerate(keys) if m == market] for market in range(markets)
        ]
        self.series_of = np.concatenate([[0], np.cumsum([len(s) for s in of_market])]).astype(np.int64)
        self.series_list = np.array([x for s in of_market for x in s], np.int64).reshape(-1, 2)
        self.rings, self.stamps = np.array(self.arena.candle_rings, np.int64), np.array(self.arena.stamps, np.int64)
        self.starts = np.array([record(self.mem, ring, 0) for ring in self.arena.candle_rings], np.int64)
        self.order_tails = np.array(self.arena.order_rings, np.int64) + 16
        self.sequences = np.zeros(markets, np.int64)
        self.tails, self.stamped, self.walked = (np.zeros(workers, np.int64) for _ in range(3))
        self.due = np.zeros((workers, markets), np.int64)
        self.newest = np.zeros(markets, np.int64)
        self.market_of = np.full((workers, sizes.candles), -1, np.int64)
        self.books = (self.newest, self.tails, self.stamped, self.due, self.walked, self.market_of)

    # -- other threads -----------------------------------------------------------------------------------------------

    def call(self, work: Callable[[], Any]) -> Future[Any]:
        """Run ``work`` on this thread at the next candle; the future holds what it returns."""
        future: Future[Any] = Future()
        self._work.put((work, future))
        return future

    def stop(self, timeout: float = 5.0) -> None:
        """End the thread: no further candle."""
        self.stopping = True
        if self.thread.is_alive():
            self.call(lambda: None)
            self.thread.join(timeout)

    # -- the thread --------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        if self.pinned and (self.live or self.speed is not None):
            # Beside the first worker, which sleeps whenever the feed works: waking it takes no interrupt to a core that
            # has been halted (30 us), and no order is in the way of either. Unpaced both work, on a core each.
            pin_to(1)
        try:
            self._warm_up()
            self._follow()
            self._drain()
            reason = ""
        except Stopped:
            reason = "stopped"
        except BaseException as error:  # the edge of the thread, where an exit in user code ends too
            reason = f"{type(error).__name__}: {error}"
        self.on_end(reason)
        while not self.stopping:  # control still works after the end of the data
            self._serve(LONGEST_SLEEP)

    def _warm_up(self) -> None:
        needed = max(int(r[T_WARMUP] * (r[T_INTERVAL] // self.plan.base_ns)) for r in self.plan.rows)
        records = history_of(
            self.feed,
            self.plan.symbols,
            None,
            min(needed + int(self.plan.rows[:, T_INTERVAL].max() // self.plan.base_ns), WARMUP_LIMIT),
        )
        if len(records):
            self._dispatch(records.view(np.int64).reshape(-1, 8), 0, len(records), HISTORY)

    def _follow(self) -> None:
        origin: tuple[int, int] | None = None  # (feed time, monotonic ns) of the first candle
        for batch in self._as_they_come() if self.live else self._batches():
            self.mem[H_QUARANTINED] = self.quarantine.rows
            records = np.ascontiguousarray(batch).view(np.int64).reshape(-1, 8)
            if self.lockstep:
                origin = self._lockstep(records, origin)
            elif self.speed is None or self.live:
                self._serve(0)
                self._hold()
                self._dispatch(records, 0, len(records), CANDLE)
            else:
                origin = self._paced(records, origin)

    def _batches(self) -> Iterator[np.ndarray]:
        return batches(self.feed, self.plan.symbols, self.quarantine)

    def _as_they_come(self) -> Iterator[np.ndarray]:
        """The batches of a live feed, read by a thread of its own: there it may wait for its next candle as long as it
        likes, while control works here. One batch is read ahead at most.
        """
        arrived: deque[np.ndarray | BaseException | None] = deque()
        taken = threading.Semaphore(0)

        def read() -> None:
            try:
                for batch in self._batches():
                    self.call(partial(arrived.append, batch))
                    taken.acquire()
                self.call(partial(arrived.append, None))
            except BaseException as error:  # the edge of the thread: it is raised where the candles are taken
                self.call(partial(arrived.append, error))

        threading.Thread(target=read, name="pairsim-reader", daemon=True).start()
        while True:
            while not arrived:
                self._serve(LONGEST_SLEEP)
            batch = arrived.popleft()
            if batch is None:
                return
            if isinstance(batch, BaseException):
                raise batch
            yield batch
            taken.release()

    def _paced(self, records: np.ndarray, origin: tuple[int, int] | None) -> tuple[int, int]:
        """Dispatch each slice when its close is due."""
        assert self.speed is not None
        times = np.ascontiguousarray(records[:, 2])
        if origin is None:
            origin = int(times[0]), clock.monotonic_ns()
        done = 0
        while done < len(times):
            origin = self._hold(origin)
            reached = origin[0] + int((clock.monotonic_ns() - origin[1]) * self.speed) - self.plan.base_ns
            upto = int(np.searchsorted(times, reached, side="right"))
            if upto > done:
                self._dispatch(records, done, upto, CANDLE)
                done = upto
                self._serve(0)
            else:
                self._serve(min((int(times[done]) - reached) / self.speed / 1e9, LONGEST_SLEEP))
        return origin

    def _lockstep(self, records: np.ndarray, origin: tuple[int, int] | None) -> tuple[int, int]:
        times = np.ascontiguousarray(records[:, 2])
        bounds = [0, *(np.flatnonzero(np.diff(times)) + 1).tolist(), len(times)]
        if origin is None:
            origin = int(times[0]), clock.monotonic_ns()
        for lo, hi in pairwise(bounds):
            if self.speed is not None:
                while True:
                    origin = self._hold(origin)
                    due = origin[1] + int((int(times[lo]) + self.plan.base_ns - origin[0]) / self.speed)
                    if (left := due - clock.monotonic_ns()) <= 0:
                        break
                    self._serve(min(left / 1e9, LONGEST_SLEEP))
            self._serve(0)
            origin = self._hold(origin)
            self._slice(records, lo, hi)
        return origin

    def _slice(self, records: np.ndarray, lo: int, hi: int) -> None:
        """One slice: broker and books, then every trader, then their orders (see docs/design.md, lockstep)."""
        number = int(self.mem[H_SLICES]) + 1
        self.mem[H_SLICES] = number
        close = int(records[lo, 2]) + self.plan.base_ns
        marker = np.array([SLICE << KIND_SHIFT, number, close, 0, 0, 0, 0, 0], np.int64)
        before = self.mem[self.order_tails].copy()
        at = lo
        while at <= hi:
            at = send_slice(self.mem, self.lay, records, at, hi, marker)
            self._check()
        self._await(H_MARKED, number)
        self._dispatch(records, lo, hi, CANDLE)
        for w in self.slice_workers:
            self._push(w, marker)
        self._drain()
        if not np.array_equal(before, self.mem[self.order_tails]):  # somebody decided something
            raise_barrier(self.mem, number)
            self._await(H_SUBMITTED, number)

    def _await(self, word: int, value: int) -> None:
        while not await_word(self.mem, word, value, WAIT_NS):
            self._check()

    def _drain(self) -> None:
        while not await_drained(self.mem, self.rings, WAIT_NS):
            self._check()

    def _dispatch(self, records: np.ndarray, first: int, last: int, kind: int) -> None:
        floats = records.view(np.float64)
        while first < last:
            first = dispatch(
                self.mem, self.memf, self.lay, records, floats, first, last, kind, self.market_workers,
                self.worker_list, self.series_of,
                self.series_list, self.rings, self.starts, self.stamps, self.sequences, *self.books,
            )  # fmt: skip
            if first < last:
                self._check()

    def _push(self, worker: int, words: np.ndarray) -> None:
        while not push_record(self.mem, self.lay, worker, words, self.rings, self.stamps, *self.books):
            self._check()

    def _check(self) -> None:
        if self.stopping:
            raise Stopped

    def _hold(self, origin: Any = None) -> Any:
        """While paused: serve the host, send nothing, and let the clock of the feed stand still."""
        if not self.paused:
            return origin
        began = clock.monotonic_ns()
        while self.paused:
            self._serve(LONGEST_SLEEP)
        return None if origin is None else (origin[0], origin[1] + clock.monotonic_ns() - began)

    def _serve(self, timeout: float) -> None:
        """Do what the host asked for; wait for that at most ``timeout`` seconds."""
        self._check()
        while True:
            try:
                work, future = self._work.get(block=timeout > 0, timeout=timeout if timeout > 0 else None)
            except queue.Empty:
                return
            if not future.set_running_or_notify_cancel():  # given up by who asked
                continue
            try:
                future.set_result(work())
            except Exception as error:
                future.set_exception(error)
            self._check()
            timeout = 0

    # -- control records (on this thread, by `call`)
    # ---------------------------------------------------------------------

    def send_control(self, trader: int, kind: int, first: int = 0, second: int = 0) -> tuple[int, int]:
        """Put a control record for a trader into its worker's ring; returns its number and its moment in feed time."""
        self.control[trader] += 1
        time = int(self.mem[H_FEED_TIME])
        words = np.array(
            [(kind << KIND_SHIFT) | trader, self.control[trader], time, first, second, 0, 0, 0],
            np.int64,
        )
        self._push(self.worker_of[trader], words)
        return self.control[trader], time

    def closed_history(self, trader: int) -> tuple[np.ndarray, ...]:
        """Closed candles of each of a trader's markets at its interval, float64[n, 5], as far as they are kept."""
        row = self.plan.rows[trader]
        markets, interval = row[T_MARKET : T_MARKET + int(row[T_MARKETS])].tolist(), int(row[T_INTERVAL])
        return tuple(read_candles(self.mem, self.arena, m, interval)[1] for m in markets)
