"""The terminal: its screen and its keys, by prompt-toolkit on Linux, macOS and Windows.

Only prompt-toolkit's input and output are used: a viewer draws the whole screen, at its own
pace, and needs neither the application nor the layout.
"""

import asyncio
import os
import sys
import time
from contextlib import ExitStack, suppress
from typing import Self

from prompt_toolkit.input import create_input
from prompt_toolkit.key_binding import KeyPress
from prompt_toolkit.keys import Keys
from prompt_toolkit.output import create_output

from gridcade.errors import InputError
from gridcade.viewing.text_pictures import text_width

# Terminals that know these codes show everything written between them at once.
BEGIN_UPDATE, END_UPDATE = "\x1b[?2026h", "\x1b[?2026l"
VIDEO = "write a video instead: --video run.mp4 (Python: video='run.mp4'), or show it in a notebook"
ESCAPE_WAIT = 0.05  # seconds within which the rest of an arrow key's code arrives
SHORTEST_WAIT = 0.001  # seconds; long enough for the event loop to read the input once
ARROW_KEYS = {"up", "down", "left", "right"}
NAMED_KEYS = {Keys.Escape: "escape", Keys.ControlM: "return", Keys.ControlJ: "return"}


class Keyboard:
    """Reads keys, one by one and without echo, within a `with` block.

    Where the standard input is not a terminal, no key is ever pressed. Keys that suspend or stop
    a program have no effect; Ctrl-C raises KeyboardInterrupt in `keys`.
    """

    def __init__(self) -> None:
        self.connected = sys.stdin.isatty()
        self._stack = ExitStack()
        self._last_input = 0.0  # time.monotonic()

    def __enter__(self) -> Self:
        if self.connected:
            self._input = create_input(sys.stdin)
            with ExitStack() as stack:
                stack.enter_context(self._input.raw_mode())
                self._runner = stack.enter_context(asyncio.Runner())
                self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        if self.connected:
            with suppress(OSError):  # the terminal may be closed
                self._input.read_keys()  # so that the shell does not receive the remaining keys
        self._stack.close()

    def keys(self, timeout: float = 0.0) -> list[str]:
        """Return the keys pressed since the last call, or wait for the first one.

        Args:
            timeout: seconds to wait for a key.

        Returns:
            Names: `up`, `down`, `left`, `right`, `escape`, `space`, `return`, or the character in
            lower case.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed.
        """
        if not self.connected:
            time.sleep(timeout)
            return []
        return self._runner.run(self._read(timeout))

    async def _read(self, timeout: float) -> list[str]:
        deadline = time.monotonic() + timeout
        ready = asyncio.Event()
        with self._input.attach(ready.set):
            while True:
                now = time.monotonic()
                left, rest_of_code = deadline - now, self._last_input + ESCAPE_WAIT - now
                wait = min(left, rest_of_code) if rest_of_code > 0 else left
                with suppress(TimeoutError):
                    await asyncio.wait_for(ready.wait(), max(wait, SHORTEST_WAIT))
                presses: list[KeyPress] = []
                if ready.is_set():
                    ready.clear()
                    self._last_input = time.monotonic()
                    presses = self._input.read_keys()
                elif time.monotonic() >= self._last_input + ESCAPE_WAIT:
                    presses = self._input.flush_keys()  # the Escape key itself was pressed
                names = key_names(presses)
                if names or time.monotonic() >= deadline:
                    return names


def key_names(presses: list[KeyPress]) -> list[str]:
    """Name the keys that viewers know, and leave out all others.

    Raises:
        KeyboardInterrupt: Ctrl-C is among them.
    """
    names = []
    for press in presses:
        key = press.key
        if key == Keys.ControlC:
            raise KeyboardInterrupt
        if not isinstance(key, Keys):
            names += ["space"] if key == " " else [key.lower()] * key.isprintable()
        elif (arrow := key.value.rpartition("-")[2]) in ARROW_KEYS:  # "c-up" is Ctrl and up
            names.append(arrow)
        elif key in NAMED_KEYS and len(press.data) <= 1:  # longer: the prefix of Alt and a key
            names.append(NAMED_KEYS[key])
    return names


class TerminalScreen:
    """The whole terminal, within a `with` block: shows lines of text and reads keys.

    The terminal is restored when the block ends, also after an error.

    Args:
        needs_keys: whether the standard input must be a terminal.
        instead: what the user can do without a terminal, for the error.

    Raises:
        InputError: the standard output is not a terminal, or keys are needed and the standard
            input is not one.
    """

    def __init__(self, needs_keys: bool = False, instead: str = VIDEO):
        self._keyboard = Keyboard()
        is_screen = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
        if not is_screen or (needs_keys and not self._keyboard.connected):
            use = "play in" if needs_keys else f"watch in; {instead}"
            raise InputError(f"no terminal to {use}")
        self._output = create_output(sys.stdout)
        self._shown: list[str] = []  # the lines on the screen
        self._shown_size = (0, 0)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self._keyboard)
            stack.callback(self._leave)
            self._output.enter_alternate_screen()
            self._output.erase_screen()
            self._output.hide_cursor()
            self._output.disable_autowrap()
            self._output.flush()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def _leave(self) -> None:
        with suppress(OSError):  # the terminal may be closed
            self._output.write_raw(END_UPDATE)
            self._output.reset_attributes()
            self._output.erase_screen()
            self._output.enable_autowrap()
            self._output.show_cursor()
            self._output.quit_alternate_screen()
            self._output.flush()

    def size(self) -> tuple[int, int]:
        """Return the terminal's current columns and rows."""
        size = self._output.get_size()
        return size.columns, size.rows

    def show(self, lines: list[str]) -> None:
        """Show lines from the top of the screen on; write only the lines that changed."""
        columns, rows = self.size()
        lines = (lines + [""] * rows)[:rows]
        resized = (columns, rows) != self._shown_size
        if resized:
            self._shown_size, self._shown = (columns, rows), [""] * rows
        if lines == self._shown and not resized:
            return
        self._output.write_raw(BEGIN_UPDATE)
        if resized:
            self._output.reset_attributes()
            self._output.erase_screen()
        for row, (line, shown) in enumerate(zip(lines, self._shown, strict=True), 1):
            if line != shown:
                self._output.cursor_goto(row, 1)
                self._output.write_raw(line)
                # After a full line the cursor stays on its last character, and would erase it.
                if text_width(line) < columns:
                    self._output.erase_end_of_line()
        self._output.write_raw(END_UPDATE)
        self._output.flush()
        self._shown = lines

    def keys(self, timeout: float = 0.0) -> list[str]:
        """Return the keys pressed since the last call, or wait; see `Keyboard.keys`."""
        return self._keyboard.keys(timeout)
