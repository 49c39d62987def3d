"""A thread that works on the newest request only: whatever was asked meanwhile is one request, the last.

Rule: one request waits at most, so a burst of them never piles up; no lock is held while the work runs.
"""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from pairsim import clock

__all__ = ["Newest"]

T = TypeVar("T")


class Newest(Generic[T]):
    """Runs ``work(request)`` in a thread of its own, one at a time, always on the last request.

    Parameters
    ----------
    work : must not raise; what goes wrong belongs into what it makes.
    """

    def __init__(self, work: Callable[[T], None], name: str) -> None:
        self._work, self._name = work, name
        self._state = threading.Condition()
        self._waiting: list[T] = []
        self._busy = self._closed = False
        self._thread: threading.Thread | None = None
        self.asked, self.done = 0, 0

    def ask(self, request: T) -> None:
        """Work on this next, instead of on whatever was waiting. Returns at once."""
        with self._state:
            if self._closed:
                return
            self.asked += 1
            self._waiting = [request]
            if self._thread is None:  # ends when there is nothing to do: an idle panel costs nothing
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
            self._state.notify_all()

    def settle(self, timeout: float) -> bool:
        """Wait until everything asked is done; false if that took longer than ``timeout`` seconds.

        True at once inside the work itself, which cannot wait for its own end.
        """
        if threading.current_thread() is self._thread:
            return True
        deadline = clock.monotonic_ns() + int(timeout * 1e9)
        with self._state:
            while self._waiting or self._busy:
                left = (deadline - clock.monotonic_ns()) / 1e9
                if left <= 0:
                    return False
                self._state.wait(left)
        return True

    def close(self) -> None:
        """Take no more requests; what runs now is finished."""
        with self._state:
            self._closed, self._waiting = True, []
            self._state.notify_all()

    def _run(self) -> None:
        while True:
            with self._state:
                if not self._waiting:
                    self._thread = None
                    return
                request = self._waiting.pop()
                self._busy = True
            try:
                self._work(request)
            except BaseException:  # a fault of ours: the next request gets a thread that lives
                with self._state:
                    self._thread = None
                raise
            finally:
                with self._state:
                    self._busy = False
                    self.done += 1
                    self._state.notify_all()
