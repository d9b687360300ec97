"""The live page in the background of a program, and in a notebook's frame."""

import re
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.request import urlopen

import pytest

pytest.importorskip("playwright.sync_api", reason="requires playwright (pip install playwright)")

from live_page_steps import CHROMIUM
from playwright.sync_api import Browser, expect

from gridcade.errors import InputError
from gridcade.live.background import LivePage

pytest_plugins = ("live_server_fixtures",)
HEIGHT = 640  # pixels


@pytest.fixture
def live_page(tmp_path: Path) -> Iterator[LivePage]:
    page = LivePage(tmp_path, 0, HEIGHT)
    yield page
    page.stop()


def test_a_page_is_served_until_it_is_stopped(live_page: LivePage) -> None:
    with urlopen(live_page.address) as answer:
        assert b"Gridcade" in answer.read()
    assert repr(live_page) == f"live page: {live_page.address}"
    port = int(live_page.address.rstrip("/").rpartition(":")[2])
    with pytest.raises(InputError, match=f"port {port}: .*in use"):
        LivePage(Path("runs"), port, HEIGHT)
    live_page.stop()
    with pytest.raises(OSError, match="refused"):
        urlopen(live_page.address)
    assert repr(live_page).endswith("(stopped)")
    assert "iframe" not in live_page._repr_html_()


@pytest.mark.skipif(not CHROMIUM.exists(), reason=f"requires {CHROMIUM}")
def test_a_page_of_this_machine_may_show_the_live_page_in_a_frame(
    live_page: LivePage, tmp_path: Path, browser: Browser
) -> None:
    """A notebook shows it so; the server forbids this to pages of other machines."""
    (tmp_path / "notebook.html").write_text(f"<!doctype html>{live_page._repr_html_()}")
    handler = partial(SimpleHTTPRequestHandler, directory=tmp_path)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as notebook:
        threading.Thread(target=notebook.serve_forever, daemon=True).start()
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{notebook.server_port}/notebook.html")
        heading = page.frame_locator("iframe").get_by_role("heading", name="Four rooms")
        expect(heading).to_be_visible()
        box = page.locator("iframe").bounding_box()
        assert box is not None
        assert box["height"] == HEIGHT
        page.close()
        notebook.shutdown()
    with urlopen(live_page.address) as answer:
        policy = answer.headers["Content-Security-Policy"]
    ancestors = re.findall("frame-ancestors (.*)", policy)
    assert ancestors == ["http://localhost:* http://127.0.0.1:* vscode-webview:"]
