"""Watching in a terminal: what a person would see, read back from the escape codes."""

import io
import os
import pty
import re
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pexpect
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gridcade.envs import rendering
from gridcade.envs.gridworld import FOUR_MOVES
from gridcade.envs.maps import World, load_world
from gridcade.envs.registry import make
from gridcade.errors import InputError
from gridcade.exact import solver
from gridcade.watch import terminal
from gridcade.watch.terminal import (
    Pace,
    TerminalScreen,
    arrow_panel,
    colour_depth,
    half_blocks,
    side_by_side,
)

Colour = tuple[int, ...] | int | None  # true, one of 256, the terminal's own
TOKEN = re.compile(r"\x1b\[(\??)([0-9;]*)([A-Za-z])|(.)", re.DOTALL)
COLUMNS, ROWS = 30, 8


class Screen:
    """A tiny terminal: the characters and their colours, after all that was written."""

    def __init__(self, columns: int, rows: int):
        self.columns, self.rows = columns, rows
        self.clear()

    def clear(self) -> None:
        self.cells: list[list[tuple[str, Colour, Colour]]] = [
            [(" ", None, None)] * self.columns for _ in range(self.rows)
        ]
        self.row = self.column = 0
        self.ink: Colour = None
        self.ground: Colour = None

    def write(self, text: str) -> None:
        for private, numbers, code, character in TOKEN.findall(text):
            if character:
                at = min(self.column, self.columns - 1)
                self.cells[self.row][at] = (character, self.ink, self.ground)
                self.column = at + 1  # a terminal that does not wrap
            elif code == "m":
                self.style([int(n or 0) for n in numbers.split(";")])
            elif code == "H":
                self.row, self.column = (int(n) - 1 for n in numbers.split(";"))
            elif code == "K":
                for c in range(min(self.column, self.columns - 1), self.columns):
                    self.cells[self.row][c] = (" ", None, self.ground)
            elif code == "J":
                self.clear()
            else:
                assert private, f"an unknown code: {numbers}{code}"

    def style(self, numbers: list[int]) -> None:
        while numbers:
            first = numbers.pop(0)
            if first == 0:
                self.ink = self.ground = None
                continue
            colour: Colour = None
            if first in (38, 48):
                count = 3 if numbers.pop(0) == 2 else 1
                taken = [numbers.pop(0) for _ in range(count)]
                colour = tuple(taken) if count == 3 else taken[0]
            if first in (38, 39):
                self.ink = colour
            else:
                assert first in (48, 49)
                self.ground = colour

    def text(self) -> list[str]:
        return ["".join(character for character, _, _ in row) for row in self.cells]


def seen(lines: list[str], columns: int) -> Screen:
    """What lines look like on a terminal; each has to end with its colours reset."""
    screen = Screen(columns, len(lines))
    for row, line in enumerate(lines):
        screen.row, screen.column = row, 0
        screen.write(line)
        assert (screen.ink, screen.ground) == (None, None)
        assert screen.column <= columns
    return screen


def pixels(screen: Screen) -> list[list[Colour]]:
    """The half-block pixels of a screen, two rows to a line of text."""
    rows: list[list[Colour]] = []
    for cells in screen.cells:
        assert {character for character, _, _ in cells} <= {" ", "▀"}
        rows.append([ground if character == " " else ink for character, ink, ground in cells])
        rows.append([ground for _, _, ground in cells])
    return rows


def visible(line: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", line)


pictures = st.builds(
    lambda height, width, few, seed: (
        np.random.default_rng(seed)
        .integers(0, 2 if few else 256, (height, width, 3))
        .astype(np.uint8)
    ),
    st.integers(1, 20),
    st.integers(1, 20),
    st.booleans(),
    st.integers(0, 2**32),
)


@settings(deadline=None, max_examples=60)
@given(pictures, st.integers(1, 4), st.integers(0, 1))
def test_a_small_picture_is_seen_exactly_every_pixel_alike(
    picture: NDArray[np.uint8], factor: int, spare: int
) -> None:
    height, width = (side * factor for side in picture.shape[:2])
    lines = half_blocks(picture, width + spare * (width // 20), (height + 1) // 2, "true")
    got = pixels(seen(lines, width))
    assert [list(row) for row in got[:height]] == [
        [tuple(colour) for colour in row]
        for row in np.kron(picture, np.ones((factor, factor, 1), int)).tolist()
    ]
    assert all(pixel is None for row in got[height:] for pixel in row)


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 200),
    st.integers(1, 200),
    st.integers(0, 50),
    st.integers(0, 30),
    st.sampled_from(["none", "256", "true"]),
)
def test_a_picture_fits_and_keeps_its_proportions(
    height: int, width: int, columns: int, rows: int, depth: terminal.Depth
) -> None:
    picture = np.random.default_rng(height).integers(0, 256, (height, width, 3)).astype(np.uint8)
    lines = half_blocks(picture, columns, rows, depth)
    widths = {len(visible(line)) for line in lines}
    assert len(lines) <= rows
    assert len(widths) == bool(columns and rows)
    if columns and rows:
        (wide,) = widths
        assert 1 <= wide <= columns
        scale = wide / width
        assert abs(2 * len(lines) - height * scale) <= 2 + scale + height / width
        assert scale >= 1 or wide == columns or len(lines) == rows  # as large as it can be


def test_a_large_picture_is_averaged() -> None:
    stripes = np.zeros((40, 40, 3), np.uint8)
    stripes[:, ::2] = 200
    assert {p for row in pixels(seen(half_blocks(stripes, 10, 5, "true"), 10)) for p in row} == {
        (100, 100, 100)
    }


def test_codes_are_written_only_where_the_colour_changes() -> None:
    flat = np.full((20, 60, 3), 7, np.uint8)
    assert half_blocks(flat, 60, 10, "true") == ["\x1b[48;2;7;7;7m" + " " * 60 + "\x1b[0m"] * 10
    split = np.concatenate([np.full((1, 60, 3), 7, np.uint8), np.full((1, 60, 3), 90, np.uint8)])
    (line,) = half_blocks(split, 60, 1, "256")
    assert line.count("\x1b") == 2  # one for both colours, and the reset
    assert visible(line) == "▀" * 60


def palette() -> NDArray[np.int64]:
    """Colours 16 to 255 of xterm's 256.  [240, 3]."""
    levels = (0, 95, 135, 175, 215, 255)
    cube = [(r, g, b) for r in levels for g in levels for b in levels]
    return np.array([*cube, *((8 + 10 * n,) * 3 for n in range(24))])


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32))
def test_256_colours_are_the_nearest(seed: int) -> None:
    rng = np.random.default_rng(seed)
    spread = rng.choice([3, 40, 256])  # greys, pale colours, all colours
    picture = rng.integers(0, 257 - spread, (20, 20, 1)) + rng.integers(0, spread, (20, 20, 3))
    got = pixels(seen(half_blocks(picture.astype(np.uint8), 20, 10, "256"), 20))
    wanted = ((picture[:, :, None] - palette()) ** 2).sum(axis=-1)  # [20, 20, 240]
    chosen = np.array(got, dtype=np.int64) - 16
    errors = np.take_along_axis(wanted, chosen[..., None], axis=-1)[..., 0]
    assert (np.sqrt(errors) - np.sqrt(wanted.min(axis=-1))).max() < 2


def test_without_colours_bright_is_dense() -> None:
    ramp = np.repeat(np.linspace(0, 255, 40).astype(np.uint8)[None, :, None], 3, axis=2)
    (line,) = half_blocks(np.repeat(ramp, 2, axis=0), 40, 1, "none")
    assert line.isascii()
    order = [" .:-=+*#%@".index(character) for character in line]
    assert order == sorted(order)
    assert set(order) == set(range(10))


class Stream(io.StringIO):
    """A stream that says whether it is a terminal."""

    def __init__(self, terminal: bool):
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


@pytest.mark.parametrize(
    ("variables", "wanted"),
    [
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor"}, "true"),
        ({"TERM": "xterm-256color", "COLORTERM": "24bit"}, "true"),
        ({"TERM": "xterm-direct"}, "true"),
        ({"TERM": "xterm-256color"}, "256"),
        ({"TERM": "xterm"}, "256"),
        ({"TERM": "screen-256color", "COLORTERM": "truecolor"}, "256"),  # GNU screen
        ({"TERM": "screen-256color", "COLORTERM": "truecolor", "TMUX": "x"}, "true"),
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor", "NO_COLOR": "1"}, "none"),
        ({"TERM": "xterm-256color", "NO_COLOR": ""}, "256"),
        ({"TERM": "dumb", "COLORTERM": "truecolor"}, "none"),
        ({"TERM": "vt100"}, "none"),
        ({}, "none"),
    ],
)
def test_colour_depth(
    variables: dict[str, str], wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TERM", "COLORTERM", "NO_COLOR", "TMUX"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert colour_depth(Stream(True)) == wanted
    assert colour_depth(Stream(False)) == "none"


styled = st.lists(
    st.builds(
        lambda text, colour: f"\x1b[48;5;{colour}m{text}\x1b[0m" if colour else text,
        st.text("ab ▀→", max_size=12),
        st.integers(0, 255),
    ),
    max_size=6,
)


@settings(deadline=None)
@given(styled, styled, st.integers(0, 4))
def test_side_by_side_aligns_whatever_the_colours(
    left: list[str], right: list[str], gap: int
) -> None:
    both = side_by_side(left, right, gap)
    width = max(map(len, map(visible, left)), default=0)
    assert len(both) == max(len(left), len(right))
    for row, line in enumerate(both):
        first = left[row] if row < len(left) else ""
        second = right[row] if row < len(right) else ""
        assert line.startswith(first)
        if second:
            assert line.endswith(second)
            assert visible(line)[width + gap :] == visible(second)
        else:
            assert line == first


def optimal(world: World, discount: float = 0.95) -> tuple[Any, solver.Solution]:
    env: Any = make("GridWorld", world=world).unwrapped
    return env, solver.solve(env.model, "discounted", discount)


@pytest.mark.parametrize("depth", ["none", "256", "true"])
@pytest.mark.parametrize(("columns", "rows"), [(39, 13), (80, 24), (26, 13), (200, 60)])
def test_the_panel_shows_the_optimal_policy_of_four_rooms(
    depth: terminal.Depth, columns: int, rows: int
) -> None:
    world = load_world("FourRooms")
    env, best = optimal(world)
    agent = (3, 6)
    lines = arrow_panel(
        world, env.places, best.values, best.policy, env.moves, agent, columns, rows, depth
    )
    wide = len(visible(lines[0])) // world.width
    high = len(lines) // world.height
    assert (wide, high) == {39: (3, 1), 80: (3, 1), 26: (2, 1), 200: (7, 3)}[columns]
    screen = seen(lines, wide * world.width)
    colours = rendering.value_colors(best.values)
    for r in range(world.height):
        for c in range(world.width):
            character, ink, ground = screen.cells[r * high + high // 2][c * wide + (wide - 1) // 2]
            cell = world.cell(r, c)
            expected = rendering.WALL
            if (r, c) == agent:
                assert character == "@"
                expected = rendering.AGENT
            elif cell.wall:
                assert character == ("█" if depth == "none" else " ")
            elif cell.end:
                assert character == "G"
                expected = rendering.GOAL
            else:
                s = world.places().index((r, c))
                assert character == rendering.ARROWS[env.moves[best.policy[s].argmax()]]
                expected = tuple(colours[s].tolist())
                if high == 3:
                    label = screen.text()[r * high + 2][c * wide : (c + 1) * wide]
                    assert label.strip() == f"{best.values[s]:.2f}"
            if depth == "true":
                assert ground == expected
            if depth == "none":
                assert ink is ground is None


def test_the_panel_shows_the_surroundings_of_the_agent_in_a_large_world() -> None:
    env: Any = make("Maze?size=41").unwrapped
    policy = np.full((len(env.places), 4), 0.25)
    everywhere = env.places[:: len(env.places) // 40]
    for agent in [tuple(place) for place in everywhere.tolist()]:
        lines = arrow_panel(env.world, env.places, None, policy, env.moves, agent, 21, 9, "true")
        screen = seen(lines, 20)
        assert len(lines) == 9
        (row,) = [r for r, text in enumerate(screen.text()) if "@" in text]
        column = screen.text()[row].index("@") // 2
        for r in range(9):
            for c in range(10):
                wall = env.world.cell(agent[0] + r - row, agent[1] + c - column).wall
                assert (screen.cells[r][2 * c][2] == rendering.WALL) == wall
        # the agent is in the middle, unless an edge of the world is seen
        assert row == 4 or agent[0] - row in (0, env.world.height - 9)
        assert column == 5 or agent[1] - column in (0, env.world.width - 10)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 60), st.integers(0, 20), st.sampled_from(["none", "256", "true"]))
def test_the_panel_fits(columns: int, rows: int, depth: terminal.Depth) -> None:
    world = load_world("NearAndFar")
    places = world.places()
    lines = arrow_panel(
        world, places, np.arange(len(places)), None, FOUR_MOVES, places[-1], columns, rows, depth
    )
    assert len(lines) <= rows
    assert all(len(visible(line)) <= columns for line in lines)
    assert columns < 2 or not rows or "@" in "".join(map(visible, lines))


def test_the_panel_tells_ties_from_no_preference_and_ends_from_pits() -> None:
    world = load_world("RussellNorvig4x3")
    places = world.places()
    policy = np.full((len(places), 4), 0.25)
    policy[places.index((2, 0))] = (0.5, 0.5, 0, 0)
    policy[places.index((2, 1))] = (0.3, 0.3, 0.1, 0.3)
    policy[places.index((2, 2))] = (0.1, 0.1, 0.1, 0.7)
    values = np.full(len(places), np.nan)
    screen = seen(arrow_panel(world, places, values, policy, FOUR_MOVES, None, 12, 3, "true"), 12)
    assert screen.text() == [" ·  ·  ·  P ", " ·     ·  N ", " +  +  ←  · "]
    grounds = [[screen.cells[r][3 * c][2] for c in range(4)] for r in range(3)]
    floor, wall = rendering.FLOOR, rendering.WALL
    assert grounds == [
        [floor, floor, floor, rendering.GOAL],
        [floor, wall, floor, rendering.PIT],
        [rendering.START, floor, floor, floor],
    ]


@pytest.mark.parametrize("size", [0.0, 1.5, -999.999, 123456.7, -1e12, float("inf")])
def test_values_of_any_size_fit_their_cells(size: float) -> None:
    world = load_world("RussellNorvig4x3")
    places = world.places()
    values = np.linspace(0, 1, len(places)) * size if np.isfinite(size) else [size] * len(places)
    lines = arrow_panel(world, places, values, None, FOUR_MOVES, None, 40, 9, "256")
    assert {len(visible(line)) for line in lines} == {28}


@contextmanager
def pseudo_terminal(monkeypatch: pytest.MonkeyPatch, columns: int, rows: int) -> Iterator[int]:
    """Run with a pseudo-terminal in the place of the terminal; gives its other side."""
    controller, ours = pty.openpty()
    termios.tcsetwinsize(ours, (rows, columns))
    monkeypatch.setattr(terminal, "STDIN", ours)
    monkeypatch.setattr(terminal, "STDOUT", ours)
    monkeypatch.setenv("TERM", "xterm-256color")
    try:
        yield controller
    finally:
        os.close(controller)
        os.close(ours)


def written(controller: int) -> str:
    """All that was written to a pseudo-terminal since the last look."""
    os.write(terminal.STDOUT, b"\0")
    data = b""
    while not data.endswith(b"\0"):
        data += os.read(controller, 1 << 16)
    return data[:-1].decode()


texts = st.lists(st.text("ab→", max_size=COLUMNS), max_size=ROWS + 2)


def test_showing_changes_gives_the_same_screen_as_showing_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pseudo_terminal(monkeypatch, COLUMNS, ROWS) as controller:

        @settings(deadline=None, max_examples=40)
        @given(st.lists(texts, min_size=1, max_size=5))
        def check(frames: list[list[str]]) -> None:
            with TerminalScreen() as screen:
                mirror = Screen(COLUMNS, ROWS)
                for lines in frames:
                    screen.show(lines)
                    mirror.write(written(controller))
                    wanted = [line.ljust(COLUMNS) for line in (lines + [""] * ROWS)[:ROWS]]
                    assert mirror.text() == wanted
            written(controller)

        check()


def test_only_changed_lines_are_written_and_all_of_them_after_a_resize(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pseudo_terminal(monkeypatch, COLUMNS, ROWS) as controller, TerminalScreen() as screen:
        lines = [f"line {row}" for row in range(ROWS)]
        screen.show(lines)
        first = written(controller)
        assert all(line in first for line in lines)
        screen.show(lines)
        assert written(controller) == ""
        lines[3] = "another"
        screen.show(lines)
        change = written(controller)
        assert "another" in change
        assert "line" not in change
        termios.tcsetwinsize(terminal.STDOUT, (ROWS + 4, COLUMNS + 7))
        assert screen.size() == (COLUMNS + 7, ROWS + 4)
        screen.show(lines)
        change = written(controller)
        assert change.index("\x1b[2J") < change.index("line 0")
        assert all(line in change for line in lines)


@pytest.mark.parametrize(
    ("typed", "names"),
    [
        (b"\x1b[A\x1b[B\x1b[C\x1b[D", ["up", "down", "right", "left"]),
        (b"\x1bOA\x1bOB\x1bOC\x1bOD", ["up", "down", "right", "left"]),
        (b"\x1b[1;5A", ["up"]),
        (b"\x1b", ["escape"]),
        (b"\x1b\x1b[A", ["escape", "up"]),
        (b"q Q+\r", ["q", "space", "q", "+", "return"]),
        (b"\x1b[3~\x01\x1ax", ["x"]),  # delete, Ctrl-A and Ctrl-Z mean nothing
        ("é".encode(), ["é"]),
    ],
)
def test_keys(typed: bytes, names: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with pseudo_terminal(monkeypatch, 80, 24) as controller, TerminalScreen(keys=True) as screen:
        assert screen.keys() == []
        os.write(controller, typed)
        heard: list[str] = []
        while len(heard) < len(names):
            heard += screen.keys(timeout=5)
        assert heard + screen.keys() == names


def test_a_key_whose_code_comes_in_pieces_is_one_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "ESCAPE_WAIT", 30.0)
    with pseudo_terminal(monkeypatch, 80, 24) as controller, TerminalScreen(keys=True) as screen:
        os.write(controller, b"\x1b")
        pieces = [
            threading.Timer(0.05 * n, os.write, (controller, p)) for n, p in ((1, b"["), (2, b"C"))
        ]
        for piece in pieces:
            piece.start()
        assert screen.keys(timeout=5) == ["right"]
        for piece in pieces:
            piece.join()


def test_the_input_is_as_before_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pseudo_terminal(monkeypatch, 80, 24):
        before = termios.tcgetattr(terminal.STDIN)

        def fail(error: type[BaseException]) -> None:
            with TerminalScreen(keys=True):
                inside = termios.tcgetattr(terminal.STDIN)
                assert not inside[3] & (termios.ECHO | termios.ICANON)
                assert inside[6][termios.VSUSP] != before[6][termios.VSUSP]  # no Ctrl-Z
                assert inside[6][termios.VINTR] == before[6][termios.VINTR]  # but Ctrl-C
                raise error

        for error in (RuntimeError, KeyboardInterrupt, SystemExit):
            with pytest.raises(error):
                fail(error)
            assert termios.tcgetattr(terminal.STDIN) == before


PLAYER = """
import sys
from gridcade.watch.terminal import TerminalScreen

input("ready")
with TerminalScreen(keys=True) as screen:
    screen.show(["size %d x %d" % screen.size()])
    while True:
        for key in screen.keys(timeout=60):
            if key == "x":
                raise RuntimeError("boom")
            screen.show(["pressed " + key])
"""


@pytest.mark.parametrize(("last", "message"), [("x", "boom"), ("\x03", "KeyboardInterrupt")])
def test_a_program_takes_the_terminal_and_gives_it_back(last: str, message: str) -> None:
    child: Any = pexpect.spawn(
        sys.executable,
        ["-c", PLAYER],
        dimensions=(33, 77),
        env={**os.environ, "TERM": "xterm"},
        timeout=60,
        encoding="utf-8",
    )
    try:
        child.expect_exact("ready")
        before = termios.tcgetattr(child.child_fd)
        child.sendline()
        child.expect_exact("\x1b[?1049h")
        child.expect_exact("\x1b[?25l")
        child.expect_exact("size 77 x 33")
        assert not termios.tcgetattr(child.child_fd)[3] & (termios.ECHO | termios.ICANON)
        for typed, name in (("\x1b[A", "up"), ("\x1bOD", "left"), (" ", "space"), ("w", "w")):
            child.send(typed)
            child.expect_exact(f"pressed {name}")
        child.send(last)
        child.expect_exact("\x1b[?25h")
        child.expect_exact("\x1b[?1049l")
        child.expect_exact(message)  # the traceback, on the ordinary screen
        child.expect(pexpect.EOF)
        assert termios.tcgetattr(child.child_fd) == before
    finally:
        child.close(force=True)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (False, "no terminal to watch in; write a video instead: --video FILE.mp4"),
        (True, "no terminal to play in"),
    ],
)
def test_without_a_terminal_the_error_says_what_to_do(keys: bool, message: str) -> None:
    script = (
        "from gridcade.watch.terminal import TerminalScreen; from gridcade.errors import InputError"
        f"\ntry: TerminalScreen(keys={keys})\nexcept InputError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"{message}\n"


def test_the_input_may_be_no_terminal_unless_keys_are_needed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pseudo_terminal(monkeypatch, 80, 24), open(os.devnull) as nothing:
        monkeypatch.setattr(terminal, "STDIN", nothing.fileno())
        with TerminalScreen() as screen:
            assert screen.keys(timeout=0.01) == []
        with pytest.raises(InputError, match=r"^no terminal to play in$"):
            TerminalScreen(keys=True)


class Clock:
    """A clock that stands still except while somebody sleeps or works."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.slept.append(seconds)
        self.now += seconds + 0.003  # sleeping takes a little longer than asked


def test_the_pace_does_not_drift_and_never_hurries(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(terminal, "time", clock)
    pace = Pace(10)
    moments = []
    for work in [0.02] * 50 + [1.0] + [0.02] * 50:
        clock.now += work
        pace.wait()
        moments.append(clock.now)
    intervals = np.diff(moments)
    np.testing.assert_allclose(moments[:50], 100.003 + 0.1 * np.arange(1, 51))
    assert intervals[49] == pytest.approx(1.0)  # late: no wait
    assert intervals.min() > 0.09
    np.testing.assert_allclose(intervals[52:], 0.1)


def test_the_pace_is_that_of_the_real_clock() -> None:
    pace = Pace(50)
    moments = []
    for _ in range(26):
        pace.wait()
        moments.append(time.monotonic())
    assert moments[-1] - moments[0] >= 24 * 0.02  # 25 of them, the first one maybe late


@pytest.mark.parametrize("fps", [0, -1, float("nan")])
def test_a_pace_is_above_zero(fps: float) -> None:
    with pytest.raises(InputError, match="fps"):
        Pace(fps)
