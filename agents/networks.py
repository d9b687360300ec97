"""Networks: of Mnih et al. (2013, 2015), of Young & Tian (2019) for small images, and an mlp.

Each image in a dictionary or tuple has its own convolutions.

Layers keep PyTorch's initialization, uniform in +-1/sqrt(fan_in), as in the Lua code of Mnih et al.
(2015). `gridcade.agents.fast` turns a network into an equal one that processors compute faster.
"""

from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from math import prod
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from gridcade.envs.observations import PICTURE_SIDE, Image, Part
from gridcade.envs.types import Array
from gridcade.errors import InputError

NetworkName = Literal["auto", "2013", "2015", "minatar", "mlp"]
KERNEL, STRIDE = 8, 4  # pixels, in the first convolution of 2013 and 2015
SMALL_KERNEL = 3  # cells, in the convolution of `minatar`
FILTERS = {"2013": [16, 32], "2015": [32, 64, 64], "minatar": [16]}  # per convolution
UNITS = {"2013": 256, "2015": 512, "minatar": 128}  # in the hidden layer after the convolutions


class ImageConv(nn.Conv2d):
    """A first convolution, whose inputs are images as the environment returns them.

    Args:
        image: the shape of the images.
        filters: number of output channels.
        kernel: side of the kernel, in pixels.
        stride: stride of the kernel, in pixels.
        scale: divides the numbers of the images.
    """

    def __init__(self, image: Image, filters: int, kernel: int, stride: int, scale: float):
        super().__init__(image.channels, filters, kernel, stride)
        self.channels_last, self.scale = image.channels_last, scale

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the parent's name for it
        """Numbers [batch, *shape] -> floats [batch, filters, h, w]."""
        images = input.permute(0, 3, 1, 2) if self.channels_last else input
        return super().forward(images.float() / self.scale)


class PixelConv(ImageConv):
    """The first convolution of 2013 and 2015, 8 x 8 with stride 4, for pixels in bytes.

    Args:
        image: the shape of the images; their channels are stacked frames, or colors.
        filters: number of output channels.
    """

    def __init__(self, image: Image, filters: int):
        super().__init__(image, filters, KERNEL, STRIDE, scale=255)
        # Reorder the random weights, so that `BlockConv` has them in the order of the random draws.
        with torch.no_grad():
            blocks = self.weight.view(filters, -1, KERNEL // STRIDE, KERNEL // STRIDE)
            self.weight.copy_(nn.functional.pixel_shuffle(blocks, STRIDE))


class Flatten(nn.Module):
    """Flattens feature maps place by place, all channels of a place together."""

    def forward(self, maps: Tensor) -> Tensor:
        """[batch, channels, h, w] -> [batch, h w channels]."""
        return maps.permute(0, 2, 3, 1).flatten(1)


class ChannelNorm(nn.LayerNorm):
    """Layer normalization over the channels, at each place of a feature map (Ba et al. 2016).

    So the features of a small object, such as a ball of two pixels, keep their size beside the rest
    of the map. With one normalization over the whole map, PQN learned almost nothing of Breakout in
    a million steps.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the parent's name for it
        """[batch, channels, height, width] -> the same shape."""
        return super().forward(input.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class FlatVector(nn.Module):
    """Flattens any observation to one vector of floats.

    Args:
        scale: divides the numbers.
    """

    def __init__(self, scale: float = 1.0):
        super().__init__()
        self.scale = scale

    def forward(self, observations: Tensor) -> Tensor:
        """[batch, ...] -> [batch, size]."""
        flat = observations.flatten(1).float()
        return flat / self.scale if self.scale != 1 else flat


class Parts(nn.Module):
    """Splits a vector into its parts, and computes features of each part.

    Args:
        parts: the parts of the vector.
        modules: one for each part, [batch, *shape] -> [batch, features].
    """

    def __init__(self, parts: Sequence[Part], modules: Sequence[nn.Module]):
        super().__init__()
        self.shapes = [part.shape for part in parts]
        self.features = nn.ModuleList(modules)

    def forward(self, observations: Tensor) -> Tensor:
        """[batch, size] -> [batch, features of all parts]."""
        arrays = torch.split(observations, [prod(shape) for shape in self.shapes], dim=1)
        pairs = zip(arrays, self.shapes, self.features, strict=True)
        return torch.cat([compute(a.reshape(-1, *shape)) for a, shape, compute in pairs], dim=1)


def network(
    name: NetworkName,
    parts: Sequence[Part],
    num_actions: int,
    hidden: Sequence[int] = (128, 128),
    layer_norm: bool = False,
) -> nn.Sequential:
    """Build the network of action values: [batch, *shape] -> [batch, actions].

    Convolutions process the images; the hidden layers process their outputs and all other parts.

    Args:
        name: `2013` or `2015`, for images in bytes, `minatar`, for small images, `mlp`, or `auto`,
            which selects the convolutions of each image.
        parts: the parts of an observation.
        num_actions: number of outputs.
        hidden: units of the hidden layers, if no part goes through convolutions.
        layer_norm: normalize the output of each layer but the last, before its ReLU.

    Raises:
        InputError: the convolutions do not fit the observations.
    """
    kinds: list[str | None] = [_kind(name, part) for part in parts]
    if name in FILTERS and not any(kinds):
        side, bytes_ = (SMALL_KERNEL, "") if name == "minatar" else (PICTURE_SIDE, " in bytes")
        shapes = ", ".join(f"{list(part.shape)} of {part.dtype}" for part in parts)
        raise InputError(
            f"network {name} needs images{bytes_} of {side} x {side} pixels or more; the "
            f"observations are {shapes}: use network mlp"
        )
    layers: list[nn.Module] = []
    if len(parts) == 1:
        layers, size = features_of(parts[0], kinds[0], layer_norm)
    else:
        features = [features_of(*pair, layer_norm) for pair in zip(parts, kinds, strict=True)]
        layers = [Parts(parts, [nn.Sequential(*modules) for modules, _ in features])]
        size = sum(outputs for _, outputs in features)
    units = max((UNITS[kind] for kind in kinds if kind), default=0)
    sizes = [size, *([units] if units else hidden)]
    for inputs, outputs in pairwise(sizes):
        layers += _activated(nn.Linear(inputs, outputs), nn.LayerNorm(outputs), layer_norm)
    return nn.Sequential(*layers, nn.Linear(sizes[-1], num_actions))


def _kind(name: NetworkName, part: Part) -> str | None:
    """Return the convolutions for a part, a key of FILTERS; None: the part is a vector."""
    if name == "mlp" or part.image is None:
        return None
    if name == "auto":
        return {"small": "minatar", "picture": "2013", None: None}[part.image_kind]
    side = min(part.image[1:3])
    if name == "minatar":
        return name if side >= SMALL_KERNEL else None
    return name if side >= PICTURE_SIDE and part.dtype == np.uint8 else None


def features_of(
    part: Part, kind: str | None, layer_norm: bool = False
) -> tuple[list[nn.Module], int]:
    """Return layers that make a vector of one part of an observation, and the vector's size.

    Args:
        part: the part.
        kind: the convolutions, a key of FILTERS; None: the part is a vector.
        layer_norm: normalize the outputs of the convolutions.
    """
    if kind is None or part.image is None:
        return [FlatVector(part.scale)], prod(part.shape)
    filters = FILTERS[kind]
    if kind == "minatar":
        first = ImageConv(part.image, filters[0], SMALL_KERNEL, 1, part.scale)
        height, width = (side - SMALL_KERNEL + 1 for side in part.image[1:3])
        return [*_activated(first, ChannelNorm(filters[0]), layer_norm), Flatten()], (
            filters[0] * height * width
        )
    layers = _activated(PixelConv(part.image, filters[0]), ChannelNorm(filters[0]), layer_norm)
    second = nn.Conv2d(filters[0], filters[1], 4, stride=2)
    layers += _activated(second, ChannelNorm(filters[1]), layer_norm)
    height, width = ((side // STRIDE - 5) // 2 + 1 for side in part.image[1:3])
    if kind == "2015":
        third = nn.Conv2d(filters[1], filters[2], 3)
        layers += _activated(third, ChannelNorm(filters[2]), layer_norm)
        height, width = height - 2, width - 2
    return [*layers, Flatten()], filters[-1] * height * width


def _activated(layer: nn.Module, norm: nn.Module, layer_norm: bool) -> list[nn.Module]:
    return [layer, norm, nn.ReLU()] if layer_norm else [layer, nn.ReLU()]


@torch.no_grad()
def take_layers(
    net: nn.Sequential,
    tensors: Mapping[str, Array],
    prefix: str,
    layers: Collection[nn.Module],
    frozen: Collection[nn.Module] = (),
) -> list[str]:
    """Copy weights into the selected layers; returns the names of layers that they do not fit.

    Args:
        net: the network.
        tensors: another network's weights, by name.
        prefix: prefix of these names.
        layers: the layers of `net` that receive weights.
        frozen: layers that do not learn.

    Raises:
        InputError: the weights fit no layer, or do not fit a frozen layer.
    """
    left_out, with_weights = [], 0
    for name, layer in net.named_children():
        if layer not in layers:
            continue
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
