"""From combinations to rows of numbers: the part of a sweep that runs anywhere, in a thread, a process or a cluster.

Rule: a row depends on its combination only, never on who ran it, in what order or beside what, so the table is the same
however the work is split. What is sent to another process is a `Job`; what runs it there is a `Runner`.
"""

import contextlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pairsim.engine.plan import Plan, make_plan
from pairsim.errors import PairsimError, StrategyError
from pairsim.market.candle import Columns
from pairsim.market.instrument import Instrument
from pairsim.market.interval import Interval, parse_interval
from pairsim.research.causality import causal_by_construction, check_indicator
from pairsim.research.costs import Account
from pairsim.research.door import Bars, traders_of
from pairsim.research.history import History
from pairsim.research.indicator_needs import Needs, Shape, needs_of
from pairsim.research.judgement import blocks_for
from pairsim.research.space import SYMBOL, Positions, Space
from pairsim.research.sweep_layout import J_COURSE, J_RECORD, J_WARMUP, ROW_WORDS, X_CODE
from pairsim.research.sweep_stage import Calendar, Stage, calendars_of
from pairsim.strategies.compiler import prepare
from pairsim.strategies.strategy import Strategy, retuned

Floats = NDArray[np.float64]
Words = NDArray[np.int64]

# X_CODE of combinations that never began: what they were refused by. (The loop's own codes are below zero.)
REFUSED, NO_INDICATOR, NOT_RUN = 1.0, 2.0, 3.0
REFUSALS = {
    REFUSED: "its parameters were refused",  # by its constructor or its ``indicators()``
    NO_INDICATOR: "an indicator could not be computed",
    NOT_RUN: "it could not be run",
}


@dataclass(frozen=True)
class Job:
    """All that rows depend on; sent to other processes with cloudpickle."""

    strategy: Strategy
    space: Space
    bars: Bars
    account: Account
    every: Interval | None = None
    instruments: tuple[Instrument, ...] = ()

    def strategy_of(self, k: int) -> Strategy:
        """The strategy of a combination, as its user would make it."""
        values = {name: value for name, value in self.space.values(k).items() if name != SYMBOL}
        return _made(self.strategy, values)

    def bars_of(self, k: int) -> Bars:
        """What a combination trades on."""
        symbol = self.space.values(k).get(SYMBOL)
        return self.bars if symbol is None else market_of(self.bars, str(symbol))


def market_of(bars: Bars, symbol: str) -> Bars:
    """One market of a history."""
    columns = bars.columns
    if columns.symbols == (symbol,):
        return bars
    mine = columns.market == columns.symbols.index(symbol)
    parts = [column[mine] for column in columns[2:]]
    return Bars(Columns((symbol,), np.zeros(len(parts[0]), np.int64), *parts), bars.interval_ns)


def _made(template: Strategy, values: dict[str, Any]) -> Strategy:
    """A copy with some parameters changed; by the constructor where the class has its own."""
    if type(template).__init__ is Strategy.__init__:
        return retuned(template, **values)
    fields = type(template)._fields
    given = {name: getattr(template, name) for name, field in fields.items() if field.is_param}
    return type(template)(**{**given, **values})


class Runner:
    """Runs combinations of a job; any number of threads may."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self._symbols = job.bars.columns.symbols
        self._histories = [History(job.bars.columns, job.bars.interval_ns)]
        self._course_axis = list(job.space.axes).index(SYMBOL) if SYMBOL in job.space.axes else -1
        if self._course_axis >= 0:
            self._symbols = tuple(str(symbol) for symbol in job.space.axes[SYMBOL])
            self._histories = _each_alone(job.bars, self._symbols)
        self.calendars = calendars_of(self._histories)
        same = all(calendar is self.calendars[0] for calendar in self.calendars)
        self.blocks = blocks_for(len(job.space), len(self.calendars[0].periods)) if same else 0
        self._stages: dict[Shape, Stage] = {}
        self._left = np.bincount(self._courses(0, len(job.space)), minlength=len(self._histories))
        self._lock = threading.Lock()

    def needs(self, first: int, last: int) -> Needs:
        """Indicators that combinations need, without computing one."""
        return needs_of(self.job.strategy, self.job.space, first, last, self.job.strategy_of)

    def prepare(self, needs: Needs) -> None:
        """Make what all threads share, and compile, before any of them begins.

        Raises
        ------
        PairsimError
            Not one combination can begin; that of the first.
        """
        refusals = [self._laid_out(shape, needs, number, 0)[1] for number, shape in enumerate(needs.shapes)]
        if refusals[0] is not None and all(refusals):
            raise refusals[0]

    def check_causality(self, needs: Needs) -> str:
        """One line about all indicators that combinations need.

        Raises
        ------
        InputError
            One of them looks ahead; the message names it and its first such candle.
        """
        doubtful = [indicator for indicator in needs.indicators if not causal_by_construction(indicator)]
        if not doubtful:
            return "causality: indicators are computed candle by candle"
        interval = self.job.bars.interval_ns if self.job.every is None else parse_interval(self.job.every)
        series = self._histories[0].series(0, interval)
        for indicator in doubtful:
            with contextlib.suppress(StrategyError):  # one that raises: its rows will say so
                check_indicator(f"indicator {indicator!r} of {self._symbols[0]}", series, indicator)
        return f"causality: {len(doubtful)} whole-array indicator(s) unchanged on shorter histories"

    def rows(self, first: int, last: int, needs: Needs | None = None) -> Floats:
        """The rows of combinations ``first`` to ``last``, float64[last - first, ROW_WORDS].

        needs : of all combinations, where they are known already.
        """
        part = self.needs(first, last) if needs is None else needs.part(first, last)
        rows = np.full((last - first, ROW_WORDS), np.nan)
        rows[:, X_CODE] = REFUSED
        for number, shape in enumerate(part.shapes):
            at = np.flatnonzero(part.shape_of == number)
            if not len(at):
                continue
            rows[at, X_CODE] = NO_INDICATOR
            with self._lock:
                stage, _ = self._laid_out(shape, part, number, first)
                if stage is None:
                    continue
                jobs = self._jobs(stage, part, at, first)
            computed = jobs[:, J_RECORD + stage.record_words :].all(axis=1)
            rows[at[computed]] = stage.run(jobs[computed])
        self._forget(first, last)
        return rows

    def _forget(self, first: int, last: int) -> None:
        """Let go of the indicators of courses whose last combination has been run."""
        with self._lock:
            done, counts = np.unique(self._courses(first, last), return_counts=True)
            self._left[done] -= counts
            for course in done[self._left[done] == 0].tolist():
                for stage in self._stages.values():
                    stage.forget(course)

    def failure(self, k: int) -> str:
        """What went wrong with a combination, by running it alone: candle, values, traceback."""
        course = self._course(k)
        try:
            plan = self._plan(self.job.strategy_of(k), self._symbols[course])
            self.job.account.prepared(plan, self._histories[course]).run()
        except Exception as error:
            return str(error) if isinstance(error, PairsimError) else f"{type(error).__name__}: {error}"
        return ""

    @property
    def holds_the_interpreter(self) -> bool:
        """Whether the strategy, as its first combination has it, is plain Python."""
        try:
            return not prepare(self.job.strategy_of(0)).compiled
        except StrategyError:
            return False  # a row will say so

    @property
    def candles(self) -> int:
        """Candles of the longest course."""
        return max(len(history.columns.open_time) for history in self._histories)

    @property
    def courses(self) -> int:
        """Histories that combinations trade on, one by one: the symbols, or all there is."""
        return len(self._histories)

    @property
    def candles_computed(self) -> int:
        """Candles over which each indicator is computed, on the longest course."""
        every = self.job.bars.interval_ns if self.job.every is None else parse_interval(self.job.every)
        return self.candles // max(1, every // self.job.bars.interval_ns)

    def calendar(self, k: int) -> Calendar:
        """Times of the history that a combination trades on."""
        return self.calendars[self._course(k)]

    def _courses(self, first: int, last: int) -> NDArray[np.int32]:
        """The course of each combination."""
        axis = self._course_axis
        return self.job.space.positions[first:last, axis] if axis >= 0 else np.zeros(last - first, np.int32)

    def _course(self, k: int) -> int:
        return int(self._courses(k, k + 1)[0])

    def _jobs(self, stage: Stage, part: Needs, at: NDArray[np.int64], first: int) -> Words:
        """The jobs of these combinations of a part, which share a stage."""
        positions = self.job.space.positions[first + at]
        courses = self._courses(first, first + len(part.shape_of))[at]
        which = part.which[at, : len(stage.outputs)]
        jobs = np.empty((len(at), stage.job_words), np.int64)
        jobs[:, J_COURSE] = courses
        warmups = np.array([1, *(indicator.warmup for indicator in part.indicators)])
        jobs[:, J_WARMUP] = warmups[which + 1].max(axis=1, initial=1)
        jobs[:, J_RECORD : J_RECORD + stage.record_words] = self._records(stage, positions, first + at)
        jobs[:, J_RECORD + stage.record_words :] = stage.addresses(courses, which, part.indicators)
        return jobs

    def _records(self, stage: Stage, positions: Positions, numbers: NDArray[np.int64]) -> Words:
        """The record each combination begins with: parameters, and states as they are at first."""
        record = stage.plan.codes[0].record
        records = np.zeros(len(numbers), record)
        ordinary = type(self.job.strategy).__init__ is Strategy.__init__
        strategies = [self.job.strategy] if ordinary else [self.job.strategy_of(k) for k in numbers.tolist()]
        for name in record.names or ():
            records[name] = np.array([getattr(strategy, name) for strategy in strategies])
        if ordinary:
            for k, (name, values) in enumerate(self.job.space.axes.items()):
                if name != SYMBOL:
                    records[name] = np.array(values)[positions[:, k]]
        return records.view(np.int64).reshape(len(numbers), -1)

    def _laid_out(
        self, shape: Shape, part: Needs, number: int, first: int
    ) -> "tuple[Stage | None, PairsimError | None]":
        """Where combinations with these indicators run: they share compiled code. Or why not one of them can begin.

        part : needs of combinations from ``first`` on; ``number`` is that of the shape among them.
        """
        refusal = None
        if shape not in self._stages:
            at = np.flatnonzero(part.shape_of == number)
            for k in at[np.unique(part.which[at], axis=0, return_index=True)[1]].tolist():
                try:
                    self._stages[shape] = self._stage(first + k)
                    break
                except PairsimError as error:  # an indicator of this one raises; another one may do as a pattern
                    refusal = refusal or error
        stage = self._stages.get(shape)
        return stage, None if stage is not None else refusal

    def _stage(self, k: int) -> Stage:
        """The stage of combination ``k`` and all that are like it."""
        plan = self._plan(self.job.strategy_of(k), self._symbols[0])
        declared = {instrument.symbol: instrument for instrument in self.job.instruments}
        instruments = [declared.get(symbol) for symbol in self._symbols]
        return Stage(plan, self._histories, self.calendars, self.job.account, instruments, self.blocks)

    def _plan(self, strategy: Strategy, symbol: str) -> Plan:
        symbols = (symbol,) if self._course_axis >= 0 else self._symbols
        traders = traders_of(strategy, symbols, self.job.every)
        return make_plan(traders, self.job.bars.interval_ns, self.job.instruments, markets=symbols)


def _each_alone(bars: Bars, symbols: Sequence[str]) -> list[History]:
    """A history for each of these markets; those with the same times share them."""
    places = {symbol: k for k, symbol in enumerate(bars.columns.symbols)}
    return [bars.history.alone(places[symbol]) for symbol in symbols]
