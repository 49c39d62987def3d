"""Which indicators the combinations of a sweep need: each distinct one once.

Rule: what ``indicators()`` returns for a combination is what it would return in a backtest. It is called for every
combination, but where its bytecode shows that it is one dict of expressions over parameters: then it is enough to call
it once for every value of what each expression reads (200 calls instead of 10,000 for a grid of two averages).
"""

import dis
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pairsim.indicators import Indicator
from pairsim.research.space import SYMBOL, Space
from pairsim.strategies.strategy import Strategy, fields_of

Shape = tuple[tuple[str, tuple[str, ...]], ...]


@dataclass
class Needs:
    """What combinations need.

    Attributes
    ----------
    shapes : names of indicators with their outputs; combinations of one shape share compiled code.
    shape_of : int32[n], of each combination; -1 where ``indicators()`` or the constructor raised.
    indicators : the distinct ones. which : int32[n, most], those of each combination in the order of their names.
    """

    shapes: list[Shape]
    shape_of: NDArray[np.int32]
    indicators: list[Indicator]
    which: NDArray[np.int32]

    def part(self, first: int, last: int) -> "Needs":
        """The needs of some of the combinations."""
        return Needs(self.shapes, self.shape_of[first:last], self.indicators, self.which[first:last])


def needs_of(strategy: Strategy, space: Space, first: int, last: int, made: Callable[[int], Strategy]) -> Needs:
    """The needs of combinations ``first`` to ``last``; ``made`` makes the strategy of one."""
    read = reads(type(strategy).indicators, [name for name, field in fields_of(strategy).items() if field.is_param])
    if read is not None and type(strategy).__init__ is Strategy.__init__:
        found = _by_what_is_read(read, space, first, last, made)
        if found is not None:
            return found
    return _one_by_one(first, last, made)


def _one_by_one(first: int, last: int, made: Callable[[int], Strategy]) -> Needs:
    shapes: dict[Shape, int] = {}
    distinct: dict[Indicator, int] = {}
    shape_of = np.full(last - first, -1, np.int32)
    rows: list[list[int]] = []
    for k in range(first, last):
        row: list[int] = []
        try:
            named = made(k).indicators()
            shape = tuple((name, indicator.fields) for name, indicator in named.items())
            row = [distinct.setdefault(indicator, len(distinct)) for indicator in named.values()]
            shape_of[k - first] = shapes.setdefault(shape, len(shapes))
        except Exception:  # its user's code; told by running that combination alone, where somebody asks
            row = []
        rows.append(row)
    which = np.full((last - first, max(map(len, rows), default=0)), -1, np.int32)
    for k, row in enumerate(rows):
        which[k, : len(row)] = row
    return Needs(list(shapes), shape_of, list(distinct), which)


def _by_what_is_read(
    read: Mapping[str, frozenset[str]], space: Space, first: int, last: int, made: Callable[[int], Strategy]
) -> Needs | None:
    """The same from few calls; None where one of them fails, which is then looked for one by one."""
    axes = [name for name in space.axes if name != SYMBOL]
    columns = {name: space.positions[first:last, list(space.axes).index(name)] for name in axes}
    distinct: dict[Indicator, int] = {}
    which = np.empty((last - first, len(read)), np.int32)
    shape: Shape = ()
    for m, (name, parameters) in enumerate(read.items()):
        over = [axis for axis in axes if axis in parameters]
        key = np.zeros(last - first, np.int64)
        for axis in over:
            key = key * len(space.axes[axis]) + columns[axis]
        _, at, inverse = np.unique(key, return_index=True, return_inverse=True)
        numbers = np.empty(len(at), np.int32)
        for j, k in enumerate(at.tolist()):
            try:
                named = made(first + k).indicators()
                numbers[j] = distinct.setdefault(named[name], len(distinct))
                found = tuple((each, indicator.fields) for each, indicator in named.items())
            except Exception:
                return None
            if shape not in ((), found):
                return None
            shape = found
        which[:, m] = numbers[inverse]
    return Needs([shape], np.zeros(last - first, np.int32), list(distinct), which)


# --- what a method reads --------------------------------------------------------------------------------------------

_SELF: Final = "self"
_NOTHING: Final[frozenset[str]] = frozenset()
_SILENT: Final = ("RESUME", "PRECALL", "KW_NAMES", "CACHE", "NOP", "COPY_FREE_VARS", "MAKE_CELL")
_UNARY: Final = ("UNARY_NEGATIVE", "UNARY_POSITIVE", "UNARY_INVERT", "UNARY_NOT")
_BINARY: Final = ("BINARY_OP", "COMPARE_OP")


def reads(method: object, parameters: Sequence[str]) -> dict[str, frozenset[str]] | None:
    """Which parameters each entry of the dict that a method returns is made from; None where that is not plain to see.

    Plain is: one expression without a branch, that reads parameters of ``self`` and calls functions with them.
    """
    if not isinstance(method, types.FunctionType) or method.__code__.co_argcount != 1:
        return None
    stack: list[Any] = []
    try:
        for step in dis.get_instructions(method):
            if step.opname == "RETURN_VALUE":
                return stack[0] if len(stack) == 1 and isinstance(stack[0], dict) else None
            if not _followed(step, stack, method.__code__.co_varnames[0], parameters):
                return None
    except _UnclearError:
        return None
    return None


class _UnclearError(Exception):
    """``self`` itself was handed to something, or this is another Python's bytecode."""


def _followed(step: dis.Instruction, stack: list[Any], this: str, parameters: Sequence[str]) -> bool:
    """Do to the stack what an instruction does, with sets of parameters for values; False if it is not known."""
    name, n = step.opname, step.arg or 0
    if name in _SILENT:
        return True
    if name == "LOAD_FAST":
        stack.append(_SELF)
        return step.argval == this
    if name == "PUSH_NULL":
        stack.append(_NOTHING)
    elif name == "LOAD_CONST":
        stack.append((step.argval,))
    elif name == "LOAD_GLOBAL":
        stack += [_NOTHING] * (2 if n & 1 else 1)
    elif name == "LOAD_DEREF":
        stack.append(_NOTHING)
    elif name in ("LOAD_ATTR", "LOAD_METHOD"):
        return _attribute(step, stack, parameters)
    elif name in _UNARY:
        stack.append(_union(_popped(stack, 1)))
    elif name in _BINARY:
        stack.append(_union(_popped(stack, 2)))
    elif name == "CALL":
        stack.append(_union(_popped(stack, n + 2)))
    elif name in ("BUILD_TUPLE", "BUILD_LIST"):
        stack.append(_union(_popped(stack, n)))
    elif name == "BUILD_MAP":
        entries = _popped(stack, 2 * n)
        return _mapped([key[0] for key in entries[::2] if isinstance(key, tuple)], entries[1::2], stack)
    elif name == "BUILD_CONST_KEY_MAP":
        keys = stack.pop()
        return isinstance(keys, tuple) and _mapped(list(keys[0]), _popped(stack, n), stack)
    else:
        return False
    return True


def _attribute(step: dis.Instruction, stack: list[Any], parameters: Sequence[str]) -> bool:
    (owner,) = _popped(stack, 1)
    if owner == _SELF:
        stack.append(frozenset((str(step.argval),)))
        return step.argval in parameters and step.opname == "LOAD_ATTR"
    stack += [_union([owner])] * (2 if step.opname == "LOAD_METHOD" or _pushes_two(step) else 1)
    return True


def _pushes_two(step: dis.Instruction) -> bool:
    """From Python 3.12 on a method is loaded by LOAD_ATTR with the lowest bit set."""
    return step.opname == "LOAD_ATTR" and "LOAD_METHOD" not in dis.opmap and bool((step.arg or 0) & 1)


def _mapped(keys: list[Any], values: list[Any], stack: list[Any]) -> bool:
    if len(keys) != len(values) or any(isinstance(value, dict) for value in values):
        return False
    stack.append({str(key): _union([value]) for key, value in zip(keys, values, strict=True)})
    return len(stack) == 1


def _popped(stack: list[Any], n: int) -> list[Any]:
    if n > len(stack):
        raise _UnclearError
    taken = stack[len(stack) - n :]
    del stack[len(stack) - n :]
    return taken


def _union(values: Iterable[Any]) -> frozenset[str]:
    listed = list(values)
    if _SELF in listed:
        raise _UnclearError
    return frozenset().union(*(value for value in listed if isinstance(value, frozenset)))
