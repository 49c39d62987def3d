"""What a sweep came to: one row a combination, the best one and how far it can be believed, pictures.

Rule: everything follows from the rows; only a look at one combination (`Sweep.result`) runs anything again.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from pairsim.errors import InputError
from pairsim.market.interval import format_time
from pairsim.markup import Html, card, line
from pairsim.research.combinations import REFUSALS, Job, Runner
from pairsim.research.judgement import Judgement, judge
from pairsim.research.result import Result
from pairsim.research.space import SYMBOL, Value
from pairsim.research.statistics import Statistics, from_summary, shown, table_of
from pairsim.research.summary import SUMMARY_WORDS, Z_EQUITY
from pairsim.research.sweep_layout import X_AT, X_CODE, X_EVALUATED, X_ORDERS
from pairsim.strategies.strategy import Strategy

if TYPE_CHECKING:
    import polars as pl

    from pairsim.research.figures import Figure
    from pairsim.research.plateau import Plateau
    from pairsim.research.walk_forward import WalkForwardResult

Floats = NDArray[np.float64]

STATISTICS: Final = tuple(name for name, field in Statistics.__dataclass_fields__.items() if field.metadata)
_WHOLE: Final = ("trades", "days", "days_a_year")
_LESS_IS_BETTER: Final = ("volatility", "sharpe_error", "max_drawdown_days", "exposure", "turnover", "fees")
_SHOWN: Final = 8
_COLUMNS: Final = ("total_return", "sharpe", "max_drawdown", "trades")


@dataclass(frozen=True)
class Best:
    """The winner of a sweep.

    Attributes
    ----------
    parameters : its values by name, with ``symbol`` where that is an axis.
    strategy : ready to be traded: ``ps.backtest(best.strategy, bars)``, ``ps.Trader("BTC/USDT", best.strategy)``.
    metrics : all of its statistics. judgement : how far it can be believed.
    """

    parameters: dict[str, Value]
    strategy: Strategy
    metrics: Statistics
    judgement: Judgement

    @property
    def deflated_sharpe(self) -> float:
        """See `Judgement`."""
        return self.judgement.deflated_sharpe

    @property
    def overfitting(self) -> float:
        """Probability of backtest overfitting, see `Judgement`."""
        return self.judgement.overfitting

    @property
    def verdict(self) -> str:
        """ "significant" or "not significant"."""
        return self.judgement.verdict

    def __repr__(self) -> str:
        return f"{_told(self.parameters)}\n{self.judgement!r}\n{self.metrics!r}"

    def _repr_html_(self) -> str:
        judged = line(repr(self.judgement), "good" if self.judgement.significant else "muted")
        return card("Best", judged, Html(self.metrics._repr_html_()), about=_told(self.parameters))


class Sweep:
    """A table of combinations, made by `sweep`.

    Attributes
    ----------
    metric : what `best` is best by. whole : combinations the space has.
    trials : combinations that were tried; fewer than wanted after an interrupt.
    notes : what should be known about the table.
    walk_forward : what was chosen window by window and what came of it, where that was asked for.
    """

    def __init__(
        self, job: Job, runner: Runner, rows: Floats, done: NDArray[np.bool_], metric: str, notes: tuple[str, ...]
    ) -> None:
        self._job, self._runner = job, runner
        self._rows, self._numbers = rows[done], np.flatnonzero(done)
        self.metric, self.notes, self.whole = metric, notes, job.space.whole
        self.interrupted = not bool(done.all())
        self.walk_forward: WalkForwardResult | None = None

    def __len__(self) -> int:
        return len(self._numbers)

    @property
    def trials(self) -> int:
        """Combinations that were tried."""
        return len(self)

    # -- rows --------------------------------------------------------------------------------------------------------

    @cached_property
    def frame(self) -> "pl.DataFrame":
        """A column for each axis, then all statistics (see `Statistics`), ``orders``, ``final_equity``, and ``error``
        (null, or when and how the strategy failed; `error` tells more)."""
        import polars as pl

        positions = self._job.space.positions[self._numbers]
        columns: dict[str, Any] = {
            name: pl.Series(name, list(values)).gather(positions[:, k])
            for k, (name, values) in enumerate(self._job.space.axes.items())
        }
        for k, name in enumerate(STATISTICS):
            values = pl.Series(name, np.ascontiguousarray(self._rows[:, k]))
            columns[name] = values.fill_nan(None).cast(pl.Int64) if name in _WHOLE else values
        columns["orders"] = pl.Series(np.ascontiguousarray(self._rows[:, X_ORDERS])).fill_nan(None).cast(pl.Int64)
        columns["final_equity"] = np.ascontiguousarray(self._rows[:, Z_EQUITY])
        columns["error"] = pl.Series("error", self._errors(), dtype=pl.String)
        return pl.DataFrame(columns)

    def error(self, row: int) -> str:
        """Why a row has no statistics: candle, values and traceback; empty for one that has. Runs it once more."""
        if not self._failed[row]:
            return ""
        return self._runner.failure(self._number(row)).strip() or "it failed in the sweep, and did not fail again alone"

    def parameters(self, row: int) -> dict[str, Value]:
        """The values of a row by name."""
        return self._job.space.values(self._number(row))

    def strategy(self, row: int) -> Strategy:
        """The strategy of a row, ready to be traded."""
        return self._job.strategy_of(self._number(row))

    def statistics(self, row: int) -> Statistics:
        """All statistics of a row, with reasons for what is NaN."""
        return from_summary(self._rows[row, :SUMMARY_WORDS])

    def result(self, row: int | None = None) -> Result:
        """The backtest of a row, of the best one unless given."""
        from pairsim.research.backtesting import backtest

        k = self._number(self._best if row is None else row)
        job, account = self._job, self._job.account
        return backtest(
            job.strategy_of(k), job.bars_of(k), cash=account.cash, broker=account.broker, risk=account.risk,
            every=job.every, instruments=job.instruments,
        )  # fmt: skip

    # -- the winner --------------------------------------------------------------------------------------------------

    @cached_property
    def best(self) -> Best:
        """The row with the best `metric`, and how far it can be believed.

        Raises
        ------
        InputError
            No row has that metric; the message says why.
        """
        row = self._best
        return Best(self.parameters(row), self.strategy(row), self.statistics(row), self.judgement)

    @cached_property
    def judgement(self) -> Judgement:
        """How far the best row can be believed, in view of all that was tried."""
        calendar = self._runner.calendar(self._number(self._best))
        periods = len(calendar.periods)
        return judge(self._rows, self._best, self.trials, periods, calendar.daily, self._runner.blocks)

    def values(self, metric: str | None = None) -> Floats:
        """A statistic of each row, NaN where there is none."""
        name = self.metric if metric is None else metric
        check_metric(name)
        return self._rows[:, STATISTICS.index(name)]

    @cached_property
    def _best(self) -> int:
        score = scores(self.values(), self.metric)
        if not np.isfinite(score).any():
            raise InputError(f"no combination has a {self.metric}: {self._why()}")
        return int(score.argmax())  # the first of equals, in the order of the space

    def _why(self) -> str:
        for row in range(len(self)):
            if self._failed[row]:
                return self.error(row)
            reason = self.statistics(row).reasons.get(self.metric)
            if reason:
                return f"{reason} (first row)"
        return "there is no row"

    # -- the region --------------------------------------------------------------------------------------------------

    @cached_property
    def plateau(self) -> "Plateau":
        """The most robust region: where the mean of the metric over a combination and its neighbours is best."""
        from pairsim.research.plateau import find_plateau

        return find_plateau(self)

    def heatmap(self, x: str, y: str, metric: str | None = None, *, others: str = "best") -> "Figure":
        """The metric over two axes as a plotly figure.

        Parameters
        ----------
        x, y : names of axes. metric : a statistic; the sweep's unless given.
        others : what is shown of several combinations at one place: "best", "mean" or "worst" of the other axes.
        """
        from pairsim.research.heatmap import heatmap

        return heatmap(self, x, y, metric, others)

    # -- words -------------------------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        return "\n".join([self._title, *(f"  {line}" for line in self._lines()), str(self._top)])

    def _repr_html_(self) -> str:
        first, *others = self._lines()
        hint = line("best, plateau, heatmap(x, y), frame, result(row) show more", "muted")
        return card(
            "Sweep",
            line(first),
            *(line(told, "muted") for told in others),
            table_of(self._top),
            hint,
            about=self._title,
        )

    @property
    def _title(self) -> str:
        axes = ", ".join(f"{len(values):,} {name}" for name, values in self._job.space.axes.items())
        of = "" if self.trials == self.whole else f" of {self.whole:,}"
        return f"{type(self._job.strategy).__name__}: {self.trials:,} combinations{of} ({axes}) by {self.metric}"

    def _lines(self) -> list[str]:
        try:
            best = self.best
        except InputError as error:
            return [str(error), *self._remarks()]
        value = shown(self.metric, getattr(best.metrics, self.metric))
        return [f"best: {_told(best.parameters)}, {self.metric} {value}", repr(best.judgement), *self._remarks()]

    def _remarks(self) -> list[str]:
        """What should be known about the table."""
        told = list(self.notes)
        if self.walk_forward is not None:
            told.append(self.walk_forward.title)
        if self.interrupted:
            told.append(f"interrupted: {len(self):,} of {len(self._job.space):,} combinations were finished")
        failed = np.flatnonzero(self._failed)
        if len(failed):
            row = int(failed[0])
            first, why = f"row {row} ({_told(self.parameters(row))})", self.error(row).splitlines()[0]
            told.append(f"{len(failed):,} of {len(self):,} combinations failed, first {first}: {why}")
        silent = int((self._rows[:, X_EVALUATED] == 0.0).sum()) - len(failed)
        if silent > 0:
            told.append(f"{silent:,} combinations never decide: their indicators need more candles than there are")
        return told

    @property
    def _top(self) -> "pl.DataFrame":
        """The first rows by the metric, the columns that fit."""
        order = np.argsort(-np.nan_to_num(scores(self.values(), self.metric), nan=-math.inf), kind="stable")
        shown = list(dict.fromkeys([*self._job.space.axes, self.metric, *_COLUMNS]))
        return self.frame[order[:_SHOWN].tolist()].select(shown)

    # -- parts -------------------------------------------------------------------------------------------------------

    @property
    def _failed(self) -> NDArray[np.bool_]:
        failed: NDArray[np.bool_] = self._rows[:, X_CODE] != 0.0
        return failed

    def _errors(self) -> list[str | None]:
        told: list[str | None] = [None] * len(self)
        for row in np.flatnonzero(self._failed).tolist():
            told[row] = REFUSALS.get(self._rows[row, X_CODE])
            if told[row] is None:
                time = int(self._runner.calendar(self._number(row)).slices[int(self._rows[row, X_AT])])
                told[row] = f"failed at the candle of {format_time(time)}"
        return told

    def _number(self, row: int) -> int:
        if not -len(self) <= row < len(self):
            raise InputError(f"row {row} does not exist: the table has {len(self):,}")
        return int(self._numbers[row])


def check_metric(metric: object) -> None:
    """Refuse what is no statistic."""
    if metric not in STATISTICS:
        raise InputError(f"metric={metric!r} must be one of {', '.join(STATISTICS)}")


def scores(values: Floats, metric: str) -> Floats:
    """What is best is highest; what has no value is -inf."""
    signed = -values if metric in _LESS_IS_BETTER else values
    return np.where(np.isnan(signed), -math.inf, signed)


def _told(parameters: Mapping[str, Value]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in parameters.items() if name != SYMBOL) + (
        f" on {parameters[SYMBOL]}" if SYMBOL in parameters else ""
    )
