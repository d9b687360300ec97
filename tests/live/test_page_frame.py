"""The frame of the pages: the tour, the button `As it began`, and the exports."""

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("playwright.sync_api", reason="requires playwright (pip install playwright)")

from live_page_steps import OpenPage, needs_chromium, number, press, value
from PIL import Image
from playwright.sync_api import Browser, Page, expect

pytest_plugins = ("live_server_fixtures",)
pytestmark = needs_chromium


@pytest.fixture
def first_visit(browser: Browser, live_server: str) -> Iterator[Page]:
    """The World page in a browser that has never opened it."""
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    page = context.new_page()
    page.goto(live_server)
    yield page
    context.close()


def test_a_first_visit_gets_a_tour_of_five_steps(first_visit: Page) -> None:
    page = first_visit
    tour = page.get_by_role("dialog")
    titles = []
    for step in range(1, 6):
        expect(tour).to_contain_text(f"{step} of 5")
        expect(tour).to_be_in_viewport(ratio=1)
        titles.append(tour.get_by_role("heading").text_content())
        page.keyboard.press("Enter")  # `Next` or `Done` has the focus
    expect(tour).to_be_hidden()
    assert len(set(titles)) == 5

    page.reload()
    expect(number(page, "Optimum")).not_to_have_text("–")
    expect(tour).to_be_hidden()
    press(page, "Tour")
    expect(tour).to_contain_text("1 of 5")
    page.keyboard.press("Escape")
    expect(tour).to_be_hidden()


def test_the_page_returns_to_its_first_state(open_page: OpenPage) -> None:
    page = open_page(world="CliffWalk", numbers="1")
    optimum = number(page, "Optimum").text_content() or ""
    page.get_by_role("combobox", name="World").select_option("RussellNorvig4x3")
    expect(number(page, "Optimum")).not_to_have_text(optimum)
    page.get_by_role("checkbox", name="Numbers").uncheck()
    page.get_by_role("spinbutton", name="Slip").fill("0.3")
    page.keyboard.press("Enter")
    expect(page.get_by_role("combobox", name="World")).to_contain_text("(edited)")
    page.reload()  # a reload does not change the first state
    expect(number(page, "Optimum")).not_to_have_text("–")

    press(page, "As it began")
    expect(number(page, "Optimum")).to_have_text(optimum)
    expect(page.get_by_role("checkbox", name="Numbers")).to_be_checked()
    expect(page.get_by_role("combobox", name="World")).to_have_value("CliffWalk")


def export(page: Page, name: str) -> Path:
    """Download the file of an entry of the menu."""
    page.get_by_text("Export", exact=True).click()
    with page.expect_download() as download:
        press(page, name)
    return Path(download.value.path())


def test_values_curve_and_pictures_are_exported_as_files(open_page: OpenPage) -> None:
    page = open_page(world="CliffWalk", speed="max")
    press(page, "Run")
    page.wait_for_timeout(1500)
    press(page, "Pause")
    expect(page.get_by_role("button", name="Run", exact=True)).to_be_visible()

    rows = list(csv.DictReader(export(page, "Values of the cells (CSV)").open()))
    assert len(rows) == 38 * 4
    start = [row for row in rows if (row["row"], row["column"]) == ("4", "1")]
    assert [row["action"] for row in start] == ["up", "right", "down", "left"]
    assert sum(float(row["policy"]) for row in start) == pytest.approx(1)
    assert max(float(row["exact_q"]) for row in start) == pytest.approx(
        value(page, "Optimum"), abs=0.01
    )

    rows = list(csv.DictReader(export(page, "Exact values by steps (CSV)").open()))
    steps = [int(row["steps"]) for row in rows]
    assert steps == sorted(steps)
    assert f"{steps[-1]:,}" == page.locator("#steps").text_content()
    assert float(rows[-1]["discounted_return"]) == pytest.approx(
        value(page, "Policy now"), rel=1e-3
    )

    for name in ("World (PNG)", "Curve (PNG)"):
        with Image.open(export(page, name)) as picture:
            assert picture.size > (100, 100)
            opaque = picture.convert("RGBA").getchannel("A").getextrema()
            assert opaque == (255, 255)
            assert len(picture.convert("RGB").getcolors(1 << 20) or []) > 5
