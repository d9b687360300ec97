"""A server of the live page on a free port of this machine, and a browser that opens it."""

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
    """The page's address."""
    with serving(Path("runs")) as server:
        yield server.address


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    from live_page_steps import CHROMIUM
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: "Browser", live_server: str) -> Iterator["OpenPage"]:
    """Opens the page with a state in its address; afterwards the console has no errors."""
    from live_page_steps import FIRST_PICTURE, SECONDS, SKIP_TOURS
    from playwright.sync_api import expect

    context = browser.new_context(viewport={"width": 1400, "height": 900})
    context.add_init_script(SKIP_TOURS)
    context.set_default_timeout(10 * SECONDS)
    errors: list[str] = []

    def open_(**state: str) -> "Page":
        page = context.new_page()
        page.on("console", lambda message: errors.append(message.text))
        page.on("pageerror", lambda error: errors.append(str(error)))
        fields = "&".join(f"{name}={quote(text)}" for name, text in state.items())
        page.goto(f"{live_server}#{fields}")
        # By its id, because the Predict mode hides it.
        expect(page.locator("#optimum")).not_to_have_text("–", timeout=FIRST_PICTURE)
        return page

    yield open_
    context.close()
    assert errors == []
