"""The Runs page in a browser."""

import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest

pytest.importorskip("playwright.sync_api", reason="requires playwright (pip install playwright)")

from live_page_steps import checked_pages, needs_chromium
from playwright.sync_api import Browser, Locator, Page, expect
from serving import serving

from gridcade.training import sessions
from gridcade.training.trainer import Progress

pytest_plugins = ("live_server_fixtures",)
pytestmark = needs_chromium

WIDTHS = (1400, 1000, 400)
OpenRuns = Callable[..., Page]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with two runs that differ in discount and seed, and a report."""
    root = tmp_path_factory.mktemp("runs")
    options: Any = {"steps": 4000, "epoch": 1000}
    sessions.train("q-learning", "CliffWalk", out=root / "long-sighted", **options)
    sessions.train(
        *("q-learning", "CliffWalk"),
        hyperparameters={"discount": 0.9},
        seed=1,
        out=root / "short, sighted",
        **options,
    )
    (root / "study").mkdir()
    (root / "study/study.toml").write_text(
        'environments = ["CliffWalk"]\ncontenders = [{policy = "random"}]\n'
    )
    (root / "study/report.html").write_text(
        "<style>p {color: rgb(1, 2, 3)}</style><p>Report</p><script>document.title = 1</script>"
    )
    return root


@pytest.fixture
def open_runs(browser: Browser, root: Path) -> Iterator[OpenRuns]:
    """Open the page with a state in its address; afterwards, the console must have no errors."""
    clipboard = ("clipboard-read", "clipboard-write")
    with serving(root) as server, checked_pages(browser, *clipboard) as open_address:

        def open_(**state: str) -> Page:
            page = open_address(f"{server.address}runs#{urlencode(state, quote_via=quote)}")
            expect(page.get_by_role("heading", name="Runs in")).to_be_visible()
            return page

        yield open_


def run_row(page: Page, name: str) -> Locator:
    return page.get_by_role("region", name="Runs table").get_by_role("row").filter(has_text=name)


def chart(page: Page) -> str:
    """Return the description of the chart that a screen reader reads."""
    return page.get_by_role("img").get_attribute("aria-label") or ""


def rows_that_differ(page: Page) -> list[str]:
    table = page.get_by_role("region", name="Config table")
    names = table.get_by_role("rowheader", name="(differs)").all_text_contents()
    return [name.removesuffix(" (differs)") for name in names]


def test_a_curve_grows_while_a_run_trains(open_runs: OpenRuns, root: Path) -> None:
    stop = threading.Event()

    def slow_down(_: Progress) -> None:
        time.sleep(0.05)

    options: Any = {"steps": 10**8, "epoch": 2000, "out": root / "growing"}
    training = threading.Thread(
        target=sessions.train,
        args=("q-learning", "FourRooms"),
        kwargs=options | {"report": slow_down, "stop": stop.is_set},
    )
    training.start()
    try:
        page = open_runs(x="steps")
        box = page.get_by_role("checkbox", name="growing")
        box.check()
        expect(run_row(page, "growing")).to_contain_text("training")
        expect(page.get_by_role("img")).to_have_attribute("aria-label", re.compile("growing .* at"))
        before = chart(page)
        page.wait_for_function(
            "before => document.querySelector('#chart').ariaLabel !== before", arg=before
        )
        assert box.is_checked()
    finally:
        stop.set()
        training.join()
    expect(run_row(page, "growing")).to_contain_text("stopped")
    expect(page.get_by_text("gridcade resume")).to_be_visible()
    shutil.rmtree(root / "growing")
    expect(run_row(page, "growing")).to_be_hidden()


def test_settings_that_differ_are_marked_and_the_address_restores_the_page(
    open_runs: OpenRuns,
) -> None:
    page = open_runs(runs="long-sighted", x="minutes")
    expect(page.get_by_role("listitem").filter(has_text="long-sighted")).to_contain_text("−")
    assert rows_that_differ(page) == []
    page.get_by_role("checkbox", name="short, sighted").check()
    expect(page.get_by_role("rowheader", name="discount (differs)")).to_be_visible()
    assert rows_that_differ(page) == ["seed", "discount"]
    page.get_by_role("checkbox", name="Only differences").check()
    expect(page.get_by_role("rowheader", name="epsilon.final")).to_be_hidden()
    page.get_by_label("Measure").select_option("average_reward")
    assert "average reward" in chart(page)
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_role("columnheader", name="Run", exact=True).first).to_have_attribute(
        "aria-sort", "ascending"
    )

    page.get_by_role("button", name="Hide long-sighted").click()
    expect(page.get_by_role("checkbox", name="long-sighted")).not_to_be_checked()
    page.get_by_role("checkbox", name="long-sighted").check()

    page.reload()
    expect(page.get_by_role("rowheader", name="discount (differs)")).to_be_visible()
    expect(page.get_by_role("rowheader", name="epsilon.final")).to_be_hidden()
    expect(page.get_by_role("img")).to_have_attribute(
        "aria-label", re.compile("average reward: short, sighted .* minutes; long-sighted .*")
    )


def test_the_command_of_a_run_is_copied(open_runs: OpenRuns) -> None:
    page = open_runs(runs="short%2C sighted")
    page.get_by_role("button", name="Copy the command to train short, sighted again").click()
    expect(page.get_by_role("button", name="Copy the command to train")).to_have_text("Copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == (
        "gridcade train q-learning CliffWalk --preset watkins --steps 4_000 --seed 1 --discount 0.9"
    )
    page.get_by_role("button", name="removes short, sighted").click()
    command = f"rm -r '{page.locator('#directory').text_content()}/short, sighted'"
    expect(page.get_by_role("status")).to_contain_text(command)


def test_a_report_opens_without_scripts_and_without_an_origin(open_runs: OpenRuns) -> None:
    page = open_runs()
    with page.expect_popup() as opened:
        page.get_by_role("link", name="random on CliffWalk").click()
    report = opened.value
    expect(report.get_by_text("Report")).to_have_css("color", "rgb(1, 2, 3)")
    assert report.evaluate("[self.origin, document.title]") == ["null", ""]


@pytest.mark.parametrize("large", ["0", "1"])
def test_nothing_is_wider_than_the_window_and_every_control_has_a_name(
    open_runs: OpenRuns, large: str
) -> None:
    page = open_runs(large=large)
    expect(page.get_by_role("region", name="Config table")).to_be_visible()
    page.get_by_role("button", name="removes long-sighted").click()
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    for role in ("button", "checkbox", "combobox", "link", "region", "searchbox"):
        for control in page.get_by_role(role).all():
            assert re.match(r"""- '?\w+ \"""", control.aria_snapshot()), control.evaluate(
                "e => e.id"
            )


def test_an_empty_directory_names_a_command_and_shows_the_run_that_it_makes(
    browser: Browser, tmp_path: Path
) -> None:
    with serving(tmp_path / "none") as server, browser.new_context() as context:
        page = context.new_page()
        page.goto(f"{server.address}runs")
        expect(page.get_by_text("gridcade train q-learning FourRooms --out")).to_be_visible()
        sessions.train("q-learning", "CliffWalk", steps=1000, out=tmp_path / "none/first")
        expect(page.get_by_role("checkbox", name="first")).to_be_checked()
