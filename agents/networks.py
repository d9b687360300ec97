"""The networks of Mnih et al. (2013, 2015), and a multilayer perceptron for vectors.

Layers keep PyTorch's initialisation, uniform in +-1/sqrt(fan_in): the one of the released Lua code.
"""

import copy
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gridcade.agents.compiled import compiled
from gridcade.errors import InputError

NetworkName = Literal["auto", "2013", "2015", "mlp"]
BLOCK = 4  # pixels
SMALLEST_SIDE = 36  # of images, in pixels, that leave the convolutions something


def to_blocks(observations: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Blocks of 4 x 4 pixels as channels.

    [n, frames, height, width] -> [n, height / 4, width / 4, 16 frames]; frames by themselves,
    [n, height, width], are stacks of one.
    """
    stacks = observations if observations.ndim == 4 else observations[:, None]
    n, frames, height, width = stacks.shape
    blocks = np.empty((n, height // BLOCK, width // BLOCK, frames * BLOCK**2), np.uint8)
    cut(stacks, blocks)
    return blocks


@compiled
def cut(stacks: Any, blocks: Any) -> None:
    """Fill the blocks, as `to_blocks` has them."""
    n, height, width, _ = blocks.shape
    for i in range(n):
        for y in range(height):
            for x in range(width):
                for k in range(stacks.shape[1]):
                    for row in range(BLOCK):
                        for column in range(BLOCK):
                            channel = (k * BLOCK + row) * BLOCK + column
                            pixel = stacks[i, k, y * BLOCK + row, x * BLOCK + column]
                            blocks[i, y, x, channel] = pixel


def image_form(shape: Sequence[int]) -> tuple[int, int] | None:
    """Channels and side of square images, [channels, side, side] or [side, side, channels]."""
    if len(shape) == 3 and shape[1] == shape[2]:
        return shape[0], shape[1]
    return (shape[2], shape[0]) if len(shape) == 3 and shape[0] == shape[1] else None


class FirstLayer(nn.Conv2d):
    """An 8 x 8 convolution of stride 4 on pixels, as one of 2 x 2 on blocks of 4 x 4.

    The same numbers from the same weights, in a form that processors do several times faster. It
    takes bytes, [batch, height / 4, width / 4, channels]; pixels of 0 to 1 are meant, so its
    weights are divided by 255 rather than all the pixels.
    """

    def __init__(self, channels: int, filters: int):
        super().__init__(channels * BLOCK**2, filters, kernel_size=2)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the parent's name for it
        """Bytes [batch, h, w, channels] -> floats [batch, filters, h - 1, w - 1]."""
        x = input.permute(0, 3, 1, 2).to(self.weight.dtype)
        return nn.functional.conv2d(x, self.weight / 255, self.bias)


class Flatten(nn.Module):
    """Feature maps to vectors, in the order in which convolutions leave them in memory."""

    def forward(self, maps: Tensor) -> Tensor:
        """[batch, filters, h, w] -> [batch, h w filters]."""
        return maps.permute(0, 2, 3, 1).flatten(1)


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation of each place of a feature map over its channels (Ba et al. 2016).

    So a ball of two pixels weighs as much at its place as a wall does at its own. Normalised over
    the whole map, PQN had learnt next to nothing of Breakout after a million steps.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the parent's name for it
        """[batch, filters, height, width], and the same."""
        return super().forward(input.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Hidden(nn.Linear):
    """The large layer, whose weight may be left to someone else to change.

    `take`, if set, is called with the gradient at the outputs, [batch, outputs], and the inputs,
    [batch, inputs], when the backward pass needs the weight no more; it gets no gradient then.
    """

    take: Callable[[Tensor, Tensor], None] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """What a copy has: its weight is nobody else's."""
        return {name: value for name, value in self.__dict__.items() if name != "take"}

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the parent's name for it
        """[batch, inputs] -> [batch, outputs]."""
        if self.take is None or not torch.is_grad_enabled():
            return super().forward(input)
        given = (input, self.weight, self.bias, self.take)
        taken: Tensor = _Taken.apply(*given)  # type: ignore[no-untyped-call]
        return taken


class _Taken(torch.autograd.Function):
    """A linear layer that hands over what its weight's gradient is made of."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, take: Any) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.take = take
        return nn.functional.linear(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        (gradient,), (x, weight) = grad_outputs, ctx.saved_tensors
        below = gradient @ weight
        ctx.take(gradient, x)
        return below, None, gradient.sum(0), None


class Output(nn.Linear):
    """The last layer, in the precision of its own weights whatever the layers below it have."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the parent's name for it
        """[batch, units] -> [batch, actions]."""
        return super().forward(input.to(self.weight.dtype))


def in_bfloat16(weights: nn.Sequential) -> nn.Sequential:
    """A network for the passes: copies in bfloat16 of all layers but the last, which is shared.

    Learnt are the weights given, in float32. The last layer stays in it: bfloat16 tells values of
    2 to 4 apart by 1/64 at best, which is more than many actions differ by.
    """
    *lower, last = weights.children()
    return nn.Sequential(*(copy.deepcopy(layer).bfloat16() for layer in lower), last)


@torch.no_grad()
def take_layers(
    net: nn.Sequential,
    tensors: Mapping[str, NDArray[Any]],
    prefix: str,
    frozen: Collection[nn.Module] = (),
) -> list[str]:
    """Put weights into the layers that they fit; the names of the layers that they do not fit.

    Args:
        net: the network.
        tensors: another network's, by name.
        prefix: of the names.
        frozen: layers that do not learn.

    Raises:
        InputError: a frozen layer does not fit.
    """
    left = []
    for name, layer in net.named_children():
        wanted = layer.state_dict()
        given = {key: tensors.get(f"{prefix}{name}.{key}") for key in wanted}
        if all(t is not None and t.shape == tuple(wanted[key].shape) for key, t in given.items()):
            layer.load_state_dict({key: torch.from_numpy(np.array(t)) for key, t in given.items()})
        else:
            left.append(said := f"{name} ({type(layer).__name__})")
            if layer in frozen:
                raise InputError(
                    f"layer {said} does not fit: frozen it would stay as chance made it"
                )
    return left


@torch.no_grad()
def copy_weights(source: nn.Module, to: nn.Module) -> None:
    """Copy weights between networks of one form, rounding them if need be."""
    for weight, copied in zip(source.parameters(), to.parameters(), strict=True):
        copied.copy_(weight)


class Flat(nn.Module):
    """Anything to one vector of floats a sample; bytes to numbers of 0 to 1."""

    def forward(self, observations: Tensor) -> Tensor:
        """[batch, …] -> [batch, size]."""
        flat = observations.flatten(1)
        return flat.float() / 255 if flat.dtype == torch.uint8 else flat.float()


def network(
    name: NetworkName,
    shape: Sequence[int],
    num_actions: int,
    hidden: Sequence[int] = (128, 128),
    layer_norm: bool = False,
) -> nn.Sequential:
    """Action values of observations: [batch, *shape] -> [batch, actions].

    Images are taken by convolutions as `to_blocks` gives them; anything else as it is.

    Args:
        name: `2013`, `2015`, `mlp`, or `auto`: 2013's for images that it takes, else mlp.
        shape: of one observation.
        num_actions: outputs.
        hidden: units of the mlp's layers.
        layer_norm: normalise what each layer but the last gives, before its ReLU.

    Raises:
        InputError: frames of a size that the convolutions do not fit.
    """

    def active(layer: nn.Module, *norm: nn.Module) -> list[nn.Module]:
        return [layer, *(norm if layer_norm else ()), nn.ReLU()]

    layers: list[nn.Module]
    form = image_form(shape)
    fits = form is not None and form[1] % BLOCK == 0 and form[1] >= SMALLEST_SIDE
    if name == "auto":
        name = "2013" if fits else "mlp"
    if name == "mlp":
        size = 1
        for side in shape:
            size *= side
        layers = [Flat()]
        for inputs, outputs in pairwise([size, *hidden]):
            layers += active(nn.Linear(inputs, outputs), nn.LayerNorm(outputs))
        return nn.Sequential(*layers, Output([size, *hidden][-1], num_actions))
    if form is None or not fits:
        raise InputError(
            f"network {name} takes square images of a side that {BLOCK} divides, {SMALLEST_SIDE} "
            f"or more; these are {list(shape)}"
        )
    channels, side = form
    filters, units = ([16, 32], 256) if name == "2013" else ([32, 64, 64], 512)
    layers = active(FirstLayer(channels, filters[0]), ChannelNorm(filters[0]))  # 8 x 8, stride 4
    layers += active(nn.Conv2d(filters[0], filters[1], 4, stride=2), ChannelNorm(filters[1]))
    side = (side // BLOCK - 5) // 2 + 1
    if name == "2015":
        layers += active(nn.Conv2d(filters[1], filters[2], 3), ChannelNorm(filters[2]))
        side -= 2
    layers += [Flatten()]
    layers += active(Hidden(filters[-1] * side * side, units), nn.LayerNorm(units))
    return nn.Sequential(*layers, Output(units, num_actions))
