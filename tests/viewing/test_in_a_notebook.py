"""A real notebook, executed by a kernel, and what a browser shows of its outputs."""

import os
from pathlib import Path
from typing import Any

import pytest

nbclient: Any = pytest.importorskip("nbclient", reason="requires nbclient (pip install nbclient)")
nbformat: Any = pytest.importorskip("nbformat")
pytest.importorskip("ipykernel")
pytest.importorskip("playwright.sync_api", reason="requires playwright (pip install playwright)")

from playwright.sync_api import sync_playwright  # noqa: E402 - only if it is installed

CHROMIUM = Path("/usr/bin/chromium")
CELLS = [
    "import gridcade",
    "run = gridcade.train('q-learning', 'CliffWalk', steps=300_000)\nrun",
    "gridcade.evaluate(run, episodes=3000)",
    "gridcade.solve('CliffWalk')",
    "*_, last = gridcade.sweeps('CliffWalk')\nlast",
    "gridcade.show(run, episodes=2)",
]


def execute(folder: Path) -> list[list[Any]]:
    """The outputs of every cell."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    client = nbclient.NotebookClient(
        notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": folder}}
    )
    client.execute()
    return [cell.outputs for cell in notebook.cells]


@pytest.mark.slow
@pytest.mark.skipif(not CHROMIUM.exists(), reason=f"requires {CHROMIUM}")
def test_a_notebook_shows_results_and_videos(tmp_path: Path) -> None:
    outputs = execute(tmp_path)
    assert all(output.output_type != "stream" for cell in outputs for output in cell)
    html = [output.data.get("text/html") for cell in outputs for output in cell]
    # The progress bars of training and of the evaluation have vanished.
    assert [text for text in html if "<progress" in (text or "")] == []
    assert len([text for text in html if text]) == len(CELLS) - 1
    page_file = tmp_path / "page.html"
    page_file.write_text("<!doctype html>" + "<hr>".join(text for text in html if text))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM)
        page = browser.new_page(viewport={"width": 900, "height": 1200})
        page.goto(page_file.as_uri())
        assert page.locator("svg polyline").count() == 2
        assert page.get_by_text("95 % interval").is_visible()
        for picture in page.locator("img").all():
            assert picture.evaluate("image => image.naturalWidth") == 12 * 44
        video = page.locator("video")
        video.scroll_into_view_if_needed()
        page.wait_for_function("document.querySelector('video').currentTime > 0.2")
        assert video.evaluate("video => video.controls && !video.error")
        assert page.evaluate("document.body.scrollWidth") <= 900
        if folder := os.environ.get("GRIDCADE_SCREENSHOTS"):
            page.screenshot(path=Path(folder, "notebook.png"), full_page=True)
        browser.close()
