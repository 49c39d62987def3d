"""Words for what a run is doing, and the small values an engine answers with."""

from dataclasses import dataclass
from enum import StrEnum


class RunState(StrEnum):
    """Where a run is. ``finished``: a replay ended and every order is settled."""

    CREATED = "created"
    STARTING = "starting"
    RUNNING = "running"
    PAUSED = "paused"
    FINISHED = "finished"
    STOPPED = "stopped"
    FAILED = "failed"


STATES = list(RunState)  # the word in shared memory is the index


class Trading(StrEnum):
    """Whether orders pass: ``reduce_only`` lets positions shrink, ``halted`` lets nothing but cancels pass."""

    ACTIVE = "active"
    REDUCE_ONLY = "reduce_only"
    HALTED = "halted"


TRADINGS = list(Trading)


@dataclass(frozen=True)
class Status:
    """What the engine is doing now. ``feed_time`` is the close of the last candle (ns), 0 before the first."""

    state: RunState
    trading: Trading
    feed_time: int
    candles: int
    orders: int
    fills: int
    open_orders: int
    error: str = ""

    def __str__(self) -> str:
        text = (
            f"{self.state}, trading {self.trading}: {self.candles:,} candles, {self.orders:,} "
            f"orders, {self.fills:,} fills"
        )
        return f"{text}; {self.error}" if self.error else text


@dataclass(frozen=True)
class Health:
    """How a trader is. ``state`` is active, paused or failed; a failed one keeps its indicators going and emits
    nothing.
    """

    state: str
    evaluations: int
    decisions: int
    skipped: int
    errors: int
    message: str = ""
    traceback: str = ""

    def __str__(self) -> str:
        text = f"{self.state}: {self.evaluations:,} evaluations, {self.decisions:,} decisions, {self.errors} errors"
        return f"{text}; {self.message}" if self.message else text
