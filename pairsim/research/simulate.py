"""From traders and columns to the arrays the plain loop takes, and back: one run over history, nothing judged yet."""

from dataclasses import dataclass

import numpy as np

from pairsim.brokers.sim import SimBroker
from pairsim.engine.evaluation import BAD_MARKET, PROBLEM
from pairsim.engine.layout import T_B, T_B_WORDS, T_INTERVAL, T_MARKET, T_MARKETS, T_OUTPUTS, record_offset
from pairsim.engine.plan import Plan
from pairsim.errors import StrategyError
from pairsim.market.candle import Columns
from pairsim.market.resample import resample
from pairsim.orders.checks import ACTIVE, reservation_words
from pairsim.orders.matching import END_OF_DATA, EVENT, EXPIRED, ID_STEP, end_orders, grow_book, new_book
from pairsim.portfolio.layout import init_portfolio, portfolio_words
from pairsim.research.loop import C_CODE, C_EVENTS, C_NEXT_ID, C_ORDERS, C_SLICE, C_TRADER, CURSOR_WORDS, DONE, LOG_FULL, ORDER_LOG, run_slices, scratch_words


@dataclass(frozen=True)
class Simulation:
    """What a run left: one row an order, one an event, equity at each close, the final portfolio words."""

    plan: Plan
    orders: np.ndarray
    events: np.ndarray
    times: np.ndarray
    equity: np.ndarray
    portfolio: np.ndarray


def simulate(plan: Plan, columns: Columns, broker: SimBroker, cash: float) -> Simulation:
    """Trade a history.

    Parameters
    ----------
    plan : traders laid out, its markets in the order of ``columns.symbols``.
    columns : candles sorted by (open_time, market), one interval for all.

    Raises
    ------
    StrategyError
        A strategy raised or returned what cannot be traded; the message names trader, candle and values.
    """
    words = portfolio_words(len(plan.instruments), len(plan.pairs))
    mem = np.zeros(words, np.int64)
    init_portfolio(mem, 0, plan.instruments, plan.pairs, cash, broker.costs)
    history = _History(plan, columns)
    orders, links = new_book(64 + 8 * len(plan.traders), len(plan.instruments))
    events, log = np.zeros(1 << 12, EVENT), np.zeros(max(1 << 12, 8 * len(plan.traders)), ORDER_LOG)
    equity = np.empty(len(history.bounds) - 1)
    cursor = np.zeros(CURSOR_WORDS, np.int64)
    cursor[C_NEXT_ID], cursor[C_TRADER] = ID_STEP, -1
    delays = np.array([broker.latency_ns, broker.jitter_ns, broker.seed], np.int64)
    scratch = np.zeros(scratch_words(plan.rows), np.int64)
    table = np.zeros(reservation_words(len(plan.pairs) + 64), np.int64)
    while True:
        code = run_slices(
            history.bounds, history.market, history.position, history.times, history.candles, plan.base_ns, history.subscribers,
            history.subscription, history.closed_of, history.closed_at, (history.series_start, history.series_candles), history.rows,
            history.addresses, history.state, history.state.view(np.float64), history.values, history.values_at, mem, mem.view(np.float64), 0,
            table, orders, links, delays, broker.participation or 0.0, ACTIVE, events, log, equity, cursor, scratch,
        )  # fmt: skip
        if code == DONE:
            break
        if code != LOG_FULL:
            raise StrategyError(_failure(plan, history, cursor))
        events, log = _doubled(events, int(cursor[C_EVENTS])), _doubled(log, int(cursor[C_ORDERS]))
        orders = grow_book(orders, links)
    events = _doubled(events, int(cursor[C_EVENTS]), int(links[1]) + 1)
    end = int(history.times.max()) + plan.base_ns if len(history.times) else 0
    count = end_orders(orders, links, len(plan.instruments), EXPIRED, END_OF_DATA, end, -1, events, int(cursor[C_EVENTS]))
    times = history.slice_times + plan.base_ns
    return Simulation(plan, log[: cursor[C_ORDERS]], events[:count], times, equity, mem)


def _doubled(log: np.ndarray, used: int, more: int = 0) -> np.ndarray:
    bigger = np.empty(max(2 * len(log), used + more) if more == 0 else used + more, log.dtype)
    bigger[:used] = log[:used]
    return bigger


class _History:
    """The loop's arrays: candles market by market, slices in time, resampled series, indicator matrices."""

    def __init__(self, plan: Plan, columns: Columns) -> None:
        n, markets = len(columns.open_time), len(plan.instruments)
        if markets == 1:
            self.position = np.arange(n)
            self.times = columns.open_time
        else:
            order = np.argsort(columns.market, kind="stable")
            self.position = np.empty(n, np.int64)
            self.position[order] = np.arange(n)
            self.times = columns.open_time[order]
        self.candles = np.empty((n, 5))
        for w, column in enumerate((columns.open, columns.high, columns.low, columns.close, columns.volume)):
            self.candles[:, w] = column if markets == 1 else column[order]
        self.market = columns.market
        changes = np.flatnonzero(np.diff(columns.open_time)) + 1 if n else np.zeros(0, np.int64)
        self.bounds = np.concatenate([[0], changes, [n]]).astype(np.int64) if n else np.zeros(1, np.int64)
        self.slice_times = columns.open_time[self.bounds[:-1]]
        starts = np.searchsorted(columns.market[order], np.arange(markets + 1)) if markets > 1 else np.array([0, n])
        self._add_series(plan, starts)
        self._add_traders(plan)

    def _add_series(self, plan: Plan, starts: np.ndarray) -> None:
        """Each (market, interval) that a trader uses: how many candles have closed after each base candle, and which."""
        keys = sorted({(int(r[T_MARKET + k]), int(r[T_INTERVAL])) for r in plan.rows for k in range(int(r[T_MARKETS]))})
        self.series = {key: i for i, key in enumerate(keys)}
        self.series_columns: list[list[np.ndarray]] = []
        closed_of, closed_at, resampled, series_start = [], [np.zeros(0, np.int64)], [np.zeros((0, 5))], []
        at = rows = 0
        for m, interval in keys:
            lo, hi = int(starts[m]), int(starts[m + 1])
            base = [np.ascontiguousarray(self.candles[lo:hi, w]) for w in range(5)]
            series_start.append(rows)
            if interval == plan.base_ns:
                closed_of.append(-1)
                self.series_columns.append(base)
                continue
            counts, candles = closed_series(self.times[lo:hi], base, interval, plan.base_ns)
            closed_of.append(at)
            closed_at.append(counts)
            resampled.append(candles)
            self.series_columns.append([np.ascontiguousarray(candles[:, w]) for w in range(5)])
            at, rows = at + len(counts), rows + len(candles)
        self.closed_of, self.closed_at = np.array(closed_of, np.int64), np.concatenate(closed_at)
        self.series_start, self.series_candles = np.array(series_start, np.int64), np.concatenate(resampled)
        subscription: list[list[tuple[int, int, int, int]]] = [[] for _ in plan.instruments]
        for t, r in enumerate(plan.rows):
            for k in range(int(r[T_MARKETS])):
                m = int(r[T_MARKET + k])
                subscription[m].append((t, k, self.series[m, int(r[T_INTERVAL])], int(starts[m])))
        self.subscribers = np.concatenate([[0], np.cumsum([len(s) for s in subscription])]).astype(np.int64)
        self.subscription = np.array([x for s in subscription for x in s], np.int64).reshape(-1, 4)

    def _add_traders(self, plan: Plan) -> None:
        self.rows = plan.rows.copy()
        self.addresses = np.array([c.address() for c in plan.codes], np.int64)
        at = 0
        blocks, values_at = [], np.zeros((len(plan.traders), 4), np.int64)
        words = 0
        for t, (row, code) in enumerate(zip(self.rows, plan.codes, strict=True)):
            row[T_B] = words
            words += int(row[T_B_WORDS])
            for k in range(int(row[T_MARKETS])):
                block = indicator_matrix(code.indicators, int(row[T_OUTPUTS]), self.series_columns[self.series[int(row[T_MARKET + k]), int(row[T_INTERVAL])]])
                values_at[t, k] = at
                blocks.append(block)
                at += len(block)
        self.values = blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
        self.values_at = values_at
        self.state = np.zeros(words, np.int64)
        for row, code in zip(self.rows, plan.codes, strict=True):
            start = int(row[T_B]) + record_offset(int(row[T_MARKETS]))
            self.state[start : start + code.words] = code.initial_record()


def indicator_matrix(indicators: object, outputs: int, columns: list[np.ndarray]) -> np.ndarray:
    """Outputs of all indicators over a series, row by row behind one row of NaN, flat: float64[(n + 1) * outputs]."""
    n = len(columns[0])
    matrix = np.empty((n + 1, outputs))
    matrix[0] = np.nan
    at = 0
    for _, indicator in indicators:  # type: ignore[attr-defined]
        indicator.batch_into(columns, matrix[1:, at : at + len(indicator.fields)])
        at += len(indicator.fields)
    return matrix.reshape(-1) if outputs else np.full(1, np.nan)


def closed_series(times: np.ndarray, base: list[np.ndarray], interval: int, base_ns: int) -> tuple[np.ndarray, np.ndarray]:
    """(closed candles after each base candle, the closed candles [m, 5]) as the worker would see them.

    A candle closes with the base candle that ends its interval, or, after a gap, when a later interval opens.
    """
    if len(times) == 0:
        return np.zeros(0, np.int64), np.zeros((0, 5))
    bucket = times - times % interval
    first = np.concatenate([[True], bucket[1:] != bucket[:-1]])
    index = np.cumsum(first) - 1
    complete = times + base_ns == bucket + interval
    resampled = resample(times, *base, interval)
    candles = np.stack([np.asarray(c) for c in resampled[1:6]], axis=1)
    last = int(index[-1]) + (1 if complete[-1] else 0)
    return index + complete, candles[:last]


def _failure(plan: Plan, history: _History, cursor: np.ndarray) -> str:
    t, s, code = int(cursor[C_TRADER]), int(cursor[C_SLICE]), int(cursor[C_CODE])
    time = np.datetime64(int(history.slice_times[s]), "ns")
    what = plan.codes[t].last_error() if code == -1 else f"returned a signal that cannot be traded (code {PROBLEM - code})"
    if code == BAD_MARKET:
        what = "returned a signal for a market it does not have"
    return f"trader {plan.traders[t].name!r} failed at the candle opened {time}Z: {what or 'raised in compiled code'}"
