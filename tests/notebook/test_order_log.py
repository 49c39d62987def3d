"""Orders as rows of a table: in the order they were decided, however the news of them come."""

from pathlib import Path

from notebook.live import two_traders
from store import journal_rows as make

from pairsim.notebook.order_log import MOST_FILLS, FillRow, Fills, OrderLog
from pairsim.orders.order import Status
from pairsim.store import Journal
from pairsim.store.reader import Reader


def test_what_has_changed_comes_in_the_order_of_decisions(tmp_path: Path) -> None:
    log = OrderLog(two_traders()._plan)
    with Journal.open(tmp_path / "run.db", run={}) as journal:
        reader = Reader(tmp_path / "run.db")
        assert not log.read(reader)
        journal.append("orders", [make.order(i) for i in (1, 2, 3)])
        journal.append("events", [make.event(3, Status.SUBMITTED)])
        journal.append("fills", [make.fill("t1", 1)])
        journal.flush()
        assert log.read(reader)
        assert [row.order_id for row in log.changed_since(0)] == [1, 2, 3]
        seen = log.changes
        assert log.changed_since(seen) == []
        journal.append("events", [make.event(2, Status.EXPIRED, "end of data"), make.event(1, Status.FILLED)])
        journal.append("health", [(1, 2, 0, "failure", "it broke", "Traceback")])
        journal.flush()
        log.read(reader)
        assert [(row.order_id, row.status.name) for row in log.changed_since(seen)] == [(1, "FILLED"), (2, "EXPIRED")]
        assert log.failures == {0: ("it broke", "Traceback")}
        assert not log.read(reader)


def test_the_last_fills_of_a_market_are_kept() -> None:
    fills = Fills()
    for number in range(1, MOST_FILLS + 3):
        fills.append((number, 10 * number, 0, -1, 0.5, 100.25))
    assert len(fills) == MOST_FILLS
    assert [fill.number for fill in fills] == list(range(3, MOST_FILLS + 3))
    assert fills.after(MOST_FILLS + 1) == [FillRow(MOST_FILLS + 2, 10 * MOST_FILLS + 20, 0, -1, 0.5, 100.25)]
    assert fills.after(MOST_FILLS + 2) == []
