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
from pairsim.strategies.context import Layout
from pairsim.strategies.declaration import ARRAY_STORE, PARAM_STORE, Field, stored
from pairsim.strategies.plain_entry import PlainEntry
from pairsim.strategies.signal import MAX_SIGNALS, SIGNAL_WORDS, check_signals
from pairsim.strategies.strategy import Strategy, fields_of, laid_over_record

__all__ = ["PlainTwin"]

# All memory of the process as one buffer, in which an address is an offset.
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
        self._kind = _record_class(type(strategy))
        self._records: dict[int, Any] = {}
        self._error = ""
        self.last_exception: BaseException | None = None
        self._entry = PlainEntry(layout, self._decider(layout.markets))

    def address(self) -> int:
        """The C function ``generate(self, view, values, previous, out)``; it lives as long as this twin."""
        return self._entry.address

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
        words = [np.array(block, copy=True) for block in (record, view, values, previous)]
        words.append(np.zeros(SIGNAL_WORDS * MAX_SIGNALS, np.int64))
        before, self._error = (self._error, self.last_exception), ""
        _GENERATE(self.address())(*(block.ctypes.data for block in words))
        self._records.pop(words[0].ctypes.data, None)  # that memory goes
        found = self._error
        self._error, self.last_exception = before
        return found

    def _decider(self, markets: int) -> Callable[[int, Any, int], int]:
        """The function behind the C entry: what it needs is in its closure, because lookups count here."""
        records, generate = self._records, self._kind.generate_signal

        def decide(address: int, ctx: Any, out: int) -> int:
            try:
                strategy = records.get(address)
                if strategy is None:
                    strategy = self._laid_over(address)
                result = generate(strategy, ctx)
                if result is None:
                    return 0
                signals = check_signals(result, markets)
                for position, signal in enumerate(signals):
                    _SIGNAL.pack_into(_memory, out + position * _SIGNAL.size, *signal)
                return len(signals)
            except BaseException as error:  # the edge: an exception cannot cross the C caller
                self._error = _users_traceback(error)
                self.last_exception = error.with_traceback(None)  # not the frames, which hold on to all their variables
                return -1

        return decide

    def _laid_over(self, address: int) -> Any:
        """The strategy whose declared attributes are the words at an address."""
        if len(self._records) >= _MAX_RECORDS:
            self._records.clear()
        strategy = self._records[address] = self._kind.from_address(address)
        strategy.__dict__ = self._strategy.__dict__
        return strategy


def _users_traceback(error: BaseException) -> str:
    """The traceback without our own frames at its top."""
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename == __file__:
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
    word, kind, low, high = f"_word_{field.name}", field.kind, -(2**63), 2**63 - 1

    def store(strategy: Any, value: Any) -> None:
        usual = type(value) is kind and low <= value <= high  # the full rule costs 0.3 us
        setattr(strategy, word, value if usual else stored(field, value))

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
