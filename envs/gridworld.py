"""Tabular worlds: environments whose exact model is known, and the gridworlds drawn in a file."""

from bisect import bisect_right
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from gridcade.envs.maps import World, load_world
from gridcade.envs.rendering import Overlay, Picture, as_text
from gridcade.envs.tabular import Model, Outcome
from gridcade.errors import InputError, unknown

Observation = Literal["state", "coordinates", "one_hot", "pixels"]
Moves = tuple[tuple[int, int], ...]  # (rows down, columns right) of each action

FOUR_MOVES: Moves = ((-1, 0), (0, 1), (1, 0), (0, -1))  # up, right, down, left
SCREEN_PIXELS = 512  # the longer side of a rendered picture, about


class TabularEnv(gym.Env[Any, Any]):
    """A drawn world that moves by an exact model.

    Observations, by `observation`:
        `state`: the state's index, Discrete (the default). `coordinates`: row and column, float32
        of shape (2,). `one_hot`: float32 of shape (states,). `pixels`: the picture, uint8 of shape
        (pixels, pixels, 3).

    Random numbers: a reset draws one from `np_random`, which picks the start; a step draws one,
    which picks the outcome. Both pick by `Model.cumulative`.

    The time limit is no part of the model: after `time_limit` steps `truncated` is set.
    `P`, in toy_text's form, `model`, as arrays, and `world`, the drawing, are there to be read.

    Args:
        world: the drawing.
        model: the exact model; its states are `world.places()`, in their order.
        moves: the direction of each action, for pictures.
        observation: what the agent sees.
        pixels: side of a `pixels` observation.
        time_limit: steps; None: the drawing's own.
        render_mode: `ansi`, `rgb_array` or `human` (needs pygame-ce).

    Raises:
        InputError: an argument is out of its range.
    """

    metadata: ClassVar[dict[str, Any]] = {  # type: ignore[misc]
        "render_modes": ["ansi", "rgb_array", "human"],
        "render_fps": 8,
    }

    def __init__(
        self,
        world: World,
        model: Model,
        moves: Moves = FOUR_MOVES,
        observation: Observation = "state",
        pixels: int = 84,
        time_limit: int | None = None,
        render_mode: str | None = None,
    ):
        if observation not in get_args(Observation):
            raise unknown("observation", str(observation), get_args(Observation))
        if render_mode is not None and render_mode not in self.metadata["render_modes"]:
            raise unknown("render mode", str(render_mode), self.metadata["render_modes"])
        longest = max(world.height, world.width)
        if observation == "pixels" and not (isinstance(pixels, int) and pixels >= longest):
            raise InputError(f"pixels is {pixels}; a picture of {world.title} takes {longest}")
        if time_limit is not None and not (isinstance(time_limit, int) and time_limit > 0):
            raise InputError(f"time_limit is {time_limit}; it takes 1 step or more")
        if time_limit is not None and model.continuing:
            raise InputError(f"{world.title} is a continuing world: it takes no time limit")
        self.world = world
        self.model = model
        self.moves = moves
        self.places = np.array(world.places())  # [states, 2]: row and column
        self.observation = observation
        self.time_limit = world.time_limit if time_limit is None else time_limit
        self.render_mode = render_mode
        self.overlay: Overlay | None = None
        self.state = 0
        self.elapsed = 0  # steps since the reset
        self.action_space = gym.spaces.Discrete(model.num_actions)
        self.observation_space = self._space(pixels)
        self._pixels = pixels
        # bisect on lists: several times quicker than numpy on rows of two or three outcomes
        self._offsets: list[int] = model.offsets.tolist()
        self._cumulative: list[float] = model.cumulative.tolist()
        self._outcomes: list[tuple[int, float, bool]] = list(
            zip(
                model.next_states.tolist(),
                model.rewards.tolist(),
                model.terminated.tolist(),
                strict=True,
            )
        )
        self._start_cumulative: list[float] = model.start_cumulative.tolist()
        self._window: Any = None

    @cached_property
    def P(self) -> dict[int, dict[int, list[Outcome]]]:  # noqa: N802 - toy_text's name
        """`P[state][action]`: a list of (probability, next state, reward, terminated).

        Ends are absorbing: every action there stays, for no reward, and is terminated.
        """
        return self.model.table()

    @property
    def initial_state_distrib(self) -> NDArray[np.float64]:
        """The distribution of the first state, under toy_text's name.  [states]."""
        return self.model.start

    def encode(self, state: int) -> Any:
        """The observation of a state."""
        if self.observation == "state":
            return state
        if self.observation == "coordinates":
            return self.places[state].astype(np.float32)
        if self.observation == "one_hot":
            hot = np.zeros(self.model.num_states, dtype=np.float32)
            hot[state] = 1.0
            return hot
        return self._view.draw(tuple(self.places[state]))

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin an episode at a state drawn from the start distribution."""
        super().reset(seed=seed, options=options)
        self.state = bisect_right(self._start_cumulative, self.np_random.random())
        self.elapsed = 0
        if self.render_mode == "human":
            self.render()
        return self.encode(self.state), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Take one step.

        Raises:
            InputError: no such action.
        """
        chosen, num_actions = int(action), self.model.num_actions
        if not 0 <= chosen < num_actions:
            raise InputError(f"action is {action}; it takes 0 to {num_actions - 1}")
        row = self.state * num_actions + chosen
        outcome = bisect_right(
            self._cumulative, self.np_random.random(), self._offsets[row], self._offsets[row + 1]
        )
        self.state, reward, terminated = self._outcomes[outcome]
        self.elapsed += 1
        truncated = not terminated and self.elapsed == self.time_limit
        if self.render_mode == "human":
            self.render()
        return self.encode(self.state), reward, terminated, truncated, {}

    def get_state(self) -> dict[str, Any]:
        """The whole state: where the agent stands, for how long, and the random stream."""
        stream = self.np_random.bit_generator.state
        return {"state": self.state, "elapsed": self.elapsed, "stream": stream}

    def set_state(self, state: dict[str, Any]) -> Any:
        """Put back what `get_state` gave; returns the observation."""
        self.state, self.elapsed = state["state"], state["elapsed"]
        self.np_random.bit_generator.state = state["stream"]
        return self.encode(self.state)

    def render(self) -> Any:
        """Draw the world: text, a picture (uint8, height x width x 3), or the window."""
        if self.render_mode is None:
            gym.logger.warn("render() needs a render_mode: gym.make(id, render_mode='rgb_array')")
            return None
        place = tuple(self.places[self.state])
        if self.render_mode == "ansi":
            return as_text(self.world, place, self.overlay, self.moves)
        picture = self._picture.draw(place, self.overlay, self.moves)
        if self.render_mode == "rgb_array":
            return picture
        if self._window is None:
            from gridcade.envs.window import Window

            self._window = Window(self.world.title, picture.shape[1], picture.shape[0])
        self._window.show(picture, fps=self.metadata["render_fps"])
        return None

    def close(self) -> None:
        """Close the window, if one is open."""
        if self._window is not None:
            self._window.close()
            self._window = None

    @cached_property
    def _view(self) -> Picture:
        return Picture(self.world, self._pixels, square=True)

    @cached_property
    def _picture(self) -> Picture:
        return Picture(self.world, SCREEN_PIXELS)

    def _space(self, pixels: int) -> gym.Space[Any]:
        if self.observation == "state":
            return gym.spaces.Discrete(self.model.num_states)
        if self.observation == "one_hot":
            return gym.spaces.Box(0.0, 1.0, (self.model.num_states,), np.float32)
        if self.observation == "coordinates":
            last = np.array([self.world.height, self.world.width], np.float32) - 1
            last = np.maximum(last, 1)  # Gymnasium warns of a range of one number
            return gym.spaces.Box(np.zeros(2, np.float32), last, dtype=np.float32)
        return gym.spaces.Box(0, 255, (pixels, pixels, 3), np.uint8)


class GridWorld(TabularEnv):
    """A gridworld drawn in a text file (`envs/maps/*.txt` show the form).

    Actions: 0 up, 1 right, 2 down, 3 left. A move into a wall stays where it is. Then the wind of
    the column where the move began blows upwards, a cell at a time, until a wall stops it.

    Reward: the step reward, and on top of it the reward of the cell that the move ends in.

    Ends: entering an `end` cell terminates. Entering a portal leads to the cells it names, evenly,
    and pays the portal's reward, not theirs; it terminates if they are ends.
    A world without an end is continuing: it has no time limit and never terminates.

    Args:
        world: a `World`, the path of a file, or the name of a shipped world.
        **options: see `TabularEnv`.

    Raises:
        InputError: a mistake in the drawing, with its line and column; a bad option.
    """

    def __init__(self, world: World | str | Path = "FourRooms", **options: Any):
        drawn = world if isinstance(world, World) else load_world(world)
        super().__init__(drawn, grid_model(drawn), **options)


def grid_model(world: World) -> Model:
    """The exact model of a drawn world with four moves."""
    places = world.places()
    index = {place: s for s, place in enumerate(places)}
    portals = {
        symbol: [index[place] for place in world.places(symbol=cell.to)]
        for symbol, cell in world.legend.items()
        if cell.to
    }
    table: dict[int, dict[int, list[Outcome]]] = {}
    for s, (row, column) in enumerate(places):
        if world.cell(row, column).end:
            table[s] = {a: [(1.0, s, 0.0, True)] for a in range(4)}
            continue
        arrivals = [_arrivals(world, row, column, move, index, portals) for move in FOUR_MOVES]
        table[s] = {
            a: [
                (chance * p, s_next, reward, terminated)
                for turn, chance in enumerate(_turns(world))
                for p, s_next, reward, terminated in arrivals[(a + turn) % 4]
            ]
            for a in range(4)
        }
    start = np.array([world.cell(*place).start for place in places], dtype=np.float64)
    return Model.from_table(table, start / start.sum())


def _turns(world: World) -> tuple[float, float, float, float]:
    """Probability of moving as meant, to the right of it, backwards, to the left of it."""
    side = world.slip / 2 + world.stray / 3
    return 1 - (world.slip + world.stray), side, world.stray / 3, side


def _arrivals(
    world: World,
    row: int,
    column: int,
    move: tuple[int, int],
    index: dict[tuple[int, int], int],
    portals: dict[str, list[int]],
) -> list[Outcome]:
    """Where a move leads from a cell: one outcome, or one for each exit of a portal."""
    blown = world.wind[column] if world.wind else 0
    if not world.cell(row + move[0], column + move[1]).wall:
        row, column = row + move[0], column + move[1]
    for _ in range(blown):
        if world.cell(row - 1, column).wall:
            break
        row -= 1
    cell = world.cell(row, column)
    reward = world.step_reward + cell.reward
    if cell.to:
        exits = portals[world.rows[row][column]]
        return [(1 / len(exits), s, reward, world.legend[cell.to].end) for s in exits]
    return [(1.0, index[row, column], reward, cell.end)]
