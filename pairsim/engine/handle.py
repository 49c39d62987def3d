"""The handle of one trader of a running engine: tune, swap, pause, resume, health."""

import inspect
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from pairsim.engine import display
from pairsim.engine.cells import with_source
from pairsim.engine.layout import (
    A_CLOSES,
    A_VERSION,
    B_ERRORS,
    B_EVALUATED,
    B_NUMBER,
    B_SKIPPED,
    B_STATUS,
    T_A,
    T_A_WORDS,
    T_B,
    T_B_WORDS,
    T_COMMIT,
)
from pairsim.engine.status import Health
from pairsim.engine.trader import Trader
from pairsim.errors import InputError
from pairsim.strategies.compiler import StrategyCode, prepare
from pairsim.strategies.strategy import Strategy, retuned

if TYPE_CHECKING:
    from pairsim.engine.engine import Engine

_STATES = ("active", "paused", "failed")


def counters_of(engine: "Engine", traders: Sequence[int]) -> tuple[Health, ...]:
    """`TraderHandle.counters` of several traders, by index: a hundred cost little more than one."""
    mem = engine._mem
    if mem is None:
        return (Health("active", 0, 0, 0, 0),) * len(traders)
    rows = engine._rows[list(traders)]
    a = rows[:, T_A] + (mem[rows[:, T_COMMIT]] & 1) * rows[:, T_A_WORDS]
    versions = mem[a + A_VERSION]
    for k in np.flatnonzero(versions).tolist():
        rows[k] = engine._version_rows.get((traders[k], int(versions[k])), rows[k])
    b = rows[:, T_B] + (mem[a + A_CLOSES] & 1) * rows[:, T_B_WORDS]
    states = [_STATES[status] for status in mem[b + B_STATUS].tolist()]
    counts = (mem[b + word].tolist() for word in (B_EVALUATED, B_NUMBER, B_SKIPPED, B_ERRORS))
    return tuple(map(Health, states, *counts))


class TraderHandle:
    """One trader of an engine, ``engine[name]``.

    Attributes
    ----------
    tune : ``tune(low=25)`` sets parameters from the next candle on; see `Tuning`.
    """

    def __init__(self, engine: "Engine", index: int) -> None:
        self._engine, self._index = engine, index
        self.tune = Tuning(self)  # no property: completion looks into none

    @property
    def name(self) -> str:
        """Its name: the market unless it was given another."""
        return self._engine._traders[self._index].name

    @property
    def markets(self) -> tuple[str, ...]:
        """Its markets."""
        return self._engine._traders[self._index].markets

    @property
    def strategy(self) -> Strategy:
        """The strategy as it was last given, parameters included."""
        return self._engine._codes[self._index].strategy

    @property
    def compiled(self) -> bool:
        """Whether the strategy runs as machine code; the strategy's repr says why not."""
        return self._engine._codes[self._index].compiled

    def swap(self, strategy: Strategy) -> None:
        """Trade by another strategy from the next candle on; the position and states of the same name are kept."""
        if isinstance(strategy, type) or not isinstance(strategy, Strategy):
            raise InputError(f"swap({strategy!r}): pass an instance of a ps.Strategy, such as MyStrategy()")
        if strategy.markets != len(self.markets):
            raise InputError(
                f"{strategy!r} trades {strategy.markets} market(s), trader {self.name!r} has {len(self.markets)}"
            )
        code = prepare(strategy)
        self._changed(self._engine._ask("swap", self._index, code), code)

    def _changed(self, version: "tuple[int, np.ndarray] | None", code: StrategyCode) -> None:
        if version is not None:
            self._engine._version_rows[self._index, version[0]] = version[1]
            self._engine._version_rows.pop((self._index, version[0] - 2), None)
        self._engine._codes[self._index] = code

    def pause(self) -> None:
        """Silence it: its indicators go on, it emits nothing."""
        self._engine._ask("trader", self._index, "pause")

    def resume(self) -> None:
        """Let it decide again, after a pause or after a failure."""
        self._engine._ask("trader", self._index, "resume")

    @property
    def health(self) -> Health:
        """Counters and state from shared memory; message and traceback of a failure."""
        counters = self.counters
        if not counters.errors and counters.state != "failed":
            return counters  # only the host knows the traceback; a healthy trader is read without asking it
        message, trace = self._engine._failures().get(self._index, ("", ""))
        return replace(counters, message=message, traceback=with_source(trace))

    @property
    def counters(self) -> Health:
        """What `health` says without the text of a failure, so the host need not be asked."""
        return counters_of(self._engine, [self._index])[0]

    def __repr__(self) -> str:
        given = self._engine._traders[self._index]
        return f"{Trader(given.markets, self.strategy, every=given.every_ns, name=given.name)!r}: {self.health}"

    def _repr_html_(self) -> str:
        return display.trader_html(self)


class Tuning:
    """Sets parameters of a running strategy from the next candle on: ``engine[name].tune(low=25)``.

    Those that indicators depend on are warmed up again from history.

    Raises
    ------
    StrategyError : an unknown parameter, or a value outside its limits; nothing has changed then.
    """

    def __init__(self, handle: TraderHandle) -> None:
        self._handle = handle

    @property
    def __signature__(self) -> inspect.Signature:
        return inspect.signature(type(self._handle.strategy))  # so that its parameters complete

    def __call__(self, **params: float) -> None:
        handle = self._handle
        if not params:
            raise InputError(f"tune() was given nothing; give parameters of {handle.strategy!r}")
        code = prepare(retuned(handle.strategy, **params))
        handle._changed(handle._engine._ask("tune", handle._index, code, params), code)

    def __repr__(self) -> str:
        return f"tune{self.__signature__}"
