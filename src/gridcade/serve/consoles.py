"""Consoles of the Arcade page: environments that show their screens, step by step."""

from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from gridcade.envs import registry
from gridcade.envs.atari import STACK, AtariGame
from gridcade.envs.atari_console import AtariConsole
from gridcade.envs.types import Array, Env
from gridcade.recording.frames import DEFAULT_FPS, render_picture

Screens = NDArray[np.uint8]  # [frames, height, width] of palette indices, or [..., 3] of RGB
FRAMES_PER_SECOND = 60  # of an Atari console
LONGEST_GAME = 10_000  # steps of an environment without a time limit


class Outcome(NamedTuple):
    """What one step led to."""

    observation: Any
    reward: float
    terminated: bool
    truncated: bool
    life_lost: bool = False


class Console(Protocol):
    """An environment in which a game can be played, and continued from a step of it."""

    frames_per_step: int
    steps_per_second: float  # at native speed
    time_limit: int  # steps
    palette: NDArray[np.uint8] | None  # [256, 3]; None: screens are RGB
    stack: int  # frames of an observation; 0: observations are no stacks of frames
    saves: bool  # whether its state can be saved
    lives: int | None  # at present; None: the environment counts none

    def reset(self, seed: int) -> Any:
        """Start a game; returns the first observation."""
        ...

    def step(self, action: Any) -> Outcome:
        """Take one step."""
        ...

    def screens(self) -> Screens:
        """The screens since the last step; after a reset, the first one."""
        ...

    def save(self) -> Any:
        """The state of the game; None if it cannot be saved: then `reset` and the actions lead to it."""
        ...

    def restore(self, state: Any) -> Any:
        """Restore what `save` returned; returns the observation."""
        ...


class GymConsole:
    """Any environment that draws itself as rgb_array. Its state cannot be saved.

    Args:
        env: an environment with render_mode="rgb_array".
    """

    palette = None
    stack = 0
    saves = False
    lives = None
    frames_per_step = 1

    def __init__(self, env: Env):
        self._env = env
        self.steps_per_second = float(env.metadata.get("render_fps") or DEFAULT_FPS)
        self.time_limit = registry.time_limit(env) or LONGEST_GAME

    def reset(self, seed: int) -> Any:
        """Start a game; returns the first observation."""
        return self._env.reset(seed=seed)[0]

    def step(self, action: Any) -> Outcome:
        """Take one step."""
        observation, reward, terminated, truncated, _ = self._env.step(action)
        return Outcome(observation, float(reward), bool(terminated), bool(truncated))

    def screens(self) -> Screens:
        """The present picture.  [1, height, width, 3]."""
        return render_picture(self._env)[None]

    def save(self) -> None:
        """Return None: the state of any environment cannot be saved."""

    def restore(self, state: Array) -> Any:
        """Never called, as `save` returns no state."""
        raise NotImplementedError


class GameConsole:
    """An Atari game, whose state can be saved.

    Args:
        console: plays it.
    """

    saves = True
    stack = STACK

    def __init__(self, console: AtariConsole):
        self._console = console
        self._screens: Screens
        self.frames_per_step = console.frame_skip
        self.steps_per_second = FRAMES_PER_SECOND / console.frame_skip
        self.time_limit = console.time_limit
        self.palette: NDArray[np.uint8] | None = console.palette

    @property
    def lives(self) -> int | None:
        """Lives that are left."""
        return self._console.lives

    def reset(self, seed: int) -> Any:
        """Start a game; returns the first observation."""
        observation = self._console.reset(seed)
        self._screens = self._console.screen[None]
        return observation

    def step(self, action: Any) -> Outcome:
        """Take one step."""
        *outcome, _, self._screens = self._console.step(action)
        return Outcome(*outcome)

    def screens(self) -> Screens:
        """The screens of the last step's frames; after a reset or restore, the last one."""
        return self._screens

    def save(self) -> Any:
        """The state of the game."""
        return self._console.save()

    def restore(self, state: Any) -> Any:
        """Restore what `save` returned; returns the observation."""
        self._console.restore(state)
        self._screens = self._console.screen[None]
        return self._console.observation


def find_console(env: Env) -> Console:
    """Find the console for an environment with render_mode="rgb_array"."""
    world = env.unwrapped
    if not isinstance(world, AtariGame):
        return GymConsole(env)
    assert env.spec is not None  # noqa: S101 - for the type checker
    title = registry.atari_title(env.spec.id)
    return GameConsole(AtariConsole(title, **env.spec.kwargs))
