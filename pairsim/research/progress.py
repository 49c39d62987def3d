"""A bar for work that takes more than a second: widgets in a notebook, rich in a terminal, nothing elsewhere.

Rule: showing progress never fails the work and leaves nothing behind when it is done.
"""

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any, Final

from pairsim.clock import monotonic_ns

_PATIENCE_NS: Final = 1_000_000_000


@contextlib.contextmanager
def progress_bar(total: int, label: str, shown: bool) -> Iterator[Callable[[int], None]]:
    """A function to be called with how many more are done; the bar appears after a second.

    shown : whether there is to be one at all.
    """
    started, done = monotonic_ns(), 0
    bar: _Bar | None = None

    def advance(more: int) -> None:
        nonlocal bar, done
        done += more
        if bar is None and shown and done < total and monotonic_ns() - started > _PATIENCE_NS:
            bar = _bar(total, label)
        if bar is not None:
            bar.show(done)

    try:
        yield advance
    finally:
        if bar is not None:
            bar.close()


class _Bar:
    def show(self, done: int) -> None:
        """So many are done."""

    def close(self) -> None:
        """The work has ended."""


class _WidgetBar(_Bar):
    def __init__(self, total: int, label: str) -> None:
        import ipywidgets
        from IPython.display import display

        self._bar: Any = ipywidgets.IntProgress(max=total, description=label)
        self._told: Any = ipywidgets.Label()
        self._box: Any = ipywidgets.HBox([self._bar, self._told])
        display(self._box)

    def show(self, done: int) -> None:
        self._bar.value = done
        self._told.value = f"{done:,} of {self._bar.max:,}"

    def close(self) -> None:
        self._box.close()


class _TerminalBar(_Bar):
    def __init__(self, total: int, label: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
            console=Console(stderr=True), transient=True,
        )  # fmt: skip
        self._task = self._bar.add_task(label, total=total)
        self._bar.start()

    def show(self, done: int) -> None:
        self._bar.update(self._task, completed=done)

    def close(self) -> None:
        self._bar.stop()


def _bar(total: int, label: str) -> _Bar:
    with contextlib.suppress(Exception):
        shell: Any = sys.modules.get("IPython") and sys.modules["IPython"].get_ipython()
        if shell is not None and getattr(shell, "kernel", None) is not None:
            return _WidgetBar(total, label)
        if sys.stderr.isatty():
            return _TerminalBar(total, label)
    return _Bar()
