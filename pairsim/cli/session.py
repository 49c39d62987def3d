"""One run of the demo in a terminal or a log: start, watch, end in order, sum up.

In a terminal the view has the alternate screen, so that what stood there before stands there after; anywhere else the
run is told in plain lines without control codes.
"""

import contextlib
import logging
import logging.handlers
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import TYPE_CHECKING, TypeAlias

from rich.console import Console
from rich.live import Live
from rich.text import Text

from pairsim import clock
from pairsim.cli import formats
from pairsim.cli.demo import CASH, Options, make_engine, make_feed, make_traders
from pairsim.engine.status import RunState

if TYPE_CHECKING:
    from pairsim.cli.observation import Observation, Observer
    from pairsim.engine.engine import Engine

log = logging.getLogger("pairsim.cli")

FRAMES_PER_SECOND = 8
LINES_EVERY = 5.0  # seconds between two plain lines; a short run has six of them
COMPILING = "compiling kernels, first run only"
ENDED, FAILED, INTERRUPTED = 0, 1, 130

Show: TypeAlias = "Callable[[Observation], None]"


def run_demo(options: Options, console: Console) -> int:
    """Run it; returns the exit status.

    Raises
    ------
    PairsimError : it could not start.
    """
    live = console.is_terminal and not console.is_dumb_terminal
    if not live:
        console.print(
            f"pairsim demo: {formats.count_of(len(options.markets), 'market')} for {options.seconds:g} s at speed "
            f"{formats.factor(options.speed)}, seed {options.seed}"
        )
    with Interruptions() as interrupted:
        try:
            with Starting(console, animated=live) as line:
                engine, observer, opening_ns = _start(options, line, interrupted)
        except KeyboardInterrupt:
            console.print("ended before the run began; nothing was traded")
            return INTERRUPTED
        log.info("running: %r", engine)
        interrupted.orderly = True
        try:
            with drawing(console, options) if live else telling(console, options) as show:
                seen = watch(observer, options, interrupted, show)
        finally:
            engine.stop()
        log.info("stopped: %s", engine.status)
    last = observer.look(everything=True)
    from pairsim.cli.summary import summary

    for part in summary(last, seen.elapsed, options, (last.feed_time_ns - opening_ns) / 1e9):
        console.print(part, soft_wrap=isinstance(part, Text))
    return FAILED if last.state is RunState.FAILED else ENDED


def _start(options: Options, line: "Starting", interrupted: "Interruptions") -> "tuple[Engine, Observer, int]":
    """A running engine, an observer of it, and the feed time at which it began."""
    # Imported here, when a line already tells that something goes on; polars while the host starts, which takes longer.
    from pairsim.cli.observation import Observer
    from pairsim.engine.warming import kernels_on_disk

    if not kernels_on_disk():
        line.compiling()
    feed, traders = make_feed(options), make_traders(options.markets)
    engine = make_engine(options, feed)
    engine.start()
    try:
        import polars  # noqa: F401

        while engine.status.state is RunState.STARTING:
            if interrupted.asked.wait(0.05):  # its KeyboardInterrupt may have been lost in a callback
                raise KeyboardInterrupt
        engine.wait(0)
        return engine, Observer(engine, traders, CASH), feed.start_time
    except BaseException:
        engine.stop()
        raise


class Interruptions:
    """Ctrl-C and SIGTERM while in use set `asked` and interrupt; with ``orderly`` the first only sets it."""

    def __init__(self) -> None:
        self.orderly = False
        self.asked = threading.Event()
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> "Interruptions":
        if threading.current_thread() is threading.main_thread():  # nobody else may handle signals
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what signal.signal returned

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        again = self.asked.is_set()
        self.asked.set()
        if again or not self.orderly:
            raise KeyboardInterrupt


def watch(observer: "Observer", options: Options, interrupted: Interruptions, show: Show) -> "Observation":
    """Look and show until the time is up, the run has ended or the user wants it to; returns the last look."""
    while True:
        began = clock.monotonic_ns()
        seen = observer.look()
        show(seen)
        left = options.seconds - seen.elapsed
        if left <= 0 or seen.state not in (RunState.RUNNING, RunState.PAUSED):
            return seen
        took = (clock.monotonic_ns() - began) / 1e9
        if interrupted.asked.wait(min(left, max(0.01, 1 / FRAMES_PER_SECOND - took))):
            return observer.look()


class Starting:
    """What stands there until the run runs: a line that lives in a terminal, elsewhere one that is printed."""

    def __init__(self, console: Console, *, animated: bool) -> None:
        self._console = console
        self._status = console.status(self, spinner="line") if animated else None
        self._compiling_since: int | None = None

    def compiling(self) -> None:
        """From here on it takes long, and this is why."""
        self._compiling_since = clock.monotonic_ns()
        if self._status is None:
            self._console.print(f"{COMPILING} (about half a minute)")

    def __enter__(self) -> "Starting":
        if self._status is not None:
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._status is not None:
            self._status.stop()

    def __rich__(self) -> Text:
        if self._compiling_since is None:
            return Text("starting")
        return Text(f"{COMPILING} (about half a minute): {(clock.monotonic_ns() - self._compiling_since) / 1e9:.0f} s")


@contextlib.contextmanager
def drawing(console: Console, options: Options) -> Iterator[Show]:
    """The live view. What is logged meanwhile comes out after it."""
    from pairsim.cli.screen import screen

    ascii_only = not (console.encoding or "").lower().startswith("utf")
    with logs_held_back(), Live(console=console, screen=True, auto_refresh=False) as live:

        def show(seen: "Observation") -> None:
            width, height = console.size
            live.update(screen(seen, options, width, height, ascii_only=ascii_only), refresh=True)

        yield show


@contextlib.contextmanager
def telling(console: Console, options: Options) -> Iterator[Show]:
    """A plain line every few seconds."""
    every = min(LINES_EVERY, max(1.0, options.seconds / 6))
    due = 0.0

    def show(seen: "Observation") -> None:
        nonlocal due
        if seen.elapsed >= due:
            due = seen.elapsed - seen.elapsed % every + every
            console.print(told(seen), soft_wrap=True, highlight=False)

    yield show


def told(seen: "Observation") -> str:
    """A run at one moment as a line."""
    parts = [
        f"{seen.elapsed:5.1f} s  {seen.state}, trading {seen.trading}",
        f"feed {formats.moment(seen.feed_time_ns)}",
        formats.count_of(seen.candles, "candle"),
        formats.count_of(seen.orders, "order"),
        formats.count_of(seen.fills, "fill"),
        f"equity {formats.money(seen.equity)} {seen.currency}",
        f"PnL {formats.signed(seen.pnl)}",
    ]
    return ", ".join(parts) + (f"; {seen.error}" if seen.error else "")


@contextlib.contextmanager
def logs_held_back() -> Iterator[None]:
    """Keep what is logged out of the view, and hand it on afterwards."""
    logger = logging.getLogger("pairsim")
    handlers = logger.handlers[:]
    kept = [logging.handlers.MemoryHandler(10_000, flushLevel=logging.CRITICAL + 1, target=h) for h in handlers]
    logger.handlers[:] = kept
    try:
        yield
    finally:
        logger.handlers[:] = handlers
        for handler in kept:
            handler.close()


@contextlib.contextmanager
def logs_shown(verbosity: int) -> Iterator[None]:
    """The package's log on standard error: warnings, with ``-v`` what happens, with ``-vv`` everything."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logger = logging.getLogger("pairsim")
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel((logging.WARNING, logging.INFO, logging.DEBUG)[min(verbosity, 2)])
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
