"""Tune and swap: how a running trader gets new parameters or a new strategy, between two candles.

A parameter that no indicator depends on is one word written by a TUNE record. Anything else is a new version: its
state is laid out in the spare part of the arena, its code is sent to the worker, and the SWAP record says from which
candle on it counts.
"""

import json
import time
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from pairsim import clock
from pairsim.engine.arena import LINE
from pairsim.engine.layout import (
    A_VERSION,
    T_A,
    T_A_WORDS,
    T_B,
    T_B_WORDS,
    T_COMMIT,
    T_INDICATOR,
    T_INDICATORS,
    T_LOCKSTEP,
    T_MARKETS,
    T_WINDOW,
    T_WINDOWS,
)
from pairsim.engine.plan import describe_indicators, fill_row
from pairsim.engine.trader import Trader
from pairsim.engine.worker import Version
from pairsim.engine.worker_loop import SWAP, TUNE
from pairsim.errors import EngineError
from pairsim.strategies.compiler import StrategyCode

if TYPE_CHECKING:
    from pairsim.engine.hosting import Host


class Swapper:
    """Makes versions; used by the thread that answers commands only."""

    def __init__(self, host: "Host") -> None:
        self.host = host
        self._free = host.arena.spare
        self._areas: dict[tuple[int, int], tuple[int, int]] = {}  # (word, words) of each trader's even and odd versions

    def tune(self, trader: int, code: StrategyCode, values: dict[str, float]) -> tuple[int, np.ndarray] | None:
        """``code`` is the strategy with the new values; without effect on indicators they are written where they
        stand.
        """
        host = self.host
        running = host.codes[trader]
        if code.indicators != running.indicators or code.record != running.record or code.key != running.key:
            return self.swap(trader, code, kind="tune", values=values)
        record = code.initial_record()
        for name in values:
            assert code.record.fields is not None
            word = code.record.fields[name][1] // 8
            value = int(record[word])
            place = host.commands.in_feed(partial(host.feed.send_control, trader, TUNE, word, value))
            host.journal_control(place, trader, "tune", json.dumps({name: float(values[name])}))
        host.codes[trader] = (
            code  # not in the version: it begins as it was swapped in, and is tuned where its record stands
        )
        return None

    def swap(
        self, trader: int, code: StrategyCode, *, kind: str = "swap", values: dict[str, float] | None = None
    ) -> tuple[int, np.ndarray]:
        """Give the trader a new strategy from the next candle on; returns its version and row."""
        host = self.host
        self._await_newest(trader)
        was = host.plan.traders[trader]
        row = host.plan.rows[trader].copy()
        new = Trader(was.markets, code.strategy, every=was.every_ns, name=was.name)
        fill_row(row, new, code, host.plan.base_ns, 0)
        row[T_LOCKSTEP] = int(host.lockstep)
        constants: list[np.ndarray] = []
        indicators = describe_indicators(code, constants)
        row[T_INDICATOR], row[T_INDICATORS] = 0, len(indicators)
        number = host.versions[trader][-1].version + 1
        state, window = 2 * int(row[T_B_WORDS]), max(1, int(row[T_MARKETS] * row[T_WINDOWS]))
        row[T_B] = self._area(trader, number, state + window)
        row[T_WINDOW] = row[T_B] + state

        def send() -> tuple[int, int]:
            history = host.feed.closed_history(trader)
            version = Version(trader, number, row, code, indicators, np.concatenate([*constants, np.zeros(0)]), history)
            newest = host.versions[trader][-1]
            host.pool.give(
                host.worker_of[trader], version, lambda: host.versions.__setitem__(trader, [newest, version])
            )
            host.health.pop(trader, None)  # before it: the new strategy may fail at once
            return host.feed.send_control(trader, SWAP, number)

        place = host.commands.in_feed(send)
        host.codes[trader] = code
        payload = {"strategy": repr(code.strategy), "compiled": code.compiled, **({"values": values} if values else {})}
        host.journal_control(place, trader, kind, json.dumps(payload, default=float))
        return number, row

    def _await_newest(self, trader: int, timeout: float = 5.0) -> None:
        """The two rows of a trader are the version that runs and the next one: a further one waits for its turn."""
        host, row = self.host, self.host.plan.rows[trader]
        deadline = clock.monotonic_ns() + int(timeout * 1e9)
        while True:
            n = int(host.mem[row[T_COMMIT]])
            if host.mem[int(row[T_A]) + (n & 1) * int(row[T_A_WORDS]) + A_VERSION] == host.versions[trader][-1].version:
                return
            if clock.monotonic_ns() > deadline:
                raise EngineError(
                    f"the last swap of {host.plan.traders[trader].name!r} has not been taken up "
                    f"within {timeout:g} s; is the engine paused?"
                )
            time.sleep(0.001)

    def _area(self, trader: int, number: int, words: int) -> int:
        """Room for a version's state. It takes the place of the version before the last, which nobody looks at any more
        (see `_await_newest`), so it does not matter how often a trader is tuned; a larger one leaves that place unused.
        """
        key = trader, number & 1
        start, room = self._areas.get(key, (0, 0))
        if room < words:
            start, room = self._free, -(-max(words, 2 * room) // LINE) * LINE
            if start + room > self.host.arena.words:
                raise EngineError(
                    f"the new strategy of {self.host.plan.traders[trader].name!r} needs {words} words of state, the "
                    f"run has {self.host.arena.words - start} left; trade it in a new engine"
                )
            self._free += room
            self._areas[key] = start, room
        self.host.mem[start : start + room] = 0
        return start
