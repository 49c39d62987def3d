"""The plain-Python twin of a compiled strategy: the same C address, the user's method behind it.

Rule: the twin reads and writes the very words that compiled code would. ``self`` is an object laid over the record
at the address it is given, whose class derives from the user's, so undeclared attributes work as in any class.
"""

import ctypes
import traceback
from collections.abc import Callable
from operator import attrgetter
from struct import Struct
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pairsim.errors import StrategyError
from pairsim.strategies.context import Layout, context_reader
from pairsim.strategies.signal import check_signals
from pairsim.strategies.strategy import ARRAY_STORE, PARAM_STORE, Field, Strategy, fields_of, laid_over_record, stored

__all__ = ["PlainTwin"]

# All memory of the process as one buffer, in which an address is an offset: reading words anywhere costs one call,
# where a ctypes object for each address costs three times as much.
_memory: Final = memoryview((ctypes.c_char * (2**47)).from_address(0))
_GENERATE: Final = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_ssize_t] * 5)
_SIGNAL: Final = Struct("=qqqdddddq")
_MAX_RECORDS: Final = 64  # objects kept, one for each address at which a record has been seen (a trader has two)


class PlainTwin:
    """One strategy, called by C address and executed by the interpreter.

    Parameters
    ----------
    strategy : whose method runs; its undeclared attributes are shared, its declared ones are those of the record.
    layout : of ``ctx``.
    """

    def __init__(self, strategy: Strategy, layout: Layout) -> None:
        self._strategy = strategy
        self._layout = layout
        self._kind = _record_class(type(strategy))
        self._records: dict[int, Any] = {}
        self._error = ""
        self._callback = _GENERATE(self._evaluator())

    def address(self) -> int:
        """The C function ``generate(self, view, values, previous, out)``; it lives as long as this twin."""
        return ctypes.cast(self._callback, ctypes.c_void_p).value or 0

    def last_error(self) -> str:
        """Traceback of the last evaluation that returned -1, or an empty text."""
        return self._error

    def explain(
        self,
        record: NDArray[np.int64],
        view: NDArray[np.int64],
        values: NDArray[np.float64],
        previous: NDArray[np.float64],
    ) -> str:
        """Run one candle on copies of these words; returns its traceback, or an empty text if nothing was raised."""
        blocks = [np.array(block, copy=True) for block in (record, view, values, previous)]
        read = context_reader(self._layout)
        try:
            strategy = self._laid_over(blocks[0].ctypes.data)
            ctx = read(_memory, *(block.ctypes.data for block in blocks[1:]))
            check_signals(strategy.generate_signal(ctx), self._layout.markets)
        except BaseException as error:  # what user code raises, SystemExit too, is what is being asked for
            return _users_traceback(error)
        return ""

    def _laid_over(self, address: int) -> Any:
        strategy = self._kind.from_address(address)
        strategy.__dict__ = self._strategy.__dict__
        return strategy

    def _evaluator(self) -> Callable[[int, int, int, int, int], int]:
        """The callback: everything it needs is a local of the closure, because a lookup counts here (20 ns each)."""
        read, generate = context_reader(self._layout), self._kind.generate_signal
        records, markets, memory = self._records, self._layout.markets, _memory

        def evaluate(record: int, view: int, values: int, previous: int, out: int) -> int:
            try:
                strategy = records.get(record)
                if strategy is None:
                    strategy = self._remember(record)
                result = generate(strategy, read(memory, view, values, previous))
                if result is None:
                    return 0
                signals = check_signals(result, markets)
                for position, signal in enumerate(signals):
                    _SIGNAL.pack_into(memory, out + position * _SIGNAL.size, *signal)
                return len(signals)
            except BaseException as error:  # the edge: an exception cannot cross the C caller
                self._error = _users_traceback(error)
                return -1

        return evaluate

    def _remember(self, address: int) -> Any:
        if len(self._records) >= _MAX_RECORDS:
            self._records.clear()
        self._records[address] = self._laid_over(address)
        return self._records[address]


def _users_traceback(error: BaseException) -> str:
    """The traceback without our own frames at its top."""
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_globals.get("__name__", "").startswith("pairsim.strategies."):
        frames = frames.tb_next
    return "".join(traceback.format_exception(type(error), error, frames))


# --- self, laid over a record --------------------------------------------------------------------------------------


def _record_class(cls: type[Strategy]) -> type[Any]:
    """A subclass of the user's class that is a ctypes structure of the record.

    A ctypes field reads in 26 ns and writes in 31; a descriptor written in Python takes 80 and unpacks besides.
    """
    words: list[tuple[str, Any]] = []
    shown: dict[str, Any] = {}
    offset = 0
    for name, field in fields_of(cls).items():
        if field.length:
            shown[name] = _array_property(field, offset)
            words.append((f"_word_{name}", ctypes.c_double * field.length))
        elif field.kind is float and not field.is_param:
            words.append((name, ctypes.c_double))  # takes ints too, refuses the rest, as the compiled store does
        else:
            words.append((f"_word_{name}", ctypes.c_double if field.kind is float else ctypes.c_int64))
            shown[name] = _param_property(field) if field.is_param else _state_property(field)
        offset += 8 * field.words
    namespace = {
        "__module__": cls.__module__,
        "__qualname__": cls.__qualname__,
        "__doc__": cls.__doc__,
        **shown,
        "_fields_": words,
    }
    meta: Any = type(ctypes.Structure)
    if not issubclass(meta, type(cls)):  # the user's class has a metaclass, such as ABCMeta
        meta = type("RecordMeta", (type(cls), meta), {})
    with laid_over_record():
        return meta(cls.__name__, (cls, ctypes.Structure), namespace)


def _reader(field: Field[Any]) -> Callable[[Any], Any]:
    word = attrgetter(f"_word_{field.name}")
    return (lambda strategy: word(strategy) != 0) if field.kind is bool else word


def _param_property(field: Field[Any]) -> property:
    def refuse(strategy: Any, value: object) -> None:
        raise StrategyError(f"{field.title} is a parameter, set to {value!r}; {PARAM_STORE}")

    return property(_reader(field), refuse)


def _state_property(field: Field[Any]) -> property:
    word = f"_word_{field.name}"

    def store(strategy: Any, value: object) -> None:
        setattr(strategy, word, stored(field, value))

    return property(_reader(field), store)


def _array_property(field: Field[Any], offset: int) -> property:
    arrays: dict[int, NDArray[np.float64]] = {}

    def view(strategy: Any) -> NDArray[np.float64]:
        address = ctypes.addressof(strategy)
        array = arrays.get(address)
        if array is None:
            if len(arrays) >= _MAX_RECORDS:
                arrays.clear()
            words: Any = (ctypes.c_double * field.length).from_address(address + offset)
            array = arrays[address] = np.frombuffer(words, dtype=np.float64)
        return array

    def refuse(strategy: Any, value: object) -> None:
        raise StrategyError(f"{field.title} is an array of fixed length; {ARRAY_STORE.format(field.name)}")

    return property(view, refuse)
