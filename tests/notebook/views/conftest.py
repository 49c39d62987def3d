"""One browser for all tests of the views, a fresh page for each."""

from collections.abc import Iterator

import pytest
from chromium import chromium
from notebook.views.blank_page import BlankPage
from playwright.sync_api import Browser


# A module, not the package: while the driver lives, this thread has an event loop that runs, and asyncio.run() fails.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def blank(browser: Browser) -> Iterator[BlankPage]:
    page = browser.new_page(viewport={"width": 1000, "height": 900})
    yield BlankPage(page)
    page.close()
