"""The World page in worlds whose actions are not moves: it shows signs instead."""

import pytest

pytest.importorskip("playwright.sync_api", reason="requires playwright (pip install playwright)")

from live_page_steps import OpenPage, needs_chromium, point_at, press, value
from playwright.sync_api import Page, expect

pytest_plugins = ("live_server_fixtures",)
pytestmark = needs_chromium


def actions(page: Page) -> list[str]:
    """Return the actions of the chosen cell; greedy actions are marked by `*`."""
    found = []
    for row in page.get_by_role("table").get_by_role("row").all()[1:]:
        name = (row.get_by_role("rowheader").text_content() or "").removesuffix(" ✓")
        greedy = "greedy" in (row.get_attribute("class") or "")
        found.append(f"{name} *" if greedy else name)
    return found


@pytest.mark.parametrize(
    ("world", "size", "place", "allowed"),
    [
        ("DeepSea?size=4", (5, 5), (1, 1), ["↓ action 0", "↘ action 1"]),
        ("MaximizationBias", (1, 4), (1, 3), ["← action 0", "→ action 1"]),
        ("GamblersProblem?goal=8", (1, 9), (1, 4), [f"{a} action {a}" for a in range(4)]),
        ("JacksCarRental?capacity=2", (3, 3), (1, 2), ["−1 action 4", "0 action 5"]),
    ],
)
def test_actions_that_are_not_moves_are_shown_by_their_signs(
    world: str,
    size: tuple[int, int],
    place: tuple[int, int],
    allowed: list[str],
    open_page: OpenPage,
) -> None:
    page = open_page(world=world, agent="policy-iteration", speed="max")
    press(page, "Run")
    expect(page.get_by_label("Convergence")).to_contain_text("Converged")
    assert abs(value(page, "Gap")) < 1e-6
    point_at(page, *place, *size)
    shown = actions(page)
    assert [action.removesuffix(" *") for action in shown] == allowed
    assert any(action.endswith(" *") for action in shown)
    for hidden in ("Q-values as triangles", "Predict first"):
        expect(page.get_by_text(hidden)).to_be_hidden()
