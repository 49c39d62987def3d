"""A simulation as polars frames with the columns of a live run: both are made by ``store.frames``, from the same words.

Pure: arrays in, frames out. Columns that only a live run can fill (``wall_time``, ``portfolio_sequence``) are null.
"""

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from pairsim.orders import checks, matching, venue_event
from pairsim.orders.order import OrderType, Status
from pairsim.portfolio.layout import A_OPENING, A_QUOTE_SCALE
from pairsim.research.ledger import positions_at
from pairsim.research.simulate import Simulation
from pairsim.strategies.signal import KINDS, UNITS

if TYPE_CHECKING:
    import polars as pl

RUN: Final = 1
"""The run that a backtest says it is: the first of a fresh store, so client order ids equal those of its live twin."""

_STATUS: Final = {
    matching.CANCELED: int(Status.CANCELED),
    matching.EXPIRED: int(Status.EXPIRED),
    matching.REJECTED: int(Status.REJECTED),
}


class Tables:
    """Frames of one simulation, each made when first asked for."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._raw: dict[str, pl.DataFrame] = {}

    def orders(self) -> "pl.DataFrame":
        """One row an order, protective ones included, in the order they were made."""
        from pairsim.store import frames

        return frames.orders(*self._tables("events", "fills", "orders", "markets", "traders"))

    def fills(self) -> "pl.DataFrame":
        """One row a fill."""
        from pairsim.store import frames

        return frames.fills(*self._tables("fills", "orders", "markets", "traders"))

    def equity(self) -> "pl.DataFrame":
        """Equity at each close."""
        import polars as pl

        times = pl.Series("timestamp", self._simulation.times).cast(pl.Datetime("ns", "UTC"))
        return pl.DataFrame([times, pl.Series("equity", self._simulation.equity)])

    def signals(self) -> "pl.DataFrame":
        """One row a signal that became an order or was denied."""
        import polars as pl

        log, plan = self._simulation.orders, self._simulation.plan
        prices = [_nullable(name, log[name]) for name in ("limit", "stop", "stop_loss", "take_profit")]
        close = log["kind"] == _CLOSE
        return pl.DataFrame(
            [
                pl.Series("timestamp", log["time"]).cast(pl.Datetime("ns", "UTC")),
                _word("symbol", log["market"], plan.symbols),
                _word("trader", log["trader"], [trader.name for trader in plan.traders]),
                _word("kind", log["kind"], KINDS),
                _word("unit", np.where(close, len(UNITS), log["unit"]), (*UNITS, None)),
                _nullable("amount", np.where(close, np.nan, log["amount"])),
                *prices,
                _given("expires", log["expires"], log["expires"] > 0).cast(pl.Datetime("ns", "UTC")),
                _word("denied", log["verdict"], (None, *checks.REASONS[1:])),
                pl.Series("client_order_id", self._client_ids(), dtype=pl.String),
            ]
        )

    # -- the tables of a journal ---------------------------------------------------------------------------------------

    def _tables(self, *names: str) -> "list[pl.DataFrame]":
        for name in names:
            if name not in self._raw:
                self._raw[name] = getattr(self, f"_{name}")()
        return [self._raw[name] for name in names]

    def _markets(self) -> "pl.DataFrame":
        from pairsim.store import frames

        rows: Any = [
            (k + 1, RUN, k, i.symbol, i.base_scale, i.quote_scale, i.tick_size, i.lot_size, i.minimum_notional)
            for k, i in enumerate(self._simulation.plan.instruments)
        ]
        return frames.raw("markets", rows)

    def _traders(self) -> "pl.DataFrame":
        from pairsim.store import frames

        plan = self._simulation.plan
        rows: Any = [
            (t + 1, RUN, t, trader.name, repr(trader.strategy), trader.every_ns or plan.base_ns)
            for t, trader in enumerate(plan.traders)
        ]
        return frames.raw("traders", rows)

    def _events(self) -> "pl.DataFrame":
        """What fills do not say: denials, cancels, expiries, rejections, and fills that were trimmed."""
        from pairsim.store import frames

        simulation, events = self._simulation, self._simulation.events
        denied = simulation.orders[simulation.orders["verdict"] != checks.PASSED]
        ids = self._order_ids
        rows: Any = [
            (
                0,
                RUN,
                ids[int(row["order_id"])],
                int(row["time"]),
                None,
                int(Status.DENIED),
                checks.REASONS[row["verdict"]],
            )
            for row in denied
        ]
        ended = events[np.isin(events["kind"], list(_STATUS))]
        rows += [
            (
                0,
                RUN,
                ids[int(e["order_id"])],
                int(e["time"]),
                None,
                _STATUS[int(e["kind"])],
                matching.REASONS[e["reason"]],
            )
            for e in ended
        ]
        rows += self._trimmed()
        return frames.raw("events", [(*row, 0, None) for row in rows])

    def _trimmed(self) -> list[tuple[object, ...]]:
        """Final fills of less than was ordered: they say why."""
        fills = self._fill_events
        short = fills[(fills["final"] != 0) & (fills["reason"] != venue_event.NONE)]
        return [
            (
                0,
                RUN,
                self._order_ids[int(e["order_id"])],
                int(e["time"]),
                None,
                int(Status.FILLED),
                matching.REASONS[e["reason"]],
            )
            for e in short
        ]

    def _fills(self) -> "pl.DataFrame":
        import polars as pl

        fills = self._fill_events
        n = len(fills)
        trade = np.arange(1, n + 1)
        return pl.DataFrame(
            [
                pl.Series("fill", trade),
                pl.Series("run", np.full(n, RUN)),
                pl.Series("trade_id", [f"{RUN}-{k}" for k in trade.tolist()], dtype=pl.String),
                pl.Series("order_id", self._numbers(fills["order_id"])),
                pl.Series("timestamp", fills["time"]),
                pl.Series("wall_ns", [None] * n, dtype=pl.Int64),
                pl.Series("trader", self._traders_of(fills)),
                *(pl.Series(name, fills[name]) for name in ("market", "side", "quantity", "price", "notional", "fee")),
                pl.Series("liquidity", fills["liquidity"]),
                pl.Series("late", fills["late"]),
            ]
        )

    def _orders(self) -> "pl.DataFrame":
        import polars as pl

        from pairsim.store import frames

        parts = [frames.raw("orders", []), self._decided(), self._protective()]
        return pl.concat(parts, how="diagonal_relaxed").with_columns(run=pl.lit(RUN, pl.Int64)).sort("order_id")

    def _decided(self) -> "pl.DataFrame":
        """Orders of decisions, with what those had read."""
        import polars as pl

        simulation, log = self._simulation, self._simulation.orders
        plan, mem = simulation.plan, simulation.portfolio
        scale = float(mem.view(np.float64)[A_QUOTE_SCALE])
        seen = positions_at(log, self._fill_events, plan, int(mem[A_OPENING]))
        slices = np.searchsorted(simulation.times, log["time"])
        same = {
            name: np.ascontiguousarray(log[name]) for name in ("trader", "market", "side", "type", "quantity", "signal")
        }
        prices = {"limit_price": "limit", "stop_price": "stop", "stop_loss": "stop_loss", "take_profit": "take_profit"}
        return pl.DataFrame(
            {
                "order_id": self._numbers(log["order_id"]),
                "client_order_id": pl.Series(self._client_ids(), dtype=pl.String),
                "timestamp": np.ascontiguousarray(log["time"]),
                **same,
                **{name: _nullable(name, log[column]) for name, column in prices.items()},
                "expires_ns": _given("expires_ns", log["expires"], log["expires"] > 0),
                "n": slices,
                "position_quantity": seen.quantity,
                "position_average_price": seen.average_price,
                "position_pending": np.zeros(len(log)),  # with one, the signal would have been skipped
                "cash": seen.cash / scale,
                "equity": simulation.equity[slices] if len(log) else np.zeros(0),
            }
        )

    def _protective(self) -> "pl.DataFrame":
        """Orders that a fill brought about."""
        import polars as pl

        armed, clients = self._armed, self._client_ids()
        parents = armed["order_id"] // matching.ID_STEP
        stop_loss = armed["type"] == int(OrderType.STOP_LOSS)
        names = [
            f"{clients[parent - 1]}-{'sl' if stop else 'tp'}"
            for parent, stop in zip(parents.tolist(), stop_loss.tolist(), strict=True)
        ]
        same = {name: np.ascontiguousarray(armed[name]) for name in ("market", "side", "type", "quantity")}
        return pl.DataFrame(
            {
                "order_id": self._numbers(armed["order_id"]),
                "client_order_id": pl.Series(names, dtype=pl.String),
                "timestamp": np.ascontiguousarray(armed["time"]),
                "trader": self._traders_of(armed),
                **same,
                "limit_price": _nullable("limit_price", np.where(stop_loss, np.nan, armed["price"])),
                "stop_price": _nullable("stop_price", np.where(stop_loss, armed["price"], np.nan)),
                "parent_order_id": self._numbers(parents * matching.ID_STEP),
            }
        )

    # -- numbers ------------------------------------------------------------------------------------------------------

    @property
    def _fill_events(self) -> np.ndarray:
        events = self._simulation.events
        return events[events["kind"] == matching.FILL]

    @property
    def _armed(self) -> np.ndarray:
        events = self._simulation.events
        return events[events["kind"] == matching.ARMED]

    @property
    def _order_ids(self) -> dict[int, int]:
        """From ids at the venue to numbers in the order in which the orders were made, as a live run counts them."""
        if not hasattr(self, "_ids"):
            log, armed, base = self._simulation.orders, self._armed, self._simulation.plan.base_ns
            made = np.concatenate([log["time"] - base, armed["time"]])  # open of the slice; what is armed comes first
            order = np.lexsort((np.arange(len(made)), np.arange(len(made)) < len(log), made))
            ids = np.concatenate([log["order_id"], armed["order_id"]])[order].tolist()
            self._ids = {venue: number for number, venue in enumerate(ids, 1)}
        return self._ids

    def _traders_of(self, events: np.ndarray) -> NDArray[np.int64]:
        return np.array([trader for trader, _ in self._simulation.plan.pairs], np.int64)[events["pair"]]

    def _numbers(self, venue_ids: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.array([self._order_ids[venue] for venue in venue_ids.tolist()], np.int64)

    def _client_ids(self) -> list[str]:
        log = self._simulation.orders
        columns = (log["number"].tolist(), log["trader"].tolist(), log["signal"].tolist())
        return [f"{RUN}-{number}-{trader}-{signal}" for number, trader, signal in zip(*columns, strict=True)]


_CLOSE: Final = KINDS.index("close")


def _nullable(name: str, values: np.ndarray) -> "pl.Series":
    import polars as pl

    return pl.Series(name, np.ascontiguousarray(values, np.float64)).fill_nan(None)


def _word(name: str, numbers: np.ndarray, words: Any) -> "pl.Series":
    import polars as pl

    return pl.Series(name, words, dtype=pl.String).gather(np.ascontiguousarray(numbers, np.int64))


def _given(name: str, values: np.ndarray, given: np.ndarray) -> "pl.Series":
    """Whole numbers, null where none is given."""
    import polars as pl

    numbers = pl.Series(name, np.ascontiguousarray(values, np.int64))
    return numbers.set(pl.Series(~given, dtype=pl.Boolean), None)
