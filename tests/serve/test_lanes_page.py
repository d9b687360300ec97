"""The live page in a browser: planners."""

import pytest

pytest.importorskip("playwright.sync_api", reason="requires playwright (pip install playwright)")

from live_page_steps import OpenPage, needs_chromium, number, press, value
from playwright.sync_api import expect

pytest_plugins = ("live_server_fixtures",)
pytestmark = needs_chromium


def test_a_planner_sweeps_until_nothing_changes(open_page: OpenPage) -> None:
    page = open_page(world="WindyGrid", agent="value-iteration", speed="max")
    expect(page.get_by_role("button", name="One episode")).to_be_hidden()
    press(page, "One sweep")
    expect(page.get_by_text("V(s) ← maxₐ")).to_be_visible()
    expect(page.get_by_label("Equation with numbers")).to_have_text("−1 ← 1 · [(−1) + 0.99 · 0]")
    expect(page.locator("#steps")).to_have_text("1")
    assert value(page, "Gap") > 1

    press(page, "Run")
    expect(page.get_by_role("status", name="Convergence")).to_contain_text("Converged after")
    expect(page.get_by_role("button", name="Run")).to_be_visible()
    expect(number(page, "Gap")).to_have_text("0")
    expect(page.get_by_label("Equation with numbers")).to_be_hidden()

    page.get_by_role("combobox", name="Agent").select_option("q-learning")
    expect(page.get_by_role("button", name="One episode")).to_be_visible()
    expect(page.get_by_role("button", name="One step")).to_be_visible()
