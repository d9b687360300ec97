"""Statistics with which stable-baselines3's VecNormalize normalizes observations."""

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stable_baselines3.common.vec_env import VecNormalize

from gridcade.agents.sb3_model import network_form, one_line
from gridcade.envs.types import Env
from gridcade.errors import InputError

Normalize = Callable[[Any], Any]  # observations, one or a batch -> the same, normalized


def load_normalization(path: str | os.PathLike[str], env: Env) -> Normalize:
    """Load statistics that `VecNormalize.save` has written, and check that they fit.

    Loading unpickles the file, which can run any code: load only files that you trust. Rewards are
    never normalized.

    Args:
        path: the file.
        env: the environment whose observations are normalized.

    Raises:
        InputError: the file does not hold such statistics, or they belong to another space.
    """
    try:
        statistics = pickle.loads(Path(path).read_bytes())  # noqa: S301 - the user trusts it
    except OSError as error:
        raise InputError(f"cannot read '{path}': {error.strerror}") from None
    except Exception as error:  # unpickling raises errors of any class
        reason = one_line(error)
        raise InputError(f"'{path}' does not hold statistics of VecNormalize: {reason}") from error
    if not isinstance(statistics, VecNormalize):
        found = type(statistics).__name__
        raise InputError(f"'{path}' does not hold statistics of VecNormalize, but a {found}")
    if network_form(statistics.observation_space) != network_form(env.observation_space):
        both = f"{statistics.observation_space}, the environment's is {env.observation_space}"
        raise InputError(
            f"'{path}' does not fit this environment: its observation space is "
            f"{' '.join(both.split())}"
        )
    return statistics.normalize_obs


def unused_statistics(model: Path) -> Path | None:
    """Find statistics that were saved beside a model; None if there are none.

    RL Baselines3 Zoo saves them in a folder of the model's name.
    """
    folders = (model.parent, model.with_suffix(""))
    files = (file for folder in folders for file in sorted(folder.glob("*vecnormalize*.pkl")))
    return next(files, None)
