"""Atari games through the Arcade Learning Environment, seen as Mnih et al. saw them.

One step is four frames of the emulator, but for three in the Space Invaders of 2013.
Observations are the last four steps' frames, grey and 84 x 84, the oldest first; rewards are
raw. The picture for people is the game's own.

The whole screen is resized, in the protocol of 2013 as well (which cropped the playing area).
"""

import os
import sys
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from numpy.typing import NDArray

from gridcade.errors import InputError, unknown

FRAME_SKIP = 4  # unless the protocol has others for a game
STACK = 4  # frames in an observation
SCREEN = (210, 160)  # of most games; some differ by a few rows
MNIHS_GAMES = (  # of 2013
    "BeamRider",
    "Breakout",
    "Enduro",
    "Pong",
    "Qbert",
    "Seaquest",
    "SpaceInvaders",
)
EPISODES_PER_SEED = 64
GAMES_PER_THREAD = 8
ACTION_SETS = ("minimal", "full")
LOWER_PRIORITY = 5  # at 19 they would starve beside any other program
INSTALL = "Atari games need ale-py: pip install 'gridcade[atari]'"


@dataclass(frozen=True)
class Protocol:
    """How a game is played and seen."""

    about: str
    two_frame_max: bool  # against flicker: the brighter of the last two frames, both grey
    noop_max: int  # idle frames at the start, drawn from the game's seed
    sticky: float  # probability that the emulator repeats the previous action, each frame
    full_actions: bool  # all 18, or the game's own
    life_loss: bool  # ends bootstrapping
    max_frames: int = 18_000  # of a game: five minutes
    frames: Mapping[str, int] = field(default_factory=dict)  # a step, of games (ROM names)


PROTOCOLS = {
    "mnih2013": Protocol(
        about="Mnih et al. (2013): no two-frame maximum, no idle start, Space Invaders by 3 frames",
        two_frame_max=False,
        noop_max=0,
        sticky=0.0,
        full_actions=False,
        life_loss=True,
        frames={"space_invaders": 3},  # by 4 its blinking lasers were never seen
    ),
    "nature2015": Protocol(
        about="Mnih et al. (2015): two-frame maximum, up to 30 idle frames at the start",
        two_frame_max=True,
        noop_max=30,
        sticky=0.0,
        full_actions=False,
        life_loss=True,
    ),
    "machado2018": Protocol(
        about="Machado et al. (2018): sticky actions, all 18 actions, a life is not an episode",
        two_frame_max=True,
        noop_max=0,
        sticky=0.25,
        full_actions=True,
        life_loss=False,
    ),
}
DEFAULT_PROTOCOL = "nature2015"


def find_protocol(name: str) -> Protocol:
    """A protocol by its name; InputError, with the nearest one, if there is none."""
    if (said := str(name)) not in PROTOCOLS:  # `?protocol=2015` is a number
        raise unknown("protocol", said, PROTOCOLS)
    return PROTOCOLS[said]


def settled(name: str, actions: str | None = None, sticky: float | None = None) -> Protocol:
    """A protocol, with another set of actions or other sticky actions where they are given.

    Raises:
        InputError: no such protocol or set of actions, or `sticky` is no probability below 1.
    """
    protocol = find_protocol(name)
    if actions not in (None, *ACTION_SETS):
        raise unknown("action set", str(actions), ACTION_SETS)
    if actions is not None:
        protocol = replace(protocol, full_actions=actions == "full")
    if sticky is None:
        return protocol
    if isinstance(sticky, bool) or not isinstance(sticky, int | float) or not 0 <= sticky < 1:
        raise InputError(f"sticky is {sticky}; it is a probability, 0 or more and below 1")
    return replace(protocol, sticky=float(sticky))


def known_games() -> list[str]:
    """The titles of the games there are; none without ale-py."""
    if find_spec("ale_py") is None:
        return []
    return [rom.title().replace("_", "") for rom in _roms()]


def rom_name(game: str) -> str:
    """`SpaceInvaders` -> `space_invaders`.

    Raises:
        InputError: ale-py is not installed, or knows no such game.
    """
    known = {rom.replace("_", ""): rom for rom in _roms()}
    if game.lower() not in known:
        raise unknown("game", game, known_games())
    return known[game.lower()]


def _roms() -> list[str]:
    try:
        from ale_py import roms
    except ImportError:
        raise InputError(INSTALL) from None
    return sorted(roms.get_all_rom_ids())


class AtariGames(VectorEnv[NDArray[np.uint8], NDArray[np.int64], NDArray[Any]]):
    """Several emulators of one game, which run without Python's lock.

    Observations: uint8, [n, 4, 84, 84]. A game that ended is reset by a masked reset, never by
    itself. `info["life_lost"]` tells, where the protocol cares, whose life was lost without the
    game's end, [n].

    An emulator takes a seed by loading its cartridge again, 90 ms or 200 steps; a reset without
    one takes 6. Without sticky actions all that a seed decides is how many idle frames each of the
    games after it has, however they are played: so `episodes_per_seed` of them may follow one seed.

    Args:
        game: its title, such as `Breakout`.
        count: emulators.
        protocol: one of PROTOCOLS.
        actions: `full`, all 18; `minimal`, the game's own; None: as the protocol has it.
        sticky: probability that the emulator repeats the previous action, each frame; None: as the
            protocol has it.
        threads: that the emulators share; None: one for each eight, as far as there are cores.
        native: the game's own picture instead, [n, 1, height, width, 3].
    """

    def __init__(
        self,
        game: str,
        count: int,
        protocol: str = DEFAULT_PROTOCOL,
        actions: str | None = None,
        sticky: float | None = None,
        threads: int | None = None,
        native: bool = False,
    ):
        self.protocol = settled(protocol, actions, sticky)
        rom = rom_name(game)
        self.frame_skip = self.protocol.frames.get(rom, FRAME_SKIP)
        from ale_py.vector_env import AtariVectorEnv
        from joblib import cpu_count  # of those that the process may use

        if threads is None:
            threads = max(min(count // GAMES_PER_THREAD, cpu_count()), 1)
        height, width, stack = (*SCREEN, 1) if native else (84, 84, STACK)
        self._games = with_low_priority(
            AtariVectorEnv,
            rom,
            count,
            num_threads=threads,
            max_num_frames_per_episode=self.protocol.max_frames,
            repeat_action_probability=self.protocol.sticky,
            full_action_space=self.protocol.full_actions,
            # a masked reset comes before the step that would reset an ended game by itself
            autoreset_mode=AutoresetMode.NEXT_STEP,
            grayscale=not native,
            frameskip=self.frame_skip,
            maxpool=self.protocol.two_frame_max,
            noop_max=self.protocol.noop_max,
            episodic_life=False,
            reward_clipping=False,
            use_fire_reset=False,
            img_height=height,
            img_width=width,
            stack_num=stack,
        )
        self.episodes_per_seed = 1 if self.protocol.sticky else EPISODES_PER_SEED
        self.num_envs = count
        self.single_observation_space = self._games.single_observation_space
        self.observation_space = self._games.observation_space
        self.single_action_space = self._games.single_action_space
        self.action_space = self._games.action_space
        self.metadata = {"autoreset_mode": AutoresetMode.DISABLED}
        self._lives = np.zeros(count, dtype=np.int64)

    def reset(
        self, *, seed: Any = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.uint8], dict[str, Any]]:
        """Reset all games, or those of `options["reset_mask"]`; `seed` has one entry a game."""
        mask = np.ones(self.num_envs, dtype=bool)
        if options and "reset_mask" in options:
            mask = options["reset_mask"]
        seeds = None if seed is None else np.asarray(seed)[mask]
        observations, info = self._games.reset(seed=seeds, options={"reset_mask": mask})
        self._lives = np.array(info["lives"])
        return np.array(observations), info

    def step(self, actions: NDArray[np.int64]) -> Any:
        """Observations [n, 4, 84, 84], raw rewards, terminated, truncated, [n] each, and info."""
        played = self._games.step(np.asarray(actions, dtype=np.int64))
        observations, rewards, terminated, truncated, info = played
        lives = np.array(info["lives"])
        lost = (lives < self._lives) & ~terminated & self.protocol.life_loss
        self._lives = lives
        return (
            np.array(observations),
            np.asarray(rewards, dtype=np.float64),
            np.array(terminated, dtype=bool),
            np.array(truncated, dtype=bool),
            {"life_lost": lost},
        )


def with_low_priority(make: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """Make something whose threads give way to those that learn.

    A learner that computes beside its emulators would be held up by them; it waits for them anyway
    when it is done. On Linux, where threads inherit the priority of the one that starts them.
    """

    def low() -> Any:
        if sys.platform == "linux":
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOWER_PRIORITY)
        return make(*arguments, **named)

    with ThreadPoolExecutor(1) as apart:
        return apart.submit(low).result()


class AtariGame(gym.Env[NDArray[np.uint8], np.int64]):
    """One game, as any Gymnasium environment; drawn in its own colours.

    The picture comes from a second emulator with the same seed and the same actions.

    Args:
        game: its title, such as `Breakout`.
        protocol: one of PROTOCOLS.
        actions: `full`, all 18; `minimal`, the game's own; None: as the protocol has it.
        sticky: probability that the emulator repeats the previous action, each frame; None: as the
            protocol has it.
        render_mode: `rgb_array`, or None.
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
        given = (game, 1, protocol, actions, sticky)
        self._games = AtariGames(*given)
        self._shown = AtariGames(*given, native=True) if render_mode else None
        self.render_mode = render_mode
        self.observation_space = self._games.single_observation_space
        self.action_space = self._games.single_action_space
        self.frame_skip = self._games.frame_skip
        self.time_limit = self._games.protocol.max_frames // self.frame_skip
        self.metadata = {**self.metadata, "render_fps": 60 / self.frame_skip}
        self.notes = []
        now, its = self._games.protocol, find_protocol(protocol)
        if now.sticky != its.sticky:
            self.notes.append(f"sticky actions {now.sticky:g}, where {protocol} has {its.sticky:g}")
        if now.full_actions != its.full_actions:
            usual: Any = AtariGames(game, 1, protocol).single_action_space
            if (count := int(self.action_space.n)) != usual.n:  # type: ignore[attr-defined]
                self.notes.append(f"played with {count} actions, where {protocol} has {usual.n}")
        self.stack = STACK
        self._picture: NDArray[np.uint8] | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.uint8], dict[str, Any]]:
        """Begin a game."""
        super().reset(seed=seed, options=options)
        drawn = int(self.np_random.integers(1 << 31)) if seed is None else seed
        observations, _ = self._games.reset(seed=[drawn])
        if self._shown is not None:
            self._picture = self._shown.reset(seed=[drawn])[0][0, -1]
        return observations[0], {}

    def step(self, action: Any) -> tuple[NDArray[np.uint8], float, bool, bool, dict[str, Any]]:
        """Take one step."""
        actions = np.array([int(action)])
        observations, rewards, terminated, truncated, info = self._games.step(actions)
        if self._shown is not None:
            self._picture = self._shown.step(actions)[0][0, -1]
        lost = {"life_lost": bool(info["life_lost"][0])}
        return observations[0], float(rewards[0]), bool(terminated[0]), bool(truncated[0]), lost

    def render(self) -> Any:
        """The game's own picture: uint8, height x width x 3."""
        return self._picture
