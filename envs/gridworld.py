"""Gridworlds drawn in text: the rules of movement, as an exact model."""

from pathlib import Path
from typing import Any

import numpy as np

from gridcade.envs.maps import FOUR_MOVES, Place, World, load_world
from gridcade.envs.tabular import Model, Outcome, TabularEnv


class GridWorld(TabularEnv):
    """A gridworld drawn in a text file.

    `docs/worlds.md` describes the format by examples; `envs/maps/*.txt` are the shipped worlds.

    Actions: 0 up, 1 right, 2 down, 3 left. A move into a wall does not move the agent. Then the
    wind of the column in which the move began pushes the agent up, cell by cell, until a wall stops
    it.

    Reward: the step reward plus the reward of the cell in which the move ends.

    Termination: entering an `end` cell terminates the episode. Entering a portal moves the agent to
    one of the portal's target cells, each with the same probability, and pays the portal's reward
    instead of the target's; it terminates the episode if the targets are ends.
    A world without an end is a continuing task: it has no time limit and never terminates.

    Args:
        world: a `World`, the path of a map file, or the name of a world in `envs/maps`.
        **options: see `TabularEnv`.

    Raises:
        InputError: the map has a mistake (the message has its line and column), or an option is
            invalid.
    """

    def __init__(self, world: World | str | Path = "FourRooms", **options: Any):
        if not isinstance(world, World):
            world = load_world(world)
        super().__init__(world, grid_model(world), FOUR_MOVES, **options)


def grid_model(world: World) -> Model:
    """Build the exact model of a gridworld with four moves."""
    places = world.places()
    state_at = {place: s for s, place in enumerate(places)}
    portal_targets = {
        symbol: [state_at[place] for place in world.places(symbol=cell.to)]
        for symbol, cell in world.legend.items()
        if cell.to
    }
    table: dict[int, dict[int, list[Outcome]]] = {}
    for s, place in enumerate(places):
        if world.cell(*place).end:
            table[s] = {a: [(1.0, s, 0.0, True)] for a in range(4)}
            continue
        by_direction = [
            _move(world, place, direction, state_at, portal_targets) for direction in FOUR_MOVES
        ]
        table[s] = {
            a: [
                (turn_probability * p, s_next, reward, terminated)
                for turn, turn_probability in enumerate(_turn_probabilities(world))
                for p, s_next, reward, terminated in by_direction[(a + turn) % 4]
            ]
            for a in range(4)
        }
    start = np.array([world.cell(*place).start for place in places], dtype=np.float64)
    return Model.from_table(table, start / start.sum())


def _turn_probabilities(world: World) -> tuple[float, float, float, float]:
    """Return the probabilities of a move as intended, to its right, backwards, and to its left."""
    side = world.slip / 2 + world.stray / 3
    return 1 - (world.slip + world.stray), side, world.stray / 3, side


def _move(
    world: World,
    place: Place,
    direction: Place,
    state_at: dict[Place, int],
    portal_targets: dict[str, list[int]],
) -> list[Outcome]:
    """Return the outcomes of a move from a cell: one, or one for each target of a portal."""
    row, column = world.move(place, direction)
    cell = world.cell(row, column)
    reward = world.step_reward + cell.reward
    if cell.to:
        targets = portal_targets[world.rows[row][column]]
        terminated = world.legend[cell.to].end
        return [(1 / len(targets), s, reward, terminated) for s in targets]
    return [(1.0, state_at[row, column], reward, cell.end)]
