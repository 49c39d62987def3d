"""Children that end with their parent, whatever ends it. Linux: the kernel's own signal; elsewhere: the parent's id is watched."""

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
