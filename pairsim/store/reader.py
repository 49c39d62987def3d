"""Looking at a journal while it is written: polars frames whose columns and types are always the same, empty or not.

Reading never hinders the writer: each statement is short (a long one would keep the WAL from being reused) and has a
read-only connection of its own (0.2 ms), so the journal can fold its files into one when it closes. Rows never change
and keys only grow, so each call fetches what is new since the last and keeps the rest. polars comes with the first call
that makes a frame, hence the imports inside functions.
"""

import contextlib
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pairsim.errors import InputError, StoreError
from pairsim.store.location import rescue_advice
from pairsim.store.schema import APPLICATION_ID, SCHEMA_VERSION, TABLES

if TYPE_CHECKING:
    import polars as pl

# Rows of one SELECT: about 50 ms, the longest a reader holds its snapshot of the WAL.
BATCH_ROWS = 16_384

_BUSY_SECONDS = 5.0


class Reader:
    """A view of one store, from any thread and any number of processes, also after the engine has gone.

    Parameters
    ----------
    path : the store's file.
    run : show this run only (``Journal.run``); None shows all runs of the store, one after the other.

    Raises
    ------
    StoreError : no journal is there.
    """

    def __init__(self, path: str | Path, run: int | None = None) -> None:
        self.path = Path(path).expanduser().absolute()
        self.run = run
        self._uri = f"{self.path.as_uri()}?mode=ro"
        if not self.path.is_file():
            raise StoreError(f"store {path} does not exist: give the path an engine was started with")
        self._kept: dict[str, tuple[pl.DataFrame, int]] = {}
        application, version = (self._select(f"PRAGMA {name}")[0][0] for name in ("application_id", "user_version"))
        if application != APPLICATION_ID:
            raise StoreError(f"store {path} is not a journal of pairsim; give the path an engine was started with")
        if version != SCHEMA_VERSION:
            raise StoreError(
                f"store {path} has schema version {version}, written by another pairsim; this one knows version "
                f"{SCHEMA_VERSION}: read it with that one"
            )

    def orders(self) -> "pl.DataFrame":
        """One row per order, in the order they were decided, with its status by the last of its events and fills.

        Returns
        -------
        timestamp (feed time of the decision), symbol, trader, side (BUY, SELL), type (MARKET, LIMIT, STOP, STOP_LOSS,
        TAKE_PROFIT), quantity, limit_price, status (FIX words), filled_quantity, average_price (of its fills), reason
        (the last one given), client_order_id; then stop_price, stop_loss, take_profit, expires, wall_time, order_id,
        parent_order_id, run, n, signal and what the evaluation had read: position_quantity, position_average_price,
        position_pending, cash, equity, portfolio_sequence.
        """
        from pairsim.store import frames

        return frames.orders(*self._tables("events", "fills", "orders", "markets", "traders"))

    def fills(self) -> "pl.DataFrame":
        """One row per fill, as they were booked.

        Returns
        -------
        timestamp (feed time: the open of the candle that matched), symbol, trader, side, quantity, price, fee,
        liquidity (TAKER, MAKER), client_order_id, trade_id; then notional, late, wall_time, order_id, run.
        """
        from pairsim.store import frames

        return frames.fills(*self._tables("fills", "orders", "markets", "traders"))

    def equity(self) -> "pl.DataFrame":
        """The account's marks: timestamp, equity."""
        from pairsim.store import frames

        return frames.equity(*self._tables("equity"))

    def health(self) -> "pl.DataFrame":
        """What went wrong: timestamp, trader (null: the host), kind, message, traceback, wall_time, run."""
        from pairsim.store import frames

        return frames.health(*self._tables("health", "traders"))

    def controls(self) -> "pl.DataFrame":
        """What was asked: timestamp, trader (null: the engine), kind, payload (JSON), sequence, wall_time, run."""
        from pairsim.store import frames

        return frames.controls(*self._tables("controls", "traders"))

    def feed(self) -> "pl.DataFrame":
        """Counted problems of the feed: timestamp, symbol (null: the feed), kind, count, message, wall_time, run."""
        from pairsim.store import frames

        return frames.feed(*self._tables("feed", "markets"))

    def runs(self) -> "pl.DataFrame":
        """The runs in the store: run, started, ended (null: lives or died), config (JSON)."""
        from pairsim.store import frames

        columns = "run, started_wall_ns, ended_wall_ns, config"
        return frames.runs(self._select(f"SELECT {columns} FROM runs ORDER BY run"))

    def events(self, client_order_id: str) -> "pl.DataFrame":
        """The story of one order: its intent, its events and its fills in the order they were written down.

        Returns
        -------
        timestamp, wall_time, status, quantity (of this fill), price, fee, liquidity, filled_quantity (so far), reason,
        trade_id.

        Raises
        ------
        InputError : no order has this id.
        """
        from pairsim.store import frames

        found = self._select("SELECT order_id FROM orders WHERE client_order_id = ?", client_order_id)
        if not found:
            raise InputError(f"no order has the client_order_id {client_order_id!r}; the ids stand in orders()")
        parts = (
            frames.raw(name, self._select(f"{_select(name)} WHERE order_id = ? ORDER BY {TABLES[name].key}", *found[0]))
            for name in ("orders", "events", "fills")
        )
        return frames.story(*parts, *self._tables("markets"))

    def since(self, table: str, rowid: int, limit: int = BATCH_ROWS) -> tuple[list[tuple[object, ...]], int]:
        """Rows whose key is above ``rowid``, oldest first and at most ``limit``, and the key to ask from next time.

        Parameters
        ----------
        table : a name in ``schema.TABLES``; each row holds ``schema.TABLES[table].stored``.
        rowid : 0, or what the last call returned.
        """
        rows, seen = self.news({table: rowid}, limit)
        return rows[table], seen[table]

    def news(
        self, seen: Mapping[str, int], limit: int = BATCH_ROWS
    ) -> tuple[dict[str, list[tuple[object, ...]]], dict[str, int]]:
        """`since` for several tables over one connection, whose cost is that of four tables: rows and keys by table.

        Tables are read in the order given. Of tables that refer to each other name first the one that refers: whatever
        its rows refer to has been read after it.
        """
        rows, last = {}, dict(seen)
        only = "" if self.run is None else f" AND run = {int(self.run)}"
        with self._connected() as connection:
            for table, rowid in seen.items():
                if table not in TABLES:
                    raise InputError(f"the journal has no table {table!r}; it has {', '.join(TABLES)}")
                key = TABLES[table].key
                newer = f"{_select(table)} WHERE {key} > ?{only} ORDER BY {key} LIMIT ?"
                rows[table] = connection.execute(newer, (rowid, limit)).fetchall()
                if rows[table]:
                    last[table] = int(rows[table][-1][0])
        return rows, last

    def last_orders(self, count: int) -> tuple[dict[str, list[tuple[object, ...]]], dict[str, int]]:
        """The last ``count`` orders with all their events and fills, and where `news` goes on in each table.

        Returns
        -------
        rows by table (``events``, ``fills``, ``orders``), oldest first, and what to ask `news` for next time; both of
        one moment.
        """
        only = "" if self.run is None else f" AND run = {int(self.run)}"
        rows, last = {}, {}
        with self._connected() as connection:
            connection.execute("BEGIN")  # one snapshot for all that follows
            newest = f"SELECT order_id FROM orders WHERE 1{only} ORDER BY order_id DESC LIMIT 1 OFFSET ?"
            (first,) = connection.execute(newest, (count - 1,)).fetchone() or (0,)
            for name in ("events", "fills", "orders"):  # the order `news` wants them in
                key = TABLES[name].key
                (last[name],) = connection.execute(f"SELECT coalesce(max({key}), 0) FROM {name}").fetchone()
                chosen = f"{_select(name)} WHERE order_id >= ?{only} ORDER BY {key}"
                rows[name] = connection.execute(chosen, (first,)).fetchall()
        return rows, last

    def __repr__(self) -> str:
        return f"Reader({str(self.path)!r}{'' if self.run is None else f', run={self.run}'})"

    def _tables(self, *names: str) -> "list[pl.DataFrame]":
        """Several tables, what depends on others first: whatever a row then refers to has been read after it."""
        return [self._table(name) for name in names]

    def _table(self, name: str) -> "pl.DataFrame":
        """All rows of a table so far, from what is kept and what is new."""
        from pairsim.store import frames

        kept, rowid = self._kept.get(name) or (frames.raw(name, []), 0)
        new = []
        while True:
            rows, rowid = self.since(name, rowid)
            new.append(frames.raw(name, rows))
            if len(rows) < BATCH_ROWS:
                break
        if any(len(frame) for frame in new):
            kept = frames.stack([kept, *new])
            self._kept[name] = (kept, rowid)
        return kept

    def _select(self, sql: str, *parameters: object) -> list[tuple[object, ...]]:
        with self._connected() as connection:
            return connection.execute(sql, parameters).fetchall()

    @contextlib.contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        try:
            with contextlib.closing(sqlite3.connect(self._uri, uri=True, timeout=_BUSY_SECONDS)) as connection:
                yield connection
        except sqlite3.Error as error:
            raise StoreError(
                f"store {self.path} cannot be read ({error}); if it is damaged {rescue_advice(self.path)}"
            ) from error


def _select(table: str) -> str:
    return f"SELECT {', '.join(TABLES[table].stored)} FROM {table}"
