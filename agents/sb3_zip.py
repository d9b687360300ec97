"""Models that stable-baselines3 has saved as zip files."""

import json
import os
import warnings
import zipfile
from collections.abc import Mapping
from typing import Any

import gymnasium as gym
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.preprocessing import (
    is_image_space,
    is_image_space_channels_first,
)
from stable_baselines3.common.vec_env import VecTransposeImage

from gridcade.agents.sb3_config import config_class, own_algorithms
from gridcade.agents.sb3_model import network_form, one_line, preserve_random_streams
from gridcade.envs.types import Env, Space
from gridcade.errors import InputError


def load_model(path: str | os.PathLike[str], env: Env) -> BaseAlgorithm:
    """Load a saved model and check that it fits an environment.

    Loading unpickles parts of the file, which can run any code
    (https://github.com/DLR-RM/stable-baselines3/issues/1831): load only files that you trust.

    Args:
        path: the zip file.
        env: the environment that the model will act in.

    Raises:
        InputError: the file is not a saved model, or its model does not fit the environment.
    """
    name = "model"
    try:
        with zipfile.ZipFile(path) as archive:
            attributes = json.loads(archive.read("data"))
        algorithm = _identify_algorithm(attributes)
        name = algorithm.__name__
        has_replay = "buffer_size" in attributes
        overrides: dict[str, Any] = {"buffer_size": 1} if has_replay else {}  # it only acts
        with warnings.catch_warnings(), preserve_random_streams():
            warnings.simplefilter("ignore")  # stable-baselines3 warns of files of other versions
            model = algorithm.load(os.fspath(path), device="cpu", **overrides)
    except InputError as error:
        raise InputError(f"cannot load '{path}': {error}") from None
    except Exception as error:  # unpickling raises errors of any class
        raise InputError(
            f"cannot load '{path}' as a stable-baselines3 {name}: {one_line(error)}"
        ) from error
    _check_spaces(path, model, env)
    return model


def _identify_algorithm(attributes: Mapping[str, Any]) -> type[BaseAlgorithm]:
    """Find the algorithm of a saved model by the names of its attributes, without unpickling.

    Among stable-baselines3's algorithms, the one with the fewest hyperparameters that the model
    lacks is chosen; in a tie, the one with the most hyperparameters.

    Raises:
        InputError: the algorithm needs sb3-contrib, which is not installed.
    """
    from gridcade.agents import sb3_contrib

    if name := sb3_contrib.algorithm_name(attributes):
        return sb3_contrib.load_algorithm(name)

    def rank(algorithm: type[BaseAlgorithm]) -> tuple[int, int]:
        names = config_class(algorithm).argument_names()
        return len(names - set(attributes)), -len(names)

    return min(own_algorithms(), key=rank)


def _check_spaces(path: str | os.PathLike[str], model: BaseAlgorithm, env: Env) -> None:
    """Raise InputError unless a model's spaces are those of an environment."""
    spaces = {
        "observation": (model.observation_space, _channels_first(env.observation_space)),
        "action": (model.action_space, env.action_space),
    }
    for name, (saved, present) in spaces.items():
        if network_form(saved) != network_form(present):
            both = f"its {name} space is {saved}, the environment's is {present}"
            raise InputError(
                f"the model '{path}' does not fit this environment: {' '.join(both.split())}"
            )


def _channels_first(space: Space) -> Space:
    """Return an observation space as stable-baselines3 learns it: images have channels first."""
    if (
        isinstance(space, gym.spaces.Box)
        and is_image_space(space)
        and not is_image_space_channels_first(space)
    ):
        return VecTransposeImage.transpose_space(space)
    return space
