"""What a child process is bound to: its parent, with which it ends, and its core. Linux: the kernel's own signal;
elsewhere: the parent's id is watched.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int) -> None:
    """Ask to be killed when the thread that forked us ends, and leave at once if that has happened already."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def parent_alive(parent: int) -> bool:
    """Whether our parent is still the process ``parent``: the portable path asks this every 100 ms."""
    return os.getppid() == parent


def pin_to(place: int) -> bool:
    """Bind this thread, and what it starts, to the core at ``place`` of those it may use: 0 the host, then the
    workers in turn.
    """
    if not hasattr(os, "sched_getaffinity") or len(cores := sorted(os.sched_getaffinity(0))) < 2:
        return False
    os.sched_setaffinity(0, {cores[0] if place == 0 else cores[1 + (place - 1) % (len(cores) - 1)]})
    return True
