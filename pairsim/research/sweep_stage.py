"""One strategy class on its courses, ready to run any combination of its parameters: from jobs to rows.

Rule: a stage is made once and then only read, so any number of threads run jobs on it, each at a place of its own.
Indicators are computed once, whoever needs them.
"""

import functools
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pairsim.engine.plan import Plan
from pairsim.errors import PairsimError
from pairsim.indicators import Indicator
from pairsim.market.instrument import Instrument
from pairsim.orders.limits import write_limits
from pairsim.orders.matching import EVENT
from pairsim.portfolio.layout import init_portfolio
from pairsim.research.costs import Account
from pairsim.research.history import History, Series
from pairsim.research.kernel_code import c_function, python_callable
from pairsim.research.ledger import TRIP
from pairsim.research.loop_layout import (
    DONE,
    R_EQUITY,
    R_OUTPUT_ADDRESSES,
    R_ROWS,
    SERIES_WORDS,
    X_COMPLETE,
    X_COUNT,
    X_OPEN,
    X_VOLUME,
)
from pairsim.research.simulate import Workplace
from pairsim.research.statistics import day_ends, days_a_year
from pairsim.research.summary import TALLY_WORDS
from pairsim.research.sweep_kernel import sweep_alone, sweep_together
from pairsim.research.sweep_layout import (
    COURSE_WORDS,
    J_RECORD,
    K_CANDLES,
    K_CLOSE,
    K_COUNT,
    K_DAY_ENDS,
    K_DAYS,
    K_DECIDED,
    K_FROM,
    K_MARKET,
    K_MARKS,
    K_OPEN,
    K_PERIOD_ENDS,
    K_PERIODS,
    K_PORTFOLIO,
    K_SERIES,
    K_SLICE_COUNT,
    K_SLICES,
    K_STATE,
    K_TIMES,
    K_VOLUME,
    K_YEAR,
    ROW_WORDS,
    SWEEP_WORDS,
    W_BLOCKS,
    W_COLUMNS,
    W_COURSES,
    W_HELD,
    W_JOB_WORDS,
    W_JOBS,
    W_LAST,
    W_NEXT,
    W_PAIRS,
    W_PORTFOLIO_WORDS,
    W_RECORD_WORDS,
    W_RETURNS,
    W_ROWS,
    W_RUN,
    W_STATE_WORDS,
    W_TALLY,
    W_TRIPS,
)

Words = NDArray[np.int64]
Floats = NDArray[np.float64]

_LOG_BYTES = 96 << 10  # of events, and of orders: what is written again and again stays in the second cache
_FEWEST_PERIODS, _EQUAL_PERIODS = 64, 256


@dataclass(frozen=True)
class Calendar:
    """What statistics need to know of the times of the slices, the same for all that have the same.

    slices : open times. ends : last slice of each day; year : days of one. periods : last slice of each period whose
    returns are judged: days where there are at least 64 of them, else 256 equal stretches (fewer candles: each one).
    """

    slices: Words
    ends: Words
    year: int
    periods: Words

    @classmethod
    def of(cls, slices: Words, base_ns: int) -> "Calendar":
        days, ends = day_ends(slices + base_ns)
        n = min(_EQUAL_PERIODS, len(slices))
        equal = (np.arange(1, n + 1) * len(slices)) // n - 1
        return cls(slices, ends, days_a_year(days), ends if len(ends) >= _FEWEST_PERIODS else equal)

    @property
    def daily(self) -> bool:
        """Whether the periods are days."""
        return self.periods is self.ends


def calendars_of(histories: Sequence[History]) -> list[Calendar]:
    """One for each; histories with the same times share it."""
    made: list[Calendar] = []
    for history in histories:
        slices = history.slices
        same = bool(made) and (made[-1].slices is slices or np.array_equal(made[-1].slices, slices))
        made.append(made[-1] if same else Calendar.of(slices, history.base_ns))
    return made


class Stage:
    """A strategy on its courses.

    Parameters
    ----------
    plan : of the traders of one combination, whose class, layout of indicators and markets all of them share.
    histories : one for each course; more than one only where the plan has a single market.
    calendars, instruments : of each course (None: undeclared). blocks : into how many blocks its periods are cut.
    """

    def __init__(
        self,
        plan: Plan,
        histories: Sequence[History],
        calendars: Sequence[Calendar],
        account: Account,
        instruments: Sequence[Instrument | None],
        blocks: int,
    ) -> None:
        self.plan, self.histories, self._calendars, self.blocks = plan, histories, calendars, blocks
        self.prepared = account.prepared(plan, histories[0])
        self.record_words = plan.codes[0].words
        self.columns = sum(code.outputs * len(t.markets) for code, t in zip(plan.codes, plan.traders, strict=True))
        self.series = [[series for row in plan.rows for series in history.series_of(row)] for history in histories]
        alone = self.prepared.alone and all(series.one_by_one for each in self.series for series in each)
        self.kernel = _kernel(sweep_alone if alone else sweep_together)
        self._kept: list[np.ndarray] = []
        self.outputs = [len(indicator.fields) for _, indicator in plan.codes[0].indicators]
        undeclared = self.prepared.portfolio if instruments[0] is None else self._opening(Instrument("?"), account)
        opening = [undeclared if each is None else self._opening(each, account) for each in instruments]
        if len(histories) == 1:
            opening = [self.prepared.portfolio]  # of all its markets
        self.courses = np.zeros((len(histories), COURSE_WORDS), np.int64)
        self._tables = np.zeros((len(histories), SERIES_WORDS), np.int64)
        self._tables_at = _at(self._tables)
        places = {id(words): self._keep(words) for words in opening}
        for k, words in enumerate(opening):
            self._lay_out(k, self.courses[k], places[id(words)])
        self._places = threading.local()

    @property
    def job_words(self) -> int:
        """Words of a job."""
        return J_RECORD + self.record_words + self.columns

    def addresses(self, courses: NDArray[np.int32], which: NDArray[np.int32], indicators: Sequence[Indicator]) -> Words:
        """Addresses of the columns of each job, int64[jobs, columns]; what is not known yet is computed, once. 0 where
        an indicator raises.

        courses : of each job. which, indicators : see ``Needs``.
        """
        found = np.empty((len(courses), self.columns), np.int64)
        column = 0
        for s in range(len(self.series[0])):
            for m, outputs in enumerate(self.outputs):
                pairs, inverse = np.unique(courses * np.int64(len(indicators)) + which[:, m], return_inverse=True)
                wanted = (divmod(pair, len(indicators)) for pair in pairs.tolist())
                nowhere = (0,) * outputs
                places = np.array([_places(self.series[c][s], indicators[k], nowhere) for c, k in wanted])
                found[:, column : column + outputs] = places[inverse]
                column += outputs
        return found

    def forget(self, course: int) -> None:
        """Let go of the indicators of a course."""
        for series in self.series[course]:
            series.forget()

    def run(self, jobs: Words) -> Floats:
        """The rows of jobs, float64[n, ROW_WORDS]; without the GIL but for plain-Python strategies."""
        place: Place | None = getattr(self._places, "place", None)
        if place is None:
            place = self._places.place = Place(self)
        return place.run(jobs)

    # -- courses -----------------------------------------------------------------------------------------------------

    def _lay_out(self, k: int, words: Words, opening: int) -> None:
        """Write the words of a course; ``opening`` is where those of its portfolio stand."""
        history, first = self.histories[k], self.series[k][0]
        columns, calendar = history.columns, self._calendars[k]
        if k > 0 and calendar is self._calendars[k - 1] and first.opened is self.series[k - 1][0].opened:
            words[:] = self.courses[k - 1]  # the next market at the same times
        else:
            words[K_TIMES], words[K_CANDLES] = self._keep(columns.open_time), len(columns.open_time)
            words[K_MARKET] = self._keep(columns.market)
            words[K_DECIDED], words[K_COUNT], words[K_STATE] = (
                self._keep(first.decided_at),
                len(first),
                self._keep(self.prepared.state),
            )
            words[K_SLICES], words[K_SLICE_COUNT] = self._keep(calendar.slices), len(calendar.slices)
            words[K_DAY_ENDS], words[K_DAYS], words[K_YEAR] = (
                self._keep(calendar.ends),
                len(calendar.ends),
                calendar.year,
            )
            words[K_PERIOD_ENDS], words[K_PERIODS] = self._keep(calendar.periods), len(calendar.periods)
            words[K_FROM] = int(calendar.slices[0]) - history.base_ns
        words[K_PORTFOLIO] = opening
        if k == 0 or first.complete_at is not None:
            prices = (columns.open, columns.high, columns.low, columns.close, columns.volume)
            words[K_OPEN : K_VOLUME + 1] = [self._keep(np.ascontiguousarray(price, np.float64)) for price in prices]
            words[K_SERIES] = self._keep(self.prepared.series_table if k == 0 else self._described(first))
            words[K_MARKS] = self._keep(first.marks)
        else:
            table = self._tables[k]
            words[K_OPEN : K_VOLUME + 1] = table[X_OPEN : X_VOLUME + 1] = first.addresses
            table[X_COUNT] = len(first)
            words[K_SERIES], words[K_MARKS] = self._tables_at + 8 * SERIES_WORDS * k, words[K_CLOSE]

    def _described(self, series: Series) -> Words:
        words = np.zeros(SERIES_WORDS, np.int64)
        words[X_COMPLETE] = 0 if series.complete_at is None else self._keep(series.complete_at)
        words[X_OPEN : X_VOLUME + 1] = series.addresses
        words[X_COUNT] = len(series)
        return words

    def _opening(self, instrument: Instrument, account: Account) -> Words:
        words = np.zeros(len(self.prepared.portfolio), np.int64)
        init_portfolio(words, 0, (instrument,), self.plan.pairs, account.cash, account.broker.costs)
        write_limits(words, 0, account.risk)
        return words

    def _keep(self, array: np.ndarray) -> int:
        self._kept.append(array)
        return int(array.ctypes.data)


def _places(series: Series, indicator: Indicator, nowhere: tuple[int, ...]) -> tuple[int, ...]:
    """Addresses of the columns of an indicator; ``nowhere`` if its user's code raises."""
    try:
        return series.outputs_at(indicator)
    except PairsimError:
        return nowhere


class Place:
    """What one thread needs to run jobs of a stage."""

    def __init__(self, stage: Stage) -> None:
        prepared, pairs = stage.prepared, len(stage.plan.pairs)
        self._kernel, self._stage = stage.kernel, stage
        self._work = Workplace(prepared, max(_LOG_BYTES // EVENT.itemsize, 8 * (pairs + 8)))
        arguments = self._work.arguments
        self._rows, self._addresses = prepared.rows.copy(), np.zeros(stage.columns + 1, np.int64)
        self._equity = np.empty(int(stage.courses[:, K_SLICE_COUNT].max()))
        arguments[R_ROWS], arguments[R_OUTPUT_ADDRESSES] = _at(self._rows), _at(self._addresses)
        arguments[R_EQUITY] = _at(self._equity)
        self._tally, self._held = np.zeros(TALLY_WORDS + 1, np.int64), np.zeros(pairs, np.int64)
        self._trips = np.zeros(pairs, TRIP)
        self._returns = np.empty(int(stage.courses[:, [K_DAYS, K_PERIODS]].max()))
        w = self._words = np.zeros(SWEEP_WORDS, np.int64)
        w[W_RUN], w[W_COURSES], w[W_JOB_WORDS] = _at(arguments), _at(stage.courses), stage.job_words
        w[W_RECORD_WORDS], w[W_STATE_WORDS] = stage.record_words, len(prepared.state)
        w[W_PORTFOLIO_WORDS], w[W_COLUMNS], w[W_PAIRS] = len(prepared.portfolio), stage.columns, pairs
        w[W_TALLY], w[W_HELD], w[W_TRIPS] = _at(self._tally), _at(self._held), _at(self._trips)
        w[W_RETURNS], w[W_BLOCKS] = _at(self._returns), stage.blocks

    def run(self, jobs: Words) -> Floats:
        """The rows of jobs."""
        rows, w = np.empty((len(jobs), ROW_WORDS)), self._words
        w[W_JOBS], w[W_NEXT], w[W_LAST], w[W_ROWS] = _at(jobs), 0, len(jobs), _at(rows)
        while self._kernel(_at(w)) != DONE:
            self._work.grow()
        return rows


@functools.cache
def _kernel(kernel: Callable[[int], int]) -> Callable[[int], int]:
    return python_callable(c_function(kernel))


def _at(array: np.ndarray) -> int:
    return int(array.ctypes.data)
