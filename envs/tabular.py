"""Worlds with an exact model: the model as arrays, and the environment that samples it."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal, get_args

import gymnasium as gym
import numpy as np
from numpy.typing import ArrayLike, NDArray

from gridcade.envs import window
from gridcade.envs.maps import World
from gridcade.envs.rendering import Image, Moves, Overlay, WorldPainter, render_text
from gridcade.envs.types import Space
from gridcade.errors import InputError, brief, unknown

Outcome = tuple[float, int, float, bool]  # probability, next state, reward, terminated
Row = Sequence[Outcome] | NDArray[Any]
Actions = Mapping[int, Row] | Sequence[Row] | NDArray[Any]
# toy_text's P: P[state][action] is a list of outcomes; dicts, lists and arrays may stand for both
Table = Mapping[int, Actions] | Sequence[Actions] | NDArray[Any]
Observation = Literal["state", "coordinates", "one_hot", "pixels"]

RENDER_PIXELS = 512  # upper bound of a rendered image's longer side, except for very large worlds


@dataclass(frozen=True)
class Model:
    """The exact model of a finite Markov decision process, stored as sparse rows.

    Row `i = s * num_actions + a` holds the outcomes of action `a` in state `s`; they are the
    entries `offsets[i]:offsets[i + 1]` of the arrays of outcomes. An outcome with `terminated`
    ends the episode, so the value of its next state does not count.

    A time limit is not part of the model.

    Where `allowed` is given, a policy must choose among the actions that it allows in a state; the
    outcomes of the others are part of the model, too.

    Raises:
        ValueError: `allowed` has another shape or type, or a state has no allowed action.
    """

    offsets: NDArray[np.int64]  # [states * actions + 1]
    next_states: NDArray[np.int64]  # [outcomes]
    probabilities: NDArray[np.float64]  # [outcomes]
    rewards: NDArray[np.float64]  # [outcomes]
    terminated: NDArray[np.bool_]  # [outcomes]
    start: NDArray[np.float64]  # [states]: distribution of the first state
    allowed: NDArray[np.bool_] | None = None  # [states, actions]; None: all actions

    def __post_init__(self) -> None:
        """Check the allowed actions."""
        if (allowed := self.allowed) is None:
            return
        shape = (self.num_states, self.num_actions)
        if allowed.shape != shape or allowed.dtype != np.bool_:
            raise ValueError(
                f"the allowed actions are {allowed.dtype} of shape {allowed.shape}; "
                f"they must be bool of shape {shape}"
            )
        if not allowed.any(axis=1).all():
            raise ValueError(f"state {allowed.any(axis=1).argmin()} has no allowed action")

    @property
    def num_states(self) -> int:
        """The number of states."""
        return len(self.start)

    @property
    def num_actions(self) -> int:
        """The number of actions; every state has the same actions."""
        return (len(self.offsets) - 1) // len(self.start)

    @property
    def continuing(self) -> bool:
        """Whether the task is continuing: no outcome of an allowed action terminates an episode."""
        ends = self.terminated
        if self.allowed is not None:
            ends = ends & self.allowed.ravel()[self.rows]
        return not ends.any()

    @cached_property
    def uniform(self) -> NDArray[np.float64]:
        """The policy that takes each allowed action with equal probability.  [states, actions]."""
        if self.allowed is None:
            return np.full((self.num_states, self.num_actions), 1 / self.num_actions)
        return np.asarray(self.allowed / self.allowed.sum(axis=1, keepdims=True))

    @cached_property
    def rows(self) -> NDArray[np.int64]:
        """The index `s * num_actions + a` of each outcome's row.  [outcomes]."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))

    @cached_property
    def cumulative(self) -> NDArray[np.float64]:
        """Cumulative probabilities within each row; the last one is exactly 1.  [outcomes].

        To sample a row, draw u uniformly from [0, 1) and take the first outcome whose cumulative
        probability exceeds u.
        """
        sums = np.cumsum(self.probabilities)
        before_row = np.concatenate([[0.0], sums])[self.offsets[:-1]]
        sums -= before_row[self.rows]
        sums[self.offsets[1:] - 1] = 1.0
        return sums

    @cached_property
    def start_cumulative(self) -> NDArray[np.float64]:
        """Cumulative probabilities of the first state, sampled like `cumulative`.  [states]."""
        sums = np.cumsum(self.start)
        sums[np.flatnonzero(self.start)[-1] :] = 1.0
        return sums

    def table(self) -> dict[int, dict[int, list[Outcome]]]:
        """The model as a table `P[state][action]` of outcomes, as in Gymnasium's toy_text."""
        columns = (self.probabilities, self.next_states, self.rewards, self.terminated)
        outcomes: list[Outcome] = list(zip(*(c.tolist() for c in columns), strict=True))
        rows = iter([outcomes[a:b] for a, b in zip(self.offsets, self.offsets[1:], strict=False)])
        return {s: {a: next(rows) for a in range(self.num_actions)} for s in range(self.num_states)}

    @classmethod
    def from_table(
        cls, table: Table, start: ArrayLike, allowed: NDArray[np.bool_] | None = None
    ) -> "Model":
        """Build a model from toy_text's `P` and the distribution of the first state, [states].

        Outcomes of one row with the same next state, reward and `terminated` are merged.

        Args:
            table: `table[state][action]` is a list of (probability, next state, reward,
                terminated). States and actions are keys of dicts, or axes of lists or arrays.
            start: distribution of the first state.
            allowed: which actions are allowed in each state, [states, actions]; None: all.

        Raises:
            ValueError: states or actions are not numbered 0, 1, …; a distribution has a negative
                probability or does not sum to 1; a reward is not finite; a next state does not
                exist; the table or a row has another form; a state has no allowed
                action.
        """
        start = np.asarray(start, dtype=np.float64)
        if start.ndim != 1 or not len(start):
            raise ValueError(f"the start distribution has the shape {start.shape}, not [states]")
        states = _numbered(table, "the table")
        num_states = len(start)
        if len(states) != num_states:
            message = f"the start distribution has {num_states} states, the table {len(states)}"
            raise ValueError(message)
        num_actions = 0
        offsets: list[int] = [0]
        outcomes: list[tuple[int, float, bool, float]] = []
        for s in range(num_states):
            if s not in states:
                raise ValueError(f"state {s} is missing")
            actions = _numbered(states[s], f"state {s}")
            num_actions = num_actions or len(actions)
            if set(actions) != set(range(num_actions)):
                raise ValueError(f"state {s} must have actions 0 to {num_actions - 1}, as state 0")
            for a in range(num_actions):
                outcomes += _merge_outcomes(actions[a], f"state {s}, action {a}")
                offsets.append(len(outcomes))
        model = cls(
            offsets=np.array(offsets),
            next_states=np.array([s_next for s_next, _, _, _ in outcomes]),
            rewards=np.array([reward for _, reward, _, _ in outcomes]),
            terminated=np.array([terminated for _, _, terminated, _ in outcomes]),
            probabilities=np.array([p for _, _, _, p in outcomes]),
            start=start,
            allowed=allowed,
        )
        if model.next_states.min() < 0 or model.next_states.max() >= num_states:
            raise ValueError(f"a next state is outside 0 to {num_states - 1}")
        if not np.isfinite(model.rewards).all():
            raise ValueError("a reward is not finite")
        if not ((start >= 0).all() and abs(start.sum() - 1) <= 1e-9):
            raise ValueError(
                "the start distribution has a negative probability or does not sum to 1"
            )
        return model


def _numbered(rows: Any, what: str) -> Mapping[int, Any]:
    """Number the rows of a list or an array; a dict has numbers already."""
    if isinstance(rows, Mapping):
        return rows
    try:
        return dict(enumerate(rows))
    except TypeError:
        raise ValueError(f"{what} is {brief(rows)}, not a dict, list or array") from None


def _merge_outcomes(outcomes: Any, row: str) -> list[tuple[int, float, bool, float]]:
    """Merge equal outcomes and drop impossible ones; the probability comes last."""
    merged: dict[tuple[int, float, bool], float] = {}
    try:
        listed = [(float(p), int(s), float(r), bool(end)) for p, s, r, end in outcomes]
    except (TypeError, ValueError):
        raise ValueError(
            f"{row}: {brief(outcomes)} is not a list of (probability, next state, reward, "
            "terminated)"
        ) from None
    for p, s_next, reward, terminated in listed:
        if not p >= 0:
            raise ValueError(f"{row}: a probability is {p}")
        if p > 0:
            key = (s_next, reward, terminated)
            merged[key] = merged.get(key, 0.0) + p
    total = sum(merged.values())
    if abs(total - 1) > 1e-9:
        raise ValueError(f"{row}: the probabilities sum to {total}, not 1")
    return [(*key, p) for key, p in merged.items()]


class TabularEnv(gym.Env[Any, Any]):
    """A Gymnasium environment that samples an exact model and draws itself as a gridworld.

    Observations, selected by `observation`:
        `state`: the index of the state, Discrete (the default).
        `coordinates`: row and column, float32, [2].
        `one_hot`: float32, [states].
        `pixels`: an image of the world, uint8, [pixels, pixels, 3].

    An episode is truncated after `time_limit` steps. The time limit is not part of the model.

    Where the model forbids actions, `info["action_mask"]` tells which ones are allowed. Forbidden
    actions that are taken anyway have the outcomes of the model.

    Random numbers: a reset draws one number from `np_random` to sample the first state; a step
    draws one to sample its outcome.

    Attributes:
        world: the drawing.
        model: the exact model.
        places: row and column of each state, int64, [states, 2].
        overlay: values or a policy to draw over the world, or None.
        state: the current state.

    Args:
        world: the drawing.
        model: the exact model. State `i` is the cell `world.places()[i]`.
        moves: the direction of each action, for drawing policies.
        observation: the kind of observation.
        pixels: side of the image in pixels, for `pixels` observations.
        time_limit: in steps. Default: the drawing's time limit.
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
        moves: Moves,
        observation: Observation = "state",
        pixels: int = 84,
        time_limit: int | None = None,
        render_mode: str | None = None,
    ):
        if observation not in get_args(Observation):
            raise unknown("observation", str(observation), get_args(Observation))
        if render_mode is not None and render_mode not in self.metadata["render_modes"]:
            raise unknown("render mode", str(render_mode), self.metadata["render_modes"])
        longer_side = max(world.height, world.width)
        if observation == "pixels" and not (isinstance(pixels, int) and pixels >= longer_side):
            raise InputError(
                f"pixels is {pixels}; it must be an integer, {longer_side} or greater, "
                f"to draw {world.title}"
            )
        if time_limit is not None and not (isinstance(time_limit, int) and time_limit > 0):
            raise InputError(f"time_limit is {time_limit}; it must be an integer, 1 or greater")
        if time_limit is not None and model.continuing:
            raise InputError(
                f"{world.title} has no end, so it is a continuing task: it must not have a time "
                "limit"
            )
        self.world = world
        self.model = model
        self.moves = moves
        self.places = np.array(world.places())  # [states, 2]
        self.observation = observation
        self.time_limit = world.time_limit if time_limit is None else time_limit
        self.render_mode = render_mode
        self.overlay: Overlay | None = None
        self.state = 0
        self.elapsed = 0  # steps since the reset
        self.action_space = gym.spaces.Discrete(model.num_actions)
        self.observation_space = self._make_observation_space(pixels)
        self._pixels = pixels
        # Lists for bisect, which is several times faster than NumPy on rows of two or three.
        self._offsets: list[int] = model.offsets.tolist()
        self._cumulative: list[float] = model.cumulative.tolist()
        self._start_cumulative: list[float] = model.start_cumulative.tolist()
        columns = (model.next_states, model.rewards, model.terminated)
        self._outcomes: list[tuple[int, float, bool]] = list(
            zip(*(column.tolist() for column in columns), strict=True)
        )
        self._window: window.Window | None = None

    @cached_property
    def P(self) -> dict[int, dict[int, list[Outcome]]]:  # noqa: N802 - toy_text's name
        """The model as a table `P[state][action]`, under toy_text's name.

        Terminal states are absorbing: every action stays there, pays 0 and terminates.
        """
        return self.model.table()

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on what is probably a mistake in the map file."""
        return self.world.notes

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
        self.elapsed += 1
        truncated = not terminated and self.elapsed == self.time_limit
        if self.render_mode == "human":
            self.render()
        return self.encode(self.state), reward, terminated, truncated, self.info()

    def info(self) -> dict[str, Any]:
        """What `reset` and `step` return as `info`: the mask, where the model forbids actions."""
        allowed = self.model.allowed
        return {} if allowed is None else {"action_mask": allowed[self.state]}

    def get_state(self) -> dict[str, Any]:
        """The complete state: the current state, the elapsed steps and the random generator."""
        stream = self.np_random.bit_generator.state
        return {"state": self.state, "elapsed": self.elapsed, "stream": stream}

    def set_state(self, state: dict[str, Any]) -> Any:
        """Restore a state that `get_state` returned; returns the observation."""
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
            return render_text(self.world, place, self.overlay, self.moves)
        image = self._render_painter.draw(place, self.overlay, self.moves)
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
    def _render_painter(self) -> WorldPainter:
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
