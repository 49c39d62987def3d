"""A result as a plotly figure: candles with fills, indicators, equity, drawdown, downsampled for the range in view.

Rule: what a figure holds does not grow with the history; plotly is imported when a figure is made.
"""

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from pairsim.errors import InputError
from pairsim.market.interval import Moment, format_interval, parse_time
from pairsim.research.downsample import extremes, merge_candles
from pairsim.research.statistics import drawdown

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    from pairsim.research.result import Result

_CANDLES: Final = 1_000
_POINTS: Final = 2_000
_MARKERS: Final = 1_000

# Readable on white and on black (Okabe and Ito's palette for the colour-blind).
BUY, SELL, EQUITY, LOSS = "#009E73", "#D55E00", "#0072B2", "#CC79A7"
LINES: Final = ("#E69F00", "#56B4E9", "#CC79A7", "#F0E442", "#0072B2", "#D55E00")


def figure(result: "Result", trader: str | None, start: Moment | None, end: Moment | None) -> "Figure":
    """See ``Result.plot``."""
    from plotly.subplots import make_subplots

    t = chosen_trader(result, trader)
    first = None if start is None else parse_time(start)
    last = None if end is None else parse_time(end)
    overlays, panes = indicator_lines(result, t)
    rows = 3 + len(panes)
    heights = [4.0, *[1.2] * len(panes), 1.6, 1.0]
    chart = make_subplots(rows=rows, cols=1, shared_xaxes=True, vertical_spacing=0.02, row_heights=heights)
    merged = _add_candles(chart, result, t, first, last)
    for name, times, values in overlays:
        _add_line(chart, 1, name, *_within(times, values, first, last))
    for row, (name, lines) in enumerate(panes.items(), 2):
        for label, times, values in lines:
            _add_line(chart, row, label, *_within(times, values, first, last))
        chart.update_yaxes(title_text=name, row=row, col=1)
    _add_fills(chart, result, t, first, last)
    times, equity = _within(result._simulation.times, result._simulation.equity, first, last)
    _add_line(chart, rows - 1, "equity", times, equity, EQUITY)
    below = drawdown(result._simulation.equity, result.cash)
    times, below = _within(result._simulation.times, below, first, last)
    _add_line(chart, rows, "drawdown", times, below, LOSS, fill="tozeroy")
    every = format_interval(merged * result._simulation.plan.base_ns)
    chart.update_yaxes(title_text=result._simulation.plan.traders[t].markets[0], row=1, col=1)
    chart.update_yaxes(title_text="equity", row=rows - 1, col=1)
    chart.update_yaxes(title_text="drawdown", tickformat=".1%", row=rows, col=1)
    chart.update_xaxes(rangeslider_visible=False)
    chart.update_layout(
        title=f"{result._simulation.plan.traders[t].name}, candles of {every}",
        height=420 + 110 * rows,
        margin={"l": 60, "r": 20, "t": 50, "b": 30},
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.0, "xanchor": "right", "x": 1.0},
        hovermode="x unified",
    )
    return chart


def chosen_trader(result: "Result", trader: str | None) -> int:
    """Number of a trader by its name, the first one's for None.

    Raises
    ------
    InputError : the result has no trader of that name.
    """
    names = [each.name for each in result._simulation.plan.traders]
    if trader is None:
        return 0
    if trader not in names:
        raise InputError(f"no trader is called {trader!r}; this result has {', '.join(map(repr, names[:8]))}")
    return names.index(trader)


def _within(times: NDArray[np.int64], values: Any, first: int | None, last: int | None) -> tuple[Any, Any]:
    lo = 0 if first is None else int(np.searchsorted(times, first))
    hi = len(times) if last is None else int(np.searchsorted(times, last, side="right"))
    return times[lo:hi], values[lo:hi]


def _moments(times: NDArray[np.int64]) -> Any:
    return times.astype("M8[ns]")


def _add_candles(chart: Any, result: "Result", t: int, first: int | None, last: int | None) -> int:
    import plotly.graph_objects as go

    base = result._history.series(result._market(t), result._simulation.plan.base_ns)
    lo = 0 if first is None else int(np.searchsorted(base.opened, first))
    hi = len(base) if last is None else int(np.searchsorted(base.opened, last, side="right"))
    if lo >= hi:
        raise InputError("no candle lies between start and end; the times are UTC")
    merged = merge_candles(base.opened[lo:hi], tuple(price[lo:hi] for price in base.prices), _CANDLES)
    candles = go.Candlestick(
        x=_moments(merged.time), open=merged.open, high=merged.high, low=merged.low, close=merged.close,
        name="candles", increasing_line_color=BUY, decreasing_line_color=SELL,
        increasing_line_width=1, decreasing_line_width=1, showlegend=False,
    )  # fmt: skip
    chart.add_trace(candles, row=1, col=1)
    return merged.candles


def _add_line(chart: Any, row: int, name: str, times: Any, values: Any, color: str = "", fill: str = "none") -> None:
    import plotly.graph_objects as go

    at = extremes(values, _POINTS)
    shade = color or LINES[len(chart.data) % len(LINES)]
    line = go.Scatter(
        x=_moments(times[at]), y=values[at], name=name, mode="lines", fill=fill, line={"width": 1, "color": shade}
    )
    chart.add_trace(line, row=row, col=1)


def _add_fills(chart: Any, result: "Result", t: int, first: int | None, last: int | None) -> None:
    import plotly.graph_objects as go

    fills = result._fill_events
    market = result._market(t)
    fills = fills[(result._traders_of(fills) == t) & (fills["market"] == market)]
    keep = np.ones(len(fills), bool)
    if first is not None:
        keep &= fills["time"] >= first
    if last is not None:
        keep &= fills["time"] <= last
    fills = fills[keep]
    for side, word, symbol, color in ((1, "buy", "triangle-up", BUY), (-1, "sell", "triangle-down", SELL)):
        mine = fills[fills["side"] == side]
        shown = (
            mine[np.unique(np.linspace(0, len(mine) - 1, min(len(mine), _MARKERS)).astype(np.int64))]
            if len(mine)
            else mine
        )
        name = f"{word} ({len(mine):,})" if len(shown) == len(mine) else f"{word} ({len(shown):,} of {len(mine):,})"
        markers = go.Scatter(
            x=_moments(shown["time"]), y=shown["price"], mode="markers", name=name,
            marker={"symbol": symbol, "size": 8, "color": color, "line": {"width": 0.5, "color": "black"}},
        )  # fmt: skip
        chart.add_trace(markers, row=1, col=1)


def indicator_lines(
    result: "Result", t: int
) -> tuple[list[tuple[str, Any, Any]], dict[str, list[tuple[str, Any, Any]]]]:
    """Indicators of trader ``t`` on its first market, as (name, times, values).

    Returns (those that move with the price and lie over the candles, the others by the name of their pane).
    """
    plan = result._simulation.plan
    series = result._history.series_of(plan.rows[t])[0]
    overlays, panes = [], {}
    times = series.decided_at + plan.base_ns
    for name, indicator in plan.codes[t].indicators:
        outputs = series.outputs(indicator)
        lines = [
            (name if len(outputs) == 1 else f"{name}.{field}", times, values)
            for field, values in zip(indicator.fields, outputs, strict=True)
        ]
        if all(_like_price(values, series.marks) for values in outputs):
            overlays += lines
        else:
            panes[name] = lines
    return overlays, panes


def _like_price(values: Any, close: Any) -> bool:
    some = slice(None, None, max(1, len(values) // 1_000))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = values[some] / close[some]
    known = ratio[np.isfinite(ratio)]
    return len(known) > 0 and 0.5 < float(np.median(known)) < 2.0 and float(known.min()) > 0.0
