"""Still pictures of the views as SVG, for readers without widgets. Pure: values in, text out.

Colours stand readable on white and on black; the background is left to the page.
"""

from collections.abc import Sequence
from html import escape
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

TABLE_ROWS: Final = 12
UP: Final = "#009E73"  # Okabe and Ito's palette for the colour-blind, as in the plots
DOWN: Final = "#D55E00"
LINES: Final = ("#0072B2", "#E69F00", "#56B4E9", "#CC79A7", "#009E73", "#D55E00", "#8C6BB1", "#999999")
_GREY: Final = "#888888"
_WIDTH, _HEIGHT = 760, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 8, 76, 26, 20
_COLUMNS: Final = 600


def _svg(height: int, body: Sequence[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}"'
    return f'{head} font-family="system-ui, sans-serif" font-size="11" role="img">{"".join(body)}</svg>'


def _text(x: float, y: float, text: str, color: str = _GREY, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{color}" {more}>{escape(text)}</text>'


def _moment(ns: int) -> str:
    return str(np.datetime64(int(ns), "ns").astype("M8[s]")).replace("T", " ")


class _Frame:
    """Where a time and a value lie, and the axes around them."""

    def __init__(self, time: NDArray[np.int64], low: float, high: float) -> None:
        self.first, self.last = int(time[0]), int(time[-1])
        pad = (high - low) * 0.04 or abs(high) * 0.01 or 1.0
        self.low, self.high = low - pad, high + pad

    def x(self, time: Any) -> Any:
        share = (np.asarray(time) - self.first) / max(1, self.last - self.first)
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    def y(self, value: Any) -> Any:
        share = (np.asarray(value) - self.low) / (self.high - self.low)
        return _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)

    def axes(self, title: str) -> list[str]:
        parts = [_text(_LEFT, 15, title, _GREY, 'font-weight="600"')]
        for value in np.linspace(self.low, self.high, 6)[1:-1]:
            y = self.y(value)
            parts.append(f'<path d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}" stroke="{_GREY}" stroke-opacity=".2"/>')
            parts.append(_text(_WIDTH - _RIGHT + 6, y + 4, f"{value:,.6g}"))
        parts.append(_text(_LEFT, _HEIGHT - 4, f"{_moment(self.first)} UTC"))
        parts.append(_text(_WIDTH - _RIGHT, _HEIGHT - 4, _moment(self.last), more='text-anchor="end"'))
        return parts


def _nothing(title: str) -> str:
    return _svg(60, [_text(_LEFT, 15, title, more='font-weight="600"'), _text(_LEFT, 40, "no data yet")])


def _path(frame: _Frame, time: NDArray[np.int64], values: NDArray[np.float64], color: str) -> str:
    """A line that breaks at NaN; of many points those evenly spaced, and each part's lowest and highest."""
    step = -(-len(values) // _COLUMNS)
    if step > 1:
        cut = len(values) // step * step
        parts = values[:cut].reshape(-1, step)
        full = (
            np.where(np.isnan(parts), np.inf, parts).argmin(axis=1),
            np.where(np.isnan(parts), -np.inf, parts).argmax(axis=1),
        )
        rows = np.unique(np.concatenate([k + np.arange(len(parts)) * step for k in full] + [[len(values) - 1]]))
        time, values = time[rows], values[rows]
    known = np.isfinite(values)
    x, y = frame.x(time), frame.y(np.where(known, values, frame.low))
    steps = [f"{'L' if k and known[k - 1] else 'M'}{x[k]:.1f} {y[k]:.1f}" for k in np.flatnonzero(known)]
    return f'<path d="{"".join(steps)}" fill="none" stroke="{color}" stroke-width="1.2"/>'


def lines(title: str, series: Sequence[str], time: NDArray[np.int64], values: NDArray[np.float64]) -> str:
    """Lines with the names of the first eight."""
    if not np.isfinite(values).any():
        return _nothing(title)
    finite = values[np.isfinite(values)]
    frame = _Frame(time, float(finite.min()), float(finite.max()))
    body = frame.axes(title)
    body += [_path(frame, time, values[:, k], LINES[k % len(LINES)]) for k in range(min(len(series), 40))]
    x = _LEFT + 8.0 * (len(title) + 2)
    for k, name in enumerate(series[:8]):
        body.append(_text(x, 15, name, LINES[k % len(LINES)]))
        x += 6.6 * (len(name) + 2)
    if len(series) > 8:
        body.append(_text(x, 15, f"and {len(series) - 8} more"))
    return _svg(_HEIGHT, body)


def candles(
    title: str,
    time: NDArray[np.int64],
    rows: NDArray[np.float64],
    over: Sequence[NDArray[np.float64]],
    marks: Sequence[tuple[int, float, int, str]],
) -> str:
    """The last candles, indicators that lie over them, and marks."""
    shown = slice(-160, None)
    time, rows, over = time[shown], rows[shown], [values[shown] for values in over]
    if not np.isfinite(rows[:, 1:3]).any():
        return _nothing(title)
    frame = _Frame(time, float(np.nanmin(rows[:, 2])), float(np.nanmax(rows[:, 1])))
    body, x, y = frame.axes(title), frame.x(time), frame.y(rows[:, :4])
    half = max(0.8, 0.35 * (_WIDTH - _LEFT - _RIGHT) / len(time))
    for k in np.flatnonzero(np.isfinite(rows[:, :4]).all(axis=1)):
        color = UP if rows[k, 3] >= rows[k, 0] else DOWN
        top, bottom = min(y[k, 0], y[k, 3]), max(y[k, 0], y[k, 3])
        body.append(
            f'<path d="M{x[k]:.1f} {y[k, 1]:.1f}V{y[k, 2]:.1f}M{x[k] - half:.1f} {top:.1f}h{2 * half:.1f}'
            f'v{max(0.8, bottom - top):.1f}h{-2 * half:.1f}z" fill="{color}" stroke="{color}"/>'
        )
    body += [_path(frame, time, values, LINES[k % len(LINES)]) for k, values in enumerate(over)]
    for at, price, side, label in marks:
        if time[0] <= at:
            mx, my, turn = float(frame.x(at)), float(frame.y(price)), 1 if side > 0 else -1
            shape = f'd="M{mx:.1f} {my:.1f}l-4 {7 * turn}h8z" fill="{UP if side > 0 else DOWN}" stroke="{_GREY}"'
            body.append(f"<path {shape}><title>{escape(label)}</title></path>")
    return _svg(_HEIGHT, body)


def table(title: str, columns: Sequence[tuple[str, str]], rows: Sequence[Sequence[Any]], count: int) -> str:
    """The rows given, with how many there are in all."""
    width = (_WIDTH - 2 * _LEFT) / max(1, len(columns))
    body = [_text(_LEFT, 15, f"{title}: {count:,} rows", more='font-weight="600"')]
    body += [_text(_LEFT + k * width, 34, name, more='font-weight="600"') for k, (name, _) in enumerate(columns)]
    for i, row in enumerate(rows):
        for k, (cell, (_, kind)) in enumerate(zip(row, columns)):
            text = _cell(cell, kind)[: int(width / 6)]
            color = {"BUY": UP, "SELL": DOWN}.get(text, _GREY)
            body.append(_text(_LEFT + k * width, 52 + 16 * i, text, color))
    return _svg(48 + 16 * len(rows), body)


def _cell(value: Any, kind: str) -> str:
    if value is None or value != value:
        return ""
    if kind == "time":
        return _moment(value)[11:]
    return f"{value:,.8g}" if kind == "number" else str(value)


def tiles(shown: Sequence[tuple[str, str, str]]) -> str:
    """Named values side by side."""
    colors = {"good": UP, "bad": DOWN, "warning": "#E69F00"}
    width = (_WIDTH - 2 * _LEFT) / max(1, len(shown))
    body = []
    for k, (name, text, tone) in enumerate(shown):
        body.append(_text(_LEFT + k * width, 16, name))
        body.append(_text(_LEFT + k * width, 36, text, colors.get(tone, _GREY), 'font-size="15"'))
    return _svg(46, body)
