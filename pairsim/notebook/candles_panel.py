"""Candles of one market with the fills made on them and what the strategies that decide on them see.

The candles are those the machine keeps for its traders; indicators are computed here, by the same kernels, over what is
kept (up to 2,047 candles), so one with a long memory may differ from the trader's in the last digits.
"""

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from pairsim import clock
from pairsim.engine.candles import closed_candles, forming_candle, intervals_of, read_candles
from pairsim.errors import InputError
from pairsim.indicators import Indicator
from pairsim.market.interval import Interval, format_interval, parse_interval
from pairsim.notebook.choosing import Chosen, chooser
from pairsim.notebook.look import Look
from pairsim.notebook.order_log import FillRow
from pairsim.notebook.panels import ViewPanel
from pairsim.notebook.views import CandleView
from pairsim.notebook.views.candle import PRICE, Mark

if TYPE_CHECKING:
    from pairsim.notebook.source import Source
    from pairsim.notebook.views.view import Tone

RESET_NS: Final = 1_000_000_000  # everything is sent anew at most once a second

FloatArray = npt.NDArray[np.float64]
Choice = tuple[str, int]  # a market and the length of its candles, ns


class CandlesPanel(ViewPanel):
    """Candles of a market that can be chosen."""

    def __init__(self, source: "Source", market: str | None = None, every: Interval | None = None) -> None:
        self.candles = CandleView(title="Candles")
        super().__init__(source, self.candles)
        self._choices = {f"{market}  {format_interval(every)}": (market, every) for market, every in choices_of(source)}
        self._choice = self._checked(market, every)
        self._forget()
        names = list(self._choices)
        chosen = names[list(self._choices.values()).index(self._choice)]
        self._chooser = chooser("Market", names, chosen, lambda name: self._choose(self._choices[name]))
        self.widget = Chosen(self._chooser, self.candles)

    def choose(self, market: str, every: Interval | None = None) -> None:
        """Show another market, at the candles of its quickest trader unless told which."""
        self._choose(self._checked(market, every))

    def _choose(self, choice: Choice) -> None:
        with self.source.lock:
            self._choice = choice
            self._forget()
            self.source.show(self)

    def _checked(self, market: str | None, every: Interval | None) -> Choice:
        known = list(self._choices.values())
        if market is None:
            return known[0]
        length = None if every is None else parse_interval(every)
        for choice in known:
            if choice[0] == market and length in (None, choice[1]):
                return choice
        raise InputError(f"candles({market!r}, {every!r}): this engine has {', '.join(self._choices)}")

    def _forget(self) -> None:
        self._traders = traders_of(self.source, self._choice)
        self._codes: tuple[Any, ...] = ()
        self._last = self._marked = self._reset_at = self._closed = 0
        self._panes: dict[str, str] = {}
        self._forming: tuple[float, ...] = ()

    def fault(self, text: str) -> None:
        """Say what went wrong; the next look begins anew."""
        if text:
            self._forget()
        super().fault(text)

    # -- what is shown -----------------------------------------------------------------------------------------------

    def note(self, look: Look) -> "tuple[str, Tone]":
        """Says that there is no candle yet."""
        text, tone = super().note(look)
        return ("No candle has closed yet", "muted") if not text and not self._last else (text, tone)

    def update(self, look: Look) -> None:
        """Candles that have closed since, the one that forms, and new fills."""
        engine = self.source.engine
        mem, arena = engine._mem, engine._arena
        if mem is None or arena is None:
            # The first use of a kernel on a machine compiles it: better now than while candles come.
            indicators_of(self.source, self._choice, np.zeros((0, 5)))
            return
        symbol, every = self._choice
        market = engine._plan.symbols.index(symbol)
        if every not in intervals_of(arena, market):
            return
        codes = tuple(engine._codes[t] for t in self._traders)
        forming = forming_candle(mem, arena, market, every)  # first: what closes after it was read is among the closed
        closed = closed_candles(mem, arena, market, every)
        if closed > self._closed or codes != self._codes:
            if self._show(codes, *read_candles(mem, arena, market, every), at_once=look.ended):
                self._closed = closed
        if forming is not None and self._last and forming[0] > self._last:
            shown = forming[0], *forming[1].tolist()
            if shown != self._forming:
                self._forming = shown
                self.candles.append([forming[0]], [forming[1]])
        self._mark()

    def _show(self, codes: tuple[Any, ...], time: np.ndarray, rows: np.ndarray, *, at_once: bool) -> bool:
        """What has closed: after the candles that are there, or all of it anew unless that has just been done; whether
        it is shown now.
        """
        if codes == self._codes and len(time) and time[0] <= self._last:
            if time[-1] > self._last:
                self._append(time, rows)
        elif len(time) and (at_once or clock.monotonic_ns() - self._reset_at > RESET_NS):
            self._reset(codes, time, rows)
        else:
            return False
        return True

    def _reset(self, codes: tuple[Any, ...], time: np.ndarray, rows: np.ndarray) -> None:
        lines = indicators_of(self.source, self._choice, rows)
        self._panes = {name: pane_of(name, values, rows[:, 3]) for name, values in lines.items()}
        given = {name: (self._panes[name] or name, values) for name, values in lines.items()}
        self.candles.reset(time, rows, given, title=f"{self._choice[0]}, {format_interval(self._choice[1])}")
        self._codes, self._last, self._marked = codes, int(time[-1]), 0
        self._first, self._reset_at = int(time[0]), clock.monotonic_ns()

    def _append(self, time: np.ndarray, rows: np.ndarray) -> None:
        lines = indicators_of(self.source, self._choice, rows)
        if any(not self._panes[name] and pane_of(name, v, rows[:, 3]) for name, v in lines.items()):
            return self._reset(self._codes, time, rows)  # an indicator has its first values: now its pane is known
        new = int(np.searchsorted(time, self._last, side="right"))
        self.candles.append(time[new:], rows[new:], {name: values[new:] for name, values in lines.items()})
        self._last = int(time[-1])

    def _mark(self) -> None:
        fills = self.source.orders.fills.get(self._choice[0])
        if fills is None or not self._last:
            return
        new = fills.after(self._marked)
        if new:
            self._marked = new[-1].number
            self.candles.mark([self._mark_of(fill) for fill in new if fill.time >= self._first])

    def _mark_of(self, fill: FillRow) -> Mark:
        verb = "buys" if fill.side > 0 else "sells"
        name = self.source.engine._traders[fill.trader].name
        return fill.time, fill.price, fill.side, f"{name} {verb} {fill.quantity:,.8g} at {fill.price:,.8g}"


def choices_of(source: "Source") -> list[Choice]:
    """Markets in the order of the plan, each with the lengths of candles its traders decide on, shortest first."""
    plan = source.engine._plan
    every = {(symbol, t.every_ns or plan.base_ns) for t in source.engine._traders for symbol in t.markets}
    return sorted(every, key=lambda choice: (plan.symbols.index(choice[0]), choice[1]))


def traders_of(source: "Source", choice: Choice) -> list[int]:
    """The traders that decide on these candles."""
    symbol, every = choice
    engine = source.engine
    return [
        t
        for t, trader in enumerate(engine._traders)
        if symbol in trader.markets and (trader.every_ns or engine._plan.base_ns) == every
    ]


def indicators_of(source: "Source", choice: Choice, rows: FloatArray) -> dict[str, FloatArray]:
    """What the traders see, by name, over candles float64[n, 5]; with several traders each distinct one once."""
    columns = [np.ascontiguousarray(column) for column in rows.T]
    seen: dict[Indicator, None] = {}
    lines = {}
    traders = traders_of(source, choice)
    for t in traders:
        for name, indicator in source.engine._codes[t].indicators:
            if indicator in seen:
                continue
            seen[indicator] = None
            out = np.empty((len(rows), len(indicator.fields)))
            indicator.batch_into(columns, out)
            title = name if len(traders) == 1 else f"{name} ({source.engine._traders[t].name})"
            for k, field in enumerate(indicator.fields):
                lines[title if len(indicator.fields) == 1 else f"{title}.{field}"] = out[:, k]
    return lines


def candles_and_lines(
    source: "Source", market: str, every: int
) -> tuple[npt.NDArray[np.int64], FloatArray, dict[str, tuple[str, FloatArray]]]:
    """Closed candles of a market, their open times and values float64[n, 5], and name -> (pane, values) of what the
    traders see; for a run that has begun."""
    engine = source.engine
    assert engine._mem is not None and engine._arena is not None
    time, rows = read_candles(engine._mem, engine._arena, engine._plan.symbols.index(market), every)
    lines = indicators_of(source, (market, every), rows)
    return time, rows, {name: (pane_of(name, v, rows[:, 3]) or name, v) for name, v in lines.items()}


def pane_of(name: str, values: np.ndarray, close: np.ndarray) -> str:
    """``price`` for what moves with the price, else a pane of its own; empty while there are no values."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = values / close
    known = ratio[np.isfinite(ratio)]
    if not len(known):
        return ""
    like_price = 0.5 < float(np.median(known)) < 2.0 and float(known.min()) > 0.0
    return PRICE if like_price else name.partition(".")[0]
