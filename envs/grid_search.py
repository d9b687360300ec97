"""Finds the shortest way to success in an episode of MiniGrid, by breadth-first search.

The search takes every action in every state with the `step` of a copy of the environment. A state
is the position and the direction of the agent, and a layout: the objects on the cells, the object
that the agent carries, and which doors are open or locked.
"""

from copy import copy, deepcopy
from typing import Any, NamedTuple

from minigrid.core.world_object import Door, WorldObj
from minigrid.minigrid_env import MiniGridEnv

from gridcade.envs.best_return import UnknownBestReturnError

MAX_STATES = 100_000  # a search of so many states takes about 5 seconds

DoorStates = tuple[tuple[bool, bool], ...]  # open, locked; for each door
State = tuple[int, tuple[int, int], int]  # layout, position and direction of the agent


class Way(NamedTuple):
    """The actions that lead to success, and its reward; no actions and 0 if there is no success."""

    actions: tuple[int, ...]
    reward: float


class Layout(NamedTuple):
    """What may change besides the agent's position and direction."""

    cells: list[WorldObj | None]
    carried: WorldObj | None
    doors: DoorStates


def shortest_success(env: MiniGridEnv, time_limit: int | None) -> Way:
    """Find the shortest sequence of actions that ends the episode with a reward.

    A reward of MiniGrid falls with the number of steps and is paid at the end of an episode, so
    this sequence has the largest return.

    Args:
        env: the environment after a reset; it is not changed.
        time_limit: steps after which the episode is truncated, if that is less than the
            environment's own limit.

    Raises:
        UnknownBestReturnError: a step is random, pays a reward before the end, or changes an
            attribute that is not part of the state; or there are more than MAX_STATES states.
    """
    world = _World(env)
    start = world.state()
    origins: dict[State, tuple[State, int] | None] = {start: None}  # previous state, action
    frontier, limit = [start], min(env.max_steps, time_limit or env.max_steps)
    for steps in range(limit):
        reached = []
        for state in frontier:
            for action in range(world.num_actions):
                reward, terminated, new = world.take(state, action, steps)
                if terminated and reward > 0:
                    return Way((*_actions(origins, state), action), reward)
                if not terminated and new not in origins:
                    origins[new] = state, action
                    reached.append(new)
        if len(origins) > MAX_STATES:
            raise UnknownBestReturnError(f"there are more than {MAX_STATES:,} states")
        frontier = reached
    return Way((), 0.0)


def _actions(origins: dict[State, tuple[State, int] | None], state: State) -> tuple[int, ...]:
    """Return the actions from the start to a state."""
    actions = []
    while (origin := origins[state]) is not None:
        state, action = origin
        actions.append(action)
    return tuple(reversed(actions))


class _World:
    """A copy of an environment that can be put into any state that it was in before."""

    def __init__(self, env: MiniGridEnv):
        bare, self._random = copy(env), _NoRandom()
        bare.render_mode = bare.window = bare.clock = None  # these cannot be copied
        vars(bare)["gen_obs"] = dict  # observations take long, and the search does not need them
        self._env: Any = deepcopy(bare)
        vars(self._env)["_np_random"] = self._random
        self._constant = self._attributes()
        self._doors = [thing for thing in _things(self._env) if isinstance(thing, Door)]
        self._layouts: list[Layout] = []
        self._indices: dict[tuple[Any, ...], int] = {}  # index of each layout in `_layouts`
        self.num_actions = int(env.action_space.n)  # type: ignore[attr-defined]  # Discrete
        self._current = -1  # index of the environment's layout
        self._current = self._layout()

    def state(self) -> State:
        """Return the current state."""
        x, y = self._env.agent_pos
        return self._current, (int(x), int(y)), int(self._env.agent_dir)

    def take(self, state: State, action: int, steps: int) -> tuple[float, bool, State]:
        """Take an action in a state that was reached after a number of steps.

        Returns:
            The reward, whether the episode terminated, and the new state.

        Raises:
            UnknownBestReturnError: see `shortest_success`.
        """
        layout, position, direction = state
        env = self._env
        if layout != self._current:
            self._restore(layout)
        env.agent_pos, env.agent_dir, env.step_count = position, direction, steps
        _, reward, terminated, _, _ = env.step(action)
        if self._random.used:
            raise UnknownBestReturnError("what happens is random")
        if reward and not terminated:
            raise UnknownBestReturnError("there are rewards before the end of an episode")
        self._current = self._layout()
        if self._attributes() != self._constant:
            raise UnknownBestReturnError("the rules depend on more than the present grid")
        return float(reward), bool(terminated), self.state()

    def _layout(self) -> int:
        """Return the index of the current layout."""
        cells, carried = self._env.grid.grid, self._env.carrying
        doors = tuple((door.is_open, door.is_locked) for door in self._doors)
        if self._current >= 0:
            known = self._layouts[self._current]
            if cells == known.cells and carried is known.carried and doors == known.doors:
                return self._current
        key = (tuple(map(id, cells)), id(carried), doors)
        index = self._indices.setdefault(key, len(self._layouts))
        if index == len(self._layouts):
            self._layouts.append(Layout(list(cells), carried, doors))
        return index

    def _restore(self, index: int) -> None:
        """Put the environment into a layout."""
        layout = self._layouts[index]
        self._env.grid.grid, self._env.carrying = list(layout.cells), layout.carried
        for door, states in zip(self._doors, layout.doors, strict=True):
            door.is_open, door.is_locked = states
        self._current = index

    def _attributes(self) -> list[int]:
        """List the identities of the attributes that are not part of a state."""
        state = {"agent_pos", "agent_dir", "carrying", "grid", "step_count"}
        return [id(value) for name, value in vars(self._env).items() if name not in state]


class _NoRandom:
    """Replaces a random generator: records any use of it, and raises an error."""

    used = False

    def __getattr__(self, name: str) -> Any:
        self.used = True
        raise UnknownBestReturnError("what happens is random")


def _things(env: MiniGridEnv) -> list[WorldObj]:
    """List the objects of a grid, and the objects inside them."""
    things = [cell for cell in env.grid.grid if cell is not None]
    for thing in things:
        if thing.contains is not None:
            things.append(thing.contains)
    return things
