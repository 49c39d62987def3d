"""Runs through real processes: the first on a machine compiles every kernel, in processes of its own, in a test."""

from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Compiling from nothing takes a minute and more on a busy machine.

    A mark overrules ``--timeout=0``: what runs for long is left without.
    """
    for item in items:
        if HERE in item.path.parents and not {"soak", "kill"} & set(item.keywords):
            item.add_marker(pytest.mark.timeout(300))
