"""Notebook cells: one that makes an engine replaces, when it is run again, the engine it made before. Edited or not:
the notebook's own name of a cell decides where the front end tells it, else the text of the cell.
"""

import linecache
import re
import sys
import warnings
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING

from pairsim.engine.status import RunState
from pairsim.errors import PairsimError

if TYPE_CHECKING:
    from pairsim.engine.engine import Engine

# By cell: the run of it that made something last, and what ends what it made. `Out` and `_` of the notebook hold
# handles that no name holds any more, so it cannot be left to the end of a handle.
_made: dict[str, tuple[int, list[Callable[[], None]]]] = {}


def replace_rerun(engine: "Engine") -> None:
    """Stop what an earlier run of this cell made; several engines of one run of it stay side by side."""
    made = weakref.ref(engine)

    def stop() -> None:
        old = made()
        if old is not None and old.status.state not in (RunState.CREATED, RunState.STOPPED):
            old.stop()

    when_rerun(stop)


def when_rerun(end: Callable[[], None]) -> None:
    """End what earlier runs of this cell made, and call ``end`` when it is run again. Nothing outside of cells."""
    running = _running_cell()
    if running is None:
        return
    cell, run = running
    before, ending = _made.get(cell, (run, []))
    _made[cell] = run, [*(ending if before == run else []), end]
    if before != run:
        for each in ending:
            try:
                each()
            except PairsimError as error:  # what an earlier run left must not keep the cell from running again
                warnings.warn(f"what this cell made before did not end in order: {error}", stacklevel=2)


def _running_cell() -> tuple[str, int] | None:
    """Name of the cell and the number of its run; None outside of notebooks."""
    if "IPython" not in sys.modules:
        return None
    from IPython import get_ipython

    shell = get_ipython()
    if shell is None:
        return None
    parent = shell.get_parent() if hasattr(shell, "get_parent") else {}
    name = parent.get("metadata", {}).get("cellId") or _text_of_cell()
    return None if name is None else (name, int(shell.execution_count))


def _text_of_cell() -> str | None:
    """The file name IPython gives a cell, which follows from its text."""
    frame = sys._getframe(1)
    while frame is not None:
        if frame.f_globals.get("__name__") == "__main__":
            return frame.f_code.co_filename
        frame = frame.f_back  # type: ignore[assignment]
    return None


_FRAME = re.compile(r'  File "(.+)", line (\d+), in ')


def with_source(trace: str) -> str:
    """A traceback made in another process with the lines of code that only this one has: those of cells."""
    lines = trace.splitlines()
    shown = []
    for at, line in enumerate(lines):
        shown.append(line)
        frame = _FRAME.match(line)
        told = at + 1 < len(lines) and lines[at + 1].startswith("    ")
        if frame and not told and (source := linecache.getline(frame[1], int(frame[2])).strip()):
            shown.append(f"    {source}")
    return "\n".join(shown) + ("\n" if trace.endswith("\n") else "")
