"""The legend below a world in the terminal."""

import numpy as np
import pytest
from screens import drawn, visible

from gridcade.envs import registry
from gridcade.envs.rendering import AGENT, GOAL, PIT, WALL, Overlay, value_colors
from gridcade.envs.tabular import TabularEnv
from gridcade.viewing.legend import SCALE_WIDTH, legend_lines
from gridcade.viewing.text_pictures import ColorDepth


def overlay_of(name: str) -> tuple[TabularEnv, Overlay]:
    env = registry.make(name).unwrapped
    assert isinstance(env, TabularEnv)
    states = len(env.places)
    return env, Overlay(np.linspace(-2.0, 3.0, states), np.full((states, len(env.moves)), 0.25))


def test_signs_have_the_colors_of_the_cells() -> None:
    env, overlay = overlay_of("RussellNorvig4x3")
    lines = legend_lines(env, overlay, "agent", 80, "true")
    cells = drawn(lines, 80).cells
    text = visible(lines[0])
    for sign, ground in (("@", AGENT), ("N", PIT), ("P", GOAL)):
        assert cells[0][text.index(f" {sign} ") + 1][::2] == (sign, ground)
    assert cells[0][text.index("wall") - 2][2] == WALL
    assert text.split("   ")[-2:] == ["", " start"] or text.endswith("start")
    assert "N  end, reward -1" in text


def test_scale_has_the_colors_of_the_values() -> None:
    env, overlay = overlay_of("RussellNorvig4x3")
    lines = legend_lines(env, overlay, "agent", 80, "true")
    assert visible(lines[1]).startswith(f"value -2 {' ' * SCALE_WIDTH} 3   → likeliest move")
    row = drawn(lines, 80).cells[1]
    first = len("value -2 ")
    grounds = [ground for _, _, ground in row[first : first + SCALE_WIDTH]]
    assert grounds == [tuple(c) for c in value_colors(np.linspace(-2, 3, SCALE_WIDTH)).tolist()]


def test_without_colors_only_the_signs_that_are_drawn_are_explained() -> None:
    env, overlay = overlay_of("CliffWalk")
    assert legend_lines(env, overlay, "agent", 80, "none") == [
        "@ agent   C reward -99, leads to the start   G goal",
        "values from -2 to 3   → likeliest move   + several tie   · all tie",
    ]
    assert legend_lines(env, None, "you", 80, "none") == [
        "@ you   C reward -99, leads to the start   G goal   S start"
    ]
    assert legend_lines(env, Overlay(), "agent", 80, "none")[0].startswith("@ agent")


@pytest.mark.parametrize("name", ["NearAndFar", "WindyGrid", "SlipperyLake", "Maze", "RiverSwim"])
@pytest.mark.parametrize("columns", [20, 50, 80])
@pytest.mark.parametrize("depth", ["none", "256", "true"])
def test_legend_fits(name: str, columns: int, depth: ColorDepth) -> None:
    env, overlay = overlay_of(name)
    lines = legend_lines(env, overlay, "agent", columns, depth)
    drawn(lines, columns)
    assert len(lines) <= (3 if columns == 80 else 8)


def test_environment_without_cells_has_no_legend() -> None:
    assert legend_lines(registry.make("CartPole"), None, "agent", 80, "true") == []
