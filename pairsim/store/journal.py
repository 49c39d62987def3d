"""The journal: what pairsim promised is on disk before it acts on it.

One writer thread with the one connection that writes and checkpoints (SQLite before 3.51.3 can damage a WAL that two
connections checkpoint). Callers put rows into a list and await; whatever gathered while the last commit was on its way
to the disk is the next group: one transaction, one fsync, one wake-up for everybody who waits for it.

Fails closed: after the first write that goes wrong nothing is accepted and nothing is called durable any more. A commit
is never tried again, because after a failed fsync the kernel may have dropped the pages and the next one would succeed
without them (https://wiki.postgresql.org/wiki/Fsync_Errors).
"""

import asyncio
import contextlib
import sqlite3
import threading
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Self

from pairsim import clock
from pairsim.errors import InputError, StoreError
from pairsim.store import schema
from pairsim.store.location import check_location
from pairsim.store.lock import StoreLock
from pairsim.store.opening import begin_run, highest_keys, open_database

Row = Sequence[object]

# Rows that may wait for the disk. 128 orders in flight of each worker bound the queue long before; this bounds memory
# (about 1 KB a row) should the disk stand still.
CAPACITY_ROWS = 131_072

# Rows of one INSERT. sqlite3 gives up the GIL around each step of a statement: with executemany that is once a row,
# and a busy event loop makes the writer wait for it each time; here it is once a chunk, and SQLite works beside the
# loop.
CHUNKS = (256, 64, 16, 4, 1)

# The WAL is copied into the database after about so many pages, 16 MB; that holds the next group up for 3 to 10 ms, so
# not much sooner. The pages are estimated, since SQLite does not tell: a commit alone writes about 8 (the right edges
# of two tables and their indexes), a long one a page for 16 rows.
CHECKPOINT_PAGES = 4_000
_ROWS_PER_PAGE = 16
_PAGES_PER_COMMIT = 8

_IDLE_SECONDS = 1.0
_LATENCIES = 4_096  # the last commits, for quantiles


@dataclass(frozen=True, slots=True)
class JournalStats:
    """Counters since the journal was opened. Times in ns."""

    rows: int
    commits: int
    largest_group: int
    checkpoints: int
    refused: int
    queued: int
    high_water: int
    capacity: int
    commit_p50_ns: int
    commit_p99_ns: int


@dataclass(eq=False, slots=True)
class _Group:
    """Rows that become durable together, and who waits for that."""

    rows: dict[str, list[Row]] = field(default_factory=dict)
    count: int = 0
    durable: bool | None = None  # None: not known yet
    waiters: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = field(default_factory=dict)


class Journal:
    """Append-only record of a run in one SQLite file. Any thread may call it; made by ``Journal.open``.

    The lock guards the group being filled and the counters; it is never held while SQL runs.
    """

    def __init__(self, path: Path, lock: StoreLock, connection: sqlite3.Connection, run: int, capacity: int) -> None:
        self.path = path
        self.run = run
        self.failed: str | None = None
        self.highest = highest_keys(connection, path)  # of each table when opened: order ids go on from there
        self._store_lock = lock
        self._connection = connection
        self._capacity = capacity
        self._last_order_id = self.highest["orders"]
        self._lock = threading.Lock()
        self._settled = threading.Condition(self._lock)
        self._open_group = _Group()
        self._in_flight: _Group | None = None
        self._bell = threading.Lock()  # held: the writer may sleep on it; released by whoever has news for it
        self._bell.acquire()
        self._asleep = False
        self._closing = False
        self._rows = self._commits = self._largest = self._checkpoints = self._refused = self._high_water = 0
        self._pages = 0
        self._latencies: deque[int] = deque(maxlen=_LATENCIES)
        self._writer = threading.Thread(target=self._write_until_closed, name="pairsim-journal", daemon=True)
        self._writer.start()

    @classmethod
    def open(cls, path: str | Path, *, run: dict[str, object], capacity: int = CAPACITY_ROWS) -> Self:
        """Open a store or create it, lock out other engines, and begin a run in it (durable on return).

        Parameters
        ----------
        path : the SQLite file; beside it stand ``-wal``, ``-shm`` and ``-lock`` while it is open.
        run : what describes the run (kept as JSON; no secrets).
        capacity : rows that may wait for the disk; above it ``append`` refuses.

        Raises
        ------
        StoreError : the path cannot hold a journal, the file is not one, is damaged or newer, or another engine has it.
        InputError : ``run`` cannot be written as JSON.
        """
        place = check_location(Path(path))
        with contextlib.ExitStack() as undo:
            lock = StoreLock.acquire(place)
            undo.callback(lock.release)
            connection = open_database(place)
            undo.callback(connection.close)
            journal = cls(place, lock, connection, begin_run(connection, place, run), capacity)
            undo.pop_all()
        return journal

    def append(self, table: str, rows: Iterable[Row]) -> None:
        """Queue rows: values in the order of ``schema.TABLES[table].names``. Cheap, no SQL; the rows are handed over.

        All rows of one call become durable together, or none does.

        Raises
        ------
        InputError : a row of the wrong length, an unknown table, or order ids that do not grow.
        StoreError : the journal failed, is closed, or is full (then nothing of the call was taken).
        """
        if table not in schema.TABLES:
            raise InputError(f"the journal has no table {table!r}; it has {', '.join(schema.TABLES)}")
        rows = rows if isinstance(rows, (list, tuple)) else list(rows)
        width = len(schema.TABLES[table].columns)
        for row in rows:  # rows are laid end to end for SQLite: one of a wrong length would shift all that follow
            if len(row) != width:
                names = ", ".join(schema.TABLES[table].names)
                raise InputError(f"a row of {table} has {len(row)} values instead of {width}: {names}")
        with self._lock:
            self._check_open()
            group = self._open_group
            queued = group.count + len(rows)
            if queued > self._capacity:
                self._refused += len(rows)
                raise StoreError(
                    f"the journal is {group.count} rows behind the disk (limit {self._capacity}): {len(rows)} rows of "
                    f"{table} were refused; wait for durable() before more"
                )
            if table == "orders":
                self._check_order_ids(rows)
            waiting = group.rows.get(table)
            if waiting is None:
                group.rows[table] = list(rows)
            else:
                waiting.extend(rows)
            group.count = queued
            if queued > self._high_water:
                self._high_water = queued
            self._ring()

    async def durable(self) -> None:
        """Wait until everything appended so far is on disk. May be cancelled; the rows are written all the same.

        Raises
        ------
        StoreError : the journal failed: what was appended must be taken as not written.
        """
        loop = asyncio.get_running_loop()
        with self._lock:
            group = self._last_group()
            if group is None:
                return
            # A future each, not one for all: cancelling one task would cancel the future the others wait for.
            waiter = loop.create_future()
            group.waiters.setdefault(loop, []).append(waiter)
        await waiter
        if not group.durable:
            raise self._failure()

    def flush(self, timeout: float = 10.0) -> None:
        """Block until everything appended so far is on disk; never on an event loop's thread.

        Raises
        ------
        StoreError : the journal failed, or ``timeout`` seconds passed.
        """
        with self._settled:
            group = self._last_group()
            if group is None:
                return
            if not self._settled.wait_for(lambda: group.durable is not None, timeout):
                raise StoreError(
                    f"the journal {self.path} was not on disk after {timeout} s ({self._queued()} rows wait)"
                )
            if not group.durable:
                raise self._failure()

    def trade_ids(self) -> list[str]:
        """The trade ids of all fills in the store, of earlier runs too."""
        with contextlib.closing(sqlite3.connect(f"{self.path.as_uri()}?mode=ro", uri=True)) as connection:
            return [name for (name,) in connection.execute("SELECT trade_id FROM fills")]

    @property
    def queued(self) -> int:
        """Rows that wait for the disk: what an order engine looks at before it takes more orders."""
        with self._lock:
            return self._queued()

    def stats(self) -> JournalStats:
        """Counters and commit latencies (the last 4,096 commits)."""
        with self._lock:
            latencies = sorted(self._latencies)
            return JournalStats(
                rows=self._rows,
                commits=self._commits,
                largest_group=self._largest,
                checkpoints=self._checkpoints,
                refused=self._refused,
                queued=self._queued(),
                high_water=self._high_water,
                capacity=self._capacity,
                commit_p50_ns=_quantile(latencies, 0.5),
                commit_p99_ns=_quantile(latencies, 0.99),
            )

    def close(self, timeout: float = 10.0) -> None:
        """Write what waits, fold the WAL into the file, release the lock. Blocks; again is harmless.

        Raises
        ------
        StoreError : the journal failed (rows after the failure are lost), or the disk did not answer in time; the store
            stays locked then, because its writer still lives.
        """
        with self._lock:
            again, self._closing = self._closing, True
            self._ring()
        self._writer.join(timeout)
        if self._writer.is_alive():
            raise StoreError(f"the journal {self.path} did not close in {timeout} s: the disk does not answer")
        # Only now: an engine whose journal failed may still have orders at a broker, and must be the only one.
        self._store_lock.release()
        if self.failed is not None and not again:
            raise self._failure()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.close()
        except StoreError:
            if error is None:  # else the first error is the one to see
                raise

    def __repr__(self) -> str:
        state = f"failed: {self.failed}" if self.failed else "closed" if self._closing else "open"
        return f"Journal({str(self.path)!r}, run={self.run}, {state}, {self._rows} rows in {self._commits} commits)"

    # -- callers' side, lock held ------------------------------------------------------------------------------------

    def _check_open(self) -> None:
        if self.failed is not None:
            raise self._failure()
        if self._closing:
            raise StoreError(f"the journal {self.path} is closed: open it again to write")

    def _last_group(self) -> _Group | None:
        """What holds the last row appended; None when that is durable already."""
        if self.failed is not None:
            raise self._failure()
        return self._open_group if self._open_group.count else self._in_flight

    def _failure(self) -> StoreError:
        return StoreError(f"the journal {self.path} failed and accepts nothing more: {self.failed}")

    def _check_order_ids(self, rows: Sequence[Row]) -> None:
        # Readers go by "key above the last one seen": an order id out of turn would never be shown.
        last = self._last_order_id
        for row in rows:
            order_id = int(row[0])  # type: ignore[call-overload]  # numpy's integers are welcome
            if order_id <= last:
                raise InputError(f"order_id {order_id} does not grow: the last one was {last}, number on from there")
            last = order_id
        self._last_order_id = last

    def _ring(self) -> None:
        if self._asleep:
            self._asleep = False
            self._bell.release()

    def _queued(self) -> int:
        return self._open_group.count + (self._in_flight.count if self._in_flight else 0)

    # -- the writer thread -------------------------------------------------------------------------------------------

    def _write_until_closed(self) -> None:
        try:
            while (group := self._next_group()) is not None:
                self._acknowledge(group, self._commit(group))
                if self._pages >= CHECKPOINT_PAGES:
                    self._checkpoint()
            self._finish()
        except Exception as error:  # the edge of a thread: whatever it is, it must reach those who wait
            self._fail(error)
        finally:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()

    def _next_group(self) -> _Group | None:
        """The rows gathered meanwhile; None when closing and nothing is left."""
        while True:
            with self._lock:
                if self._open_group.count:
                    group, self._open_group = self._open_group, _Group()
                    self._in_flight = group
                    return group
                if self._closing:
                    return None
                self._asleep = True
            if not self._bell.acquire(timeout=_IDLE_SECONDS):
                with self._lock:
                    # The bell may have been rung between the time-out and here: then it is free, and is taken again.
                    if not self._asleep:
                        self._bell.acquire()
                    self._asleep = False

    def _commit(self, group: _Group) -> int:
        """One transaction; the ns its COMMIT took, which is the write and the sync of the WAL."""
        execute = self._connection.execute
        execute("BEGIN IMMEDIATE")
        for table, rows in group.rows.items():
            start = 0
            for chunk in CHUNKS:
                sql = schema.insert(table, self.run, chunk)
                while len(rows) - start >= chunk:
                    execute(sql, list(chain.from_iterable(rows[start : start + chunk])))
                    start += chunk
        began = clock.monotonic_ns()
        execute("COMMIT")
        self._pages += _PAGES_PER_COMMIT + group.count // _ROWS_PER_PAGE
        return clock.monotonic_ns() - began

    def _acknowledge(self, group: _Group, latency_ns: int) -> None:
        with self._settled:
            group.durable = True
            self._latencies.append(latency_ns)
            self._rows += group.count
            self._commits += 1
            self._largest = max(self._largest, group.count)
            self._in_flight = None
            self._settled.notify_all()
        _wake(group)

    def _checkpoint(self) -> None:
        self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        self._checkpoints += 1
        self._pages = 0

    def _finish(self) -> None:
        execute = self._connection.execute
        execute("UPDATE runs SET ended_wall_ns = ? WHERE run = ?", (clock.wall_ns(), self.run))
        execute("PRAGMA busy_timeout = 0")
        # One file that can be copied or read from anywhere; a reader in the middle of a statement forbids it, and then
        # the WAL stays, which is no harm.
        with contextlib.suppress(sqlite3.OperationalError):
            execute("PRAGMA journal_mode = DELETE").fetchall()

    def _fail(self, error: Exception) -> None:
        with contextlib.suppress(sqlite3.Error):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        with self._settled:
            self.failed = f"{type(error).__name__}: {error}"
            groups = [group for group in (self._in_flight, self._open_group) if group is not None]
            self._in_flight, self._open_group = None, _Group()
            for group in groups:
                group.durable = False
            self._settled.notify_all()
        for group in groups:
            _wake(group)


def _wake(group: _Group) -> None:
    """One call into each event loop, however many tasks wait there."""
    for loop, waiters in group.waiters.items():
        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile: nobody waits any more
            loop.call_soon_threadsafe(_resolve, waiters)


def _resolve(waiters: list[asyncio.Future[None]]) -> None:
    for waiter in waiters:
        if not waiter.done():  # a cancelled task's
            waiter.set_result(None)


def _quantile(ordered: list[int], share: float) -> int:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0
