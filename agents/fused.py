"""Compiled parts of a network's updates, in one pass over memory where PyTorch needs several.

- Layer normalization with the ReLU after it (`NormReLU`), forward and backward. Rows are as short
  as 16 channels, which PyTorch normalizes slowly.
- RAdam (`FusedRAdam`).

Both run on the processor, and agree with PyTorch up to rounding.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numba import types
from numba.extending import overload
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from gridcade.agents.compiled import compiled, compiled_any_order
from gridcade.agents.networks import ChannelNorm
from gridcade.envs.types import Array

# ---- layer normalization and ReLU


class NormReLU(nn.LayerNorm):
    """ReLU of the layer normalization of the last axis, with the weights of a given layer."""

    def __init__(self, norm: nn.LayerNorm):
        super().__init__(list(norm.normalized_shape), norm.eps)
        self.weight, self.bias = norm.weight, norm.bias

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the parent's name for it
        """[..., size] -> [..., size]."""
        if input.device.type != "cpu" or input.dtype not in (torch.float32, torch.bfloat16):
            return nn.functional.relu(super().forward(input))
        outputs: Tensor = _NormReLU.apply(  # type: ignore[no-untyped-call]
            input, self.weight, self.bias, self.eps
        )
        return outputs


class ChannelNormReLU(ChannelNorm, NormReLU):
    """`NormReLU` at each place of a feature map, [batch, channels, height, width]."""


def fuse_norms(layers: Sequence[nn.Module]) -> list[nn.Module]:
    """Replace each normalization and its ReLU by one fused layer and an identity.

    So the layers keep their indices, and their weights keep their names.
    """
    fused: list[nn.Module] = []
    is_computed = False  # whether the previous layer already computes this one
    for layer, following in zip(layers, [*layers[1:], None], strict=True):
        if is_computed:
            fused.append(nn.Identity())
            is_computed = False
        elif isinstance(layer, nn.LayerNorm) and isinstance(following, nn.ReLU):
            fused.append((ChannelNormReLU if isinstance(layer, ChannelNorm) else NormReLU)(layer))
            is_computed = True
        else:
            fused.append(layer)
    return fused


class _NormReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, epsilon: float) -> Tensor:
        rows = x.contiguous().view(-1, x.shape[-1])
        y = torch.empty_like(rows)
        moments = torch.empty(2, len(rows))  # mean and 1 / standard deviation of each row
        parameters = (_array(weight.detach().float()), _array(bias.detach().float()))
        norm_relu(_array(rows), *parameters, np.float32(epsilon), _array(y), _array(moments))
        ctx.save_for_backward(rows, y, weight, moments)
        return y.view(x.shape)

    @staticmethod
    @once_differentiable  # its type lacks the name of `ctx`
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *grad_outputs: Any
    ) -> Any:
        x, y, weight, moments = ctx.saved_tensors
        gradient = grad_outputs[0].contiguous()
        dx, sums = torch.empty_like(x), torch.zeros(2, x.shape[1])
        tensors = (gradient.view_as(x), x, y, weight.detach().float(), moments, dx, sums)
        norm_relu_backward(*map(_array, tensors))
        dw, db = sums.to(weight.dtype)
        return dx.view(gradient.shape), dw, db, None


def _array(tensor: Tensor) -> Array:
    """Return the memory of a tensor as an array; bfloat16, which NumPy lacks, as uint16 bits."""
    bits = tensor.view(torch.uint16) if tensor.dtype == torch.bfloat16 else tensor
    return bits.detach().numpy()


@compiled_any_order
def norm_relu(x: Array, weight: Array, bias: Array, epsilon: Any, y: Array, moments: Array) -> None:
    """Fill y, [rows, size], and moments, [2, rows], from x, [rows, size].

    y = max(0, (x - mean) / deviation * weight + bias); moments: mean and 1 / deviation of each row.
    """
    rows, size = x.shape
    for i in range(rows):
        mean = square = np.float32(0)
        for j in range(size):
            mean += widen(x[i, j])
        mean /= np.float32(size)
        for j in range(size):
            distance = widen(x[i, j]) - mean
            square += distance * distance
        inverse = np.float32(1) / np.sqrt(square / np.float32(size) + epsilon)
        moments[0, i], moments[1, i] = mean, inverse
        for j in range(size):
            value = (widen(x[i, j]) - mean) * inverse * weight[j] + bias[j]
            value = np.float32(0) if value <= 0 else value  # nan stays
            store(y, i, j, value)


@compiled_any_order
def norm_relu_backward(
    dy: Array, x: Array, y: Array, weight: Array, moments: Array, dx: Array, sums: Array
) -> None:
    """Fill dx, [rows, size], and add the gradients of weight and bias to sums, [2, size].

    With h = (x - mean) / deviation and g = dy weight: dx = (g - mean(g) - h mean(g h)) / deviation.
    """
    rows, size = x.shape
    dw, db = sums[0], sums[1]
    for i in range(rows):
        mean, inverse = moments[0, i], moments[1, i]
        sum_g = sum_gh = np.float32(0)
        for j in range(size):
            d = widen(dy[i, j])
            d = np.float32(0) if y[i, j] <= 0 else d
            h = (widen(x[i, j]) - mean) * inverse
            db[j] += d
            dw[j] += d * h
            sum_g += d * weight[j]
            sum_gh += d * weight[j] * h
        mean_g, mean_gh = sum_g / np.float32(size), sum_gh / np.float32(size)
        for j in range(size):
            g = widen(dy[i, j]) * weight[j]
            g = np.float32(0) if y[i, j] <= 0 else g
            h = (widen(x[i, j]) - mean) * inverse
            store(dx, i, j, inverse * (g - mean_g - h * mean_gh))


def widen(number: Any) -> Any:
    """Convert a number to float32; the bits of a bfloat16 are the upper half of a float32."""


def store(array: Array, i: int, j: int, number: Any) -> None:
    """Write a float32 to `array[i, j]`, in an array of bits as the nearest bfloat16."""


@overload(widen, strict=False)
def _widen(number: Any) -> Callable[[Any], Any]:
    if number == types.float32:
        return lambda number: number
    return lambda number: np.uint32(np.uint32(number) << np.uint32(16)).view(np.float32)


@overload(store, strict=False)
def _store(array: Any, i: int, j: int, number: Any) -> Callable[[Any, int, int, Any], None]:
    del i, j, number

    def write(array: Any, i: int, j: int, number: Any) -> None:
        array[i, j] = number

    def write_bits(array: Any, i: int, j: int, number: Any) -> None:
        bits = np.float32(number).view(np.uint32)
        odd = (bits >> np.uint32(16)) & np.uint32(1)  # ties are rounded to even
        array[i, j] = (bits + np.uint32(0x7FFF) + odd) >> np.uint32(16)

    return write if array.dtype == types.float32 else write_bits


# ---- RAdam


class FusedRAdam(torch.optim.RAdam):
    """RAdam (Liu et al. 2020, Algorithm 2); its state is that of `torch.optim.RAdam`."""

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update the weights once."""
        del closure
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            limit = 2 / (1 - beta2) - 1  # rho_inf
            for weight in group["params"]:
                if weight.grad is None:
                    continue  # frozen
                state = self.state[weight]
                if not state:
                    state["step"] = torch.zeros(())
                    state["exp_avg"], state["exp_avg_sq"] = torch.zeros(2, *weight.shape).unbind()
                state["step"] += 1
                t = float(state["step"])
                correction = 1 - beta2**t
                rho = limit - 2 * t * beta2**t / correction
                rate = group["lr"] / (1 - beta1**t)
                if rectified := rho > 5:  # otherwise the variance is intractable
                    shares = (rho - 4) * (rho - 2) * limit, (limit - 4) * (limit - 2) * rho
                    rate *= math.sqrt(correction * shares[0] / shares[1])
                numbers = np.array([rate, 1 - beta1, 1 - beta2, group["eps"]], np.float32)
                tensors = (weight, state["exp_avg"], state["exp_avg_sq"], weight.grad.contiguous())
                theta, m, v, g = (tensor.view(-1).numpy() for tensor in tensors)
                radam_step(theta, m, v, g, numbers, rectified)


@compiled
def radam_step(
    weight: Array, mean: Array, square: Array, gradient: Array, numbers: Array, rectified: bool
) -> None:
    """Make one step of RAdam in place, on arrays of float32, [size] each.

    Args:
        weight: theta.
        mean: m.
        square: v.
        gradient: g.
        numbers: alpha r sqrt(1 - beta_2^t) / (1 - beta_1^t), 1 - beta_1, 1 - beta_2, epsilon; [4].
        rectified: whether the variance is tractable. If not, the first number is
            alpha / (1 - beta_1^t), and the weight follows the mean.
    """
    rate, mean_share, square_share, epsilon = numbers
    for i in range(weight.size):
        g = gradient[i]
        mean[i] += mean_share * (g - mean[i])
        square[i] += square_share * (g * g - square[i])
        weight[i] -= (
            rate * mean[i] / (np.sqrt(square[i]) + epsilon) if rectified else rate * mean[i]
        )
