"""Whether an agent can act in an environment, and the advice where it cannot."""

import shlex

import gymnasium as gym

from gridcade.envs.actions import ActionIndex, action_index
from gridcade.envs.registry import name_of
from gridcade.envs.types import Env
from gridcade.errors import InputError


def numbered_actions(env: Env, agent: str) -> ActionIndex:
    """The numbering of an environment's actions.

    Raises:
        InputError: they are infinite, or too many.
    """
    if isinstance(env.action_space, gym.spaces.Box):
        here = shlex.quote(name_of(env))
        raise InputError(
            f"{agent} needs finitely many actions; these are continuous; try: gridcade train "
            f"sb3-sac {here}"
        )
    try:
        return action_index(env.action_space)
    except InputError as error:
        raise InputError(f"{agent} cannot act here: {error}") from None
