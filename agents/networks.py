"""The networks of Mnih et al. (2013, 2015), and a multilayer perceptron for vectors.

Layers keep PyTorch's initialization, uniform in +-1/sqrt(fan_in), which the released Lua code uses
as well. `gridcade.agents.fast` turns a network into an equal one that processors compute faster.
"""

from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from math import prod
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from gridcade.envs.types import Array
from gridcade.errors import InputError

NetworkName = Literal["auto", "2013", "2015", "mlp"]
KERNEL, STRIDE = 8, 4  # of the first convolution, in pixels
SMALLEST_SIDE = 36  # of an image in pixels, for which the convolutions leave an output


class PixelConv(nn.Conv2d):
    """The first convolution, 8 x 8 with stride 4, of pixels in bytes.

    Args:
        channels: of the images: stacked frames, or colors.
        filters: output channels.
        channels_last: images are [height, width, channels], not [channels, height, width].
    """

    def __init__(self, channels: int, filters: int, channels_last: bool = False):
        super().__init__(channels, filters, KERNEL, STRIDE)
        self.channels_last = channels_last
        with torch.no_grad():  # the order in which the weights of `BlockConv` were drawn
            blocks = self.weight.view(filters, channels * STRIDE**2, KERNEL // STRIDE, -1)
            self.weight.copy_(nn.functional.pixel_shuffle(blocks, STRIDE))

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the parent's name for it
        """Bytes [batch, channels, h, w] -> floats [batch, filters, h / 4 - 1, w / 4 - 1]."""
        images = input.permute(0, 3, 1, 2) if self.channels_last else input
        return super().forward(images.float() / 255)


class Flatten(nn.Module):
    """Flattens feature maps place by place, all channels of a place together."""

    def forward(self, maps: Tensor) -> Tensor:
        """[batch, channels, h, w] -> [batch, h w channels]."""
        return maps.permute(0, 2, 3, 1).flatten(1)


class ChannelNorm(nn.LayerNorm):
    """Layer normalization of each place of a feature map over its channels (Ba et al. 2016).

    So a ball of two pixels is not dwarfed by the rest of the map. With one normalization over the
    whole map, PQN learned almost nothing of Breakout in a million steps.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the parent's name for it
        """[batch, channels, height, width], and the same."""
        return super().forward(input.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class FlatVector(nn.Module):
    """Flattens any observation to one vector of floats; bytes become numbers from 0 to 1."""

    def forward(self, observations: Tensor) -> Tensor:
        """[batch, ...] -> [batch, size]."""
        flat = observations.flatten(1)
        return flat.float() / 255 if flat.dtype == torch.uint8 else flat.float()


def image_shape(shape: Sequence[int]) -> tuple[int, int] | None:
    """Channels and side of square images; None for other shapes.

    Both [channels, side, side] and [side, side, channels] are images.
    """
    if len(shape) != 3:
        return None
    if shape[1] == shape[2]:
        return shape[0], shape[1]
    return (shape[2], shape[0]) if shape[0] == shape[1] else None


def network(
    name: NetworkName,
    shape: Sequence[int],
    num_actions: int,
    hidden: Sequence[int] = (128, 128),
    layer_norm: bool = False,
) -> nn.Sequential:
    """Build the network of action values: [batch, *shape] -> [batch, actions].

    Args:
        name: `2013`, `2015`, `mlp`, or `auto`: 2013's for images that fit it, else mlp.
        shape: of one observation.
        num_actions: outputs.
        hidden: units of the mlp's hidden layers.
        layer_norm: normalize the output of each layer but the last, before its ReLU.

    Raises:
        InputError: the convolutions do not fit images of this shape.
    """

    def activated(layer: nn.Module, norm: nn.Module) -> list[nn.Module]:
        return [layer, norm, nn.ReLU()] if layer_norm else [layer, nn.ReLU()]

    image = image_shape(shape)
    fits = image is not None and image[1] % STRIDE == 0 and image[1] >= SMALLEST_SIDE
    if name == "auto":
        name = "2013" if fits else "mlp"
    layers: list[nn.Module]
    if name == "mlp":
        sizes = [prod(shape), *hidden]
        layers = [FlatVector()]
        for inputs, outputs in pairwise(sizes):
            layers += activated(nn.Linear(inputs, outputs), nn.LayerNorm(outputs))
        return nn.Sequential(*layers, nn.Linear(sizes[-1], num_actions))
    if image is None or not fits:
        raise InputError(
            f"network {name} needs square images whose side is a multiple of {STRIDE} and at least "
            f"{SMALLEST_SIDE}; the observations have shape {list(shape)}"
        )
    channels, side = image
    filters, units = ([16, 32], 256) if name == "2013" else ([32, 64, 64], 512)
    first = PixelConv(channels, filters[0], channels_last=shape[1] != shape[2])
    layers = activated(first, ChannelNorm(filters[0]))
    layers += activated(nn.Conv2d(filters[0], filters[1], 4, stride=2), ChannelNorm(filters[1]))
    side = (side // STRIDE - 5) // 2 + 1
    if name == "2015":
        layers += activated(nn.Conv2d(filters[1], filters[2], 3), ChannelNorm(filters[2]))
        side -= 2
    layers += [Flatten()]
    layers += activated(nn.Linear(filters[-1] * side**2, units), nn.LayerNorm(units))
    return nn.Sequential(*layers, nn.Linear(units, num_actions))


@torch.no_grad()
def take_layers(
    net: nn.Sequential,
    tensors: Mapping[str, Array],
    prefix: str,
    frozen: Collection[nn.Module] = (),
) -> list[str]:
    """Copy weights into the layers that they fit; returns the names of the other layers.

    Args:
        net: the network.
        tensors: another network's weights, by name.
        prefix: of the names.
        frozen: layers that do not learn.

    Raises:
        InputError: the weights fit no layer, or not a frozen one.
    """
    left_out, with_weights = [], 0
    for name, layer in net.named_children():
        wanted = layer.state_dict()
        with_weights += bool(wanted)
        given = {key: tensors.get(f"{prefix}{name}.{key}") for key in wanted}
        if all(t is not None and t.shape == tuple(wanted[key].shape) for key, t in given.items()):
            layer.load_state_dict({key: torch.from_numpy(np.array(t)) for key, t in given.items()})
            continue
        left_out.append(f"{name} ({type(layer).__name__})")
        if layer in frozen:
            raise InputError(
                f"cannot freeze layer {left_out[-1]}: it was not loaded, so it would stay random"
            )
    if len(left_out) == with_weights:
        raise InputError("no layer fits")
    return left_out


@torch.no_grad()
def copy_weights(source: nn.Module, target: nn.Module) -> None:
    """Copy weights between networks of one architecture, rounding to the target's precision."""
    for weight, copied in zip(source.parameters(), target.parameters(), strict=True):
        copied.copy_(weight)
