"""Lines over time: equity, PnL of each trader, depth of each channel."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pairsim.errors import InputError
from pairsim.notebook.views import picture, wire
from pairsim.notebook.views.history import History
from pairsim.notebook.views.view import View

if TYPE_CHECKING:
    import polars as pl

# A whole view of 2 MB: Jupyter's server drops what exceeds 1 MB/s over three seconds.
_MOST_NUMBERS: Final = 400_000


class LineView(View):
    """Lines that grow to the right, with a legend and a readout under the pointer.

    Parameters
    ----------
    series : names of the lines, up to 100 stay readable
    title, unit : what stands above; the unit is that of every value
    digits : after the point of a value; by default two or as many as tell values apart
    window : points kept of each line, fewer from 41 lines on (400,000 numbers in all). When they are full the older
        half is thinned evenly in time, so that the whole run stays in view
    stale_after : seconds without a word from the kernel after which the view says so
    """

    _kind = "lines"

    def __init__(
        self,
        series: Sequence[str],
        *,
        title: str,
        unit: str = "",
        digits: int | None = None,
        window: int = 10_000,
        stale_after: float = 3.0,
    ) -> None:
        self._window = max(4, window)
        self._begin(series)
        super().__init__(title=title, stale_after=stale_after, unit=unit, digits=digits)

    def _begin(self, series: Sequence[str]) -> None:
        names = [str(name) for name in series]
        if not names or len(set(names)) != len(names):
            raise InputError(f"a LineView needs one or more series with names of their own, got {names}")
        self._series = names
        self._history = History(max(4, min(self._window, _MOST_NUMBERS // len(names))), len(names))
        # Lines are sent as float32 differences from this: cents stay exact in an equity of a million.
        self._base = np.full(len(names), np.nan)
        self._based = False  # all have one
        self._unsent = 0

    @property
    def series(self) -> tuple[str, ...]:
        """Names of the lines."""
        return tuple(self._series)

    def reset(self, time_ns: ArrayLike, values: ArrayLike) -> None:
        """Replace all points: int64[n] ascending, float64[n, k]; NaN is a gap."""
        time, rows = self._checked(time_ns, values)
        with self._lock:
            self._begin(self._series)
            self._history.append(time, rows)
            self._whole_wanted = True

    def append(self, time_ns: ArrayLike, values: ArrayLike) -> None:
        """Add points at the end: int64[n] ascending, float64[n, k]; NaN is a gap."""
        time, rows = self._checked(time_ns, values)
        with self._lock:
            self._history.append(time, rows)
            self._unsent += len(time)
            # What cannot be told as "these rows more": rows that may have been thinned, a line's first number.
            self._whole_wanted |= self._unsent > self._history.capacity // 4
            if not self._based:
                self._whole_wanted |= bool((np.isnan(self._base) & np.isfinite(rows).any(axis=0)).any())

    def rename(self, series: Sequence[str]) -> None:
        """Give the lines other names; with another number of them the view begins anew."""
        with self._lock:
            if len(series) != len(self._series):
                self._begin(series)
            else:
                self._series = [str(name) for name in series]
            self._whole_wanted = True

    def _checked(self, time_ns: ArrayLike, values: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        time = np.atleast_1d(np.asarray(time_ns, dtype=np.int64))
        rows = np.asarray(values, dtype=np.float64)
        expected = (len(time), len(self._series))
        if rows.size != expected[0] * expected[1]:
            raise InputError(
                f"{self.title}: {expected[0]} times of {expected[1]} series need values {expected}, got {rows.shape}"
            )
        return time, rows.reshape(expected)

    def _has_changed(self) -> bool:
        return self._unsent > 0

    def _changes(self) -> tuple[wire.Header, wire.Arrays] | None:
        unsent, self._unsent = self._unsent, 0
        if not unsent:
            return None
        first = self._history.total - unsent
        return {"first": first}, self._points(slice(self._history.count - unsent, None))

    def _whole(self) -> tuple[wire.Header, wire.Arrays]:
        finite = np.isfinite(self._history.values)
        for k in np.flatnonzero(np.isnan(self._base) & finite.any(axis=0)):
            self._base[k] = self._history.values[finite[:, k].argmax(), k]
        self._based = bool(np.isfinite(self._base).all())
        header = {"series": self._series, "capacity": self._history.capacity, "total": self._history.total}
        return {**header, "base": [wire.number(x) for x in self._base]}, self._points(slice(None))

    def _points(self, rows: slice) -> wire.Arrays:
        base = self._base if self._based else np.nan_to_num(self._base)
        with np.errstate(over="ignore", invalid="ignore"):
            values = (self._history.values[rows] - base).astype(np.float32)
        return {"time": wire.milliseconds(self._history.time[rows]), "values": values}

    def frame(self) -> "pl.DataFrame":
        """Columns ``timestamp`` (UTC) and one for each line."""
        import polars as pl

        with self._lock:
            time, values, names = self._history.time.copy(), self._history.values.copy(), self._series
        stamps = pl.Series("timestamp", time).cast(pl.Datetime("ns", "UTC"))
        return pl.DataFrame([stamps, *(pl.Series(name, values[:, k]) for k, name in enumerate(names))])

    def to_svg(self) -> str:
        """The lines as an SVG picture."""
        with self._lock:
            return picture.lines(self.title, self._series, self._history.time, self._history.values)

    def _summary(self) -> str:
        time = self._history.time
        if not len(time):
            return f"{len(self._series)} series, no data yet"
        last = np.datetime64(int(time[-1]), "ns").astype("M8[s]")
        shown = [f"{n} {v:,.6g}" for n, v in zip(self._series[:4], self._history.values[-1])]
        return f"{', '.join(shown)}{' …' if len(self._series) > 4 else ''} at {last} UTC, {len(time):,} points"
