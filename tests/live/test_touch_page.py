"""Drawing in the World page: the drawn world is saved and opened again unchanged."""

from pathlib import Path

import pytest

pytest.importorskip("playwright.sync_api", reason="requires playwright (pip install playwright)")

from live_page_steps import OpenPage, needs_chromium, number, press
from playwright.sync_api import FilePayload, Page, expect

from gridcade.envs.maps import World, parse_world

pytest_plugins = ("live_server_fixtures",)
pytestmark = needs_chromium

ROWS = ["S...", "....", "...G"]
MAP = "title: Small\nstep reward: -1\nmap:\n" + "\n".join(ROWS)


def open_map(page: Page, text: str) -> None:
    payload = FilePayload(name="small.txt", mimeType="text/plain", buffer=text.encode())
    page.get_by_label("Map file").set_input_files(payload)
    expect(page.get_by_role("heading", name="Small")).to_be_visible()


def choose(page: Page, brush: str, amount: str = "", label: str = "Reward") -> None:
    page.get_by_role("radio", name=brush, exact=True).check(force=True)
    if amount:
        field = page.get_by_role("spinbutton", name=label, exact=True)
        field.fill(amount)
        field.press("Enter")


def center(page: Page, row: int, column: int) -> tuple[float, float]:
    """Return the middle of a cell in pixels of the page; rows and columns count from 0."""
    box = page.get_by_role("application").bounding_box()
    assert box is not None
    height, width = box["height"] / len(ROWS), box["width"] / len(ROWS[0])
    return box["x"] + (column + 0.5) * width, box["y"] + (row + 0.5) * height


def saved(page: Page) -> tuple[World, str]:
    """Save the map; return the world of the file, and its text."""
    with page.expect_download() as download:
        press(page, "Save map")
    text = Path(download.value.path()).read_text()
    return parse_world(text, "small"), text


def test_rewards_portals_and_wind_are_drawn_saved_and_opened(open_page: OpenPage) -> None:
    page = open_page()
    open_map(page, MAP)
    undo = page.get_by_role("button", name="Undo")
    canvas = page.get_by_role("application")

    choose(page, "reward", "0.5")
    page.mouse.click(*center(page, 0, 2))
    expect(undo).to_be_enabled()
    choose(page, "portal", "-2")
    page.mouse.click(*center(page, 1, 0))
    page.mouse.click(*center(page, 2, 2))
    choose(page, "wind", "1", "Strength")
    page.mouse.move(*center(page, 0, 1))
    page.mouse.down()
    page.mouse.move(*center(page, 2, 2), steps=4)
    page.mouse.up()

    # Keys draw an end with a penalty, two cells below the start.
    choose(page, "goal", "-3")
    canvas.focus()
    page.keyboard.press("Escape")
    for key in ("ArrowDown", "ArrowDown", "ArrowDown", "Enter"):  # the first key shows the cursor
        page.keyboard.press(key)
    expect(page.get_by_role("heading", name="row 3, column 1, end, reward −3")).to_be_visible()

    world, text = saved(page)
    assert world.cell(0, 2).reward == 0.5
    portal = world.cell(1, 0)
    assert (portal.reward, world.places(symbol=portal.to)) == (-2, [(2, 2)])
    assert world.wind == (0, 1, 1, 0)
    assert (world.cell(2, 0).end, world.cell(2, 0).reward) == (True, -3)

    optimum = number(page, "Optimum").text_content() or ""
    for _ in range(4):
        undo.click()
    expect(undo).to_be_disabled()
    assert saved(page)[0].rows == parse_world(MAP).rows

    open_map(page, text)
    expect(number(page, "Optimum")).to_have_text(optimum)
    assert saved(page)[1] == text


def test_a_world_grows_and_a_refused_change_says_why(open_page: OpenPage) -> None:
    page = open_page()
    open_map(page, MAP)
    page.get_by_role("spinbutton", name="Rows").fill("5")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Undo")).to_be_enabled()
    assert saved(page)[0].height == 5
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("spinbutton", name="Rows")).to_have_value("3")
    choose(page, "floor")
    page.mouse.click(*center(page, 0, 0))
    expect(page.get_by_role("alert")).to_contain_text("needs a start")
