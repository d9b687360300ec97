"""Models of stable-baselines3, built from a config, with the optimizer of Mnih et al. (2015).

stable-baselines3 seeds the global random streams when it makes a model;
`preserve_random_streams` restores them.
"""

import random
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from inspect import signature
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.spaces import flatdim
from stable_baselines3.common import torch_layers
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.preprocessing import get_action_dim, is_image_space
from stable_baselines3.common.sb2_compat.rmsprop_tf_like import RMSpropTFLike
from stable_baselines3.common.type_aliases import GymEnv
from torch import Tensor, nn

from gridcade.agents.optimizers import MnihRMSProp
from gridcade.agents.sb3_config import SB3Config
from gridcade.agents.sb3_features import Mnih2013CNN, SmallImages, has_small_images
from gridcade.envs.observations import PICTURE_SIDE
from gridcade.envs.types import Space
from gridcade.errors import InputError, unknown

FLOAT = 4  # bytes of a number in a buffer
UNBOUNDED_STEPS = 10**12  # for runs that only time bounds: stable-baselines3 needs a number


def mnih_rmsprop(parameters: Iterable[Tensor], lr: float, **kwargs: float) -> MnihRMSProp:
    """Make the RMSProp of Mnih et al. (2015), with the arguments that PyTorch's optimizers take."""
    return MnihRMSProp(parameters, lr, **kwargs)


POLICY_CLASSES: dict[str, dict[str, Any]] = {  # classes in policy_kwargs, by field and name
    "activation_fn": {
        name: getattr(nn, name) for name in nn.modules.activation.__all__ if hasattr(nn, name)
    },
    "features_extractor_class": {
        "CombinedExtractor": torch_layers.CombinedExtractor,
        "FlattenExtractor": torch_layers.FlattenExtractor,
        "Mnih2013CNN": Mnih2013CNN,
        "NatureCNN": torch_layers.NatureCNN,
        "SmallImages": SmallImages,
    },
    "optimizer_class": {
        **{name: getattr(torch.optim, name) for name in torch.optim.__all__ if name[0].isupper()},
        "MnihRMSProp": mnih_rmsprop,
        "RMSpropTFLike": RMSpropTFLike,
    },
}


def build_model(
    config: SB3Config,
    env: GymEnv,
    seed: int,
    total_steps: int = UNBOUNDED_STEPS,
    replay: bool = True,
) -> BaseAlgorithm:
    """Build the model that a config describes.

    Args:
        config: the algorithm and its arguments.
        env: a Gymnasium environment, or a VecEnv.
        seed: stable-baselines3 seeds the global random streams with it.
        total_steps: environment steps of the training.
        replay: allocate the full replay buffer, if the algorithm has one; False for a model that
            only acts.

    Raises:
        InputError: the algorithm rejects the arguments or the environment.
    """
    arguments = config.arguments(total_steps)
    if not replay and "buffer_size" in arguments:
        arguments["buffer_size"] = 1
    algorithm = config.algorithm
    policy = _policy_name(config, env.observation_space)
    values = config.policy_kwargs
    if config.policy == "auto" and has_small_images(env.observation_space):
        values = {"features_extractor_class": "SmallImages", **values}
    policy_kwargs = _policy_kwargs(values, algorithm.policy_aliases[policy])
    try:
        with warnings.catch_warnings():
            # The warnings concern memory and devices, which Gridcade checks itself.
            warnings.simplefilter("ignore")
            return algorithm(policy, env, policy_kwargs=policy_kwargs, seed=seed, **arguments)
    except InputError:
        raise
    except (AssertionError, MemoryError, NotImplementedError, TypeError, ValueError) as error:
        raise InputError(
            f"stable-baselines3's {algorithm.__name__} rejects these hyperparameters or this "
            f"environment: {one_line(error)}"
        ) from error


def buffer_bytes(config: SB3Config, model: BaseAlgorithm, num_envs: int) -> int:
    """Return the bytes of a full replay buffer, or of a rollout of all environments."""
    space, actions = model.observation_space, model.action_space
    parts = space.values() if isinstance(space, gym.spaces.Dict) else [space]
    observation = sum(np.empty(part.shape or (), part.dtype).nbytes for part in parts)
    action = get_action_dim(actions) * np.dtype(actions.dtype).itemsize
    if slots := getattr(config, "buffer_size", 0):
        copies = 1 if getattr(config, "optimize_memory_usage", False) else 2  # s_t and s_{t+1}
        return int(slots) * (copies * observation + action + 3 * FLOAT)  # reward, end, truncation
    slot = observation + action + 6 * FLOAT  # reward, start, value, probability, return, advantage
    if type(model).__name__ == "MaskablePPO":
        slot += flatdim(actions) * FLOAT
    return int(getattr(config, "n_steps", 0)) * num_envs * slot


def _policy_name(config: SB3Config, space: Space) -> str:
    """Return the name of the policy; the observation space decides what `auto` means."""
    if config.policy == "auto":
        if isinstance(space, gym.spaces.Dict):
            return "MultiInputPolicy"
        # The smallest axis has the channels. The convolutions of 2013 and 2015 need at least
        # PICTURE_SIDE pixels along the other two.
        is_image = is_image_space(space) and sorted(space.shape or ())[1] >= PICTURE_SIDE
        has_convolutions = "CnnPolicy" in config.algorithm.policy_aliases  # CrossQ has none
        return "CnnPolicy" if is_image and has_convolutions else "MlpPolicy"
    known = config.algorithm.policy_aliases
    if config.policy not in known:
        raise unknown("policy", config.policy, ["auto", *known])
    return config.policy


def _policy_kwargs(values: Mapping[str, Any], policy: type[BasePolicy]) -> dict[str, Any]:
    """Return the keyword arguments of a policy, with classes instead of their names."""
    _observations, _actions, _lr_schedule, *known = signature(policy).parameters
    kwargs = dict(values)
    for name, value in values.items():
        if name not in known:
            raise unknown("field of policy_kwargs", name, known)
        if name in POLICY_CLASSES:
            if value not in POLICY_CLASSES[name]:
                raise unknown(name, str(value), POLICY_CLASSES[name])
            kwargs[name] = POLICY_CLASSES[name][value]
    return kwargs


def one_line(error: Exception) -> str:
    """Return one line of an error's message: the first, or the second if the first is a heading.

    PyTorch, for example, lists what does not fit under "Error(s) in loading state_dict for ...:".
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    has_heading = len(lines) > 1 and lines[0].endswith(":")
    return lines[has_heading] if lines else type(error).__name__


@contextmanager
def preserve_random_streams() -> Iterator[None]:
    """Restore the global random streams of Python, NumPy and PyTorch on exit."""
    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)  # noqa: NPY002


def network_form(space: Space) -> Any:
    """Return the properties of a space that a network depends on.

    Bounds are left out, because they differ between versions of an environment.
    """
    if isinstance(space, gym.spaces.Dict):
        return {key: network_form(part) for key, part in space.items()}
    sizes = [str(getattr(space, name, None)) for name in ("n", "nvec")]
    return type(space), space.shape, *sizes
