"""One Atari game that can be saved at any step and restored.

`AtariConsole` plays the games of `AtariGames`, with the same observations, rewards and ends for the
same seed and actions, bit for bit, on an emulator whose state can be copied. It also returns every
screen that the emulator draws; an observation uses only the last one or two screens of a step.

It samples sticky actions itself. The emulator would sample the same ones, but its copied state
lacks the action that it repeats. In Berzerk and DoubleDunk, the emulator selects the mode by
actions before a game begins. These actions use random numbers, too, so with sticky actions the
games differ from those of `AtariGames` with the same seed.

ale-py 0.12.1 restores two things wrongly (its pull request 732 corrects both): the score in
MiniatureGolf, and, where a game leaves a screen unfinished, pixels of the next frames. In random
play, such pixels appeared in YarsRevenge and TicTacToe3D, and in no other game.
"""

from dataclasses import dataclass
from functools import partial, reduce
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gridcade.envs.area_resize import resize_area
from gridcade.envs.atari import (
    DEFAULT_PROTOCOL,
    FRAME_SKIP,
    OBSERVATION_SIZE,
    STACK,
    AtariGames,
    resolve_protocol,
    rom_name,
)
from gridcade.envs.atari_palette import palette

if TYPE_CHECKING:
    from ale_py import ALEState

Pixels = NDArray[np.uint8]

NOOP = 0  # the action that does nothing, of both action sets


class ConsoleStep(NamedTuple):
    """One step of a game."""

    observation: Pixels  # [4, 84, 84]
    reward: float  # raw
    terminated: bool
    truncated: bool
    life_lost: bool  # whether a life was lost and the game goes on; False if lives do not count
    lives: int  # lives left
    screens: Pixels  # one per frame, [frames, height, width]: color indices, see `palette`


@dataclass(frozen=True, eq=False)
class ConsoleState:
    """Everything that a game's future depends on. Its arrays must not be changed.

    It can be pickled.
    """

    emulator: "ALEState"
    frames: tuple[Pixels, ...]  # the observation, oldest first, [84, 84] each
    gray: Pixels  # the last screen, or the maximum of the last two, in gray.  [height, width]
    screen: Pixels  # the last screen: color indices.  [height, width]
    frame: int  # frames since the start of the game
    lives: int  # lives left
    repeated: int  # the action that a sticky action repeats
    repeats: NDArray[np.bool_]  # frames in which a sticky action repeats it.  [max_frames]


class AtariConsole:
    """One game that can be saved and restored.

    Attributes:
        protocol: the settings of the protocol.
        action_names: the name of each action, such as `FIRE`.
        frame_skip: frames per step; a game can end within a step.
        time_limit: steps after which a game is truncated.
        palette: red, green and blue of each color index, uint8, [256, 3].

    Args:
        game: the game's title, such as `Breakout`.
        protocol: a key of `PROTOCOLS`.
        actions: `full`, all 18 actions, or `minimal`, the game's own. Default: the protocol's.
        sticky: probability per frame that the emulator repeats the previous action. Default: the
            protocol's.

    Raises:
        InputError: ale-py is not installed, or an argument is invalid.
    """

    def __init__(
        self,
        game: str,
        protocol: str = DEFAULT_PROTOCOL,
        actions: str | None = None,
        sticky: float | None = None,
    ):
        self.protocol = resolve_protocol(protocol, actions, sticky)
        rom = rom_name(game)
        from ale_py import ALEInterface, LoggerMode, roms

        ALEInterface.setLoggerMode(LoggerMode.Error)
        self._rom = str(roms.get_rom_path(rom))
        self._emulator = ALEInterface()
        self._emulator.setFloat("repeat_action_probability", 0.0)
        self._emulator.loadROM(self._rom)
        self._actions = (
            self._emulator.getLegalActionSet()
            if self.protocol.full_actions
            else self._emulator.getMinimalActionSet()
        )
        self.action_names = [action.name for action in self._actions]
        self.frame_skip = self.protocol.frame_skip_by_rom.get(rom, FRAME_SKIP)
        self.time_limit = self.protocol.max_frames // self.frame_skip
        self.palette = palette(self._emulator.getScreenDims()[0])
        self._games = partial(AtariGames, game, 1, protocol, actions, sticky)
        self._starts: AtariGames | None = None
        self._frames: tuple[Pixels, ...]
        self._gray: Pixels
        self._screen: Pixels
        self._repeats: NDArray[np.bool_]
        self._frame = self._lives = self._repeated = 0

    @property
    def observation(self) -> Pixels:
        """The frames of the last four steps, oldest first.  uint8, [4, 84, 84]."""
        return np.stack(self._frames)

    @property
    def screen(self) -> Pixels:
        """The last screen, as color indices.  uint8, [height, width]."""
        return self._screen

    @property
    def lives(self) -> int:
        """Number of lives left."""
        return self._lives

    def reset(self, seed: int) -> Pixels:
        """Start a game, the same one as `AtariGames` with this seed.

        Returns:
            The first observation, uint8, [4, 84, 84].
        """
        self._emulator.loadROM(self._rom)  # resets memory that a reset of the game leaves random
        self._emulator.reset_game()
        no_ops = self._no_ops(seed)
        for _ in range(no_ops):
            self._emulator.act(NOOP)
        self._repeats = self._draw_repeats(seed, no_ops)
        self._gray = self._emulator.getScreenGrayscale()
        self._screen = self._emulator.getScreen()
        blank = np.zeros((OBSERVATION_SIZE, OBSERVATION_SIZE), np.uint8)
        self._frames = (*[blank] * (STACK - 1), self._resized())
        self._frame, self._repeated = 0, NOOP
        self._lives = self._emulator.lives()
        return self.observation

    def step(self, action: int) -> ConsoleStep:
        """Play one step. After the end of a game, only `reset` and `restore` may follow."""
        grays, screens, reward, ended = [], [], 0, False
        observed = 2 if self.protocol.two_frame_max else 1  # how many last frames are observed
        terminated = False
        for left in reversed(range(self.frame_skip)):
            reward += self._emulator.act(self._actions[self._played(action)])
            screens.append(self._emulator.getScreen())
            self._frame += 1
            terminated = self._emulator.game_over()
            ended = terminated or self._frame >= self.protocol.max_frames
            if ended:  # the emulators of `AtariGames` do not observe the last frame
                grays.append(self._gray)
                break
            if left < observed:
                grays.append(self._emulator.getScreenGrayscale())
        self._gray = reduce(np.maximum, grays)
        self._screen = screens[-1]
        self._frames = (*self._frames[1:], self._resized())
        lives = self._emulator.lives()
        life_lost = lives < self._lives and not terminated and self.protocol.life_loss
        self._lives = lives
        truncated = ended and not terminated
        return ConsoleStep(
            self.observation,
            float(reward),
            terminated,
            truncated,
            life_lost,
            lives,
            np.stack(screens),
        )

    def save(self) -> ConsoleState:
        """Copy the state of the game."""
        return ConsoleState(
            self._emulator.cloneState(),
            self._frames,
            self._gray,
            self._screen,
            self._frame,
            self._lives,
            self._repeated,
            self._repeats,
        )

    def restore(self, state: ConsoleState, seed: int | None = None) -> None:
        """Return to a saved state, of this console or another one of the same game.

        Args:
            state: what `save` returned.
            seed: seed of new sticky actions. Default: the sticky actions of the saved game.
        """
        self._emulator.restoreState(state.emulator)
        self._frames, self._gray, self._screen = state.frames, state.gray, state.screen
        self._frame, self._lives, self._repeated = state.frame, state.lives, state.repeated
        self._repeats = state.repeats if seed is None else self._draw_repeats(seed)

    def _no_ops(self, seed: int) -> int:
        """Find the number of no-op frames at the start of the game with a seed.

        ale-py samples it with C++'s uniform_int_distribution, which differs among compilers, so it
        is read from `AtariGames`.
        """
        if self.protocol.noop_max == 0:
            return 0
        if self._starts is None:
            self._starts = self._games()
        _, info = self._starts.reset(seed=[seed])
        # Some games begin with frames of their own.
        return int(info["episode_frame_number"][0]) - self._emulator.getEpisodeFrameNumber()

    def _draw_repeats(self, seed: int, no_ops: int = 0) -> NDArray[np.bool_]:
        """Sample the frames in which a sticky action repeats the previous one, after the no-ops.

        The emulator samples two numbers per frame; the second is for another player's action.
        NumPy's RandomState has the same seeding as C++'s mt19937.
        """
        count = no_ops + self.protocol.max_frames
        draws = np.random.RandomState(seed).randint(1 << 32, size=(count, 2), dtype=np.uint32)
        return draws[no_ops:, 0] / 2**32 < np.float32(self.protocol.sticky)

    def _played(self, action: int) -> int:
        """Return the action of the next frame: the chosen one, or the previous one again."""
        if not self._repeats[self._frame]:
            self._repeated = action
        return self._repeated

    def _resized(self) -> Pixels:
        return resize_area(self._gray, OBSERVATION_SIZE, OBSERVATION_SIZE)
