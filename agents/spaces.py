"""Whether an agent can act in an environment, and the advice where it cannot."""

import gymnasium as gym
import numpy as np

from gridcade.envs.actions import ActionIndex, action_index, one_line
from gridcade.envs.observations import ArrayEncoder
from gridcade.envs.registry import name_of
from gridcade.envs.types import Env
from gridcade.errors import InputError
from gridcade.formatting import shell_command

NUMERIC = (
    gym.spaces.Box,
    gym.spaces.Discrete,
    gym.spaces.MultiBinary,
    gym.spaces.MultiDiscrete,
)


def numbered_actions(env: Env, agent: str) -> ActionIndex:
    """The numbering of an environment's actions.

    Raises:
        InputError: they are infinite, or too many.
    """
    if isinstance(env.action_space, gym.spaces.Box):
        here = shell_command(name_of(env))
        raise InputError(
            f"{agent} needs finitely many actions; these are continuous; try: gridcade train "
            f"sb3-sac {here}"
        )
    try:
        return action_index(env.action_space)
    except InputError as error:
        raise InputError(f"{agent} cannot act here: {error}") from None


def check_sb3_spaces(env: Env) -> None:
    """Check that stable-baselines3 can learn in an environment's spaces.

    Raises:
        InputError: it cannot, and why.
    """
    space, actions = env.observation_space, env.action_space
    parts = list(space.values()) if isinstance(space, gym.spaces.Dict) else [space]
    reason = ""
    if any(isinstance(part, gym.spaces.Tuple) for part in parts):
        reason = "cannot learn from Tuple observations"
    elif any(isinstance(part, gym.spaces.Dict) for part in parts):
        reason = "cannot learn from observations with a Dict in a Dict"
    elif others := [one_line(part) for part in parts if not isinstance(part, NUMERIC)]:
        reason = f"cannot learn from observations of {others[0]}"
    elif shifted := [one_line(part) for part in parts if np.any(getattr(part, "start", 0))]:
        reason = f"needs observations that start at 0; these are {shifted[0]}"
    elif not isinstance(actions, NUMERIC):
        reason = f"cannot take actions of {one_line(actions)}"
    elif np.any(getattr(actions, "start", 0)):
        reason = f"needs actions that start at 0; these are {one_line(actions)}"
    if reason:
        raise InputError(f"stable-baselines3 {reason}{_dqn_instead(env)}")


def _dqn_instead(env: Env) -> str:
    """The command that trains DQN, if it can learn in an environment."""
    try:
        ArrayEncoder(env.observation_space)
        action_index(env.action_space)
    except InputError:
        return ""
    return f"; try: gridcade train dqn {shell_command(name_of(env))}"
