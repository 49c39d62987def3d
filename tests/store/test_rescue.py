"""A damaged store: what can be read is saved into a new one, which opens; the damaged file is not touched."""

import subprocess
import sys

import pytest
from store import journal_rows as make

from pairsim.errors import StoreError
from pairsim.store import Journal
from pairsim.store.reader import Reader
from pairsim.store.rescue import rescue

COUNT = 5_000
PAGE = 4_096


@pytest.fixture
def damaged(tmp_path):
    path = tmp_path / "run.db"
    with Journal.open(path, run={}) as journal:
        journal.append("orders", [make.order(i) for i in range(1, COUNT + 1)])
        journal.append("fills", [make.fill(f"t{i}", i) for i in range(1, COUNT + 1)])
    data = bytearray(path.read_bytes())
    for share in (0.2, 0.45, 0.7):
        page = int(share * len(data)) // PAGE * PAGE
        data[page : page + PAGE] = b"\xa5" * PAGE
    path.write_bytes(data)
    return path


def test_all_but_the_rows_on_bad_pages_are_saved_and_the_new_store_opens(damaged, tmp_path):
    before = damaged.read_bytes()
    counts = rescue(damaged, tmp_path / "new.db")
    assert damaged.read_bytes() == before
    assert counts["runs"] == (1, 0)
    lost = sum(missing for _, missing in counts.values())
    assert 0 < lost < 3 * 200
    with Journal.open(tmp_path / "new.db", run={}) as journal:
        assert (journal.run, journal.highest["orders"]) == (2, COUNT)
    orders, _ = Reader(tmp_path / "new.db").since("orders", 0, limit=COUNT)
    assert len(orders) == counts["orders"][0] == COUNT - counts["orders"][1]
    assert all((row[0], *row[2:]) == make.order(row[0]) for row in orders)


def test_a_root_that_cannot_be_read_ends_the_search(damaged, tmp_path, monkeypatch):
    monkeypatch.setattr("pairsim.store.rescue._PATIENCE", 1_000)
    data = damaged.read_bytes()
    damaged.write_bytes(data[:PAGE] + b"\xa5" * (len(data) - PAGE))
    assert set(rescue(damaged, tmp_path / "new.db").values()) == {(0, 0)}


def test_the_command_of_the_message_does_it(damaged):
    with pytest.raises(StoreError) as refusal:
        Journal.open(damaged, run={})
    command = str(refusal.value).split(" by: python ")[1].split("; or")[0].replace('"', "").split()
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=True)
    assert "orders" in done.stdout
    assert len(Reader(damaged.with_suffix(".rescued.db")).orders()) > COUNT - 200
    again = subprocess.run([sys.executable, *command], capture_output=True, text=True)
    assert again.returncode == 1
    assert "exists already" in again.stderr


def test_a_file_without_a_readable_beginning_is_said_to_be_lost(damaged, tmp_path):
    damaged.write_bytes(b"\xa5" * PAGE * 4)
    with pytest.raises(StoreError, match="cannot be read at all"):
        rescue(damaged, tmp_path / "new.db")
    assert not (tmp_path / "new.db").exists()
