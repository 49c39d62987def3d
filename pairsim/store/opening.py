"""Opening a journal's file for writing: what may be wrong with it is found here, before the first row.

Nothing is changed until the file is known to be ours, whole, and of our version.
"""

import contextlib
import json
import os
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np

from pairsim import clock
from pairsim.errors import InputError, StoreError
from pairsim.store import schema
from pairsim.store.location import rescue_advice

# A file up to this size is checked page by page (1.3 ms a MB, measured, so at most 0.2 s of a start); a larger one
# only in its header and its table definitions. Damage met later fails the journal, or is said by the reader that
# meets it.
CHECKED_BYTES = 128 * 2**20

# Another program may hold SQLite's write lock for a moment (a backup, a shell): wait so long, then fail closed.
BUSY_SECONDS = 5.0

# Pages after which SQLite itself would checkpoint inside a COMMIT. The writer does it earlier and after
# acknowledging, so this only bounds the WAL should the writer's estimate be far off.
BACKSTOP_PAGES = 16_384

_STATEMENTS = 256  # prepared statements kept: one for each table and chunk of rows


def open_database(path: Path) -> sqlite3.Connection:
    """The connection that writes, in WAL with a full sync at each commit, its tables present.

    Raises
    ------
    StoreError : not a database, damaged, of another program, of a newer version, or not writable. The file is kept.
    """
    if sqlite3.sqlite_version_info < (3, 37):
        raise StoreError(f"SQLite {sqlite3.sqlite_version} is too old for the journal: it needs 3.37 (STRICT tables)")
    _check_header(path)
    with contextlib.ExitStack() as undo:
        try:
            connection = sqlite3.connect(
                path,
                timeout=BUSY_SECONDS,
                isolation_level=None,  # transactions are begun and ended in so many words
                check_same_thread=False,  # opened by the caller, who gets the errors, used by the writer
                cached_statements=_STATEMENTS,
            )
            undo.callback(connection.close)
            _check_contents(connection, path)
            _configure(connection, path)
            _create_tables(connection)
        except sqlite3.Error as error:
            raise _refusal(path, error) from error
        undo.pop_all()
    # Rows come from numpy records often enough; numpy floats are Python floats already, its integers are not.
    sqlite3.register_adapter(np.int64, int)
    return connection


def begin_run(connection: sqlite3.Connection, path: Path, run: dict[str, object]) -> int:
    """Write the row of a new run, durable on return; its number is one more than the last.

    Raises
    ------
    InputError : ``run`` cannot be written as JSON.
    StoreError : the file cannot be written.
    """
    try:
        config = json.dumps(run, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError(f"run={run!r} cannot be kept as JSON ({error}): use text, numbers, lists and dicts") from error
    try:
        cursor = connection.execute(
            "INSERT INTO runs (started_wall_ns, config) VALUES (?, ?)", (clock.wall_ns(), config)
        )
    except sqlite3.Error as error:
        raise _refusal(path, error) from error
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def highest_keys(connection: sqlite3.Connection, path: Path) -> dict[str, int]:
    """The last key of each table, 0 where it is empty.

    Raises
    ------
    StoreError : the end of a table cannot be read.
    """
    last = {name: f"SELECT coalesce(max({table.key}), 0) FROM {name}" for name, table in schema.TABLES.items()}
    try:
        return {name: connection.execute(sql).fetchone()[0] for name, sql in last.items()}
    except sqlite3.Error as error:
        raise _refusal(path, error) from error


def _check_header(path: Path) -> None:
    """Reading it with SQLite could already touch it: look at the first bytes ourselves."""
    try:
        with path.open("rb") as file:
            start = file.read(16)
    except FileNotFoundError:
        return
    except OSError as error:
        raise StoreError(f"store {path} cannot be read ({error.strerror}); choose another path") from error
    if not os.access(path, os.W_OK):
        raise StoreError(f"store {path} may not be written by this user; change its mode or choose another path")
    # An empty file is what a death before the first commit leaves behind.
    if start and start != b"SQLite format 3\x00":
        raise StoreError(
            f"store {path} is not a database (it begins with {start!r}); it was left as it is, choose another path"
        )


def _check_contents(connection: sqlite3.Connection, path: Path) -> None:
    """Ours, of our version, and whole."""
    application = _pragma(connection, "application_id")
    tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if tables and application != schema.APPLICATION_ID:
        raise StoreError(f"store {path} is a database of another program; it was left as it is, choose another path")
    version = _pragma(connection, "user_version")
    if version > schema.SCHEMA_VERSION:
        raise StoreError(
            f"store {path} has schema version {version}, written by a newer pairsim; this one knows version "
            f"{schema.SCHEMA_VERSION}: upgrade pairsim or choose another path"
        )
    if path.stat().st_size <= CHECKED_BYTES:
        found = _pragma(connection, "quick_check(1)")
        if found != "ok":
            raise _refusal(path, str(found).splitlines()[-1])


def _configure(connection: sqlite3.Connection, path: Path) -> None:
    if _pragma(connection, "journal_mode = WAL") != "wal":
        raise StoreError(f"store {path}: SQLite cannot use its write-ahead log here; put the store on a local disk")
    connection.execute("PRAGMA synchronous = FULL")  # NORMAL lost acknowledged commits in simulated power cuts
    connection.execute(
        "PRAGMA fullfsync = ON"
    )  # macOS, where fsync alone does not reach the disk; elsewhere without effect
    connection.execute(f"PRAGMA wal_autocheckpoint = {BACKSTOP_PAGES}")
    connection.execute("PRAGMA journal_size_limit = 67108864")  # a WAL that a long reader made grow shrinks to 64 MiB
    connection.execute("PRAGMA cache_size = -16384")  # KiB: the right edges of the indexes stay in memory


def _create_tables(connection: sqlite3.Connection) -> None:
    if _pragma(connection, "user_version") == 0:
        connection.execute("BEGIN IMMEDIATE")
        for statement in schema.statements():
            connection.execute(statement)
        connection.execute("COMMIT")


def _pragma(connection: sqlite3.Connection, text: str) -> Any:
    return connection.execute(f"PRAGMA {text}").fetchone()[0]


def _refusal(path: Path, error: Exception | str) -> StoreError:
    if isinstance(error, sqlite3.OperationalError):  # locked, full, not permitted: its content is not in doubt
        return StoreError(f"store {path} cannot be opened ({error}); free the disk or the file, or choose another path")
    return StoreError(
        f"store {path} is damaged ({error}) and was left as it is; {rescue_advice(path)}; or choose another path"
    )
