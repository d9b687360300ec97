"""Environments for tests of action masks: they raise an error if a forbidden action is taken."""

from typing import Any, ClassVar

import gymnasium as gym
import numpy as np

PLACES = 6
NEVER = 3  # the action that is always forbidden


def allowed_at(place: int) -> Any:
    """The allowed actions in a place: never the last one, and 0 only in even places."""
    return np.array([place % 2 == 0, True, place % 3 > 0, False])


class Forbidding(gym.Env[Any, Any]):
    """A walk over a few places. Reaching the last one pays 1 and ends the episode.

    Args:
        observation: `state`: the number of the place. `vector`: place and elapsed steps.
        start: number of the first action.
        method: the method `action_masks` returns the masks; `info` has none.
        render_mode: `rgb_array`: pictures are black.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"]}  # type: ignore[misc]
    time_limit = 9  # steps

    def __init__(
        self,
        observation: str = "vector",
        start: int = 0,
        method: bool = False,
        render_mode: str | None = None,
    ):
        self.observation, self.render_mode = observation, render_mode
        self.action_space: Any = gym.spaces.Discrete(4, start=start)
        vector = gym.spaces.Box(0.0, 10.0, (2,), np.float32)
        numbers = gym.spaces.Discrete(PLACES)
        self.observation_space: Any = numbers if observation == "state" else vector
        self.place = self.steps = 0
        self.taken: list[int] = []  # numbers of the actions
        if method:
            self.action_masks = self.mask

    def mask(self) -> Any:
        """The mask, empty in the terminal place."""
        return allowed_at(self.place) & (self.place < PLACES - 1)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed, options=options)
        self.place, self.steps = int(self.np_random.integers(3)), 0
        return self._observe()

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        number = int(action) - int(self.action_space.start)
        if not self.mask()[number]:
            raise RuntimeError(f"action {number} is forbidden in place {self.place}")
        self.taken.append(number)
        self.place = max(0, self.place + (1 if self.np_random.random() < 0.6 else -1))
        self.steps += 1
        ended = self.place == PLACES - 1
        observation, info = self._observe()
        return observation, float(ended), ended, self.steps >= self.time_limit and not ended, info

    def render(self) -> Any:
        return np.zeros((8, 8, 3), np.uint8)

    def _observe(self) -> tuple[Any, dict[str, Any]]:
        info = {} if hasattr(self, "action_masks") else {"action_mask": self.mask()}
        if self.observation == "state":
            return self.place, info
        return np.array([self.place, self.steps], np.float32), info


class ForbiddingParts(Forbidding):
    """The same walk with actions of two parts; a mask joins the masks of both parts."""

    def __init__(self) -> None:
        super().__init__()
        self.action_space = gym.spaces.MultiDiscrete([3, 2])

    def mask(self) -> Any:
        """The masks of both parts, [3 + 2], empty in the terminal place."""
        parts = np.array([self.place % 2 == 0, True, False, True, self.place % 3 > 0])
        return parts & (self.place < PLACES - 1)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        mask = self.mask()
        if not (mask[action[0]] and mask[3 + action[1]]):
            raise RuntimeError(f"action {action} is forbidden in place {self.place}")
        self.place = max(0, self.place + (1 if self.np_random.random() < 0.6 else -1))
        self.steps += 1
        ended = self.place == PLACES - 1
        observation, info = self._observe()
        return observation, float(ended), ended, self.steps >= self.time_limit and not ended, info


class ForbiddingWorld(Forbidding):
    """The walk with its model, so that it has exact values."""

    time_limit = 1 << 30

    def __init__(self) -> None:
        super().__init__("state")

    # A model counts only if its class also defines the `reset` and `step` that run.
    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        return super().reset(seed=seed, options=options)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        observation, _, terminated, truncated, info = super().step(action)
        return observation, float(terminated) - 0.1 * int(action), terminated, truncated, info

    def transition_model(self) -> Any:
        """The table, the start distribution and the allowed actions; forbidden ones pay much."""
        allowed = np.array([allowed_at(s) for s in range(PLACES)])

        def outcomes(s: int, a: int) -> list[tuple[float, int, float, bool]]:
            if s == PLACES - 1:
                return [(1.0, s, 0.0, True)]
            extra = -0.1 * a if allowed[s, a] else 1000.0
            ends = s + 1 == PLACES - 1
            return [(0.6, s + 1, ends + extra, ends), (0.4, max(0, s - 1), extra, False)]

        table = {s: {a: outcomes(s, a) for a in range(4)} for s in range(PLACES)}
        start = np.isin(np.arange(PLACES), range(3)) / 3
        return table, start, allowed
