"""Walk-forward: choose on the past, trade what follows, move on; what follows is stitched together and judged.

Rule: what is traded out of sample was chosen from candles that had closed before, and from nothing else. Indicators
are warm from the training candles; the first decision is at the close of the first candle of the test window. A window
begins flat with what the one before it left, its open position counted at its last close.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from pairsim.engine.layout import T_WARMUP
from pairsim.engine.plan import make_plan
from pairsim.errors import InputError, PairsimError, StrategyError
from pairsim.market.candle import Columns
from pairsim.market.interval import Interval, format_interval, format_time, parse_interval
from pairsim.markup import Html, card
from pairsim.portfolio.layout import A_QUOTE_SCALE
from pairsim.research.combinations import Job
from pairsim.research.door import Bars, traders_of
from pairsim.research.history import History
from pairsim.research.space import Value
from pairsim.research.statistics import Statistics, statistics, table_of
from pairsim.research.summary import Tally, tally_of

if TYPE_CHECKING:
    import polars as pl

    from pairsim.research.sweep_table import Sweep

Floats = NDArray[np.float64]

_FEWEST: Final = 2  # candles of a window; one has no distance


@dataclass(frozen=True)
class WalkForward:
    """How a history is cut.

    Indicators are warm when a test window begins; a strategy's own states (`state`) are as at first, so one that fills
    them itself, such as `PairsSpread`, begins to trade later in each window.

    Parameters
    ----------
    windows : so many test windows: time is cut into one part more, each but the first is a test window.
    train, test : or the lengths of training and test windows ("90d", "30d"); the tests follow each other without a gap,
        what is left over at the end is not traded.
    anchored : training always begins with the first candle, and grows; otherwise it rolls along.

    Examples
    --------
    >>> WalkForward(5)
    WalkForward(5)
    >>> WalkForward(train="90d", test="30d", anchored=True)
    WalkForward(train='90d', test='30d', anchored=True)
    """

    windows: int | None = None
    train: Interval | None = None
    test: Interval | None = None
    anchored: bool = False

    def __post_init__(self) -> None:
        if (self.windows is None) == (self.train is None and self.test is None):
            raise InputError("WalkForward needs either windows= or both train= and test=")
        if self.windows is None and (self.train is None or self.test is None):
            raise InputError(f"WalkForward: train={self.train!r}, test={self.test!r}: give both")
        count: Any = self.windows
        if count is not None and (isinstance(count, bool) or not isinstance(count, int) or count < 1):
            raise InputError(f"WalkForward: windows={count!r} must be a whole number from 1 on")

    def __repr__(self) -> str:
        told = [repr(self.windows)] if self.windows is not None else []
        told += [f"{name}={value!r}" for name, value in (("train", self.train), ("test", self.test)) if value]
        return f"WalkForward({', '.join([*told, *(['anchored=True'] if self.anchored else [])])})"


@dataclass(frozen=True)
class Window:
    """Open times between which candles are trained on (from ``first`` to before ``start``) and traded (to ``end``)."""

    first: int
    start: int
    end: int


def windows_of(spec: WalkForward, slices: NDArray[np.int64]) -> list[Window]:
    """The windows of a history whose candles open at ``slices``.

    Raises
    ------
    InputError
        The history is too short.
    """
    begin, end = int(slices[0]), int(slices[-1]) + 1
    if spec.windows is not None:
        at = np.arange(spec.windows + 2) * len(slices) // (spec.windows + 1)
        if np.diff(at).min() < _FEWEST:
            raise InputError(f"{spec!r} cuts {len(slices):,} candles into {spec.windows + 1}: too short; fewer windows")
        cuts = [*slices[at[:-1]].tolist(), end]
    else:
        train, test = parse_interval(spec.train or ""), parse_interval(spec.test or "")
        apart = int(np.diff(slices).min(initial=end - begin))  # not the first two: there may be a hole between them
        count = (int(slices[-1]) - begin + apart - train) // test
        if count < 1:
            have = format_interval(end - 1 - begin)
            raise InputError(f"{spec!r} needs train and test together, the history has {have}; shorten them")
        starts = [begin + train + k * test for k in range(count + 1)]
        found = []
        for start, stop in pairwise(starts):
            found.append(Window(begin if spec.anchored else start - train, start, stop))
        return [window for window in found if _counted(slices, window)]
    return [Window(begin if spec.anchored else a, b, c) for a, b, c in zip(cuts, cuts[1:], cuts[2:], strict=False)]


def _counted(slices: NDArray[np.int64], window: Window) -> bool:
    """Whether both parts of a window have candles enough."""
    a, b, c = np.searchsorted(slices, [window.first, window.start, window.end])
    return bool(b - a >= _FEWEST and c > b)


def between(bars: Bars, first: int, end: int) -> Bars:
    """The candles that open from ``first`` to before ``end``."""
    a, b = np.searchsorted(bars.columns.open_time, [first, end])
    parts: list[Any] = [column[a:b] for column in bars.columns[1:]]
    return Bars(Columns(bars.columns.symbols, *parts), bars.interval_ns)


@dataclass(frozen=True)
class _Traded:
    """A test window as it was traded: close times and equity, and what its fills came to."""

    times: NDArray[np.int64]
    equity: Floats
    tally: Tally


def walk(
    job: Job, spec: WalkForward, windows: Sequence[Window], train: Callable[[Job], "Sweep"]
) -> "tuple[WalkForwardResult | None, str]":
    """Choose on each training window by ``train`` and trade what follows it.

    Returns
    -------
    What came of it, and a note where it ended early, by the user's interrupt or an error: the windows before stand, and
    None if there are none. A window whose training was cut short is not traded: its choice would be of a part of the
    combinations.
    """
    cash, parts, rows = job.account.cash, list[_Traded](), list[dict[str, Any]]()
    note = ""
    for window in windows:
        try:
            table = train(replace(job, bars=between(job.bars, window.first, window.start)))
            if table.interrupted:
                raise KeyboardInterrupt
            traded, row = _walked(job, window, table, cash)
        except KeyboardInterrupt:
            note = f"interrupted: {len(rows)} of {len(windows)} walk-forward windows were finished"
            break
        except PairsimError as error:
            where = f"the window tested from {format_time(window.start)}"
            note = f"walk-forward ended after {len(rows)} of {len(windows)} windows, {where} failed: {error}"
            break
        parts.append(traded)
        rows.append(row)
        cash = float(traded.equity[-1])
        if not cash > 0.0:
            break
    done = WalkForwardResult(spec, job.account.cash, job.bars.interval_ns, parts, rows) if rows else None
    return done, note


def _walked(job: Job, window: Window, table: "Sweep", cash: float) -> tuple[_Traded, dict[str, Any]]:
    """A window traded with the best of its training, and its row of the table of windows."""
    row: int | None
    try:
        row = table._best
    except InputError:  # nothing to choose by: no combination traded
        row = None
    chosen: dict[str, Value | None] = dict.fromkeys(job.space.axes) if row is None else dict(table.parameters(row))
    try:
        traded = _trade(job, window, None if row is None else table._number(row), cash)
    except StrategyError as error:
        raise StrategyError(f"{', '.join(f'{name}={value!r}' for name, value in chosen.items())}: {error}") from error
    outside = statistics(traded.times, traded.equity, cash, traded.tally, int(traded.times[0]) - job.bars.interval_ns)
    inside = float("nan") if row is None else float(table.values()[row])
    return traded, {
        "train_start": window.first, "test_start": window.start, "test_end": int(traded.times[-1]),
        **chosen,
        f"{table.metric}_in_sample": inside, f"{table.metric}_out_of_sample": getattr(outside, table.metric),
        "total_return": outside.total_return, "trades": outside.trades,
        "final_equity": float(traded.equity[-1]),
    }  # fmt: skip


def _trade(job: Job, window: Window, k: int | None, cash: float) -> _Traded:
    """A test window with the combination that was chosen, or in cash."""
    bars = between(job.bars if k is None else job.bars_of(k), window.first, window.end)
    history = History(bars.columns, bars.interval_ns)
    tested = history.slices >= window.start
    times = history.slices[tested] + bars.interval_ns
    if k is None:
        return _Traded(times, np.full(len(times), cash), Tally())
    traders = traders_of(job.strategy_of(k), bars.columns.symbols, job.every)
    plan = make_plan(traders, bars.interval_ns, job.instruments, markets=bars.columns.symbols)
    for row in plan.rows:  # not before the first candle of the test window has closed
        before = min(int(np.searchsorted(series.opened, window.start)) for series in history.series_of(row))
        row[T_WARMUP] = max(int(row[T_WARMUP]), before + 1)
    done = replace(job.account, cash=cash).prepared(plan, history).run()
    scale = float(done.portfolio.view(np.float64)[A_QUOTE_SCALE])
    return _Traded(times, done.equity[tested], tally_of(done.events, len(plan.pairs), done.slices, scale))


class WalkForwardResult:
    """What was chosen in each window and what came of it; the out-of-sample windows as one account.

    Attributes
    ----------
    spec : how the history was cut. cash : what the first window opened with.
    """

    def __init__(
        self, spec: WalkForward, cash: float, base_ns: int, parts: list[_Traded], rows: list[dict[str, Any]]
    ) -> None:
        self.spec, self.cash = spec, cash
        self._base_ns, self._parts, self._rows = base_ns, parts, rows

    def __len__(self) -> int:
        return len(self._rows)

    @cached_property
    def windows(self) -> "pl.DataFrame":
        """A row a window: train_start, test_start, test_end, the parameters chosen (null: nothing traded in training,
        so the account stayed in cash), the metric in and out of sample, total_return, trades and final_equity of the
        test."""
        import polars as pl

        moments = ("train_start", "test_start", "test_end")
        frame = pl.DataFrame(self._rows, infer_schema_length=None)
        return frame.with_columns(pl.col(name).cast(pl.Datetime("ns", "UTC")) for name in moments)

    @cached_property
    def equity(self) -> "pl.DataFrame":
        """timestamp (close of the candle), equity, window: the test windows one after the other."""
        import polars as pl

        numbers = np.concatenate([np.full(len(part.times), k) for k, part in enumerate(self._parts)])
        times = pl.Series("timestamp", self._times).cast(pl.Datetime("ns", "UTC"))
        return pl.DataFrame({"timestamp": times, "equity": self._equity, "window": numbers})

    @cached_property
    def stats(self) -> Statistics:
        """Statistics of the stitched equity, with the definitions of a backtest."""
        tally = Tally(*(sum(words) for words in zip(*(part.tally for part in self._parts), strict=True)))
        return statistics(self._times, self._equity, self.cash, tally, int(self._times[0]) - self._base_ns)

    @property
    def _times(self) -> NDArray[np.int64]:
        return np.concatenate([part.times for part in self._parts])

    @property
    def _equity(self) -> Floats:
        return np.concatenate([part.equity for part in self._parts])

    def __repr__(self) -> str:
        return f"{self.title}\n{self.stats!r}\n{self.windows}"

    def _repr_html_(self) -> str:
        return card("Walk-forward", Html(self.stats._repr_html_()), table_of(self.windows), about=self.title)

    @property
    def title(self) -> str:
        """What was done and what came of it, in one line."""
        times = self._times
        period = f"{format_time(int(times[0]) - self._base_ns)} to {format_time(int(times[-1]))}"
        return (
            f"{self.spec!r}, out of sample in {len(self)} windows, {period}: "
            f"{self.cash:,.2f} became {self._equity[-1]:,.2f}"
        )
