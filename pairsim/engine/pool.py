"""The worker processes of a run: forked by the zygote, heard, and replaced when they die.

Rule: the host's main thread does nothing else that could take long, so a dead worker is replaced at once, whatever a
command waits for. `give` alone may be called from other threads. What a worker dies of by itself twice, the same
evaluation of the same trader, is not tried a third time; a SIGKILL from outside never counts.
"""

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

from pairsim import clock
from pairsim.engine.wire import Wire, wire_pair
from pairsim.engine.worker import Setup
from pairsim.engine.zygote import EXITED, FORK
from pairsim.errors import EngineError

QUICK_DEATHS, QUICK_NS = 20, 2_000_000_000  # a worker that dies so often in that time by itself will not recover
KILLED = -9

# What `hear` yields beside the workers' own messages.
DIED, DEADLY, HOPELESS = "died", "deadly", "hopeless"
NOTHING = (-1, -1)  # no evaluation


class Pool:
    """The workers of a run, by index."""

    def __init__(
        self,
        zygote: Wire,
        pid: int,
        memory_fd: int,
        count: int,
        setup: Callable[[int, tuple[int, int]], Setup],
        asked: Callable[[int], tuple[int, int]],
    ) -> None:
        """``setup`` says what a worker is told when it begins, with the evaluation (trader, n) that is not to be tried
        again; it is called under the lock that `give` takes. ``asked`` says which evaluation a dead worker was at.
        """
        self.zygote, self.wires = zygote, [None] * count  # type: tuple[Wire, list[Wire | None]]
        self.ready: set[int] = set()
        self.restarts = 0
        self.replaced_ms: list[float] = []
        self._zygote_pid, self._memory_fd, self._setup, self._asked = pid, memory_fd, setup, asked
        self._pids: dict[int, int] = {}
        self._died_ns: dict[int, int] = {}
        self._deaths: dict[int, list[int]] = {}
        self._last: dict[int, tuple[int, int]] = {}  # what each worker was at when it last died by itself
        self._changing = threading.Lock()

    def begin(self) -> None:
        """Ask for all workers; they say ``ready`` when they are."""
        for index in range(len(self.wires)):
            self._fork(index)

    def sources(self) -> list[Wire]:
        """What to wait on."""
        return [self.zygote, *(w for w in self.wires if w is not None)]

    def hear(self, ready: list[Any]) -> Iterator[tuple[Any, ...]]:
        """What the sources in ``ready`` had to say: (what, index of the worker, ...). The dead are replaced.

        Raises
        ------
        EngineError : the zygote has ended, so no worker can be replaced any more, and all have ended with it.
        """
        for index, wire in enumerate(self.wires):
            if wire is not None and wire in ready:
                yield from self._messages(index, wire)
        if self.zygote not in ready:
            return
        try:
            messages = self.zygote.poll()
        except (EOFError, ConnectionResetError):
            raise EngineError(self._end_of_zygote()) from None
        for message in messages:
            if message[0] == FORK:
                _, index, pid = message
                self._pids[pid] = index
            elif message[0] == EXITED and message[1] in self._pids:
                _, pid, status = message
                yield from self._replace(self._pids.pop(pid), status)

    def give(self, index: int, message: Any, note: Callable[[], None]) -> None:
        """Send a worker something that its successor must be told too: ``note`` makes it part of the setup.

        A worker that is dead just now is not told; its successor is, with its setup.
        """
        with self._changing:
            note()
            wire = self.wires[index]
            if wire is not None:
                with contextlib.suppress(OSError):
                    wire.send(message)

    def _fork(self, index: int, deadly: tuple[int, int] = NOTHING) -> None:
        ours, theirs = wire_pair()
        try:
            self.zygote.send((FORK, index), (self._memory_fd, theirs.sock.fileno()))
        except OSError:
            raise EngineError(self._end_of_zygote()) from None
        theirs.close()
        with self._changing:
            self.wires[index] = ours
            with contextlib.suppress(OSError):  # it died at once: the zygote will say so
                ours.send(self._setup(index, deadly))

    def _messages(self, index: int, wire: Wire) -> Iterator[tuple[Any, ...]]:
        try:
            messages = wire.poll()
        except (EOFError, ConnectionResetError):
            return  # the zygote will report it
        for what, *rest in messages:
            if what == "ready":
                self.ready.add(index)
                if index in self._died_ns:
                    self.replaced_ms.append((clock.monotonic_ns() - self._died_ns.pop(index)) / 1e6)
            else:
                yield what, index, *rest

    def _replace(self, index: int, status: int) -> Iterator[tuple[Any, ...]]:
        """A worker died: another one takes its ring and its traders' state over where they stand."""
        now = clock.monotonic_ns()
        old = self.wires[index]
        if old is not None:
            yield from self._messages(index, old)  # its last words
            old.close()
        self.restarts += 1
        deadly, recent = NOTHING, [t for t in self._deaths.get(index, []) if now - t < QUICK_NS]
        if status != KILLED:
            self._deaths[index] = recent = [*recent, now]
            before, self._last[index] = self._last.get(index, NOTHING), self._asked(index)
            if before == self._last[index] != NOTHING:
                deadly, recent = before, []
                yield DEADLY, index, deadly[0], status
        if len(recent) > QUICK_DEATHS:
            with self._changing:
                self.wires[index] = None
            yield (
                HOPELESS,
                index,
                f"worker {index} died {len(recent)} times within {QUICK_NS / 1e9:g} s (exit status {status}); "
                f"look at its strategies",
            )
            return
        self._died_ns[index] = now
        self._fork(index, deadly)
        yield DIED, index, status

    def _end_of_zygote(self) -> str:
        _, status = os.waitpid(self._zygote_pid, 0)
        return (
            f"the process that starts the workers (pairsim-zygote) has ended with status "
            f"{os.waitstatus_to_exitcode(status)}, and the workers with it; no strategy decides any more, what was "
            f"journalled is kept: stop() this engine and start another"
        )
