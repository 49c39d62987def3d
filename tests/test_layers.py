"""Imports run downward, workers stay light, only the clock reads the time: architecture.py's rules hold of the package,
and catch what breaks them."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from architecture import (
    HEAVY,
    PACKAGE,
    VAGUE_NAMES,
    WORKER_SIDE,
    Module,
    clock_reads,
    entry_cycle,
    heavy_imports,
    inside,
    market_words,
    missing_hints,
    module_cycle,
    place,
    read_modules,
    upward_imports,
)

ROOT = Path(__file__).resolve().parents[1]
MODULES = read_modules(ROOT / PACKAGE)


# --- the rules hold ------------------------------------------------------------------------------------------------


def test_every_module_has_a_layer() -> None:
    homeless = [name for name in MODULES if name and place(name) is None]
    assert not homeless, f"give these a place in LAYERS: {homeless}"


def test_imports_run_downward() -> None:
    faults = upward_imports(MODULES)
    assert not faults, "\n".join(faults)


def test_no_import_cycles() -> None:
    assert not entry_cycle(MODULES), " -> ".join(entry_cycle(MODULES))
    assert not module_cycle(MODULES), " -> ".join(module_cycle(MODULES))


def test_channels_knows_no_markets() -> None:
    faults = [fault for name, m in MODULES.items() if inside(name, "channels") for fault in market_words(m)]
    assert not faults, "\n".join(faults)


def test_worker_side_imports_nothing_heavy() -> None:
    faults = heavy_imports(MODULES)
    assert not faults, "\n".join(faults)


def test_only_the_clock_reads_the_time() -> None:
    faults = [fault for name, m in MODULES.items() if name != "clock" for fault in clock_reads(m)]
    assert not faults, "\n".join(faults)


def test_public_functions_are_fully_hinted() -> None:
    faults = [fault for m in MODULES.values() for fault in missing_hints(m)]
    assert not faults, "\n".join(faults)


def test_every_module_says_what_it_is() -> None:
    silent = [name for name, m in MODULES.items() if m.source.strip() and not ast.get_docstring(m.tree)]
    assert not silent, f"no docstring at the top of {silent}"


def test_no_module_has_a_name_that_says_nothing() -> None:
    vague = [name for name in MODULES if set(name.split(".")) & VAGUE_NAMES]
    assert not vague, f"name the concept instead: {vague}"


# --- the rules as processes see them -------------------------------------------------------------------------------


def _loaded_by(statement: str) -> set[str]:
    """Top-level packages in ``sys.modules`` of a fresh interpreter after ``statement``."""
    code = f"{statement}\nimport sys\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_importing_the_package_loads_none_of_its_dependencies() -> None:
    loaded = _loaded_by("import pairsim")
    assert "pairsim" in loaded
    assert not loaded & {"numba", "numpy", "llvmlite", *HEAVY}


def test_importing_all_worker_side_modules_loads_nothing_heavy() -> None:
    names = [f"{PACKAGE}.{n}" for n in MODULES if any(inside(n, side) for side in WORKER_SIDE)]
    if not names:
        pytest.skip("no worker-side module exists yet")
    assert not _loaded_by("import " + ", ".join(names)) & set(HEAVY)


# --- the rules catch what breaks them ------------------------------------------------------------------------------


def _sources(**named: str) -> dict[str, Module]:
    """Modules from sources; ``__`` in a name is a dot, a name with others below it is a package."""
    names = {name.replace("__", "."): source for name, source in named.items()}
    packages = {n for n in names if any(other.startswith(f"{n}.") for other in names)}
    return {"": Module("", "", True), **{n: Module(n, source, n in packages) for n, source in names.items()}}


@pytest.mark.parametrize(
    "source",
    [
        "from pairsim.market import candle",
        "import pairsim.market.candle",
        "from ..market.candle import Candle",
        "def late():\n    from pairsim.market.candle import Candle",
        "if TYPE_CHECKING:\n    from pairsim.market.candle import Candle",
        "from pairsim import Strategy",
        "import pairsim",
    ],
)
def test_an_upward_import_is_caught(source: str) -> None:
    modules = _sources(channels="", channels__ring=source, market="", market__candle="")
    assert len(upward_imports(modules)) == 1


@pytest.mark.parametrize("source", ["from pairsim import errors", "from ..errors import PairsimError", "import numpy"])
def test_a_downward_import_is_no_fault(source: str) -> None:
    assert not upward_imports(_sources(channels="", channels__ring=source, errors=""))


def test_the_process_part_of_a_package_may_lie_above_the_rest_of_it() -> None:
    modules = _sources(risk="", risk__limits="", risk__process="import pairsim.store", store="")
    assert not upward_imports(modules)
    modules["risk.limits"] = Module("risk.limits", "from pairsim.risk import process")
    assert len(upward_imports(modules)) == 1


def test_cycles_are_caught() -> None:
    sideways = _sources(orders="def f():\n    import pairsim.portfolio", portfolio="import pairsim.orders")
    assert entry_cycle(sideways) == ["orders", "portfolio", "orders"]
    within = _sources(
        orders="from .a import x", orders__a="from . import b", orders__b="from pairsim.orders.a import x"
    )
    assert module_cycle(within) == ["orders.a", "orders.b", "orders.a"]
    within["orders.b"] = Module("orders.b", "def f():\n    from .a import x")
    assert not module_cycle(within)
    within["orders.b"] = Module("orders.b", "from pairsim.orders import x")  # what __init__ took from a
    assert module_cycle(within)


@pytest.mark.parametrize(
    ("package", "candle", "frames", "faults"),
    [
        ("", "", "import polars", 0),
        ("", "import polars as pl", "", 1),
        ("", "try:\n    import polars.selectors\nexcept ImportError:\n    pass", "", 1),
        ("from .frames import load", "", "import polars", 1),  # through the package's own __init__
        ("", "from pairsim.market.frames import load", "from plotly import graph_objects", 1),
        ("", "def view():\n    import polars", "", 0),
        ("", "if TYPE_CHECKING:\n    import polars", "", 0),
    ],
)
def test_a_heavy_import_is_found_along_any_way(package: str, candle: str, frames: str, faults: int) -> None:
    modules = _sources(market=package, market__candle=candle, market__frames=frames)
    assert len(heavy_imports(modules)) == faults


@pytest.mark.parametrize(
    ("source", "reads"),
    [
        ("import time\ntime.time()", 1),
        ("import time as t\nnow = t.monotonic_ns", 1),
        ("from time import perf_counter as tick\ntick()", 1),
        ("from datetime import datetime, UTC\ndatetime.now(UTC)", 1),
        ("import datetime as dt\ndt.date.today()", 1),
        ("import time\ntime.sleep(1)", 0),
        ("def f(clock):\n    return clock.time()", 0),
        ("from pairsim.clock import wall_ns\nwall_ns()", 0),
    ],
)
def test_a_read_of_the_time_is_caught(source: str, reads: int) -> None:
    assert len(clock_reads(Module("engine.feed", source))) == reads


def test_market_words_are_caught_in_names_and_allowed_in_prose() -> None:
    assert market_words(Module("channels.ring", "def push(mem, markets): ..."))
    assert market_words(Module("channels.ring", "CANDLE_WORDS = 8"))
    assert not market_words(Module("channels.ring", '"""Knows no market."""\ndef fence(order): ...'))


def test_missing_hints_are_caught_and_kernels_are_not() -> None:
    assert missing_hints(Module("market.a", "def load(path) -> int: ..."))
    assert missing_hints(Module("market.a", "def load(path: str): ..."))
    assert missing_hints(Module("market.a", "class A:\n    def __init__(self, x) -> None: ..."))
    assert not missing_hints(Module("market.a", "@njit(cache=True)\ndef kernel(a, b): ..."))
    assert not missing_hints(Module("market.a", "class A:\n    def f(self, x: int) -> None: ...\ndef _g(x): ..."))
