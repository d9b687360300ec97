"""Serves the live page in the background of a Python program, such as a notebook's kernel."""

import html
import threading
import time
from pathlib import Path

from gridcade.errors import InputError
from gridcade.live.listening import listen
from gridcade.live.server import LOOPBACK, Server

LOCAL_PAGES = "http://localhost:* http://127.0.0.1:* vscode-webview:"  # pages of notebooks
START_TIMEOUT = 10.0  # seconds


class LivePage:
    """A live page that is served on a thread of this program, until `stop` or the program's end.

    A notebook shows it in a frame.

    Attributes:
        address: address of the page, for a browser.

    Args:
        runs: directory of the run folders that the page shows.
        port: port of this machine; 0 chooses a free one.
        height: height of the frame in a notebook, in pixels.

    Raises:
        InputError: the port cannot be used.
    """

    def __init__(self, runs: Path, port: int, height: int):
        self._socket = listen(LOOPBACK[0], port)
        server = Server(LOOPBACK[0], self._socket.getsockname()[1], runs, framed_by=LOCAL_PAGES)
        self.address = server.address
        self._height = height
        self._runner = server.runner()
        self._thread = threading.Thread(
            target=self._runner.run, kwargs={"sockets": [self._socket]}, daemon=True
        )
        self._thread.start()
        end = time.monotonic() + START_TIMEOUT
        while not self._runner.started:
            if time.monotonic() > end or not self._thread.is_alive():
                raise InputError(f"the server did not start at {self.address}")
            time.sleep(0.01)

    def stop(self) -> None:
        """Stop the server and all learners that it runs."""
        self._runner.should_exit = True
        self._thread.join()
        self._socket.close()

    def __repr__(self) -> str:
        state = "" if self._thread.is_alive() else "   (stopped)"
        return f"live page: {self.address}{state}"

    def _repr_html_(self) -> str:
        """Return a frame with the page, which notebooks show instead of `repr`."""
        if not self._thread.is_alive():
            return html.escape(repr(self))
        return (
            f'<iframe src="{html.escape(self.address)}" title="Gridcade live page" width="100%" '
            f'height="{self._height}" style="border: 0" allow="clipboard-write; fullscreen">'
            "</iframe>"
        )
