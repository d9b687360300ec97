"""The networks of Mnih et al. (2013, 2015), and a multilayer perceptron for vectors.

Layers keep PyTorch's initialisation, uniform in +-1/sqrt(fan_in): the one of the released Lua code.
"""

import copy
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
        x = input.permute(0, 3, 1, 2).to(self.weight.dtype)
        return nn.functional.conv2d(x, self.weight / 255, self.bias)


class Output(nn.Linear):
    """The last layer, in the precision of its own weights whatever the layers below it have."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the parent's name for it
        """[batch, units] -> [batch, actions]."""
        return super().forward(input.to(self.weight.dtype))


class InBfloat16:
    """A network for the passes: all layers but the last are copies in bfloat16.

    The weights that are learnt stay float32. So does the last layer: bfloat16 tells values of 2 to
    4 apart by 1/64 at best, which is more than many actions differ by.

    Args:
        master: the network whose weights are learnt.
    """

    def __init__(self, master: nn.Sequential):
        *lower, last = master.children()
        low = [copy.deepcopy(layer).bfloat16() for layer in lower]
        self.net = nn.Sequential(*low, last)
        self._masters: list[Tensor] = [p for layer in lower for p in layer.parameters()]
        self._copies: list[Tensor] = [p for layer in low for p in layer.parameters()]

    def __call__(self, observations: Tensor) -> Tensor:
        """[batch, …] -> [batch, actions], float32."""
        values: Tensor = self.net(observations)
        return values

    @torch.no_grad()
    def return_gradients(self) -> None:
        """Hand the copies' gradients to the masters."""
        for parameter, low in zip(self._masters, self._copies, strict=True):
            parameter.grad = None if low.grad is None else low.grad.float()
            low.grad = None

    @torch.no_grad()
    def refresh(self) -> None:
        """Copy the masters' weights, after they have changed."""
        for low, parameter in zip(self._copies, self._masters, strict=True):
            low.copy_(parameter)


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
        return nn.Sequential(*layers, Output([size, *hidden][-1], num_actions))
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
            Output(256, num_actions),
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
        Output(512, num_actions),
    )


def mnihs_convolutions(name: Literal["2013", "2015"]) -> tuple[list[nn.Module], int]:
    """The same layers up to the last one on plain frames [4, 84, 84], and its inputs' number.

    For other libraries: their first convolution is 8 x 8 on pixels of 0 to 1.
    """
    if name == "2013":
        convolutions: list[nn.Module] = [
            nn.Conv2d(4, 16, 8, stride=4),
            nn.ReLU(),
            nn.Conv2d(16, 32, 4, stride=2),
        ]
        size, units = 32 * 9 * 9, 256
    else:
        convolutions = [
            nn.Conv2d(4, 32, 8, stride=4),
            nn.ReLU(),
            nn.Conv2d(32, 64, 4, stride=2),
            nn.ReLU(),
            nn.Conv2d(64, 64, 3),
        ]
        size, units = 64 * 7 * 7, 512
    return [*convolutions, nn.ReLU(), nn.Flatten(), nn.Linear(size, units), nn.ReLU()], units
