"""The explorer's chart: panes of candles, lines and marks on one canvas, its script inside the package, no network.

Rule: a picture is one message, and the next is sent when the page has drawn the last or is late with it, so a slow page
sees the newest picture and never a queue. Only whoever calls `show` changes the widget's state.
"""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import anywidget
import traitlets

from pairsim.notebook.explore_picture import Picture, Span

__all__ = ["Chart"]

_LATE: Final = 0.25  # seconds that a page may take to draw; a kernel busy with a cell hears of no drawing at all
_MILLISECOND: Final = 1_000_000


class Chart(anywidget.AnyWidget):
    """A picture on a canvas; the wheel zooms, a drag moves, a double click shows everything."""

    _esm = (Path(__file__).parent / "explore_chart.js").read_text(encoding="utf-8")

    described = traitlets.Dict().tag(sync=True)
    numbers = traitlets.Bytes(b"").tag(sync=True)

    def __init__(self, spanned: Callable[[Span | None], None]) -> None:
        """spanned : called with the span a user wants to see, None for all of it, in the kernel's thread."""
        super().__init__()
        self._spanned = spanned
        self._sent = 0
        self._drawn = threading.Event()
        self._has_page = False
        self.on_msg(self._heard)

    def show(self, picture: Picture) -> None:
        """Send a picture, when the page has drawn the one before."""
        if self._has_page:
            self._drawn.wait(_LATE)
        self._drawn.clear()
        self._sent += 1
        with self.hold_sync():
            self.described = {**picture.described, "sequence": self._sent}
            self.numbers = picture.numbers

    def _heard(self, _: object, content: Any, __: object) -> None:
        """What the page says; custom messages, because synced traits would be changed from two threads."""
        if content.get("kind") == "drawn":
            self._has_page = True
            if content["sequence"] >= self._sent:
                self._drawn.set()
        elif content.get("kind") == "span":
            ends = content["span"]
            self._spanned(None if ends is None else Span(*(int(end) * _MILLISECOND for end in ends)))
