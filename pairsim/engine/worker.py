"""A worker process: sets the loop up for its traders, and does the little that Python must do (failures, swaps).

It imports no polars, plotly or widgets. All state of its traders is in the arena; what it holds itself can be made
again.
"""

import traceback
from dataclasses import dataclass, replace

import numpy as np

from pairsim.channels.memory import Memory
from pairsim.channels.ring import head, rouse
from pairsim.channels.waiting import wake_word
from pairsim.engine.arena import H_GATE_SLEEPS, W_CONTROLS, W_FAILURES, W_READY, WORKER_WORDS, Arena, write_mind
from pairsim.engine.evaluation import BAD_MARKET, PROBLEM, RAISED
from pairsim.engine.layout import (
    A_CLOSES,
    A_CONTROL,
    A_MARKET,
    A_VERSION,
    ACTIVE,
    AM_WORDS,
    B_MARKET,
    B_STATUS,
    BM_CLOSED,
    BM_WORDS,
    I_ADDRESS,
    I_CONSTANTS,
    INDICATOR_WORDS,
    T_A,
    T_A_WORDS,
    T_B,
    T_B_WORDS,
    T_COMMIT,
    T_INDICATOR,
    T_MARKET,
    T_MARKETS,
    T_OUTPUTS,
    T_STATES,
    TRADER_WORDS,
    VIEW_WORDS,
    record_offset,
)
from pairsim.engine.parentage import parent_alive, pin_to
from pairsim.engine.wire import Wire
from pairsim.engine.worker_loop import (
    CONTROL,
    FAILURE,
    INFO_WORDS,
    L_CANDLES,
    L_CAPACITY,
    L_CELL,
    L_ORDERS,
    L_PORTFOLIO,
    L_STAMPS,
    LAY_WORDS,
    SCRATCH_WORDS,
    X_CODE,
    X_FRESH,
    X_MIND,
    X_N,
    X_TIME,
    X_TRADER,
    apply_control,
    feed_closed,
    run_worker,
)
from pairsim.market.candle import MARKET_MASK
from pairsim.orders import sizing
from pairsim.strategies.compiler import StrategyCode
from pairsim.strategies.machine_code import cpu_identity
from pairsim.strategies.strategy import fields_of

BUDGET_NS = 500_000_000  # the loop returns this often: messages, a parent that has gone


@dataclass(frozen=True)
class Version:
    """One version of one trader's strategy, as the host sends it to the worker."""

    trader: int
    version: int
    row: np.ndarray
    code: StrategyCode
    indicators: list[list[int]]
    constants: np.ndarray
    history: tuple[np.ndarray, ...] = ()  # closed candles of each market, float64[n, 5], for the warm-up of a swap


@dataclass(frozen=True)
class Setup:
    """What a worker is told when it begins, or begins again after a crash."""

    arena: Arena
    traders: int
    markets: int
    versions: tuple[Version, ...]
    lockstep: bool
    pinned: bool = False
    deadly: tuple[int, int] = (-1, -1)  # (trader, n) of an evaluation that killed two workers: it is not tried again


def new_tables(traders: int) -> tuple[np.ndarray, ...]:
    """Empty rows, addresses, scratch and info of the loop."""
    return (
        np.zeros((traders, 2, TRADER_WORDS), np.int64),
        np.zeros((traders, 2), np.int64),
        np.zeros((3, SCRATCH_WORDS), np.int64),
        np.zeros(INFO_WORDS, np.int64),
    )


def load() -> None:
    """Load what host and zygote have in common: this module with all it imports, and numba's tables, which come with
    the first kernel that is called.
    """
    wake_word(np.zeros(1, np.int64), 0)


def warm() -> None:
    """Load or compile every kernel a worker calls, before the first fork."""
    from pairsim.channels.ring import init_ring, ring_words

    words = 4 * ring_words(8, 64) + 64
    memory = Memory.create(words)
    mem = memory.words
    candles, orders = 0, ring_words(8, 8)
    init_ring(mem, candles, 8, 8)
    init_ring(mem, orders, 8, 64)
    lay = np.zeros(LAY_WORDS, np.int64)
    lay[L_ORDERS], lay[L_CAPACITY] = orders, 8
    rows, addresses, scratch, info = new_tables(1)
    empty = np.zeros((0, 2), np.int64)
    run_worker(
        mem, memory.floats, lay, 0, 0, np.zeros(2, np.int64), empty, rows, addresses,
        np.zeros((1, INDICATOR_WORDS), np.int64), np.zeros(1), scratch, info,
    )  # fmt: skip
    rouse(mem, candles, -1)
    wake_word(mem, H_GATE_SLEEPS)
    head(mem, candles)
    room = 2 * ring_words(8, 64)  # zero words: a record for trader 0, its counter and slots
    rows[0, 0, T_A] = rows[0, 0, T_COMMIT] = room
    apply_control(mem, memory.floats, room, rows, -1, -1, 0, -1)
    feed_closed(
        mem, memory.floats, rows[0, 0], 0, 0, 0, np.zeros((0, 5)), np.zeros((1, INDICATOR_WORDS), np.int64), np.zeros(1)
    )
    memory.close()
    from pairsim.indicators import RSI, SMA, HeikinAshi

    for indicator in (RSI(14), SMA(10), HeikinAshi()):
        indicator.step_address()
    cpu_identity()


class Worker:
    """One worker process."""

    def __init__(self, index: int, memory: Memory, wire: Wire, zygote: int) -> None:
        self.index, self.memory, self.wire, self.zygote = index, memory, wire, zygote
        self.mem, self.memf = memory.words, memory.floats
        self.setup: Setup = wire.receive(30.0)
        if self.setup.pinned:
            pin_to(1 + index)
        self.rows, self.addresses, self.scratch, self.info = new_tables(self.setup.traders)
        self.codes: dict[tuple[int, int], Version] = {}
        self.indicators = np.zeros((1, INDICATOR_WORDS), np.int64)
        self.constants = np.zeros(1)
        arena = self.setup.arena
        self.cell = arena.worker_cells + index * WORKER_WORDS
        self.lay = np.zeros(LAY_WORDS, np.int64)
        self.lay[L_CANDLES], self.lay[L_STAMPS], self.lay[L_ORDERS] = (
            arena.candle_rings[index],
            arena.stamps[index],
            arena.order_rings[index],
        )
        self.lay[L_PORTFOLIO], self.lay[L_CELL], self.lay[L_CAPACITY] = arena.portfolio, self.cell, arena.sizes.candles
        versions, self.setup = self.setup.versions, replace(self.setup, versions=())  # `codes` keeps those in use
        for version in versions:
            self.add(version)
        self.subscribers, self.subscription = self._subscriptions()
        self.at = int(head(self.mem, arena.candle_rings[index]))
        self.info[X_TRADER], self.info[X_N] = self.setup.deadly

    def _own(self) -> list[int]:
        return sorted({trader for trader, _ in self.codes})

    def _subscriptions(self) -> tuple[np.ndarray, np.ndarray]:
        """For each market the (trader, k) rows of this worker's traders, in order of trader; behind them who runs at
        a slice's end.
        """
        rows: list[list[tuple[int, int]]] = [[] for _ in range(self.setup.markets)]
        for t in self._own():
            row = self.rows[t, 0]
            for k in range(int(row[T_MARKETS])):
                rows[int(row[T_MARKET + k])].append((t, k))
        starts = np.concatenate([[0], np.cumsum([len(r) for r in rows])]).astype(np.int64)
        several = [(t, -1) for t in self._own() if self.rows[t, 0, T_MARKETS] > 1]
        return starts, np.array([*(x for r in rows for x in r), *several], np.int64).reshape(-1, 2)

    def add(self, version: Version) -> None:
        """Make a version of a trader ready to run: load its code, resolve its indicators."""
        first = len(self.indicators)
        rows = np.array(version.indicators, np.int64).reshape(-1, INDICATOR_WORDS)
        for row, (_, indicator) in zip(rows, version.code.indicators, strict=True):
            row[I_ADDRESS] = indicator.step_address()
            row[I_CONSTANTS] += len(self.constants)
        self.indicators = np.concatenate([self.indicators, rows])
        self.constants = np.concatenate([self.constants, version.constants])
        row = version.row.copy()
        row[T_INDICATOR] = first
        t, parity = version.trader, version.version & 1
        self.rows[t, parity] = row
        if version.version == 0 or not self.rows[t, 1 - parity].any():
            self.rows[t, 1 - parity] = row  # so that constants such as T_A stand in both
        self.addresses[t, parity] = version.code.address()
        self.codes[t, version.version] = version
        self.codes.pop((t, version.version - 2), None)

    def run(self) -> None:
        """Drain the ring until the host has gone."""
        # A predecessor may have died between clearing a flag and the wake-up, or before.
        rouse(self.mem, int(self.lay[L_CANDLES]), -1)
        self.mem[H_GATE_SLEEPS] = 0
        wake_word(self.mem, H_GATE_SLEEPS)
        self.mem[self.cell + W_READY] += 1
        self.wire.send(("ready", self.index))
        while True:
            self.turn(BUDGET_NS)
            if not parent_alive(self.zygote):
                return
            for message in self.wire.poll():
                self.add(message)

    def turn(self, budget_ns: int) -> None:
        """Handle records until the time is over or Python is needed, and do what it is needed for."""
        reason, self.at = run_worker(
            self.mem, self.memf, self.lay, self.at, budget_ns, self.subscribers, self.subscription, self.rows,
            self.addresses, self.indicators, self.constants, self.scratch, self.info,
        )  # fmt: skip
        if reason == FAILURE:
            self._report_failure()
        elif reason == CONTROL:
            self._swap(self.at)
            self.at += 1

    # -- failures ----------------------------------------------------------------------------------------------------

    def _report_failure(self) -> None:
        """Tell the host why a trader stops; it goes on without evaluation, its neighbours are not touched."""
        t, code = int(self.info[X_TRADER]), int(self.info[X_CODE])
        try:
            message, trace = self._explain(t, code)
        except Exception as error:  # a report must not kill the worker
            message, trace = f"{type(error).__name__}: {error}", traceback.format_exc()
        self.mem[self.cell + W_FAILURES] += 1
        self.wire.send(("failed", t, int(self.info[X_TIME]), message, trace))

    def _explain(self, t: int, code: int) -> tuple[str, str]:
        version = self._version(t)
        row = self.rows[t, version.version & 1]
        if code == BAD_MARKET:
            return (
                f"the signal names a market the trader does not have (it has {int(row[T_MARKETS])}); "
                f"use market=0 to {int(row[T_MARKETS]) - 1}",
                "",
            )
        if code <= PROBLEM:
            return self._problem(PROBLEM - code), ""
        assert code == RAISED
        if not version.code.compiled:
            trace = version.code.last_error()
        else:
            at, words = record_offset(int(row[T_MARKETS])), version.code.words
            mind, fresh = int(self.info[X_MIND]), int(self.info[X_FRESH])
            outputs = int(row[T_MARKETS]) * int(row[T_OUTPUTS])
            values = fresh + at + words + int(row[T_MARKETS]) * int(row[T_STATES])
            trace = version.code.explain(
                self.mem[mind + at : mind + at + words].copy(),
                self.scratch[1][:VIEW_WORDS].copy(),
                self.memf[values : values + outputs].copy(),
                self.memf[values + outputs : values + 2 * outputs].copy(),
            )
        lines = [line for line in trace.strip().splitlines() if line.strip()]
        return (lines[-1] if lines else "the strategy raised; running the candle again did not"), trace

    def _problem(self, problem: int) -> str:
        """What is wrong with the first signal that cannot be sized."""
        words, floats = self.scratch[0], self.scratch[0].view(np.float64)
        text = sizing.PROBLEMS.get(problem, "the signal cannot be sized")
        for s in range(0, 36, 9):
            if words[s] != 0:
                return text.format(
                    kind=int(words[s]), amount=float(floats[s + 3]), limit=float(floats[s + 4]),
                    stop=float(floats[s + 5]),
                    stop_loss=float(floats[s + 6]), take_profit=float(floats[s + 7]),
                )  # fmt: skip
        return text

    # -- swaps -------------------------------------------------------------------------------------------------------

    def _slot_a(self, t: int) -> tuple[int, int]:
        row = self.rows[t, 0]
        n = int(self.mem[row[T_COMMIT]])
        words = int(row[T_A_WORDS])
        return int(row[T_A]) + (n & 1) * words, int(row[T_A]) + (1 - (n & 1)) * words

    def _version(self, t: int) -> Version:
        number = int(self.mem[self._slot_a(t)[0] + A_VERSION])
        return self.codes[t, number]

    def _swap(self, index: int) -> None:
        """Write the state of a new version: position and same-named state kept, indicators warmed from history; then
        commit.
        """
        from pairsim.channels.ring import record

        r = int(record(self.mem, int(self.lay[L_CANDLES]), index))
        t, number = int(self.mem[r] & MARKET_MASK), int(self.mem[r + 3])
        slot, scratch = self._slot_a(t)
        if self.mem[slot + A_CONTROL] >= self.mem[r + 1]:
            return  # R4: met again, and the version it brought may be gone
        while (t, number) not in self.codes:
            self.add(self.wire.receive(10.0))
        old, new = self._version(t), self.codes[t, number]
        c = int(self.mem[slot + A_CLOSES])
        before, after = self.rows[t, old.version & 1], self.rows[t, number & 1]
        mind = int(before[T_B]) + (c & 1) * int(before[T_B_WORDS])
        fresh = int(after[T_B]) + (1 - (c & 1)) * int(after[T_B_WORDS])
        self._write_swapped(mind, fresh, scratch, old, new, after)
        apply_control(self.mem, self.memf, r, self.rows, number, -1, 0, -1)
        self.codes[t, number] = replace(new, history=())
        self.mem[self.cell + W_CONTROLS] += 1

    def _write_swapped(self, mind: int, fresh: int, scratch: int, old: Version, new: Version, row: np.ndarray) -> None:
        markets, outputs = int(row[T_MARKETS]), int(row[T_OUTPUTS])
        head_words = record_offset(markets)
        self.mem[fresh : fresh + head_words] = self.mem[mind : mind + head_words]
        self.mem[fresh + B_STATUS] = ACTIVE
        record = carried_record(old, new, self.mem[mind + head_words : mind + head_words + old.code.words])
        states = [i.initial_state() for _, i in new.code.indicators]
        write_mind(self.mem, fresh, markets, record, np.concatenate([*states, np.zeros(0)]), outputs)
        for k in range(markets):
            self.mem[fresh + B_MARKET + k * BM_WORDS + BM_CLOSED] = 0
            feed_closed(
                self.mem, self.memf, row, fresh, scratch + A_MARKET + k * AM_WORDS, k,
                np.ascontiguousarray(new.history[k]), self.indicators,
                self.constants,
            )  # fmt: skip


def carried_record(old: Version, new: Version, words: np.ndarray) -> np.ndarray:
    """The new version's first record, with the old one's states of the same name and type."""
    record = new.code.initial_record()
    declared, was = fields_of(new.code.strategy), fields_of(old.code.strategy)
    for name, field in declared.items():
        before = was.get(name)
        if field.is_param or before is None or before.is_param:
            continue
        if (before.kind, before.length) == (field.kind, field.length):
            to, come_from = _word_of(new.code, name), _word_of(old.code, name)
            record[to : to + field.words] = words[come_from : come_from + field.words]
    return record


def _word_of(code: StrategyCode, name: str) -> int:
    assert code.record.fields is not None
    return int(code.record.fields[name][1]) // 8
