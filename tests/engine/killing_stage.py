"""One worker's share of a run without its processes: the same memory, the same loop, records waiting in the ring.

Rule: what runs here is the worker's own code on the arena the host would make. Only the other ends are played: the feed
(`candle`, `control`), the gate (`pop`) and the order engine (`fill`, which changes what a snapshot shows).
"""

import ctypes
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pairsim.brokers.sim import SimBroker
from pairsim.channels.memory import Memory
from pairsim.channels.ring import head, record, release, tail, try_push
from pairsim.engine.arena import LINE, Sizes, init_arena, init_trader, plan_arena
from pairsim.engine.layout import (
    A_CLOSES,
    A_VERSION,
    B_EVALUATED,
    T_A,
    T_A_WORDS,
    T_B,
    T_B_WORDS,
    T_COMMIT,
    T_INDICATOR,
    T_INDICATORS,
    T_LOCKSTEP,
    T_MARKETS,
    T_OUTPUTS,
    T_WINDOW,
    T_WINDOWS,
)
from pairsim.engine.plan import describe_indicators, fill_row, make_plan
from pairsim.engine.trader import Trader
from pairsim.engine.worker import Setup, Version, Worker
from pairsim.engine.worker_loop import CANDLE, SWAP
from pairsim.market.candle import KIND_SHIFT
from pairsim.orders.order import D_INDEX, D_N, D_ORDER, D_ORDERS, D_SNAPSHOT, D_TRADER, ORDER_WORDS, SNAPSHOT_WORDS
from pairsim.portfolio.accounting import pair_cell
from pairsim.portfolio.layout import (
    A_CASH,
    A_EQUITY,
    A_QUOTE_SCALE,
    A_SEQUENCE,
    P_AVERAGE,
    P_QUANTITY,
    P_SETTLED,
    init_portfolio,
)
from pairsim.strategies.compiler import prepare
from pairsim.strategies.strategy import Strategy

SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND // (60 * SECOND) * 60 * SECOND  # on every grid used here
GENERATE = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_ssize_t] * 5)


@dataclass
class Desk:
    """The host's end of a worker's wire."""

    setup: Setup
    heard: list[Any] = field(default_factory=list)

    def receive(self, _: float | None = None) -> Setup:
        return self.setup

    def send(self, message: Any) -> None:
        self.heard.append(message)


@dataclass(frozen=True)
class Outcome:
    """What a worker's death must not change: each trader's state as its counters name it, and what was published."""

    counters: tuple[int, ...]
    states: tuple[np.ndarray, ...]
    decisions: tuple[int, ...]  # how many, then what is in the ring of them

    def differs(self, other: "Outcome") -> str:
        """The first difference in words, empty when there is none."""
        if self.decisions != other.decisions:
            if self.decisions[0] != other.decisions[0]:
                return f"{self.decisions[0]} decisions published instead of {other.decisions[0]}"
            return "another decision was published"
        if self.counters != other.counters:
            return f"records handled {self.counters} instead of {other.counters}"
        for t, (a, b) in enumerate(zip(self.states, other.states, strict=True)):
            if not np.array_equal(a, b):
                return f"state of trader {t} differs in words {np.flatnonzero(a != b).tolist()}"
        return ""


class Stage:
    """A worker's memory with records in its ring."""

    def __init__(
        self,
        traders: Sequence[Trader],
        *,
        base_ns: int = SECOND,
        lockstep: bool = False,
        orders: int = 64,
        candles: int = 64,
        swaps: int = 0,
    ) -> None:
        self.plan = make_plan(traders, base_ns)
        self.plan.rows[:, T_LOCKSTEP] = int(lockstep)
        self.arena = plan_arena(self.plan, 1, Sizes(candles, orders, 1, 1, 512, 8), ())
        self.memory = Memory.create(self.arena.words)
        self.mem = self.memory.words
        init_arena(self.mem, self.arena)
        costs = SimBroker(fee_bps=10).costs
        init_portfolio(self.mem, self.arena.portfolio, self.plan.instruments, self.plan.pairs, 1_000_000.0, costs)
        self.versions: list[Version] = []
        for t, (row, code) in enumerate(zip(self.plan.rows, self.plan.codes, strict=True)):
            states = np.concatenate([*(i.initial_state() for _, i in code.indicators), np.zeros(0)])
            init_trader(self.mem, row, code.initial_record(), states, int(row[T_OUTPUTS]))
            constants: list[np.ndarray] = []
            rows = describe_indicators(code, constants)
            self.versions.append(Version(t, 0, row.copy(), code, rows, np.concatenate([*constants, np.zeros(0)])))
        self.words = self.arena.spare  # of the memory that can change: swaps take more
        self.numbers = [0] * len(self.plan.instruments)
        self.controls = [0] * len(traders)

    @property
    def ring(self) -> int:
        return self.arena.candle_rings[0]

    @property
    def orders(self) -> int:
        return self.arena.order_rings[0]

    # -- the feed ----------------------------------------------------------------------------------------------------

    def push(self, *words: int) -> None:
        assert try_push(self.mem, self.ring, np.array([words], np.int64)) == 1, "the stage's ring is full"

    def candle(self, market: int, index: int, close: float, kind: int = CANDLE) -> None:
        """The candle of one market that opens ``index`` base intervals after the start."""
        prices = np.array([close - 1.0, close + 2.0, close - 3.0, close, 10.0 + index]).view(np.int64).tolist()
        time = START + index * self.plan.base_ns
        self.push((kind << KIND_SHIFT) | market, self.numbers[market], time, *prices)
        self.numbers[market] += 1

    def close_of(self, index: int) -> int:
        """When that candle closes."""
        return START + (index + 1) * self.plan.base_ns

    def control(self, kind: int, trader: int, first: int = 0, second: int = 0) -> None:
        self.controls[trader] += 1
        self.push((kind << KIND_SHIFT) | trader, self.controls[trader], START, first, second, 0, 0, 0)

    def swap(self, trader: int, strategy: Strategy, history: Sequence[np.ndarray]) -> None:
        """A SWAP record; the version goes with the setup, as it does for a worker that begins again."""
        was, code = self.plan.traders[trader], prepare(strategy)
        number = sum(v.trader == trader for v in self.versions)
        row = self.plan.rows[trader].copy()
        fill_row(row, Trader(was.markets, strategy, every=was.every_ns, name=was.name), code, self.plan.base_ns, 0)
        row[T_LOCKSTEP] = self.plan.rows[trader, T_LOCKSTEP]
        constants: list[np.ndarray] = []
        rows = describe_indicators(code, constants)
        row[T_INDICATOR], row[T_INDICATORS] = 0, len(rows)
        for word, size in ((T_B, 2 * row[T_B_WORDS]), (T_WINDOW, max(1, row[T_MARKETS] * row[T_WINDOWS]))):
            row[word] = self.words
            self.words += -(-int(size) // LINE) * LINE
        joined = np.concatenate([*constants, np.zeros(0)])
        self.versions.append(Version(trader, number, row, code, rows, joined, tuple(history)))
        self.control(SWAP, trader, number)

    # -- the order engine --------------------------------------------------------------------------------------------

    def fill(self) -> None:
        """Another portfolio: whatever an evaluation reads of it is not what it was."""
        change_portfolio(self.mem, self.arena.portfolio, len(self.plan.pairs))

    def pop(self) -> None:
        """The gate takes what was published: it stays readable until it is overwritten."""
        release(self.mem, self.orders, tail(self.mem, self.orders))

    # -- the worker --------------------------------------------------------------------------------------------------

    def worker(self) -> Worker:
        """A worker that begins, or begins again, on the memory as it is."""
        setup = Setup(self.arena, len(self.plan.traders), len(self.plan.instruments), tuple(self.versions), False)
        return Worker(0, self.memory, Desk(setup), 0)  # type: ignore[arg-type]

    def finish(self, worker: Worker) -> None:
        """Let it handle what is in its ring."""
        for _ in range(1000):
            if head(self.mem, self.ring) == tail(self.mem, self.ring):
                return
            worker.turn(0)
        raise AssertionError(f"the worker came to record {worker.at} and no further")

    # -- what it left ------------------------------------------------------------------------------------------------

    def _slots(self, t: int) -> tuple[np.ndarray, int, int]:
        """The row of the version that runs, and where the current slots are."""
        row = self.plan.rows[t]
        n = int(self.mem[row[T_COMMIT]])
        a = int(row[T_A]) + (n & 1) * int(row[T_A_WORDS])
        row = next(v.row for v in self.versions if (v.trader, v.version) == (t, int(self.mem[a + A_VERSION])))
        return row, a, int(row[T_B]) + (int(self.mem[a + A_CLOSES]) & 1) * int(row[T_B_WORDS])

    def decision(self, index: int) -> tuple[int, ...]:
        """What counts of a decision in the order ring: all but the clocks and the words that nothing fills."""
        d = self.mem[int(record(self.mem, self.orders, index)) :]
        markets = int(self.plan.rows[d[D_TRADER], T_MARKETS])
        used = [*range(D_ORDERS + 1), *range(D_ORDERS + 3, D_SNAPSHOT + markets * SNAPSHOT_WORDS), D_INDEX]
        used += range(D_ORDER, D_ORDER + int(d[D_ORDERS]) * ORDER_WORDS)
        return tuple(int(d[w]) for w in used)

    def outcome(self) -> Outcome:
        states = []
        for t in range(len(self.plan.traders)):
            row, a, b = self._slots(t)
            window = int(row[T_WINDOW])
            states.append(
                np.concatenate(
                    [
                        self.mem[a : a + int(row[T_A_WORDS])],
                        self.mem[b : b + int(row[T_B_WORDS])],
                        self.mem[window : window + int(row[T_MARKETS] * row[T_WINDOWS])],
                    ]
                )
            )
        counters = tuple(int(self.mem[row[T_COMMIT]]) for row in self.plan.rows)
        sent = int(tail(self.mem, self.orders))
        kept = range(max(0, sent - self.arena.sizes.orders), sent)
        return Outcome(counters, tuple(states), (sent, *(word for i in kept for word in self.decision(i))))

    def told(self) -> bool:
        """Whether the last decision published is of an evaluation that is not committed."""
        sent = int(tail(self.mem, self.orders))
        if sent == 0:
            return False
        d = int(record(self.mem, self.orders, sent - 1))
        if self.mem[d + D_INDEX] != sent - 1:
            return False  # the next one, half written over it
        return bool(self.mem[d + D_N] == self.mem[self.plan.rows[self.mem[d + D_TRADER], T_COMMIT]])

    def fixed(self) -> int:
        """Evaluations whose outcome nothing may change any more: committed ones, and the one whose decision is out."""
        committed = sum(int(self.mem[b + B_EVALUATED]) for _, _, b in map(self._slots, range(len(self.plan.traders))))
        return committed + self.told()


def change_portfolio(mem: np.ndarray, base: int, pairs: int) -> None:
    """Other cash, equity and positions, everything settled."""
    floats = mem.view(np.float64)
    mem[base + A_SEQUENCE] += 2
    mem[base + A_CASH] -= round(12_345.0 * floats[base + A_QUOTE_SCALE])
    floats[base + A_EQUITY] += 777.0
    for pair in range(pairs):
        cell = int(pair_cell(mem, base, pair))
        mem[cell + P_QUANTITY] += 50_000_000 * (pair + 1)
        floats[cell + P_AVERAGE] = 101.5 + pair
        mem[cell + P_SETTLED] = 1_000


@contextmanager
def after_evaluation(worker: Worker, number: int, act: Callable[[], None]) -> Iterator[None]:
    """Call ``act`` when the worker's strategies have been asked ``number`` times, right behind that evaluation."""
    asked, kept, addresses = 0, [], worker.addresses.copy()

    def wrapped(address: int) -> Any:
        inner = GENERATE(address)

        def generate(*blocks: int) -> int:
            nonlocal asked
            result = inner(*blocks)
            asked += result >= 0
            if asked == number and result >= 0:
                act()
            return int(result)

        return GENERATE(generate)

    for place, address in np.ndenumerate(addresses):
        callback = wrapped(int(address))
        kept.append(callback)
        worker.addresses[place] = ctypes.cast(callback, ctypes.c_void_p).value
    try:
        yield
    finally:
        worker.addresses[:] = addresses
