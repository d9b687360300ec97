"""The terminal's screen and keys, on pseudo-terminals."""

import io
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pexpect
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prompt_toolkit.key_binding import KeyPress
from prompt_toolkit.keys import Keys
from screens import Screen

from gridcade.errors import InputError
from gridcade.viewing import terminal
from gridcade.viewing.terminal import Keyboard, TerminalScreen, key_names

pty = pytest.importorskip("pty")
termios = pytest.importorskip("termios")

COLUMNS, ROWS = 30, 8


class PseudoTerminal:
    """A pseudo-terminal whose other side is the standard input and output."""

    def __init__(self) -> None:
        self.controller, self.descriptor = pty.openpty()
        self.resize(COLUMNS, ROWS)
        self.stdin = os.fdopen(self.descriptor, encoding="utf-8", closefd=False)
        self.stdout = os.fdopen(self.descriptor, "w", encoding="utf-8", closefd=False)

    def resize(self, columns: int, rows: int) -> None:
        termios.tcsetwinsize(self.descriptor, (rows, columns))

    def attributes(self) -> list[Any]:
        attributes: list[Any] = termios.tcgetattr(self.descriptor)
        return attributes

    def type(self, data: bytes) -> None:
        os.write(self.controller, data)

    def written(self) -> str:
        """All that was written since the last call."""
        os.write(self.descriptor, b"\0")
        data = b""
        while not data.endswith(b"\0"):
            data += os.read(self.controller, 1 << 16)
        return data[:-1].decode()

    def close(self) -> None:
        self.stdin.close()
        self.stdout.close()
        os.close(self.controller)
        os.close(self.descriptor)


Connect = Callable[[], PseudoTerminal]


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Iterator[Connect]:
    """Replaces the standard streams when called, as pytest resets them before each test."""
    pseudo_terminal = PseudoTerminal()

    def connect() -> PseudoTerminal:
        monkeypatch.setattr(sys, "stdin", pseudo_terminal.stdin)
        monkeypatch.setattr(sys, "stdout", pseudo_terminal.stdout)
        monkeypatch.setenv("TERM", "xterm-256color")
        return pseudo_terminal

    yield connect
    monkeypatch.undo()
    pseudo_terminal.close()


def test_screen_shows_the_last_lines_whatever_was_shown_before(connect: Connect) -> None:
    pseudo_terminal = connect()

    @settings(deadline=None, max_examples=20)
    @given(
        st.lists(
            st.lists(st.text("ab→", max_size=COLUMNS), max_size=ROWS + 2), min_size=1, max_size=5
        )
    )
    def check(pages: list[list[str]]) -> None:
        emulator = Screen(COLUMNS, ROWS)
        with TerminalScreen() as screen:
            for lines in pages:
                screen.show(lines)
                emulator.write(pseudo_terminal.written())
                expected = [line.ljust(COLUMNS) for line in (lines + [""] * ROWS)[:ROWS]]
                assert emulator.text() == expected
            assert emulator.modes == {1049}  # alternate screen, no cursor, no wrapping
        emulator.write(pseudo_terminal.written())
        assert emulator.modes == {7, 25}

    check()


def test_only_changed_lines_are_written_and_all_lines_after_a_resize(connect: Connect) -> None:
    pseudo_terminal = connect()
    with TerminalScreen() as screen:
        lines = [f"line {row}" for row in range(ROWS)]
        screen.show(lines)
        first = pseudo_terminal.written()
        assert all(line in first for line in lines)
        screen.show(lines)
        assert pseudo_terminal.written() == ""
        lines[3] = "another"
        screen.show(lines)
        change = pseudo_terminal.written()
        assert "another" in change
        assert "line" not in change
        pseudo_terminal.resize(COLUMNS + 7, ROWS + 4)
        assert screen.size() == (COLUMNS + 7, ROWS + 4)
        screen.show(lines)
        change = pseudo_terminal.written()
        assert change.index("\x1b[2J") < change.index("line 0")
        assert all(line in change for line in lines)


@pytest.mark.parametrize(
    ("typed", "names"),
    [
        (b"\x1b[A\x1b[B\x1b[C\x1b[D", ["up", "down", "right", "left"]),
        (b"\x1bOA\x1bOB\x1bOC\x1bOD", ["up", "down", "right", "left"]),
        (b"\x1b[1;5A\x1b[1;3A", ["up", "up"]),  # with Ctrl, with Alt
        (b"\x1b", ["escape"]),
        (b"\x1b\x1b[A", ["escape", "up"]),
        (b"q Q+\r", ["q", "space", "q", "+", "return"]),
        (b"\x1b[3~\x01\x1a\x1cx", ["x"]),  # delete, Ctrl-A, Ctrl-Z and Ctrl-\ have no name
        ("é".encode(), ["é"]),
    ],
)
def test_typed_keys(typed: bytes, names: list[str], connect: Connect) -> None:
    pseudo_terminal = connect()
    with Keyboard() as keyboard:
        assert keyboard.keys() == []
        pseudo_terminal.type(typed)
        read: list[str] = []
        while len(read) < len(names):
            read += keyboard.keys(timeout=60)
        assert read + keyboard.keys() == names


def test_code_that_arrives_in_pieces_is_one_key(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    pseudo_terminal = connect()
    monkeypatch.setattr(terminal, "ESCAPE_WAIT", 30.0)
    with Keyboard() as keyboard:
        pseudo_terminal.type(b"a\x1b")
        assert keyboard.keys(timeout=60) == ["a"]
        pieces = [
            threading.Timer(0.05 * n, pseudo_terminal.type, [piece])
            for n, piece in enumerate((b"[", b"C"), 1)
        ]
        for piece in pieces:
            piece.start()
        assert keyboard.keys(timeout=60) == ["right"]
        for piece in pieces:
            piece.join()


def test_ctrl_c_interrupts_where_keys_are_read() -> None:
    with pytest.raises(KeyboardInterrupt):
        key_names([KeyPress("a"), KeyPress(Keys.ControlC)])


PROGRAM = """
import signal
from gridcade.viewing.terminal import TerminalScreen

signal.signal(signal.SIGTERM, signal.default_int_handler)
while True:
    try:
        input("ready")
        with TerminalScreen(needs_keys=True) as screen:
            screen.show(["size %d x %d" % screen.size()])
            while True:
                for key in screen.keys(timeout=60):
                    if key == "x":
                        raise RuntimeError
                    screen.show(["pressed " + key])
    except (RuntimeError, KeyboardInterrupt) as error:
        print(type(error).__name__)
"""


def test_program_takes_the_terminal_and_restores_it() -> None:
    """After an error, Ctrl-C and SIGTERM the terminal is as before."""
    child: Any = pexpect.spawn(
        sys.executable,
        ["-c", PROGRAM],
        dimensions=(33, 77),
        env={**os.environ, "TERM": "xterm"},
        timeout=250,
        encoding="utf-8",
    )
    try:
        child.expect_exact("ready")
        before = termios.tcgetattr(child.child_fd)
        for end, message in (("x", "RuntimeError"), ("\x03", "KeyboardInterrupt"), (None, "Keyb")):
            child.sendline()
            child.expect_exact("\x1b[?1049h")
            child.expect_exact("\x1b[?25l")
            child.expect_exact("size 77 x 33")
            during = termios.tcgetattr(child.child_fd)
            assert not during[3] & (termios.ECHO | termios.ICANON | termios.ISIG)
            for typed, name in (("\x1b[A", "up"), ("\x1a\x1bOD", "left"), (" ", "space")):
                child.send(typed)
                child.expect_exact(f"pressed {name}")
            if end is None:
                os.kill(child.pid, signal.SIGTERM)
            else:
                child.send(end)
            child.expect_exact("\x1b[?25h")
            child.expect_exact("\x1b[?1049l")
            child.expect_exact(message)  # on the ordinary screen
            child.expect_exact("ready")
            assert termios.tcgetattr(child.child_fd) == before
    finally:
        child.close(force=True)


def test_missing_terminal_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    message = r"^no terminal to watch in; write a video instead: --video run\.mp4 "
    with pytest.raises(InputError, match=message):
        TerminalScreen()


def test_keys_need_a_terminal_as_input(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    pseudo_terminal = connect()
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    before = pseudo_terminal.attributes()
    with TerminalScreen() as screen:
        assert screen.keys(timeout=0.01) == []
        assert pseudo_terminal.attributes() == before
    with pytest.raises(InputError, match=r"^no terminal to play in$"):
        TerminalScreen(needs_keys=True)
