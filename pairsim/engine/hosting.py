"""What a host does once it is a process: sets a run up, answers the engine, replaces workers that died, ends in
order.
"""

import contextlib
import logging
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

import numpy as np

from pairsim import clock
from pairsim.brokers.broker import Broker
from pairsim.brokers.sim import SimBroker
from pairsim.channels.memory import Memory
from pairsim.channels.ring import ring_stats
from pairsim.channels.waiting import Doorbell
from pairsim.engine.arena import (
    BOARD_CLOSE,
    BOARD_NUMBER,
    BOARD_WORDS,
    H_BARRIER,
    H_CHECKED,
    H_FEED_TIME,
    H_STATE,
    H_TRADING,
    W_ASKED,
    W_ASKED_N,
    WORKER_WORDS,
    init_arena,
    init_trader,
    plan_arena,
)
from pairsim.engine.commands import Commands
from pairsim.engine.feed_thread import FeedThread
from pairsim.engine.gate import G_BOARD, G_FD, G_LOCKSTEP, G_PORTFOLIO, G_RING, GATE_WORDS, run_gate
from pairsim.engine.hosting_spec import Spec
from pairsim.engine.layout import (
    T_COMMIT,
    T_INDICATOR,
    T_INDICATORS,
    T_INTERVAL,
    T_LOCKSTEP,
    T_MARKET,
    T_MARKETS,
    T_OUTPUTS,
)
from pairsim.engine.order_engine import OrderEngine
from pairsim.engine.parentage import pin_to
from pairsim.engine.plan import make_plan
from pairsim.engine.pool import DEADLY, DIED, HOPELESS, NOTHING, Pool
from pairsim.engine.status import STATES, RunState
from pairsim.engine.wire import Wire, readable, unpacked
from pairsim.engine.worker import Setup, Version
from pairsim.errors import EngineError, PairsimError
from pairsim.feeds.feed import interval_of, is_lockstep
from pairsim.orders import matching
from pairsim.orders.checks import HALT, reservation_words
from pairsim.orders.limits import write_limits
from pairsim.orders.order import DECISION_WORDS, Status
from pairsim.portfolio.layout import Costs, init_portfolio
from pairsim.store.journal import Journal
from pairsim.strategies.compiler import StrategyCode

log = logging.getLogger("pairsim.host")

GATE_BUDGET_NS = 500_000_000
FINISH_SECONDS = 30.0  # how long a broker may take for what it has been asked already


def assign_workers(codes: tuple[StrategyCode, ...], workers: int) -> list[int]:
    """Which worker each trader lives in: compiled ones spread over the first, plain ones over workers of their own."""
    compiled = min(workers, sum(c.compiled for c in codes))
    plain = min(workers, sum(not c.compiled for c in codes))
    seen = [0, 0]
    out = []
    for code in codes:
        kind = 0 if code.compiled else 1
        out.append(seen[0] % compiled if code.compiled else compiled + seen[1] % plain)
        seen[kind] += 1
    return out


class Host:
    """One run."""

    def __init__(self, wire: Wire, zygote: Wire, zygote_pid: int) -> None:
        self.wire = wire
        self._zygote = zygote, zygote_pid
        self.health: dict[int, tuple[str, str]] = {}
        self.error = ""
        self._notices = os.pipe()
        self._notes: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()
        self._asked: queue.SimpleQueue[tuple[int, str, bytes]] = queue.SimpleQueue()
        self.stopping = self._lost = False

    def run(self) -> None:
        """Serve until told to stop or until the caller has gone."""
        sys.setswitchinterval(
            0.001
        )  # the loop and the journal's writer share the interpreter: 5 ms would double a commit
        try:
            spec: Spec = self.wire.receive(120.0)
            self._set_up(spec)
        except Exception as error:
            self._refuse(error)
            os._exit(1)
        try:
            while True:
                self._turn()
        except EOFError:
            pass
        except Exception as error:
            log.exception("the host ends")
            self.fail(f"{type(error).__name__}: {error}")
        finally:
            os._exit(0)

    def _refuse(self, error: Exception) -> None:
        log.error("the run cannot start", exc_info=error)
        with contextlib.suppress(OSError):
            self.wire.send(("refused", type(error).__name__, str(error), traceback.format_exc()))

    # -- setting up --------------------------------------------------------------------------------------------------

    def _set_up(self, spec: Spec) -> None:
        self.spec = spec
        base_ns = interval_of(spec.feed)
        self.lockstep = is_lockstep(spec.feed)
        self.pinned = bool(spec.config.get("pin")) and pin_to(0)
        self.plan = plan = make_plan(spec.traders, base_ns, spec.instruments, spec.codes)
        plan.rows[:, T_LOCKSTEP] = int(self.lockstep)
        self.worker_of = assign_workers(spec.codes, spec.workers)
        count = max(self.worker_of) + 1
        keys = tuple(
            sorted({(int(r[T_MARKET + k]), int(r[T_INTERVAL])) for r in plan.rows for k in range(int(r[T_MARKETS]))})
        )
        self.arena = arena = plan_arena(plan, count, spec.sizes, keys)
        self.memory = Memory.create(arena.words)
        self.mem = mem = self.memory.words
        init_arena(mem, arena)
        self.set_state(RunState.STARTING)
        costs = broker_costs(spec.broker)
        init_portfolio(mem, arena.portfolio, plan.instruments, plan.pairs, spec.cash, costs)
        write_limits(mem, arena.portfolio, spec.risk)
        mem[arena.board + BOARD_NUMBER : arena.board + arena.markets * BOARD_WORDS : BOARD_WORDS] = -1
        self.memory.floats[arena.board + BOARD_CLOSE : arena.board + arena.markets * BOARD_WORDS : BOARD_WORDS] = np.nan
        for row, code in zip(plan.rows, plan.codes, strict=True):
            states = np.concatenate([*(i.initial_state() for _, i in code.indicators), np.zeros(0)])
            init_trader(mem, row, code.initial_record(), states, int(row[T_OUTPUTS]))
        self.versions = {t: [self._first_version(t)] for t in range(len(plan.traders))}
        self.codes = list(plan.codes)  # what each trader runs now, as it was last tuned
        self.journal = Journal.open(spec.store, run=spec.config)
        self._describe()
        self.bell = Doorbell()
        self.orders = OrderEngine(mem, arena, plan, spec.broker, self.journal, self.bell, self.lockstep)
        self.orders.on_error = lambda message: self._note("orders", message)
        self.orders.on_failure = lambda message: self._note("order engine", message)
        self.feed = FeedThread(
            mem, arena, plan, spec.feed, self.worker_of, self.bell, lambda reason: self._note("feed", reason),
            self.pinned,
        )  # fmt: skip
        self.commands = Commands(self)
        self.wire.send(
            ("started", arena, plan.rows, plan.pairs, plan.instruments, str(self.journal.path), self.journal.run),
            (self.memory.fd,),
        )
        self.pool = Pool(*self._zygote, self.memory.fd, count, self._setup, self._under_way)
        self.pool.begin()
        self._warm_host()
        while len(self.pool.ready) < count:
            self._turn()
        self.orders.thread.start()
        threading.Thread(target=self._gate, name="pairsim-gate", daemon=True).start()
        threading.Thread(target=self._answer_all, name="pairsim-commands", daemon=True).start()
        self.set_state(RunState.RUNNING)
        self.feed.thread.start()

    def _setup(self, index: int, deadly: tuple[int, int]) -> Setup:
        """What a worker is told when it begins: of each trader, the version that runs and the next one."""
        versions = tuple(v for t, w in enumerate(self.worker_of) if w == index for v in self.versions[t])
        traders, markets = len(self.plan.traders), self.arena.markets
        return Setup(self.arena, traders, markets, versions, self.lockstep, self.pinned, deadly)

    def _under_way(self, index: int) -> tuple[int, int]:
        """The evaluation (trader, n) that a dead worker had begun and not committed."""
        cell = self.arena.worker_cells + index * WORKER_WORDS
        trader, n = int(self.mem[cell + W_ASKED]) - 1, int(self.mem[cell + W_ASKED_N])
        return (trader, n) if trader >= 0 and self.mem[self.plan.rows[trader, T_COMMIT]] == n else NOTHING

    def _first_version(self, t: int) -> Version:
        row = self.plan.rows[t]
        first, count = int(row[T_INDICATOR]), int(row[T_INDICATORS])
        indicators = self.plan.indicators[first : first + count].copy()
        start = int(indicators[0, 1]) if count else 0
        sizes = [len(np.atleast_1d(i.constants)) for _, i in self.plan.codes[t].indicators]
        constants = self.plan.constants[start : start + sum(sizes)]
        indicators[:, 1] -= start
        return Version(t, 0, row.copy(), self.plan.codes[t], indicators.tolist(), constants.copy())

    def _describe(self) -> None:
        """The tables that give names to the journal's numbers."""
        self.journal.append(
            "markets",
            [
                (m, i.symbol, i.base_scale, i.quote_scale, i.tick_size, i.lot_size, i.minimum_notional)
                for m, i in enumerate(self.plan.instruments)
            ],
        )
        self.journal.append(
            "traders",
            [
                (t, x.name, repr(x.strategy), int(self.plan.rows[t, T_INTERVAL]))
                for t, x in enumerate(self.plan.traders)
            ],
        )

    def _warm_host(self) -> None:
        """Load the kernels of this process while the workers begin."""
        from pairsim.engine import warming

        warming.warm_host(self.spec.feed)

    # -- the gate ----------------------------------------------------------------------------------------------------

    def _gate(self) -> None:
        lay = np.zeros(GATE_WORDS, np.int64)
        lay[G_PORTFOLIO], lay[G_BOARD], lay[G_RING] = self.arena.portfolio, self.arena.board, self.arena.gate_ring
        lay[G_FD], lay[G_LOCKSTEP] = self.bell.write_fd, int(self.lockstep)
        rings = np.array(self.arena.order_rings, np.int64)
        table = np.zeros(reservation_words(len(self.plan.pairs) + 64), np.int64)
        held = np.zeros((max(128, len(self.plan.traders)), DECISION_WORDS), np.int64)
        marker = np.zeros(DECISION_WORDS, np.int64)
        count = 0
        try:
            while not self.stopping:
                count = run_gate(self.mem, self.memory.floats, lay, rings, table, held, count, marker, GATE_BUDGET_NS)
                if count == len(held):
                    held = np.concatenate([held, np.zeros_like(held)])
        except Exception as error:
            self._note("gate", f"{type(error).__name__}: {error}")

    # -- messages and deaths -----------------------------------------------------------------------------------------

    def _turn(self) -> None:
        ready = readable([self.wire, self._notices[0], *self._heard()], 0.5)
        if self._notices[0] in ready:
            os.read(self._notices[0], 4096)
            while not self._notes.empty():
                self._on_note(*self._notes.get())
        if self._heard():
            try:
                for message in self.pool.hear(ready):
                    self._on_worker(*message)
            except EngineError as error:
                if self.state is RunState.STARTING:
                    raise
                self._lost = True
                self.feed.stopping = True
                self.fail(str(error))
        if self.wire in ready:
            for asked in self.wire.poll():
                if asked[1] == "halt":
                    self.mem[H_TRADING] = HALT  # at once: the command itself waits for those before it
                self._asked.put(asked)

    def _heard(self) -> list[Wire]:
        """The wires of the workers, while there are any."""
        return [] if self._lost or self.stopping else self.pool.sources()

    def _note(self, source: str, text: str) -> None:
        """From any thread: tell the main thread."""
        self._notes.put((source, text))
        os.write(self._notices[1], b"!")

    def _on_note(self, source: str, text: str) -> None:
        if source == "stopped":
            raise EOFError
        if source == "feed" and text == "":
            threading.Thread(target=self._finish, name="pairsim-finish", daemon=True).start()
        elif source == "finished":
            if self.state is not RunState.STOPPED and self.state is not RunState.FAILED:
                self.set_state(RunState.FINISHED)
        elif source == "feed" and text == "stopped":
            pass
        elif source in ("feed", "gate", "order engine"):
            self.fail(f"{source}: {text}")
        else:
            self._say(f"{source}: {text}")
            self._journal_health(None, source, text, None)

    def _on_worker(self, what: str, index: int, *rest: Any) -> None:
        if what == "failed":
            trader, moment, text, trace = rest
            self.health[trader] = (text, trace)
            self._journal_health(trader, "failed", text, trace, moment)
        elif what == DEADLY:
            trader, status = rest
            text = (
                f"its worker ended with {_ending(status)} twice while this trader decided on one candle; the candle "
                f"was skipped: look for os._exit, ctypes or endless recursion, then swap the strategy or resume()"
            )
            self.health[trader] = (text, "")
            self._journal_health(trader, "failed", text, None)
        elif what == HOPELESS:
            self.fail(*rest)
        else:
            assert what == DIED
            self._journal_health(None, "worker", f"worker {index} ended with {_ending(*rest)} and was replaced", None)

    def _journal_health(self, trader: int | None, kind: str, text: str, trace: str | None, moment: int = 0) -> None:
        if self.journal.failed is None:
            self.journal.append(
                "health", [(moment or int(self.mem[H_FEED_TIME]), clock.wall_ns(), trader, kind, text, trace)]
            )

    def journal_control(self, place: tuple[int, int] | None, trader: int | None, kind: str, payload: str) -> None:
        """Write a command down, with its number among the records of its trader and its moment in feed time (None: it
        is not among them, and took place now).
        """
        sequence, time = place or (0, int(self.mem[H_FEED_TIME]))
        self.journal.append("controls", [(sequence, time, clock.wall_ns(), trader, kind, payload)])

    def _say(self, message: str) -> None:
        """Tell the engine what went wrong; the first message stays the one that is shown."""
        if not self.error:
            self.error = message
            with contextlib.suppress(OSError):
                self.wire.send(("fault", message))

    # -- state -------------------------------------------------------------------------------------------------------

    @property
    def state(self) -> RunState:
        """The state as everybody sees it."""
        return STATES[int(self.mem[H_STATE])]

    def set_state(self, state: RunState) -> None:
        """Show everybody another state."""
        self.mem[H_STATE] = STATES.index(state)

    def fail(self, message: str) -> None:
        """The run cannot go on: trading halts, everything stays readable."""
        self._say(message)
        self.mem[H_TRADING] = HALT
        self.set_state(RunState.FAILED)
        self._journal_health(None, "host", message, None)

    # -- the end -----------------------------------------------------------------------------------------------------

    def _finish(self) -> None:
        """The data ended: orders under way settle, those nothing can match any more expire."""
        try:
            self.settle_orders(FINISH_SECONDS)
            self._note("finished", "")
        except Exception as error:
            self._note("gate", f"{type(error).__name__}: {error}")

    def settle_orders(self, seconds: float) -> None:
        """Let orders under way settle, end those that work, and wait until all of it is on disk."""
        self.quiet(seconds)
        self.orders.call(lambda: self.orders.end_all(Status.EXPIRED, matching.END_OF_DATA)).result(30)
        self.orders.call(lambda: self.orders.drained(seconds)).result(seconds + 30)
        self.journal.flush()

    def quiet(self, seconds: float) -> None:
        """Wait until no decision is on its way from the workers to the broker."""
        deadline = clock.monotonic_ns() + int(seconds * 1e9)
        while self._decisions_move() and clock.monotonic_ns() < deadline:
            time.sleep(0.001)
        self.orders.call(lambda: self.orders.drained(seconds)).result(seconds + 30)

    def _decisions_move(self) -> bool:
        """Whether something is under way. Looked at down the stream: what has left one place is in the next by then."""
        mem, arena = self.mem, self.arena
        return (
            any(ring_stats(mem, r)["depth"] for r in (*arena.candle_rings, *arena.order_rings))
            or bool(mem[H_CHECKED] < mem[H_BARRIER])  # lockstep: the gate has popped them, and passes them on
            or any(ring_stats(mem, r)["depth"] for r in (arena.gate_ring, arena.broker_ring))
        )

    # -- answers -----------------------------------------------------------------------------------------------------

    def _answer_all(self) -> None:
        """A thread of its own: a command may have to wait for a worker that the main thread replaces meanwhile."""
        done, name = False, ""
        while not (done and name == "stop"):
            number, name, arguments = self._asked.get()
            with contextlib.suppress(OSError):  # who asked has gone, which the main thread sees
                done = self._answer(number, name, arguments)
        self._note("stopped", "")

    def _answer(self, number: int, name: str, arguments: bytes) -> bool:
        handler: Callable[..., Any] = getattr(self.commands, f"do_{name}")
        try:
            value = handler(*unpacked(arguments))
        except PairsimError as error:
            self.wire.send((number, "error", type(error).__name__, str(error)))
            return False
        except Exception as error:
            self.wire.send((number, "error", "EngineError", f"{type(error).__name__}: {error}"))
            return False
        self.wire.send((number, "ok", value, None))
        return True


def _ending(status: int) -> str:
    """How a process ended, in words."""
    return signal.Signals(-status).name if status < 0 else f"exit status {status}"


def broker_costs(broker: Broker | SimBroker) -> Costs:
    """What sizes and checks assume of a broker."""
    if isinstance(broker, SimBroker):
        return broker.costs
    fee = float(getattr(broker, "fee_bps", 0.0))
    return Costs(fee, fee, float(getattr(broker, "slippage_bps", 0.0)), bool(getattr(broker, "short", False)))
