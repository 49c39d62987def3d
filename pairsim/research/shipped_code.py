"""Code of the large kernels as it comes with an installed pairsim: LLVM's bitcode, made when the package is built.

Rule: it is used only if every source of the package, numba and LLVM are those it was made from, and the kind of machine
is the same; otherwise the kernels are compiled at first use, as ever. Bitcode holds nothing of the CPU it was made on:
machine code is made of it where it runs, in a tenth of the time that compiling takes.

Building a wheel or installing the package calls `make` (hatch_build.py).
"""

import hashlib
import zlib
from pathlib import Path
from typing import Final

__all__ = ["FOLDER", "make", "read"]

FOLDER: Final = Path(__file__).parent / "shipped"
_KEY_BYTES: Final = 32


def read(name: str, key: str, folder: Path = FOLDER) -> bytes | None:
    """Bitcode of a kernel if it was made under this key."""
    try:
        kept = (folder / f"{name}.bc").read_bytes()
    except OSError:
        return None
    if kept[:_KEY_BYTES] != _digest(key):
        return None
    try:
        return zlib.decompress(kept[_KEY_BYTES:])
    except zlib.error:
        return None


def write(name: str, key: str, bitcode: bytes, folder: Path = FOLDER) -> None:
    """Keep the bitcode of a kernel."""
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.bc").write_bytes(_digest(key) + zlib.compress(bitcode, 9))


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def make(folder: Path = FOLDER) -> list[str]:
    """Make what a first backtest, its statistics and a first sweep run, if it is not there or not of these sources.

    Returns the names of what was made.
    """
    from pairsim.research import kernel_code
    from pairsim.research.lone_loop import run_alone
    from pairsim.research.loop import run
    from pairsim.research.summary import KERNELS
    from pairsim.research.sweep_kernel import sweep_alone, sweep_together

    made = []
    for kernel in (run_alone, run, sweep_alone, sweep_together, *KERNELS):
        name, key = kernel_code.name_of(kernel), kernel_code.portable_key()
        if read(name, key, folder) is None:
            write(name, key, kernel_code.bitcode_of(kernel), folder)
            made.append(name)
    return made
