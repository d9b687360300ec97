"""A server of the live page on a free port of this machine."""

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gridcade.serve.server import Server


@pytest.fixture(scope="module")
def live_server() -> Iterator[str]:
    """The page's address."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        server = Server("127.0.0.1", bound.getsockname()[1], Path("runs"))
        running = server.runner()
        thread = threading.Thread(target=running.run, kwargs={"sockets": [bound]}, daemon=True)
        thread.start()
        while not running.started:
            time.sleep(0.01)
        yield server.address
        running.should_exit = True
        thread.join(10)
