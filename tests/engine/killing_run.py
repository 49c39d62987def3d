"""Killing the workers of a run from outside, at moments spread over it, and reading what it left.

Rule: a kill counts only when a successor has begun; where it hit is known from the channels, which the dead can change
no more. Who kills sets the pace: the run goes on only when a successor has begun, and a worker is stood still before it
is killed, so neither depends on who is quicker.
"""

import os
import random
import select
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import numpy as np
import polars as pl
import psutil
from engine.killing_traders import Staged
from polars.testing import assert_frame_equal

import pairsim as ps
from pairsim.channels.ring import ring_stats
from pairsim.engine.arena import H_SLICES, W_READY, WORKER_WORDS, Arena
from pairsim.engine.layout import (
    A_CLOSES,
    A_VERSION,
    T_A,
    T_A_WORDS,
    T_B,
    T_B_WORDS,
    T_COMMIT,
    T_MARKETS,
    T_WINDOW,
    T_WINDOWS,
    record_offset,
)

T = TypeVar("T")
PATIENCE = 60.0  # seconds that anything may take on a busy machine


@dataclass
class Machine:
    """The processes and the memory of a running engine."""

    engine: ps.Engine
    mem: np.ndarray = field(init=False)
    arena: Arena = field(init=False)

    def __post_init__(self) -> None:
        assert self.engine._mem is not None and self.engine._arena is not None
        self.mem, self.arena = self.engine._mem, self.engine._arena

    @property
    def host(self) -> psutil.Process:
        assert self.engine._process is not None
        return psutil.Process(self.engine._process.pid)

    def processes(self) -> list[psutil.Process]:
        """All of them, the host first."""
        return [self.host, *self.host.children(recursive=True)]

    def named(self, name: str) -> psutil.Process | None:
        """The process that calls itself so now."""
        for process in self.host.children(recursive=True):
            try:
                if process.cmdline()[:1] == [name]:
                    return process
            except (psutil.Error, IndexError):
                continue
        return None

    def begun(self, worker: int) -> int:
        """How often this worker has begun."""
        return int(self.mem[self.arena.worker_cells + worker * WORKER_WORDS + W_READY])

    def in_hand(self, worker: int) -> int:
        """Records that this worker has been sent and has not released."""
        return ring_stats(self.mem, self.arena.candle_rings[worker])["depth"]

    def kill(self, worker: int, chance: random.Random, over: Callable[[], object]) -> int:
        """SIGKILL a worker, and wait for its successor; returns the records it had in hand.

        Two in three times as it is handed candles, plus a little, unless ``over`` says that no more will come; else at
        any time.
        """
        process = self.until(lambda: self.named(f"pairsim-worker-{worker}"), f"worker {worker} has a process")
        begun, victim = self.begun(worker), os.pidfd_open(process.pid)
        if chance.random() < 2 / 3:
            self._stand_still(victim, worker, chance.uniform(0.0, 300e-6), over)
        else:
            time.sleep(chance.uniform(0.0, 6e-3))
        signal.pidfd_send_signal(victim, signal.SIGKILL)
        assert select.select([victim], [], [], PATIENCE)[0], "a killed worker ends"
        os.close(victim)
        left = self.in_hand(worker)
        self.until(lambda: self.begun(worker) > begun, f"worker {worker} is replaced")
        return left

    def _stand_still(self, victim: int, worker: int, linger: float, over: Callable[[], object]) -> None:
        """Stop a worker that has records in hand, at any of its instructions: a SIGKILL then finds it there."""
        deadline = time.monotonic() + PATIENCE
        while True:
            while self.in_hand(worker) == 0 and not over():
                assert time.monotonic() < deadline, f"worker {worker} was handed nothing within {PATIENCE:g} s"
            end = time.perf_counter() + linger
            while time.perf_counter() < end:
                pass
            signal.pidfd_send_signal(victim, signal.SIGSTOP)
            if self.in_hand(worker) or over():
                return
            signal.pidfd_send_signal(victim, signal.SIGCONT)  # we came too late

    def until(self, reached: Callable[[], T | None], what: str) -> T:
        """Wait for something; the run must not fail meanwhile."""
        deadline = time.monotonic() + PATIENCE
        while not (found := reached()):
            assert self.engine.status.state != "failed", self.engine.status
            assert time.monotonic() < deadline, f"not within {PATIENCE:g} s: {what}; {self.engine.status}"
            time.sleep(0.0005)
        return found


@dataclass
class Kills:
    """What a campaign did: at which slice each worker died, and with how many records in hand."""

    slices: list[int] = field(default_factory=list)
    in_hand: list[int] = field(default_factory=list)


def kill_over(machine: Machine, feed: Staged, seed: int) -> Kills:
    """Kill a worker in each part of a staged lockstep replay but the first."""
    chance, done = random.Random(seed), Kills()
    for part in range(1, feed.parts):
        machine.until(partial(_reached, machine, feed.ends[part - 1]), f"part {part} is reached")
        feed.go_on(part)
        at = chance.randrange(feed.ends[part - 1], feed.ends[part] - 1)
        machine.until(partial(_reached, machine, at), f"slice {at} is reached")
        worker = chance.randrange(machine.arena.workers)
        done.in_hand.append(machine.kill(worker, chance, partial(_reached, machine, feed.ends[part])))
        done.slices.append(int(machine.mem[H_SLICES]))
    return done


def _reached(machine: Machine, slice_number: int) -> bool:
    return bool(machine.mem[H_SLICES] >= slice_number)


# -- what a run left -------------------------------------------------------------------------------------------------

CLOCKS = ("wall_time", "portfolio_sequence")  # the latter counts how fills were grouped on their way


@dataclass(frozen=True)
class Left:
    """What a run left, without what depends on the clock on the wall."""

    orders: pl.DataFrame
    fills: pl.DataFrame
    equity: pl.DataFrame
    states: list[np.ndarray]

    @classmethod
    def by(cls, engine: ps.Engine) -> "Left":
        """What this one left."""
        frames = (engine.orders, engine.fills, engine.equity)
        orders, fills, equity = (f.drop([name for name in CLOCKS if name in f.columns]) for f in frames)
        return cls(orders, fills, equity, states(engine))

    def assert_equals(self, other: "Left", traders: int | None = None) -> None:
        """Every row, every column and every word of state (of so many traders, where there is one more)."""
        for mine, theirs in ((self.orders, other.orders), (self.fills, other.fills), (self.equity, other.equity)):
            assert_frame_equal(mine, theirs, check_exact=True)
        for t, (mine, theirs) in enumerate(zip(self.states[:traders], other.states, strict=True)):
            assert np.array_equal(mine, theirs), f"trader {t}: words {np.flatnonzero(mine != theirs)} of its state"


def states(engine: ps.Engine) -> list[np.ndarray]:
    """Of each trader: records handled, both slots as its counters name them, and its indicators' windows."""
    mem, out = engine._mem, []
    assert mem is not None
    for t, first in enumerate(engine._rows):
        n = int(mem[first[T_COMMIT]])
        a = int(first[T_A]) + (n & 1) * int(first[T_A_WORDS])
        row = engine._version_rows.get((t, int(mem[a + A_VERSION])), first)
        b = int(row[T_B]) + (int(mem[a + A_CLOSES]) & 1) * int(row[T_B_WORDS])
        window = int(row[T_WINDOW])
        parts = [
            np.array([n]),
            mem[a : a + int(row[T_A_WORDS])],
            mem[b : b + int(row[T_B_WORDS])],
            mem[window : window + int(row[T_MARKETS] * row[T_WINDOWS])],
        ]
        out.append(np.concatenate(parts))
    return out


def record_of(engine: ps.Engine, trader: int) -> np.void:
    """Parameters and states of a trader that was not swapped, by name."""
    row, code = engine._rows[trader], engine._codes[trader]
    begin = 1 + int(row[T_A_WORDS]) + record_offset(int(row[T_MARKETS]))
    words = states(engine)[trader][begin : begin + code.words]
    return np.ascontiguousarray(words).view(code.record)[0]
