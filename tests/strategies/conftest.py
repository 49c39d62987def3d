"""Strategies are compiled anew in each test that asks for it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pairsim.strategies import compiler, object_store


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty folder of code for each test, and nothing in memory."""
    monkeypatch.setattr(object_store.numba.config, "CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(compiler, "_done", {})
    monkeypatch.setattr(compiler, "_failed", {})
    yield
