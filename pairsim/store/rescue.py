"""Saving what can be read of a damaged store into a new one: ``python -m pairsim.store.rescue damaged.db rescued.db``.

The damaged file is only read. Rows are copied in the order of their keys; where a page cannot be read the rows on it
are skipped and counted, and reading goes on behind it. (``.recover`` of the sqlite3 shell reads more, but not every
shell has it.) What is missing afterwards has to be asked of the broker: trades page from a trade id.
"""

import argparse
import contextlib
import sqlite3
import sys
from pathlib import Path

from pairsim.errors import StoreError
from pairsim.store import schema

_BATCH = 4_096
_LAST_KEY = 2**62
# Behind a bad page the next readable key is looked for one by one (20 us each), and after so many failures in doubling
# steps: a damaged root would never end otherwise.
_PATIENCE = 100_000


def rescue(damaged: Path, rescued: Path) -> dict[str, tuple[int, int]]:
    """Copy every readable row; the target must not exist.

    Returns
    -------
    table -> (rows copied, keys between the first and the last of them that are missing).

    Raises
    ------
    StoreError : the target exists, or not even the beginning of the damaged file can be read.
    """
    if rescued.exists():
        raise StoreError(f"{rescued} exists already; give a path that is free")
    with contextlib.ExitStack() as close:
        try:
            source = sqlite3.connect(f"{damaged.absolute().as_uri()}?mode=ro", uri=True)
            close.callback(source.close)
            if source.execute("PRAGMA user_version").fetchone()[0] != schema.SCHEMA_VERSION:
                raise StoreError(
                    f"{damaged} is no store of schema version {schema.SCHEMA_VERSION}; nothing was rescued"
                )
        except sqlite3.Error as error:
            raise StoreError(f"{damaged} cannot be read at all ({error}); nothing was rescued") from error
        target = sqlite3.connect(rescued, isolation_level=None)
        close.callback(target.close)
        target.execute("BEGIN")
        for statement in schema.statements():
            target.execute(statement)
        keys = {"runs": "run"} | {name: table.key for name, table in schema.TABLES.items()}
        counts = {name: _copy(source, target, name, key) for name, key in keys.items()}
        target.execute("COMMIT")
    return counts


def _copy(source: sqlite3.Connection, target: sqlite3.Connection, table: str, key: str) -> tuple[int, int]:
    columns = [row[1] for row in target.execute(f"PRAGMA table_info({table})")]
    select = f"SELECT {', '.join(columns)} FROM {table} WHERE {key} >= ? ORDER BY {key} LIMIT ?"
    insert = f"INSERT OR IGNORE INTO {table} VALUES ({', '.join('?' * len(columns))})"
    first = last = copied = failures = 0
    at, batch = 1, _BATCH
    while at < _LAST_KEY:
        try:
            rows = source.execute(select, (at, batch)).fetchall()
        except sqlite3.DatabaseError:
            if batch > 1:
                batch = max(1, batch // 8)  # up to the last row before the bad page
            else:
                failures += 1
                at += 1 if failures < _PATIENCE else at
            continue
        if not rows:
            break
        copied += target.executemany(insert, rows).rowcount
        first, last = first or rows[0][0], rows[-1][0]
        at, batch = last + 1, _BATCH
    return copied, (last - first + 1 - copied if copied else 0)


def main() -> None:
    """The command."""
    options = argparse.ArgumentParser(prog="python -m pairsim.store.rescue", description=__doc__)
    options.add_argument("damaged", type=Path)
    options.add_argument("rescued", type=Path)
    chosen = options.parse_args()
    try:
        counts = rescue(chosen.damaged, chosen.rescued)
    except StoreError as error:
        sys.exit(str(error))
    for table, (copied, missing) in counts.items():
        sys.stdout.write(
            f"{table:12} {copied:10,} rows" + (f", {missing:,} missing between them\n" if missing else "\n")
        )


if __name__ == "__main__":
    main()
