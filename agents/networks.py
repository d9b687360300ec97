"""The networks of Mnih et al. (2013, 2015), and a multilayer perceptron for vectors.

Layers keep PyTorch's initialisation, uniform in +-1/sqrt(fan_in): the one of the released Lua code.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from gridcade.errors import InputError

NetworkName = Literal["auto", "2013", "2015", "mlp"]
BLOCK = 4  # pixels


class Pixels(nn.Module):
    """Bytes to numbers of 0 to 1, and blocks of 4 x 4 pixels to channels.

    An 8 x 8 convolution of stride 4 on pixels is a 2 x 2 convolution of stride 1 on such blocks:
    the same numbers from the same weights, in a form that processors do several times faster.
    """

    def forward(self, frames: Tensor) -> Tensor:
        """[batch, frames, height, width] bytes -> [batch, 16 frames, height / 4, width / 4]."""
        blocks = nn.functional.pixel_unshuffle(frames, BLOCK)
        return blocks.contiguous(memory_format=torch.channels_last).float() / 255


class Flat(nn.Module):
    """Anything to one vector of floats a sample; bytes to numbers of 0 to 1."""

    def forward(self, observations: Tensor) -> Tensor:
        """[batch, …] -> [batch, size]."""
        flat = observations.flatten(1)
        return flat.float() / 255 if flat.dtype == torch.uint8 else flat.float()


def network(
    name: NetworkName, shape: Sequence[int], num_actions: int, hidden: Sequence[int] = (128, 128)
) -> nn.Sequential:
    """Action values of observations: [batch, *shape] -> [batch, actions].

    Args:
        name: `2013`, `2015`, `mlp`, or `auto`: 2013's for stacked frames, else mlp.
        shape: of one observation.
        num_actions: outputs.
        hidden: units of the mlp's layers.

    Raises:
        InputError: frames of a size that the convolutions do not fit.
    """
    if name == "auto":
        name = "2013" if len(shape) == 3 and shape[-1] > 3 else "mlp"
    if name == "mlp":
        size = 1
        for side in shape:
            size *= side
        layers: list[nn.Module] = [Flat()]
        for inputs, outputs in pairwise([size, *hidden]):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        return nn.Sequential(*layers, nn.Linear([size, *hidden][-1], num_actions))
    if len(shape) != 3 or shape[1] != shape[2] or shape[1] % BLOCK or shape[1] < 36:
        raise InputError(
            f"network {name} takes square frames, [frames, side, side], of a side that 4 divides, "
            f"36 or more; these are {list(shape)}"
        )
    channels, side = shape[0] * BLOCK**2, shape[1] // BLOCK - 1
    if name == "2013":
        side = (side - 4) // 2 + 1
        return nn.Sequential(
            Pixels(),
            nn.Conv2d(channels, 16, 2),  # 8 x 8, stride 4
            nn.ReLU(),
            nn.Conv2d(16, 32, 4, stride=2),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(32 * side * side, 256),
            nn.ReLU(),
            nn.Linear(256, num_actions),
        )
    side = (side - 4) // 2 + 1 - 2
    return nn.Sequential(
        Pixels(),
        nn.Conv2d(channels, 32, 2),  # 8 x 8, stride 4
        nn.ReLU(),
        nn.Conv2d(32, 64, 4, stride=2),
        nn.ReLU(),
        nn.Conv2d(64, 64, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(64 * side * side, 512),
        nn.ReLU(),
        nn.Linear(512, num_actions),
    )
