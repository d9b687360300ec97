"""Finds the names of an environment's discrete actions, where they are known."""

import gymnasium as gym

from gridcade.envs.atari import AtariGame
from gridcade.envs.tabular import TabularEnv
from gridcade.envs.types import Env

MOVE_NAMES = {(-1, 0): "up", (0, 1): "right", (1, 0): "down", (0, -1): "left"}  # rows, columns
# Names of the actions 0, 1, ... of Gymnasium's environments, from the pages "Action Space" of its
# documentation: https://gymnasium.farama.org/environments/toy_text/ and .../classic_control/.
ACTION_NAMES = {
    "FrozenLake": ("left", "down", "right", "up"),
    "CliffWalking": ("up", "right", "down", "left"),
    "Taxi": ("south", "north", "east", "west", "pick up", "drop off"),
    "CartPole": ("left", "right"),
    "MountainCar": ("left", "none", "right"),
}


def action_names(env: Env) -> tuple[str, ...]:
    """Return the name of each action, in lower case; empty if not known or not discrete."""
    if not isinstance(env.action_space, gym.spaces.Discrete):
        return ()
    count, world = int(env.action_space.n), env.unwrapped
    names: tuple[str, ...]
    if isinstance(world, TabularEnv):
        names = tuple(MOVE_NAMES.get(move, "") for move in world.moves)
    elif isinstance(world, AtariGame):
        names = tuple(name.lower() for name in world.get_action_meanings())
    elif not type(world).__module__.startswith("gymnasium."):
        return ()  # another environment of the same name may have other actions
    else:
        names = ACTION_NAMES.get(env.spec.name if env.spec else "", ())
    return names if len(names) == count and all(names) else ()
