"""A process behind one socket of a live page.

The server and this process communicate over a pipe. The server forwards the page's messages to the
process, and the process's messages to the page. The process sends a picture only after the server
has confirmed the last one (`RECEIVED`), so a slow page gets fewer pictures, but always the newest.
The process ends when the server's end of the pipe is closed, even if the server was killed.
"""

from abc import ABC, abstractmethod
from multiprocessing.connection import Connection

from gridcade.errors import InputError
from gridcade.live.messages import RECEIVED, encode


class SessionProcess(ABC):
    """Handles the page's messages, and does its own work between them.

    Args:
        connection: this process's end of the pipe to the server.
    """

    def __init__(self, connection: Connection):
        self._connection = connection
        self._page_ready = True  # whether the server has confirmed the last picture

    def run(self) -> None:
        """Handle messages and work until the server closes the pipe."""
        try:
            self._begin()
            while True:
                while self._connection.poll(self._wait()):
                    self._receive(self._connection.recv_bytes())
                self._go_on()
        except (EOFError, ConnectionError):
            return
        finally:
            self._end()

    def _receive(self, text: bytes) -> None:
        if text == RECEIVED:
            self._page_ready = True
            return
        try:
            self._obey(text)
        except (EOFError, ConnectionError):
            raise  # the server has closed the pipe
        except (InputError, OSError) as error:
            self._connection.send_bytes(encode("error", message=str(error)))

    def _begin(self) -> None:  # noqa: B027 - nothing by default
        """Send the first messages to the page."""

    def _end(self) -> None:  # noqa: B027 - nothing by default
        """Stop background work before the process ends."""

    @abstractmethod
    def _wait(self) -> float | None:
        """Return the seconds until work is due; None: no work is due until a message arrives."""

    @abstractmethod
    def _obey(self, text: bytes) -> None:
        """Decode a message and carry it out.

        Raises:
            InputError: the message is malformed, or cannot be carried out.
            OSError: a file cannot be read.
        """

    @abstractmethod
    def _go_on(self) -> None:
        """Do a short piece of work, and send a picture if one is due."""
