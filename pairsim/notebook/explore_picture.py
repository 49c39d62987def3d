"""What an explorer draws: a result over a span of time as panes of candles, lines and marks, all in one run of float64.

Rule: how much is drawn does not grow with the history. Pure, but that candles merged for a span are remembered: a drag
of a slider does not change them.
"""

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pairsim.market.interval import format_interval
from pairsim.palette import BUY, EQUITY, LINES, LOSS, SELL
from pairsim.research.downsample import Merged, extremes, merge_candles
from pairsim.research.history import Series
from pairsim.research.plot import indicator_lines
from pairsim.research.result import Result
from pairsim.research.statistics import drawdown

__all__ = ["Painter", "Picture", "Span"]

Floats = NDArray[np.float64]

_CANDLES: Final = 360
_POINTS: Final = 1_440  # four for each of as many buckets
_MARKS: Final = 300
_MILLISECOND: Final = 1_000_000
_LEAST: Final = 12  # candles a view shows at least


class Span(NamedTuple):
    """A part of a history, in nanoseconds; whole candles."""

    start: int
    end: int


class Picture(NamedTuple):
    """Panes as plain values, and the numbers they point into.

    Attributes
    ----------
    described : title, view, panes; each series says its kind, name, colour, length and first number in ``numbers``.
    numbers : little-endian float64; times are milliseconds.
    """

    described: dict[str, Any]
    numbers: bytes


class Painter:
    """Draws results over one history."""

    def __init__(self) -> None:
        self._merged: tuple[tuple[int, Span], Merged] | None = None

    def draw(self, result: Result, trader: int, span: Span | None, k: int = 0) -> Picture:
        """The picture of the ``k``-th of a trader's markets, its indicators there and the account.

        span : what to show, all of the history if None; it is moved and widened to where there are candles.
        """
        plan, simulation = result._simulation.plan, result._simulation
        market = result._market(trader, k)
        base = result._history.series(market, plan.base_ns)
        whole = Span(int(base.opened[0]), int(base.opened[-1]) + plan.base_ns)
        shown = whole if span is None else _fitted(span, whole, plan.base_ns)
        canvas = _Canvas(shown)
        overlays, panes = indicator_lines(result, trader, k)
        merged = self._candles(market, base, shown)
        price = canvas.pane(plan.traders[trader].markets[k], 4.0, "price")
        canvas.add(price, "candles", "", "", merged.time, merged.open, merged.high, merged.low, merged.close)
        for i, (name, times, values) in enumerate(overlays):
            canvas.line(price, name, LINES[i % len(LINES)], times, values)
        _add_marks(canvas, price, result, (trader, market))
        for i, (title, lines) in enumerate(panes.items(), len(overlays)):
            pane = canvas.pane(title, 1.2, "number")
            for j, (name, times, values) in enumerate(lines):
                canvas.line(pane, name, LINES[(i + j) % len(LINES)], times, values)
        canvas.line(canvas.pane("equity", 1.6, "price"), "equity", EQUITY, simulation.times, simulation.equity)
        below = drawdown(simulation.equity, result.cash)
        canvas.line(canvas.pane("drawdown", 1.1, "percent"), "drawdown", LOSS, simulation.times, below, "area")
        described = {
            "view": _milliseconds(shown), "whole": _milliseconds(whole), "panes": canvas.panes,
            "note": f"{format_interval(merged.candles * plan.base_ns)} candles",
            "width": merged.candles * plan.base_ns / _MILLISECOND,
        }  # fmt: skip
        return Picture(described, b"".join(array.tobytes() for array in canvas.arrays))

    def _candles(self, market: int, base: Series, shown: Span) -> Merged:
        key = market, shown
        if self._merged is None or self._merged[0] != key:
            first = max(0, int(np.searchsorted(base.opened, shown.start, side="right")) - 1)
            part = slice(first, max(int(np.searchsorted(base.opened, shown.end)), first + 1))
            merged = merge_candles(base.opened[part], tuple(price[part] for price in base.prices), _CANDLES)
            self._merged = key, merged
        return self._merged[1]


class _Canvas:
    """Panes under construction, over one span."""

    def __init__(self, shown: Span) -> None:
        self.shown = shown
        self.panes: list[dict[str, Any]] = []
        self.arrays: list[Floats] = []
        self._length = 0

    def pane(self, title: str, weight: float, form: str) -> dict[str, Any]:
        made: dict[str, Any] = {"title": title, "weight": weight, "form": form, "series": []}
        self.panes.append(made)
        return made

    def add(
        self, pane: dict[str, Any], kind: str, name: str, color: str, times: NDArray[np.int64], *values: Floats
    ) -> None:
        """One series; its times and each of its values stand one after another."""
        series = {"kind": kind, "name": name, "color": color, "length": len(times), "at": self._length}
        pane["series"].append(series)
        for array in (times / _MILLISECOND, *values):
            self.arrays.append(np.ascontiguousarray(array, "<f8"))
            self._length += len(times)

    def line(
        self, pane: dict[str, Any], name: str, color: str, times: NDArray[np.int64], values: Floats, kind: str = "line"
    ) -> None:
        """A line thinned out to what the span can show, one point beyond it at each end."""
        first = max(0, int(np.searchsorted(times, self.shown.start)) - 1)
        last = int(np.searchsorted(times, self.shown.end, side="right")) + 1
        at = first + extremes(values[first:last], _POINTS)
        self.add(pane, kind, name, color, times[at], values[at])


def _fitted(span: Span, whole: Span, base_ns: int) -> Span:
    """As wide as asked for, within the history; at least a few candles wide."""
    width = min(max(span.end - span.start, _LEAST * base_ns), whole.end - whole.start)
    start = min(max(span.start, whole.start), whole.end - width)
    return Span(start, start + width)


def _add_marks(canvas: _Canvas, pane: dict[str, Any], result: Result, of: tuple[int, int]) -> None:
    """Fills of a trader in a market; where there are too many to tell apart, some of them, and said so."""
    fills = result._fill_events
    low, high = np.searchsorted(fills["time"], canvas.shown)
    pair = result._simulation.plan.pairs.index(of)
    mine = fills["pair"][low:high] == pair
    for side, word, color in ((1, "buy", BUY), (-1, "sell", SELL)):
        at = low + np.flatnonzero(mine & (fills["side"][low:high] == side))
        count = len(at)
        if count > _MARKS:
            at = at[np.linspace(0, count - 1, _MARKS).astype(np.int64)]
        name = f"{count:,} {word}{'s' if count != 1 else ''}" + (f" ({_MARKS} shown)" if count > _MARKS else "")
        canvas.add(pane, word, name, color, fills["time"][at], fills["price"][at])


def _milliseconds(span: Span) -> list[float]:
    return [span.start / _MILLISECOND, span.end / _MILLISECOND]
