"""Pictures and policies as text: read back from the characters and color codes."""

import io
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from screens import Color, Screen, drawn, visible

from gridcade.envs import rendering
from gridcade.envs.maps import load_world
from gridcade.envs.registry import make
from gridcade.envs.rendering import Overlay
from gridcade.envs.tabular import TabularEnv
from gridcade.exact import solver
from gridcade.recording.frames import make_rgb_env, render_picture
from gridcade.viewing.text_pictures import (
    ColorDepth,
    arrow_panel,
    color_depth,
    frame_lines,
    half_blocks,
    screen_lines,
    side_by_side,
)

NOTHING = Overlay()


def tabular(name: str, **options: Any) -> TabularEnv:
    env = make(name, **options).unwrapped
    assert isinstance(env, TabularEnv)
    return env


def pixels(screen: Screen) -> list[list[Color]]:
    """The half-block pixels of a screen, two rows to a line of text."""
    rows: list[list[Color]] = []
    for cells in screen.cells:
        assert {character for character, _, _ in cells} <= {" ", "▀"}
        rows.append([ground if character == " " else ink for character, ink, ground in cells])
        rows.append([ground for _, _, ground in cells])
    return rows


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


@settings(deadline=None, max_examples=25)
@given(pictures, st.integers(1, 4), st.integers(0, 1))
def test_small_picture_grows_by_a_whole_factor(
    picture: NDArray[np.uint8], factor: int, spare: int
) -> None:
    height, width = (side * factor for side in picture.shape[:2])
    lines = half_blocks(picture, width + spare * (width // 20), (height + 1) // 2, "true")
    actual = pixels(drawn(lines, width))
    assert [list(row) for row in actual[:height]] == [
        [tuple(color) for color in row]
        for row in np.kron(picture, np.ones((factor, factor, 1), int)).tolist()
    ]
    assert all(pixel is None for row in actual[height:] for pixel in row)


@settings(deadline=None, max_examples=25)
@given(
    st.integers(1, 200),
    st.integers(1, 200),
    st.integers(0, 50),
    st.integers(0, 30),
    st.sampled_from(["none", "256", "true"]),
)
def test_picture_fits_and_keeps_its_proportions(
    height: int, width: int, columns: int, rows: int, depth: ColorDepth
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
        assert scale >= 1 or wide == columns or len(lines) == rows  # as large as possible


def test_large_picture_is_averaged() -> None:
    stripes = np.zeros((40, 40, 3), np.uint8)
    stripes[:, ::2] = 200
    rows = pixels(drawn(half_blocks(stripes, 10, 5, "true"), 10))
    assert {pixel for row in rows for pixel in row} == {(100, 100, 100)}


def test_codes_are_written_only_where_the_color_changes() -> None:
    flat = np.full((20, 60, 3), 7, np.uint8)
    assert half_blocks(flat, 60, 10, "true") == ["\x1b[48;2;7;7;7m" + " " * 60 + "\x1b[0m"] * 10
    split = np.concatenate([np.full((1, 60, 3), 7, np.uint8), np.full((1, 60, 3), 90, np.uint8)])
    (line,) = half_blocks(split, 60, 1, "256")
    assert line.count("\x1b") == 2  # one for both colors, and the reset
    assert visible(line) == "▀" * 60


def palette() -> NDArray[np.int64]:
    """Colors 16 to 255 of xterm's 256.  [240, 3]."""
    levels = (0, 95, 135, 175, 215, 255)
    cube = [(r, g, b) for r in levels for g in levels for b in levels]
    return np.array([*cube, *((8 + 10 * n,) * 3 for n in range(24))])


@pytest.mark.parametrize("spread", [3, 40, 256])  # grays, pale colors, all colors
def test_256_colors_are_the_nearest(spread: int) -> None:
    rng = np.random.default_rng(spread)
    picture = rng.integers(0, 257 - spread, (40, 40, 1)) + rng.integers(0, spread, (40, 40, 3))
    actual = pixels(drawn(half_blocks(picture.astype(np.uint8), 40, 20, "256"), 40))
    errors = ((picture[:, :, None] - palette()) ** 2).sum(axis=-1)  # [40, 40, 240]
    chosen = np.array(actual, dtype=np.int64) - 16
    chosen_errors = np.take_along_axis(errors, chosen[..., None], axis=-1)[..., 0]
    assert (np.sqrt(chosen_errors) - np.sqrt(errors.min(axis=-1))).max() < 2


def test_without_colors_brighter_characters_are_denser() -> None:
    ramp = np.repeat(np.linspace(0, 255, 40).astype(np.uint8)[None, :, None], 3, axis=2)
    (line,) = half_blocks(np.repeat(ramp, 2, axis=0), 40, 1, "none")
    order = [" .:-=+*#%@".index(character) for character in line]
    assert order == sorted(order)
    assert set(order) == set(range(10))


class Stream(io.StringIO):
    """A stream that may be a terminal."""

    def __init__(self, terminal: bool):
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


@pytest.mark.parametrize(
    ("variables", "platform", "expected"),
    [
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor"}, "linux", "true"),
        ({"TERM": "xterm-256color", "COLORTERM": "24bit"}, "darwin", "true"),
        ({"TERM": "xterm-direct"}, "linux", "true"),
        ({"TERM": "xterm-256color"}, "linux", "256"),
        ({"TERM": "xterm"}, "linux", "256"),
        ({"TERM": "screen-256color", "COLORTERM": "truecolor"}, "linux", "256"),  # GNU screen
        ({"TERM": "screen-256color", "COLORTERM": "truecolor", "TMUX": "x"}, "linux", "true"),
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor", "NO_COLOR": "1"}, "linux", "none"),
        ({"TERM": "xterm-256color", "NO_COLOR": ""}, "linux", "256"),
        ({"TERM": "dumb", "COLORTERM": "truecolor"}, "linux", "none"),
        ({"TERM": "vt100"}, "linux", "none"),
        ({}, "linux", "none"),
        ({"WT_SESSION": "x"}, "win32", "true"),
        ({"WT_SESSION": "x", "NO_COLOR": "1"}, "win32", "none"),
        ({}, "win32", "none"),
    ],
)
def test_color_depth(
    variables: dict[str, str], platform: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TERM", "COLORTERM", "NO_COLOR", "TMUX", "WT_SESSION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)
    assert color_depth(Stream(True)) == expected
    assert color_depth(Stream(False)) == "none"


styled = st.lists(
    st.builds(
        lambda text, color: f"\x1b[48;5;{color}m{text}\x1b[0m" if color else text,
        st.text("ab ▀→", max_size=12),
        st.integers(0, 255),
    ),
    max_size=6,
)


@settings(deadline=None, max_examples=40)
@given(styled, styled, st.integers(0, 4))
def test_side_by_side_ignores_color_codes(left: list[str], right: list[str], gap: int) -> None:
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


@pytest.mark.parametrize("depth", ["none", "256", "true"])
@pytest.mark.parametrize(("columns", "rows"), [(39, 13), (80, 24), (26, 13), (200, 60)])
def test_panel_shows_the_optimal_policy_of_four_rooms(
    depth: ColorDepth, columns: int, rows: int
) -> None:
    env = tabular("FourRooms")
    world, best, agent = env.world, solver.solve(env.model, "discounted", 0.95), (3, 6)
    lines = arrow_panel(env, Overlay(best.values, best.policy), agent, columns, rows, depth)
    wide = len(visible(lines[0])) // world.width
    high = len(lines) // world.height
    assert (wide, high) == {39: (3, 1), 80: (3, 1), 26: (2, 1), 200: (7, 3)}[columns]
    screen = drawn(lines, wide * world.width)
    colors = rendering.value_colors(best.values)
    states = {tuple(place): state for state, place in enumerate(env.places.tolist())}
    for r, c in np.ndindex(world.height, world.width):
        character, ink, ground = screen.cells[r * high + high // 2][c * wide + (wide - 1) // 2]
        cell = world.cell(r, c)
        expected: Any = rendering.WALL
        if (r, c) == agent:
            assert character == "@"
            expected = rendering.AGENT
        elif cell.wall:
            assert character == ("█" if depth == "none" else " ")
        elif cell.end:
            assert character == "G"
            expected = rendering.GOAL
        else:
            state = states[r, c]
            assert character == rendering.ARROWS[env.moves[best.policy[state].argmax()]]
            expected = tuple(colors[state].tolist())
            if high == 3:
                label = screen.text()[r * high + 2][c * wide : (c + 1) * wide]
                assert label.strip() == f"{best.values[state]:.2f}"
        if depth == "true":
            assert ground == expected
        if depth == "none":
            assert ink is ground is None


def test_panel_of_a_large_world_shows_the_cells_around_the_agent() -> None:
    env = tabular("Maze?size=41")
    overlay = Overlay(policy=np.full((len(env.places), 4), 0.25))
    for agent in [tuple(place) for place in env.places[:: len(env.places) // 10].tolist()]:
        lines = arrow_panel(env, overlay, agent, 21, 9, "true")
        screen = drawn(lines, 20)
        assert len(lines) == 9
        (row,) = [r for r, text in enumerate(screen.text()) if "@" in text]
        column = screen.text()[row].index("@") // 2
        for r, c in np.ndindex(9, 10):
            wall = env.world.cell(agent[0] + r - row, agent[1] + c - column).wall
            assert (screen.cells[r][2 * c][2] == rendering.WALL) == wall
        # the agent is in the middle, unless an edge of the world is visible
        assert row == 4 or agent[0] - row in (0, env.world.height - 9)
        assert column == 5 or agent[1] - column in (0, env.world.width - 10)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 60), st.integers(0, 20), st.sampled_from(["none", "256", "true"]))
def test_panel_fits(columns: int, rows: int, depth: ColorDepth) -> None:
    env = tabular("NearAndFar")
    values = np.arange(len(env.places))
    agent = tuple(env.places[-1].tolist())
    lines = arrow_panel(env, Overlay(values), agent, columns, rows, depth)
    assert len(lines) <= rows
    assert all(len(visible(line)) <= columns for line in lines)
    assert columns < 2 or not rows or "@" in "".join(map(visible, lines))


def test_panel_distinguishes_ties_from_indifference_and_goals_from_pits() -> None:
    env = tabular("RussellNorvig4x3")
    places = [tuple(place) for place in env.places.tolist()]
    policy = np.full((len(places), 4), 0.25)
    policy[places.index((2, 0))] = (0.5, 0.5, 0, 0)
    policy[places.index((2, 1))] = (0.3, 0.3, 0.1, 0.3)
    policy[places.index((2, 2))] = (0.1, 0.1, 0.1, 0.7)
    overlay = Overlay(np.full(len(places), np.nan), policy)
    screen = drawn(arrow_panel(env, overlay, None, 12, 3, "true"), 12)
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
    env = tabular("RussellNorvig4x3")
    count = len(env.places)
    values = np.linspace(0, 1, count) * size if np.isfinite(size) else [size] * count
    lines = arrow_panel(env, Overlay(values), None, 40, 9, "256")
    assert {len(visible(line)) for line in lines} == {28}


def test_panel_draws_a_world_made_from_a_map() -> None:
    env = tabular("GridWorld", world=load_world("CliffWalk"))
    text = drawn(arrow_panel(env, NOTHING, (3, 0), 24, 4, "256"), 24).text()
    assert text[3] == "@ " + "C " * 10 + "G "


@pytest.mark.parametrize(("columns", "rows"), [(10, 3), (40, 10), (300, 100)])
def test_frame_lines_fit_the_terminal(columns: int, rows: int) -> None:
    env = make_rgb_env("FourRooms")
    env.reset(seed=0)
    world = env.unwrapped
    assert isinstance(world, TabularEnv)
    overlay = Overlay(np.arange(len(world.places)))
    for value_overlay in (overlay, None):
        lines = frame_lines(render_picture(env), (1, 1), env, value_overlay, columns, rows)
        assert 0 < len(lines) <= rows
        assert all(len(visible(line)) <= columns for line in lines)
        assert "█" in "".join(lines)  # walls: without colors, the world is drawn as characters


def test_world_without_cells_is_shown_as_its_picture() -> None:
    pytest.importorskip("pygame")
    env = make_rgb_env("CartPole")
    env.reset(seed=0)
    picture = render_picture(env)
    assert frame_lines(picture, None, env, None, 60, 20) == half_blocks(picture, 60, 20, "none")


def test_screen_lines_cut_all_but_the_keys() -> None:
    body = [f"line {n}" for n in range(9)]
    assert screen_lines("title", "status", body[:2], "q quits", 6, 9) == [
        "title",
        "status",
        "",
        "line 0",
        "line 1",
        "q quit",
    ]
    assert screen_lines("title", "status", body, "q quits", 80, 5) == [
        "title",
        "status",
        "",
        "line 0",
        "q quits",
    ]
