"""Worlds with an exact model: the environment that samples the model and draws itself."""

from bisect import bisect_right
from collections.abc import Sequence
from functools import cached_property
from typing import Any, ClassVar, Literal, cast, get_args

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from gridcade.envs import window
from gridcade.envs.arguments import is_integer
from gridcade.envs.maps import World
from gridcade.envs.model import Model as Model
from gridcade.envs.model import Outcome as Outcome
from gridcade.envs.rendering import (
    ARROWS,
    DIRECTIONS,
    Image,
    Moves,
    Overlay,
    Painter,
    Signs,
    WorldPainter,
    render_text,
)
from gridcade.envs.types import Space
from gridcade.errors import InputError, unknown

Observation = Literal["state", "coordinates", "one_hot", "pixels"]

MOST_LISTED = 100_000  # largest number of a model's outcomes that are copied into lists
RENDER_PIXELS = 512  # upper bound of a rendered image's longer side, except for very large worlds


class _Outcomes(Sequence[tuple[int, float, bool]]):
    """Next state, reward and termination of the outcomes of a model, without a copy."""

    def __init__(self, model: Model):
        self._columns = model.next_states.data, model.rewards.data, model.terminated.data

    def __len__(self) -> int:
        return len(self._columns[0])

    def __getitem__(self, outcome: Any) -> Any:
        return tuple(column[outcome] for column in self._columns)


class TabularEnv(gym.Env[Any, Any]):
    """A Gymnasium environment that samples an exact model and draws itself as a gridworld.

    Observations, selected by `observation`:
        `state`: the index of the state, Discrete (the default).
        `coordinates`: row and column, float32, [2].
        `one_hot`: float32, [states].
        `pixels`: an image of the world, uint8, [pixels, pixels, 3].

    An episode is truncated after `time_limit` steps. The time limit is not part of the model.

    Where the model forbids actions, `info["action_mask"]` holds the mask. Forbidden actions that
    are taken anyway have the outcomes of the model.

    Random numbers: a reset draws one number from `np_random` to sample the first state; a step
    draws one to sample its outcome, and a normal one if the outcome's reward has a deviation.

    Attributes:
        world: the drawing.
        model: the exact model.
        places: row and column of each state, int64, [states, 2].
        signs: how each action is drawn, [states, actions].
        overlay: values or a policy to draw over the world, or None.
        state: the index of the current state.

    Args:
        world: the drawing.
        model: the exact model. State `i` is the cell `world.places()[i]`.
        moves: the direction of each action, to draw policies; empty if actions are not moves.
        signs: how each action is drawn, [states, actions]. Default: arrows by `moves`.
        observation: the kind of observation.
        pixels: side of the image in pixels, for `pixels` observations.
        time_limit: steps after which an episode is truncated; None: no limit. Default: the
            drawing's time limit.
        render_mode: `ansi`, `rgb_array` or `human` (a window; requires pygame-ce).

    Raises:
        InputError: an argument is invalid.
    """

    metadata: ClassVar[dict[str, Any]] = {  # type: ignore[misc]
        "render_modes": ["ansi", "rgb_array", "human"],
        "render_fps": 8,
    }

    def __init__(
        self,
        world: World,
        model: Model,
        moves: Moves = (),
        signs: Signs | None = None,
        observation: Observation = "state",
        pixels: int = 84,
        time_limit: int | Literal["default"] | None = "default",
        render_mode: str | None = None,
    ):
        if observation not in get_args(Observation):
            raise unknown("observation", str(observation), get_args(Observation))
        if render_mode is not None and render_mode not in self.metadata["render_modes"]:
            raise unknown("render mode", str(render_mode), self.metadata["render_modes"])
        longer_side = max(world.height, world.width)
        if observation == "pixels" and not (is_integer(pixels) and pixels >= longer_side):
            raise InputError(
                f"pixels is {pixels}; it must be an integer, {longer_side} or greater, "
                f"to draw {world.title}"
            )
        if time_limit == "default":
            time_limit = world.time_limit
        elif time_limit is not None and not (is_integer(time_limit) and time_limit > 0):
            raise InputError(
                f"time_limit is {time_limit}; it must be an integer, 1 or greater, or none"
            )
        if time_limit is not None and model.continuing:
            raise InputError(
                f"{world.title} has no end, so it is a continuing task: it must not have a time "
                "limit"
            )
        self.world = world
        self.model = model
        self.moves = moves
        shape = (model.num_states, model.num_actions)
        arrows = np.array([ARROWS[move] for move in moves])
        self.signs: Signs = np.broadcast_to(arrows, shape) if signs is None else signs
        self.places = np.array(world.places())  # [states, 2]
        self.observation = observation
        self.time_limit = time_limit
        self.render_mode = render_mode
        self.overlay: Overlay | None = None
        self.state = 0
        self.elapsed = 0  # steps since the reset
        self.action_space = gym.spaces.Discrete(model.num_actions)
        self.observation_space = self._make_observation_space(pixels)
        self._pixels = pixels
        self._read_model()
        self._window: window.Window | None = None

    def _read_model(self) -> None:
        """Prepare the numbers of the model that a step needs.

        Lists are fastest, but lists of a large model would need several times its memory.
        """
        model = self.model
        small = len(model.next_states) <= MOST_LISTED

        def numbers(array: NDArray[Any]) -> Sequence[Any]:
            return cast(Sequence[Any], array.tolist() if small else array.data)

        self._cumulative, self._offsets = numbers(model.cumulative), numbers(model.offsets)
        self._start_cumulative = numbers(model.start_cumulative)
        self._deviations = None if model.deviations is None else numbers(model.deviations)
        columns = (model.next_states, model.rewards, model.terminated)
        self._outcomes: Sequence[tuple[int, float, bool]] = (
            list(zip(*(column.tolist() for column in columns), strict=True))
            if small
            else _Outcomes(model)
        )

    @cached_property
    def P(self) -> dict[int, dict[int, list[Outcome]]]:  # noqa: N802 - toy_text's name
        """The model as a table `P[state][action]`, with the name that toy_text uses.

        Terminal states are absorbing: every action stays there, pays 0 and terminates.
        """
        return self.model.table()

    @cached_property
    def draws_arrows(self) -> bool:
        """Whether all actions are drawn as arrows."""
        return set(self.signs.flat) <= DIRECTIONS.keys()

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences for the user, such as probable mistakes in the map file."""
        return self.world.notes

    @property
    def initial_state_distrib(self) -> NDArray[np.float64]:
        """The distribution of the first state, with the name that toy_text uses.  [states]."""
        return self.model.start

    def encode(self, state: int) -> Any:
        """Return the observation of a state."""
        if self.observation == "state":
            return state
        if self.observation == "coordinates":
            return self.places[state].astype(np.float32)
        if self.observation == "one_hot":
            one_hot = np.zeros(self.model.num_states, dtype=np.float32)
            one_hot[state] = 1.0
            return one_hot
        return self._observation_painter.draw(tuple(self.places[state]))

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start an episode in a state sampled from the start distribution."""
        super().reset(seed=seed, options=options)
        self.state = bisect_right(self._start_cumulative, self.np_random.random())
        self.elapsed = 0
        if self.render_mode == "human":
            self.render()
        return self.encode(self.state), self.info()

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Take one step.

        Raises:
            InputError: the action does not exist.
        """
        num_actions = self.model.num_actions
        if not 0 <= int(action) < num_actions:
            raise InputError(f"action is {action}; it must be from 0 to {num_actions - 1}")
        row = self.state * num_actions + int(action)
        outcome = bisect_right(
            self._cumulative, self.np_random.random(), self._offsets[row], self._offsets[row + 1]
        )
        self.state, reward, terminated = self._outcomes[outcome]
        if self._deviations is not None and (deviation := self._deviations[outcome]):
            reward += deviation * self.np_random.standard_normal()
        self.elapsed += 1
        truncated = not terminated and self.elapsed == self.time_limit
        if self.render_mode == "human":
            self.render()
        return self.encode(self.state), reward, terminated, truncated, self.info()

    def info(self) -> dict[str, Any]:
        """Return the `info` of `reset` and `step`: the mask, if the model forbids actions."""
        allowed = self.model.allowed
        return {} if allowed is None else {"action_mask": allowed[self.state].copy()}

    def get_state(self) -> dict[str, Any]:
        """Return the current state, the elapsed steps and the state of the random generator."""
        stream = self.np_random.bit_generator.state
        return {"state": self.state, "elapsed": self.elapsed, "stream": stream}

    def set_state(self, state: dict[str, Any]) -> Any:
        """Restore what `get_state` returned, and return the observation."""
        self.state, self.elapsed = state["state"], state["elapsed"]
        self.np_random.bit_generator.state = state["stream"]
        return self.encode(self.state)

    def render(self) -> str | Image | None:
        """Draw the world: as text, as an image (uint8, [height, width, 3]), or in the window."""
        if self.render_mode is None:
            gym.logger.warn("render() needs a render_mode: gym.make(id, render_mode='rgb_array')")
            return None
        place = tuple(self.places[self.state])
        if self.render_mode == "ansi":
            return render_text(self.world, place, self.overlay, self.signs)
        image = self._render_painter.draw(place, self.overlay, self.signs)
        if self.render_mode == "rgb_array":
            return image
        if self._window is None:
            self._window = window.Window(self.world.title, image.shape[1], image.shape[0])
        self._window.show(image, fps=self.metadata["render_fps"])
        return None

    def close(self) -> None:
        """Close the window if it is open."""
        if self._window is not None:
            self._window.close()
            self._window = None

    @cached_property
    def _observation_painter(self) -> WorldPainter:
        return WorldPainter(self.world, self._pixels, square=True)

    @cached_property
    def _render_painter(self) -> Painter:
        return WorldPainter(self.world, RENDER_PIXELS)

    def _make_observation_space(self, pixels: int) -> Space:
        if self.observation == "state":
            return gym.spaces.Discrete(self.model.num_states)
        if self.observation == "one_hot":
            return gym.spaces.Box(0.0, 1.0, (self.model.num_states,), np.float32)
        if self.observation == "coordinates":
            last = np.array([self.world.height, self.world.width], np.float32) - 1
            last = np.maximum(last, 1)  # Gymnasium warns if a range holds a single number.
            return gym.spaces.Box(np.zeros(2, np.float32), last, dtype=np.float32)
        return gym.spaces.Box(0, 255, (pixels, pixels, 3), np.uint8)
