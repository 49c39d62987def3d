"""From a strategy to code that a loop calls by address: compiled where numba can, plain Python where it cannot.

Rule: `prepare` never fails because of what numba cannot compile, and never compiles one thing twice: code is kept by
the hash of all it depends on, in the process and on disk. What is kept on disk is raw bytes with a digest, no pickle.
"""

import logging
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pairsim.errors import StrategyError
from pairsim.indicators import Indicator
from pairsim.strategies import object_store
from pairsim.strategies.context import Layout, layout_of
from pairsim.strategies.fingerprint import fingerprint
from pairsim.strategies.machine_code import compile_strategy, cpu_identity, load_object
from pairsim.strategies.plain import PlainTwin
from pairsim.strategies.reason import explain_fallback
from pairsim.strategies.scan_entry import SCAN_SYMBOL
from pairsim.strategies.strategy import Strategy, fields_of, note_reason

__all__ = ["StrategyCode", "load", "prepare"]

log = logging.getLogger("pairsim.strategies")


@dataclass(frozen=True)
class StrategyCode:
    """A strategy ready to run in any process of this machine; made by `prepare`, sent with cloudpickle.

    Attributes
    ----------
    strategy : the instance it was made from.
    record : dtype of parameters and states, every field 8 bytes a word.
    words : length of the record.
    indicators : (name, indicator) in the order of their outputs; each market has all of them.
    outputs : words of the indicators of one market.
    markets : markets of the trader.
    compiled : whether `object_code` is machine code; otherwise the strategy runs as plain Python.
    reason : why not, such as ``plain Python: line 12 builds a set``; empty when compiled.
    key : hash of all that the code depends on.
    object_code : machine code in the format of `load`; empty when not compiled.
    frozen : globals that the machine code has frozen, by name; not sent to other processes.
    """

    strategy: Strategy
    record: np.dtype[Any]
    words: int
    indicators: tuple[tuple[str, Indicator], ...]
    outputs: int
    markets: int
    compiled: bool
    reason: str
    key: str
    object_code: bytes = field(repr=False)
    frozen: dict[str, Any] = field(repr=False)
    layout: Layout = field(repr=False)
    _twin: list[PlainTwin] = field(default_factory=list, repr=False, compare=False)

    def initial_record(self) -> NDArray[np.int64]:
        """Words of the record with the instance's parameters and the first states; float64 fields as their bits."""
        record = np.zeros(1, self.record)
        for name in self.record.names or ():
            record[name] = getattr(self.strategy, name)
        return np.frombuffer(record.tobytes(), np.int64).copy()

    def address(self) -> int:
        """Address of the C function ``generate`` in this process; valid as long as this object lives."""
        return load(self.object_code) if self.compiled else self.plain().address()

    def scan_address(self) -> int:
        """Address of the strategy's own loop (`scan_entry`); 0 where there is none: plain Python, several markets."""
        if not self.compiled or self.markets != 1:
            return 0
        return load_object(object_store.unwrap(self.object_code, _machine()), SCAN_SYMBOL)

    def plain(self) -> PlainTwin:
        """The plain-Python twin: the way to run an uncompiled strategy, and to explain a failure of a compiled one."""
        if not self._twin:
            self._twin.append(PlainTwin(self.strategy, self.layout))
        return self._twin[0]

    def last_error(self) -> str:
        """Traceback of the last evaluation in this process that failed as plain Python; empty for compiled code."""
        return self._twin[0].last_error() if self._twin else ""

    def explain(
        self,
        record: NDArray[np.int64],
        view: NDArray[np.int64],
        values: NDArray[np.float64],
        previous: NDArray[np.float64],
    ) -> str:
        """Traceback of one candle run as plain Python on copies of these words, of which a run returned -1."""
        found = self.plain().explain(record, view, values, previous)
        return found or (_ONLY_COMPILED if self.compiled else "")

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_twin": [], "frozen": {}}  # globals of this process; they may not travel


def prepare(strategy: Strategy) -> StrategyCode:
    """Compile a strategy, or make it ready to run as plain Python.

    Raises
    ------
    StrategyError
        The class or what its ``indicators()`` returns is wrong. Not being compilable is no error.
    """
    owner = type(strategy).__name__
    if not isinstance(strategy, Strategy):
        hint = f"; write {strategy.__name__}()" if isinstance(strategy, type) else ""
        raise StrategyError(f"{strategy!r} is no strategy{hint}; it must be an instance of a subclass of ps.Strategy")
    if type(strategy).generate_signal is Strategy.generate_signal:
        raise StrategyError(f"{owner} has no method generate_signal(self, ctx); define it")
    indicators = _indicators(strategy, owner)
    layout = layout_of(owner, indicators, type(strategy).markets)
    record = _record_dtype(strategy)
    key, frozen = fingerprint(strategy, layout, _machine())
    code, reason = _code(strategy, layout, key)
    note_reason(type(strategy), reason)
    return StrategyCode(
        strategy=strategy,
        record=record,
        words=record.itemsize // 8,
        indicators=tuple(indicators.items()),
        outputs=layout.outputs,
        markets=layout.markets,
        compiled=not reason,
        reason=reason,
        key=key,
        object_code=code,
        frozen=frozen,
        layout=layout,
    )


_ONLY_COMPILED: Final = (
    "StrategyError: only the compiled method fails on this candle, plain Python does not: an integer in it leaves the "
    "range of 64 bits, or an integer is raised to a negative power; use floats there"
)


def load(object_code: bytes) -> int:
    """Address of the C function of compiled code in this process; loading the same code again costs a lookup.

    Raises
    ------
    StrategyError
        The bytes are damaged or were made for another version or another CPU.
    """
    return load_object(object_store.unwrap(object_code, _machine()))


def _indicators(strategy: Strategy, owner: str) -> dict[str, Indicator]:
    try:
        indicators = strategy.indicators()
    except Exception as error:
        raise StrategyError(f"{owner}.indicators() raised {type(error).__name__}: {error}") from error
    layout_of(owner, indicators, 1)
    return indicators


def _record_dtype(strategy: Strategy) -> np.dtype[Any]:
    """Fields of 8 bytes: float64, int64 (bools too), arrays of float64."""
    fields: list[tuple[Any, ...]] = []
    for name, declared in fields_of(strategy).items():
        if declared.length:
            fields.append((name, "f8", (declared.length,)))
        else:
            fields.append((name, "f8" if declared.kind is float else "i8"))
    return np.dtype(fields)


def _machine() -> str:
    return cpu_identity()


_done: dict[str, bytes] = {}
_failed: dict[tuple[str, str, int], str] = {}


def _code(strategy: Strategy, layout: Layout, key: str) -> tuple[bytes, str]:
    """Object code and an empty reason, or no code and the reason."""
    if key in _done:
        return _done[key], ""
    found = object_store.read(key, _machine())
    if found is not None:
        _done[key] = found
        return found, ""
    method: Any = type(strategy).generate_signal
    place = getattr(method, "__code__", None)
    attempt = (key, getattr(place, "co_filename", ""), getattr(place, "co_firstlineno", 0))
    if attempt not in _failed:
        compiled, reason = _compile(strategy, layout)
        if compiled:
            _done[key] = compiled
            object_store.write(key, compiled)
            return compiled, ""
        _failed[attempt] = reason
        log.warning("%s runs as %s", type(strategy).__name__, reason)
    return b"", _failed[attempt]


def _compile(strategy: Strategy, layout: Layout) -> tuple[bytes, str]:
    try:
        return object_store.wrap(compile_strategy(strategy, layout), _machine()), ""
    except Exception as error:  # the compiler's errors have no common root, and each of them means: run it as it is
        log.debug("not compiled", exc_info=True)
        return b"", explain_fallback(strategy, error)
