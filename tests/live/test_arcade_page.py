"""The Arcade page in a browser."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

pytest.importorskip("playwright.sync_api", reason="requires playwright (pip install playwright)")

from live_page_steps import SECONDS, checked_pages, needs_chromium, press
from playwright.sync_api import Browser, Locator, Page, expect
from serving import serving

from gridcade import api

pytest_plugins = ("live_server_fixtures",)
pytestmark = needs_chromium

OpenArcade = Callable[..., Page]
CONTINUATIONS = 120 * SECONDS  # time for sixteen continuations of 500 steps on a slow machine


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = tmp_path_factory.mktemp("runs")
    api.train("q-learning", "FourRooms", steps=20_000, epoch=5_000, out=runs / "rooms")
    return runs


@pytest.fixture(scope="module")
def address(runs: Path) -> Iterator[str]:
    with serving(runs) as server:
        yield server.address


@pytest.fixture
def open_arcade(browser: Browser, address: str) -> Iterator[OpenArcade]:
    """Open the page with a state in its address; afterwards, the console must have no errors."""
    with checked_pages(browser) as open_address:

        def open_(**state: str) -> Page:
            page = open_address(f"{address}arcade#{urlencode(state)}")
            expect(page.locator("#play")).to_be_enabled()
            return page

        yield open_


def fact(page: Page, name: str) -> Locator:
    """Locate a number in the bar of the time controls."""
    return page.locator("dl.facts div").filter(has_text=name).locator("dd")


def step_of(page: Page) -> int:
    return int((fact(page, "Step").text_content() or "").replace(",", ""))


def wait_for_step(page: Page, step: int) -> None:
    """Wait until at least this number of steps was played."""
    for _ in range(300):
        if step_of(page) >= step:
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"step {step_of(page)} instead of {step}")


def pause(page: Page) -> None:
    press(page, "Pause")
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()


def what_is_shown(page: Page) -> tuple[object, ...]:
    """Return the pixels of the screen and of the network's frames, the bars and the numbers."""
    pictures = page.locator("#screen, #frames canvas")
    return (
        pictures.evaluate_all("canvases => canvases.map((canvas) => canvas.toDataURL())"),
        page.locator("#actions td span").all_text_contents(),
        [fact(page, name).text_content() for name in ("Score", "Lives", "Step", "Frame")],
    )


@pytest.mark.slow
def test_breakout_plays_goes_back_and_is_restored_on_reload(
    open_arcade: OpenArcade,
) -> None:
    page = open_arcade(speed="4")
    expect(page.get_by_role("heading", name="breakout plays Breakout")).to_be_visible()
    expect(page.locator("#frames canvas")).to_have_count(4)
    wait_for_step(page, 130)
    pause(page)
    last, end = step_of(page), what_is_shown(page)
    expect(page.locator("tr.greedy")).not_to_have_count(0)
    expect(page.locator("tr.taken")).to_have_count(1)

    slider = page.get_by_role("slider", name="Step", exact=True)
    slider.fill("100")
    expect(fact(page, "Step")).to_have_text("100")
    earlier = what_is_shown(page)
    assert earlier != end
    page.keyboard.press("Escape")
    slider.evaluate("slider => slider.blur()")
    page.keyboard.press("ArrowLeft")
    expect(fact(page, "Step")).to_have_text("99")
    page.keyboard.press(".")
    expect(fact(page, "Step")).to_have_text("100")
    assert what_is_shown(page) == earlier
    slider.fill(str(last))
    expect(fact(page, "Step")).to_have_text(str(last))
    assert what_is_shown(page) == end

    curve = page.locator("#curve .u-over")
    box = curve.bounding_box()
    assert box is not None
    curve.click(position={"x": 50 * box["width"] / max(last, 100), "y": box["height"] / 2})
    expect(fact(page, "Step")).to_have_text(re.compile("^(49|50|51)$"))

    slider.fill("100")
    expect(fact(page, "Step")).to_have_text("100")
    assert "step=100" in page.url
    page.reload()
    expect(fact(page, "Step")).to_have_text("100")
    assert what_is_shown(page) == earlier


def test_a_person_takes_over_and_hands_back(open_arcade: OpenArcade) -> None:
    page = open_arcade(policy="random", env="Breakout", step="40")
    expect(fact(page, "Step")).to_have_text("40")
    press(page, "Take over")
    page.keyboard.down("ArrowRight")  # before the page shows that the person plays
    expect(page.get_by_role("button", name="Hand back")).to_be_visible()
    expect(page.locator("tr.taken")).to_contain_text("right")
    wait_for_step(page, 50)
    page.keyboard.up("ArrowRight")
    expect(page.locator("tr.taken")).to_contain_text("noop")
    page.keyboard.press("p")
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Take over")).to_be_visible()
    press(page, "Back to the policy's game")
    expect(page.get_by_role("button", name="Back to the policy's game")).to_be_hidden()
    assert 40 <= step_of(page) < 50


@pytest.mark.slow
def test_an_action_is_tried_and_watched(open_arcade: OpenArcade) -> None:
    page = open_arcade(step="150", epsilon="0")
    expect(fact(page, "Step")).to_have_text("150")
    what_if = page.get_by_role("region", name="What if")
    press(page, "What if: left")
    expect(page.get_by_role("progressbar")).to_be_visible()
    press(page, "Cancel")
    expect(page.get_by_role("progressbar")).to_be_hidden()

    press(page, "What if: left")  # without epsilon, nothing is random
    expect(what_if.get_by_text("Nothing is random here")).to_be_visible(timeout=CONTINUATIONS)
    page.get_by_label("Epsilon afterwards").fill("0.1")
    press(page, "What if: right")
    expect(what_if.get_by_text("16 continuations")).to_be_visible(timeout=CONTINUATIONS)
    plot = what_if.get_by_role("img", name=re.compile("Return as learned"))
    expect(plot.nth(1).locator("circle")).to_have_count(1)  # left; the first plot is right
    expect(plot.nth(0).locator("circle")).to_have_count(16)
    expect(what_if.get_by_text("predicted Q").first).to_be_visible()

    press(page, "Watch what follows right")
    wait_for_step(page, 155)
    press(page, "Back to the policy's game")
    expect(fact(page, "Step")).to_have_text("150")


def test_the_checkpoints_of_a_run_play_the_same_game(open_arcade: OpenArcade) -> None:
    page = open_arcade(policy="rooms", step="3")
    expect(page.locator("#checkpoint-text")).to_have_text("20,000 steps")
    screen = page.locator("#screen")
    slider = page.get_by_role("slider", name="Checkpoint")
    page.get_by_role("slider", name="Step", exact=True).fill("0")
    expect(fact(page, "Step")).to_have_text("0")
    start = screen.evaluate("canvas => canvas.toDataURL()")
    values = page.locator("#actions td span").all_text_contents()
    slider.press("Home")
    expect(page.get_by_role("heading", name=re.compile(r"rooms at [\d,]+ steps"))).to_be_visible()
    expect(page.locator("#actions td span")).not_to_have_text(values)
    assert screen.evaluate("canvas => canvas.toDataURL()") == start
    assert "checkpoint=" in page.url


def test_other_environments_play_too(open_arcade: OpenArcade) -> None:
    page = open_arcade(policy="random", env="CartPole-v1")
    expect(page.locator("#end")).to_have_text("game over")
    expect(page.get_by_text("Score (this policy does not predict values)")).to_be_visible()
    expect(page.locator("#sees")).to_be_hidden()
    expect(fact(page, "Game")).to_have_text("2")


def test_an_unknown_policy_is_refused_and_the_default_one_plays(open_arcade: OpenArcade) -> None:
    page = open_arcade(policy="brekout")
    expect(page.get_by_role("alert")).to_contain_text("did you mean breakout?")
    expect(page.get_by_role("heading", name="breakout plays Breakout")).to_be_visible()
    environment = page.get_by_role("combobox", name="Environment")
    environment.fill("Brakout")
    environment.press("Tab")
    expect(page.get_by_role("alert")).to_contain_text("did you mean Breakout?")
    expect(page.get_by_role("combobox", name="Environment")).to_have_value("")


@pytest.mark.slow
@pytest.mark.parametrize("large", ["0", "1"])
def test_nothing_is_wider_than_the_window(open_arcade: OpenArcade, large: str) -> None:
    page = open_arcade(step="150", large=large)
    press(page, "What if: left")
    expect(page.get_by_text("16 continuations")).to_be_visible(timeout=CONTINUATIONS)
    for width in (1400, 1000, 400):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_every_control_has_a_name(open_arcade: OpenArcade) -> None:
    page = open_arcade(policy="random", env="Breakout", step="1")
    for role in ("button", "checkbox", "combobox", "slider", "spinbutton", "textbox"):
        for control in page.get_by_role(role).all():
            assert re.match(r"- '?\w+ \"", control.aria_snapshot()), control.evaluate("e => e.id")


def test_space_opens_the_menu_that_has_the_focus(open_arcade: OpenArcade) -> None:
    page = open_arcade(policy="random", env="FourRooms")
    press(page, "Pause")
    menu = page.locator("#export summary")
    menu.focus()
    page.keyboard.press(" ")
    expect(page.get_by_role("button", name="Screen (PNG)")).to_be_visible()
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()
