"""A user's own indicator: from its method ``step`` to the C function that everybody calls.

The method is compiled where numba can, and runs as plain Python behind the same address where it cannot, with the same
state in the same words. The rule: the C function decides nothing. It keeps the last candles, hands the method values
with names, and writes down what the method returns; -1 means that the method raised.

The last candles are a window of `places` for each column, held twice, one behind the other: wherever the newest
stands, the `lookback` values up to it are one array.
"""

import ctypes
import inspect
import logging
import re
import types as python_types
from collections import namedtuple
from typing import Any, Final, NamedTuple

import numpy as np
from numba import carray, cfunc, njit

from pairsim.channels.native import pointer
from pairsim.errors import InputError
from pairsim.indicators.abi import COLUMNS, RAISED, STEP, FloatArray, floats, places

__all__ = ["C_STEP", "Candle", "OwnStep", "Past", "PlainStep", "floats_at", "own_step"]

log = logging.getLogger("pairsim.indicators")

C_STEP: Final = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_ssize_t] * 6)
_WORD: Final = {float: "f8", int: "i8", bool: "i8"}


class Candle(NamedTuple):
    """What a step is given: the candle that has just closed."""

    open: float
    high: float
    low: float
    close: float
    volume: float


class Past(NamedTuple):
    """The last `lookback` candles, oldest first, the present one last: float64[lookback] each, for reading only."""

    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray


class OwnStep:
    """How the method ``step`` of one class is called: its parameters, its state, and its code once it is needed.

    Parameters
    ----------
    owner : class with ``step(self, state, candle)`` or ``step(self, state, candle, past)``.
    parameters : names and types of its parameters.
    """

    def __init__(self, owner: Any, parameters: dict[str, type]) -> None:
        method = owner.step
        if not isinstance(method, python_types.FunctionType):
            raise InputError(f"{owner.__name__}.step must be a plain method: def step(self, state, candle)")
        taken = len(inspect.signature(method).parameters)
        if taken not in (3, 4):
            raise InputError(
                f"{owner.__name__}.step takes {taken} arguments; write step(self, state, candle), "
                "or step(self, state, candle, past) with a lookback"
            )
        self.owner, self.method, self.with_past = owner, method, taken == 4
        self.kinds = {name: kind for name, kind in parameters.items() if kind in _WORD}  # texts are for Python only
        own = [("_lookback", "i8"), ("_places", "i8")]
        self.parameters = np.dtype(own + [(name, _WORD[kind]) for name, kind in self.kinds.items()])
        self.first_state = _checked_state(owner)
        self.state = np.dtype([(name, _WORD[type(value)]) for name, value in self.first_state.items()] or [("_", "f8")])
        self._entry: Any = None
        self._reason = ""
        self._callbacks: dict[Any, Any] = {}

    # ------------------------------------------------------------------------------------------ words

    def constants(self, indicator: Any) -> FloatArray:
        """The parameters of one instance as words."""
        record = np.zeros(1, self.parameters)
        record["_lookback"], record["_places"] = indicator.lookback, places(indicator.lookback - 1)
        for name in self.kinds:
            record[name] = getattr(indicator, name)
        return record.view(np.float64)

    def initial_state(self) -> FloatArray:
        """The declared state as words."""
        record = np.zeros(1, self.state)
        for name, value in self.first_state.items():
            record[name] = value
        return record.view(np.float64)

    def window_words(self, lookback: int) -> int:
        return 2 * len(COLUMNS) * places(lookback - 1) if self.with_past else 0

    # ------------------------------------------------------------------------------------------ code

    def address(self, indicator: Any) -> int:
        """The C function: one for the class if it compiles, one for the instance if it runs as plain Python."""
        if self._entry is None and not self._reason:
            self._compile()
        if self._entry is not None:
            return int(self._entry.address)
        if indicator not in self._callbacks:
            self._callbacks[indicator] = C_STEP(PlainStep(self, indicator))
        return int(ctypes.cast(self._callbacks[indicator], ctypes.c_void_p).value or 0)

    def _compile(self) -> None:
        scope = {
            "COLUMNS": len(COLUMNS),
            "RAISED": RAISED,
            "PARAMETERS": self.parameters,
            "STATE": self.state,
            "Candle": Candle,
            "Past": Past,
            "Parameters": namedtuple(self.owner.__name__, list(self.kinds)),
            "step": _compilable(self.method, {}),
            "carray": carray,
            "pointer": pointer,
            "floats": floats,
            "nan": np.nan,
            "float64": np.float64,
        }
        exec(_entry_source(self.kinds, len(self.owner.fields), self.with_past), scope)
        try:
            self._entry = cfunc(STEP)(scope["entry"])
        except Exception as error:  # whatever the compiler raises means plain Python
            self._reason = f"plain Python: numba cannot compile {_place(error)}"
            log.warning("%s.step runs as %s, about 100 times slower", self.owner.__name__, self._reason)


class PlainStep:
    """The same as the compiled entry, in Python; `error` is what the method raised last."""

    def __init__(self, own: OwnStep, indicator: Any) -> None:
        self._own, self._indicator = own, indicator
        self._lookback, self._places = indicator.lookback, places(indicator.lookback - 1)
        self.error: Exception | None = None

    def __call__(self, index: int, constants: int, state: int, window: int, candle: int, out: int) -> int:
        outputs = floats_at(out, len(self._indicator.fields))
        outputs[:] = np.nan
        try:
            values = self._values(index, state, window, floats_at(candle, len(COLUMNS)))
            if values is not None:
                outputs[:] = values if len(outputs) > 1 else float(values)
        except Exception as error:
            self.error = error
            return RAISED
        return 0

    def _values(self, index: int, state: int, window: int, candle: FloatArray) -> Any:
        """What the method returns; None, too, while there are too few candles."""
        words = memoryview((ctypes.c_char * self._own.state.itemsize).from_address(state))
        arguments: list[Any] = [_State(np.ndarray(1, self._own.state, words)), Candle(*candle.tolist())]
        if self._own.with_past:
            last, place = floats_at(window, 2 * len(COLUMNS) * self._places), index & (self._places - 1)
            columns = last.reshape(len(COLUMNS), 2, self._places)
            columns[:, :, place] = candle[:, None]
            if index < self._lookback - 1:
                return None
            end = place + self._places + 1
            arguments.append(Past(*last.reshape(len(COLUMNS), -1)[:, end - self._lookback : end]))
        return self._own.method(self._indicator, *arguments)


class _State:
    """The words of the state under their names, as plain Python numbers: numpy's would not raise on ``1 / 0``."""

    __slots__ = ("_record",)

    def __init__(self, record: Any) -> None:
        object.__setattr__(self, "_record", record)

    def __getattr__(self, name: str) -> Any:
        if name not in self._record.dtype.names:
            raise AttributeError(f"no state {name!r}; declared are {', '.join(self._record.dtype.names)}")
        return self._record[name].item()

    def __setattr__(self, name: str, value: Any) -> None:
        self.__getattr__(name)
        self._record[name] = value


_known: dict[type, OwnStep] = {}


def own_step(owner: Any, parameters: dict[str, type]) -> OwnStep:
    """The one `OwnStep` of a class."""
    if owner not in _known:
        _known[owner] = OwnStep(owner, parameters)
    return _known[owner]


def _place(error: Exception) -> str:
    """The line that the compiler complains of, if it names one; never its whole text, which is a page about types."""
    line = getattr(getattr(error, "loc", None), "line", None)
    named = re.search(r"\((\d+)\)", str(error))
    return f"line {line}" if line else f"line {named[1]}" if named else "it"


def _checked_state(owner: Any) -> dict[str, Any]:
    for name, value in owner.state.items():
        if type(value) not in _WORD or not name.isidentifier():
            raise InputError(
                f"{owner.__name__}.state[{name!r}] = {value!r} must be an int, a float or a bool under a plain name; "
                "for earlier candles declare a lookback"
            )
    return dict(owner.state)


def _compilable(function: python_types.FunctionType, done: dict[Any, Any]) -> Any:
    """The function compiled by numba, and the plain functions that it calls, and theirs."""
    if function not in done:
        scope, cells = dict(function.__globals__), tuple(python_types.CellType() for _ in function.__closure__ or ())
        copy = python_types.FunctionType(function.__code__, scope, function.__name__, function.__defaults__, cells)
        done[function] = njit(boundscheck=True, error_model="python")(copy)
        for name in function.__code__.co_names:
            if name in scope:
                scope[name] = _called(scope[name], done)
        for new, old in zip(cells, function.__closure__ or (), strict=True):
            new.cell_contents = _called(old.cell_contents, done)
    return done[function]


def _called(value: Any, done: dict[Any, Any]) -> Any:
    """A plain function of the user's compiled; anything else as it is, numba's and numpy's functions among them."""
    if not isinstance(value, python_types.FunctionType) or value.__module__.split(".")[0] in ("numba", "numpy"):
        return value
    return _compilable(value, done)


def _entry_source(kinds: dict[str, type], outputs: int, with_past: bool) -> str:
    """The C function in Python: numba needs names and numbers of fields written out."""
    own = "".join(f"own.{name}{' != 0' if kind is bool else ''}, " for name, kind in kinds.items())
    past = "".join(
        f"carray(pointer(first + {16 * k} * own._places), own._lookback, float64), " for k in range(len(COLUMNS))
    )
    keep = f"""
    last, place = floats(window), index & (own._places - 1)
    for k in range(COLUMNS):
        last[2 * k * own._places + place] = last[(2 * k + 1) * own._places + place] = values[k]
    if index < own._lookback - 1:
        return 0
    first = window + 8 * (place + own._places + 1 - own._lookback)
    past = Past({past})
"""
    write = "outputs[0] = result" if outputs == 1 else "; ".join(f"outputs[{k}] = result[{k}]" for k in range(outputs))
    write = f"if result is not None:\n        {write}"
    # Nothing but the call stands inside `try`: numba takes a tenth of a second for each statement in there.
    return f"""
def entry(index, constants, state, window, candle, out):
    outputs, values = floats(out), floats(candle)
    for k in range({outputs}):
        outputs[k] = nan
    own = carray(pointer(constants), 1, PARAMETERS)[0]
{keep if with_past else ""}
    parameters, kept = Parameters({own}), carray(pointer(state), 1, STATE)[0]
    now = Candle(values[0], values[1], values[2], values[3], values[4])
    try:
        result = step(parameters, kept, now{", past" if with_past else ""})
    except Exception:
        return RAISED
    {write}
    return 0
"""


def floats_at(address: int, count: int) -> FloatArray:
    """The float64 values at an address, in Python."""
    return (
        np.frombuffer(memoryview((ctypes.c_double * count).from_address(address)), np.float64) if count else np.empty(0)
    )
