"""What a run measures of itself: counters, channels, latencies. Pure: from words and samples to values."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pairsim.channels.ring import ring_stats
from pairsim.engine.arena import (
    H_DENIED,
    H_DISPATCHED,
    H_DUPLICATES,
    H_FILLS,
    H_LATE,
    H_ORDERS,
    H_QUARANTINED,
    W_DECISIONS,
    W_EVALUATED,
    W_FAILURES,
    W_HANDLED,
    W_REPLAYS,
    WORKER_WORDS,
    Arena,
)


@dataclass(frozen=True)
class Latency:
    """Quantiles of the last samples, in microseconds; NaN before the first."""

    samples: int
    p50_us: float
    p99_us: float

    def __str__(self) -> str:
        return f"p50 {self.p50_us:,.0f} us, p99 {self.p99_us:,.0f} us ({self.samples:,})"


@dataclass(frozen=True)
class Metrics:
    """Counters of a run.

    candles : dispatched by the feed. handled, evaluated, decisions : by the workers, all together. channels : by
        name, depth, high-water mark, capacity, pushed, popped, stalls and ns blocked. Latencies: from a candle's
        publication to its order's, from there to durable intent, and to the booked fill.
    """

    candles: int = 0
    handled: int = 0
    evaluated: int = 0
    decisions: int = 0
    failures: int = 0
    orders: int = 0
    fills: int = 0
    denied: int = 0
    late: int = 0
    duplicates: int = 0
    quarantined: int = 0
    worker_restarts: int = 0
    replays: int = 0
    channels: dict[str, dict[str, int]] = field(default_factory=dict)
    tick_to_order: Latency = Latency(0, float("nan"), float("nan"))
    order_to_durable: Latency = Latency(0, float("nan"), float("nan"))
    order_to_fill: Latency = Latency(0, float("nan"), float("nan"))
    replaced_ms: tuple[float, ...] = ()
    journal: Any = None


def measure(mem: np.ndarray | None, arena: Arena | None, rows: np.ndarray, told: dict[str, Any] | None) -> Metrics:
    """Metrics from shared memory and from what the host told last."""
    if mem is None or arena is None:
        return Metrics()
    cells = (
        mem[arena.worker_cells : arena.worker_cells + arena.workers * WORKER_WORDS]
        .reshape(arena.workers, WORKER_WORDS)
        .sum(axis=0)
    )
    channels = {}
    for w in range(arena.workers):
        channels[f"candles to worker {w}"] = ring_stats(mem, arena.candle_rings[w])
        channels[f"orders of worker {w}"] = ring_stats(mem, arena.order_rings[w])
    channels["gate to order engine"] = ring_stats(mem, arena.gate_ring)
    channels["candles to broker"] = ring_stats(mem, arena.broker_ring)
    told = told or {}
    return Metrics(
        candles=int(mem[H_DISPATCHED]),
        handled=int(cells[W_HANDLED]),
        evaluated=int(cells[W_EVALUATED]),
        decisions=int(cells[W_DECISIONS]),
        failures=int(cells[W_FAILURES]),
        orders=int(mem[H_ORDERS]),
        fills=int(mem[H_FILLS]),
        denied=int(mem[H_DENIED]),
        late=int(mem[H_LATE]),
        duplicates=int(mem[H_DUPLICATES]),
        quarantined=int(mem[H_QUARANTINED]),
        worker_restarts=int(told.get("restarts", 0)),
        replays=int(cells[W_REPLAYS]),
        channels=channels,
        tick_to_order=latency(told.get("tick_to_order", [])),
        order_to_durable=latency(told.get("order_to_durable", [])),
        order_to_fill=latency(told.get("order_to_fill", [])),
        replaced_ms=tuple(told.get("replaced_ms", ())),
        journal=told.get("journal"),
    )


def latency(samples_ns: list[int]) -> Latency:
    """Quantiles of samples in ns."""
    if not samples_ns:
        return Latency(0, float("nan"), float("nan"))
    p50, p99 = np.quantile(np.array(samples_ns), [0.5, 0.99]) / 1000.0
    return Latency(len(samples_ns), float(p50), float(p99))
