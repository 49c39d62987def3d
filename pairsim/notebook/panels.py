"""The parts of a dashboard that only show: each turns looks at a run into the data of one view.

Rule: a panel gives a view what has changed since it was given last, and a note where there is something to say.
"""

from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np

from pairsim.engine.status import RunState, Trading
from pairsim.notebook.history import FloatArray, TimeArray
from pairsim.notebook.look import Look
from pairsim.notebook.views import LineView, TableView, TilesView
from pairsim.notebook.views.table import Column
from pairsim.strategies.strategy import Strategy

if TYPE_CHECKING:
    from pairsim.notebook.source import Source
    from pairsim.notebook.views.view import Tone, View

MOST_LINES: Final = 40  # of a chart of traders; beyond it the ones with the largest PnL when the chart is opened


class ViewPanel:
    """A panel of one view. One that is ``slow`` shows what is new twice a second."""

    slow: ClassVar[bool] = False
    alone = True  # else something beside it says what everybody should know

    def __init__(self, source: "Source", view: "View") -> None:
        self.source, self.view = source, view
        self._beat = -1
        self.widget: Any = view

    @property
    def gone(self) -> bool:
        """Whether the view has been closed."""
        return self.view.comm is None

    def update(self, look: Look) -> None:
        """Give the view what is new."""
        raise NotImplementedError

    def note(self, look: Look) -> "tuple[str, Tone]":
        """What is said over the view."""
        return run_note(look) if self.alone else ("", "")

    def refresh(self, look: Look) -> None:
        """Show what was seen."""
        if not self.slow or look.beat != self._beat:
            self.update(look)
            self._beat = look.beat
        self.view.message(*self.note(look))
        self.view.flush()

    def final(self) -> None:
        """Stay as the last picture."""
        self.view.final()

    def fault(self, text: str) -> None:
        """Say what went wrong with this panel."""
        if text:
            self.view.message(text, "bad")
            self.view.flush()


def run_note(look: Look) -> "tuple[str, Tone]":
    """What everybody should know of a run; nothing while it runs as it should."""
    status = look.status
    if status.state is RunState.FAILED:
        why = status.error or "it has not said why"
        kept = "Its orders and fills are kept (engine.orders); make a new Engine to go on."
        return f"The run has failed: {why}. {kept}", "bad"
    if status.state is RunState.CREATED:
        return "Not started yet: engine.start()", "muted"
    if status.state is RunState.STARTING:
        return "Starting; the first run on a machine compiles for up to a minute", "muted"
    if status.error:
        return status.error, "bad"
    if status.trading is Trading.HALTED:
        return "Trading is halted: no order passes until it is unhalted", "warning"
    if status.trading is Trading.REDUCE_ONLY:
        return "Orders may only reduce positions", "warning"
    return "", ""


def _signed(value: float) -> "Tone":
    return "good" if value > 0 else "bad" if value < 0 else ""


_STATE_TONES: Final[dict[str, "Tone"]] = {"running": "good", "failed": "bad", "paused": "warning"}


class SummaryPanel(ViewPanel):
    """State, equity, PnL, cash, rates and counts."""

    def __init__(self, source: "Source") -> None:
        self._currency = source.engine._plan.symbols[0].partition("/")[2]
        self.tiles = TilesView()
        super().__init__(source, self.tiles)

    def update(self, look: Look) -> None:
        """The tiles."""
        status, pnl = look.status, look.equity - look.opening
        state, tone = str(status.state), _STATE_TONES.get(str(status.state), "muted")
        if status.trading is not Trading.ACTIVE:
            state = f"{state}, {str(status.trading).replace('_', ' ')}"
            tone = "bad" if tone == "bad" else "warning"
        rate = 0.0 if look.ended or status.state is RunState.PAUSED else look.candle_rate
        self.tiles.update(
            {
                "State": (state, "status", tone),
                "Equity": (round(look.equity, 2), self._currency, ""),
                "PnL": (round(pnl, 2), self._currency, _signed(pnl)),
                "Cash": (round(look.cash, 2), self._currency, ""),
                "Drawdown": (round(100 * look.drawdown, 2), "%", ""),
                "Candles/s": (round(rate) if np.isfinite(rate) else None, "", ""),
                "Orders": (status.orders, f"{status.open_orders:,} open", ""),
                "Fills": (status.fills, "", ""),
            }
        )


class CurvePanel(ViewPanel):
    """Lines over feed time. Of a run that has ended the last point is what it came to, fills after its last candle
    included."""

    def __init__(self, source: "Source", line: LineView) -> None:
        self.line = line
        super().__init__(source, line)

    def begin(self, time: TimeArray, values: FloatArray) -> None:
        """What has been so far."""
        self._last = int(time[-1]) if len(time) else 0
        self._row: list[float] = values[-1].tolist() if len(time) else []
        self.line.reset(time, values)

    def add(self, look: Look, row: list[float]) -> None:
        """The newest point."""
        time = look.status.feed_time
        if time > self._last or (look.ended and time and row != self._row):
            self._last, self._row = time, row
            self.line.append([time], [row])


class EquityPanel(CurvePanel):
    """Equity of the account over feed time."""

    def __init__(self, source: "Source") -> None:
        currency = source.engine._plan.symbols[0].partition("/")[2]
        super().__init__(source, LineView(["equity"], title="Equity", unit=currency))
        time, values = source.points()
        self.begin(time, values[:, :1])

    def update(self, look: Look) -> None:
        """The newest point."""
        self.add(look, [look.equity])


class PnlPanel(CurvePanel):
    """PnL in total and of each trader over feed time, after fees."""

    def __init__(self, source: "Source") -> None:
        engine = source.engine
        names, pnl = [t.name for t in engine._traders], np.abs(source.look.pnl)
        self._chosen = np.sort(np.argsort(-pnl, kind="stable")[:MOST_LINES])
        title = "PnL" if len(names) <= MOST_LINES else f"PnL, {MOST_LINES} of {len(names)} traders"
        total = "total" if "total" not in names else "total of all"
        currency = engine._plan.symbols[0].partition("/")[2]
        super().__init__(source, LineView([total, *(names[t] for t in self._chosen)], title=title, unit=currency))
        time, values = source.points()
        self.begin(time, np.column_stack([values[:, 0] - engine._cash, values[:, 1 + self._chosen]]))

    def update(self, look: Look) -> None:
        """The newest point."""
        self.add(look, [look.equity - look.opening, *look.pnl[self._chosen].tolist()])


class PositionsPanel(ViewPanel):
    """What each trader holds."""

    slow = True

    def __init__(self, source: "Source") -> None:
        number = [Column(n, "number", width=104) for n in ("quantity", "average price", "last price")]
        money = [Column(n, "number", digits=2) for n in ("value", "unrealised", "realised", "fees", "PnL")]
        columns = [Column("id", "detail"), Column("trader"), Column("market"), *number, *money]
        self.table = TableView(columns, key="id", title="Positions", newest_first=False, filters=("trader", "market"))
        super().__init__(source, self.table)

    def update(self, look: Look) -> None:
        """Rows whose numbers differ; the table finds out which."""
        plan, p = self.source.engine._plan, look.positions
        numbers = np.column_stack(
            [p.quantity, p.average, p.last, p.value, p.unrealised, p.realised, p.fees, p.pnl]
        ).tolist()
        self.table.upsert(
            (f"{trader}/{market}", plan.traders[trader].name, plan.symbols[market], *row)
            for (trader, market), row in zip(plan.pairs, numbers, strict=True)
        )


class ChannelsPanel(ViewPanel):
    """How full the channels between the processes are, and how long their senders have waited."""

    slow = True

    def __init__(self, source: "Source") -> None:
        counts = [Column(n, "number") for n in ("waiting", "most", "capacity", "passed", "stalls")]
        columns = [Column("channel", width=190), *counts, Column("blocked ms", "number", digits=1)]
        self.table = TableView(columns, key="channel", title="Channels", newest_first=False, filters=())
        super().__init__(source, self.table)

    def update(self, look: Look) -> None:
        """One row a channel."""
        self.table.upsert(
            (name, c["depth"], c["high_water"], c["capacity"], c["popped"], c["stalls"], c["blocked_ns"] / 1e6)
            for name, c in look.metrics.channels.items()
        )


class LatencyPanel(ViewPanel):
    """How long an order takes from the candle that caused it to its booked fill."""

    slow = True

    def __init__(self, source: "Source") -> None:
        columns = [Column("stage", width=260), *(Column(n, "number", digits=2) for n in ("p50 ms", "p99 ms"))]
        self.table = TableView(
            [*columns, Column("samples", "number")], key="stage", title="Latency", newest_first=False, filters=()
        )
        super().__init__(source, self.table)
        source.listeners += 1

    def update(self, look: Look) -> None:
        """One row a stage."""
        m = self.source.told
        self.table.upsert(
            (name, x.p50_us / 1e3, x.p99_us / 1e3, x.samples)
            for name, x in (
                ("candle to order", m.tick_to_order),
                ("order to journal", m.order_to_durable),
                ("order to fill, booked", m.order_to_fill),
            )
        )


class HealthPanel(ViewPanel):
    """How each trader is; the row of one that failed opens on its traceback."""

    slow = True

    def __init__(self, source: "Source") -> None:
        columns = [
            Column("trader"), Column("state", "status"), Column("strategy", width=260), Column("runs as", width=110),
            *(Column(n, "number") for n in ("evaluations", "decisions", "skipped", "errors")),
            Column("message", width=280), Column("details", "detail"),
        ]  # fmt: skip
        self.table = TableView(columns, key="trader", title="Traders", newest_first=False, filters=("state",))
        self._reprs: dict[int, tuple[Strategy, str]] = {}
        super().__init__(source, self.table)

    def update(self, look: Look) -> None:
        """One row a trader."""
        from pairsim.engine.cells import with_source

        rows = []
        for t, health in enumerate(look.health):
            code = self.source.engine._codes[t]
            message, trace = self.source.orders.failures.get(t, ("", "")) if health.errors else ("", "")
            rows.append((
                self.source.engine._traders[t].name, health.state, self._text(t, code.strategy),
                "machine code" if code.compiled else "plain Python", health.evaluations, health.decisions,
                health.skipped, health.errors, message, with_source(trace) if trace else code.reason,
            ))  # fmt: skip
        self.table.upsert(rows)

    def _text(self, trader: int, strategy: Strategy) -> str:
        known = self._reprs.get(trader)
        if known is None or known[0] is not strategy:
            known = self._reprs[trader] = strategy, repr(strategy)
        return known[1]
