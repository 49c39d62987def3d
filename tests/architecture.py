"""The architecture as rules over source text: who may import whom, what a worker may load, who reads the time.

Pure: modules in, faults out. The source is parsed, never imported, so a broken module cannot hide another's fault.
Used by test_layers.py, which also shows each rule a source that breaks it.
"""

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

PACKAGE = "pairsim"

# Top to bottom; imports run downward, or sideways within a line as long as no cycle arises. A dotted name stands for a
# part of a package that lies elsewhere than the rest of it.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("cli", "__main__"),
    ("notebook",),
    ("research", "exchange_server"),
    ("engine", "host"),
    ("feeds", "brokers", "store", "risk.process"),
    ("strategies", "orders", "portfolio", "risk"),
    ("indicators", "market"),
    ("channels",),
    ("errors", "clock", "markup", "palette"),
)

# What a worker process loads. Importing any of it must load none of HEAVY (polars alone costs 175 ms and 60 MB).
WORKER_SIDE = (
    "channels",
    "market.candle",
    "market.interval",
    "market.instrument",
    "market.resample",
    "indicators",
    "strategies",
    "orders",
    "portfolio",
    "risk",
    "engine.worker",
    "engine.zygote",
)
HEAVY = ("polars", "plotly", "ipywidgets", "anywidget", "IPython", "pandas", "pyarrow", "jupyterlab", "typer", "rich")

# channels moves words. These words would mean that it knows what they are ("order" may be a memory order,
# "symbol" a linker's).
MARKET_WORDS = frozenset({"market", "candle", "price", "trader", "strategy", "portfolio", "fill", "broker"})

_TIME = ("time", "monotonic", "perf_counter", "process_time", "thread_time", "clock_gettime")
_DATE = ("datetime.now", "datetime.utcnow", "datetime.today", "date.today")
CLOCKS = frozenset([f"time.{n}{ns}" for n in _TIME for ns in ("", "_ns")] + [f"datetime.{n}" for n in _DATE])

VAGUE_NAMES = frozenset({"utils", "util", "helpers", "helper", "manager", "base", "common", "misc"})
KERNEL_DECORATORS = frozenset(
    {"njit", "jit", "cfunc", "vectorize", "guvectorize", "intrinsic", "register_jitable", "overload"}
)


@dataclass(frozen=True)
class Module:
    """One source file. ``name`` is dotted, without the package: ``channels.ring``; the root is the empty name."""

    name: str
    source: str
    is_package: bool = False

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.source)

    def absolute(self, node: ast.ImportFrom) -> str:
        """The dotted name that a ``from … import`` starts from, relative ones resolved."""
        if not node.level:
            return node.module or ""
        parts = [PACKAGE, *self.name.split(".")] if self.name else [PACKAGE]
        keep = len(parts) - node.level + (1 if self.is_package else 0)
        return ".".join([*parts[:keep], *([node.module] if node.module else [])])


def read_modules(package: Path) -> dict[str, Module]:
    """All modules of the package in a folder, by dotted name."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if is_package else parts)
        found[name] = Module(name, path.read_text(), is_package)
    return found


# --- reading imports -----------------------------------------------------------------------------------------------


def _is_type_checking(test: ast.expr) -> bool:
    return (test.id if isinstance(test, ast.Name) else getattr(test, "attr", "")) == "TYPE_CHECKING"


def _nodes(body: Iterable[ast.stmt], *, deferred: bool) -> Iterator[ast.stmt]:
    """Statements that run on import; with ``deferred`` those inside functions and under TYPE_CHECKING too."""
    for node in body:
        yield node
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not deferred:
            continue
        for field in ("body", "orelse", "finalbody", "handlers", "cases"):
            if field == "body" and isinstance(node, ast.If) and _is_type_checking(node.test) and not deferred:
                continue
            yield from _nodes(getattr(node, field, ()), deferred=deferred)


def _imports(module: Module, *, deferred: bool) -> Iterator[tuple[int, str]]:
    """Line and full dotted name of everything imported: ``from a.b import c`` gives ``a.b.c``."""
    for node in _nodes(module.tree.body, deferred=deferred):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = module.absolute(node)
            yield from ((node.lineno, f"{start}.{alias.name}") for alias in node.names)


def _target(dotted: str, modules: dict[str, Module]) -> str | None:
    """The module of the package that a dotted name reaches: the longest that exists; None for what is not ours."""
    if dotted.split(".")[0] != PACKAGE:
        return None
    parts = dotted.split(".")[1:]
    while parts and ".".join(parts) not in modules:
        parts.pop()
    return ".".join(parts)


def _graph(modules: dict[str, Module], *, deferred: bool = True) -> dict[str, set[str]]:
    return {
        name: {t for _, dotted in _imports(m, deferred=deferred) if (t := _target(dotted, modules)) is not None}
        for name, m in modules.items()
    }


def _cycle(graph: dict[str, set[str]]) -> list[str]:
    """One cycle as a path that ends where it begins, or nothing."""
    done: set[str] = set()

    def walk(node: str, path: list[str]) -> list[str]:
        if node in path:
            return [*path[path.index(node) :], node]
        if node in done:
            return []
        for following in sorted(graph.get(node, ())):
            if found := walk(following, [*path, node]):
                return found
        done.add(node)
        return []

    return next((found for node in sorted(graph) if (found := walk(node, []))), [])


def inside(name: str, package: str) -> bool:
    """Whether a dotted name is the package or below it."""
    return name == package or name.startswith(f"{package}.")


def place(name: str) -> tuple[int, str] | None:
    """Layer (0 is the lowest) and its entry that a module belongs to; the longest entry wins."""
    fitting = [(i, entry) for i, line in enumerate(reversed(LAYERS)) for entry in line if inside(name, entry)]
    return max(fitting, key=lambda found: len(found[1]), default=None)


# --- rules: modules in, faults out ---------------------------------------------------------------------------------


def upward_imports(modules: dict[str, Module]) -> list[str]:
    """Imports of a higher layer or of the root, deferred ones and those for hints only as well."""
    faults = []
    for name, module in modules.items():
        here = place(name)
        if not name or here is None:  # the root names everything, lazily
            continue
        for line, dotted in _imports(module, deferred=True):
            target = _target(dotted, modules)
            where = f"{name}:{line} imports {dotted}"
            if target == "" and dotted != f"{PACKAGE}.__version__":
                faults.append(f"{where}: the public face, or no module at all: import from where the name is made")
            elif target and (there := place(target)) and there[0] > here[0]:
                faults.append(f"{where}: {there[1]} stands above {here[1]}")
    return faults


def entry_cycle(modules: dict[str, Module]) -> list[str]:
    """A cycle between entries of LAYERS, imports inside functions counted: they hide a cycle, they do not remove it."""
    graph: dict[str, set[str]] = {}
    for name, targets in _graph(modules).items():
        if name and (here := place(name)):
            entries = {there[1] for t in targets if t and (there := place(t))}
            graph.setdefault(here[1], set()).update(entries - {here[1]})
    return _cycle(graph)


def module_cycle(modules: dict[str, Module]) -> list[str]:
    """A cycle among imports that run on import, between single modules (an ``__init__`` is one)."""
    return _cycle({n: ts - {""} for n, ts in _graph(modules, deferred=False).items() if n})


def heavy_imports(modules: dict[str, Module]) -> list[str]:
    """Ways from a worker-side module to a heavy package through imports that run on import, ``__init__``s included."""
    faults = []
    graph = _graph(modules, deferred=False)
    heavy = {
        name: [f"{name}:{line} imports {dotted}" for line, dotted in _imports(m, deferred=False)
               if dotted.split(".")[0] in HEAVY]
        for name, m in modules.items()
    }  # fmt: skip
    for start in (n for n in modules if any(inside(n, side) for side in WORKER_SIDE)):
        seen: set[str] = set()
        ahead = [start]
        while ahead:
            name = ahead.pop()
            if name in seen:
                continue
            seen.add(name)
            parents = [".".join(name.split(".")[:i]) for i in range(len(name.split(".")))]
            ahead += [n for n in {*graph.get(name, ()), *parents} if n in modules]
        faults += [f"{start} loads: {fault}" for name in sorted(seen) for fault in heavy[name]]
    return faults


def clock_reads(module: Module) -> list[str]:
    """Uses of a standard clock under any name it was imported as."""
    origin: dict[str, str] = {}
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            origin |= {alias.asname: alias.name for alias in node.names if alias.asname}
            origin |= {(top := alias.name.split(".")[0]): top for alias in node.names if not alias.asname}
        elif isinstance(node, ast.ImportFrom):
            start = module.absolute(node)
            origin |= {alias.asname or alias.name: f"{start}.{alias.name}" for alias in node.names}

    def dotted(node: ast.expr) -> str:
        if isinstance(node, ast.Attribute):
            return f"{dotted(node.value)}.{node.attr}"
        return origin.get(node.id, "") if isinstance(node, ast.Name) else ""

    reads = {(n.lineno, d) for n in ast.walk(module.tree) if isinstance(n, ast.expr) and (d := dotted(n)) in CLOCKS}
    return [f"{module.name}:{line} reads {read}: take it from pairsim.clock" for line, read in sorted(reads)]


def market_words(module: Module) -> list[str]:
    """Identifiers that speak of markets; prose may."""
    faults = []
    for node in ast.walk(module.tree):
        for field in ("id", "name", "attr", "arg"):
            identifier = getattr(node, field, None)
            if isinstance(identifier, str):
                words = {word.rstrip("s") for word in identifier.lower().split("_")}
                if words & MARKET_WORDS:
                    faults.append(f"{module.name}:{getattr(node, 'lineno', '?')}: {identifier}")
    return faults


def _decorators(node: ast.FunctionDef | ast.AsyncFunctionDef) -> set[str]:
    called = [d.func if isinstance(d, ast.Call) else d for d in node.decorator_list]
    return {d.attr if isinstance(d, ast.Attribute) else getattr(d, "id", "") for d in called}


def missing_hints(module: Module) -> list[str]:
    """Public Python functions without full hints; kernels are typed by numba and may go without (see [tool.mypy])."""
    faults = []
    scopes = [("", module.tree.body)]
    scopes += [(f"{c.name}.", c.body) for c in module.tree.body if isinstance(c, ast.ClassDef) and c.name[0] != "_"]
    for prefix, body in scopes:
        for node in body:
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or _decorators(node) & KERNEL_DECORATORS:
                continue
            if node.name.startswith("_") and not node.name.endswith("__"):
                continue
            spec = node.args
            named = [*spec.posonlyargs, *spec.args]
            if prefix and "staticmethod" not in _decorators(node):
                named = named[1:]
            every = [*named, *spec.kwonlyargs, *(a for a in (spec.vararg, spec.kwarg) if a)]
            bare = [a.arg for a in every if a.annotation is None] + ([] if node.returns else ["return"])
            if bare:
                faults.append(f"{module.name}:{node.lineno} {prefix}{node.name} has no hint for {', '.join(bare)}")
    return faults
