"""The video of `gridcade.show` without PyAV, in a browser: with and without scripts."""

import pytest

pytest.importorskip("playwright.sync_api", reason="requires playwright (pip install playwright)")

from live_page_steps import needs_chromium, press
from playwright.sync_api import Browser, Page, expect

import gridcade

pytest_plugins = ("live_server_fixtures",)
pytestmark = needs_chromium

NOTEBOOK = "http://localhost/notebook"  # like Jupyter's; browsers trust addresses of this machine


@pytest.fixture
def html(monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the HTML of an episode in a notebook if PyAV is missing."""
    monkeypatch.setattr("gridcade.viewing.player.find_spec", lambda _: None)
    return gridcade.show("optimal", "CliffWalk")._repr_html_()


def open_output(browser: Browser, html: str, *, scripts: bool) -> Page:
    """Open a page that shows the output of a notebook cell."""
    page = browser.new_context(java_script_enabled=scripts).new_page()
    body = f"<!doctype html><body>{html}</body>"
    page.route(NOTEBOOK, lambda route: route.fulfill(body=body, content_type="text/html"))
    page.goto(NOTEBOOK)
    return page


def test_an_animated_picture_gets_controls_where_scripts_run(browser: Browser, html: str) -> None:
    page = open_output(browser, html * 2, scripts=True)  # shown twice
    expect(page.locator("canvas")).to_have_count(2)
    expect(page.locator("img")).to_have_count(0)
    page.locator("div > canvas + div").last.evaluate("(bar) => bar.parentElement.remove()")
    press(page, "Pause")
    slider, canvas = page.get_by_role("slider", name="Step"), page.locator("canvas")
    pixels = "(canvas) => canvas.toDataURL()"
    slider.fill("0")
    expect(page.get_by_text("1 / 14", exact=True)).to_be_visible()
    first = canvas.evaluate(pixels)
    slider.fill("13")  # the last of 14 pictures: the agent is at the goal
    expect(page.get_by_text("14 / 14")).to_be_visible()
    assert canvas.evaluate(pixels) != first
    page.wait_for_timeout(500)
    assert slider.input_value() == "13"
    press(page, "Play")
    expect(page.get_by_text("14 / 14")).to_be_hidden()


def test_a_player_plays_after_a_notebook_hid_and_showed_it(browser: Browser, html: str) -> None:
    """Notebooks remove cells from the page while they are scrolled out of view."""
    page = open_output(browser, html, scripts=True)
    expect(page.locator("canvas")).to_have_count(1)
    page.evaluate("() => { window.cell = document.body.firstElementChild; window.cell.remove(); }")
    page.wait_for_timeout(3000)  # longer than any frame is shown
    page.evaluate("() => document.body.append(window.cell)")
    press(page, "Play")
    step = page.get_by_role("slider", name="Step").input_value()
    expect(page.get_by_role("slider", name="Step")).not_to_have_value(step)


def test_an_animated_picture_stays_where_no_scripts_run(browser: Browser, html: str) -> None:
    page = open_output(browser, html, scripts=False)
    expect(page.get_by_role("img")).to_be_visible()
    expect(page.get_by_role("button")).to_have_count(0)
