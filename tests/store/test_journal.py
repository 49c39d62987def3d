"""The journal: group commit, who is told what and when, and what happens when a write goes wrong."""

import asyncio
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from store import journal_rows as make

from pairsim.errors import InputError, StoreError
from pairsim.orders.order import Status
from pairsim.store import Journal, opening, schema


def until(condition, seconds=60.0):
    """Wait for another thread, by deadline."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "not within the deadline"
        time.sleep(0.001)


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """A journal waits for our `Blocker` for as long as a busy machine makes us hold it."""
    monkeypatch.setattr(opening, "BUSY_SECONDS", 60.0)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.db"


@pytest.fixture
def journal(path):
    with Journal.open(path, run={"name": "test"}) as opened:
        yield opened


def rows(path, table):
    columns = ", ".join(schema.TABLES[table].names)
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
    try:
        return connection.execute(f"SELECT {columns} FROM {table} ORDER BY {schema.TABLES[table].key}").fetchall()
    finally:
        connection.close()


class Blocker:
    """Another program that holds SQLite's write lock, so that a group stays in flight as long as a test wants."""

    def __init__(self, path):
        self.connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)

    def __enter__(self):
        self.connection.execute("BEGIN IMMEDIATE")
        return self

    def __exit__(self, *_):
        self.connection.rollback()
        self.connection.close()


def in_flight(journal):
    return journal._in_flight is not None


# -- what is written is what is read --------------------------------------------------------------------------------


EXAMPLES = {
    "markets": make.markets(1)[0],
    "traders": make.traders(1)[0],
    "orders": make.order(1),
    "events": make.event(1, Status.DENIED, "cash"),
    "fills": make.fill("t1", 1),
    "equity": (make.EPOCH, 100.5, 99.25),
    "controls": (7, make.EPOCH, make.EPOCH, 0, "TUNE", "{}"),
    "health": (make.EPOCH, make.EPOCH, None, "error", "it broke", "Traceback"),
    "feed": (make.EPOCH, make.EPOCH, 0, "gap", 3, "3 candles missing"),
    "checkpoints": (0, 17, make.EPOCH, b"\x00\x01"),
}


@pytest.mark.parametrize("table", schema.TABLES)
def test_a_row_of_every_table_comes_back_as_it_went_in(journal, path, table):
    journal.append(table, [EXAMPLES[table]])
    journal.flush()
    assert rows(path, table) == [EXAMPLES[table]]


@pytest.mark.parametrize("count", [1, 3, 4, 63, 64, 65, 255, 256, 257, 1_111])
def test_rows_keep_their_order_whatever_the_size_of_the_group(journal, path, count):
    made = [make.order(i) for i in range(1, count + 1)]
    journal.append("orders", made)
    journal.flush()
    assert rows(path, "orders") == made


def test_nan_is_stored_as_absent_and_numpy_integers_as_integers(journal, path):
    row = list(make.order(1, limit=float("nan")))
    row[0], row[2] = np.int64(1), np.int64(row[2])
    journal.append("orders", [tuple(row)])
    journal.flush()
    assert rows(path, "orders") == [make.order(1, limit=None)]


def test_a_commit_is_synced_in_full_to_a_write_ahead_log(journal):
    pragma = {
        name: journal._connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("synchronous", "journal_mode")
    }
    assert pragma == {"synchronous": 2, "journal_mode": "wal"}


# -- group commit ----------------------------------------------------------------------------------------------------


def test_everybody_who_waits_during_a_commit_shares_the_next_one_and_one_wake_up(journal, path):
    calls = []

    async def order(i):
        journal.append("orders", [make.order(i)])
        await journal.durable()

    async def main():
        loop = asyncio.get_running_loop()
        wake, loop.call_soon_threadsafe = (
            loop.call_soon_threadsafe,
            lambda *given: (calls.append(given), wake(*given))[1],
        )
        with Blocker(path):
            first = asyncio.create_task(order(1))
            await asyncio.to_thread(until, lambda: in_flight(journal))
            calls.clear()
            rest = [asyncio.create_task(order(i)) for i in range(2, 102)]
            await asyncio.sleep(0)
        await asyncio.gather(first, *rest)
        del loop.call_soon_threadsafe

    asyncio.run(main())
    assert len(calls) == 2
    assert (journal.stats().commits, journal.stats().largest_group) == (2, 100)
    assert rows(path, "orders") == [make.order(i) for i in range(1, 102)]


def test_nobody_is_told_before_it_is_on_disk_and_groups_are_acknowledged_in_order(journal, path):
    told = []

    async def order(i):
        journal.append("orders", [make.order(i)])
        await journal.durable()
        told.append(i)
        assert make.order(i) in rows(path, "orders")

    async def main():
        with Blocker(path):
            tasks = [asyncio.create_task(order(1))]
            await asyncio.to_thread(until, lambda: in_flight(journal))
            tasks += [asyncio.create_task(order(2))]
            await asyncio.sleep(0)
            assert told == []
        await asyncio.gather(*tasks)

    asyncio.run(main())
    assert told == [1, 2]


def test_waiting_includes_what_is_in_flight_when_nothing_new_was_appended(journal, path):
    async def main():
        with Blocker(path):
            journal.append("orders", [make.order(1)])
            await asyncio.to_thread(until, lambda: in_flight(journal))
            waiting = asyncio.create_task(journal.durable())
            await asyncio.sleep(0)
            assert not waiting.done()
        await waiting

    asyncio.run(main())
    assert rows(path, "orders") == [make.order(1)]


def test_a_task_that_is_cancelled_leaves_the_others_waiting_and_its_row_written(journal, path):
    async def order(i):
        journal.append("orders", [make.order(i)])
        await journal.durable()
        return i

    async def main():
        with Blocker(path):
            tasks = [asyncio.create_task(order(i)) for i in range(1, 4)]
            await asyncio.sleep(0)
            tasks[1].cancel()
            await asyncio.wait(tasks[1:2])
        return await asyncio.gather(*tasks, return_exceptions=True)

    first, second, third = asyncio.run(main())
    assert (first, third) == (1, 3)
    assert isinstance(second, asyncio.CancelledError)
    assert len(rows(path, "orders")) == 3


def test_a_loop_that_was_closed_while_it_waited_does_not_stop_the_journal(journal, path):
    async def leave():
        journal.append("orders", [make.order(1)])
        await asyncio.wait_for(journal.durable(), 0.01)

    with Blocker(path), pytest.raises(TimeoutError):
        asyncio.run(leave())
    journal.append("orders", [make.order(2)])
    journal.flush()
    assert len(rows(path, "orders")) == 2


def test_rows_of_many_threads_all_arrive_and_each_thread_keeps_its_order(journal, path):
    def work(trader):
        for k in range(200):
            journal.append("equity", [(trader, float(k), 0.0)])

    threads = [threading.Thread(target=work, args=(t,)) for t in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    journal.flush()
    written = rows(path, "equity")
    for trader in range(4):
        assert [equity for t, equity, _ in written if t == trader] == [float(k) for k in range(200)]


def test_flush_says_so_when_the_disk_does_not_answer_in_time(journal, path):
    with Blocker(path):
        journal.append("orders", [make.order(1)])
        with pytest.raises(StoreError, match=r"not on disk after 0\.05 s \(1 rows wait\)"):
            journal.flush(timeout=0.05)
    journal.flush()


def test_checkpoints_keep_the_write_ahead_log_from_growing(monkeypatch, path):
    monkeypatch.setattr("pairsim.store.journal.CHECKPOINT_PAGES", 64)
    with Journal.open(path, run={}) as journal:
        for k in range(300):
            journal.append("equity", [(k, 1.0, 1.0)])
            journal.flush()
        assert journal.stats().checkpoints > 10
        assert Path(f"{path}-wal").stat().st_size < 200 * 4_120


# -- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "row", "message"),
    [
        ("order", (), "no table 'order'; it has markets, traders, orders"),
        ("equity", (1, 2.0), "a row of equity has 2 values instead of 3: timestamp, equity, cash"),
        ("orders", make.order(0), "order_id 0 does not grow: the last one was 0"),
    ],
)
def test_a_row_that_cannot_be_right_is_refused_where_it_is_appended(journal, table, row, message):
    with pytest.raises(InputError, match=message):
        journal.append(table, [row])
    assert journal.queued == 0


def test_order_ids_grow_over_the_life_of_the_store(path):
    for run in (1, 2):
        with Journal.open(path, run={}) as journal:
            assert (journal.run, journal.highest["orders"]) == (run, 5 * (run - 1))
            with pytest.raises(InputError, match="does not grow"):
                journal.append("orders", [make.order(5 * (run - 1))])
            journal.append("orders", [make.order(5 * run)])


def test_above_its_capacity_a_call_is_refused_whole_and_counted(path):
    with Journal.open(path, run={}, capacity=10) as journal:
        with Blocker(path):
            journal.append("equity", [(0, 1.0, 1.0)])
            until(lambda: in_flight(journal))
            journal.append("equity", [(k, 1.0, 1.0) for k in range(1, 9)])
            with pytest.raises(StoreError, match=r"8 rows behind the disk \(limit 10\): 3 rows of equity were refused"):
                journal.append("equity", [(k, 1.0, 1.0) for k in range(9, 12)])
            journal.append("equity", [(9, 1.0, 1.0), (10, 1.0, 1.0)])
        journal.flush()
        stats = journal.stats()
        assert (stats.rows, stats.refused, stats.high_water, stats.queued) == (11, 3, 10, 0)
    assert [row[0] for row in rows(path, "equity")] == list(range(11))


def test_after_close_nothing_is_accepted_and_closing_again_is_harmless(path):
    journal = Journal.open(path, run={})
    journal.append("equity", [(1, 1.0, 1.0)])
    journal.close()
    journal.close()
    assert rows(path, "equity") == [(1, 1.0, 1.0)]
    with pytest.raises(StoreError, match="is closed"):
        journal.append("equity", [(2, 1.0, 1.0)])


def test_a_closed_store_is_one_file(path):
    with Journal.open(path, run={}) as journal:
        journal.append("equity", [(1, 1.0, 1.0)])
    assert [file.name for file in path.parent.iterdir()] == ["run.db"]


# -- what goes wrong: closed by failure ------------------------------------------------------------------------------


def assert_failed(journal, match):
    """Everything that could be mistaken for durable raises from now on."""
    for attempt in (lambda: asyncio.run(journal.durable()), journal.flush, lambda: journal.append("equity", [])):
        with pytest.raises(StoreError, match=match):
            attempt()
    assert journal.failed
    with pytest.raises(StoreError, match=match):
        journal.close()
    journal.close()


def fail_on(path, table, row, match):
    journal = Journal.open(path, run={})
    journal.append("orders", [make.order(1)])
    journal.append("fills", [make.fill("t1", 1)])
    journal.flush()
    journal.append("equity", [(1, 1.0, 1.0)])
    journal.append(table, [row])
    with pytest.raises(StoreError, match=match):
        journal.flush()
    assert_failed(journal, match)


@pytest.mark.parametrize(
    ("table", "row", "match"),
    [
        ("orders", (2, make.order(1)[1], *make.order(2)[2:]), "UNIQUE constraint failed: orders.client_order_id"),
        ("fills", make.fill("t1", 1), "UNIQUE constraint failed: fills.trade_id"),
        ("fills", make.fill("t2", 1, price=float("nan")), "NOT NULL constraint failed: fills.price"),
        ("fills", make.fill("t2", 1, quantity=1.5), "cannot store REAL value in INTEGER column"),
        ("fills", make.fill("t2", 1, quantity=2**63), "OverflowError"),
        ("fills", make.fill(object(), 1), "type 'object' is not supported"),
    ],
)
def test_what_must_not_be_written_fails_the_journal_and_its_whole_group(path, table, row, match):
    fail_on(path, table, row, match)
    assert rows(path, "orders") == [make.order(1)]
    assert rows(path, "fills") == [make.fill("t1", 1)]
    assert rows(path, "equity") == []


def test_a_trade_id_is_the_same_trade_as_number_and_as_text(path):
    with Journal.open(path, run={}) as journal:
        journal.append("fills", [make.fill(17, 1)])
        journal.flush()
        journal.append("fills", [make.fill("17", 1)])
        with pytest.raises(StoreError, match=r"fills\.trade_id"):
            journal.flush()
        with pytest.raises(StoreError):
            journal.close()


def test_a_full_database_fails_closed_and_tells_all_who_wait(path):
    journal = Journal.open(path, run={})
    journal.append("orders", [make.order(1)])
    journal.flush()
    pages = journal._connection.execute("PRAGMA page_count").fetchone()[0]
    journal._connection.execute(f"PRAGMA max_page_count = {pages + 2}")

    async def order(i):
        journal.append("orders", [make.order(i)])
        await journal.durable()
        return i

    async def main():
        return await asyncio.gather(*(order(i) for i in range(2, 500)), return_exceptions=True)

    told = asyncio.run(main())
    kept = [i for i in told if isinstance(i, int)]  # none, unless the writer was woken before all had been appended
    assert {type(each) for each in told[len(kept) :]} == {StoreError}
    assert_failed(journal, "database or disk is full")
    assert rows(path, "orders") == [make.order(i) for i in (1, *kept)]


DISK_THAT_ENDS = """
import asyncio, resource, sys
from store import journal_rows as make
from pairsim.errors import StoreError
from pairsim.store import Journal

async def main(journal):
    i = 0
    while True:
        i += 1
        journal.append("orders", [make.order(i)])
        await journal.durable()
        print(i, flush=True)

resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
journal = Journal.open(sys.argv[1], run={})
try:
    asyncio.run(main(journal))
except StoreError as error:
    print("failed", error, flush=True)
"""


def test_a_file_that_cannot_grow_any_more_fails_closed_and_keeps_what_was_acknowledged(path):
    done = subprocess.run(
        [sys.executable, "-c", DISK_THAT_ENDS, str(path)],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    *told, last = done.stdout.splitlines()
    assert last.startswith("failed"), done.stderr
    assert len(told) > 10
    assert rows(path, "orders")[: len(told)] == [make.order(int(i)) for i in told]


def test_a_store_locked_by_another_program_fails_closed(monkeypatch, path):
    monkeypatch.setattr(opening, "BUSY_SECONDS", 0.05)
    journal = Journal.open(path, run={})
    with Blocker(path):
        journal.append("orders", [make.order(1)])
        with pytest.raises(StoreError, match="database is locked"):
            journal.flush()
    assert_failed(journal, "database is locked")
    assert rows(path, "orders") == []


def test_a_store_whose_journal_failed_stays_locked_until_it_is_closed(path):
    journal = Journal.open(path, run={})
    journal.append("fills", [make.fill("t1", 1), make.fill("t1", 1)])
    with pytest.raises(StoreError):
        journal.flush()
    until(lambda: not journal._writer.is_alive())
    with pytest.raises(StoreError, match="in use by another engine"):
        Journal.open(path, run={})
    assert_failed(journal, r"fills\.trade_id")
    Journal.open(path, run={}).close()


def test_what_was_durable_before_the_failure_was_rightly_called_so(path):
    journal = Journal.open(path, run={})

    async def order(i, trade):
        journal.append("fills", [make.fill(trade, i)])
        await journal.durable()

    async def main():
        with Blocker(path):
            good = asyncio.create_task(order(1, "t1"))
            await asyncio.to_thread(until, lambda: in_flight(journal))
            bad = asyncio.create_task(order(2, "t1"))
            await asyncio.sleep(0)
        return await asyncio.gather(good, bad, return_exceptions=True)

    good, bad = asyncio.run(main())
    assert good is None
    assert isinstance(bad, StoreError)
    assert_failed(journal, r"fills\.trade_id")


def test_an_error_in_flight_is_not_hidden_by_that_of_closing(path):
    with pytest.raises(ZeroDivisionError), Journal.open(path, run={}) as journal:
        journal.append("fills", [make.fill("t1", 1), make.fill("t1", 1)])
        raise ZeroDivisionError
