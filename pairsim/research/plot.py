"""A result as a plotly figure: candles with fills, indicators, equity, drawdown, downsampled for the range in view.

Rule: what a figure holds does not grow with the history; plotly is imported when a figure is made.
"""

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from pairsim.errors import InputError
from pairsim.market.interval import Moment, format_interval, parse_time
from pairsim.palette import BUY, EQUITY, LINES, LOSS, SELL
from pairsim.research.downsample import extremes, merge_candles
from pairsim.research.statistics import drawdown

if TYPE_CHECKING:
    from pairsim.research.figures import Figure
    from pairsim.research.result import Result

_CANDLES: Final = 1_000
_POINTS: Final = 2_000
_MARKERS: Final = 1_000

Lines = list[tuple[str, Any, Any]]  # name, times, values
Panes = dict[str, Lines]
_Span = tuple[int | None, int | None]  # ns; None: from the beginning, to the end


def figure(result: "Result", trader: str | None, start: Moment | None, end: Moment | None) -> "Figure":
    """See ``Result.plot``."""
    from pairsim.research.figures import add_legends, rows_over_time

    t = chosen_trader(result, trader)
    simulation, plan = result._simulation, result._simulation.plan
    span = None if start is None else parse_time(start), None if end is None else parse_time(end)
    parts = [indicator_lines(result, t, k) for k in range(len(plan.traders[t].markets))]
    tall = 4.0 if len(parts) == 1 else 3.0
    heights = [height for _, panes in parts for height in (tall, *[1.2] * len(panes))]
    chart: Any = rows_over_time([*heights, 1.6, 1.0], plan.traders[t].name)
    rows = itertools.count(1)
    merged = {_add_market(chart, rows, result, t, k, span, *part) for k, part in enumerate(parts)}
    row = next(rows)
    _add_line(chart, row, "equity", *_within(simulation.times, simulation.equity, *span), EQUITY)
    chart.update_yaxes(title_text="equity", row=row, col=1)
    row, below = next(rows), drawdown(simulation.equity, result.cash)
    _add_line(chart, row, "drawdown", *_within(simulation.times, below, *span), LOSS, fill="tozeroy")
    chart.update_yaxes(title_text="drawdown", tickformat=".1%", row=row, col=1)
    every = " and ".join(format_interval(candles * plan.base_ns) for candles in sorted(merged))
    which = f" (trader {t + 1} of {len(plan.traders)})" if len(plan.traders) > 1 else ""
    chart.update_layout(title=f"{plan.traders[t].name}{which}, candles of {every}")
    done: Figure = add_legends(chart)
    return done


def _add_market(
    chart: Any, rows: Iterator[int], result: "Result", t: int, k: int, span: _Span, overlays: Lines, panes: Panes
) -> int:
    """Add a market's candles with fills and what lies over them, then its panes, each in the next row; returns how many
    base candles each candle stands for.
    """
    row, shades, market = next(rows), itertools.cycle(LINES), result._market(t, k)
    merged = _add_candles(chart, row, result, market, span)
    for name, times, values in overlays:
        _add_line(chart, row, name, *_within(times, values, *span), next(shades))
    _add_fills(chart, row, result, t, market, span)
    chart.update_yaxes(title_text=result._simulation.plan.traders[t].markets[k], row=row, col=1)
    for name, lines in panes.items():
        row = next(rows)
        for label, times, values in lines:
            _add_line(chart, row, label, *_within(times, values, *span), next(shades))
        chart.update_yaxes(title_text=name, row=row, col=1)
    return merged


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


def _add_candles(chart: Any, row: int, result: "Result", market: int, span: _Span) -> int:
    """Add the candles of a market; returns how many base candles each one stands for."""
    import plotly.graph_objects as go

    base, (first, last) = result._history.series(market, result._simulation.plan.base_ns), span
    lo = 0 if first is None else int(np.searchsorted(base.opened, first))
    hi = len(base) if last is None else int(np.searchsorted(base.opened, last, side="right"))
    if lo >= hi:
        raise InputError("no candle lies between start and end; the times are UTC")
    merged = merge_candles(base.opened[lo:hi], tuple(price[lo:hi] for price in base.prices), _CANDLES)
    candles = go.Candlestick(
        x=_moments(merged.time), open=merged.open, high=merged.high, low=merged.low, close=merged.close,
        name="candles", increasing_line_color=BUY, decreasing_line_color=SELL,
        increasing_line_width=1, decreasing_line_width=1,
    )  # fmt: skip
    chart.add_trace(candles, row=row, col=1)
    return merged.candles


def _add_line(chart: Any, row: int, name: str, times: Any, values: Any, color: str, fill: str = "none") -> None:
    import plotly.graph_objects as go

    at = extremes(values, _POINTS)
    line = go.Scatter(
        x=_moments(times[at]), y=values[at], name=name, mode="lines", fill=fill, line={"width": 1, "color": color}
    )
    chart.add_trace(line, row=row, col=1)


def _add_fills(chart: Any, row: int, result: "Result", t: int, market: int, span: _Span) -> None:
    import plotly.graph_objects as go

    fills, (first, last) = result._fill_events, span
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
        chart.add_trace(markers, row=row, col=1)


def indicator_lines(result: "Result", t: int, k: int) -> tuple[Lines, Panes]:
    """Indicators of trader ``t`` on the ``k``-th of its markets, as (name, times, values).

    Returns (those that move with the price and lie over the candles, the others by the name of their pane).
    """
    plan = result._simulation.plan
    series = result._history.series_of(plan.rows[t])[k]
    overlays: Lines = []
    panes: Panes = {}
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
