"""After many pages have come and gone, memory has not grown and no process is left."""

import json
import os
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from serving import wait_for_sessions
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from gridcade.live.server import MAX_VIEWERS

pytest_plugins = ("live_server_fixtures",)
pytestmark = pytest.mark.slow

CONNECTIONS = 200
PICTURES = 10_000
KILLED = 20
GROWTH = 30e6  # bytes by which the server may grow after its first pages
MEMORY = Path("/proc/self/statm")


def memory() -> int:
    """Return the resident memory of this process, in which the server runs, in bytes."""
    return int(MEMORY.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def open_page(address: str) -> ClientConnection:
    netloc = urlsplit(address).netloc
    return connect(f"ws://{netloc}/live", origin=Origin(f"http://{netloc}"), max_size=None)


def start(page: ClientConnection, world: str = "CliffWalk") -> None:
    page.send(json.dumps({"type": "open", "world": world, "agent": "q-learning"}))
    page.send(json.dumps({"type": "speed", "steps_per_second": None}))
    page.send(json.dumps({"type": "run"}))


def read_pictures(page: ClientConnection, count: int) -> None:
    seen = 0
    while seen < count:
        seen += str(page.recv(60)).startswith('{"type":"picture"')


@pytest.mark.skipif(not MEMORY.exists(), reason="reads its memory from /proc")
def test_pages_that_come_and_go_leave_nothing(live_server: str) -> None:
    sizes = []
    for connection in range(0, CONNECTIONS, MAX_VIEWERS):
        with ExitStack() as stack:
            pages = [stack.enter_context(open_page(live_server)) for _ in range(MAX_VIEWERS)]
            for number, page in enumerate(pages):
                start(page)
                if connection + number < KILLED:  # like a killed tab: no closing handshake
                    read_pictures(page, 1)
                    page.socket.close()
        wait_for_sessions(0)
        sizes.append(memory())
    assert sizes[-1] - sizes[5] < GROWTH


@pytest.mark.skipif(not MEMORY.exists(), reason="reads its memory from /proc")
@pytest.mark.timeout(900)
def test_many_pictures_do_not_grow_the_server(live_server: str) -> None:
    with ExitStack() as stack:
        pages = [stack.enter_context(open_page(live_server)) for _ in range(MAX_VIEWERS)]
        for page in pages:
            start(page, "FourRooms")
            read_pictures(page, 20)
        before = memory()
        for _ in range(PICTURES // 100 // MAX_VIEWERS):
            for page in pages:
                read_pictures(page, 100)
        assert memory() - before < GROWTH
    wait_for_sessions(0)
