"""The key of compiled code: a hash of everything that the machine code depends on.

Rule: bytecode, constants, closures, frozen globals and helpers, recursively, and the types of ``self`` and ``ctx``.
Not the source text, which misses a changed global and does not exist for ``python -``; not line numbers, so that a
comment costs no compilation. Hashing too much costs a compilation, hashing too little runs stale code.
"""

import contextlib
import enum
import hashlib
import types
from functools import cache
from inspect import getattr_static
from pathlib import Path
from typing import Any

import numba
import numpy as np

from pairsim import __version__
from pairsim.strategies.context import Layout
from pairsim.strategies.freezing import is_foreign
from pairsim.strategies.refusals import code_objects, global_names
from pairsim.strategies.strategy import Strategy, fields_of

__all__ = ["fingerprint"]

_MISSING = object()


def fingerprint(strategy: Strategy, layout: Layout, machine: str) -> tuple[str, dict[str, Any]]:
    """Key of the code of a strategy, and the globals that it freezes.

    Parameters
    ----------
    machine : names the CPU.

    Returns
    -------
    key : hexadecimal.
    frozen : values by name, of the method, its helpers and its methods; comparing two of these names what has changed.
    """
    walk = _Walk(strategy)
    walk.add(_own_sources(), __version__, numba.__version__, np.__version__, machine)
    walk.add(layout.indicators, layout.markets)
    walk.add(tuple((f.name, f.kind.__name__, f.length, f.is_param) for f in fields_of(strategy).values()))
    walk.add(tuple(sorted(set(strategy.__dict__) - set(fields_of(strategy)))))
    walk.method(type(strategy).generate_signal)
    return walk.digest.hexdigest(), walk.frozen


@cache
def _own_sources() -> bytes:
    """What this compiler does is part of what its output depends on."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.digest()


class _Walk:
    """Feeds values into a hash, each with its type, so that 1, 1.0, True and "1" differ."""

    def __init__(self, strategy: Strategy) -> None:
        self.digest = hashlib.sha256()
        self.frozen: dict[str, Any] = {}
        self._class = type(strategy)
        self._fields = fields_of(strategy)
        self._seen: dict[int, int] = {}
        self._alive: list[Any] = []  # keeps the ids in _seen from being reused

    def add(self, *values: Any) -> None:
        for value in values:
            self._add(value)

    def method(self, method: Any) -> None:
        """The strategy's own method, looked into even where it is one of ours."""
        if isinstance(method, types.FunctionType):
            self._function(method)
        else:
            self._add(method)

    def _add(self, value: Any) -> None:
        kind = type(value)
        self._text(kind.__qualname__)
        if value is None or value is Ellipsis or value is _MISSING:
            return
        if kind in (bool, int, str, bytes):
            self._text(repr(value))
        elif kind is float:
            self._text(value.hex())
        elif kind is complex:
            self.add(value.real, value.imag)
        elif isinstance(value, tuple | list):
            self._text(str(len(value)))
            self.add(*value)
        elif isinstance(value, frozenset | set):
            self._text(repr(sorted(map(repr, value))))
        elif isinstance(value, dict):
            self.add(*value.items())
        elif isinstance(value, np.ndarray | np.generic):
            self._array(np.asarray(value))
        elif isinstance(value, types.CodeType):
            self._code(value)
        else:
            self._object(value)

    def _object(self, value: Any) -> None:
        if id(value) in self._seen:  # also ends the walk of functions that call each other
            self._text(f"again {self._seen[id(value)]}")
            return
        self._seen[id(value)] = len(self._seen)
        self._alive.append(value)
        if isinstance(value, types.FunctionType):
            if is_foreign(value.__module__):  # their version is in the hash, ours is by source
                self._text(f"{value.__module__} {value.__qualname__}")
            else:
                self._function(value)
        elif hasattr(value, "py_func"):  # the user's own @njit
            self.add(value.py_func, sorted(map(repr, getattr(value, "targetoptions", {}).items())))
        elif isinstance(value, types.ModuleType | type):
            self._text(f"{getattr(value, '__module__', '')} {value.__name__}")
        elif isinstance(value, enum.Enum):
            self.add(value.name, value.value)
        elif isinstance(value, staticmethod | classmethod):
            self._add(value.__func__)
        elif isinstance(value, property):
            self.add(value.fget, value.fset)
        else:  # nothing that numba compiles: a global of a strategy that will run as plain Python
            with contextlib.suppress(Exception):
                self._text(repr(value))

    def _function(self, function: types.FunctionType) -> None:
        self._text(f"{function.__module__} {function.__name__}")
        self.add(function.__code__, function.__defaults__, function.__kwdefaults__)
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            value = _cell(cell)
            self._freeze(name, value)
            self.add(name, value)
        attributes = {name for code in code_objects(function.__code__) for name in code.co_names}
        for name in global_names(function.__code__):
            value = function.__globals__.get(name, _MISSING)
            if isinstance(value, types.ModuleType) and not is_foreign(value.__name__):
                self._module(value, attributes)
            else:
                self._freeze(name, value)
                self.add(name, value)
        self._members(attributes)

    def _module(self, module: types.ModuleType, attributes: set[str]) -> None:
        """A user's module: its attributes by these names, used here or not."""
        if id(module) in self._seen:
            self._text(f"again {self._seen[id(module)]}")
            return
        self._seen[id(module)] = len(self._seen)
        self._text(module.__name__)
        for name in sorted(attributes & set(vars(module))):
            value = vars(module)[name]
            if isinstance(value, types.ModuleType) and not is_foreign(value.__name__):
                self._module(value, attributes)
            else:
                self._freeze(f"{module.__name__}.{name}", value)
                self.add(name, value)

    def _members(self, attributes: set[str]) -> None:
        """What ``self.<name>`` may be: methods, properties and constants of the class."""
        for name in sorted(attributes - set(self._fields)):
            member = getattr_static(self._class, name, _MISSING)
            if member is not _MISSING and not name.startswith("__"):
                self.add(name, member)

    def _freeze(self, name: str, value: Any) -> None:
        if not callable(value) and not isinstance(value, types.ModuleType) and value is not _MISSING:
            self.frozen[name] = value

    def _code(self, code: types.CodeType) -> None:
        self._text(code.co_code.hex())
        self.add(code.co_consts, code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
        self.add(code.co_argcount, code.co_kwonlyargcount, code.co_posonlyargcount, code.co_flags)
        self.add(getattr(code, "co_exceptiontable", b""))

    def _array(self, array: np.ndarray[Any, Any]) -> None:
        self.add(array.dtype.str, array.shape, array.flags.f_contiguous, array.flags.writeable)
        self.digest.update(np.ascontiguousarray(array).tobytes())

    def _text(self, text: str) -> None:
        data = text.encode()
        self.digest.update(len(data).to_bytes(8, "little"))
        self.digest.update(data)


def _cell(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not assigned yet
        return _MISSING
