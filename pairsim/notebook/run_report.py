"""A run as one HTML file: everything inside, plotly's script too, so that it opens without a network.

Rule: it is made from what the journal and shared memory say now, of a run under way or ended; it changes nothing.
"""

import os
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from pairsim.engine.candles import closed_candles
from pairsim.engine.display import ports, positions
from pairsim.errors import EngineError
from pairsim.market.interval import format_interval, format_time
from pairsim.markup import Html, amount, facts, folded, line, money, page, table, toned
from pairsim.notebook.candles_panel import candles_and_lines, choices_of
from pairsim.notebook.dashboard import source_of
from pairsim.notebook.look import Look
from pairsim.notebook.source import Source
from pairsim.notebook.views.candle import PRICE
from pairsim.palette import BUY, EQUITY, INK_STYLE, LINES, SELL

if TYPE_CHECKING:
    from pairsim.engine.engine import Engine
    from pairsim.research.figures import Figure

MOST_MARKETS: Final = 6  # charts of candles: of those with most fills
MOST_ORDERS: Final = 500
MOST_LINES: Final = 20  # PnL of traders: of those furthest from zero
DASHES: Final = ("solid", "dash", "dot")  # of the first lines, and of those whose colours have been there


def write_report(engine: "Engine", path: "str | os.PathLike[str]") -> None:
    """See ``Engine.report``.

    Raises
    ------
    EngineError : the engine was not started: there is nothing to report.
    """
    if engine._mem is None:
        raise EngineError("report() needs a run that has begun; call start() and wait() first")
    source = source_of(engine)
    with source.lock:
        source.observe(everything=True)
        source.read_all()
    look = source.look
    names = ", ".join(trader.name for trader in engine._traders[:4])
    more = f" and {len(engine._traders) - 4} more" if len(engine._traders) > 4 else ""
    sections = [
        ("", _summary(engine, look, names + more)),
        ("Equity and PnL", _plotted(_equity(source), script=True)),
        *((f"{market}, {format_interval(every)}", _candles(source, market, every))
          for market, every in _busiest(source)),
        ("Positions", positions(engine.portfolio.positions, most=200)),
        ("Traders", _traders(source, look)),
        ("Orders", _orders(source)),
        ("Channels and latency", _inside(source, look)),
    ]  # fmt: skip
    Path(path).write_text(page(names + more, *sections, style=INK_STYLE), encoding="utf-8")


def _summary(engine: "Engine", look: Look, title: str) -> str:
    status = look.status
    known = facts(
        ("state", toned(status.state)), ("trading", toned(status.trading)),
        ("until", format_time(status.feed_time) if status.feed_time else "–"),
        ("opened with", look.opening), ("equity", amount(look.equity)), ("PnL", money(look.equity - look.opening)),
        ("cash", amount(look.cash)), ("fees", amount(float(look.positions.fees.sum()))),
        ("candles", status.candles), ("orders", status.orders), ("fills", status.fills),
    )  # fmt: skip
    wrong = line(status.error, "bad") if status.error else ""
    return f"<h1>{escape(title)}</h1>" + line(ports(engine), "muted") + known + wrong


def _equity(source: Source) -> "Figure":
    import plotly.graph_objects as go

    from pairsim.research.figures import add_legends, rows_over_time

    time, values = source.points()
    chart: Any = rows_over_time([2.0, 3.0])
    moments = time.astype("M8[ns]")
    equity = go.Scatter(x=moments, y=values[:, 0], name="equity", line={"width": 1.5, "color": EQUITY})
    chart.add_trace(equity, row=1, col=1)
    final = np.nan_to_num(source.look.pnl)
    for k, t in enumerate(np.argsort(-np.abs(final), kind="stable")[:MOST_LINES]):
        name, dash = source.engine._traders[t].name, DASHES[k // len(LINES)]
        look = {"width": 1, "color": LINES[k % len(LINES)], "dash": dash}
        chart.add_trace(go.Scatter(x=moments, y=values[:, 1 + t], name=name, line=look), row=2, col=1)
    of = f", {MOST_LINES} of {len(final)}" if len(final) > MOST_LINES else ""
    chart.update_yaxes(title_text="equity", row=1, col=1)
    chart.update_yaxes(title_text=f"PnL by trader{of}", row=2, col=1)
    return add_legends(chart)


def _candles(source: Source, market: str, every: int) -> str:
    """The candles that the machine has kept, and how many of how many they are."""
    import plotly.graph_objects as go

    from pairsim.research.figures import add_legends, rows_over_time

    time, rows, lines = candles_and_lines(source, market, every)
    if not len(time):
        return line("no candle has closed", "muted")
    panes = {name: pane.partition(" (")[0] for name, (pane, _) in lines.items()}  # one for an indicator of all traders
    below = list(dict.fromkeys(pane for pane in panes.values() if pane != PRICE))
    chart: Any = rows_over_time([3.6, *[1.2] * len(below)])
    moments = time.astype("M8[ns]")
    candles = go.Candlestick(
        x=moments, open=rows[:, 0], high=rows[:, 1], low=rows[:, 2], close=rows[:, 3], name="candles",
        increasing_line_color=BUY, decreasing_line_color=SELL, increasing_line_width=1, decreasing_line_width=1,
    )  # fmt: skip
    chart.add_trace(candles, row=1, col=1)
    for name, (_, values) in lines.items():
        row = 1 if panes[name] == PRICE else 2 + below.index(panes[name])
        chart.add_trace(go.Scatter(x=moments, y=values, name=name, line={"width": 1}), row=row, col=1)
    fills = [f for f in source.orders.fills.get(market, ()) if f.time >= time[0]]
    for side, word, symbol, color in ((1, "buy", "triangle-up", BUY), (-1, "sell", "triangle-down", SELL)):
        mine = [f for f in fills if f.side == side]
        marker = {"symbol": symbol, "size": 9, "color": color, "line": {"width": 0.5, "color": "black"}}
        x, y = [np.datetime64(f.time, "ns") for f in mine], [f.price for f in mine]
        chart.add_trace(go.Scatter(x=x, y=y, mode="markers", name=f"{word} ({len(mine)})", marker=marker), row=1, col=1)
    for row, pane in enumerate((market, *below), 1):
        chart.update_yaxes(title_text=pane, row=row, col=1)
    return line(_kept(source, market, every, time), "muted") + _plotted(add_legends(chart))


def _kept(source: Source, market: str, every: int, time: npt.NDArray[np.int64]) -> str:
    engine = source.engine
    assert engine._mem is not None and engine._arena is not None
    closed = closed_candles(engine._mem, engine._arena, engine._plan.symbols.index(market), every)
    span = f"{format_time(int(time[0]))} to {format_time(int(time[-1]) + every)}"
    if closed <= len(time):
        return f"all {closed:,} candles, {span}"
    return f"the last {len(time):,} of {closed:,} candles, which is what a run keeps: {span}"


def _plotted(chart: "Figure", *, script: bool = False) -> str:
    html: str = chart.to_html(full_html=False, include_plotlyjs=script)
    return html


def _busiest(source: Source) -> list[tuple[str, int]]:
    """The markets with most fills, in the order of the plan."""
    choices = choices_of(source)
    counts = {market: len(fills) for market, fills in source.orders.fills.items()}
    chosen = sorted(choices, key=lambda choice: -counts.get(choice[0], 0))[:MOST_MARKETS]
    return [choice for choice in choices if choice in chosen]


def _traders(source: Source, look: Look) -> str:
    engine, rows, wrong = source.engine, [], []
    for t, health in enumerate(look.health):
        code, trader = engine._codes[t], engine._traders[t]
        every = format_interval(trader.every_ns or engine._plan.base_ns)
        rows.append(
            (trader.name, repr(code.strategy), every, "machine code" if code.compiled else "plain Python",
             toned(health.state), health.evaluations, health.decisions, health.errors, money(float(look.pnl[t])))
        )  # fmt: skip
        if health.errors and t in source.orders.failures:
            wrong.append(
                folded(f"{trader.name}: {source.orders.failures[t][0]}", source.orders.failures[t][1], tone="bad")
            )
    head = ("trader", "strategy", "every", "runs as", "state", "evaluations", "decisions", "errors", "PnL")
    return table(head, rows, most=200, of="traders") + "".join(wrong)


def _orders(source: Source) -> str:
    rows = list(source.orders.orders.values())[::-1]
    shown: list[tuple[Any, ...]] = [
        (format_time(r.time), r.market, r.trader, r.side, r.kind, r.quantity, r.filled, r.average, r.status.name,
         r.reason, r.client_order_id)
        for r in rows
    ]  # fmt: skip
    head = (
        "time", "market", "trader", "side", "type", "quantity", "filled", "average price", "status", "reason", "order",
    )  # fmt: skip
    return table(head, shown, most=MOST_ORDERS, of="orders") if shown else line("no orders", "muted")


def _inside(source: Source, look: Look) -> str:
    told = source.engine.metrics
    latencies = [
        (name, x.p50_us / 1e3, x.p99_us / 1e3, x.samples)
        for name, x in (
            ("candle to order", told.tick_to_order),
            ("order to journal", told.order_to_durable),
            ("order to fill, booked", told.order_to_fill),
        )
    ]
    channels = [
        (name, c["depth"], c["high_water"], c["capacity"], c["popped"], c["stalls"], c["blocked_ns"] / 1e6)
        for name, c in look.metrics.channels.items()
    ]
    head = ("channel", "waiting", "most", "capacity", "passed", "stalls", "blocked ms")
    return table(("stage", "p50 ms", "p99 ms", "samples"), latencies) + Html("<br>") + table(head, channels)
