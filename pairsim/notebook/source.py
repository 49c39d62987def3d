"""What feeds the views of one engine: a thread that looks at the run ten times a second and shows panels what it saw.

Rule: it observes. It reads shared memory and, read-only, the journal; it never raises into anyone: what goes wrong in
a panel is said in that panel. It needs nothing of the kernel's loop, and takes at most a thirtieth of a core.
"""

import contextlib
import logging
import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from pairsim import clock
from pairsim.engine.candles import intervals_of, read_candles
from pairsim.engine.metrics import Metrics
from pairsim.engine.status import RunState
from pairsim.errors import PairsimError
from pairsim.notebook.history import Fills, FloatArray, History, TimeArray, profit_over_time
from pairsim.notebook.look import Look, Looker
from pairsim.notebook.order_log import OrderLog
from pairsim.notebook.views import together

if TYPE_CHECKING:
    from pairsim.engine.engine import Engine
    from pairsim.store.reader import Reader

log = logging.getLogger("pairsim.notebook")

PERIOD_NS: Final = 100_000_000
SHARE: Final = 33  # of this many nanoseconds one is used; what costs more is looked at less often
LONGEST_NS: Final = 2_000_000_000
ANSWER: Final = 2.0  # seconds
TURN: Final = 0.001  # seconds
# The journal is read when counters have moved, at most and at least so often: it is a third of what looks cost, and of
# the times that they let go of the GIL, which a cell that computes gives back when its turn is over.
JOURNAL_LEAST_NS: Final = 250_000_000
JOURNAL_NS: Final = 1_000_000_000
TOLD_NS: Final = 2_000_000_000  # latencies are a question to the host
PAST_FILLS: Final = 200_000  # of more, PnL by trader is not made up for the time before the first view


class Panel(Protocol):
    """A part of a dashboard. Its methods are called by one thread at a time."""

    @property
    def gone(self) -> bool:
        """Whether its widget has been closed."""

    def refresh(self, look: Look) -> None:
        """Show what was seen."""

    def final(self) -> None:
        """Nothing more will come: stay as the last picture."""

    def fault(self, text: str) -> None:
        """Say what went wrong; empty: nothing any more."""


class Pace:
    """When to look next: on a beat, so that a look that had to wait for the GIL does not delay the ones after it.

    What a look costs is its own processor time, on average: one that reads the journal takes thrice as much as others.
    """

    def __init__(self, now: int) -> None:
        self._due, self._cost = now, 0.0

    def rest(self, now: int, used: int) -> float:
        """Seconds until the next look, 0 when it is late; ``used``: ns of processor time of this one."""
        self._cost += (used - self._cost) / 8
        period = min(max(PERIOD_NS, self._cost * SHARE), LONGEST_NS)
        self._due = max(self._due + int(period), now)
        return (self._due - now) / 1e9


class Source:
    """The one of an engine, shared by all its dashboards and single panels; its thread lives while there are any.

    Attributes
    ----------
    history : equity, then PnL of each trader, over feed time, since the start of the run as far as it is known.
    orders : the last orders and fills, and the last failure of each trader.
    told : what only the host knows, such as latencies; asked for while `listeners` is above 0.
    """

    def __init__(self, engine: "Engine") -> None:
        self.engine = engine
        self.orders = OrderLog(engine._plan)
        self.history = History(1 + len(engine._traders))
        self.told = Metrics()
        self.listeners = 0
        self.passes = 0  # for tests and benchmarks
        self._looker = Looker(engine)
        self._look: Look | None = None
        self._panels: list[Panel] = []
        self.lock = threading.RLock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._asking, self._asked_at = threading.Thread(), 0
        self.journal: Reader | None = None
        self._journal_at = 0
        self._counters: tuple[int, ...] = ()
        self._past_known = False

    @property
    def look(self) -> Look:
        """What was seen last."""
        with self.lock:
            if self._look is None:
                self.observe()
            assert self._look is not None
            return self._look

    def points(self) -> tuple[TimeArray, FloatArray]:
        """Equity and PnL by trader up to now: times int64[n], values float64[n, 1 + traders]."""
        with self.lock:
            if self._thread is None:
                self.observe()
            return self.history.points()

    def add(self, panel: Panel) -> None:
        """Show the run in a panel: at once, and from now on."""
        with self.lock:
            if self._thread is None:
                self.observe()
            self._panels.append(panel)
            self.show(panel, self.look)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="pairsim-views", daemon=True)
                self._thread.start()

    def remove(self, panel: Panel) -> None:
        """Forget a panel."""
        with self.lock, contextlib.suppress(ValueError):
            self._panels.remove(panel)
        self._wake.set()

    # -- the thread --------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        with _quick_turns():
            self._follow()

    def _follow(self) -> None:
        pace = Pace(clock.monotonic_ns())
        while True:
            began = clock.thread_ns()
            with self.lock:
                self._panels = [panel for panel in self._panels if not panel.gone]
                try:
                    if not self._panels or self._pass():
                        self._panels.clear()
                        self._thread = None
                        return
                except Exception as error:  # the edge of the thread: said in every view, and tried again
                    for panel in self._panels:
                        self._say(panel, error)
            self._wake.wait(pace.rest(clock.monotonic_ns(), clock.thread_ns() - began))
            self._wake.clear()

    def _pass(self) -> bool:
        """Look at the run and show it; whether that was the last time."""
        self.observe()
        look = self.look
        with together():
            for panel in list(self._panels):
                self.show(panel, look)
        if look.ended:
            self._finish()
            return True
        if self.listeners and not self._asking.is_alive() and clock.monotonic_ns() - self._asked_at > TOLD_NS:
            self._asking, self._asked_at = threading.Thread(target=self._ask, daemon=True), clock.monotonic_ns()
            self._asking.start()
        self.passes += 1
        return False

    def _finish(self) -> None:
        """The end of the run: all that the journal has, the last latencies, and the final pictures."""
        try:
            self.read_all()
        except PairsimError as error:  # damaged by what ended the run: what was read stands
            log.debug("the journal could not be read to its end: %s", error)
        asking = threading.Thread(target=self._ask, daemon=True)
        asking.start()
        asking.join(ANSWER)  # a host that hangs must not hold up whoever waits for this lock
        self.observe(everything=True)
        for panel in self._panels:
            self.show(panel, self.look)
            self._guarded(panel, panel.final)

    def _ask(self) -> None:
        """One question to the host, in a thread of its own: a host that is busy must not stop the views."""
        try:
            self.told = self.engine.metrics
        except PairsimError as error:
            log.debug("the host told no latencies: %s", error)

    def show(self, panel: Panel, look: Look | None = None) -> None:
        """Bring a panel up to date now; also after the end of the run."""
        seen = look or self.look
        if self._guarded(panel, lambda: panel.refresh(seen)):
            self._guarded(panel, lambda: panel.fault(""))

    def _guarded(self, panel: Panel, action: Any) -> bool:
        try:
            action()
        except Exception as error:
            self._say(panel, error)
            return False
        return True

    def _say(self, panel: Panel, error: Exception) -> None:
        log.debug("a panel could not be refreshed", exc_info=error)
        with contextlib.suppress(Exception):
            panel.fault(f"this view could not be refreshed: {type(error).__name__}: {error}")

    # -- looking -----------------------------------------------------------------------------------------------------

    def observe(self, *, everything: bool = False) -> None:
        """Look at the run; under the lock."""
        look = self._look = self._looker.look(everything=everything or (self._look is not None and self._look.ended))
        status = look.status
        counters = (status.orders, status.fills, status.open_orders, look.metrics.denied, look.metrics.failures)
        now = clock.monotonic_ns()
        waited = now - self._journal_at
        moved = counters != self._counters and waited > JOURNAL_LEAST_NS
        if moved or waited > JOURNAL_NS or look.ended or everything:
            self._counters, self._journal_at = counters, now
            try:
                self._read_journal()
            except PairsimError as error:  # busy, or its folder has gone with the handle: what was read stands
                log.debug("the journal could not be read: %s", error)
        if status.feed_time > self.history.last_time and status.state is not RunState.STARTING:
            self.history.add(status.feed_time, [look.equity, *look.pnl])
        elif look.ended and self.history.last_time:  # what was made up from fills ends at the truth
            self.history.amend([look.equity, *look.pnl])

    def read_all(self) -> None:
        """Take everything that the journal has; under the lock."""
        while self._read_journal():
            pass

    def _read_journal(self) -> bool:
        """Take what is new; whether there was anything. Nothing is there before the run has begun."""
        engine = self.engine
        if engine._mem is None or engine._path is None:
            return False
        if self.journal is None:
            from pairsim.store.reader import Reader

            self.journal = Reader(engine._path, run=engine._run)
        if not self._past_known:
            self._past_known = True
            self._recall(self.journal)
        return self.orders.read(self.journal)

    def _recall(self, journal: "Reader") -> None:
        """What has been before the first view: equity as it was marked, PnL by trader as fills and kept candles say."""
        marks, fills = _past(journal)
        if not len(marks):
            return
        marks = marks[self.history.chosen(len(marks))]
        values = np.full((len(marks), 1 + len(self.engine._traders)), np.nan)
        times, values[:, 0] = marks[:, 0].astype(np.int64), marks[:, 1]
        if 0 < len(fills) <= PAST_FILLS:
            plan = self.engine._plan
            scales = np.array([10.0**i.base_scale for i in plan.instruments])
            money = np.array([10.0**i.quote_scale for i in plan.instruments])
            booked, trader, market = fills[:, :3].astype(np.int64).T
            quantity = fills[:, 3] * fills[:, 4] / scales[market]
            known = Fills(booked, trader, market, quantity, fills[:, 5], fills[:, 6] / money[market])
            closes = {m: self._closes(m) for m in np.unique(market).tolist()}
            values[:, 1:] = profit_over_time(times, known, closes, len(plan.traders))
        elif not len(fills):
            values[:, 1:] = 0.0
        self.history.fill(times, values)

    def _closes(self, market: int) -> tuple[TimeArray, FloatArray]:
        """Close times and prices of a market's shortest candles, as far back as they are kept."""
        mem, arena = self.engine._mem, self.engine._arena
        assert mem is not None and arena is not None  # the run has begun
        every = intervals_of(arena, market)[0]
        opened, rows = read_candles(mem, arena, market, every)
        return opened + every, rows[:, 3]


@contextlib.contextmanager
def _quick_turns() -> Iterator[None]:
    """Threads of this kernel take turns every millisecond instead of every five: a cell that computes in plain Python
    keeps the GIL that long each time a look has let go of it, about five times a look.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(min(before, TURN))
    try:
        yield
    finally:
        if sys.getswitchinterval() == TURN:  # nobody else has changed it
            sys.setswitchinterval(before)


def _past(journal: "Reader") -> tuple[np.ndarray, np.ndarray]:
    """Marks (time, equity) and fills (time, trader, market, side, units, price, fee units), float64, times rising."""
    marks = _all(journal, "equity", (2, 3))
    fills = _all(journal, "fills", (4, 6, 7, 8, 9, 10, 12))
    if len(marks):
        marks = marks[np.concatenate([np.diff(marks[:, 0]) > 0, [True]])]  # the last of those with one time
    return marks, fills


def _all(journal: "Reader", table: str, columns: tuple[int, ...]) -> np.ndarray:
    parts, at = [np.zeros((0, len(columns)))], 0
    while True:
        rows, at = journal.since(table, at)
        if not rows:
            return np.concatenate(parts)
        parts.append(np.array([[row[k] for k in columns] for row in rows], np.float64))
