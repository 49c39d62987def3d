"""A run as one HTML file: everything inside, plotly's script too, so that it opens without a network.

Rule: it is made from what the journal and shared memory say now, of a run under way or ended; it changes nothing.
"""

import os
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from pairsim.errors import EngineError
from pairsim.market.interval import format_interval, format_time
from pairsim.markup import STYLE, Html, facts, folded, line, money, table, toned
from pairsim.notebook.candles_panel import candles_and_lines, choices_of
from pairsim.notebook.dashboard import source_of
from pairsim.notebook.look import Look
from pairsim.notebook.source import Source
from pairsim.notebook.views.candle import PRICE

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    from pairsim.engine.engine import Engine

MOST_MARKETS: Final = 6  # charts of candles: of those with most fills
MOST_ORDERS: Final = 500

# Okabe and Ito's palette: readable on white and on black, and for the colour-blind.
_BUY, _SELL, _EQUITY = "#009E73", "#D55E00", "#0072B2"

_PAGE: Final = """
:root{color-scheme:light dark}
body{font:14px/1.5 system-ui,sans-serif;max-width:1200px;margin:2em auto;padding:0 1em}
h1{margin-bottom:0}h2{margin:1.6em 0 .2em}section{overflow-x:auto}
"""


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
    look, target = source.look, Path(path)
    names = ", ".join(trader.name for trader in engine._traders[:4])
    more = f" and {len(engine._traders) - 4} more" if len(engine._traders) > 4 else ""
    sections = [
        ("", _summary(engine, look)),
        ("Equity and PnL", _plotted(_equity(source), script=True)),
        *((f"{market}, {format_interval(every)}", _plotted(_candles(source, market, every)))
          for market, every in _busiest(source)),
        ("Positions", _positions(engine, look)),
        ("Traders", _traders(source, look)),
        ("Orders", _orders(source)),
        ("Channels and latency", _inside(source, look)),
    ]  # fmt: skip
    title = escape(names + more)
    body = "".join(f"<section>{f'<h2>{escape(name)}</h2>' if name else ''}{part}</section>" for name, part in sections)
    target.write_text(
        f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>pairsim: {title}</title>"
        f"<style>{_PAGE}</style>{STYLE}</head><body class='pairsim-card'><h1>{title}</h1>{body}</body></html>",
        encoding="utf-8",
    )


def _summary(engine: "Engine", look: Look) -> str:
    status = look.status
    known = facts(
        ("state", toned(status.state)), ("trading", toned(status.trading)),
        ("until", format_time(status.feed_time) if status.feed_time else "–"),
        ("opened with", look.opening), ("equity", round(look.equity, 2)), ("PnL", money(look.equity - look.opening)),
        ("cash", round(look.cash, 2)), ("fees", round(float(look.positions.fees.sum()), 2)),
        ("candles", status.candles), ("orders", status.orders), ("fills", status.fills),
    )  # fmt: skip
    wrong = line(status.error, "bad") if status.error else ""
    return line(f"{engine._feed!r}, {engine._broker!r}", "muted") + known + wrong


def _equity(source: Source) -> "Figure":
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    time, values = source.points()
    chart = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.04)
    moments = time.astype("M8[ns]")
    equity = go.Scatter(x=moments, y=values[:, 0], name="equity", line={"width": 1.5, "color": _EQUITY})
    chart.add_trace(equity, row=1, col=1)
    final = np.nan_to_num(source.look.pnl)
    for t in np.argsort(-np.abs(final), kind="stable")[:20]:
        name = source.engine._traders[t].name
        chart.add_trace(go.Scatter(x=moments, y=values[:, 1 + t], name=name, line={"width": 1}), row=2, col=1)
    chart.update_yaxes(title_text="equity", row=1, col=1)
    chart.update_yaxes(title_text="PnL by trader", row=2, col=1)
    return _laid_out(chart, 480)


def _candles(source: Source, market: str, every: int) -> "Figure":
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    time, rows, lines = candles_and_lines(source, market, every)
    below = list(dict.fromkeys(pane for pane, _ in lines.values() if pane != PRICE))
    heights = [3.0, *[1.0] * len(below)]
    chart = make_subplots(
        rows=1 + len(below), cols=1, shared_xaxes=True, vertical_spacing=0.03, row_heights=heights
    )  # fmt: skip
    moments = time.astype("M8[ns]")
    candles = go.Candlestick(
        x=moments, open=rows[:, 0], high=rows[:, 1], low=rows[:, 2], close=rows[:, 3], name="candles",
        increasing_line_color=_BUY, decreasing_line_color=_SELL, showlegend=False,
    )  # fmt: skip
    chart.add_trace(candles, row=1, col=1)
    for name, (pane, values) in lines.items():
        row = 1 if pane == PRICE else 2 + below.index(pane)
        chart.add_trace(go.Scatter(x=moments, y=values, name=name, line={"width": 1}), row=row, col=1)
    fills = [f for f in source.orders.fills.get(market, ()) if len(time) and f.time >= time[0]]
    for side, word, symbol, color in ((1, "buy", "triangle-up", _BUY), (-1, "sell", "triangle-down", _SELL)):
        mine = [f for f in fills if f.side == side]
        marker = {"symbol": symbol, "size": 9, "color": color, "line": {"width": 0.5, "color": "black"}}
        x, y = [np.datetime64(f.time, "ns") for f in mine], [f.price for f in mine]
        chart.add_trace(go.Scatter(x=x, y=y, mode="markers", name=f"{word} ({len(mine)})", marker=marker), row=1, col=1)
    chart.update_xaxes(rangeslider_visible=False)
    return _laid_out(chart, 380 + 110 * len(below))


def _laid_out(chart: "Figure", height: int) -> "Figure":
    chart.update_layout(
        height=height, margin={"l": 60, "r": 20, "t": 30, "b": 30}, hovermode="x unified",
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.0, "xanchor": "right", "x": 1.0},
    )  # fmt: skip
    return chart


def _plotted(chart: "Figure", *, script: bool = False) -> str:
    html: str = chart.to_html(full_html=False, include_plotlyjs=script)
    return html


def _busiest(source: Source) -> list[tuple[str, int]]:
    """The markets with most fills, in the order of the plan."""
    choices = choices_of(source)
    counts = {market: len(fills) for market, fills in source.orders.fills.items()}
    chosen = sorted(choices, key=lambda choice: -counts.get(choice[0], 0))[:MOST_MARKETS]
    return [choice for choice in choices if choice in chosen]


def _positions(engine: "Engine", look: Look) -> str:
    frame = engine.portfolio.positions
    rows = [(*row[:6], money(row[6]), money(row[7]), row[8]) for row in frame.rows()]
    return table(frame.columns, rows, most=200, of="positions")


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
