"""Starts a server of the live page on a free port of this machine, and sends requests to it."""

import multiprocessing
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from multiprocessing.process import BaseProcess
from pathlib import Path
from urllib.parse import urlsplit

from gridcade.live.server import SESSION_NAME, Server


@contextmanager
def serving(runs: Path, host: str = "127.0.0.1") -> Iterator[Server]:
    """Serve the page on this machine; `host` is the host that the server was started with."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        server = Server(host, bound.getsockname()[1], runs)
        running = server.runner()
        thread = threading.Thread(target=running.run, kwargs={"sockets": [bound]}, daemon=True)
        thread.start()
        while not running.started:
            time.sleep(0.01)
        yield server
        running.should_exit = True
        thread.join(10)


def wait_for_sessions(count: int) -> None:
    """Wait until `count` pages have a process. Child processes of other tests do not count."""
    end = time.monotonic() + 30
    while len(sessions()) != count and time.monotonic() < end:
        time.sleep(0.05)
    assert len(sessions()) == count


def sessions() -> list[BaseProcess]:
    """Return the processes of the pages of all servers in this process."""
    return [p for p in multiprocessing.active_children() if p.name == SESSION_NAME]


def get(
    address: str, path: str, host: str = "", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """Request a path; returns the status, the headers in lower case, and the content."""
    parts = urlsplit(address)
    connection = HTTPConnection(parts.hostname or "", parts.port)
    connection.request("GET", path, headers={"Host": host or parts.netloc} | headers)
    answer = connection.getresponse()
    names = {name.lower(): value for name, value in answer.getheaders()}
    return answer.status, names, answer.read()
