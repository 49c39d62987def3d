"""Whether this is a kernel and runs a cell, and its name. The only module of the views that asks IPython."""

import uuid
from typing import Any, Final

# A page groups what it says by kernel: views of two notebooks may stand side by side.
KERNEL: Final = uuid.uuid4().hex

_state = {"busy": False, "watched": False}


def watch() -> None:
    """Begin to notice cells; done by the first view. Outside IPython nothing ever counts as busy."""
    if _state["watched"]:
        return
    _state["watched"] = True
    try:
        from IPython import get_ipython
    except ImportError:
        return
    shell = get_ipython()
    if shell is None:
        return
    _state["busy"] = True  # we are being called from a cell
    shell.events.register("pre_run_cell", _begins)
    shell.events.register("post_run_cell", _ends)


def present() -> bool:
    """Whether this is the kernel of a notebook, which alone has pages: no script, no IPython in a terminal."""
    try:
        from IPython import get_ipython
    except ImportError:
        return False
    return hasattr(get_ipython(), "kernel")


def busy() -> bool:
    """Whether a cell is running, an awaiting one included: messages of the page wait until it ends."""
    return _state["busy"]


def _begins(info: Any) -> None:
    _state["busy"] = True


def _ends(result: Any) -> None:
    _state["busy"] = False
