"""The networks of Mnih et al. (2013, 2015), and a multilayer perceptron for vectors.

Layers keep PyTorch's initialisation, uniform in +-1/sqrt(fan_in): the one of the released Lua code.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gridcade.errors import InputError

NetworkName = Literal["auto", "2013", "2015", "mlp"]
BLOCK = 4  # pixels


def to_blocks(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Blocks of 4 x 4 pixels as channels: […, height, width] -> […, height / 4, width / 4, 16]."""
    *lead, height, width = frames.shape
    cut = frames.reshape(*lead, height // BLOCK, BLOCK, width // BLOCK, BLOCK)
    blocks = cut.swapaxes(-2, -3).reshape(*lead, height // BLOCK, width // BLOCK, BLOCK**2)
    return np.ascontiguousarray(blocks)


def stack_blocks(observations: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Stacked frames in that form: [n, f, height, width] -> [n, height / 4, width / 4, 16 f]."""
    blocks = np.moveaxis(to_blocks(observations), 1, 3)  # [n, height / 4, width / 4, frames, 16]
    n, height, width, frames, _ = blocks.shape
    return np.ascontiguousarray(blocks).reshape(n, height, width, frames * BLOCK**2)


class FirstLayer(nn.Conv2d):
    """An 8 x 8 convolution of stride 4 on pixels, as one of 2 x 2 on blocks of 4 x 4.

    The same numbers from the same weights, in a form that processors do several times faster. It
    takes bytes, [batch, height / 4, width / 4, channels]; pixels of 0 to 1 are meant, so its
    weights are divided by 255 rather than all the pixels.
    """

    def __init__(self, frames: int, filters: int):
        super().__init__(frames * BLOCK**2, filters, kernel_size=2)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the parent's name for it
        """Bytes [batch, h, w, channels] -> floats [batch, filters, h - 1, w - 1]."""
        low = torch.is_autocast_enabled(input.device.type)
        x = input.permute(0, 3, 1, 2).to(torch.bfloat16 if low else torch.float32)
        return nn.functional.conv2d(x, self.weight / 255, self.bias)


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

    Frames are taken as `stack_blocks` gives them; anything else as it is.

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
    side = shape[1] // BLOCK - 1
    if name == "2013":
        side = (side - 4) // 2 + 1
        return nn.Sequential(
            FirstLayer(shape[0], 16),  # 8 x 8, stride 4
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
        FirstLayer(shape[0], 32),  # 8 x 8, stride 4
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
