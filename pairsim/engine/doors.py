"""What layers above the engine offer as methods of its handle: they put it here, the handle looks it up by name.

Rule: the engine imports nothing above itself, not even late; who offers something names it, lazily if it is heavy.
"""

from collections.abc import Callable
from typing import Any

from pairsim.errors import EngineError

_doors: dict[str, Callable[..., Any]] = {}


def offer(name: str, function: Callable[..., Any]) -> None:
    """Make ``function`` what the engine finds behind ``name``."""
    _doors[name] = function


def behind(name: str) -> Callable[..., Any]:
    """What was offered under a name.

    Raises
    ------
    EngineError : nothing; the package's root offers all there is, so a part of it was imported past the root.
    """
    if name not in _doors:
        raise EngineError(
            f"engine.{name}() is made by a part of pairsim that is not loaded: take Engine from `pairsim`"
        )
    return _doors[name]
