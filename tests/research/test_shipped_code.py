"""Bitcode that comes with the package: used if it is of these sources and whole, never otherwise."""

from pathlib import Path

import numpy as np
import pytest

from pairsim.research import kernel_code, shipped_code
from pairsim.research.kernel_code import bitcode_of, name_of, portable_key
from pairsim.research.summary import _walk_marks, walk_marks


def test_what_was_written_is_read_under_its_own_key_only(tmp_path: Path) -> None:
    shipped_code.write("kernel", "these sources", b"code", tmp_path)
    assert shipped_code.read("kernel", "these sources", tmp_path) == b"code"
    assert shipped_code.read("kernel", "other sources", tmp_path) is None
    assert shipped_code.read("another", "these sources", tmp_path) is None
    whole = (tmp_path / "kernel.bc").read_bytes()
    (tmp_path / "kernel.bc").write_bytes(whole[:-3])
    assert shipped_code.read("kernel", "these sources", tmp_path) is None


def test_shipped_code_does_what_compiled_code_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(1)
    times, equity = np.arange(1, 1_001) * 60_000_000_000, 100.0 + np.cumsum(random.normal(0, 1, 1_000))
    expected = walk_marks(times, equity, 100.0, 0)
    shipped_code.write(name_of(_walk_marks), portable_key(), bitcode_of(_walk_marks), tmp_path)
    code = shipped_code.read(name_of(_walk_marks), portable_key(), tmp_path)
    assert code is not None
    asked = []
    monkeypatch.setattr(kernel_code.object_store, "read", lambda key, machine: None)
    monkeypatch.setattr(kernel_code.object_store, "write", lambda key, data: None)
    monkeypatch.setattr(shipped_code, "read", lambda name, key: asked.append(name) or code)
    address, keep = kernel_code._loaded.__wrapped__(_walk_marks)
    assert asked == ["pairsim.research.summary._walk_marks"]
    monkeypatch.setattr("pairsim.research.summary._kernel", lambda _: lambda b: kernel_code.python_callable(address)(
        kernel_code.address(b)))  # fmt: skip
    assert walk_marks(times, equity, 100.0, 0) == expected
    assert keep is not None


def test_what_is_made_once_is_not_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    monkeypatch.setattr(kernel_code, "bitcode_of", lambda kernel: made.append(kernel) or b"code")
    names = shipped_code.make(tmp_path)
    assert len(names) == len(made) == 7
    assert shipped_code.make(tmp_path) == []
    assert len(made) == 7
