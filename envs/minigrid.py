"""MiniGrid and BabyAI: Chevalier-Boisvert et al. (2023), arXiv 2306.13831.

An observation is a dictionary:

- `image`: [width, height, 21] of bool. For each cell 11 planes for the kind of object, 6 for its
  color and 4 for its state: open, closed or locked, or the agent's direction. By default the image
  shows the 7 x 7 cells in front of the agent, as far as the agent sees them; with `view=full`, it
  shows the whole grid with the agent.
- `direction`: Discrete(4), where the agent looks: east, south, west, north.
- `mission`, with `mission=words` only: the indices of the mission's words, from 1 on, then zeros.
  Otherwise the mission is left out, because MiniGrid's space of missions has no size.
"""

import io
from contextlib import redirect_stdout
from copy import copy
from functools import partial
from typing import Any, Literal, get_args

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec
from gymnasium.wrappers import TimeLimit
from minigrid.core.constants import COLOR_TO_IDX, OBJECT_TO_IDX
from minigrid.minigrid_env import MiniGridEnv
from minigrid.wrappers import DictObservationSpaceWrapper
from numpy.typing import NDArray

from gridcade.envs.best_return import UnknownBestReturnError
from gridcade.envs.grid_search import shortest_success
from gridcade.envs.grid_view import observe
from gridcade.envs.types import Env
from gridcade.errors import InputError, unknown

View = Literal["partial", "full"]
Mission = Literal["none", "words"]
STATES = 4  # states of an object (open, closed, locked), or directions of the agent
MISSION_WORDS = 50  # largest number of words in a mission
PICTURE_SIDE = 400  # smallest length, in pixels, of a picture's longer side
PLANES = [np.eye(n, dtype=bool) for n in (len(OBJECT_TO_IDX), len(COLOR_TO_IDX), STATES)]


class MiniGrid(gym.Wrapper[Any, Any, Any, Any]):
    """Gives observations as arrays, pictures of a good size, and the best return of an episode.

    Args:
        env: an environment of the package.
        view: what the image shows: the view of the agent or the full grid.
        mission: `words` adds the mission to the observations.

    Raises:
        InputError: an argument is invalid, or the words of the missions are not known.
    """

    def __init__(self, env: Env, view: View = "partial", mission: Mission = "none"):
        super().__init__(env)
        for name, value, values in (
            ("view", view, get_args(View)),
            ("mission", mission, get_args(Mission)),
        ):
            if value not in values:
                raise unknown(f"{name} of MiniGrid", str(value), values)
        grid_env = env.unwrapped
        assert isinstance(grid_env, MiniGridEnv)  # noqa: S101 - for the type checker
        self._grid_env = grid_env
        if type(grid_env).gen_obs is MiniGridEnv.gen_obs:
            # The same observations, faster; an instance attribute hides the method of the class.
            vars(grid_env)["gen_obs"] = partial(observe, grid_env)
        self._arguments = {"view": view, "mission": mission}
        self._full = view == "full"
        side = grid_env.agent_view_size
        shape = (grid_env.width, grid_env.height) if self._full else (side, side)
        dtype: Any = bool  # Gymnasium's annotation does not include it
        spaces: dict[str, gym.Space[Any]] = {
            "image": gym.spaces.Box(0, 1, (*shape, sum(map(len, PLANES))), dtype),
            "direction": gym.spaces.Discrete(4),
        }
        self._words: dict[str, int] = {}
        if mission == "words":
            if _is_babyai(grid_env):
                raise InputError(
                    "mission=words is not possible: MiniGrid lists no words for BabyAI's missions"
                )
            self._words = DictObservationSpaceWrapper.get_minigrid_words()  # type: ignore[no-untyped-call]
            spaces["mission"] = gym.spaces.MultiDiscrete([len(self._words) + 1] * MISSION_WORDS)
        self.observation_space = gym.spaces.Dict(spaces)

    @property
    def spec(self) -> EnvSpec | None:  # type: ignore[override]  # Gymnasium's is a property too
        """The specification, with those arguments of this class that are not the defaults."""
        spec = copy(self.env.spec)
        if spec is not None:
            given = {k: v for k, v in self._arguments.items() if v not in ("partial", "none")}
            spec.kwargs = {**spec.kwargs, **given}
        return spec

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Start an episode."""
        with redirect_stdout(io.StringIO()):  # BabyAI prints while it samples a mission
            observation, info = self.env.reset(seed=seed, options=options)
        return self._arrays(observation), info

    def step(self, action: Any) -> tuple[dict[str, Any], Any, bool, bool, dict[str, Any]]:
        """Take a step."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        return self._arrays(observation), reward, terminated, truncated, info

    def render(self) -> Any:
        """Draw the grid; the agent's view is marked unless it sees the whole grid."""
        env = self._grid_env
        if env.render_mode != "rgb_array":
            return self.env.render()
        picture = env.get_frame(env.highlight and not self._full, env.tile_size, env.agent_pov)
        # MiniGrid can draw larger tiles, but the first pictures then take seconds.
        times = -(-PICTURE_SIDE // max(picture.shape))
        return picture.repeat(times, 0).repeat(times, 1)

    def best_return(self, time_limit: int | None) -> float:
        """Compute the return of the shortest way to success; 0 if no success is possible.

        Raises:
            UnknownBestReturnError: see `shortest_success`; or the environment belongs to BabyAI.
        """
        if _is_babyai(self._grid_env):
            raise UnknownBestReturnError("BabyAI's missions depend on more than the present grid")
        return shortest_success(self._grid_env, time_limit).reward

    def _arrays(self, observation: dict[str, Any]) -> dict[str, Any]:
        """Convert an observation of MiniGrid to arrays."""
        codes = self._whole_grid() if self._full else observation["image"]
        arrays = {"image": one_hot(codes), "direction": np.int64(observation["direction"])}
        if self._words:
            arrays["mission"] = self._word_indices(observation["mission"])
        return arrays

    def _whole_grid(self) -> NDArray[np.uint8]:
        """Encode kind, color and state of every cell, [width, height, 3]."""
        env = self._grid_env
        codes: NDArray[np.uint8] = env.grid.encode()
        codes[tuple(env.agent_pos)] = OBJECT_TO_IDX["agent"], COLOR_TO_IDX["red"], env.agent_dir
        return codes

    def _word_indices(self, mission: str) -> NDArray[np.int64]:
        """Return the indices of a mission's words, from 1 on, then zeros.  [MISSION_WORDS]."""
        indices = np.zeros(MISSION_WORDS, np.int64)
        words = mission.replace(",", " , ").split()
        indices[: len(words)] = [self._words[word] + 1 for word in words]
        return indices


def one_hot(codes: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Convert kind, color and state, [width, height, 3], to planes, [width, height, 21]."""
    return np.concatenate([planes[codes[..., i]] for i, planes in enumerate(PLANES)], axis=-1)


def register() -> None:
    """Register the ids of the package; importing it, as this module does, is enough."""


def make(id_: str, *, view: View = "partial", mission: Mission = "none", **arguments: Any) -> Env:
    """Make an environment of the package; see `MiniGrid` for `view` and `mission`."""
    env = MiniGrid(gym.make(id_, disable_env_checker=True, **arguments), view, mission)
    # The environment truncates its episodes itself; the wrapper makes the limit known.
    limit = env.unwrapped.max_steps  # type: ignore[attr-defined]  # of MiniGridEnv
    return TimeLimit(env, limit) if limit else env  # BabyAI's limit depends on the mission


def _is_babyai(env: MiniGridEnv) -> bool:
    return type(env).__module__.startswith("minigrid.envs.babyai.")
