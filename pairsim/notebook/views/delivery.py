"""When a view may send its next message. Pure: times come in, yes or no goes out; no clock, no page.

A page acknowledges what it has at most every two seconds, for all its views at once: each message to the kernel costs
it 1.2 ms and makes JupyterLab's busy light blink, so one for each update would cost more than the updates. What is in
flight is bounded by time instead: while the kernel could hear the page and has not for five seconds, no data is sent,
only a sign of life, ever more rarely. So nothing piles up in a server that keeps messages for a page that is gone.
While a cell runs the kernel hears nobody, and silence means nothing for ten minutes; after that, one message a second
goes out.
"""

from dataclasses import dataclass
from typing import Final, Literal

_SECOND: Final = 1_000_000_000
# Ten a second. Less than a tenth, or the jitter of a 100 ms timer would skip every second beat. It is the gap between
# the moments messages are due: one that left late, as they do while a cell computes, takes nothing from the next.
_LEAST_GAP: Final = 80 * _SECOND // 1000
_HEARTBEAT: Final = _SECOND
_DEAF: Final = 5 * _SECOND
_BUSY_DEAF: Final = 600 * _SECOND
_RAREST: Final = 30 * _SECOND

Verdict = Literal["data", "alive", "wait"]


@dataclass(slots=True)
class Delivery:
    """The sender's side of one view; all times in ns of one monotonic clock."""

    sequence: int = 0  # of the last message that carried data
    acknowledged: int = 0
    _sent_at: int = -_RAREST
    _due_at: int = -_RAREST  # of the next message
    _silent_since: int | None = None  # the first message that nobody has answered

    def verdict(self, now: int, *, busy: bool, changed: bool) -> Verdict:
        """What may be sent now. ``busy``: a cell runs, so that nothing a page says is heard."""
        since = now - self._sent_at
        silence = 0 if self._silent_since is None else now - self._silent_since
        if now < self._due_at:
            return "wait"
        if silence > (_BUSY_DEAF if busy else _DEAF):
            if busy:
                return "data" if changed and since >= _HEARTBEAT else "wait"
            return "alive" if since >= min(silence // 2, _RAREST) else "wait"
        if changed:
            return "data"
        return "alive" if since >= _HEARTBEAT else "wait"

    def sent(self, now: int, *, data: bool) -> int:
        """Count a message; returns its sequence number."""
        self.sequence += data
        self._sent_at = now
        self._due_at = max(self._due_at, now - _LEAST_GAP) + _LEAST_GAP
        if self._silent_since is None:
            self._silent_since = now
        return self.sequence

    def heard(self, sequence: int) -> None:
        """A page has everything up to ``sequence``."""
        self.acknowledged = max(self.acknowledged, sequence)
        self._silent_since = None
