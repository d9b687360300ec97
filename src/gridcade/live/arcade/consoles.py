"""Consoles of the Arcade page: environments that show their screens, step by step."""

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gridcade.envs import registry
from gridcade.envs.actions import finite_actions
from gridcade.envs.atari import STACK, AtariGame
from gridcade.envs.atari_console import AtariConsole
from gridcade.envs.masks import MaskReader
from gridcade.envs.types import Env
from gridcade.recording.frames import frame_rate, render_picture

Screens = NDArray[np.uint8]  # [frames, height, width] of palette indices, or [..., 3] of RGB
FRAMES_PER_SECOND = 60  # of an Atari console
LONGEST_GAME = 10_000  # steps of an environment without a time limit


class Outcome(NamedTuple):
    """The result of one step."""

    observation: Any
    reward: float
    terminated: bool
    truncated: bool
    life_lost: bool = False


class Console(ABC):
    """An environment in which a game can be played, and continued from any step of it.

    Attributes:
        frames_per_step: number of screens that a step shows.
        steps_per_second: steps per second at native speed.
        time_limit: largest number of steps of a game.
        palette: red, green and blue of the numbers in the screens, [256, 3]; None: screens are RGB.
        stack: number of frames in an observation; 0: observations are not stacks of frames.
        mask: actions that are allowed at present, [actions]; None: all.
        saves: whether states can be saved. Otherwise, going back to a step takes a `reset` and the
            same actions.
    """

    frames_per_step: int = 1
    steps_per_second: float
    time_limit: int
    palette: NDArray[np.uint8] | None = None
    stack: int = 0
    mask: NDArray[np.bool_] | None = None
    saves: bool = False

    @property
    def lives(self) -> int | None:
        """Number of lives that are left; None: the environment does not count lives."""
        return None

    @abstractmethod
    def reset(self, seed: int) -> Any:
        """Start a game, and return the first observation."""

    @abstractmethod
    def step(self, action: Any) -> Outcome:
        """Take one step."""

    @abstractmethod
    def screens(self) -> Screens:
        """Return the screens of the last step; after a reset or a restore, only the last one."""

    def save(self) -> Any:
        """Return the state of the game."""
        raise NotImplementedError

    def restore(self, state: Any) -> Any:
        """Restore a state that `save` returned, and return its observation."""
        raise NotImplementedError


class GymConsole(Console):
    """Any environment that draws itself as rgb_array. Its state cannot be saved.

    Args:
        env: an environment with render_mode="rgb_array".
    """

    def __init__(self, env: Env):
        self._env, self._reader = env, MaskReader(env)
        self._actions = finite_actions(env.action_space)
        self.steps_per_second = frame_rate(env)
        self.time_limit = registry.time_limit(env) or LONGEST_GAME

    def reset(self, seed: int) -> Any:
        """Start a game, and return the first observation."""
        observation, info = self._env.reset(seed=seed)
        self.mask = self._reader.after_reset(info)
        return observation

    def step(self, action: Any) -> Outcome:
        """Take one step. If actions can be numbered, `action` is a number."""
        if self._actions is not None:
            action = self._actions.decode(action)
        observation, reward, terminated, truncated, info = self._env.step(action)
        self.mask = self._reader.after_step(info, bool(terminated), bool(truncated))
        return Outcome(observation, float(reward), bool(terminated), bool(truncated))

    def screens(self) -> Screens:
        """Return the present picture.  [1, height, width, 3]."""
        return render_picture(self._env)[None]


class GameConsole(Console):
    """An Atari game, whose state can be saved.

    Args:
        emulator: emulator that plays the game.
    """

    saves = True
    stack = STACK

    def __init__(self, emulator: AtariConsole):
        self.emulator = emulator
        self._screens: Screens
        self.frames_per_step = emulator.frame_skip
        self.steps_per_second = FRAMES_PER_SECOND / emulator.frame_skip
        self.time_limit = emulator.time_limit
        self.palette = emulator.palette

    @property
    def lives(self) -> int | None:
        """Number of lives that are left."""
        return self.emulator.lives

    def reset(self, seed: int) -> Any:
        """Start a game, and return the first observation."""
        observation = self.emulator.reset(seed)
        self._screens = self.emulator.screen[None]
        return observation

    def step(self, action: Any) -> Outcome:
        """Take one step."""
        step = self.emulator.step(action)
        self._screens = step.screens
        return Outcome(*step[:5])

    def screens(self) -> Screens:
        """Return the screens of the last step; after a reset or a restore, only the last one."""
        return self._screens

    def save(self) -> Any:
        """Return the state of the game."""
        return self.emulator.save()

    def restore(self, state: Any) -> Any:
        """Restore a state that `save` returned, and return its observation."""
        self.emulator.restore(state)
        self._screens = self.emulator.screen[None]
        return self.emulator.observation


def find_console(env: Env) -> Console:
    """Find the console for an environment with render_mode="rgb_array"."""
    world = env.unwrapped
    if not isinstance(world, AtariGame):
        return GymConsole(env)
    assert env.spec is not None  # noqa: S101 - for the type checker
    title = registry.atari_title(env.spec.id)
    return GameConsole(AtariConsole(title, **env.spec.kwargs))
