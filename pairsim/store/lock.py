"""One engine per store: an exclusive lock, held for the writer's life and released by the kernel on its death.

On a file of its own, because SQLite's POSIX locks on the database end when *any* descriptor of it in the process is
closed (https://sqlite.org/howtocorrupt.html, 2.2).
"""

import contextlib
import os
from pathlib import Path
from typing import Self

from pairsim.errors import StoreError

# Descriptors of locks this process holds. A forked child shares the lock, not only the descriptor, and would keep a
# store locked after its parent's death: it closes them at birth.
_held: set[int] = set()


def _forget_in_child() -> None:
    for fd in _held:
        with contextlib.suppress(OSError):
            os.close(fd)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)


class StoreLock:
    """The lock of one store; ``<path>-lock`` holds the owner's process id for the message of whoever comes second."""

    def __init__(self, path: Path, fd: int) -> None:
        self._path = path
        self._fd = fd

    @classmethod
    def acquire(cls, store: Path) -> Self:
        """Take the lock or say who has it.

        Raises
        ------
        StoreError : another engine has the store open, or the lock file cannot be made.
        """
        import fcntl  # absent on Windows, where the module is imported by readers but never locks

        path = store.with_name(store.name + "-lock")
        while True:
            try:
                fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except OSError as error:
                raise StoreError(f"store {store}: its lock file {path} cannot be opened ({error.strerror})") from error
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                owner = os.pread(fd, 32, 0).decode("ascii", "replace").strip()
                os.close(fd)
                raise StoreError(
                    f"store {store} is in use by another engine{f' (process {owner})' if owner else ''}; "
                    f"stop that one, or choose another path"
                ) from error
            except OSError as error:
                os.close(fd)
                raise StoreError(
                    f"store {store}: its file system cannot lock files ({error.strerror}); put it on a local disk"
                ) from error
            # The last owner removes the file while it holds the lock: what we locked may no longer be what the path
            # names.
            if _same_file(fd, path):
                break
            os.close(fd)
        os.ftruncate(fd, 0)
        os.pwrite(fd, str(os.getpid()).encode(), 0)
        _held.add(fd)
        return cls(path, fd)

    def release(self) -> None:
        """Remove the lock file and give the lock back. Again is harmless."""
        if self._fd in _held:
            _held.discard(self._fd)
            with contextlib.suppress(OSError):
                self._path.unlink()
            os.close(self._fd)
            self._fd = -1


def _same_file(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except FileNotFoundError:
        return False
