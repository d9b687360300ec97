"""Atari games in the Arcade Learning Environment (ALE), with the preprocessing of Mnih et al.

One step is four frames of the emulator (three for Space Invaders in the protocol of 2013).
An observation is the frames of the last four steps, gray, 84 x 84, the oldest first. Rewards are
raw. `render()` shows the game's own screen in color.

All protocols resize the whole screen, although Mnih et al. (2013) cropped the playing area.
"""

import os
import sys
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from typing import Any, TypeVar

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from numpy.typing import ArrayLike, NDArray

from gridcade.envs.arguments import is_number
from gridcade.envs.types import Array
from gridcade.errors import InputError, unknown

FRAME_SKIP = 4  # frames per step, unless the protocol has another number for a game
STACK = 4  # frames in an observation
OBSERVATION_SIZE = 84  # height and width in pixels
SCREEN_SIZE = (210, 160)  # height and width in pixels of most games; some have a few rows more
MNIH2013_GAMES = (
    "BeamRider",
    "Breakout",
    "Enduro",
    "Pong",
    "Qbert",
    "Seaquest",
    "SpaceInvaders",
)
EPISODES_PER_SEED = 64
EMULATORS_PER_THREAD = 8
ACTION_SETS = ("minimal", "full")
NEEDS_TWO = {"combat", "joust", "maze_craze", "warlords"}  # ale-py ends the process: two players
EMULATOR_NICENESS = 5  # with 19, emulators would get hardly any time beside another program
INSTALL = "Atari games require ale-py; install it: pip install 'gridcade[atari]'"

T = TypeVar("T")
StepResult = tuple[
    NDArray[np.uint8], NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]
]


@dataclass(frozen=True)
class AtariProtocol:
    """An evaluation protocol: how games are preprocessed, started and ended."""

    about: str
    two_frame_max: bool  # pixel-wise maximum of the last two gray frames, against flicker
    noop_max: int  # largest number of no-op frames at a game's start; the seed selects a number
    sticky: float  # probability per frame that the emulator repeats the previous action
    full_actions: bool  # all 18 actions; else the game's minimal set
    life_loss: bool  # whether agents treat the loss of a life as the end of an episode
    max_frames: int = 18_000  # frames after which a game is truncated: five minutes
    frame_skip_by_rom: Mapping[str, int] = field(default_factory=dict)  # where not FRAME_SKIP


PROTOCOLS = {
    "mnih2013": AtariProtocol(
        about="Mnih et al. (2013): no two-frame maximum, no no-op start, "
        "frame skip 3 in Space Invaders",
        two_frame_max=False,
        noop_max=0,
        sticky=0.0,
        full_actions=False,
        life_loss=True,
        frame_skip_by_rom={"space_invaders": 3},  # with 4, its blinking lasers are invisible
    ),
    "nature2015": AtariProtocol(
        about="Mnih et al. (2015): two-frame maximum, up to 30 no-op frames at the start",
        two_frame_max=True,
        noop_max=30,
        sticky=0.0,
        full_actions=False,
        life_loss=True,
    ),
    "machado2018": AtariProtocol(
        about="Machado et al. (2018): sticky actions, all 18 actions, "
        "the loss of a life does not end an episode",
        two_frame_max=True,
        noop_max=0,
        sticky=0.25,
        full_actions=True,
        life_loss=False,
    ),
}
DEFAULT_PROTOCOL = "nature2015"


def resolve_protocol(
    name: str, actions: str | None = None, sticky: float | None = None
) -> AtariProtocol:
    """Find a protocol by name and override its action set or its sticky actions.

    Args:
        name: a key of `PROTOCOLS`.
        actions: `full` or `minimal`. Default: the protocol's.
        sticky: probability that the emulator repeats the previous action. Default: the protocol's.

    Raises:
        InputError: the protocol or action set does not exist, or `sticky` is invalid.
    """
    name = str(name)  # `?protocol=2015` is parsed as a number
    if name not in PROTOCOLS:
        raise unknown("protocol", name, PROTOCOLS)
    protocol = PROTOCOLS[name]
    if actions is not None:
        if actions not in ACTION_SETS:
            raise unknown("action set", str(actions), ACTION_SETS)
        protocol = replace(protocol, full_actions=actions == "full")
    if sticky is not None:
        if not (is_number(sticky) and 0 <= sticky < 1):
            raise InputError(f"sticky is {sticky}; it must be at least 0 and less than 1")
        protocol = replace(protocol, sticky=float(sticky))
    return protocol


def known_games() -> list[str]:
    """List the titles of all games, such as `SpaceInvaders`; empty if ale-py is not installed."""
    if find_spec("ale_py") is None:
        return []
    return [rom.title().replace("_", "") for rom in _rom_names()]


def rom_name(game: str) -> str:
    """Convert a game's title to its ROM name: `SpaceInvaders` -> `space_invaders`.

    Raises:
        InputError: ale-py is not installed, or the game does not exist.
    """
    roms = {rom.replace("_", ""): rom for rom in _rom_names()}
    if game.lower() not in roms:
        raise unknown("game", game, known_games())
    return roms[game.lower()]


def _rom_names() -> list[str]:
    try:
        from ale_py import roms
    except ImportError:
        raise InputError(INSTALL) from None
    return sorted({*roms.get_all_rom_ids()} - NEEDS_TWO)


class AtariGames(VectorEnv[NDArray[np.uint8], NDArray[np.int64], Array]):
    """Several emulators of one game, run by threads that do not hold Python's global lock.

    Observations: uint8, [num_envs, 4, 84, 84]. An ended game must be reset with a mask:
    `reset(seed=seeds, options={"reset_mask": mask})`; it does not reset itself.

    `info["life_lost"]`, [num_envs], marks games that lost a life and go on, if the protocol counts
    lost lives.

    `episodes_per_seed` says how many episodes may follow a reset with a seed before the next one.
    It is 1 with sticky actions. Without them it is greater, because a seed determines only the
    numbers of no-op frames in this game and those that follow it, and a reset with a seed reloads
    the ROM: it takes as long as 200 steps, a reset without one as long as 6.

    Args:
        game: the game's title, such as `Breakout`.
        num_envs: number of emulators.
        protocol: a key of `PROTOCOLS`.
        actions: `full`, all 18 actions, or `minimal`, the game's own. Default: the protocol's.
        sticky: probability per frame that the emulator repeats the previous action. Default: the
            protocol's.
        num_threads: threads for the emulators. Default: one for every eight emulators, but no more
            than the process has cores.
        color: observe the current screen in color, [num_envs, 1, height, width, 3].

    Raises:
        InputError: ale-py is not installed, or an argument is invalid.
    """

    def __init__(
        self,
        game: str,
        num_envs: int,
        protocol: str = DEFAULT_PROTOCOL,
        actions: str | None = None,
        sticky: float | None = None,
        num_threads: int | None = None,
        color: bool = False,
    ):
        self.protocol = resolve_protocol(protocol, actions, sticky)
        rom = rom_name(game)
        self.frame_skip = self.protocol.frame_skip_by_rom.get(rom, FRAME_SKIP)
        from ale_py.vector_env import AtariVectorEnv
        from joblib import cpu_count  # unlike os.cpu_count, counts only the cores of this process

        if num_threads is None:
            num_threads = max(min(num_envs // EMULATORS_PER_THREAD, cpu_count()), 1)
        height, width = SCREEN_SIZE if color else (OBSERVATION_SIZE, OBSERVATION_SIZE)
        self._emulators = with_low_priority(
            AtariVectorEnv,
            rom,
            num_envs,
            num_threads=num_threads,
            max_num_frames_per_episode=self.protocol.max_frames,
            repeat_action_probability=self.protocol.sticky,
            full_action_space=self.protocol.full_actions,
            # A masked reset always comes before the step in which an ended game would reset itself.
            autoreset_mode=AutoresetMode.NEXT_STEP,
            grayscale=not color,
            frameskip=self.frame_skip,
            maxpool=self.protocol.two_frame_max,
            noop_max=self.protocol.noop_max,
            episodic_life=False,
            reward_clipping=False,
            use_fire_reset=False,
            img_height=height,
            img_width=width,
            stack_num=1 if color else STACK,
        )
        self.episodes_per_seed = 1 if self.protocol.sticky else EPISODES_PER_SEED
        self.num_envs = num_envs
        self.single_observation_space = self._emulators.single_observation_space
        self.observation_space = self._emulators.observation_space
        self.single_action_space = self._emulators.single_action_space
        self.action_space = self._emulators.action_space
        self.metadata = {"autoreset_mode": AutoresetMode.DISABLED}
        self._lives = np.zeros(num_envs, dtype=np.int64)

    @property
    def action_names(self) -> list[str]:
        """The name of each action, such as `FIRE`."""
        return [action.name for action in self._emulators.ale.get_action_set()]

    def reset(
        self, *, seed: ArrayLike | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.uint8], dict[str, Any]]:
        """Start new games.

        Args:
            seed: one seed for each environment.  [num_envs].
            options: `reset_mask`, bool, [num_envs], selects the games to reset. Default: all.

        Returns:
            The observations of all games, and the emulators' info.
        """
        mask = np.ones(self.num_envs, dtype=bool)
        if options and "reset_mask" in options:
            mask = options["reset_mask"]
        seeds = None if seed is None else np.asarray(seed)[mask]
        observations, info = self._emulators.reset(seed=seeds, options={"reset_mask": mask})
        self._lives = np.array(info["lives"])
        return np.array(observations), info

    def step(self, actions: NDArray[np.int64]) -> StepResult:
        """Take one step in every game; see `step_wait`."""
        self.step_async(actions)
        return self.step_wait()

    def step_async(self, actions: NDArray[np.int64]) -> None:
        """Start one step in every game and return while the emulators' threads run it."""
        self._emulators.send(np.asarray(actions, dtype=np.int64))

    def step_wait(self) -> StepResult:
        """Wait for the step that `step_async` started.

        Returns:
            Observations, raw rewards, terminated, truncated and info; see the class.
        """
        observations, rewards, terminated, truncated, info = self._emulators.recv()
        terminated = np.array(terminated, dtype=bool)
        lives = np.array(info["lives"])
        life_lost = (lives < self._lives) & ~terminated & self.protocol.life_loss
        self._lives = lives
        return (
            np.array(observations),
            np.asarray(rewards, dtype=np.float64),
            terminated,
            np.array(truncated, dtype=bool),
            {"life_lost": life_lost},
        )


def with_low_priority(function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """Call a function so that the threads it starts run with low priority.

    Emulators with normal priority would slow down a learner that runs at the same time, and the
    learner waits for them afterwards anyway. This has an effect only on Linux, where a thread
    inherits the priority of the thread that starts it.
    """

    def call() -> T:
        if sys.platform == "linux":
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), EMULATOR_NICENESS)
        return function(*args, **kwargs)

    with ThreadPoolExecutor(1) as executor:
        return executor.submit(call).result()


class AtariGame(gym.Env[NDArray[np.uint8], np.int64]):
    """One Atari game, as a Gymnasium environment.

    Rendering uses a second emulator, with the same seed and the same actions, that shows the
    screen in color.

    Attributes:
        frame_skip: frames per step.
        stack: frames in an observation.
        time_limit: steps after which a game is truncated.
        notes: differences from the protocol that evaluations should report.

    Args:
        game: the game's title, such as `Breakout`.
        protocol: a key of `PROTOCOLS`.
        actions: `full`, all 18 actions, or `minimal`, the game's own. Default: the protocol's.
        sticky: probability per frame that the emulator repeats the previous action. Default: the
            protocol's.
        render_mode: `rgb_array` or None.

    Raises:
        InputError: ale-py is not installed, or an argument is invalid.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"]}  # noqa: RUF012 - as Gymnasium has it

    def __init__(
        self,
        game: str = "Breakout",
        protocol: str = DEFAULT_PROTOCOL,
        actions: str | None = None,
        sticky: float | None = None,
        render_mode: str | None = None,
    ):
        self._games = AtariGames(game, 1, protocol, actions, sticky)
        self._screen_games = (
            AtariGames(game, 1, protocol, actions, sticky, color=True) if render_mode else None
        )
        self.render_mode = render_mode
        self.observation_space = self._games.single_observation_space
        self.action_space = self._games.single_action_space
        self.frame_skip = self._games.frame_skip
        self.stack = STACK
        self.time_limit = self._games.protocol.max_frames // self.frame_skip
        self.metadata = {**self.metadata, "render_fps": 60 / self.frame_skip}
        self.notes = self._differences(game, protocol)
        self._screen: NDArray[np.uint8] | None = None

    def _differences(self, game: str, protocol: str) -> list[str]:
        """Describe the differences from the protocol without overrides."""
        notes = []
        resolved, original = self._games.protocol, resolve_protocol(protocol)
        if resolved.sticky != original.sticky:
            notes.append(
                f"sticky actions with probability {resolved.sticky:g}; "
                f"{protocol} has {original.sticky:g}"
            )
        if resolved.full_actions != original.full_actions:
            count = _num_actions(self._games)
            usual = _num_actions(AtariGames(game, 1, protocol))
            if count != usual:  # some games use all 18 actions
                notes.append(f"played with {count} actions; {protocol} has {usual}")
        return notes

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.uint8], dict[str, Any]]:
        """Start a game."""
        super().reset(seed=seed, options=options)
        game_seed = int(self.np_random.integers(1 << 31)) if seed is None else seed
        observations, _ = self._games.reset(seed=[game_seed])
        if self._screen_games is not None:
            self._screen = self._screen_games.reset(seed=[game_seed])[0][0, -1]
        return observations[0], {}

    def get_action_meanings(self) -> list[str]:
        """Return the name of each action, such as `FIRE`, under Gymnasium's name."""
        return self._games.action_names

    def step(self, action: Any) -> tuple[NDArray[np.uint8], float, bool, bool, dict[str, Any]]:
        """Take one step; `info["life_lost"]` is as in `AtariGames`."""
        actions = np.array([int(action)])
        observations, rewards, terminated, truncated, info = self._games.step(actions)
        if self._screen_games is not None:
            self._screen = self._screen_games.step(actions)[0][0, -1]
        return (
            observations[0],
            float(rewards[0]),
            bool(terminated[0]),
            bool(truncated[0]),
            {"life_lost": bool(info["life_lost"][0])},
        )

    def render(self) -> Any:
        """Return the screen in color, uint8, [height, width, 3]; None without a render mode."""
        return self._screen


def _num_actions(games: AtariGames) -> int:
    return int(games.single_action_space.n)  # type: ignore[attr-defined]
