"""A process behind one socket of a live page.

The server and this process talk over a pipe. The page's messages go in as they came; what comes out
are messages for the page. A picture is sent only after the last one has arrived (`RECEIVED`), so a
slow page gets fewer pictures, always the newest. The process ends when the server's end of the pipe
is closed, however the server ends.
"""

from abc import ABC, abstractmethod
from multiprocessing.connection import Connection

from gridcade.errors import InputError
from gridcade.live.messages import RECEIVED, encode


class SessionProcess(ABC):
    """Obeys the page's messages, and goes on with its own work between them.

    Args:
        connection: to the server.
    """

    def __init__(self, connection: Connection):
        self._connection = connection
        self._page_ready = True  # the last picture has arrived

    def run(self) -> None:
        """Work and answer until the server closes the pipe."""
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
        """Send what the page gets first."""

    def _end(self) -> None:  # noqa: B027 - nothing by default
        """Stop what would outlive the process."""

    @abstractmethod
    def _wait(self) -> float | None:
        """Seconds until there is something to do; None: only a message changes anything."""

    @abstractmethod
    def _obey(self, text: bytes) -> None:
        """Read a message and do what it says.

        Raises:
            InputError: the message is not understood, or what it says is not possible.
            OSError: a file cannot be read.
        """

    @abstractmethod
    def _go_on(self) -> None:
        """Work for a moment, and send a picture if one is due."""
