"""Candlesticks with indicators and the fills made on them."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pairsim.errors import InputError
from pairsim.notebook.views import picture, wire
from pairsim.notebook.views.view import View

if TYPE_CHECKING:
    import polars as pl

PRICE: Final = "price"
_MOST_MARKS: Final = 2_000
_SIDES: Final = {"BUY": 1, "SELL": -1}

Indicators = Mapping[str, tuple[str, ArrayLike]]
Mark = tuple[int, float, int | str, str]


class CandleView(View):
    """Candles of one market, indicators over them or in panes below, and marks where fills were made.

    An indicator is named and has a pane: ``"price"`` lies over the candles, any other name is a pane below.

    Parameters
    ----------
    title : what stands above
    window : candles kept
    stale_after : seconds without a word from the kernel after which the view says so
    """

    _kind = "candles"

    def __init__(self, *, title: str, window: int = 2_048, stale_after: float = 3.0) -> None:
        self._window = window
        self._clear()
        super().__init__(title=title, stale_after=stale_after)

    def _clear(self) -> None:
        self._time = np.empty(0, dtype=np.int64)
        self._candles = np.empty((0, 5))
        self._panes: dict[str, str] = {}
        self._lines: dict[str, NDArray[np.float64]] = {}
        self._marks: list[tuple[int, float, int, str]] = []
        self._marked = 0  # marks ever made
        self._marks_sent = 0
        self._changed_from: int | None = None

    def reset(
        self,
        time_ns: ArrayLike,
        candles: ArrayLike,
        indicators: Indicators | None = None,
        marks: Sequence[Mark] = (),
        *,
        title: str | None = None,
    ) -> None:
        """Replace everything, as for another market.

        Parameters
        ----------
        time_ns : int64[n], ascending, the opening of each candle
        candles : float64[n, 5]: open, high, low, close, volume
        indicators : name -> (pane, float64[n]), NaN while warming
        marks : (time_ns, price, side, label) of each fill; a side is 1 or "BUY", -1 or "SELL"
        title : another title from now on
        """
        given = indicators or {}
        time, rows, lines = self._checked(time_ns, candles, {name: values for name, (_, values) in given.items()})
        with self._lock:
            self._clear()
            self.title = self.title if title is None else title
            self._time, self._candles, self._lines = time, rows, lines
            self._panes = {name: str(pane) for name, (pane, _) in given.items()}
            self._cut()
            self._whole_wanted = True
            self.mark(marks)

    def append(self, time_ns: ArrayLike, candles: ArrayLike, indicators: Mapping[str, ArrayLike] | None = None) -> None:
        """Add candles at the end; those from the last known time on replace what was there.

        ``indicators`` holds the values float64[n] of those named at ``reset``; one that is left out is NaN.
        """
        time, rows, lines = self._checked(time_ns, candles, indicators or {})
        if not len(time):
            return
        with self._lock:
            unknown = set(lines) - set(self._panes)
            if unknown:
                raise InputError(f"{self.title}: indicators {sorted(unknown)} have no pane yet: name them in reset()")
            if len(self._time) and time[0] < self._time[-1]:
                raise InputError(
                    f"{self.title}: a candle at {time[0]} ns comes after one at {self._time[-1]} ns; use reset()"
                )
            kept = int(np.searchsorted(self._time, time[0]))
            self._time = np.concatenate([self._time[:kept], time])
            self._candles = np.concatenate([self._candles[:kept], rows])
            for name, old in self._lines.items():
                self._lines[name] = np.concatenate([old[:kept], lines.get(name, np.full(len(time), np.nan))])
            first = int(time[0])
            self._changed_from = first if self._changed_from is None else min(self._changed_from, first)
            self._cut()

    def mark(self, marks: Sequence[Mark]) -> None:
        """Mark fills: (time_ns, price, side, label) each; a side is 1 or "BUY", -1 or "SELL"."""
        rows = [(int(t), float(p), _SIDES[s] if isinstance(s, str) else int(s), str(label)) for t, p, s, label in marks]
        with self._lock:
            self._marks = (self._marks + rows)[-_MOST_MARKS:]
            self._marked += len(rows)

    def _cut(self) -> None:
        self._time, self._candles = self._time[-self._window :], self._candles[-self._window :]
        self._lines = {name: values[-self._window :] for name, values in self._lines.items()}

    def _checked(
        self, time_ns: ArrayLike, candles: ArrayLike, lines: Mapping[str, ArrayLike]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64], dict[str, NDArray[np.float64]]]:
        time = np.array(time_ns, dtype=np.int64, ndmin=1)
        rows = np.array(candles, dtype=np.float64, ndmin=2)
        if rows.size and rows.shape != (len(time), 5):
            raise InputError(f"{self.title}: {len(time)} candles need open, high, low, close, volume, got {rows.shape}")
        known = {name: np.array(values, dtype=np.float64, ndmin=1) for name, values in lines.items()}
        for name, values in known.items():
            if values.shape != time.shape:
                raise InputError(f"{self.title}: {name} has {values.shape} values for {len(time)} candles")
        return time, rows.reshape(-1, 5), known

    def _has_changed(self) -> bool:
        return self._changed_from is not None or self._marked > self._marks_sent

    def _changes(self) -> tuple[wire.Header, wire.Arrays] | None:
        if not self._has_changed():
            return None
        first = len(self._time) if self._changed_from is None else int(np.searchsorted(self._time, self._changed_from))
        told = self._part(first, self._marks_sent)
        self._changed_from, self._marks_sent = None, self._marked
        return told

    def _whole(self) -> tuple[wire.Header, wire.Arrays]:
        header, arrays = self._part(0, 0)
        return {**header, "window": self._window, "title": self.title, "panes": list(self._panes.items())}, arrays

    def _part(self, first_candle: int, first_mark: int) -> tuple[wire.Header, wire.Arrays]:
        first_mark = max(first_mark, self._marked - len(self._marks))
        marks = self._marks[first_mark - self._marked + len(self._marks) :]
        arrays: wire.Arrays = {
            "time": wire.milliseconds(self._time[first_candle:]),
            "candles": self._candles[first_candle:],
        }
        for k, values in enumerate(self._lines.values()):
            arrays[f"line{k}"] = values[first_candle:]
        if marks:
            arrays["mark_time"] = wire.milliseconds([mark[0] for mark in marks])
            arrays["mark_price"] = np.array([mark[1] for mark in marks])
            arrays["mark_side"] = np.array([mark[2] for mark in marks], dtype=np.int8)
        return {"first_mark": first_mark, "labels": [mark[3] for mark in marks]}, arrays

    def frame(self) -> "pl.DataFrame":
        """Columns ``timestamp`` (UTC), open, high, low, close, volume and one for each indicator."""
        import polars as pl

        with self._lock:
            time, rows, lines = self._time, self._candles, dict(self._lines)
        stamps = pl.Series("timestamp", time).cast(pl.Datetime("ns", "UTC"))
        named = dict(zip(("open", "high", "low", "close", "volume"), rows.T)) | lines
        return pl.DataFrame([stamps, *(pl.Series(name, values) for name, values in named.items())])

    def to_svg(self) -> str:
        """Candles, indicators of the price and marks as an SVG picture."""
        with self._lock:
            over = [values for name, values in self._lines.items() if self._panes[name] == PRICE]
            return picture.candles(self.title, self._time, self._candles, over, self._marks)

    def _summary(self) -> str:
        if not len(self._time):
            return "no candles yet"
        return f"{len(self._time):,} candles, last close {self._candles[-1, 3]:,.8g}, {self._marked:,} fills marked"
