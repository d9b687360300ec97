"""Steps of the tests in a browser: what a person does on the live page and reads there."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

CHROMIUM = Path("/usr/bin/chromium")
SECONDS = 1000.0  # in the milliseconds of Playwright
LONGEST_WAIT = 30 * SECONDS  # a busy machine may take as long to show a first picture

# Without this script, the first visit of a browser begins with the tour.
SKIP_TOURS = (
    "['World', 'Arcade'].forEach((p) => localStorage.setItem('gridcade tour seen: ' + p, '1'))"
)

OpenPage = Callable[..., Page]  # its keyword arguments are the state in the address
needs_chromium = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"requires {CHROMIUM}")


@contextmanager
def checked_pages(browser: Browser, *permissions: str) -> Iterator[Callable[[str], Page]]:
    """Give a function that opens addresses; at the end, no page's console may have an error."""
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    context.grant_permissions(permissions)
    context.add_init_script(SKIP_TOURS)
    errors: list[str] = []

    def open_(address: str) -> Page:
        page = context.new_page()
        page.on("console", lambda message: errors.append(message.text))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(address)
        return page

    yield open_
    context.close()
    assert errors == []


def number(page: Page, name: str) -> Locator:
    """Locate a number of the page by its name."""
    return page.get_by_role("status", name=name, exact=True)


def value(page: Page, name: str) -> float:
    """Read a number of the page."""
    return float((number(page, name).text_content() or "").replace("−", "-").replace(",", ""))


def press(page: Page, name: str) -> None:
    """Press a button."""
    page.get_by_role("button", name=name, exact=True).click()


def point_at(page: Page, row: int, column: int, rows: int = 13, columns: int = 13) -> None:
    """Click a cell; rows and columns count from 1."""
    canvas = page.get_by_role("application")
    box = canvas.bounding_box()
    assert box is not None
    x, y = (column - 0.5) * box["width"] / columns, (row - 0.5) * box["height"] / rows
    canvas.click(position={"x": x, "y": y})
    expect(page.get_by_role("heading", name=f"row {row}, column {column}")).to_be_visible()
