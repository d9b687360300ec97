"""The process behind a socket answers impossible requests with errors, and ends with its pipe."""

import threading
from multiprocessing import Pipe
from multiprocessing.connection import Connection

import msgspec

from gridcade.errors import InputError
from gridcade.live.messages import RECEIVED
from gridcade.live.session_process import SessionProcess


class Echo(SessionProcess):
    """Raises errors for some messages, and sends the others back."""

    def __init__(self, connection: Connection):
        super().__init__(connection)
        self.has_ended = False

    def _wait(self) -> float | None:
        return None

    def _obey(self, text: bytes) -> None:
        if text == b"bad":
            raise InputError("bad message")
        if text == b"locked":
            raise PermissionError(13, "Permission denied", "config.toml")
        self._page_ready = False
        self._connection.send_bytes(text)

    def _go_on(self) -> None:
        raise AssertionError("waits for messages only")

    def _end(self) -> None:
        self.has_ended = True


def test_errors_are_answered_and_a_closed_pipe_ends_the_process() -> None:
    ours, theirs = Pipe()
    process = Echo(theirs)
    thread = threading.Thread(target=process.run)
    thread.start()
    for text, expected in ((b"bad", "bad message"), (b"locked", "Permission denied")):
        ours.send_bytes(text)
        answer = msgspec.json.decode(ours.recv_bytes())
        assert answer["type"] == "error"
        assert expected in answer["message"]
    ours.send_bytes(b"hello")
    assert ours.recv_bytes() == b"hello"
    assert not process._page_ready
    ours.send_bytes(RECEIVED)
    ours.send_bytes(b"bad")
    ours.recv_bytes()
    assert process._page_ready
    ours.close()
    thread.join(10)
    assert process.has_ended
