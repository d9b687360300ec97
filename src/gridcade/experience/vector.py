"""Vector environments: several copies of one environment, made and reset together."""

from functools import partial
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from numpy.typing import NDArray

from gridcade.envs.atari import AtariGames
from gridcade.envs.registry import atari_title, make, parse
from gridcade.envs.types import Envs


def make_vector(name: str, count: int, **arguments: Any) -> Envs:
    """Make several copies of an environment; see `registry.make` for the name and arguments.

    The environments do not reset themselves: call `reset` after an episode ends. The emulators of
    Atari games run in parallel.

    Raises:
        InputError: the environment or argument does not exist, or a value is invalid.
    """
    id_, parsed = parse(name, **arguments)
    if title := atari_title(id_):
        return AtariGames(title, count, **parsed)
    constructors = [partial(make, name, **arguments)] * count
    return SyncVectorEnv(constructors, autoreset_mode=AutoresetMode.DISABLED)


def reset(
    envs: Envs,
    seeds: list[int] | None,
    mask: NDArray[np.bool_] | None = None,
) -> Any:
    """Reset environments.

    Args:
        envs: the environments, n of them.
        seeds: one for each environment, [n]; None continues their random generators.
        mask: the environments to reset, [n]. Default: all.

    Returns:
        The observations of all environments, [n, ...].
    """
    seed: Any = seeds  # Gymnasium's annotation does not include lists
    options = None if mask is None else {"reset_mask": mask.copy()}
    return envs.reset(seed=seed, options=options)[0]
