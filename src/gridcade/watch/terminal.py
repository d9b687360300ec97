"""Watching in a terminal, over ssh as well: pictures and policies as lines of text.

The escape codes are those of ECMA-48 and xterm (https://invisible-island.net/xterm/ctlseqs/).
"""

import os
import re
import select
import sys
import termios
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import zip_longest
from typing import Any, Literal, Self, TextIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gridcade.envs import rendering
from gridcade.envs.maps import Cell, World
from gridcade.errors import InputError

Depth = Literal["none", "256", "true"]

STDIN, STDOUT = 0, 1  # file descriptors
RAMP = np.array(list(" .:-=+*#%@"))  # dark to light, on a dark terminal
DEFAULT = -1  # the terminal's own colour
RESET = "\x1b[0m"
STYLE = re.compile(r"\x1b\[[0-9;]*m")
CELL_SIZES = ((7, 3), (3, 1), (2, 1))  # columns and rows of a map's cell, widest first
LUMINANCE = (0.3, 0.59, 0.11)
CUBE = np.array([0, 95, 135, 175, 215, 255])  # the levels of colours 16 to 231 of 256

# The alternate screen, cleared, without a cursor, without wrapping long lines; and back.
ENTER = "\x1b[?1049h\x1b[2J\x1b[?25l\x1b[?7l"
LEAVE = f"\x1b[?2026l{RESET}\x1b[2J\x1b[?7h\x1b[?25h\x1b[?1049l"
KEY = re.compile(r"\x1b[\[O][0-9;]*([A-Za-z~])|(.)", re.DOTALL)
UNFINISHED = re.compile(rb"\x1b([\[O][0-9;]*)?\Z")
ESCAPE_WAIT = 0.05  # seconds in which the rest of an arrow key's code arrives
ARROW_KEYS = {"A": "up", "B": "down", "C": "right", "D": "left"}
KEYS = {"\x1b": "escape", " ": "space", "\r": "return", "\n": "return"}


def colour_depth(stream: TextIO) -> Depth:
    """How many colours to write to a stream, by NO_COLOR, COLORTERM and TERM."""
    term = os.environ.get("TERM", "")
    plain = term in ("", "dumb", "unknown") or term.startswith("vt")
    if plain or os.environ.get("NO_COLOR") or not stream.isatty():
        return "none"
    # GNU screen hands on the COLORTERM of the terminal around it, but not the colours.
    if term.startswith("screen") and "TMUX" not in os.environ:
        return "256"
    true = os.environ.get("COLORTERM") in ("truecolor", "24bit") or term.endswith("-direct")
    return "true" if true else "256"


def half_blocks(picture: NDArray[np.uint8], columns: int, rows: int, depth: Depth) -> list[str]:
    """A picture as lines of text: a character is one pixel wide and two high.

    Keeps the proportions. A large picture is averaged down; a small one grows by a whole factor.

    Args:
        picture: uint8, [height, width, 3].
        columns: characters to a line, at most.
        rows: lines, at most.
        depth: `none` gives letters as bright as the picture, for a dark terminal.
    """
    if columns < 1 or rows < 1:
        return []
    scale = min(columns / picture.shape[1], 2 * rows / picture.shape[0])
    scale = int(scale) if scale >= 1 else scale
    height, width = (max(1, round(side * scale)) for side in picture.shape[:2])
    lines = (height + 1) // 2
    size = (width, lines if depth == "none" else height)
    scaled = np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BOX))
    if depth == "none":
        shades = (scaled @ LUMINANCE * (len(RAMP) / 256)).astype(int)
        return ["".join(line) for line in RAMP[shades]]
    colours = np.full((2 * lines, width), DEFAULT)
    colours[:height] = _colours(scaled, depth)
    return [
        _line(((" " if t == b else "▀", t, b) for t, b in zip(*pair, strict=True)), depth)
        for pair in colours.reshape(lines, 2, width).tolist()
    ]


def arrow_panel(
    world: World,
    places: Any,
    values: Any,
    policy: Any,
    moves: rendering.Moves,
    place: tuple[int, int] | None,
    columns: int,
    rows: int,
    depth: Depth,
) -> list[str]:
    """A world as lines of text: its values as colours, its policy as arrows, the agent as `@`.

    An arrow is the likeliest move; `·` stands where all are equally likely, `+` where some are.
    A small world's cells are large, and show their value; of a world too large for the panel, the
    part around the agent is shown.

    Args:
        world: the drawing.
        places: row and column of each state, [states, 2].
        values: [states], or None. What is not finite is drawn as floor.
        policy: probabilities, [states, actions], or None.
        moves: rows down and columns right of each action.
        place: row and column of the agent, or None.
        columns: characters to a line, at most.
        rows: lines, at most.
        depth: of the colours.
    """
    fits = [s for s in CELL_SIZES if world.width * s[0] <= columns and world.height * s[1] <= rows]
    wide, high = fits[0] if fits else CELL_SIZES[-1]
    down = _window(world.height, rows // high, place[0] if place else 0)
    right = _window(world.width, columns // wide, place[1] if place else 0)
    states = np.full((world.height, world.width), -1)
    states[tuple(np.asarray(places).T)] = np.arange(len(places))
    arrows = _arrows(np.asarray(policy), moves) if policy is not None else None
    values = np.asarray(np.full(len(places), np.nan) if values is None else values, np.float64)
    heat = rendering.value_colors(values)
    drawn = [world.legend[symbol] for symbol in set("".join(world.rows))]
    best_end = max((cell.reward for cell in drawn if cell.end), default=0.0)
    grounds = np.zeros((len(down), len(right), 3), dtype=np.uint8)
    texts: list[list[str]] = []  # the lines of each cell
    for i, j in np.ndindex(len(down), len(right)):
        at = down[i], right[j]
        cell, s = world.cell(*at), int(states[at])
        grounds[i, j] = _ground(cell, best_end)
        mark, label = world.rows[at[0]][at[1]], ""
        acts = s >= 0 and not cell.end
        if acts and np.isfinite(values[s]):
            grounds[i, j] = heat[s]
            label = f"{values[s]:.2f}" if abs(values[s]) < 1000 else f"{values[s]:.0e}"
        if at == place:
            mark, grounds[i, j] = "@", rendering.AGENT
        elif acts and arrows is not None:
            mark = arrows[s]
        elif depth != "none" and not (cell.end or cell.to):
            mark = " "
        lines = ["", mark, label[:wide]] if high > 1 else [mark]
        if cell.wall and depth == "none":
            lines = ["█" * wide] * high
        texts.append([text.center(wide) for text in lines])
    inks = np.where((grounds @ LUMINANCE > 120)[..., None], rendering.INK, rendering.WHITE)
    ink, ground = _colours(inks, depth).tolist(), _colours(grounds, depth).tolist()
    return [
        _line(zip((text[k] for text in row), ink[i], ground[i], strict=True), depth)
        for i in range(len(down))
        for row in [texts[i * len(right) : (i + 1) * len(right)]]
        for k in range(high)
    ]


def side_by_side(left: list[str], right: list[str], gap: int = 2) -> list[str]:
    """Two blocks of lines beside each other, `gap` spaces apart; colour codes take no room."""
    width = max(map(_width, left), default=0)
    return [
        first + " " * (width - _width(first) + gap) + second if second else first
        for first, second in zip_longest(left, right, fillvalue="")
    ]


class TerminalScreen:
    """The whole terminal, while a `with` block lasts: shows lines of text and hears keys.

    The terminal is as it was when the block ends, however it ends. Ctrl-C interrupts as ever;
    Ctrl-Z does nothing, as it would leave the terminal unusable.

    Args:
        keys: keys are needed. (Without, they are heard where the input is a terminal.)

    Raises:
        InputError: the output, or the input if keys are needed, is no terminal.
    """

    def __init__(self, keys: bool = False):
        self._hears = os.isatty(STDIN)
        if not os.isatty(STDOUT) or os.environ.get("TERM") == "dumb" or (keys and not self._hears):
            purpose = "play in" if keys else "watch in; write a video instead: --video FILE.mp4"
            raise InputError(f"no terminal to {purpose}")
        self._before: Any = None  # the input's attributes
        self._shown: list[str] = []
        self._size = self.size()

    def __enter__(self) -> Self:
        sys.stdout.flush()
        try:
            if self._hears:
                self._before, quiet = termios.tcgetattr(STDIN), termios.tcgetattr(STDIN)
                quiet[3] &= ~(termios.ECHO | termios.ICANON)
                quiet[6][termios.VMIN], quiet[6][termios.VTIME] = 1, 0
                for key in (termios.VSUSP, termios.VQUIT):
                    quiet[6][key] = bytes([os.fpathconf(STDIN, "PC_VDISABLE") & 255])
                termios.tcsetattr(STDIN, termios.TCSAFLUSH, quiet)
            _write(ENTER)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        with suppress(OSError):  # the terminal may be gone
            _write(LEAVE)
        with suppress(OSError, termios.error):
            if self._before is not None:
                termios.tcsetattr(STDIN, termios.TCSAFLUSH, self._before)

    def size(self) -> tuple[int, int]:
        """Columns and rows, now."""
        columns, rows = os.get_terminal_size(STDOUT)
        return columns or 80, rows or 24  # some pseudo-terminals do not know theirs

    def show(self, lines: list[str]) -> None:
        """Show lines from the top left on; only those that changed are written."""
        columns, rows = self.size()
        new = (lines + [""] * rows)[:rows]
        written = ""
        if (columns, rows) != self._size or not self._shown:
            self._size, self._shown = (columns, rows), [""] * rows
            written = f"{RESET}\x1b[2J"
        for row, (line, old) in enumerate(zip(new, self._shown, strict=True), 1):
            if line != old:
                # on a full line the cursor stays on the last character, which \x1b[K would erase
                end = "\x1b[K" if _width(line) < columns else ""
                written += f"\x1b[{row};1H{line}{end}"
        self._shown = new
        if written:
            _write(f"\x1b[?2026h{written}\x1b[?2026l")  # to be drawn at once, where that is known

    def keys(self, timeout: float = 0.0) -> list[str]:
        """The keys pressed since the last call; waits up to `timeout` seconds for the first one.

        Names: `up`, `down`, `left`, `right`, `escape`, `space`, `return`, else the character, in
        lower case.
        """
        if not self._hears:
            time.sleep(timeout)
            return []
        pressed = _read(timeout)
        while UNFINISHED.search(pressed) and (more := _read(ESCAPE_WAIT)):
            pressed += more
        codes = KEY.findall(pressed.decode(errors="ignore"))
        names = [ARROW_KEYS.get(end) or KEYS.get(key, key.lower()) for end, key in codes]
        return [name for name in names if name and name.isprintable()]


class Pace:
    """A steady rate: `wait` returns at moments 1 / fps seconds apart.

    The moments do not drift. After a delay they are counted anew: nothing is hurried to catch up.

    Raises:
        InputError: fps is not above 0.
    """

    def __init__(self, fps: float):
        if not fps > 0:
            raise InputError(f"fps is {fps}; it takes more than 0")
        self.interval = 1 / fps  # seconds
        self._deadline = time.monotonic()

    def wait(self, sleep: Callable[[float], object] | None = None) -> None:
        """Sleep until the next moment; not at all if it has passed.

        Args:
            sleep: takes seconds, and is called again if it returns sooner; None: time.sleep.
        """
        sleep = sleep or time.sleep
        self._deadline += self.interval
        now = time.monotonic()
        if now >= self._deadline:
            self._deadline = now
        while now < self._deadline:
            sleep(self._deadline - now)
            now = time.monotonic()


def _window(size: int, room: int, at: int) -> range:
    """The part of `size` cells that fits a room of fewer, around one of them."""
    first = max(0, min(at - room // 2, size - room))
    return range(first, min(size, first + room))


def _arrows(policy: NDArray[np.float64], moves: rendering.Moves) -> NDArray[np.str_]:
    """The sign of each state's likeliest move.  [states, actions] -> [states]."""
    best = policy >= policy.max(axis=1, keepdims=True) - 1e-6
    signs = np.array([rendering.ARROWS.get(move, "+") for move in moves])[best.argmax(axis=1)]
    ties = best.sum(axis=1)
    return np.where(ties == 1, signs, np.where(ties == len(moves), "·", "+"))


def _ground(cell: Cell, best_end: float) -> rendering.Color:
    """The colour of a cell that shows no value."""
    if cell.wall:
        return rendering.WALL
    if cell.end:
        return rendering.GOAL if cell.reward >= best_end else rendering.PIT
    if cell.reward:
        return rendering.GOLD if cell.reward > 0 else rendering.PIT
    return rendering.PORTAL if cell.to else rendering.START if cell.start else rendering.FLOOR


def _colours(rgb: NDArray[Any], depth: Depth) -> NDArray[np.int64]:
    """The numbers of colours at a depth.  [..., 3] -> [...]."""
    rgb = rgb.astype(np.int64)
    if depth != "256":
        return np.asarray(rgb[..., 0] << 16 | rgb[..., 1] << 8 | rgb[..., 2])
    steps = np.maximum((rgb - 35) // 40, rgb >= 48)  # the nearest of CUBE
    greys = np.clip((rgb.sum(axis=-1) // 3 - 3) // 10, 0, 23)  # the nearest of 8, 18, ... 238
    error = ((CUBE[steps] - rgb) ** 2).sum(axis=-1)
    grey_error = ((8 + 10 * greys[..., None] - rgb) ** 2).sum(axis=-1)
    return np.asarray(np.where(grey_error < error, 232 + greys, 16 + steps @ (36, 6, 1)))


def _line(cells: Iterable[tuple[str, int, int]], depth: Depth) -> str:
    """One line of (text, its colour, the colour behind it), with codes only at changes."""
    if depth == "none":
        return "".join(text for text, _, _ in cells)
    ink = ground = DEFAULT
    parts = []
    for text, new_ink, new_ground in cells:
        codes = []
        if new_ink != ink and not text.isspace():
            ink = new_ink
            codes.append(_code(38, ink, depth))
        if new_ground != ground:
            ground = new_ground
            codes.append(_code(48, ground, depth))
        parts += [f"\x1b[{';'.join(codes)}m", text] if codes else [text]
    return "".join(parts) + RESET


def _code(layer: int, colour: int, depth: Depth) -> str:
    if colour == DEFAULT:
        return str(layer + 1)
    if depth == "256":
        return f"{layer};5;{colour}"
    return f"{layer};2;{colour >> 16};{colour >> 8 & 255};{colour & 255}"


def _width(line: str) -> int:
    return len(STYLE.sub("", line))


def _read(timeout: float) -> bytes:
    ready, _, _ = select.select([STDIN], [], [], timeout)
    return os.read(STDIN, 1024) if ready else b""


def _write(text: str) -> None:
    data = text.encode()
    while data:
        data = data[os.write(STDOUT, data) :]
