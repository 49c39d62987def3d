"""Machine code as bytes: a small header with a digest around it, and a folder of files named by key.

Rule: nothing read from a file is executed or unpickled before its digest fits; a file that does not is as good as
absent. A folder that cannot be written is no error: then every process compiles for itself.
"""

import contextlib
import hashlib
import os
import tempfile
from pathlib import Path
from typing import Final

import numba
from numba.misc.appdirs import AppDirs

from pairsim.errors import StrategyError

__all__ = ["read", "unwrap", "wrap", "write"]

_MAGIC: Final = b"pairsim1"
_MACHINE: Final = slice(8, 24)
_DIGEST: Final = slice(24, 56)
_HEADER: Final = 56
_MAX_FILES: Final = 1000  # 3 to 20 kB each; the oldest go


def wrap(payload: bytes, machine: str) -> bytes:
    """Machine code with its header: magic, hash of the machine it is for, hash of the code."""
    return _MAGIC + _machine_tag(machine) + hashlib.sha256(payload).digest() + payload


def unwrap(data: bytes, machine: str) -> bytes:
    """The machine code inside.

    Raises
    ------
    StrategyError
        Damaged, or made for another machine.
    """
    if data[:8] != _MAGIC or hashlib.sha256(data[_HEADER:]).digest() != data[_DIGEST]:
        raise StrategyError(f"{len(data)} bytes of strategy code are damaged; prepare the strategy again")
    if data[_MACHINE] != _machine_tag(machine):
        raise StrategyError("strategy code was made for another CPU; prepare the strategy on this machine")
    return data[_HEADER:]


def read(key: str, machine: str) -> bytes | None:
    """Code kept under a key, header included, or None."""
    try:
        data = (_folder() / f"{key}.o").read_bytes()
        unwrap(data, machine)
    except (OSError, StrategyError):
        return None
    return data


def write(key: str, data: bytes) -> None:
    """Keep code under a key; other processes see all of it or nothing."""
    folder = _folder()
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        _prune(folder)
        with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
            file.write(data)
        os.replace(file.name, folder / f"{key}.o")


def _machine_tag(machine: str) -> bytes:
    return hashlib.sha256(machine.encode()).digest()[:16]


def _folder() -> Path:
    """Beside numba's own cache, so that NUMBA_CACHE_DIR moves both."""
    root = numba.config.CACHE_DIR or AppDirs(appname="numba", appauthor=False).user_cache_dir
    return Path(root) / "pairsim-strategies"


def _prune(folder: Path) -> None:
    files = sorted(folder.glob("*"), key=lambda path: path.stat().st_mtime)
    for path in files[: max(0, len(files) - _MAX_FILES)]:
        path.unlink(missing_ok=True)
