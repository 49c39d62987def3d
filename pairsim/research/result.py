"""What a backtest came to: statistics, frames with the columns of a live run, a figure, a report; made when asked for.

Rule: everything follows from the simulation's arrays; a result never runs anything again.
"""

import hashlib
import os
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from pairsim.brokers.sim import SimBroker
from pairsim.engine.layout import T_MARKET
from pairsim.market.interval import Moment, format_interval, format_time
from pairsim.markup import Html, card, line, table
from pairsim.orders import checks, matching
from pairsim.portfolio.layout import A_QUOTE_SCALE
from pairsim.research.history import History
from pairsim.research.ledger import round_trips
from pairsim.research.simulate import Simulation
from pairsim.research.statistics import Statistics, daily_marks, days_a_year, statistics
from pairsim.research.summary import tally_of
from pairsim.research.tables import Tables

if TYPE_CHECKING:
    import polars as pl

    from pairsim.research.figures import Figure

_NAMES = 6


class Result:
    """A finished backtest, made by `backtest`.

    Attributes
    ----------
    cash : what the account opened with.
    broker : whose costs and rules were simulated.
    notes : outcome of the causality check, and what should be known about the run.
    """

    def __init__(
        self, simulation: Simulation, history: History, broker: SimBroker, cash: float, notes: tuple[str, ...]
    ) -> None:
        self._simulation, self._history = simulation, history
        self.broker, self.cash, self.notes = broker, cash, notes

    # -- numbers -----------------------------------------------------------------------------------------------------

    @cached_property
    def stats(self) -> Statistics:
        """Statistics with their definitions; ``result.stats.sharpe``, ``result.stats.frame``."""
        simulation, plan = self._simulation, self._simulation.plan
        tally = tally_of(simulation.events, len(plan.pairs), simulation.slices, self._quote_scale)
        start = int(simulation.times[0]) - plan.base_ns
        return statistics(simulation.times, simulation.equity, self.cash, tally, start)

    @cached_property
    def digest(self) -> str:
        """A hash of orders, events and equity: equal runs have equal digests."""
        simulation = self._simulation
        digest = hashlib.sha256()
        for array in (simulation.orders, simulation.events, simulation.times, simulation.equity):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()[:16]

    @property
    def final_equity(self) -> float:
        """Equity at the last close."""
        return float(self._simulation.equity[-1])

    @property
    def evaluations(self) -> int:
        """How often a strategy was asked."""
        return sum(self._simulation.evaluations)

    @property
    def skipped(self) -> int:
        """Signals skipped because a market order of the same trader and market was in flight."""
        return sum(self._simulation.skipped)

    # -- frames ------------------------------------------------------------------------------------------------------

    @cached_property
    def equity(self) -> "pl.DataFrame":
        """timestamp (close of the candle), equity."""
        return self._tables.equity()

    @cached_property
    def orders(self) -> "pl.DataFrame":
        """One row an order, with the columns of ``engine.orders``."""
        return self._tables.orders()

    @cached_property
    def fills(self) -> "pl.DataFrame":
        """One row a fill, with the columns of ``engine.fills``."""
        return self._tables.fills()

    @cached_property
    def signals(self) -> "pl.DataFrame":
        """One row a signal that became an order or was denied: timestamp (of the decision), symbol, trader, kind, unit,
        amount, limit, stop, stop_loss, take_profit, expires, denied (why), client_order_id."""
        return self._tables.signals()

    @cached_property
    def trades(self) -> "pl.DataFrame":
        """One row a round trip, flat to flat of one trader in one market: symbol, trader, side, entry_time, exit_time
        (null: still open), quantity (to enter), entry_price, exit_price (averages), profit (after fees), fees,
        profit_share (of the entry's notional), fills. An open trade's profit is that of what was closed so far. `stats`
        does not count it: ``result.trades.drop_nulls("exit_time")`` has ``stats.trades`` rows."""
        import polars as pl

        plan, trips = self._simulation.plan, self._trips
        pairs = np.array(plan.pairs, np.int64).reshape(-1, 2)[trips["pair"]]
        units = np.array([10.0**i.base_scale for i in plan.instruments])[pairs[:, 1]]
        scale = self._quote_scale
        with np.errstate(divide="ignore", invalid="ignore"):
            entry = trips["entry_notional"] / scale / (trips["entry_quantity"] / units)
            left = trips["exit_notional"] / scale / (trips["exit_quantity"] / units)
            profit = self._profits(trips) / scale
            share = profit / (trips["entry_notional"] / scale)
        moment = pl.Datetime("ns", "UTC")
        names = pl.Series([trader.name for trader in plan.traders], dtype=pl.String)
        frame = pl.DataFrame(
            {
                "symbol": pl.Series(plan.symbols, dtype=pl.String).gather(pairs[:, 1]),
                "trader": names.gather(pairs[:, 0]),
                "side": pl.Series(["LONG", "SHORT"]).gather((trips["side"] < 0).astype(np.int64)),
                "entry_time": pl.Series(trips["entered"]).cast(moment),
                "exit_time": pl.Series(trips["left"]).replace(0, None).cast(moment),
                "quantity": trips["entry_quantity"] / units,
                "entry_price": entry,
                "exit_price": pl.Series(left).fill_nan(None),
                "profit": profit,
                "fees": trips["fees"] / scale,
                "profit_share": share,
                "fills": np.ascontiguousarray(trips["fills"]),
            }
        )
        return frame

    # -- pictures ----------------------------------------------------------------------------------------------------

    def plot(self, trader: str | None = None, *, start: Moment | None = None, end: Moment | None = None) -> "Figure":
        """Candles with fills and indicators of each market of a trader, equity and drawdown of the account, as a plotly
        figure that follows the notebook's theme.

        Parameters
        ----------
        trader : whose; the first one unless given. The title says which one of how many.
        start, end : show a part of the history, in all the detail that fits. What is drawn is downsampled to the range:
            candles are merged, lines keep the extremes of each bucket.
        """
        from pairsim.research.plot import figure

        return figure(self, trader, start, end)

    def report(self, path: "str | os.PathLike[str]") -> None:
        """Write everything into one HTML file that needs no network: assumptions, statistics, figure, trades."""
        from pairsim.research.report import write_report

        write_report(self, path)

    # -- words -------------------------------------------------------------------------------------------------------

    @cached_property
    def assumptions(self) -> tuple[tuple[str, str], ...]:
        """What was assumed, as pairs of a name and a text."""
        simulation, broker = self._simulation, self.broker
        plan = simulation.plan
        base = format_interval(plan.base_ns)
        late = f" after {format_interval(broker.latency_ns)}" if broker.latency_ns else ""
        if broker.jitter_ns:
            late += f" and up to {format_interval(broker.jitter_ns)} more (seed {broker.seed})"
        partial = f", at most {broker.participation:.1%} of a candle's volume" if broker.participation else ""
        maker = f", makers {broker.maker_fee_bps:g} bps" if broker.maker_fee_bps != broker.fee_bps else ""
        days, _ = daily_marks(simulation.times, simulation.equity)
        lots = sorted({f"{i.lot_size:g}" for i in plan.instruments})
        return (
            ("fills", f"decided at a close, filled at the next open of the {base} candles{late}{partial}"),
            ("fees", f"{broker.fee_bps:g} bps{maker}, rounded up"),
            ("slippage", f"{broker.slippage_bps:g} bps of market and stop orders"),
            ("lots", f"{', '.join(lots[:_NAMES])}; quantities are rounded down"),
            (
                "account",
                f"{'short selling allowed' if broker.short else 'cash only, no short selling'}, marked at closes",
            ),
            ("annualised", f"{days_a_year(days)} days a year, from daily marks at 00:00 UTC"),
        )

    def __repr__(self) -> str:
        lines = [self._title]
        lines += [f"  {name:<18} {value:>14}" for name, value, _ in self.stats.lines()]
        lines += [f"  {name}: {text}" for name, text in self.assumptions]
        return "\n".join([*lines, *(f"  {note}" for note in self._remarks)])

    def _repr_html_(self) -> str:
        told = table(("assumption", ""), self.assumptions)
        notes = [line(note, "muted") for note in self._remarks]
        hint = line("result.plot() draws it, result.trades, .fills and .equity are frames", "muted")
        return card("Result", Html(self.stats._repr_html_()), told, *notes, hint, about=self._title)

    @property
    def _title(self) -> str:
        plan, times = self._simulation.plan, self._simulation.times
        names = [f"{trader.strategy!r} on {'+'.join(trader.markets)}" for trader in plan.traders]
        shown = "; ".join(names[:_NAMES]) + (f" and {len(names) - _NAMES} more" if len(names) > _NAMES else "")
        period = f"{format_time(int(times[0]) - plan.base_ns)} to {format_time(int(times[-1]))}"
        return f"{shown}: {self.cash:,.2f} became {self.final_equity:,.2f}, {period}, {len(times):,} candles"

    @property
    def _remarks(self) -> tuple[str, ...]:
        """The notes, what is still open, and why orders were denied: who sees no trade looks for the reason here."""
        notes, still = self.notes, int((self._trips["left"] == 0).sum())
        if still:
            what = "1 trade is" if still == 1 else f"{still:,} trades are"
            closed = f"{self.stats.trades:,} closed trade{'' if self.stats.trades == 1 else 's'}"
            notes = (*notes, f"{what} still open: in result.trades with no exit_time, beside {closed}")
        verdicts = self._simulation.orders["verdict"]
        denied = verdicts[verdicts != checks.PASSED]
        if not len(denied):
            return notes
        reason = checks.REASONS[int(np.bincount(denied).argmax())]
        return (*notes, f"{len(denied):,} of {len(verdicts):,} orders were denied, most of them: {reason}")

    # -- parts -------------------------------------------------------------------------------------------------------

    @cached_property
    def _tables(self) -> Tables:
        return Tables(self._simulation)

    @cached_property
    def _fill_events(self) -> np.ndarray:
        events = self._simulation.events
        fills = events["kind"] == matching.FILL
        return events if fills.all() else events[fills]

    @cached_property
    def _trips(self) -> np.ndarray:
        return round_trips(self._fill_events, len(self._simulation.plan.pairs))

    @property
    def _quote_scale(self) -> float:
        return float(self._simulation.portfolio.view(np.float64)[A_QUOTE_SCALE])

    def _profits(self, trips: np.ndarray) -> np.ndarray:
        """Of round trips, in units: of an open one, what the closed part brought in."""
        with np.errstate(divide="ignore", invalid="ignore"):
            part = np.where(
                trips["left"] > 0,
                trips["entry_notional"],
                np.rint(trips["entry_notional"] * (trips["exit_quantity"] / trips["entry_quantity"])),
            )
        return trips["side"] * (trips["exit_notional"] - part) - trips["fees"]

    def _market(self, trader: int, k: int = 0) -> int:
        """Number in the plan of the ``k``-th market of a trader."""
        return int(self._simulation.plan.rows[trader, T_MARKET + k])

    def _traders_of(self, fills: np.ndarray) -> np.ndarray:
        return np.array([t for t, _ in self._simulation.plan.pairs], np.int64)[fills["pair"]]
