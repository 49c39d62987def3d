"""What an engine may ask of its host: each command is a method ``do_<name>`` and answers with what it returns.

They run on a thread of their own, one after the other; what concerns candles is done by the feed thread between two of
them, what concerns orders by the order engine's loop.
"""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from pairsim import clock
from pairsim.engine.arena import H_OPEN, H_TRADING
from pairsim.engine.status import RunState
from pairsim.engine.swapping import Swapper
from pairsim.engine.worker_loop import PAUSE, RESUME
from pairsim.errors import EngineError
from pairsim.orders import matching
from pairsim.orders.checks import ACTIVE, HALT
from pairsim.orders.order import Status
from pairsim.strategies.compiler import StrategyCode

if TYPE_CHECKING:
    from pairsim.engine.hosting import Host

STOP_SECONDS = 3.0  # how long a broker may take for what it has been asked already


class Commands:
    """Made by the host when its run is set up."""

    def __init__(self, host: "Host") -> None:
        self.host = host
        self.swapper = Swapper(host)

    def in_feed(self, work: Callable[[], Any], timeout: float = 10.0) -> Any:
        """What ``work`` returns on the feed thread, between two candles; given up whole or not at all."""
        future = self.host.feed.call(work)
        try:
            return future.result(timeout)
        except TimeoutError:
            if not future.cancel():
                return future.result(timeout)
            raise EngineError(
                f"the feed was not between two candles within {timeout:g} s, nothing was changed: it waits for its "
                f"next candle, or for a worker that takes none; look at engine.metrics.channels, then try again"
            ) from None

    def _must_run(self) -> None:
        if self.host.state not in (RunState.RUNNING, RunState.PAUSED, RunState.FINISHED):
            raise EngineError(f"the run is {self.host.state}" + (f" ({self.host.error})" if self.host.error else ""))

    def do_pause(self) -> None:
        """Stop taking candles from the feed."""
        self._must_run()
        if self.host.state is RunState.RUNNING:
            self.host.feed.paused = True
            self.host.set_state(RunState.PAUSED)
            self.host.journal_control(None, None, "pause", "{}")

    def do_resume(self) -> None:
        """Go on where `do_pause` stopped."""
        self._must_run()
        self.host.feed.paused = False
        if self.host.state is RunState.PAUSED:
            self.host.set_state(RunState.RUNNING)
            self.host.journal_control(None, None, "resume", "{}")

    def do_halt(self) -> int:
        """Latch the kill switch and take every working order out; returns how many there were."""
        self.host.mem[H_TRADING] = HALT
        if self.host.orders.error:
            raise EngineError(
                f"trading is halted, but what works at the broker cannot be canceled: {self.host.orders.error}"
            )
        count = int(self.host.orders.call(self.host.orders.halt).result(10))
        self.host.journal_control(None, None, "halt", "{}")
        return count

    def do_unhalt(self) -> None:
        """Let orders pass again."""
        if self.host.orders.error:
            raise EngineError(f"trading cannot go on: {self.host.orders.error}")
        self.host.mem[H_TRADING] = ACTIVE
        self.host.journal_control(None, None, "unhalt", "{}")

    def do_flatten(self) -> int:
        """A market order against every position; returns how many."""
        self._must_run()
        count = int(self.host.orders.call(self.host.orders.flatten).result(10))
        self.host.journal_control(None, None, "flatten", "{}")
        return count

    def do_trader(self, trader: int, what: str) -> None:
        """Pause or resume one trader."""
        self._must_run()
        kind = PAUSE if what == "pause" else RESUME

        def send() -> tuple[int, int]:
            if kind == RESUME:
                self.host.health.pop(trader, None)  # before it: the trader may fail again at once
            return self.host.feed.send_control(trader, kind)

        self.host.journal_control(self.in_feed(send), trader, what, "{}")

    def do_tune(self, trader: int, code: StrategyCode, values: dict[str, float]) -> tuple[int, np.ndarray] | None:
        """New parameters for a trader."""
        self._must_run()
        return self.swapper.tune(trader, code, values)

    def do_swap(self, trader: int, code: StrategyCode) -> tuple[int, np.ndarray]:
        """A new strategy for a trader."""
        self._must_run()
        return self.swapper.swap(trader, code)

    def do_health(self) -> dict[int, tuple[str, str]]:
        """Message and traceback of the traders that failed."""
        return dict(self.host.health)

    def do_strategies(self) -> list[StrategyCode]:
        """The strategy each trader runs now."""
        return list(self.host.codes)

    def do_metrics(self) -> dict[str, Any]:
        """Latencies and what only this process knows; the counters are in shared memory."""
        orders = self.host.orders
        return {
            "tick_to_order": list(orders.tick_to_order),
            "order_to_durable": list(orders.order_to_durable),
            "order_to_fill": list(orders.books.order_to_fill),
            "journal": self.host.journal.stats(),
            "restarts": self.host.pool.restarts,
            "replaced_ms": list(self.host.pool.replaced_ms),
            "error": self.host.error or orders.error,
            "quarantined": self.host.feed.quarantine.rows,
        }

    def do_stop(self, flatten: bool) -> dict[str, Any]:
        """End in order: flatten if asked, stop the feed, drain, settle, close the journal."""
        if flatten and self.host.state in (RunState.RUNNING, RunState.PAUSED):
            self.host.feed.paused = False
            self._flat(10.0)
        failed = self.host.state is RunState.FAILED
        self.host.feed.stop()
        if not self.host.orders.error:
            self.host.settle_orders(STOP_SECONDS)
        last = self.do_metrics()
        last["health"] = self.do_health()
        self.host.stopping = True
        self.host.orders.stop()
        if self.host.journal.failed is None:
            self.host.journal.close()
        if not failed:
            self.host.set_state(RunState.STOPPED)
        return last

    def _flat(self, timeout: float) -> None:
        """Close every position and wait for the fills."""
        self.host.mem[H_TRADING] = HALT
        self.host.quiet(2.0)
        self.host.orders.call(lambda: self.host.orders.end_all(Status.CANCELED, matching.STOPPED)).result(10)
        count = self.host.orders.call(self.host.orders.flatten).result(10)
        deadline = clock.monotonic_ns() + int(timeout * 1e9)
        while count and self.host.mem[H_OPEN] > 0 and clock.monotonic_ns() < deadline:
            time.sleep(0.01)
