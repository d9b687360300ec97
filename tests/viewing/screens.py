"""A small terminal emulator: the characters and colors on the screen after all that was written."""

import re
from collections.abc import Iterable

Color = tuple[int, ...] | int | None  # true color, number in the palette of 256, or the default
Cell = tuple[str, Color, Color]  # character, ink, ground

TOKEN = re.compile(r"\x1b\[(\??)([0-9;]*)([A-Za-z])|(.)", re.DOTALL)
STYLE_CODE = re.compile(r"\x1b\[[0-9;]*m")


def visible(line: str) -> str:
    """A line without its color codes."""
    return STYLE_CODE.sub("", line)


class Screen:
    """A screen of a fixed size that does not wrap long lines."""

    def __init__(self, columns: int, rows: int):
        self.columns, self.rows = columns, rows
        self.modes: set[int] = {7, 25}  # private modes that are set: wrapping, visible cursor
        self.clear()

    def clear(self) -> None:
        self.cells: list[list[Cell]] = [
            [(" ", None, None)] * self.columns for _ in range(self.rows)
        ]
        self.row = self.column = 0
        self.ink: Color = None
        self.ground: Color = None

    def write(self, text: str) -> None:
        for private, numbers, code, character in TOKEN.findall(text):
            if character:
                at = min(self.column, self.columns - 1)
                self.cells[self.row][at] = (character, self.ink, self.ground)
                self.column = at + 1
            elif private:
                assert code in "hl"
                change = self.modes.add if code == "h" else self.modes.discard
                change(int(numbers))
            elif code == "m":
                self.style([int(n or 0) for n in numbers.split(";")])
            elif code == "H":
                self.row, self.column = (int(n) - 1 for n in (numbers or "1;1").split(";"))
            elif code == "K":
                for c in range(min(self.column, self.columns - 1), self.columns):
                    self.cells[self.row][c] = (" ", None, self.ground)
            elif code == "J":
                self.clear()
            else:
                raise AssertionError(f"unknown code: {numbers}{code}")

    def style(self, numbers: list[int]) -> None:
        while numbers:
            first = numbers.pop(0)
            if first == 0:
                self.ink = self.ground = None
                continue
            color: Color = None
            if first in (38, 48):
                count = 3 if numbers.pop(0) == 2 else 1
                channels = [numbers.pop(0) for _ in range(count)]
                color = tuple(channels) if count == 3 else channels[0]
            if first in (38, 39):
                self.ink = color
            else:
                assert first in (48, 49)
                self.ground = color

    def text(self) -> list[str]:
        return ["".join(character for character, _, _ in row) for row in self.cells]


def drawn(lines: list[str], columns: int) -> Screen:
    """A screen with lines on it; each line must fit and end with its colors reset."""
    screen = Screen(columns, len(lines))
    for row, line in enumerate(lines):
        screen.row, screen.column = row, 0
        screen.write(line)
        assert (screen.ink, screen.ground) == (None, None)
        assert screen.column <= columns
    return screen


class ScriptedScreen:
    """A replacement for `TerminalScreen`, with scripted keys, that keeps the pictures.

    Args:
        batches: the keys that each call of `keys` returns; after the last one, none.
    """

    def __init__(self, batches: Iterable[list[str]] = ()):
        self.batches = iter(batches)
        self.shown: list[list[str]] = []
        self.columns = 80

    def __call__(self, needs_keys: bool = False, instead: str = "") -> "ScriptedScreen":
        del needs_keys, instead
        return self

    def __enter__(self) -> "ScriptedScreen":
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def size(self) -> tuple[int, int]:
        return self.columns, 24

    def show(self, lines: list[str]) -> None:
        self.shown.append(lines)

    def keys(self, timeout: float = 0.0) -> list[str]:
        assert timeout >= 0
        return next(self.batches, [])
