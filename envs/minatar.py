"""MinAtar: Young and Tian (2019), "MinAtar: An Atari-Inspired Testbed", arXiv 1903.03176.

An observation is [10, 10, channels] of bool: which objects are on which cell. With probability 0.1
the game repeats the last action (sticky actions). A game of the package has no time limit, except
Freeway, whose episodes have 2,500 steps; here this limit holds for all games.
"""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from gridcade.envs.types import Array, Env
from gridcade.envs.wrappers import TransparentWrapper

TIME_LIMIT = 2_500  # steps: that of Freeway, the only game that has one
CELL = 32  # pixels of a cell in a picture
FPS = 15
BACKGROUND = (16, 16, 24)
# Colors of the channels, in the order in which they are painted over each other: trails and
# gauges are below the objects that they belong to.
COLORS = {
    "breakout": {"trail": "#4a5168", "brick": "#e07a3f", "paddle": "#5ac8fa", "ball": "#ffffff"},
    "space_invaders": {
        "alien": "#6fd36f",
        "alien_left": "#6fd36f",
        "alien_right": "#8fe08f",
        "enemy_bullet": "#ff5c5c",
        "friendly_bullet": "#ffe066",
        "cannon": "#5ac8fa",
    },
    "asterix": {
        "trail": "#4a5168",
        "enemy": "#ff5c5c",
        "gold": "#ffd23f",
        "player": "#5ac8fa",
    },
    "freeway": {
        **{
            f"speed{speed}": color
            for speed, color in zip(
                (1, 2, 3, 4, 5),
                ("#8a4f2a", "#75452a", "#603b2a", "#4b312a", "#3b2a2a"),
                strict=True,
            )
        },
        "car": "#ff8c42",
        "chicken": "#ffe066",
    },
    "seaquest": {
        "trail": "#35506e",
        "oxygen_guage": "#bfe9ff",  # as MinAtar spells it
        "diver_guage": "#ffd23f",
        "diver": "#ffd23f",
        "enemy_fish": "#6fd36f",
        "enemy_sub": "#ff5c5c",
        "enemy_bullet": "#ff9f9f",
        "friendly_bullet": "#ffffff",
        "sub_back": "#2f86b5",
        "sub_front": "#5ac8fa",
    },
}


class MinAtar(TransparentWrapper):
    """A game whose episodes depend on their seed alone, and which can draw pictures.

    The package keeps the last action, which a sticky action repeats, from one episode to the next;
    `reset` clears it.
    """

    def __init__(self, env: Env):
        super().__init__(env)
        self.metadata = {**env.metadata, "render_modes": ["rgb_array"], "render_fps": FPS}
        self._game = env.unwrapped.game  # type: ignore[attr-defined]  # of minatar's BaseEnv
        colors = COLORS[self._game.env_name]
        self._painted = [
            (self._game.env.channels[channel], tuple(bytes.fromhex(color[1:])))
            for channel, color in colors.items()
        ]

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start an episode."""
        self._game.last_action = 0
        return super().reset(seed=seed, options=options)

    def render(self) -> NDArray[np.uint8] | None:
        """Draw the game, CELL x CELL pixels per cell; None without a render mode."""
        return paint(self._game.state(), self._painted) if self.render_mode else None


def paint(
    planes: NDArray[np.bool_], painted: list[tuple[int, tuple[int, ...]]]
) -> NDArray[np.uint8]:
    """Draw planes [height, width, channels] as a picture, later channels over earlier ones."""
    cells: Array = np.full((*planes.shape[:2], 3), BACKGROUND, np.uint8)
    for channel, color in painted:
        cells[planes[..., channel]] = color
    picture = cells.repeat(CELL, 0).repeat(CELL, 1)
    picture[::CELL] = picture[:, ::CELL] = BACKGROUND  # lines between the cells
    return picture


def register() -> None:
    """Register the ids of the package, `MinAtar/Breakout-v1` and so on."""
    if "MinAtar/Breakout-v1" in gym.registry:
        return
    with _without_drawing():
        from minatar.gym import register_envs
    register_envs()


@contextmanager
def _without_drawing() -> Iterator[None]:
    """Prevent the package from importing matplotlib and seaborn, and from warning.

    These imports take seconds. Only the package's own pictures need them, which are not used here.
    """
    handlers = logging.root.handlers[:]
    hidden = [name for name in ("matplotlib", "seaborn") if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None: not importable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
        logging.root.handlers[:] = handlers
        for name in hidden:
            del sys.modules[name]


def make(id_: str, *, max_episode_steps: int | None = TIME_LIMIT, **arguments: Any) -> Env:
    """Make a game. `max_episode_steps` is its time limit; None or -1: no limit."""
    limit = -1 if max_episode_steps is None else max_episode_steps
    env = gym.make(id_, max_episode_steps=limit, disable_env_checker=True, **arguments)
    return MinAtar(env)
