"""Features extractors for stable-baselines3: layers of the networks that `dqn` and `pqn` learn."""

from typing import Any

import gymnasium as gym
import numpy as np
import torch
from stable_baselines3.common import torch_layers
from stable_baselines3.common.preprocessing import get_flattened_obs_dim, is_image_space
from torch import Tensor, nn

from gridcade.agents.networks import features_of, network
from gridcade.envs.observations import ArrayEncoder, Part
from gridcade.envs.types import Space


class Mnih2013CNN(torch_layers.BaseFeaturesExtractor):
    """The hidden layers of Mnih et al. (2013); stable-baselines3's NatureCNN has those of 2015.

    Pixels from 0 to 1, [batch, frames, height, width] -> [batch, 256].
    """

    def __init__(self, observation_space: gym.spaces.Box):
        part = Part(observation_space.shape, np.dtype(np.uint8))
        layers: Any = network("2013", [part], 1).children()
        first, *others, output = layers
        super().__init__(observation_space, output.in_features)
        # stable-baselines3 divides pixels by 255 itself, which Gridcade's first layer would repeat.
        convolution = nn.Conv2d(observation_space.shape[0], first.out_channels, 8, stride=4)
        self.layers = nn.Sequential(convolution, *others)

    def forward(self, observations: Tensor) -> Tensor:
        """Compute the activations of the last hidden layer."""
        features: Tensor = self.layers(observations)
        return features


class SmallImages(torch_layers.BaseFeaturesExtractor):
    """The convolutions of Young & Tian (2019), for images that are too small for NatureCNN.

    Other parts of a Dict are treated as in `CombinedExtractor`: pictures of bytes go through a
    NatureCNN, and all else is flattened. `net_arch` sets the layers after it; those of the paper
    are [128], with ReLU.
    """

    def __init__(self, observation_space: Space):
        super().__init__(observation_space, 1)
        spaces = _subspaces(observation_space)
        modules, sizes = zip(*map(_features, spaces.values()), strict=True)
        self.keys = list(spaces)
        self.features = nn.ModuleList(modules)
        self._features_dim = sum(sizes)

    def forward(self, observations: Tensor | dict[str, Tensor]) -> Tensor:
        """Compute the features of a batch."""
        if isinstance(observations, Tensor):
            parts = [observations]
        else:
            parts = [observations[key] for key in self.keys]
        features = [compute(p) for compute, p in zip(self.features, parts, strict=True)]
        return torch.cat(features, dim=1)


def has_small_images(space: Space) -> bool:
    """Whether an observation is a small image, or a Dict with one."""
    kinds = (_part(subspace) for subspace in _subspaces(space).values())
    return any(part is not None and part.image_kind == "small" for part in kinds)


def _subspaces(space: Space) -> dict[str, Space]:
    return dict(space.spaces) if isinstance(space, gym.spaces.Dict) else {"": space}


def _part(space: Space) -> Part | None:
    """Return the part of a Box, with the scale of stable-baselines3's inputs; else None."""
    if not isinstance(space, gym.spaces.Box):
        return None
    part = ArrayEncoder(space).parts[0]
    return part._replace(scale=1.0) if is_image_space(space) else part


def _features(space: Space) -> tuple[nn.Module, int]:
    """Return the module that computes the features of one part, and the number of features."""
    part = _part(space)
    if part is not None and part.image_kind == "small":
        layers, size = features_of(part, "minatar")
        return nn.Sequential(*layers), size
    if part is not None and part.image_kind == "picture" and is_image_space(space):
        cnn = torch_layers.NatureCNN(space, 256)
        return cnn, cnn.features_dim
    return nn.Flatten(), get_flattened_obs_dim(space)
