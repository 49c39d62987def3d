"""Changed copies of the worker's loop, each with one rule taken out: whoever kills workers must notice every one.

Rule: a mutant is the product's source with a few words replaced, each found exactly once. So the product holds no
switch for the tests, and a mutant that no longer fits the source says so.
"""

import contextlib
import importlib.util
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from pairsim.engine import worker, worker_loop


class Mutant(NamedTuple):
    """Which scene shows it, and what it replaces by what."""

    scene: str
    changes: tuple[tuple[str, str], ...]


def _mutant(scene: str, *changes: tuple[str, str]) -> Mutant:
    return Mutant(scene, changes)


VERSION = "version = mem[old + A_VERSION] & 1\n    row = part(rows"
FRESH = "_copy_slot(mem, fresh, mind, size, LEAST_B)\n        if closes:"
COMMIT = "    compiler_fence()\n    store_release(mem, commit, n + 1)\n    compiler_fence()\n    return 0 if last"
CLOSES = "mem[new + A_CLOSES] = c + 1"
SEQUENCE = "mem[new + am + AM_SEQUENCE] = mem[r + 1]"
DUE = "mem[new + A_DUE], mem[new + A_DUE_BUCKET] = due, due_bucket"
REPLAY = "replay = told >= 0 and mem[told + D_TRADER] == t and mem[told + D_N] == n"
LOGGED = "for w in range(DECISION_WORDS):\n            decision[w] = mem[told + w]"
FIRST = "mem[place + D_INDEX] = decision[D_INDEX] = end"
PUBLISH = "publish(mem, ring, end + 1)"

MUTANTS = {
    # R1
    "one slot A": _mutant(
        "several_traders",
        (VERSION, f"shadow, new = new, old; {VERSION}"),
        (COMMIT, f"    _copy_slot(mem, shadow, new, words, LEAST_A)\n{COMMIT}"),
    ),
    "one slot B": _mutant(
        "several_traders",
        (FRESH, f"shadow, fresh = fresh, mind; {FRESH}"),
        (COMMIT, f"    if closes or evaluates: _copy_slot(mem, shadow, fresh, size, LEAST_B)\n{COMMIT}"),
    ),
    "c not committed with n": _mutant(
        "several_traders", (f"{CLOSES}\n        _copy", f"{CLOSES}; mem[old + A_CLOSES] = c + 1\n        _copy")
    ),
    "c not committed with n at a control record": _mutant(
        "controls", (f"{CLOSES}\n    if version", f"{CLOSES}; mem[old + A_CLOSES] = c + 1\n    if version")
    ),
    "due beside the slots": _mutant("two_markets", (DUE, f"{DUE}; mem[old + A_DUE] = due")),
    # R2
    "commit before push": _mutant(
        "several_traders", ("info[X_MIND] = mind", "info[X_MIND] = mind; store_release(mem, commit, n + 1)")
    ),
    # R3
    "no look at the last decision": _mutant("several_traders", (REPLAY, "replay = False")),
    "the last decision of any record": _mutant("several_traders", (REPLAY, REPLAY.replace("== n", ">= 0"))),
    "the last decision of any trader": _mutant("several_traders", (REPLAY, REPLAY.replace("== t", ">= 0"))),
    "fresh snapshot on replay": _mutant(
        "several_traders", (LOGGED, "_snapshot(row, mem, memf, b, lay[L_PORTFOLIO], decision, decisionf)")
    ),
    "push again on replay": _mutant("several_traders", ("if count > 0 and not replay:", "if count > 0:")),
    "a decision without its index": _mutant("ring_of_one", ("mem[told + D_INDEX] != sent - 1", "sent < 0")),
    "the index last": _mutant(
        "ring_of_one",
        (FIRST, "decision[D_INDEX] = mem[place + D_INDEX]"),
        (PUBLISH, f"compiler_fence(); mem[place + D_INDEX] = end; {PUBLISH}"),
    ),
    # R4
    "no sequence check": _mutant("several_traders", ("mem[old + am + AM_SEQUENCE] >= mem[r + 1]", "mem[r + 1] < 0")),
    "sequence beside the slots": _mutant("several_traders", (SEQUENCE, f"{SEQUENCE}; mem[old + am] = mem[r + 1]")),
    "control records done again": _mutant("controls", ("mem[old + A_CONTROL] >= mem[r + 1]", "mem[r + 1] < 0")),
    "released before handled": _mutant(
        "several_traders",
        ("        while index < end:", "        release(mem, ring, end)\n        while index < end:"),
    ),
}


@contextlib.contextmanager
def mutated(name: str) -> Iterator[None]:
    """While inside, workers run this mutant."""
    source = Path(worker_loop.__file__).read_text()
    for was, becomes in MUTANTS[name].changes:
        assert source.count(was) == 1, f"mutant {name!r}: {source.count(was)} places in the loop read {was!r}"
        source = source.replace(was, becomes)
    folder = Path(os.environ.get("NUMBA_CACHE_DIR", tempfile.gettempdir())) / "mutants"
    folder.mkdir(exist_ok=True)
    path = folder / f"worker_loop_{name.replace(' ', '_')}.py"
    if not path.exists() or path.read_text() != source:
        path.write_text(source)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # where numba's cache looks for it
    spec.loader.exec_module(module)
    with pytest.MonkeyPatch.context() as patch:
        for kernel in ("run_worker", "apply_control", "feed_closed"):
            patch.setattr(worker, kernel, getattr(module, kernel))
        yield
