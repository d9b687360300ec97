"""The World page in a browser: what a person sees, draws and presses."""

import re
from pathlib import Path

import pytest

pytest.importorskip("playwright.sync_api", reason="requires playwright (pip install playwright)")

from live_page_steps import (
    OpenPage,
    needs_chromium,
    number,
    point_at,
    press,
    value,
)
from playwright.sync_api import FilePayload, Page, expect

DOORWAY = (4, 7)  # row and column, from 1, of the upper hallway of FourRooms, 13 x 13 cells

pytest_plugins = ("live_server_fixtures",)
pytestmark = needs_chromium


def map_file(text: bytes) -> FilePayload:
    return FilePayload(name="small.txt", mimeType="text/plain", buffer=text)


def greedy_actions(page: Page) -> list[str]:
    """Return the greedy actions of the chosen cell."""
    rows = page.get_by_role("table").get_by_role("row").all()[1:]
    cells = [(row.get_by_role("rowheader"), row.get_by_role("cell")) for row in rows]
    return [
        (header.text_content() or "").split()[1]
        for header, numbers in cells
        if (numbers.nth(-2).text_content() or "0") != "0"
    ]


def learn_until_gap(page: Page, gap: float) -> None:
    """Learn at full speed until the gap is small, and pause.

    The step size has a lower limit, so the gap in a stochastic world continues to fluctuate.
    """
    press(page, "Run")
    for _ in range(200):
        page.wait_for_timeout(100)
        if value(page, "Gap") <= gap:
            break
    press(page, "Pause")
    expect(page.get_by_role("button", name="Run")).to_be_visible()
    assert value(page, "Gap") <= 10 * gap


def test_an_agent_learns_until_the_gap_is_0(open_page: OpenPage) -> None:
    page = open_page(world="DynaMaze", speed="max")
    learn_until_gap(page, 0)
    assert number(page, "Policy now").text_content() == number(page, "Optimum").text_content()


def test_an_agent_learns_four_rooms_and_finds_another_way_when_a_doorway_is_walled_off(
    open_page: OpenPage,
) -> None:
    page = open_page(world="FourRooms", speed="max")
    assert value(page, "Optimum") == pytest.approx(0.8132, abs=1e-4)

    learn_until_gap(page, 0.002)

    point_at(page, 4, 6)  # left of the doorway
    assert greedy_actions(page) == ["right"]

    page.get_by_role("radio", name="wall").check(force=True)
    point_at(page, *DOORWAY)
    expect(page.get_by_role("heading", name="column 7, wall")).to_be_visible()
    expect(number(page, "Optimum")).to_have_text("0.7093")

    learn_until_gap(page, 0.01)
    page.get_by_role("radio", name="look").check(force=True)
    point_at(page, 4, 6)
    assert "right" not in greedy_actions(page)

    press(page, "Undo")
    expect(number(page, "Optimum")).to_have_text("0.8132")
    expect(page.get_by_role("button", name="Undo")).to_be_disabled()


def test_one_step_fills_the_equation_with_its_numbers(open_page: OpenPage) -> None:
    page = open_page(world="RussellNorvig4x3")
    press(page, "One step")

    expect(page.get_by_text("Q(s,a) ← Q(s,a) + α")).to_be_visible()
    filled = page.get_by_label("Equation with numbers").text_content() or ""
    new, old, alpha, reward, gamma, next_value, again = (
        float(text.replace("−", "-")) for text in re.findall(r"(?<![\d)] )[-−]?\d[\d.e]*", filled)
    )
    assert old == again
    assert new == pytest.approx(old + alpha * (reward + gamma * next_value - old), abs=1e-3)
    expect(page.locator("#steps")).to_have_text("1")


def test_keys_run_pause_step_and_choose_a_cell(open_page: OpenPage) -> None:
    page = open_page(world="CliffWalk", speed="100")
    page.get_by_role("application").focus()
    page.keyboard.press(".")
    expect(page.locator("#steps")).to_have_text("1")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    expect(page.get_by_role("heading", name="Cell: row")).to_be_visible()
    page.keyboard.press(" ")
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    page.keyboard.press(" ")
    expect(page.get_by_role("button", name="Run")).to_be_visible()

    seed = page.get_by_role("spinbutton", name="Seed", exact=True)
    before = page.locator("#steps").text_content() or ""
    seed.focus()
    page.keyboard.press(".")  # the key goes to the field, not to the page
    page.wait_for_timeout(300)
    expect(page.locator("#steps")).to_have_text(before)


@pytest.mark.slow
def test_the_address_restores_world_learner_and_options(open_page: OpenPage) -> None:
    page = open_page()
    page.get_by_role("combobox", name="World").select_option("Maze")
    page.get_by_role("spinbutton", name="Size").fill("4")
    page.get_by_role("spinbutton", name="Size").press("Tab")
    expect(page.get_by_role("heading", name="Maze 4x4")).to_be_visible()
    page.locator("#parameters summary").click()
    page.get_by_label("step size").first.fill("0.25")
    page.get_by_role("spinbutton", name="Seed", exact=True).fill("3")
    press(page, "Start over")
    page.get_by_role("checkbox", name="Q-values as triangles").check()
    page.get_by_role("spinbutton", name="Slip").fill("0.2")
    page.keyboard.press("Enter")
    edited = page.get_by_role("combobox", name="World").locator("option:checked")
    expect(edited).to_contain_text("(edited)")
    optimum = number(page, "Optimum").text_content() or ""

    page.reload()
    expect(number(page, "Optimum")).to_have_text(optimum)
    expect(edited).to_contain_text("(edited)")
    expect(page.get_by_role("spinbutton", name="Slip")).to_have_value("0.2")
    expect(page.get_by_role("spinbutton", name="Seed", exact=True)).to_have_value("3")
    expect(page.get_by_role("checkbox", name="Q-values as triangles")).to_be_checked()
    page.locator("#parameters summary").click()
    expect(page.get_by_label("step size").first).to_have_value("0.25")


def test_map_files_are_opened_and_saved(open_page: OpenPage) -> None:
    page = open_page()
    open_file = page.get_by_label("Map file")
    broken, whole = b"S.?\n..G\n", b"title: Small\nmap:\nS..\n..G\n"
    open_file.set_input_files(map_file(broken))
    expect(page.get_by_role("alert")).to_contain_text("line 1, column 3")
    expect(page.get_by_role("heading", name="Four rooms")).to_be_visible()

    open_file.set_input_files(map_file(whole))
    expect(page.get_by_role("heading", name="Small")).to_be_visible()
    expect(page.get_by_role("alert")).to_be_hidden()
    with page.expect_download() as download:
        press(page, "Save map")
    assert download.value.suggested_filename == "small.txt"
    assert Path(download.value.path()).read_text().endswith("S..\n..G\n")


def test_an_unknown_world_in_the_address_is_refused_and_the_default_one_is_shown(
    open_page: OpenPage,
) -> None:
    page = open_page(world="FourRoms")
    expect(page.get_by_role("alert")).to_contain_text("did you mean FourRooms?")
    expect(page.get_by_role("heading", name="Four rooms")).to_be_visible()


@pytest.mark.slow
@pytest.mark.parametrize("large", ["0", "1"])
@pytest.mark.parametrize("agent2", ["", "value-iteration"])
def test_nothing_is_wider_than_the_window(open_page: OpenPage, agent2: str, large: str) -> None:
    page = open_page(world="CliffWalk", large=large, wrong="1", numbers="1", agent2=agent2)
    press(page, "One step")
    expect(page.get_by_label("Equation with numbers").first).to_be_visible()
    page.get_by_role("application").press("ArrowUp")
    expect(page.get_by_role("table").first).to_be_visible()
    for width in (1400, 1000, 400):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_every_control_has_a_name(open_page: OpenPage) -> None:
    page = open_page()
    for role in ("button", "checkbox", "combobox", "radio", "slider", "spinbutton", "textbox"):
        for control in page.get_by_role(role).all():
            assert re.match(r'- \w+ "', control.aria_snapshot()), control.evaluate("e => e.id")
