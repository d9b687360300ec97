"""Fixtures: a server of the live page on a free port, and a browser that opens the page."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from serving import serving

if TYPE_CHECKING:  # only the tests in a browser need playwright
    from live_page_steps import OpenPage
    from playwright.sync_api import Browser, Page

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="module")
def live_server() -> Iterator[str]:
    """Start a server; the value is the address of the page."""
    with serving(Path("runs")) as server:
        yield server.address


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    from live_page_steps import CHROMIUM, LONGEST_WAIT
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=LONGEST_WAIT)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: "Browser", live_server: str) -> Iterator["OpenPage"]:
    """Open the page with a state in its address; afterwards, the console must have no errors."""
    from live_page_steps import checked_pages
    from playwright.sync_api import expect

    with checked_pages(browser) as open_address:

        def open_(**state: str) -> "Page":
            fields = "&".join(f"{name}={quote(text)}" for name, text in state.items())
            page = open_address(f"{live_server}#{fields}")
            # By its id, because the Predict mode hides it.
            expect(page.locator("#optimum")).not_to_have_text("–")
            return page

        yield open_
