"""What all views share: the widget, its snapshot, and how changes reach the page.

Rule: data lives here, whole, under one lock; a page only ever gets copies. Any thread may call any method, and
nothing a page does raises into the caller. Sending takes no part of the kernel's event loop.
"""

import uuid
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import RLock, local
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

import anywidget
import traitlets

from pairsim import clock
from pairsim.errors import InputError
from pairsim.notebook.views import kernel, wire
from pairsim.notebook.views.delivery import Delivery

if TYPE_CHECKING:
    import polars as pl

Tone = Literal["", "good", "bad", "warning", "muted"]

_STATIC: Final = Path(__file__).parents[1] / "static"
_sending: Final = RLock()  # held while messages are made and sent: they leave in the order of their numbers
_thread: Final = local()
_views: Final["weakref.WeakValueDictionary[str, View]"] = weakref.WeakValueDictionary()


class View(anywidget.AnyWidget):
    """A live part of a notebook page.

    Change its data with the methods of its kind, then call ``flush`` from time to time (ten times a second is as
    often as anything is sent). Changes are gathered between two calls and the newest state wins. A page that has
    missed something asks for the whole; one that is loaded again gets it with the widget's state, and so does a
    second one. Call ``final`` when nothing more will come.
    """

    _kind: ClassVar[str]

    # Text, not a path: anywidget watches paths and never stops.
    _esm = traitlets.Unicode((_STATIC / "views.js").read_text(encoding="utf-8")).tag(sync=True)
    _css = traitlets.Unicode((_STATIC / "views.css").read_text(encoding="utf-8")).tag(sync=True)
    _options = traitlets.Dict().tag(sync=True)
    # Never set: ``get_state`` makes it, so that whoever asks for the state gets what is true now.
    _snapshot = traitlets.Bytes().tag(sync=True)

    def __init__(self, *, title: str, stale_after: float = 3.0, **options: Any) -> None:
        self._lock = RLock()
        self._delivery = Delivery()
        self._whole_wanted = False
        self._whole_sent = 0  # its sequence number
        self._news = False  # of the header: a message or the end
        self._message: tuple[str, Tone] = ("", "")
        self._final = False
        self._pictures: list[Path] = []
        self.title = title
        kernel.watch()
        name = uuid.uuid4().hex
        shared = {"kind": self._kind, "id": name, "kernel": kernel.KERNEL, "title": title, "staleAfter": stale_after}
        super().__init__(_options={**shared, **options})
        _views[name] = self
        self.on_msg(_heard)

    # --- what a kind of view adds ----------------------------------------------------------------------------------

    def _whole(self) -> tuple[wire.Header, wire.Arrays]:
        """Everything there is to show, under the lock."""
        raise NotImplementedError

    def _has_changed(self) -> bool:
        """Whether ``_changes`` has something to tell. Under the lock."""
        raise NotImplementedError

    def _changes(self) -> tuple[wire.Header, wire.Arrays] | None:
        """What has changed since the last call, or None; told again it must do no harm. Under the lock."""
        raise NotImplementedError

    def frame(self) -> "pl.DataFrame":
        """The data on view."""
        raise NotImplementedError

    def to_svg(self) -> str:
        """A picture of the data on view, made here and not in a page."""
        raise NotImplementedError

    def _summary(self) -> str:
        """The data on view in a few words."""
        raise NotImplementedError

    # --- sending ---------------------------------------------------------------------------------------------------

    def flush(self) -> bool:
        """Send what has changed, unless it is too early; after a second without changes, a sign of life.

        Returns
        -------
        Whether something was sent. Call it again later if not: nothing is lost by waiting.
        """
        return self._send_due(urgent=False)

    def _send_due(self, *, urgent: bool) -> bool:
        with _sending:
            message = self._due(urgent=urgent)
            if message is not None:
                self._post(message)
        return message is not None

    def _due(self, *, urgent: bool) -> bytes | None:
        now = clock.monotonic_ns()
        with self._lock:
            if self._final and not (self._whole_wanted or self._news):
                return None
            changed = self._whole_wanted or self._news or self._has_changed()
            verdict = "data" if urgent else self._delivery.verdict(now, busy=kernel.busy(), changed=changed)
            if verdict == "wait":
                return None
            self._delivery.sent(now, data=verdict == "data")
            return self._next_message() if verdict == "data" else self._encoded("alive", {}, {})

    def _next_message(self) -> bytes:
        changes = self._changes()
        whole, self._whole_wanted, self._news = self._whole_wanted, False, False
        if whole:
            self._whole_sent = self._delivery.sequence
            return self._encoded("whole", *self._whole())
        return self._encoded("change", *(changes or ({}, {})))

    def _encoded(self, what: str, header: wire.Header, arrays: wire.Arrays) -> bytes:
        known = {"what": what, "sequence": self._delivery.sequence, "at": clock.wall_ns() / 1e6, "final": self._final}
        return wire.encode({**known, "message": self._message, **header}, arrays)

    def _post(self, message: bytes) -> None:
        gathered: list[tuple[View, bytes]] | None = getattr(_thread, "gathered", None)
        if gathered is None:
            self._carry([(self, message)])
        else:
            gathered.append((self, message))

    def _carry(self, messages: "list[tuple[View, bytes]]") -> None:
        """Send messages of some views through the comm of this one."""
        # A comm that has gone, a socket that is closing: the page is lost, not the caller.
        try:
            self.send({"for": [view._options["id"] for view, _ in messages]}, [message for _, message in messages])
        except Exception as error:
            self.log.debug("a view could not be sent: %s", error)

    def get_state(self, key: Any = None, drop_defaults: bool = False) -> dict[str, Any]:
        """The widget's state for a page that (re)loads, with the data as it is now."""
        state: dict[str, Any] = super().get_state(key, drop_defaults)
        if "_snapshot" in state or key is None:
            with self._lock:
                state["_snapshot"] = self._encoded("whole", *self._whole())
        return state

    # --- what is said over the data --------------------------------------------------------------------------------

    def message(self, text: str, tone: Tone = "") -> None:
        """Show a line over the view until another one, or an empty one, replaces it."""
        with self._lock:
            self._news |= (text, tone) != self._message
            self._message = (text, tone)

    def final(self) -> None:
        """No more data comes: the view stays as the last picture and never counts as stale. Sent at once."""
        with self._lock:
            self._final = self._news = True
        self._send_due(urgent=True)

    # --- taking it away --------------------------------------------------------------------------------------------

    def to_csv(self, path: str | Path) -> None:
        """Write `frame`, the data on view, to a CSV file."""
        self.frame().write_csv(Path(path))

    def to_parquet(self, path: str | Path) -> None:
        """Write `frame`, the data on view, to a Parquet file."""
        self.frame().write_parquet(Path(path))

    def to_png(self, path: str | Path) -> None:
        """Ask the page for a picture as it looks there; the file is written when the page has answered.

        That is not before the running cell has ended. Nothing is written while no page shows the view, as in a tab that
        is not open; `to_svg` needs no page.

        Raises
        ------
        InputError : this is no notebook, so no page will ever answer.
        """
        if not kernel.present():
            raise InputError(
                f"to_png({str(path)!r}) needs a notebook's page that shows the view, and this is none: "
                "to_svg() returns a picture made here, to_csv(path) writes the data"
            )
        target = Path(path)
        with self._lock:
            self._pictures.append(target)
        self._post(self._encoded("picture", {}, {}))

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        bundle = super()._repr_mimebundle_(**kwargs)
        if bundle is None:
            return None
        with self._lock:
            untold = self._whole_wanted or self._has_changed()
        if untold:  # whoever shows a view need not flush it first
            self._send_due(urgent=True)
        data, metadata = bundle
        return {**data, "text/plain": repr(self), "image/svg+xml": self.to_svg()}, metadata

    def __repr__(self) -> str:
        with self._lock:
            return f"{type(self).__name__}({self.title!r}): {self._summary()}"


@contextmanager
def together() -> Iterator[None]:
    """What this thread flushes within leaves as one message at the end: its cost, 0.3 ms and more, is paid once."""
    gathered: list[tuple[View, bytes]] = []
    _thread.gathered = gathered
    try:
        yield
    finally:
        _thread.gathered = None
        carrier = next((view for view, _ in gathered if view.comm is not None), None)
        if carrier is not None:
            carrier._carry(gathered)


def _heard(view: View, content: Any, buffers: list[Any]) -> None:
    """What a page says: which views it has how far, which one it needs whole, a picture it was asked for."""
    if not isinstance(content, dict):
        return
    for name, sequence in dict(content.get("have", {})).items():
        other = _views.get(name)
        if other is not None:
            with other._lock:
                other._delivery.heard(int(sequence))
    if "need" in content:
        with view._lock:
            # Asked before the last whole reached the page: that one has answered.
            needed = int(content["need"]) >= view._whole_sent
            view._whole_wanted |= needed
        if needed:
            view._send_due(urgent=True)
    if content.get("picture") and buffers:
        with view._lock:
            waiting, view._pictures = view._pictures, []
        for target in waiting:
            target.write_bytes(bytes(buffers[0]))
