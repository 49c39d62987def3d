"""What a process of a run is bound to: its parent or caller, with which it ends, and its core. Linux: the kernel's own
signal and a descriptor of the process; elsewhere (and with ``PAIRSIM_PORTABLE=1``) the process id is watched.
"""

import contextlib
import ctypes
import functools
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Iterator

_PR_SET_PDEATHSIG = 1
_PORTABLE = sys.platform != "linux" or os.environ.get("PAIRSIM_PORTABLE", "") not in ("", "0")
_LOOK_SECONDS = 0.2


def die_with_parent(parent: int) -> None:
    """Ask to be killed when the thread that forked us ends, and leave at once if that has happened already."""
    if not _PORTABLE:
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def die_with_caller(caller: int) -> None:
    """End this process when ``caller`` has gone, whatever its other threads are doing; at once if that is so already.

    Not the kernel's signal: that comes when the *thread* that started us ends.
    """

    def watch() -> None:
        try:
            fd = None if _PORTABLE else os.pidfd_open(caller)
        except ProcessLookupError:
            os._exit(1)
        except OSError:  # an old kernel, or a sandbox that forbids it
            fd = None
        if fd is not None:
            gone = select.poll()  # select() knows no descriptor above 1,023
            gone.register(fd, select.POLLIN)
            gone.poll()
        while fd is None and _alive(caller):
            time.sleep(_LOOK_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, name="pairsim-caller", daemon=True).start()


@contextlib.contextmanager
def ended_by_caller(caller: int) -> Iterator[None]:
    """`die_with_caller` for a while in which this process may have no thread, since it is to be forked: its main thread
    looks five times a second.
    """

    def look(*_: object) -> None:
        if not _alive(caller):
            os._exit(1)

    signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, _LOOK_SECONDS, _LOOK_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def parent_alive(parent: int) -> bool:
    """Whether our parent is still the process ``parent``: the portable path asks this twice a second."""
    return os.getppid() == parent


def pin_to(place: int) -> bool:
    """Bind this thread, and what it starts, to the core at ``place`` of those the process may use: 0 the host, then the
    workers in turn.
    """
    cores = _usable_cores()
    if len(cores) < 2:
        return False
    os.sched_setaffinity(0, {cores[0] if place == 0 else cores[1 + (place - 1) % (len(cores) - 1)]})
    return True


@functools.cache
def _usable_cores() -> list[int]:
    """As they were before anything was bound: a thread inherits the binding of the one that started it."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
