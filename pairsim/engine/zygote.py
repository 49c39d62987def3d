"""The zygote: a single-threaded process that has every kernel loaded and forks the workers from there (2 to 5 ms each).

Forked by the host before the host has any thread. It only forks, reaps and reports; it holds no state of the run.
"""

import contextlib
import gc
import logging
import os
import signal

from pairsim.channels.memory import Memory
from pairsim.engine.parentage import die_with_parent, parent_alive
from pairsim.engine.wire import Wire, readable

log = logging.getLogger("pairsim.zygote")

FORK, EXITED, READY = "fork", "exited", "ready"


def zygote_main(wire: Wire, host: int) -> None:
    """Serve fork requests until the host has gone. Never returns."""
    die_with_parent(host)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import setproctitle

    setproctitle.setproctitle("pairsim-zygote")
    from pairsim.engine import worker

    worker.warm()
    gc.collect()
    gc.freeze()
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)
    os.set_blocking(write_end, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    wire.send((READY, os.getpid()))
    try:
        while True:
            ready = readable([wire, read_end], 0.5)
            if not parent_alive(host):
                return
            if read_end in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(read_end, 4096)
            _reap(wire)
            for message in wire.poll() if wire in ready else []:
                _, index = message
                memory_fd, worker_fd = wire.take_fds(2)
                pid = _fork(index, memory_fd, worker_fd, wire, (read_end, write_end))
                wire.send((FORK, index, pid))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass  # the host has gone
    except BaseException:
        log.exception("the zygote ends")
    finally:
        os._exit(0)


def _fork(index: int, memory_fd: int, worker_fd: int, wire: Wire, pipe: tuple[int, int]) -> int:
    zygote = os.getpid()
    pid = os.fork()
    if pid:
        os.close(memory_fd)
        os.close(worker_fd)
        return pid
    status = 1
    try:
        die_with_parent(zygote)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for fd in pipe:
            os.close(fd)
        wire.close()
        import socket

        import setproctitle

        from pairsim.engine.worker import Worker

        setproctitle.setproctitle(f"pairsim-worker-{index}")

        Worker(index, Memory.attach(memory_fd, writable=True), Wire(socket.socket(fileno=worker_fd)), zygote).run()
        status = 0
    except (EOFError, BrokenPipeError, ConnectionResetError):
        status = 0  # the host has gone, and so do we
    except BaseException:
        log.exception("worker %d ends", index)
    finally:
        os._exit(status)


def _reap(wire: Wire) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        wire.send((EXITED, pid, os.waitstatus_to_exitcode(status)))
