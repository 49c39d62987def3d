"""What numba compiles, but into something that behaves otherwise than Python: refused, so that it runs as it is.

Rule: compiled and plain runs of one class agree. A set is iterated in another order, the text of a float is not its
text, random numbers come from another generator. Bytecode is read, not source, so this works for ``python -`` too.
"""

import builtins
import math
import random
import types
from collections.abc import Iterator, Mapping
from dis import Instruction, get_instructions
from typing import Any, Final

import numpy as np

__all__ = ["NotCompilable", "code_objects", "global_names", "refuse_unfaithful"]


class NotCompilable(Exception):
    """A method cannot be compiled faithfully.

    Parameters
    ----------
    text : what it does, completing ``line 12 ...``.
    line : of its file or cell, 0 if unknown.
    function : the name of a helper; empty for `generate_signal` itself.
    """

    def __init__(self, text: str, line: int = 0, function: str = "") -> None:
        super().__init__(text)
        self.text, self.line, self.function = text, line, function


_SETS: Final = ("BUILD_SET", "SET_ADD", "SET_UPDATE")
_FORMATS: Final = ("FORMAT_VALUE", "FORMAT_SIMPLE", "FORMAT_WITH_SPEC", "CONVERT_VALUE")
_BUILTINS: Final = {
    set: "builds a set",
    frozenset: "builds a set",
    str: "calls str()",
    repr: "calls repr()",
    format: "calls format()",
    print: "calls print()",
    hash: "calls hash()",
    id: "calls id()",
    math.gamma: "calls math.gamma()",
    math.lgamma: "calls math.lgamma()",
}
_RANDOM: Final = "draws random numbers; a strategy must decide the same way when a candle is repeated"


def code_objects(code: types.CodeType) -> list[types.CodeType]:
    """A code object and those of the functions and comprehensions inside it."""
    inner = [c for const in code.co_consts if isinstance(const, types.CodeType) for c in code_objects(const)]
    return [code, *inner]


def global_names(code: types.CodeType) -> tuple[str, ...]:
    """Global names that a function reads, those inside it included, in the order of first use."""
    parts = code_objects(code)
    return tuple(dict.fromkeys(str(i.argval) for part in parts for i in get_instructions(part) if _is_global(i)))


def refuse_unfaithful(code: types.CodeType, scope: Mapping[str, Any], function: str = "") -> None:
    """Look through a function's bytecode.

    Raises
    ------
    NotCompilable
        At the first instruction that would behave otherwise.
    """
    for part in code_objects(code):
        instructions = list(get_instructions(part))
        for position, instruction in enumerate(instructions):
            text = _text(instructions, position, scope)
            if text:
                raise NotCompilable(text, _line(instruction) or part.co_firstlineno, function)


def _line(instruction: Instruction) -> int:
    return (instruction.positions.lineno or 0) if instruction.positions is not None else 0


def _is_global(instruction: Instruction) -> bool:
    return instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME")


def _text(instructions: list[Instruction], position: int, scope: Mapping[str, Any]) -> str:
    instruction = instructions[position]
    if instruction.opname in _SETS or isinstance(instruction.argval, frozenset):
        return "builds a set"
    if instruction.opname in _FORMATS and not _ends_in_raise(instructions, position):
        return "formats text"
    if not _is_global(instruction):
        return ""
    value = scope.get(str(instruction.argval), vars(builtins).get(str(instruction.argval)))
    following = instructions[position + 1].argval if position + 1 < len(instructions) else None
    if value is random or isinstance(getattr(value, "__self__", None), random.Random):
        return _RANDOM
    if value is np.random or (value is np and following == "random"):
        return _RANDOM
    if value is math and following in ("gamma", "lgamma"):
        return f"calls math.{following}()"
    for builtin, text in _BUILTINS.items():
        if value is builtin and not _ends_in_raise(instructions, position):
            return text
    return ""


def _ends_in_raise(instructions: list[Instruction], position: int) -> bool:
    """Whether a value only ends up in the message of an exception, which is made again in plain Python anyway."""
    return any(instruction.opname == "RAISE_VARARGS" for instruction in _straight_on(instructions, position))


def _straight_on(instructions: list[Instruction], position: int) -> Iterator[Instruction]:
    """The instructions up to the end of the statement."""
    for instruction in instructions[position + 1 :]:
        if instruction.opname.startswith(("STORE", "RETURN", "POP_TOP", "POP_JUMP", "JUMP", "FOR_ITER")):
            return
        yield instruction
