"""Why a method runs as plain Python, in the user's words: ``plain Python: line 12 builds a set``.

Rule: only our own look at the source speaks, never the text of the compiler, which would be a page about types. The
compiler's error is asked for one thing, the line. Where the source is not at hand (``python -``, ``exec``) the line
alone is named. Lines count as the file or the cell does.
"""

import ast
import inspect
import re
import textwrap
import types
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from pairsim.strategies.context import CONTEXT_FIELDS
from pairsim.strategies.freezing import is_foreign
from pairsim.strategies.refusals import NotCompilable
from pairsim.strategies.signal import MAX_SIGNALS
from pairsim.strategies.strategy import Strategy, fields_of

__all__ = ["explain_fallback"]


class _Finding(NamedTuple):
    line: int
    text: str  # completes "line 12 ..."
    function: str  # empty: generate_signal itself


def explain_fallback(strategy: Strategy, error: Exception) -> str:
    """The reason to show, from the source and from the line of the compiler's error."""
    line, text, function = _best(strategy, error)
    where = f" of {function}()" if function else ""
    return f"plain Python: line {line}{where} {text}" if line else f"plain Python: {text}"


def _best(strategy: Strategy, error: Exception) -> _Finding:
    method: Any = type(strategy).generate_signal
    code = getattr(method, "__code__", None)
    if not isinstance(method, types.FunctionType) or code is None:
        return _Finding(0, "generate_signal is not written in Python", "")
    for special in ("__getattr__", "__getattribute__", "__setattr__"):
        if inspect.getattr_static(type(strategy), special, None) is not inspect.getattr_static(Strategy, special, None):
            return _Finding(code.co_firstlineno, f"belongs to a class that defines {special}", "")
    if isinstance(error, NotCompilable) and error.line:
        return _Finding(error.line, error.text, error.function)
    findings = [found for function in _reachable(strategy, method) for found in _look(strategy, function, method)]
    line = _error_line(error, code)
    at_error = [found for found in findings if found.line == line and not found.function]
    if at_error:
        return at_error[0]
    changed = _changed_type(error)
    if changed and line:
        return _Finding(line, changed, "")
    if findings:
        return findings[0]
    if isinstance(error, NotCompilable):
        return _Finding(0, f"generate_signal {error.text}", "")
    if _tree(method) is None:
        what = "is more" if line else "generate_signal is more"
        return _Finding(line, f"{what} than the compiler takes (the source is not at hand to say what)", "")
    if not line:
        return _Finding(0, "generate_signal is more than the compiler takes", "")
    return _Finding(line, f"is more than the compiler takes: {_source_line(method, line)}", "")


def _error_line(error: Exception, code: types.CodeType) -> int:
    """The line in the method that the compiler stumbled on, 0 if it does not say."""
    location = getattr(error, "loc", None)
    line = getattr(location, "line", None)
    if not isinstance(line, int) or getattr(location, "filename", None) != code.co_filename:
        return 0
    last = max((number for _, _, number in code.co_lines() if number is not None), default=code.co_firstlineno)
    return line if code.co_firstlineno <= line <= last else 0


_TYPES: Final = {
    "none": "None",
    "float64": "a float",
    "int64": "an int",
    "int": "an int",
    "bool": "a bool",
    "unicode_type": "text",
    "str": "text",
}


def _changed_type(error: Exception) -> str:
    found = re.search(r"Cannot unify (.+?) and (.+?) for '(\w+)", str(error))
    if not found:
        return ""
    kinds = [re.sub(r"Literal\[(\w+)\]\(.*\)", r"\1", kind) for kind in found.groups()[:2]]
    one, other = (_TYPES.get(kind, "something else") for kind in kinds)
    return f"changes the type of {found[3]}: here {one}, there {other}"


def _source_line(function: types.FunctionType, line: int) -> str | None:
    tree = _tree(function)
    if tree is None or not line:
        return None
    lines, first = inspect.getsourcelines(function)
    text = lines[line - first].strip() if 0 <= line - first < len(lines) else ""
    return text if len(text) <= 60 else f"{text[:57]}..."


# --- which functions -----------------------------------------------------------------------------------------------


def _tree(function: types.FunctionType) -> ast.AST | None:
    """Syntax tree with the line numbers of the file, or None without source."""
    try:
        lines, first = inspect.getsourcelines(function)
        tree = ast.parse(textwrap.dedent("".join(lines)))
    except (OSError, TypeError, SyntaxError, ValueError):
        return None
    return ast.increment_lineno(tree, max(first, 1) - 1).body[0]


def _reachable(strategy: Strategy, method: types.FunctionType) -> Iterator[types.FunctionType]:
    """The method, then the plain functions and methods that it calls, recursively."""
    waiting, seen = [method], {id(method)}
    while waiting:
        function = waiting.pop(0)
        yield function
        tree = _tree(function)
        for node in ast.walk(tree) if tree else ():
            called = _called(strategy, function, node.func) if isinstance(node, ast.Call) else None
            if isinstance(called, types.FunctionType) and not is_foreign(called.__module__) and id(called) not in seen:
                seen.add(id(called))
                waiting.append(called)


def _called(strategy: Strategy, function: types.FunctionType, node: ast.expr) -> object:
    """What an expression that is being called stands for, as far as it can be known."""
    if isinstance(node, ast.Name):
        return _global(function, node.id)
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        if node.value.id == "self":
            member = inspect.getattr_static(type(strategy), node.attr, None)
            return getattr(member, "__func__", member)
        owner = _global(function, node.value.id)
        return vars(owner).get(node.attr) if isinstance(owner, types.ModuleType) else None
    return None


_UNKNOWN: Final = object()


def _global(function: types.FunctionType, name: str) -> object:
    """Value of a name outside a function: its closure, its module, Python's own names."""
    code = function.__code__
    if name in code.co_varnames or name in code.co_cellvars:
        return _UNKNOWN
    if name in code.co_freevars:
        try:
            return (function.__closure__ or ())[code.co_freevars.index(name)].cell_contents
        except ValueError:
            return _UNKNOWN
    import builtins

    return function.__globals__.get(name, vars(builtins).get(name, _MISSING))


_MISSING: Final = object()


# --- what is in them -----------------------------------------------------------------------------------------------

_SYNTAX: Final[dict[type[ast.AST], str]] = {
    ast.Set: "builds a set",
    ast.SetComp: "builds a set",
    ast.Dict: "builds a dict",
    ast.DictComp: "builds a dict",
    ast.JoinedStr: "formats text",
    ast.With: "uses with",
    ast.Import: "imports a module",
    ast.ImportFrom: "imports a module",
    ast.Yield: "yields",
    ast.YieldFrom: "yields",
    ast.Await: "awaits",
    ast.AsyncFunctionDef: "is async",
    ast.ClassDef: "defines a class",
    ast.Global: "changes a global",
    ast.Nonlocal: "changes an outer variable",
    ast.Delete: "deletes something",
    ast.GeneratorExp: "uses a generator expression",
    ast.Lambda: "uses lambda",
    ast.Starred: "unpacks with *",
    ast.Match: "uses match",
}
_BUILTINS: Final = frozenset(
    ("super", "open", "eval", "exec", "setattr", "delattr", "hasattr", "vars", "dir", "id", "type", "input", "sorted")
    + ("dict", "set", "frozenset", "list", "map", "filter", "format", "repr", "str", "getattr", "any", "all", "print")
)
_FROZEN_KINDS: Final = (bool, int, float, complex, str, bytes, tuple, type(None), types.ModuleType, type)


def _look(strategy: Strategy, function: types.FunctionType, method: types.FunctionType) -> list[_Finding]:
    """Everything in one function that is known not to compile, in the order of its lines."""
    tree = _tree(function)
    if tree is None:
        return []
    name = "" if function is method else function.__name__
    found = [
        _Finding(node.lineno, text, name)
        for node in ast.walk(tree)
        if node is not tree and hasattr(node, "lineno")
        for text in _texts(strategy, function, node)
    ]
    if function is method:
        found += [_Finding(line, text, "") for line, text in _returns(tree)]
    return sorted(found, key=lambda finding: finding.line)


def _texts(strategy: Strategy, function: types.FunctionType, node: ast.AST) -> Iterator[str]:
    if type(node) in _SYNTAX:
        yield _SYNTAX[type(node)]
    elif isinstance(node, ast.Try) and node.finalbody:
        yield "uses finally"
    elif isinstance(node, ast.ExceptHandler):
        if node.type is not None and ast.unparse(node.type) != "Exception":
            yield f"catches {ast.unparse(node.type)}; only Exception can be caught in compiled code"
    elif isinstance(node, ast.Call):
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name in _BUILTINS and isinstance(_global(function, name), type | types.BuiltinFunctionType):
            yield f"calls {name}()"
    elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        yield from _attribute(strategy, function, node, node.value.id)
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
        yield from _name(function, node.id)
    elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and node.value.value is None:
        for target in node.targets:
            if isinstance(target, ast.Attribute):
                yield f"stores None in {ast.unparse(target)}; use float('nan') for \"no value\""


def _attribute(strategy: Strategy, function: types.FunctionType, node: ast.Attribute, owner: str) -> Iterator[str]:
    arguments = function.__code__.co_varnames[: function.__code__.co_argcount]
    if owner == "self" and "self" in arguments:
        if node.attr in fields_of(strategy):
            return
        known = inspect.getattr_static(type(strategy), node.attr, _MISSING)
        sets = not isinstance(node.ctx, ast.Load)
        if sets or known is _MISSING or node.attr in strategy.__dict__:
            yield f"{'sets' if sets else 'reads'} self.{node.attr}, which is not declared with ps.state()"
        elif isinstance(known, classmethod):
            yield f"calls the classmethod self.{node.attr}()"
        elif isinstance(known, dict | list | set):
            yield f"uses self.{node.attr}, a {type(known).__name__}"
    elif owner == "ctx" and "ctx" in arguments:
        if not isinstance(node.ctx, ast.Load):
            yield f"sets ctx.{node.attr}; ctx cannot be changed"
        if node.attr not in CONTEXT_FIELDS and node.attr not in strategy.indicators():
            yield f"reads ctx.{node.attr}, which ctx does not have"
    else:
        module = _global(function, owner)
        if isinstance(module, types.ModuleType):
            yield from _module_attribute(module, node.attr)


def _module_attribute(module: types.ModuleType, name: str) -> Iterator[str]:
    import sys

    if module.__name__.partition(".")[0] in sys.stdlib_module_names - {"math", "cmath", "random", "operator"}:
        yield f"uses {module.__name__}.{name}"
    elif isinstance(vars(module).get(name), dict | list | set):
        yield f"uses {module.__name__}.{name}, a {type(vars(module)[name]).__name__}"


def _name(function: types.FunctionType, name: str) -> Iterator[str]:
    value = _global(function, name)
    if value is _UNKNOWN or callable(value) or isinstance(value, _FROZEN_KINDS) or hasattr(value, "dtype"):
        return
    yield f"uses {name}, which is not defined" if value is _MISSING else f"uses {name}, a {type(value).__name__}"


def _returns(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Returns that do not fit each other: a tuple must have one length everywhere."""
    lengths: dict[int, int] = {}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Return) or node.value is None:
            continue
        if isinstance(node.value, ast.Constant) and node.value.value is not None:
            yield node.lineno, f"returns {node.value.value!r}, which is no signal"
        elif isinstance(node.value, ast.List):
            yield node.lineno, "returns a list; return a tuple of signals"
        elif isinstance(node.value, ast.Tuple) and any(getattr(item, "value", 0) is None for item in node.value.elts):
            yield node.lineno, "returns a tuple with None in it; fill up with ps.hold()"
        elif isinstance(node.value, ast.Tuple | ast.Call):
            lengths[node.lineno] = len(node.value.elts) if isinstance(node.value, ast.Tuple) else -1
    for line, length in lengths.items():
        if length > MAX_SIGNALS or length == 0:
            yield line, f"returns {length} signals; 1 to {MAX_SIGNALS} are allowed"
    if len(set(lengths.values())) > 1:
        first, last = min(lengths), max(line for line in lengths if lengths[line] != lengths[min(lengths)])
        yield last, f"returns {_count(lengths[last])}, line {first} {_count(lengths[first])}; fill up with ps.hold()"


def _count(length: int) -> str:
    return "one signal" if length == -1 else f"a tuple of {length}"
