"""Opening a store: what is refused, with which advice, and that the file is kept as it was."""

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap

import pytest
from store import journal_rows as make

from pairsim.errors import InputError, StoreError
from pairsim.store import Journal, location, lock, opening, schema
from pairsim.store.reader import Reader


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.db"


def refused(path, match):
    """Refused, with nothing changed and nothing left beside it."""
    before = path.read_bytes()
    with pytest.raises(StoreError, match=match):
        Journal.open(path, run={})
    assert path.read_bytes() == before
    assert not path.with_name(path.name + "-lock").exists()


def spawn(script, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": ":".join(sys.path)},
        stdout=subprocess.PIPE,
        text=True,
    )


# -- the place -------------------------------------------------------------------------------------------------------


def test_a_missing_folder_is_refused_and_not_made(tmp_path):
    with pytest.raises(StoreError, match="does not exist; create it or choose another path"):
        Journal.open(tmp_path / "nowhere" / "run.db", run={})
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_refused_with_a_file_name_to_use(tmp_path):
    with pytest.raises(StoreError, match=r"is a folder; give the path of a file in it, such as .*run\.db"):
        Journal.open(tmp_path, run={})


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_or_file_that_may_not_be_written_is_refused(tmp_path):
    folder = tmp_path / "fixed"
    folder.mkdir(mode=0o500)
    with pytest.raises(StoreError, match="may not be written by this user"):
        Journal.open(folder / "run.db", run={})


MOUNTS = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:25 / /disks/team\\040disk rw - nfs4 server:/export rw
31 30 254:3 / /disks/team\\040disk/local rw - xfs /dev/vdb rw
32 22 0:40 / /disks/over rw - ext4 /dev/vdc rw
33 22 0:41 / /disks/over rw - fuse.sshfs host:/ rw
34 22 0:42 / /disks/c rw - 9p C: rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/data/run.db", "ext4"),
        ("/disks/team disk/run.db", "nfs4"),
        ("/disks/team disk/local/run.db", "xfs"),
        ("/disks/team disk 2/run.db", "ext4"),
        ("/disks/over/run.db", "fuse.sshfs"),
        ("/disks/c/run.db", "9p"),
    ],
)
def test_the_file_system_is_that_of_the_innermost_and_topmost_mount(path, kind):
    assert location.file_system(location.Path(path), MOUNTS) == kind


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "9p"])
def test_a_network_file_system_is_refused_with_advice(monkeypatch, tmp_path, kind):
    table = tmp_path / "mounts"
    table.write_text(f"22 1 254:0 / / rw - ext4 /dev/vda rw\n30 22 0:25 / {tmp_path} rw - {kind} server:/x rw\n")
    monkeypatch.setattr(location, "MOUNTS", table)
    with pytest.raises(StoreError, match=rf"network file system \({kind}\).*put it on a local disk, such as"):
        Journal.open(tmp_path / "run.db", run={})
    assert not (tmp_path / "run.db").exists()


def test_without_a_table_of_mounts_the_place_is_allowed(monkeypatch, tmp_path):
    monkeypatch.setattr(location, "MOUNTS", tmp_path / "absent")
    Journal.open(tmp_path / "run.db", run={}).close()


# -- the file --------------------------------------------------------------------------------------------------------


def test_a_file_that_is_not_a_database_is_refused_and_kept(path):
    path.write_bytes(b"PAR1 and other bytes")
    refused(path, "is not a database.*left as it is, choose another path")


def test_an_empty_file_becomes_a_store(path):
    path.touch()
    Journal.open(path, run={}).close()
    assert Reader(path).runs()["run"].to_list() == [1]


def test_a_database_of_another_program_is_refused_and_kept(path):
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE orders (id)")
    connection.commit()
    connection.close()
    refused(path, "database of another program")
    with pytest.raises(StoreError, match="not a journal of pairsim"):
        Reader(path)


def test_a_newer_schema_is_refused_and_kept(path):
    Journal.open(path, run={}).close()
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {schema.SCHEMA_VERSION + 1}")
    connection.close()
    refused(path, rf"schema version {schema.SCHEMA_VERSION + 1}, written by a newer pairsim.*upgrade pairsim")
    with pytest.raises(StoreError, match=f"schema version {schema.SCHEMA_VERSION + 1}"):
        Reader(path)


def written(path, count=2_000):
    with Journal.open(path, run={}) as journal:
        journal.append("orders", [make.order(i) for i in range(1, count + 1)])


@pytest.mark.parametrize("where", [0.3, 0.5, 0.9])
def test_a_damaged_page_is_found_and_the_file_kept_with_words_on_rescue(path, where):
    written(path)
    data = bytearray(path.read_bytes())
    page = int(where * len(data)) // 4_096 * 4_096
    data[page : page + 4_096] = b"\xa5" * 4_096
    path.write_bytes(data)
    refused(path, r"is damaged .* left as it is; keep a copy, and save .* pairsim\.store\.rescue .*choose another path")


def test_damage_at_the_end_of_a_large_file_is_found_though_its_pages_are_not_checked(monkeypatch, path):
    written(path)
    connection = sqlite3.connect(path)
    root = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'orders'").fetchone()[0]
    connection.close()
    data = bytearray(path.read_bytes())
    data[(root - 1) * 4_096 : root * 4_096] = b"\xa5" * 4_096
    path.write_bytes(data)
    monkeypatch.setattr(opening, "CHECKED_BYTES", 0)
    with pytest.raises(StoreError, match="is damaged"):
        Journal.open(path, run={})
    assert not path.with_name(path.name + "-lock").exists()


def test_a_truncated_file_is_found_and_kept(path):
    written(path)
    path.write_bytes(path.read_bytes()[: 4_096 * 10])
    refused(path, "is damaged")


def test_damage_met_by_a_reader_is_said_with_words_on_rescue(path):
    written(path)
    data = path.read_bytes()
    path.write_bytes(data[:4_096] + b"\xa5" * (len(data) - 4_096))
    with pytest.raises(StoreError, match=r"cannot be read .*pairsim\.store\.rescue"):
        Reader(path).orders()


def test_a_reader_of_nothing_says_what_to_give_it(path):
    with pytest.raises(StoreError, match="does not exist: give the path an engine was started with"):
        Reader(path)
    assert not path.exists()


def test_a_run_that_json_cannot_hold_is_refused_and_the_store_left_free(path):
    with pytest.raises(InputError, match="cannot be kept as JSON"):
        Journal.open(path, run={"broker": object()})
    Journal.open(path, run={}).close()


# -- one engine a store ----------------------------------------------------------------------------------------------


def test_a_second_engine_is_refused_and_told_who_has_it_until_the_first_closes(path):
    with Journal.open(path, run={}):
        for name in (path, path.parent / "." / path.name):
            with pytest.raises(StoreError, match=rf"in use by another engine \(process {os.getpid()}\); stop that one"):
                Journal.open(name, run={})
    Journal.open(path, run={}).close()


def test_a_link_to_a_store_in_use_is_the_same_store(path, tmp_path):
    link = tmp_path / "link.db"
    link.symlink_to(path)
    with Journal.open(path, run={}), pytest.raises(StoreError, match="in use"):
        Journal.open(link, run={})


HOLDS = """
    import sys, time
    from pairsim.store import Journal
    journal = Journal.open(sys.argv[1], run={})
    journal.append("equity", [(1, 1.0, 1.0)])
    journal.flush()
    print("open", flush=True)
    time.sleep(60)
"""


def test_the_store_of_an_engine_that_was_killed_can_be_opened_at_once(path):
    with spawn(HOLDS, path) as first:
        assert first.stdout.readline() == "open\n"
        with pytest.raises(StoreError, match=rf"in use by another engine \(process {first.pid}\)"):
            Journal.open(path, run={})
        first.kill()
        first.wait()
    with Journal.open(path, run={}) as journal:
        assert (journal.run, journal.highest["equity"]) == (2, 1)
    runs = Reader(path).runs()
    assert runs["ended"].is_null().to_list() == [True, False]


FORKS = """
    import os, sys, time
    from pairsim.store import Journal
    journal = Journal.open(sys.argv[1], run={})
    if os.fork() == 0:
        print(os.getpid(), flush=True)
        os.close(1)
    time.sleep(60)
"""


def test_a_forked_child_that_outlives_the_engine_does_not_keep_its_store(path):
    with spawn(FORKS, path) as first:
        child = int(first.stdout.readline())
        try:
            first.kill()
            first.wait()
            os.kill(child, 0)
            Journal.open(path, run={}).close()
        finally:
            os.kill(child, signal.SIGKILL)


def test_a_lock_taken_on_a_file_that_was_removed_meanwhile_does_not_count(monkeypatch, path):
    looks = []

    def removed_once(fd, name):
        looks.append(fd)
        if len(looks) == 1:
            name.unlink()
        return same_file(fd, name)

    same_file = lock._same_file
    monkeypatch.setattr(lock, "_same_file", removed_once)
    with Journal.open(path, run={}):
        assert len(looks) == 2
        with pytest.raises(StoreError, match="in use"):
            Journal.open(path, run={})
