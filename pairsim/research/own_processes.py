"""Processes of our own for what holds the GIL: a plain-Python strategy runs on all cores only so.

Rule: an ordinary ``concurrent.futures.Executor``. Not multiprocessing's, which imports the caller's ``__main__`` anew
(``python -`` has none, and a script would need a guard) or forks a process that has threads. A process is a fresh
interpreter that is handed functions by cloudpickle over a pipe, and ends with its caller.
"""

import os
import queue
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import IO, Any, Final

import cloudpickle  # type: ignore[import-untyped]

from pairsim.engine.parentage import die_with_caller

_LENGTH: Final = struct.Struct("<Q")
_START: Final = "from pairsim.research.own_processes import serve; serve()"
_Task = tuple["Future[Any]", bytes]


class OwnProcesses(Executor):
    """So many processes; each has one task at a time.

    A task whose process dies fails with `BrokenPipeError`, and the process is started anew for the next one.
    """

    def __init__(self, count: int) -> None:
        self._max_workers = count
        self._tasks: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._threads = [threading.Thread(target=self._drive, daemon=True) for _ in range(count)]
        self._running: set[subprocess.Popen[bytes]] = set()
        self._closed = False
        for thread in self._threads:
            thread.start()

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **options: Any) -> "Future[Any]":
        """Run a function in one of the processes."""
        future: Future[Any] = Future()
        self._tasks.put((future, cloudpickle.dumps((function, arguments, options))))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the processes: when their tasks are done, or now with ``cancel_futures``."""
        self._closed = True
        if cancel_futures:
            for process in list(self._running):
                process.kill()
        for _ in self._threads:
            self._tasks.put(None)
        for thread in self._threads if wait else ():
            thread.join()

    def _drive(self) -> None:
        """One process and the thread that hands it its tasks."""
        process: subprocess.Popen[bytes] | None = None
        while (task := self._tasks.get()) is not None:
            future, message = task
            if not future.set_running_or_notify_cancel():
                continue
            try:
                process = process or self._started()
                assert process.stdin is not None and process.stdout is not None
                _send(process.stdin, message)
                done, value = cloudpickle.loads(_received(process.stdout))
                future.set_result(value) if done else future.set_exception(value)
            except Exception as error:
                future.set_exception(BrokenPipeError(f"a process of the sweep is gone ({error})"))
                self._ended(process)
                process = None
        self._ended(process)

    def _started(self) -> "subprocess.Popen[bytes]":
        """A process of its own session: Ctrl-C is ours to handle. It finds the same modules as we do."""
        path = os.pathsep.join(each for each in sys.path if each)
        process = subprocess.Popen(
            [sys.executable, "-c", _START, str(os.getpid())], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path}, start_new_session=True,
        )  # fmt: skip
        self._running.add(process)
        return process

    def _ended(self, process: "subprocess.Popen[bytes] | None") -> None:
        if process is None:
            return
        self._running.discard(process)
        if not self._closed:
            process.kill()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:
                    continue  # what was still to be written has no reader any more
        process.wait()


def serve() -> None:
    """The loop of such a process: until its pipe ends, or its caller does."""
    die_with_caller(int(sys.argv[1]))
    reader, writer = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a strategy prints must not get between the answers
    while message := _received(reader):
        try:
            function, arguments, options = cloudpickle.loads(message)
            answer = True, function(*arguments, **options)
        except Exception as error:
            answer = False, error
        _send(writer, cloudpickle.dumps(answer))


def _send(pipe: IO[bytes], message: bytes) -> None:
    pipe.write(_LENGTH.pack(len(message)) + message)
    pipe.flush()


def _received(pipe: IO[bytes]) -> bytes:
    """A message; nothing where the pipe has ended."""
    head = pipe.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return b""
    return pipe.read(_LENGTH.unpack(head)[0])
