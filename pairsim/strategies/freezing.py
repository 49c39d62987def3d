"""Functions as the compiler sees them: globals and closures frozen, plain helpers replaced by compiled ones.

Rule: the user's functions are never changed; a copy with the same bytecode and other globals is compiled. Without this
every notebook with a helper function would fall back to plain Python, a hundred times slower.
"""

import builtins
import math
import types
from collections.abc import Callable, Mapping
from inspect import getattr_static
from typing import Any, Final, cast

from pairsim.strategies.refusals import global_names, refuse_unfaithful

__all__ = ["Freezer", "is_foreign"]

_FOREIGN: Final = frozenset(
    {"numpy", "math", "cmath", "numba", "llvmlite", "builtins", "random", "operator", "pairsim"}
)
"""Packages whose functions numba knows, or never will: not looked into."""


def is_foreign(module_name: str | None) -> bool:
    """Whether a module belongs to a package that is not looked into."""
    return module_name is not None and module_name.partition(".")[0] in _FOREIGN


class _FrozenModule(types.ModuleType):
    """A user's module in which plain functions have become compiled ones, attribute by attribute when asked for."""

    def __init__(self, module: types.ModuleType, freeze: Callable[[Any], Any]) -> None:
        super().__init__(module.__name__)
        self.__dict__["_frozen_from"] = (module, freeze)

    def __getattr__(self, name: str) -> Any:
        module, freeze = self.__dict__["_frozen_from"]
        value = self.__dict__[name] = freeze(getattr(module, name))
        return value


class Freezer:
    """Makes compilable copies of functions; one for each compilation, so that it sees globals as they are now.

    Parameters
    ----------
    compiled : turns a function into a numba dispatcher.
    known : whether numba compiles calls of this function as it is.
    exchanged : what stands in for a function of Python's own; the function itself where nothing does.
    """

    def __init__(
        self, compiled: Callable[[Any], Any], known: Callable[[Any], bool], exchanged: Callable[[Any], Any]
    ) -> None:
        self._compiled = compiled
        self._known = known
        self._exchanged = exchanged
        self._dispatchers: dict[int, Any] = {}
        self._originals: list[Any] = []  # keeps the ids above from being reused

    def function(self, function: types.FunctionType) -> types.FunctionType:
        """A copy with frozen globals and closure."""
        scope: dict[str, Any] = {"__name__": function.__module__, "__builtins__": builtins}
        copy = self._copy(function, scope, "")
        self._fill(scope, function)
        return copy

    def value(self, value: Any) -> Any:
        """A global as compiled code may use it."""
        if isinstance(value, types.FunctionType):
            return value if is_foreign(value.__module__) or self._known(value) else self.dispatcher(value)
        if isinstance(value, types.ModuleType) and (value is math or not is_foreign(value.__name__)):
            return _FrozenModule(value, self.value)
        return self._exchanged(value)

    def dispatcher(self, function: types.FunctionType) -> Any:
        """The compiled form of a plain function, made once, so that functions may call themselves and each other."""
        found = self._dispatchers.get(id(function))
        if found is None:
            scope: dict[str, Any] = {"__name__": function.__module__, "__builtins__": builtins}
            found = self._dispatchers[id(function)] = self._compiled(self._copy(function, scope, function.__name__))
            self._originals.append(function)
            self._fill(scope, function)
        return found

    def member(self, strategy: object) -> Callable[[str], Any]:
        """What ``self.<name>`` is in compiled code, for names that are no fields (see ``compiled_types.SelfType``)."""
        known: dict[str, Any] = {}

        def find(name: str) -> Any:
            if name not in known:
                known[name] = self._member(strategy, name)
            return known[name]

        return find

    def _member(self, strategy: object, name: str) -> Any:
        if name in strategy.__dict__:
            raise AttributeError(f"{name} is set on the instance, not declared")
        found = getattr_static(type(strategy), name)
        if isinstance(found, types.FunctionType):
            return self.dispatcher(found)
        if isinstance(found, staticmethod):
            return staticmethod(self.dispatcher(cast(types.FunctionType, found.__func__)))
        if isinstance(found, property) and isinstance(found.fget, types.FunctionType):
            return property(self.dispatcher(found.fget))
        if isinstance(found, classmethod) or hasattr(type(found), "__get__"):
            raise AttributeError(f"{name} is a {type(found).__name__}")
        return found

    def _copy(self, function: types.FunctionType, scope: Mapping[str, Any], name: str) -> types.FunctionType:
        refuse_unfaithful(function.__code__, function.__globals__, name)
        cells = tuple(types.CellType(self._cell(cell)) for cell in function.__closure__ or ())
        copy = types.FunctionType(function.__code__, scope, function.__name__, function.__defaults__, cells)  # type: ignore[arg-type]
        copy.__kwdefaults__ = function.__kwdefaults__
        copy.__qualname__ = function.__qualname__
        return copy

    def _cell(self, cell: types.CellType) -> Any:
        return self.value(cell.cell_contents)

    def _fill(self, scope: dict[str, Any], function: types.FunctionType) -> None:
        for name in global_names(function.__code__):
            if name in function.__globals__:
                scope[name] = self.value(function.__globals__[name])
            elif name in vars(builtins):
                scope[name] = self.value(vars(builtins)[name])
