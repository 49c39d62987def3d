"""Commands of buttons and sliders: a callback only queues one, a thread carries it out and says what came of it.

Rule: what makes trading safer never waits behind what does not: it has a lane of its own.
"""

import logging
import queue
import threading
from collections.abc import Callable
from typing import Final

log = logging.getLogger("pairsim.notebook")

IDLE_SECONDS: Final = 30.0

Outcome = Callable[[str, bool], None]


class Lane:
    """One command after the other, in a thread that exists while there is something to do."""

    def __init__(self, outcome: Outcome) -> None:
        self._outcome = outcome
        self._waiting: queue.Queue[tuple[str, Callable[[], object]]] = queue.Queue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def put(self, title: str, action: Callable[[], object]) -> None:
        """Carry out ``action`` soon; from any thread, and at once back."""
        with self._lock:
            self._waiting.put((title, action))
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="pairsim-commands", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        while True:
            try:
                title, action = self._waiting.get(timeout=IDLE_SECONDS)
            except queue.Empty:
                with self._lock:
                    if self._waiting.empty():
                        self._thread = None
                        return
                continue
            try:
                done = action()
                told, worked = title if done is None or done is True else f"{title}: {done}", True
            except Exception as error:  # said where it was asked for: nobody waits for this thread
                told, worked = f"{title}: {error}", False
            try:
                self._outcome(told, worked)
            except Exception:  # a page that has gone: the next command is carried out all the same
                log.debug("%r could not be shown", told, exc_info=True)


class Commands:
    """The two lanes of a dashboard. ``outcome(text, worked)`` is called in a lane's thread."""

    def __init__(self, outcome: Outcome) -> None:
        self._ordinary, self._urgent = Lane(outcome), Lane(outcome)

    def put(self, title: str, action: Callable[[], object], *, urgent: bool = False) -> None:
        """Queue a command; ``urgent`` ones do not wait for the others."""
        (self._urgent if urgent else self._ordinary).put(title, action)
