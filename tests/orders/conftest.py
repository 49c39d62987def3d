"""The world of worked examples, twice: kernels compiled, and as plain Python (where an overflow is an error)."""

from collections.abc import Callable

import pytest
from orders.venue_world import World, plain


@pytest.fixture(params=["compiled", "plain"])
def world(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[..., World]:
    """Make a `World` with the options given."""
    if request.param == "plain":
        plain(monkeypatch)
    return World
