"""Fixtures of the whole suite; numba's disk cache lives in a folder named by the sources, because a cached kernel
does not notice an edit in another file."""

import hashlib
import os
import pathlib
import tempfile

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]


def _source_hash() -> str:
    digest = hashlib.sha256()
    for path in sorted((ROOT / "pairsim").rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


os.environ.setdefault("NUMBA_CACHE_DIR", str(pathlib.Path(tempfile.gettempdir()) / f"pairsim-numba-{_source_hash()}"))


@pytest.fixture(scope="session")
def shared_data() -> pathlib.Path:
    """The folder of real market data beside the project; a test that needs it skips where it is absent."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("real market data (../shared/data) is not on this machine")
    return folder
