"""The journal's tables: one literal description from which DDL, INSERT statements and readers are derived. Pure data.

Append-only: a row is never changed or removed (the one exception is ``runs.ended_wall_ns``). Hot columns are integers;
names are resolved through ``traders`` and ``markets``. Money and quantities are whole units of the market's scales,
prices and what strategies saw are floats, NULL means absent (SQLite has no NaN: a NaN handed in is stored as NULL).

Every table is read incrementally by its key, so keys only ever grow in the order rows were appended.
"""

from functools import lru_cache
from typing import NamedTuple

APPLICATION_ID = 0x7073696D  # "psim" in the file's header: this SQLite file is ours
SCHEMA_VERSION = 1  # PRAGMA user_version; raise it with every change below


class Table(NamedTuple):
    """One table. ``columns`` are what a row given to ``Journal.append`` holds, in this order.

    ``key`` is the growing INTEGER PRIMARY KEY; unless it is the first of ``columns``, SQLite numbers the rows. ``run``
    stands in every table but is never given: the journal writes it.
    """

    key: str
    columns: tuple[tuple[str, str], ...]
    unique: tuple[str, ...] = ()
    indexed: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The columns of an appended row."""
        return tuple(name for name, _ in self.columns)

    @property
    def key_given(self) -> bool:
        """Whether the caller numbers the rows."""
        return self.columns[0][0] == self.key

    @property
    def stored(self) -> tuple[str, ...]:
        """All columns as read back: the key, the run, then the rest of the row."""
        return (self.key, "run", *(self.names[1:] if self.key_given else self.names))


TABLES: dict[str, Table] = {
    "markets": Table(
        key="id",
        columns=(
            ("market", "INTEGER NOT NULL"),
            ("symbol", "TEXT NOT NULL"),
            ("base_scale", "INTEGER NOT NULL"),  # digits: a quantity is units / 10**base_scale
            ("quote_scale", "INTEGER NOT NULL"),  # digits: notional and fee are units / 10**quote_scale
            ("tick_size", "REAL"),
            ("lot_size", "REAL"),
            ("minimum_notional", "REAL"),
        ),
        unique=("run", "market"),
    ),
    "traders": Table(
        key="id",
        columns=(
            ("trader", "INTEGER NOT NULL"),
            ("name", "TEXT NOT NULL"),
            ("strategy", "TEXT NOT NULL"),
            ("interval_ns", "INTEGER NOT NULL"),
        ),
        unique=("run", "trader"),
    ),
    # The intent, journalled before the order is sent, with the snapshot its evaluation read.
    "orders": Table(
        key="order_id",
        columns=(
            ("order_id", "INTEGER PRIMARY KEY"),  # the caller's counter, growing for the life of the store
            # Made from (run, trader, n, signal), so its uniqueness is theirs. Keep what grows in front
            # ("run-n-trader-signal"): scattered keys make this index twice as dear as the row.
            ("client_order_id", "TEXT NOT NULL"),
            ("timestamp", "INTEGER NOT NULL"),  # feed time of the decision, ns
            ("wall_ns", "INTEGER NOT NULL"),
            ("trader", "INTEGER NOT NULL"),
            ("market", "INTEGER NOT NULL"),
            ("side", "INTEGER NOT NULL"),  # +1 buy, -1 sell
            ("type", "INTEGER NOT NULL"),  # orders.OrderType
            ("quantity", "INTEGER NOT NULL"),
            ("limit_price", "REAL"),
            ("stop_price", "REAL"),
            ("expires_ns", "INTEGER"),
            ("n", "INTEGER"),  # NULL where no evaluation made the order (flatten)
            ("signal", "INTEGER"),
            ("parent_order_id", "INTEGER"),
            ("position_quantity", "REAL"),
            ("position_average_price", "REAL"),
            ("position_pending", "REAL"),
            ("cash", "REAL"),
            ("equity", "REAL"),
            ("portfolio_sequence", "INTEGER"),
            ("stop_loss", "REAL"),  # levels of the protective orders a fill of this one brings about
            ("take_profit", "REAL"),
        ),
        unique=("client_order_id",),
    ),
    # Only what fills do not say: a fill implies PARTIALLY_FILLED or FILLED by itself, so the hot path writes no event.
    "events": Table(
        key="event",
        columns=(
            ("order_id", "INTEGER NOT NULL"),
            ("timestamp", "INTEGER NOT NULL"),
            ("wall_ns", "INTEGER NOT NULL"),
            ("status", "INTEGER NOT NULL"),  # orders.Status
            ("reason", "TEXT"),
            ("filled_quantity", "INTEGER"),  # as the broker said it; the truth is the fills
            ("average_price", "REAL"),
        ),
        indexed="order_id",
    ),
    "fills": Table(
        key="fill",
        columns=(
            # The venue's trade id, made unique within the store by the broker (a venue that counts per market:
            # "symbol-id"). TEXT, so that 17 from a stream and "17" from REST are the same trade.
            ("trade_id", "TEXT NOT NULL"),
            ("order_id", "INTEGER NOT NULL"),
            ("timestamp", "INTEGER NOT NULL"),  # feed time: the open of the candle that matched
            ("wall_ns", "INTEGER NOT NULL"),
            ("trader", "INTEGER NOT NULL"),
            ("market", "INTEGER NOT NULL"),
            ("side", "INTEGER NOT NULL"),
            ("quantity", "INTEGER NOT NULL"),
            ("price", "REAL NOT NULL"),
            ("notional", "INTEGER NOT NULL"),
            ("fee", "INTEGER NOT NULL"),
            ("liquidity", "INTEGER NOT NULL"),  # orders.Liquidity
            ("late", "INTEGER NOT NULL"),  # 1: matched with a later candle than its arrival asked for
        ),
        unique=("trade_id",),
        indexed="order_id",
    ),
    "equity": Table(
        key="mark",
        columns=(
            ("timestamp", "INTEGER NOT NULL"),
            ("equity", "REAL NOT NULL"),
            ("cash", "REAL NOT NULL"),
        ),
    ),
    "controls": Table(
        key="control",
        columns=(
            ("sequence", "INTEGER NOT NULL"),  # where in the trader's stream it was applied
            ("timestamp", "INTEGER NOT NULL"),
            ("wall_ns", "INTEGER NOT NULL"),
            ("trader", "INTEGER"),  # NULL: the whole engine
            ("kind", "TEXT NOT NULL"),
            ("payload", "TEXT NOT NULL"),  # JSON
        ),
    ),
    "health": Table(
        key="entry",
        columns=(
            ("timestamp", "INTEGER NOT NULL"),
            ("wall_ns", "INTEGER NOT NULL"),
            ("trader", "INTEGER"),  # NULL: the host itself
            ("kind", "TEXT NOT NULL"),
            ("message", "TEXT NOT NULL"),
            ("traceback", "TEXT"),
        ),
    ),
    "feed": Table(
        key="entry",
        columns=(
            ("timestamp", "INTEGER NOT NULL"),
            ("wall_ns", "INTEGER NOT NULL"),
            ("market", "INTEGER"),  # NULL: the feed itself
            ("kind", "TEXT NOT NULL"),  # gap, duplicate, disorder, bad candle, disconnect ...
            ("count", "INTEGER NOT NULL"),
            ("message", "TEXT NOT NULL"),
        ),
    ),
    "checkpoints": Table(
        key="checkpoint",
        columns=(
            ("trader", "INTEGER NOT NULL"),
            ("n", "INTEGER NOT NULL"),
            ("wall_ns", "INTEGER NOT NULL"),
            ("blob", "BLOB NOT NULL"),
        ),
    ),
}

RUNS = """CREATE TABLE runs (
    run INTEGER PRIMARY KEY,
    started_wall_ns INTEGER NOT NULL,
    ended_wall_ns INTEGER,
    config TEXT NOT NULL
) STRICT"""


def statements() -> list[str]:
    """All statements that make an empty database a journal. STRICT: a wrong type fails where it is written."""
    made = [RUNS]
    for name, table in TABLES.items():
        rest = table.columns[1:] if table.key_given else table.columns
        columns = [f"{table.key} INTEGER PRIMARY KEY", "run INTEGER NOT NULL", *(" ".join(column) for column in rest)]
        if table.unique:
            columns.append(f"UNIQUE ({', '.join(table.unique)})")
        made.append(f"CREATE TABLE {name} (\n    " + ",\n    ".join(columns) + "\n) STRICT")
        if table.indexed:
            made.append(f"CREATE INDEX {name}_{table.indexed} ON {name} ({table.indexed})")
    return [*made, f"PRAGMA application_id = {APPLICATION_ID}", f"PRAGMA user_version = {SCHEMA_VERSION}"]


@lru_cache(maxsize=256)  # the text of 256 rows is long, and sqlite3 finds the prepared statement by it
def insert(name: str, run: int, rows: int) -> str:
    """One INSERT of ``rows`` rows; ``run`` stands in the text, so it costs no parameter."""
    table = TABLES[name]
    # Each row is (key, run, ...): the key is a parameter where the caller gives it, else NULL, which SQLite numbers.
    key = "?" if table.key_given else "NULL"
    others = len(table.columns) - table.key_given
    row = f"({key}, {run}{', ?' * others})"
    return f"INSERT INTO {name} ({', '.join(table.stored)}) VALUES {', '.join([row] * rows)}"
