"""The live page in a browser: planners, time that runs backwards, two lanes, and their seeds."""

import pytest

pytest.importorskip("playwright.sync_api", reason="requires playwright (pip install playwright)")

from live_page_steps import SECONDS, OpenPage, needs_chromium, number, press, value
from playwright.sync_api import Page, expect

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


def go_back(page: Page) -> str:
    """Move the time slider to an earlier moment; return its number of steps."""
    slider = page.get_by_role("slider", name="Time", exact=True)
    slider.focus()
    for _ in range(5):
        page.keyboard.press("ArrowLeft")
    text = slider.get_attribute("aria-valuetext") or ""
    steps = text.removeprefix("step ")
    expect(page.locator("#steps")).to_have_text(steps)
    return steps


def test_going_on_from_an_earlier_moment_makes_a_branch(open_page: OpenPage) -> None:
    page = open_page(world="CliffWalk", speed="100")
    branch = page.get_by_role("combobox", name="Branch")
    expect(branch).to_be_hidden()
    press(page, "Run")
    expect(number(page, "Policy now")).not_to_have_text("−100")
    page.wait_for_timeout(500)
    press(page, "Pause")
    expect(page.get_by_role("button", name="Run")).to_be_visible()
    newest = page.locator("#steps").text_content() or ""
    optimum = number(page, "Optimum").text_content() or ""

    past = go_back(page)
    assert int(past) < int(newest)
    expect(page.get_by_text(f"step {past}", exact=True)).to_be_visible()
    page.get_by_role("spinbutton", name="Slip").fill("0.3")
    page.keyboard.press("Enter")
    expect(number(page, "Optimum")).not_to_have_text(optimum)
    expect(branch).to_be_visible()
    expect(branch.locator("option")).to_have_count(2)
    expect(branch.locator("option:checked")).to_contain_text(f"from step {past}")

    branch.focus()
    branch.select_option(index=0)
    expect(page.locator("#steps")).to_have_text(newest)
    expect(number(page, "Optimum")).to_have_text(optimum)
    expect(page.get_by_role("spinbutton", name="Slip")).to_have_value("0")
    press(page, "Start over")
    expect(branch).to_be_hidden()


def test_two_learners_beside_each_other_share_world_and_time(open_page: OpenPage) -> None:
    page = open_page(world="DynaMaze", speed="50")
    press(page, "Second lane")
    second = page.get_by_role("combobox", name="Second agent")
    expect(second).to_have_value("value-iteration")
    gap, other_gap = number(page, "Gap"), number(page, "Gap, second lane")
    expect(other_gap).not_to_have_text("–")
    press(page, "One step")
    expect(page.get_by_text("V(s) ← maxₐ")).to_be_visible()
    expect(page.get_by_text("Q(s,a) ← Q(s,a) + α")).to_be_visible()

    press(page, "Run")
    expect(other_gap).to_have_text("0")
    expect(page.get_by_label("Convergence, second lane")).to_contain_text("sweeps")
    press(page, "Pause")
    assert gap.text_content() != "0"

    optimum = number(page, "Optimum, second lane")
    before = optimum.text_content() or ""
    page.get_by_role("spinbutton", name="Slip").fill("0.3")
    page.keyboard.press("Enter")
    expect(optimum).not_to_have_text(before)
    expect(optimum).to_have_text(number(page, "Optimum").text_content() or "")
    press(page, "Undo")
    expect(optimum).to_have_text(before)

    slider = page.get_by_role("slider", name="Time", exact=True)
    slider.focus()
    page.keyboard.press("Home")
    for steps in ("#steps", "#steps-2"):
        expect(page.locator(steps)).to_have_text("0")

    page.reload()
    expect(other_gap).not_to_have_text("–")
    expect(second).to_have_value("value-iteration")
    press(page, "Close second lane")
    expect(second).to_be_hidden()
    expect(other_gap).to_have_count(0)
    press(page, "Second lane")
    expect(other_gap).not_to_have_text("–")


def test_a_mistake_in_the_form_of_one_lane_leaves_the_other_alone(open_page: OpenPage) -> None:
    page = open_page(world="CliffWalk", agent2="q-learning", speed="1000")
    expect(number(page, "Optimum, second lane")).not_to_have_text("–")
    press(page, "Run")
    page.wait_for_timeout(1500)
    press(page, "Pause")
    expect(page.get_by_role("button", name="Run")).to_be_visible()
    steps = [page.locator(f"#steps{suffix}").text_content() or "" for suffix in ("", "-2")]
    assert all(int(text.replace(",", "")) > 100 for text in steps)

    for suffix, lane in (("", ""), ("-2", "Second lane: ")):
        page.locator(f"#parameters{suffix} summary").click()
        discount = page.locator(f"#parameters{suffix} [name=discount]")
        discount.fill("0,5")
        discount.press("Enter")
        expect(page.get_by_role("alert")).to_contain_text(f"{lane}")
        expect(page.get_by_role("alert")).to_contain_text("discount")
        page.wait_for_timeout(300)
        for other, text in zip(("", "-2"), steps, strict=True):
            expect(page.locator(f"#steps{other}")).to_have_text(text)


@pytest.mark.slow
def test_seeds_say_whether_two_lanes_differ(open_page: OpenPage) -> None:
    page = open_page(world="DynaMaze", agent2="q-learning", **{"p2.step_size": "0.00001"})
    expect(number(page, "Gap, second lane")).not_to_have_text("–")
    for lane in ("", "-2"):
        page.locator(f"#seeds{lane}").click()
        done = page.locator(f"#seeds-text{lane}")
        expect(done).to_contain_text("30 seeds, to 100,000 steps", timeout=120 * SECONDS)
    sentence = page.get_by_role("status", name="Comparison of the lanes")
    expect(sentence).to_contain_text("At 100,000 steps, the mean discounted return of lane 1")
    expect(sentence).to_contain_text("is significant")
    page.get_by_role("combobox", name="Measure").select_option("average_reward")
    expect(sentence).to_contain_text("the mean average reward of lane 1")

    page.get_by_role("spinbutton", name="Slip").fill("0.1")
    page.keyboard.press("Enter")
    expect(sentence).to_be_hidden()
    expect(page.locator("#seeds-text")).to_contain_text("in the background")
    page.locator("#agent").select_option("value-iteration")
    expect(page.locator("#seeds")).to_be_disabled()
