"""The engine: the handle in a notebook, a script or ``python -c`` of a run that lives in other processes.

It only observes: snapshots from shared memory, history from the journal. Commands go over a socket to the host, which
is tied to this process: when it ends, for whatever reason, everything it started ends.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import threading
import time
import warnings
import weakref
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from pairsim import clock, errors
from pairsim.brokers.broker import Broker
from pairsim.brokers.sim import SimBroker
from pairsim.channels.memory import Memory
from pairsim.engine import display
from pairsim.engine.arena import H_DISPATCHED, H_FEED_TIME, H_FILLS, H_OPEN, H_ORDERS, H_STATE, H_TRADING, Arena, Sizes
from pairsim.engine.cells import replace_rerun
from pairsim.engine.door import (
    checked_broker,
    checked_cash,
    checked_instruments,
    checked_store,
    checked_traders,
    checked_workers,
)
from pairsim.engine.doors import behind
from pairsim.engine.handle import TraderHandle
from pairsim.engine.hosting_spec import Spec
from pairsim.engine.launching import (
    check_store,
    error_of,
    launch,
    packed_strategies,
    release,
    run_folder,
    unsendable,
    usable_cores,
)
from pairsim.engine.metrics import Metrics, measure
from pairsim.engine.plan import make_plan
from pairsim.engine.snapshot import Portfolio, read_portfolio
from pairsim.engine.status import STATES, TRADINGS, RunState, Status, Trading
from pairsim.engine.trader import Trader
from pairsim.engine.wire import Wire
from pairsim.errors import EngineDied, EngineError, InputError
from pairsim.feeds.feed import Feed, check_markets, interval_of, is_lockstep, speed_of
from pairsim.market.instrument import Instrument
from pairsim.orders.limits import RiskLimits, write_limits
from pairsim.portfolio.layout import init_portfolio, portfolio_words
from pairsim.strategies.compiler import StrategyCode

if TYPE_CHECKING:
    import polars as pl

    from pairsim.market.interval import Interval
    from pairsim.store.reader import Reader

ANSWER_SECONDS = 60.0
REASON_SECONDS = 2.0


class Engine:
    """A live run: traders on a feed, orders to a broker, one cash account.

    Parameters
    ----------
    traders : one `Trader` or several; names unique.
    feed : where candles come from, such as `RandomFeed` or `ReplayFeed`, or any object with the `Feed` protocol.
    broker : where orders go; `SimBroker()` unless given.
    risk : limits beyond which the gate denies an order, see `RiskLimits`.
    cash : opening cash in the quote currency.
    instruments : tick, lot and minimum of markets; an undeclared one has no tick, a lot of 1e-8 and no minimum.
    workers : worker processes; None is one a trader, at most one a core this process may use.
    store : file of the journal (SQLite); None keeps it in a temporary folder for the life of this object.

    pin : bind the host to the first core and the workers to the others, where there is more than one: shorter tails
        of latency. A paced feed stands beside the first worker, whose wake-up then needs no other core.
    sizes : capacities of the channels, for tests.

    Raises
    ------
    InputError, StrategyError, FeedError, StoreError
        What was given cannot run; the message says which value, the limit and what to do.

    Examples
    --------
    >>> import pairsim as ps
    >>> with ps.Engine(ps.Trader("BTC/USDT", ps.strategies.RSI()), ps.RandomFeed(seed=1, speed=None, n=1000)) as engine:
    ...     engine.wait(10)
    ...     print(engine.status.state)
    finished
    """

    def __init__(
        self,
        traders: Trader | Sequence[Trader],
        feed: Feed,
        broker: Broker | SimBroker | None = None,
        *,
        risk: RiskLimits | None = None,
        cash: float = 100_000.0,
        instruments: Sequence[Instrument] = (),
        workers: int | None = None,
        store: str | Path | None = None,
        pin: bool = False,
        sizes: Sizes | None = None,
    ) -> None:
        self._traders = checked_traders(traders)
        self._feed, self._broker, self._cash = feed, checked_broker(broker), checked_cash(cash)
        self._instruments, self._sizes, self._pin = checked_instruments(instruments), sizes or Sizes(), bool(pin)
        self._workers = checked_workers(workers) or min(len(self._traders), usable_cores())
        self._store = checked_store(store)
        base_ns = interval_of(feed)
        speed_of(feed)
        is_lockstep(feed)
        self._plan = make_plan(self._traders, base_ns, self._instruments)
        check_markets(feed, self._plan.symbols)
        opened = np.zeros(portfolio_words(len(self._plan.instruments), 0), np.int64)
        init_portfolio(opened, 0, self._plan.instruments, (), self._cash, SimBroker().costs)
        write_limits(opened, 0, risk)
        self._risk = risk
        self._codes: list[StrategyCode] = list(self._plan.codes)
        self._state = RunState.CREATED
        self._error = ""  # why it did not start
        self._fault = ""  # what went wrong since
        self._process: subprocess.Popen[bytes] | None = None
        self._wire: Wire | None = None
        self._memory: Memory | None = None
        self._mem: np.ndarray | None = None
        self._arena: Arena | None = None
        self._rows = self._plan.rows
        self._version_rows: dict[tuple[int, int], np.ndarray] = {}  # where a swapped strategy keeps its state
        self._path: Path | None = None
        self._run: int | None = None  # of the journal: a store may hold earlier runs as well
        self._journal_reader: Reader | None = None
        self._last: dict[str, Any] | None = None
        self._views: Any = None  # of the notebook, once asked for
        self._answers: dict[int, Any] = {}
        self._number = 0
        self._silent = False  # the listener has heard the last of the host
        self._lock = threading.Lock()
        self._news = threading.Condition()
        self._finalizer: weakref.finalize[Any, Engine] | None = None
        replace_rerun(self)

    # -- life --------------------------------------------------------------------------------------------------------

    def start(self) -> Self:
        """Start the run in other processes and return at once; `wait` or `status` tell when it runs."""
        if self._state is not RunState.CREATED:
            raise EngineError(f"this engine is {self.status.state}: an engine runs once, make a new one")
        if sys.platform == "win32":
            raise EngineError(
                "live engines need Linux or macOS; on Windows run Python inside WSL2 (backtests run here)"
            )
        if self._store is not None:
            check_store(self._store.absolute())
        folder = run_folder()
        self._path = (self._store or folder / "journal.db").absolute()
        try:
            spec = packed_strategies(self._spec(), self._codes)
        except Exception as error:  # whatever a user's object raises when it is pickled
            shutil.rmtree(folder, ignore_errors=True)
            raise InputError(unsendable(self._traders, self._feed, self._broker, error)) from error
        ours, self._process, self._log = launch(folder)
        self._wire = ours
        self._state = RunState.STARTING
        self._finalizer = weakref.finalize(self, release, ours, self._process, folder)
        with contextlib.suppress(OSError):  # it died at once: the listener will find out
            ours.send_packed(spec)
        threading.Thread(target=_listen, args=(weakref.ref(self), ours), name="pairsim-handle", daemon=True).start()
        return self

    def _spec(self) -> Spec:
        return Spec(
            self._traders, tuple(self._codes), self._feed, self._broker, self._cash, self._risk, self._instruments,
            self._workers, str(self._path), self._sizes,
            {"traders": [repr(t) for t in self._traders], "feed": display.port(self._feed),
             "broker": display.port(self._broker), "cash": self._cash, "risk": repr(self._risk), "pin": self._pin},
        )  # fmt: skip

    def stop(self, *, flatten: bool = False) -> Self:
        """End the run in order: stop the feed, drain, expire working orders, settle; positions are kept unless
        ``flatten``.

        Everything stays readable afterwards. Stopping again is harmless.

        Raises
        ------
        EngineError : the host did not end the run in order, and was killed; what it had journalled is there.
        """
        if self._state is RunState.CREATED or self._process is None:
            self._state = RunState.STOPPED
            return self
        if self.status.state is RunState.STARTING:
            self._abandon()
            return self
        failure = None
        if self._process.poll() is None and self._last is None and not self._error:
            try:
                self._last = self._ask("stop", flatten)
            except EngineDied:
                pass
            except EngineError as error:
                failure = error
                self._process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        if self._wire is not None:
            self._wire.close()
        if failure is not None:
            raise failure
        if flatten and (held := int((self.portfolio.positions["quantity"] != 0).sum())):
            warnings.warn(
                f"{held} position(s) are still open: no further candle came to fill the orders that close them; see "
                "engine.portfolio.positions",
                RuntimeWarning,
                stacklevel=2,
            )
        return self

    def _abandon(self) -> None:
        """Stop a run that has not begun: nothing has traded, and a host that compiles would not answer for long."""
        assert self._process is not None and self._wire is not None
        self._process.kill()  # what it started ends with it
        self._process.wait()
        self._wire.close()
        self._state, self._error = RunState.STOPPED, "stopped before it ran: it has no orders"

    def wait(self, seconds: float | None = None) -> RunState:
        """Wait until the run is running, however long compiling takes; then ``seconds``, or until it finished or
        failed.

        Returns the state. None waits for the end of the data.

        Raises
        ------
        EngineError : it was never started, or could not start.
        """
        if self._state is RunState.CREATED:
            raise EngineError("the engine was not started; call start() first")
        self._wait_running()
        deadline = None if seconds is None else clock.monotonic_ns() + int(seconds * 1e9)
        while (state := self.status.state) in (RunState.RUNNING, RunState.PAUSED):
            left = 0.02 if deadline is None else (deadline - clock.monotonic_ns()) / 1e9
            if left <= 0:
                break
            time.sleep(min(left, 0.02))
        return state

    def __enter__(self) -> Self:
        return self.start() if self._state is RunState.CREATED else self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # -- what is going on --------------------------------------------------------------------------------------------

    @property
    def status(self) -> Status:
        """State, trading and the main counters, from shared memory."""
        mem = self._mem
        if mem is None or self._state is RunState.STOPPED:  # stopped by us before it ran
            return Status(self._state, Trading.ACTIVE, 0, 0, 0, 0, 0, self._error)
        state = STATES[int(mem[H_STATE])]
        error = self._error or self._fault
        if self._died() and state not in (RunState.STOPPED, RunState.FAILED):
            state, error = RunState.FAILED, error or self._death()
        if state is RunState.FAILED and not error:
            error = self._reason()
        return Status(
            state, TRADINGS[int(mem[H_TRADING])], int(mem[H_FEED_TIME]), int(mem[H_DISPATCHED]), int(mem[H_ORDERS]),
            int(mem[H_FILLS]),
            int(mem[H_OPEN]), error,
        )  # fmt: skip

    @property
    def portfolio(self) -> Portfolio:
        """Cash, equity and positions at one moment."""
        if self._mem is None or self._arena is None:
            return Portfolio(self._cash, self._cash, self._plan)
        return read_portfolio(self._mem, self._arena, self._plan)

    @property
    def orders(self) -> "pl.DataFrame":
        """Every order, newest last; the columns stand in `pairsim.store.reader.Reader.orders`."""
        return self._reader().orders()

    @property
    def fills(self) -> "pl.DataFrame":
        """Every fill, newest last; the columns stand in `pairsim.store.reader.Reader.fills`."""
        return self._reader().fills()

    @property
    def equity(self) -> "pl.DataFrame":
        """Equity over feed time: at each slice in lockstep, else at fills and ten times a second."""
        return self._reader().equity()

    def candles(self, symbol: str, every: "Interval | None" = None) -> "pl.DataFrame":
        """The last closed candles of a market, at most 2,047, as the machine keeps them while it runs.

        Parameters
        ----------
        symbol : a market of this engine.
        every : the length of the candles, one that a trader of the market decides on; None takes the shortest.

        Returns
        -------
        timestamp (open time, UTC), symbol, open, high, low, close, volume.

        Raises
        ------
        InputError : no trader has that market, or none decides on candles of that length.
        """
        from pairsim.engine.candles import candles_frame

        return candles_frame(self._mem, self._arena, self._plan, symbol, every)

    @property
    def metrics(self) -> Metrics:
        """Candles, channels and latencies."""
        told = self._last
        if (
            told is None
            and self._state is not RunState.CREATED
            and self.status.state is not RunState.STARTING
            and not self._died()
        ):
            with contextlib.suppress(EngineDied):
                told = self._ask("metrics")
        return measure(self._mem, self._arena, self._rows, told)

    @property
    def traders(self) -> tuple[TraderHandle, ...]:
        """A handle a trader."""
        return tuple(TraderHandle(self, t) for t in range(len(self._traders)))

    def __getitem__(self, name: str) -> TraderHandle:
        for t, trader in enumerate(self._traders):
            if trader.name == name:
                return TraderHandle(self, t)
        raise InputError(
            f"no trader is called {name!r}; this engine has {', '.join(repr(t.name) for t in self._traders)}"
        )

    def __iter__(self) -> Any:
        raise TypeError("an engine is not iterable; use engine.traders")

    def _ipython_key_completions_(self) -> list[str]:
        return [t.name for t in self._traders]

    def backtest(self, bars: Any) -> Any:
        """The same traders, broker, instruments and cash over a history, started or not; see `pairsim.backtest`.

        Parameters
        ----------
        bars : candles of the markets traded, a frame, file or table as `pairsim.load` takes it.

        Returns
        -------
        pairsim.Result
        """
        return behind("backtest")(self, bars)

    # -- the notebook ------------------------------------------------------------------------------------------------

    def dashboard(self, market: str | None = None) -> Any:
        """Everything live in a cell: equity, PnL, candles with fills, orders, positions, traders, channels, controls.

        Any number of dashboards may be open, and closing them never touches trading. Started or not, ended or not.

        Parameters
        ----------
        market : whose candles are shown first; it can be chosen there.
        """
        return behind("dashboard")(self, market)

    @property
    def view(self) -> Any:
        """The parts of the dashboard one by one: ``engine.view.equity()``, ``.candles("BTC/USDT")``, ``.orders()`` …"""
        return behind("view")(self)

    def report(self, path: "str | os.PathLike[str]") -> None:
        """Write the run so far into one HTML file that needs no network: charts, positions, orders, traders."""
        behind("report")(self, path)

    # -- commands ----------------------------------------------------------------------------------------------------

    def pause(self) -> None:
        """Hold the feed; orders under way go on."""
        self._ask("pause")

    def resume(self) -> None:
        """Let the feed go on."""
        self._ask("resume")

    def halt(self) -> int:
        """Kill switch: cancel every working order and let none pass until `unhalt`. Returns how many were canceled."""
        return int(self._ask("halt"))

    def unhalt(self) -> None:
        """Let orders pass again."""
        self._ask("unhalt")

    def flatten(self) -> int:
        """Send a market order against every position. Returns how many."""
        return int(self._ask("flatten"))

    # -- talking to the host -----------------------------------------------------------------------------------------

    def _wait_started(self) -> None:
        with self._news:
            self._news.wait_for(lambda: self._mem is not None or self._error != "" or self._silent, None)
        if self._mem is None or self._error:
            raise error_of(self._error or self._death())

    def _wait_running(self) -> None:
        """Wait until the host answers, however long it compiles."""
        self._wait_started()
        while self.status.state is RunState.STARTING:
            time.sleep(0.005)
        self._wait_started()

    def _ask(self, name: str, *arguments: Any) -> Any:
        if self._state is RunState.CREATED:
            raise EngineError(f"{name} needs a running engine; call start() first")
        if self._last is not None:
            raise EngineError(f"{name} needs a running engine; this one is {self.status.state}")
        self._wait_running()
        assert self._wire is not None
        with self._lock:
            self._number += 1
            number = self._number
            try:
                # The arguments are unpacked by who answers: what cannot be unpacked there is an answer too.
                codes = [a for a in arguments if isinstance(a, StrategyCode)]
                self._wire.send((number, name, packed_strategies(arguments, codes)))
            except OSError:
                raise EngineDied(self._death()) from None
        with self._news:
            if not self._news.wait_for(lambda: number in self._answers or self._silent, ANSWER_SECONDS):
                raise EngineError(
                    f"the host did not answer {name!r} within {ANSWER_SECONDS:g} s; its log is {self._log}"
                )
            if number not in self._answers:
                raise EngineDied(self._death())
            what, value, text = self._answers.pop(number)
        if what == "error":
            raise getattr(errors, value, EngineError)(text)
        return value

    def _died(self) -> bool:
        return self._process is not None and self._process.poll() is not None

    def _reason(self) -> str:
        """Why the run failed: the state is seen at once, what the host says of it comes over the wire."""
        with self._news:
            self._news.wait_for(lambda: self._fault or self._silent, REASON_SECONDS)
        return self._fault

    def _death(self) -> str:
        code = self._process.poll() if self._process is not None else None
        tail = ""
        with contextlib.suppress(OSError):
            tail = self._log.read_text(errors="replace").strip()[-500:]
        return f"the host process has ended (exit status {code}); what was journalled is kept" + (
            f". It said: {tail}" if tail else ""
        )

    def _failures(self) -> dict[int, tuple[str, str]]:
        """Message and traceback of the traders that failed, by index."""
        if self._last is not None:
            return dict(self._last.get("health", {}))
        with contextlib.suppress(EngineError):
            return dict(self._ask("health"))
        return {}

    def _reader(self) -> "Reader":
        from pairsim.store.reader import Reader

        if self._path is None:
            raise EngineError("the engine was not started: there are no orders yet; call start()")
        self._wait_started()
        if self._journal_reader is None:  # kept: it fetches only what is new since the last look
            self._journal_reader = Reader(self._path, run=self._run)
        return self._journal_reader

    def __repr__(self) -> str:
        return display.text(self)

    def _repr_html_(self) -> str:
        return display.html(self)


def _listen(handle: "weakref.ref[Engine]", wire: Wire) -> None:
    """Receive what the host says, without keeping the engine alive."""
    while True:
        try:
            message = wire.receive()
        except (EOFError, OSError, ValueError):
            message = None
        engine = handle()
        if engine is None:
            return
        with engine._news:
            if message is None:
                if engine._process is not None:
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        engine._process.wait(2)
                engine._silent = True
                engine._news.notify_all()
                return
            if message[0] == "started":
                _, arena, rows, _, _, path, run = message
                memory = Memory.attach(wire.take_fds(1)[0])
                engine._memory, engine._arena, engine._rows, engine._path = memory, arena, rows, Path(path)
                engine._run = run
                engine._mem = memory.words
            elif message[0] == "refused":
                _, kind, text, _ = message
                engine._error = f"{kind}: {text}"
                engine._state = RunState.FAILED
            elif message[0] == "fault":
                engine._fault = message[1]
            else:
                engine._answers[message[0]] = message[1:]
            engine._news.notify_all()
        del engine
