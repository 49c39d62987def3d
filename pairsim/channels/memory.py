"""Shared memory without a name: nothing to leak after SIGKILL, no resource tracker, gone with its last process.

The rule: whoever made a `Memory` closes it. Children inherit it by fork; anyone else gets the descriptor
(``pass_fds`` or SCM_RIGHTS) and attaches, read-only unless told otherwise.

``PAIRSIM_PORTABLE=1``, or a system without memfd and futex, makes this process take the portable path: memory is an
unlinked temporary file, waits are short sleeps, doorbells are pipes. It is decided once, when this module is
imported, and inherited through the environment by all processes of a run, so that both ends of a channel agree.
"""

import fcntl
import mmap
import os
import platform
import sys
import tempfile
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from pairsim.channels.native import Words
from pairsim.errors import EngineError, InputError

__all__ = ["PORTABLE", "Memory"]

FUTEX_NUMBERS = {"x86_64": 202, "aarch64": 98, "riscv64": 98}  # of the system call, from the kernel's unistd.h
HAS_FUTEX = sys.platform == "linux" and platform.machine() in FUTEX_NUMBERS

PORTABLE: bool = (
    os.environ.get("PAIRSIM_PORTABLE", "") not in ("", "0") or not HAS_FUTEX or not hasattr(os, "memfd_create")
)
"""Whether this process takes the portable path."""


class Memory:
    """One block of shared words.

    Attributes
    ----------
    fd : int
        Descriptor of the block; pass it on for another process to `attach`.
    words : int64[n]
        The block; not writable when attached so.
    floats : float64[n]
        The same words seen as floats.

    Examples
    --------
    >>> with Memory.create(1024) as memory:
    ...     memory.words[0] = 7
    ...     with Memory.attach(memory.fd) as reader:
    ...         int(reader.words[0])
    7
    """

    __slots__ = ("_mapping", "_words", "fd", "writable")

    def __init__(self, fd: int, *, writable: bool) -> None:
        """Map the descriptor, which from now on belongs to this object; use `create` or `attach`."""
        size = os.fstat(fd).st_size
        if size == 0 or size % 8:
            raise InputError(
                f"descriptor {fd} holds {size} bytes, which is not a block of 8-byte words; pass Memory.fd"
            )
        access = mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ
        self.fd = fd
        self.writable = writable
        self._mapping: mmap.mmap | None = mmap.mmap(fd, size, access=access)
        self._words: Words | None = np.frombuffer(self._mapping, dtype=np.int64)

    @classmethod
    def create(cls, words: int) -> Self:
        """Make a block of so many words, all zero."""
        if words < 1:
            raise InputError(f"{words} words: shared memory needs at least 1")
        fd = _unlinked_file(8 * words) if PORTABLE else _anonymous_file(8 * words)
        try:
            return cls(fd, writable=True)
        except BaseException:
            os.close(fd)
            raise

    @classmethod
    def attach(cls, fd: int, writable: bool = False) -> Self:
        """Map the block behind a descriptor. The caller keeps, and closes, the descriptor it gave."""
        own = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)
        try:
            return cls(own, writable=writable)
        except BaseException:
            os.close(own)
            raise

    @property
    def words(self) -> Words:
        """The block as int64."""
        if self._words is None:
            raise EngineError("this shared memory is closed; create or attach it again")
        return self._words

    @property
    def floats(self) -> NDArray[np.float64]:
        """The block as float64: the same bits."""
        return self.words.view(np.float64)

    def close(self) -> None:
        """Close the descriptor; the block itself goes when the last array over it does. Closing twice is harmless."""
        if self._mapping is None:
            return
        self._words = self._mapping = None  # arrays taken earlier keep the mapping alive, so none of them dangles
        os.close(self.fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        if self._words is None:
            return "Memory(closed)"
        return f"Memory({len(self._words):,} words, fd {self.fd}, {'writable' if self.writable else 'read-only'})"


def _anonymous_file(size: int) -> int:
    fd = os.memfd_create("pairsim", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, size)
    # Sealed: whoever attaches cannot shrink the block, which would kill the others with SIGBUS.
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    return fd


def _unlinked_file(size: int) -> int:
    folder = "/dev/shm" if os.path.isdir("/dev/shm") else None  # never write back to a disk where it can be avoided
    fd, path = tempfile.mkstemp(prefix="pairsim-", dir=folder)
    os.unlink(path)
    os.ftruncate(fd, size)
    return fd
