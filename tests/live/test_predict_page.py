"""The Predict mode in a browser: a person draws a policy and reads its exact value."""

import numpy as np
import pytest

pytest.importorskip("playwright.sync_api", reason="requires playwright (pip install playwright)")

from live_page_steps import OpenPage, needs_chromium, number, press
from playwright.sync_api import Page, expect

from gridcade.envs.gridworld import grid_model
from gridcade.exact import solver
from gridcade.formatting import format_result
from gridcade.live.world.puzzles import puzzles

pytest_plugins = ("live_server_fixtures",)
pytestmark = needs_chromium

UP, RIGHT, DOWN, LEFT = range(4)
# 3 rows of 6 columns; the start and the goal are at the ends of the last row.
WORLD = puzzles()["short-cut"].world
JUDGMENT = "Judgment"


def pixel(page: Page, row: float, column: float) -> tuple[float, float]:
    """Convert a point of the world to page pixels; (0, 0) is the center of the first cell."""
    canvas = page.get_by_role("application")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    height, width = box["height"] / WORLD.height, box["width"] / WORLD.width
    return box["x"] + (column + 0.5) * width, box["y"] + (row + 0.5) * height


def value_of(arrows: dict[tuple[int, int], int]) -> str:
    """Return the expected return of a policy, as the page shows it."""
    policy = np.full((len(WORLD.places()), 4), 0.25)
    for place, action in arrows.items():
        policy[WORLD.places().index(place)] = np.eye(4)[action]
    value = solver.policy_value(grid_model(WORLD), policy).expected_return
    assert value is not None
    return format_result(value)


def test_a_policy_drawn_with_the_pointer_is_judged_exactly(open_page: OpenPage) -> None:
    page = open_page(world="short-cut", predict="1")
    expect(page.get_by_role("button", name="Run")).to_be_hidden()
    expect(page.get_by_role("status", name="Policy now")).to_be_hidden()

    page.mouse.move(*pixel(page, 2, 0))
    page.mouse.down()
    page.mouse.move(*pixel(page, 1, 0), steps=4)
    page.mouse.move(*pixel(page, 1, 5), steps=15)
    page.mouse.move(*pixel(page, 2, 5), steps=4)  # into the goal, which cannot have an arrow
    page.mouse.up()
    page.mouse.click(*pixel(page, 0.3, 2))  # near the lower side of a cell
    expect(page.get_by_text("Row 1, column 3: ↓ down")).to_be_visible()
    arrows = {(2, 0): UP, (1, 0): RIGHT, (1, 5): DOWN, (0, 2): DOWN}
    arrows |= {(1, column): RIGHT for column in range(1, 5)}

    press(page, "Compute its value")
    expect(number(page, "Your policy")).to_have_text(value_of(arrows))
    judgment = page.get_by_role("status", name=JUDGMENT)
    expect(judgment).to_contain_text("It makes a mistake in")
    expect(judgment).to_contain_text(puzzles()["short-cut"].lesson())

    press(page, "Show the optimum")
    expect(page.get_by_text("Exact optimal value", exact=True).first).to_be_visible()
    press(page, "Show your arrows")
    page.mouse.click(*pixel(page, 0, 2))  # a click in the middle of a cell removes its arrow
    expect(page.get_by_text("Row 1, column 3: no arrow")).to_be_visible()
    expect(judgment).to_be_hidden()  # the judgment is not valid for other arrows
    press(page, "Compute its value")
    del arrows[0, 2]
    expect(number(page, "Your policy")).to_have_text(value_of(arrows))


def test_the_best_policy_drawn_with_keys_is_found_optimal(open_page: OpenPage) -> None:
    page = open_page(world="short-cut", predict="1")
    page.get_by_role("application").focus()
    page.keyboard.press("ArrowUp")  # shows the cursor, at the start
    for keys in ("w", "ArrowUp", "w", "ArrowUp"):
        page.keyboard.press(keys)
    for _ in range(5):
        page.keyboard.press("d")
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("s")
    for column in (4, 3, 2, 1):  # cells to which the agent slips
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("w")
        expect(page.get_by_text(f"Row 2, column {column + 1}: ↑ up")).to_be_visible()
    press(page, "Compute its value")
    expect(number(page, "Gap")).to_have_text("0")
    expect(page.get_by_role("status", name=JUDGMENT)).to_contain_text("Your policy is optimal")


def test_criteria_worlds_and_reload(open_page: OpenPage) -> None:
    page = open_page(world="CliffWalk")
    press(page, "Predict first")
    page.get_by_role("combobox", name="Best by").select_option("return of an episode")
    press(page, "Compute its value")
    expect(number(page, "Optimum").last).to_have_text("−13")
    page.reload()
    criterion = page.get_by_role("combobox", name="Best by")
    expect(criterion).to_have_value("return")
    page.get_by_role("combobox", name="World").select_option("Near or far, in a hurry")
    expect(criterion).to_have_value("discounted")
    expect(page.get_by_role("spinbutton", name="γ")).to_have_value("0.7")
    expect(criterion.get_by_role("option", name="return of an episode")).to_be_disabled()
    press(page, "Compute its value")
    expect(page.get_by_role("status", name=JUDGMENT)).to_contain_text(
        "The worst is in row 1, column 8"
    )
    press(page, "Let the agent learn")
    expect(page.get_by_role("button", name="Run")).to_be_visible()


@pytest.mark.slow
@pytest.mark.parametrize("large", ["0", "1"])
def test_no_puzzle_is_wider_than_the_window(open_page: OpenPage, large: str) -> None:
    for name in puzzles():
        page = open_page(world=name, predict="1", large=large)
        press(page, "Compute its value")
        expect(page.get_by_role("status", name=JUDGMENT)).to_be_visible()
        for width in (1400, 1000, 400):
            page.set_viewport_size({"width": width, "height": 800})
            assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.close()
