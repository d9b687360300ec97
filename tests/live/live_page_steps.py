"""What a person does on the live page in a browser, and reads there."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

CHROMIUM = Path("/usr/bin/chromium")
SECONDS = 1000.0  # in the milliseconds of Playwright
FIRST_PICTURE = 30 * SECONDS  # a lane's process compiles, or loads what was compiled

# Without it, a browser's first visit begins with the tour.
SKIP_TOURS = (
    "['World', 'Arcade'].forEach((p) => localStorage.setItem('gridcade tour seen: ' + p, '1'))"
)

OpenPage = Callable[..., Page]  # with the state in the page's address
needs_chromium = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"requires {CHROMIUM}")


def number(page: Page, name: str) -> Locator:
    """One of the page's numbers."""
    return page.get_by_role("status", name=name, exact=True)


def value(page: Page, name: str) -> float:
    """One of the page's numbers, as a number."""
    return float((number(page, name).text_content() or "").replace("−", "-").replace(",", ""))


def press(page: Page, name: str) -> None:
    """Press a button."""
    page.get_by_role("button", name=name, exact=True).click()


def point_at(page: Page, row: int, column: int, rows: int = 13, columns: int = 13) -> None:
    """Click a cell, counted from 1."""
    canvas = page.get_by_role("application")
    box = canvas.bounding_box()
    assert box is not None
    x, y = (column - 0.5) * box["width"] / columns, (row - 0.5) * box["height"] / rows
    canvas.click(position={"x": x, "y": y})
    expect(page.get_by_role("heading", name=f"row {row}, column {column}")).to_be_visible()
