"""Checks whether an agent can act in an environment, and the advice if it cannot."""

from contextlib import suppress

import gymnasium as gym
import numpy as np

from gridcade.envs.actions import ActionIndex, action_index
from gridcade.envs.bins import Binned
from gridcade.envs.observations import ArrayEncoder
from gridcade.envs.registry import name_of, with_arguments
from gridcade.envs.states import StateIndex, finite_states
from gridcade.envs.types import Env
from gridcade.errors import InputError, single_line
from gridcade.formatting import shell_command

EXAMPLE_BINS = 8  # bins for each number of an observation, in advice
MANY_BINS = 1_000_000  # most binned observations for which bins are advised
NUMERIC = (
    gym.spaces.Box,
    gym.spaces.Discrete,
    gym.spaces.MultiBinary,
    gym.spaces.MultiDiscrete,
)


def numbered_actions(env: Env, agent: str) -> ActionIndex:
    """Return the numbering of an environment's actions.

    Raises:
        InputError: the actions cannot be numbered, such as continuous ones, or are too many.
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
        InputError: it cannot; the message says why.
    """
    space, actions = env.observation_space, env.action_space
    parts = list(space.values()) if isinstance(space, gym.spaces.Dict) else [space]
    reason = ""
    if any(isinstance(part, gym.spaces.Tuple) for part in parts):
        reason = "cannot learn from Tuple observations"
    elif any(isinstance(part, gym.spaces.Dict) for part in parts):
        reason = "cannot learn from observations with a Dict in a Dict"
    elif others := [single_line(part) for part in parts if not isinstance(part, NUMERIC)]:
        reason = f"cannot learn from observations of {others[0]}"
    elif shifted := [single_line(part) for part in parts if np.any(getattr(part, "start", 0))]:
        reason = f"needs observations that start at 0; these are {shifted[0]}"
    elif not isinstance(actions, NUMERIC):
        reason = f"cannot take actions of {single_line(actions)}"
    elif np.any(getattr(actions, "start", 0)):
        reason = f"needs actions that start at 0; these are {single_line(actions)}"
    if reason:
        raise InputError(f"stable-baselines3 {reason}{advice(env)}")


def numbered_states(env: Env, agent: str) -> StateIndex:
    """Return the numbering of an environment's observations.

    Raises:
        InputError: the observations are infinitely many.
    """
    states = finite_states(env.observation_space)
    if states is None:
        raise InputError(
            f"{agent} needs finitely many observations; these are "
            f"{single_line(env.observation_space)}{advice(env, agent)}"
        )
    return states


def advice(env: Env, binned: str | None = None) -> str:
    """Return commands that train another agent, or the same one on binned observations.

    The result is empty if neither can learn there.

    Args:
        env: the environment, in which an agent cannot learn.
        binned: the agent to propose with bins; None: no bins.
    """
    commands = []
    with suppress(InputError):
        action_index(env.action_space)
        with suppress(InputError):
            numbers = finite_states(Binned(env, EXAMPLE_BINS).observation_space) if binned else None
            if numbers is not None and numbers.count <= MANY_BINS:
                name = with_arguments(name_of(env), {"bins": EXAMPLE_BINS})
                commands.append(f"gridcade train {binned} {shell_command(name)}")
        ArrayEncoder(env.observation_space)
        commands.append(f"gridcade train dqn {shell_command(name_of(env))}")
    return f"; try: {' or: '.join(commands)}" if commands else ""
