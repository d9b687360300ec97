"""Rendering: the agent, values and arrows are drawn in the right places and colors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from gridcade.envs.maps import FOUR_MOVES, World, load_world, parse_world
from gridcade.envs.maze import draw_maze
from gridcade.envs.rendering import (
    AGENT,
    ARROW_LEVELS,
    ARROWS,
    SMALLEST_ARROW_CELL,
    VALUE_SCALE,
    Overlay,
    WorldPainter,
    render_text,
    value_colors,
)

Bools = NDArray[np.bool_]

# Every kind of cell: start, floor, wall, ends, a reward, a cost, portals.
SAMPLER = parse_world("""\
wind: 0 0 1 0
legend:
    E: end, reward -1
    g: reward 1
    c: reward -1
    P: to S
    C: to S, reward -1
map:
S..#
gcPC
.G.E
""")
STATES = len(SAMPLER.places())
SIGNS = np.tile(np.array([ARROWS[move] for move in FOUR_MOVES]), (STATES, 1))


def changed(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> Bools:
    """The pixels that differ.  [height, width]."""
    differing: Bools = np.any(one != other, axis=2)
    return differing


def mask(painter: WorldPainter, places: list[tuple[int, int]]) -> Bools:
    """True in the pixels of the given cells.  [height, width]."""
    pixels = np.zeros(painter.background.shape[:2], dtype=bool)
    for row, column in places:
        top, left = painter.top + row * painter.cell, painter.left + column * painter.cell
        pixels[top : top + painter.cell, left : left + painter.cell] = True
    return pixels


def chin(
    drawn: NDArray[np.uint8], painter: WorldPainter, place: tuple[int, int]
) -> NDArray[np.uint8]:
    """The color a little below the center of a cell, under the agent's eyes."""
    row = painter.top + int((place[0] + 0.7) * painter.cell)
    column = painter.left + int((place[1] + 0.5) * painter.cell)
    color: NDArray[np.uint8] = drawn[row, column]
    return color


def luminance(colors: NDArray[np.uint8]) -> NDArray[np.float64]:
    return np.asarray(colors @ np.array([0.299, 0.587, 0.114]), dtype=np.float64)


@pytest.mark.parametrize("square", [False, True])
@pytest.mark.parametrize("pixels", [4, 13, 40, 84, 200])
def test_the_agent_is_drawn_in_its_cell(pixels: int, square: bool) -> None:
    painter = WorldPainter(SAMPLER, pixels, square=square)
    empty = painter.draw(None)
    np.testing.assert_array_equal(empty, painter.background)
    for place in SAMPLER.places():
        drawn = painter.draw(place)
        differing = changed(drawn, empty)
        assert differing.any()
        assert not (differing & ~mask(painter, [place])).any()
        away_before, away_now = (
            np.abs(image[differing].astype(float) - AGENT).sum() for image in (empty, drawn)
        )
        assert away_now < away_before
        if painter.cell >= 10:
            np.testing.assert_array_equal(chin(drawn, painter, place), AGENT)
        rows, columns = np.nonzero(differing)
        middle = (np.array(place) + 0.5) * painter.cell + (painter.top, painter.left)
        assert np.abs((rows.mean() + 0.5, columns.mean() + 0.5) - middle).max() <= 1


def test_drawing_does_not_change_the_background() -> None:
    painter = WorldPainter(SAMPLER, 84)
    before = painter.background.copy()
    overlay = Overlay(np.arange(STATES), np.full((STATES, 4), 0.25))
    painter.draw((0, 0), overlay, SIGNS)
    np.testing.assert_array_equal(painter.background, before)


@pytest.mark.parametrize("world", [SAMPLER, draw_maze(6, 0, 0.2), load_world("CliffWalk")])
@pytest.mark.parametrize("pixels", [13, 50, 84, 333])
def test_a_square_picture_has_the_given_size_and_the_world_in_its_middle(
    world: World, pixels: int
) -> None:
    padded, plain = WorldPainter(world, pixels, square=True), WorldPainter(world, pixels)
    assert padded.background.shape == (pixels, pixels, 3)
    assert padded.background.dtype == np.uint8
    height, width = plain.background.shape[:2]
    assert (height, width) == (world.height * plain.cell, world.width * plain.cell)
    inside = padded.background[padded.top : padded.top + height, padded.left :][:, :width]
    np.testing.assert_array_equal(inside, plain.background)
    assert abs(pixels - height - 2 * padded.top) <= 1
    assert abs(pixels - width - 2 * padded.left) <= 1


def test_a_world_larger_than_its_picture_keeps_a_pixel_a_cell() -> None:
    world = draw_maze(20, 0, 0.0)
    painter = WorldPainter(world, 10)
    assert painter.background.shape == (41, 41, 3)
    walls = np.array([list(row) for row in world.rows]) == "#"
    wall, floor = (np.unique(painter.background[at], axis=0) for at in (walls, ~walls))
    assert len(wall) == 1
    assert not (floor == wall).all(axis=1).any()


def test_every_kind_of_cell_looks_different() -> None:
    painter = WorldPainter(SAMPLER, 160)
    cells = [(0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (1, 1), (1, 2), (2, 1), (2, 3)]
    seen = {painter.background[mask(painter, [cell])].tobytes() for cell in cells}
    assert len(seen) == len(cells)
    # A portal that costs is drawn as a pit, like an end with a lower reward.
    assert painter.background[mask(painter, [(1, 3)])].tobytes() in seen


# --- overlays ---


def on_floor(chosen: Bools) -> list[tuple[int, int]]:
    """The places of the chosen states, except ends, on which overlays draw nothing."""
    places = [place for place, one in zip(SAMPLER.places(), chosen, strict=True) if one]
    return [place for place in places if not SAMPLER.cell(*place).end]


@pytest.mark.parametrize("pixels", [4, 40, 120])
def test_values_color_the_cells_of_their_states_only(pixels: int) -> None:
    painter = WorldPainter(SAMPLER, pixels)
    values = np.linspace(-1, 1, STATES)
    values[2] = np.nan
    drawn = painter.draw(None, Overlay(values=values), SIGNS)
    expected = mask(painter, on_floor(np.isfinite(values)))
    differing = changed(drawn, painter.background)
    assert not (differing & ~expected).any()
    colors = value_colors(values)
    for s, (row, column) in enumerate(SAMPLER.places()):
        middle = drawn[int((row + 0.5) * painter.cell), int((column + 0.5) * painter.cell)]
        if s != 2 and not SAMPLER.cell(row, column).end:
            np.testing.assert_array_equal(middle, colors[s])


def test_the_agent_is_drawn_on_top_of_an_overlay() -> None:
    painter = WorldPainter(SAMPLER, 80)
    overlay = Overlay(np.arange(STATES), np.full((STATES, 4), 0.25))
    below = painter.draw(None, overlay, SIGNS)
    drawn = painter.draw((2, 0), overlay, SIGNS)
    assert not (changed(below, drawn) & ~mask(painter, [(2, 0)])).any()
    np.testing.assert_array_equal(chin(drawn, painter, (2, 0)), AGENT)


def arrow(move: int, probability: float, cell: int) -> Bools:
    """The pixels of one arrow in its cell, the lower left one.  [cell, cell]."""
    painter = WorldPainter(SAMPLER, 4 * cell)
    assert painter.cell == cell
    policy = np.zeros((STATES, 4))
    state = SAMPLER.places().index((2, 0))
    policy[state, move] = probability
    drawn = painter.draw(None, Overlay(policy=policy), SIGNS)
    differing = changed(drawn, painter.background)
    assert not (differing & ~mask(painter, [(2, 0)])).any()
    return differing[2 * cell :, :cell]


@pytest.mark.parametrize("cell", [20, 33, 64])
@pytest.mark.parametrize("move", range(4))
def test_an_arrow_points_along_its_move_and_lengthens_with_its_probability(
    move: int, cell: int
) -> None:
    down, right = FOUR_MOVES[move]
    lengths = []
    for level in range(1, ARROW_LEVELS + 1):
        rows, columns = np.nonzero(arrow(move, level / ARROW_LEVELS, cell))
        along = (rows + 0.5 - cell / 2) * down + (columns + 0.5 - cell / 2) * right
        across = (rows + 0.5 - cell / 2) * right + (columns + 0.5 - cell / 2) * down
        assert along.mean() > 0
        assert abs(across.mean()) < 0.5
        lengths.append(along.max())
    assert all(np.diff(lengths) >= 0)
    assert all(np.diff(lengths[::2]) > 0)
    assert lengths[-1] > 2 * lengths[0]


def test_arrows_of_probability_zero_and_in_tiny_cells_are_not_drawn() -> None:
    assert not arrow(1, 0.0, 32).any()
    assert not arrow(1, np.nan, 32).any()
    assert not arrow(1, 1.0, SMALLEST_ARROW_CELL - 1).any()
    assert arrow(1, 1.0, SMALLEST_ARROW_CELL).any()


def test_a_policy_is_not_drawn_on_ends_walls_and_portals() -> None:
    painter = WorldPainter(SAMPLER, 80)
    drawn = painter.draw(None, Overlay(policy=np.full((STATES, 4), 0.25)), SIGNS)
    differing = changed(drawn, painter.background)
    floor = on_floor(np.ones(STATES, dtype=bool))
    assert not (differing & ~mask(painter, floor)).any()
    assert all((differing & mask(painter, [place])).any() for place in floor)


def test_arrows_contrast_with_the_color_below_them() -> None:
    painter = WorldPainter(SAMPLER, 160)
    values, policy = np.linspace(0, 1, STATES), np.full((STATES, 4), 0.25)
    below = painter.draw(None, Overlay(values), SIGNS)
    drawn = painter.draw(None, Overlay(values, policy), SIGNS)
    for place in on_floor(np.ones(STATES, dtype=bool)):
        at = changed(below, drawn) & mask(painter, [place])
        assert np.abs(luminance(drawn[at]) - luminance(below[at])).max() > 80


# --- colors ---


def test_value_colors_run_from_dark_to_bright() -> None:
    shades = luminance(value_colors(np.linspace(-3, 7, 201)))
    assert (np.diff(shades) > -1).all()  # a channel is rounded to a whole number
    assert (np.diff(shades[::5]) > 0).all()
    ends = value_colors([-3.0, 7.0])
    np.testing.assert_array_equal(ends, [VALUE_SCALE[0], VALUE_SCALE[-1]])


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20))
def test_a_higher_value_is_never_darker(values: list[float]) -> None:
    shades = luminance(value_colors(sorted(values)))
    assert (np.diff(shades) > -1).all()
    if max(values) > min(values):
        assert shades[-1] - shades[0] > 150
    else:
        assert np.ptp(shades) == 0


def test_values_that_are_not_finite_do_not_change_the_scale() -> None:
    usual = value_colors([0.0, 1.0, 2.0])
    mixed = value_colors([np.nan, 0.0, 1.0, 2.0, np.inf, -np.inf])
    np.testing.assert_array_equal(mixed[1:4], usual)
    np.testing.assert_array_equal(mixed[4:], usual[[2, 0]])
    assert value_colors([np.nan, np.nan]).shape == (2, 3)


# --- text ---


def test_text_is_the_drawing_with_the_agent() -> None:
    assert render_text(SAMPLER, (2, 2), None, SIGNS) == "S..#\ngcPC\n.G@E"
    assert render_text(SAMPLER, (0, 0), Overlay(), SIGNS) == "@..#\ngcPC\n.G.E"


def test_text_draws_a_policy_as_arrows() -> None:
    policy = np.tile([0.1, 0.2, 0.3, 0.4], (STATES, 1))  # left
    policy[:3] = np.eye(4)[:3]  # up, right, down
    assert render_text(SAMPLER, (2, 2), Overlay(policy=policy), SIGNS) == "↑→↓#\n←←PC\n←G@E"
