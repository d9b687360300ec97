"""Several environments of one name, side by side."""

from functools import partial
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from numpy.typing import NDArray

from gridcade.envs.atari import AtariGames
from gridcade.envs.registry import atari_title, make, parse


def make_vector(name: str, count: int, **arguments: Any) -> VectorEnv[Any, Any, Any]:
    """Several environments of one name, reset only when told to; emulators run side by side.

    Raises:
        InputError: no such environment or argument, or a value out of its range.
    """
    id_, given = parse(name, **arguments)
    if title := atari_title(id_):
        return AtariGames(title, count, **given)
    builders = [partial(make, name, **arguments)] * count
    return SyncVectorEnv(builders, autoreset_mode=AutoresetMode.DISABLED)


def reset(
    envs: VectorEnv[Any, Any, Any],
    seeds: list[int] | None,
    mask: NDArray[np.bool_] | None = None,
) -> Any:
    """Reset environments, all or those of a mask, each by its seed; the observations of all."""
    seed: Any = seeds  # Gymnasium's annotation leaves lists out
    options = None if mask is None else {"reset_mask": mask.copy()}
    return envs.reset(seed=seed, options=options)[0]
