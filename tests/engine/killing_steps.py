"""Every memory a worker can leave behind: it is single-stepped, and shared memory is kept whenever it has changed.

A SIGKILL ends a process between two instructions, and what it had stored reaches memory. So the images taken here, one
behind each instruction that stored something, are all that a kill can leave, each of them once. (After ALICE, which
enumerates all states a crash can leave of a file system: Pillai et al., OSDI 2014.)
"""

import ctypes
import os
import signal
import sys
from collections.abc import Callable

import numpy as np

TRACEME, SINGLESTEP, SETOPTIONS = 0, 9, 0x4200  # sys/ptrace.h
EXITKILL = 1 << 20


def _ptrace(request: int, pid: int, data: int = 0) -> int:
    ptrace = ctypes.CDLL(None).ptrace
    ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    ptrace.restype = ctypes.c_long
    return int(ptrace(request, pid, None, data))


def why_not() -> str:
    """Why a child cannot be single-stepped here; empty when it can."""
    if sys.platform != "linux":
        return "single-stepping needs ptrace, which is Linux's"
    pid = os.fork()
    if pid == 0:
        refused = _ptrace(TRACEME, 0) != 0
        if not refused:
            os.kill(os.getpid(), signal.SIGSTOP)
        os._exit(int(refused))
    _, status = os.waitpid(pid, 0)
    if os.WIFEXITED(status):
        return "this system lets no process trace its children (ptrace)"
    stepped = _ptrace(SINGLESTEP, pid) == 0
    if stepped:
        os.waitpid(pid, 0)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return "" if stepped else "this machine cannot single-step a process (PTRACE_SINGLESTEP)"


def images(act: Callable[[], None], watched: np.ndarray, done: Callable[[], bool]) -> list[np.ndarray]:
    """What stands in ``watched`` (shared memory) behind each instruction of ``act`` that changed it; the first is now.

    ``act`` runs in a child, which is killed as soon as ``done``.
    """
    found = [watched.copy()]
    pid = os.fork()
    if pid == 0:
        try:
            _ptrace(TRACEME, 0)
            os.kill(os.getpid(), signal.SIGSTOP)
            act()
        finally:
            os._exit(1)
    try:
        os.waitpid(pid, 0)
        _ptrace(SETOPTIONS, pid, EXITKILL)
        while True:
            assert _ptrace(SINGLESTEP, pid) == 0
            _, status = os.waitpid(pid, 0)
            assert os.WIFSTOPPED(status), f"the stepped process ended by itself: {status:#x}"
            if not np.array_equal(watched, found[-1]):
                found.append(watched.copy())
                if done():
                    return found
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
