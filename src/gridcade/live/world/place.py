"""A world of the live page: registered, or drawn by the viewer."""

import math
from dataclasses import dataclass, replace
from functools import cache

from gridcade.envs import registry
from gridcade.envs.gridworld import GridWorld, grid_model
from gridcade.envs.maps import FOUR_MOVES, STEPS_PER_CELL, World, parse_world
from gridcade.envs.rendering import Moves, Signs
from gridcade.envs.tabular import Model, TabularEnv
from gridcade.errors import InputError, unknown
from gridcade.live.world.messages import Open
from gridcade.live.world.puzzles import puzzles

MAX_STATES = 5_000
# Small versions of worlds that take long to make; they have the same description.
QUICK_NAMES = {"JacksCarRental": "JacksCarRental?capacity=1"}
# Of shipped worlds, so that drawing and solving them does not take too long.
LARGEST_ARGUMENTS = {"size": 35, "length": 1_000, "goal": 200, "capacity": 20, "actions": 100}


@dataclass(frozen=True)
class Place:
    """A world with its model, as a lane needs it."""

    name: str
    world: World
    model: Model
    moves: Moves
    editable: bool  # whether the world is drawn in text, so that it can be edited
    signs: Signs | None = None  # how actions are drawn that are not moves

    @classmethod
    def find(cls, request: Open) -> "Place":
        """Read the map of a request, or find a shipped world by its name.

        Raises:
            InputError: the map has a mistake, there is no such world, or it is too large.
        """
        if request.map is not None:
            title = " ".join(request.world.split())  # one line, as in a map file
            place = cls.drawn(request.world, parse_world(request.map, title))
        elif request.world in puzzles():
            place = cls.drawn(request.world, puzzles()[request.world].world)
        else:
            base = request.world.partition("?")[0]
            if base not in world_names():
                raise unknown("world", base, world_names())
            check_size(request.world)
            env = registry.make(request.world).unwrapped
            assert isinstance(env, TabularEnv)  # noqa: S101 - for the type checker
            editable = isinstance(env, GridWorld)
            model = replace(env.model, change=None)  # only the viewer changes this world
            signs = None if env.moves else env.signs
            place = cls(request.world, env.world, model, env.moves, editable, signs)
            check_states(request.world, place.model.num_states)
        return place

    @classmethod
    def drawn(cls, name: str, world: World) -> "Place":
        """Create the place of a world that is drawn in text.

        Raises:
            InputError: the world has too many states.
        """
        check_states(name, len(world.places()))
        return cls(name, world, grid_model(world), FOUR_MOVES, editable=True)

    @property
    def time_limit(self) -> int | None:
        """Steps after which an episode is truncated; None: no limit."""
        if self.model.continuing:
            return None
        return self.world.time_limit or STEPS_PER_CELL * self.model.num_states


def check_size(name: str) -> None:
    """Raise InputError if an argument in a world's name would make it too large to show."""
    for argument, value in registry.parse(name)[1].items():
        limit = LARGEST_ARGUMENTS.get(argument, math.inf)
        if isinstance(value, int | float) and value > limit:
            raise InputError(f"{argument} is {value}; the live page shows up to {limit:g}")


def cell_name(place: tuple[int, int]) -> str:
    """Name a cell for the viewer; rows and columns count from 1."""
    row, column = place
    return f"row {row + 1}, column {column + 1}"


@cache
def world_names() -> dict[str, str]:
    """Return the worlds that the page offers, {name: description}."""
    names = {}
    for spec in registry.our_worlds():
        env = registry.make(QUICK_NAMES.get(spec.name, spec.id)).unwrapped
        if isinstance(env, TabularEnv):
            names[spec.name] = env.world.about
    return names


def check_states(name: str, num_states: int) -> None:
    """Raise InputError if a world has more states than the page shows."""
    if num_states > MAX_STATES:
        raise InputError(
            f"{name} has {num_states:,} states; the live page shows up to {MAX_STATES:,}"
        )
