"""From traders and a history to the arrays the plain loop takes, and back: one run, nothing judged yet."""

import contextlib
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pairsim.brokers.sim import SimBroker
from pairsim.engine.evaluation import BAD_MARKET, PROBLEM, RAISED
from pairsim.engine.layout import (
    B_EVALUATED,
    B_MARKET,
    B_SKIPPED,
    BM_CLOSED,
    T_B,
    T_B_WORDS,
    T_INTERVAL,
    T_MARKET,
    T_MARKETS,
    record_offset,
)
from pairsim.engine.plan import Plan
from pairsim.errors import StrategyError
from pairsim.market.candle import Columns
from pairsim.market.interval import format_time
from pairsim.orders.checks import ACTIVE, reservation_words
from pairsim.orders.matching import EVENT, ID_STEP, grow_book, new_book
from pairsim.orders.order import MAX_MARKETS
from pairsim.orders.sizing import PROBLEMS
from pairsim.portfolio.layout import init_portfolio, portfolio_words
from pairsim.research.history import History, Series
from pairsim.research.kept_memory import empty
from pairsim.research.kernel_code import c_function, python_callable
from pairsim.research.lone_loop import run_alone
from pairsim.research.loop import run
from pairsim.research.loop_layout import (
    C_CODE,
    C_EVENTS,
    C_NEXT_ID,
    C_ORDERS,
    C_SLICE,
    C_TRADER,
    CURSOR_WORDS,
    DONE,
    LOG_FULL,
    ORDER_LOG,
    R_ADDRESSES,
    R_BASE_NS,
    R_BLOCK,
    R_CANDLES,
    R_CURSOR,
    R_DUE,
    R_EQUITY,
    R_EVENTS,
    R_EVENTS_ROOM,
    R_JITTER,
    R_LATENCY,
    R_LINKS,
    R_LOG,
    R_LOG_ROOM,
    R_MARKET,
    R_MARKETS,
    R_OPEN,
    R_ORDERS,
    R_ORDERS_ROOM,
    R_OUTPUT_ADDRESSES,
    R_OUTPUTS_AT,
    R_PARTICIPATION,
    R_PORTFOLIO,
    R_ROWS,
    R_SCAN,
    R_SCRATCH,
    R_SEED,
    R_SEEN,
    R_SERIES,
    R_STATE,
    R_SUBSCRIBERS,
    R_SUBSCRIPTION,
    R_TABLE,
    R_TABLE_WORDS,
    R_TIMES,
    R_TRADERS,
    R_TRADING,
    R_VOLUME,
    R_WIDEST,
    RUN_WORDS,
    SCRATCH_OUT,
    SCRATCH_VIEW,
    SERIES_WORDS,
    X_CLOSE,
    X_COMPLETE,
    X_COUNT,
    X_HIGH,
    X_LOW,
    X_OPEN,
    X_VOLUME,
    scratch_words,
    widest,
)
from pairsim.strategies import scan_entry as block_of
from pairsim.strategies.context import CANDLE_FIELDS, POSITION_FIELDS, VIEW_MARKET
from pairsim.strategies.signal import SIGNAL

_MATCHED_LOG: Final = 16  # room for an order in so many candles at first; what is not used is never touched
_SMALLEST_LOG: Final = 1 << 12
ONLY_COMPILED: Final = "only the compiled method fails here: an integer leaves the range of 64 bits; use floats"


@dataclass(frozen=True)
class Simulation:
    """What a run left.

    Attributes
    ----------
    orders, events : ORDER_LOG and EVENT rows, in the order they happened.
    slices, equity : open time and equity of each slice.
    portfolio : the final words. evaluations, skipped : counts of each trader.
    """

    plan: Plan
    orders: np.ndarray
    events: np.ndarray
    slices: NDArray[np.int64]
    equity: NDArray[np.float64]
    portfolio: NDArray[np.int64]
    evaluations: tuple[int, ...] = ()
    skipped: tuple[int, ...] = ()

    @functools.cached_property
    def times(self) -> NDArray[np.int64]:
        """Close time of each slice."""
        return self.slices + self.plan.base_ns


def simulate(plan: Plan, columns: Columns, broker: SimBroker, cash: float) -> Simulation:
    """Trade a history: `Prepared` and run once.

    Parameters
    ----------
    plan : traders laid out, its markets in the order of ``columns.symbols``.
    columns : candles sorted by (open_time, market), one interval for all.

    Raises
    ------
    StrategyError
        A strategy raised or returned what cannot be traded; the message names trader, candle and values.
    """
    return Prepared(plan, History(columns, plan.base_ns), broker, cash).run()


class Prepared:
    """A simulation ready to run, as often as one likes: each run begins with the first state and the opening cash.

    Parameters
    ----------
    plan : traders laid out, its markets in the order of the history's.
    history : shared by as many simulations as there are; indicators over it are computed once.
    """

    def __init__(self, plan: Plan, history: History, broker: SimBroker, cash: float) -> None:
        self.plan, self.history, self.broker, self.cash = plan, history, broker, cash
        self.portfolio = np.zeros(portfolio_words(len(plan.instruments), len(plan.pairs)), np.int64)
        init_portfolio(self.portfolio, 0, plan.instruments, plan.pairs, cash, broker.costs)
        self._participation = np.array([broker.participation or 0.0])
        self._subscribe()
        self._lay_out()
        self._scan, self.block = self._own_loop()

    def run(self) -> Simulation:
        """Trade from the first candle to the last.

        Raises
        ------
        StrategyError : see `simulate`.
        """
        plan, columns = self.plan, self.history.columns
        room = max(_SMALLEST_LOG, 8 * len(plan.traders), len(columns.open_time) // _MATCHED_LOG)
        place = Workplace(self, room)
        trade = trading_loop(self.alone)
        while (code := trade(_at(place.arguments))) != DONE:
            if code != LOG_FULL:
                raise StrategyError(self._failure(place.cursor, place.scratch, place.state))
            place.grow()
        cursor, state = place.cursor, place.state
        told = [(int(state[row[T_B] + B_EVALUATED]), int(state[row[T_B] + B_SKIPPED])) for row in self.rows]
        evaluations, skipped = zip(*told, strict=True)
        orders, events = place.log[: cursor[C_ORDERS]], place.events[: cursor[C_EVENTS]]
        return Simulation(plan, orders, events, self.history.slices, place.equity, place.mem, evaluations, skipped)

    @property
    def alone(self) -> bool:
        """Whether this is one trader on one market whose strategy has a loop of its own."""
        return self._scan != 0

    def arguments(self) -> NDArray[np.int64]:
        """The loop's block, without what a run writes to."""
        columns, broker = self.history.columns, self.broker
        a = np.zeros(RUN_WORDS, np.int64)
        a[R_TIMES], a[R_MARKET], a[R_CANDLES] = _at(columns.open_time), _at(columns.market), len(columns.open_time)
        a[R_OPEN : R_VOLUME + 1] = [_at(price) for price in self._prices]
        a[R_SERIES], a[R_SUBSCRIBERS], a[R_SUBSCRIPTION] = (
            _at(table) for table in (self.series_table, self._subscribers, self._subscription)
        )
        a[R_ADDRESSES], a[R_TRADERS] = _at(self._addresses), len(self._addresses)
        a[R_OUTPUT_ADDRESSES], a[R_OUTPUTS_AT] = _at(self._output_addresses), _at(self._outputs_at)
        a[R_ROWS], a[R_WIDEST], a[R_MARKETS], a[R_SCAN] = (
            _at(self.rows),
            widest(self.rows),
            len(columns.symbols),
            self._scan,
        )
        a[R_BASE_NS], a[R_TRADING], a[R_PARTICIPATION] = self.plan.base_ns, ACTIVE, _at(self._participation)
        a[R_LATENCY], a[R_JITTER], a[R_SEED] = broker.latency_ns, broker.jitter_ns, broker.seed
        return a

    # -- arrays of the loop ------------------------------------------------------------------------------------------

    def _subscribe(self) -> None:
        """Which traders look at which market's candles, and the series they decide on."""
        columns = self.history.columns
        prices = (columns.open, columns.high, columns.low, columns.close, columns.volume)
        self._prices = [np.ascontiguousarray(price, dtype=np.float64) for price in prices]
        keys: dict[tuple[int, int], int] = {}
        subscription: list[list[tuple[int, int, int]]] = [[] for _ in self.plan.instruments]
        for t, row in enumerate(self.plan.rows):
            for k in range(int(row[T_MARKETS])):
                market, interval = int(row[T_MARKET + k]), int(row[T_INTERVAL])
                x = keys.setdefault((market, interval), len(keys))
                subscription[market].append((t, k, x))
        self._kept: list[np.ndarray] = []  # whose addresses stand in the tables
        self.series_table = np.array([self._described(self.history.series(*key)) for key in keys], np.int64)
        self.series_table = self.series_table.reshape(-1, SERIES_WORDS)
        self._subscribers = np.concatenate([[0], np.cumsum([len(s) for s in subscription])]).astype(np.int64)
        self._subscription = np.array([x for s in subscription for x in s], np.int64).reshape(-1, 3)

    def _described(self, series: Series) -> list[int]:
        words = [0] * SERIES_WORDS
        if series.complete_at is not None:
            words[X_COMPLETE] = self._address(series.complete_at)
        for word, price in zip((X_OPEN, X_HIGH, X_LOW, X_CLOSE, X_VOLUME), series.prices, strict=True):
            words[word] = self._address(price)
        words[X_COUNT] = len(series)
        return words

    def _address(self, array: np.ndarray) -> int:
        self._kept.append(array)
        return int(array.ctypes.data)

    def _lay_out(self) -> None:
        """Slots, records and indicator columns of the traders."""
        plan = self.plan
        self.rows = plan.rows.copy()
        self._addresses = np.array([code.address() for code in plan.codes], np.int64)
        self._outputs_at = np.zeros((len(plan.traders), MAX_MARKETS), np.int64)
        columns: list[int] = []
        words = 0
        for t, (row, code) in enumerate(zip(self.rows, plan.codes, strict=True)):
            row[T_B] = words
            words += int(row[T_B_WORDS])
            for k, series in enumerate(self.history.series_of(row)):
                self._outputs_at[t, k] = len(columns)
                for _, indicator in code.indicators:
                    columns += [self._address(column) for column in series.outputs(indicator)]
        self._output_addresses = np.array([*columns, 0], np.int64)
        self.state = np.zeros(words, np.int64)
        for row, code in zip(self.rows, plan.codes, strict=True):
            start = record_place(row)
            self.state[start : start + code.words] = code.initial_record()

    def _own_loop(self) -> tuple[int, NDArray[np.int64]]:
        """Address and arguments of the strategy's own loop over quiet candles, where it may be used."""
        plan, row = self.plan, self.rows[0]
        block = np.zeros(block_of.OUTPUTS + plan.codes[0].outputs, np.int64)
        if len(plan.traders) > 1 or len(plan.instruments) > 1 or not hasattr(plan.codes[0], "scan_address"):
            return 0, block
        series = self.history.series(0, int(row[T_INTERVAL]))
        scan = plan.codes[0].scan_address() if series.one_by_one else 0
        block[block_of.TO], block[block_of.TIMES], block[block_of.BASE_NS] = (
            len(series),
            self._address(series.decided_at),
            plan.base_ns,
        )
        block[block_of.MARKS] = self._address(series.marks)
        block[block_of.OPEN : block_of.OUTPUTS] = self.series_table[0, X_OPEN : X_VOLUME + 1]
        block[block_of.OUTPUTS :] = self._output_addresses[: plan.codes[0].outputs]
        return scan, block

    # -- failures ----------------------------------------------------------------------------------------------------

    def _failure(self, cursor: NDArray[np.int64], scratch: NDArray[np.int64], state: NDArray[np.int64]) -> str:
        t, s, code = int(cursor[C_TRADER]), int(cursor[C_SLICE]), int(cursor[C_CODE])
        trader = self.plan.traders[t]
        where = f"trader {trader.name!r} failed at the candle of {format_time(self.history.slices[s])}"
        values = f"with {self._values(t, scratch, state)}"
        if code == BAD_MARKET:
            most = len(trader.markets) - 1
            return (
                f"{where}: it returned a signal for a market it does not have; market= is from 0 to {most} ({values})"
            )
        if code == RAISED:
            return f"{where}, {values}: {self._raised(t)}"
        signal = SIGNAL.names or ()
        words = scratch[SCRATCH_OUT : SCRATCH_OUT + len(signal)].view(SIGNAL)[0]
        told = PROBLEMS[PROBLEM - code].format(**{name: words[name].item() for name in signal})
        return f"{where}: it returned a signal that cannot be traded: {told} ({values})"

    def _values(self, t: int, scratch: NDArray[np.int64], state: NDArray[np.int64]) -> str:
        """What the strategy was shown of its first market."""
        row, view = self.rows[t], scratch[SCRATCH_VIEW:].view(np.float64)
        shown = {name: view[VIEW_MARKET + k] for k, name in enumerate((*CANDLE_FIELDS, *POSITION_FIELDS))}
        closed = int(state[row[T_B] + B_MARKET + BM_CLOSED])
        series = self.history.series_of(row)[0]
        for name, indicator in self.plan.codes[t].indicators:
            for field, column in zip(indicator.fields, series.outputs(indicator), strict=True):
                shown[name if len(indicator.fields) == 1 else f"{name}.{field}"] = column[closed - 1]
        return ", ".join(f"{name} {float(value):g}" for name, value in shown.items())

    def _raised(self, t: int) -> str:
        """The traceback: of a compiled strategy that of its plain twin, which trades the same up to this candle."""
        code = self.plan.codes[t]
        if code.compiled and self._addresses[t] != code.plain().address():
            twin = Prepared(self.plan, self.history, self.broker, self.cash)
            twin.portfolio = self.portfolio
            twin._addresses[t], twin._scan = code.plain().address(), 0
            with contextlib.suppress(StrategyError):
                twin.run()
        return code.last_error() or ONLY_COMPILED


class Workplace:
    """What a run writes to, and the block of arguments that says where; for one run at a time.

    room : orders, and events, that fit into the logs at first.
    """

    def __init__(self, prepared: Prepared, room: int) -> None:
        plan, rows = prepared.plan, prepared.rows
        self.mem, self.state, self.block = prepared.portfolio.copy(), prepared.state.copy(), prepared.block.copy()
        self.scratch = np.zeros(scratch_words(rows), np.int64)
        self.block[block_of.SELF] = _at(self.state) + 8 * record_place(rows[0])
        self.block[block_of.VIEW] = _at(self.scratch[SCRATCH_VIEW:])
        self.block[block_of.OUT] = _at(self.scratch[SCRATCH_OUT:])
        self.orders, self.links = new_book(64 + 8 * len(plan.traders), len(plan.instruments))
        self.events, self.log = empty((room,), EVENT), empty((room,), ORDER_LOG)
        self.equity = empty((len(prepared.history.slices),))
        self.cursor = np.zeros(CURSOR_WORDS, np.int64)
        self.cursor[C_NEXT_ID], self.cursor[C_TRADER] = ID_STEP, -1
        self.table = np.zeros(reservation_words(len(plan.pairs) + 64), np.int64)
        self.seen, self.due = np.zeros(len(plan.instruments), np.int64), np.zeros(len(plan.traders), np.int64)
        self.arguments = a = prepared.arguments()
        a[R_STATE], a[R_PORTFOLIO], a[R_SCRATCH], a[R_BLOCK] = map(
            _at, (self.state, self.mem, self.scratch, self.block)
        )
        a[R_EQUITY], a[R_CURSOR], a[R_LINKS], a[R_SEEN], a[R_DUE] = map(
            _at, (self.equity, self.cursor, self.links, self.seen, self.due)
        )
        a[R_TABLE], a[R_TABLE_WORDS] = _at(self.table), len(self.table)
        self._point()

    def grow(self) -> None:
        """Twice the room in book and logs; what stands there is kept."""
        self.events = _doubled(self.events, int(self.cursor[C_EVENTS]))
        self.log = _doubled(self.log, int(self.cursor[C_ORDERS]))
        self.orders = grow_book(self.orders, self.links)
        self._point()

    def _point(self) -> None:
        a = self.arguments
        a[R_ORDERS], a[R_ORDERS_ROOM] = _at(self.orders), len(self.orders)
        a[R_EVENTS], a[R_EVENTS_ROOM] = _at(self.events), len(self.events)
        a[R_LOG], a[R_LOG_ROOM] = _at(self.log), len(self.log)


def record_place(row: NDArray[np.int64]) -> int:
    """Word of the states at which the record of a trader's strategy begins."""
    return int(row[T_B]) + record_offset(int(row[T_MARKETS]))


@functools.cache
def trading_loop(alone: bool) -> Callable[[int], int]:
    """The loop as a function of the address of its block of arguments; it runs without the GIL.

    alone : the form for one trader on one market whose strategy has a loop of its own.
    """
    return python_callable(c_function(run_alone if alone else run))


def _at(array: np.ndarray) -> int:
    return int(array.ctypes.data)


def _doubled(log: np.ndarray, used: int) -> np.ndarray:
    bigger = empty((2 * len(log),), log.dtype)
    bigger[:used] = log[:used]
    return bigger
