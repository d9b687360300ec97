"""Fused layers and the fused optimizer compute the values, gradients and steps of PyTorch's."""

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gridcade.agents.fused import FusedRAdam, fuse_norms
from gridcade.agents.networks import ChannelNorm


def values_and_gradients(layers: nn.Sequential, x: Tensor, dy: Tensor) -> list[Tensor]:
    x = x.clone().requires_grad_()
    y = layers(x)
    y.backward(dy.to(y.dtype))
    gradients = [p.grad for p in (x, *layers.parameters()) if p.grad is not None]
    return [t.detach().float() for t in (y, *gradients)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("norm", "shape"),
    [
        (ChannelNorm(16), (9, 16, 20, 20)),
        (ChannelNorm(32), (3, 32, 9, 9)),
        (nn.LayerNorm(256), (128, 256)),
        (nn.LayerNorm(7), (5, 7)),
    ],
)
def test_fused_norm_and_relu_equal_pytorchs(
    norm: nn.LayerNorm, shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    """In bfloat16 they are the exact values, rounded once."""
    torch.manual_seed(0)
    with torch.no_grad():
        norm.weight.uniform_(-0.5, 2).copy_(norm.weight.to(dtype))
        norm.bias.normal_().copy_(norm.bias.to(dtype))
    x, dy = torch.randn(2, *shape).mul(3).add(1).to(dtype)
    plain = nn.Sequential(copy.deepcopy(norm), nn.ReLU())
    fused = nn.Sequential(*fuse_norms([copy.deepcopy(norm), nn.ReLU()])).to(dtype)
    assert [*fused.state_dict()] == [*plain.state_dict()]
    ours = values_and_gradients(fused, x, dy)
    expected = values_and_gradients(plain, x.float(), dy)
    for got, wanted in zip(ours, expected, strict=True):
        error = 2.0**-8 if dtype == torch.bfloat16 else 1e-5  # half a unit in the last place
        assert torch.allclose(got, wanted, rtol=error, atol=1e-5 * float(wanted.abs().max()))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_nan_is_not_hidden_by_the_relu(dtype: torch.dtype) -> None:
    (fused, _) = fuse_norms([nn.LayerNorm(4), nn.ReLU()])
    x = torch.tensor([[1.0, 2, 3, 4], [1, 2, torch.nan, 4]]).to(dtype)
    assert fused.to(dtype)(x).isnan().any(dim=1).tolist() == [False, True]


@pytest.mark.parametrize("resume_in", [FusedRAdam, torch.optim.RAdam])
def test_fused_radam_equals_pytorchs(resume_in: type[torch.optim.RAdam]) -> None:
    """The first five steps have no rectified variance; either resumes the state of the other."""
    torch.manual_seed(0)
    weights = [torch.randn(40, 3), torch.randn(5), torch.randn(2)]
    ours, expected = ([nn.Parameter(w.clone()) for w in weights] for _ in range(2))
    for parameters in (ours, expected):
        parameters[2].requires_grad_(False)  # frozen
    optimizers: list[torch.optim.Optimizer] = [
        FusedRAdam(ours, 0.01),
        torch.optim.RAdam(expected, 0.01),
    ]
    for update in range(30):
        if update == 12:
            saved = optimizers[0].state_dict()
            optimizers[0] = resume_in(ours, 0.01)
            optimizers[0].load_state_dict(saved)
        for weight, other in zip(ours[:2], expected[:2], strict=True):
            weight.grad = torch.randn_like(weight) * 10.0 ** (update % 4 - 3)
            other.grad = weight.grad.clone()
        for optimizer in optimizers:
            optimizer.param_groups[0]["lr"] = 0.01 / (update + 1)
            optimizer.step()
        for weight, other in zip(ours, expected, strict=True):
            np.testing.assert_allclose(weight.detach(), other.detach(), rtol=1e-5, atol=1e-6)


def test_other_layers_and_number_formats_are_left_to_pytorch() -> None:
    """A normalization that no ReLU follows, and float64."""
    layers = [nn.LayerNorm(4), nn.Linear(4, 4), nn.LayerNorm(4), nn.ReLU(), nn.ReLU()]
    torch.manual_seed(0)
    x = torch.randn(5, 4, dtype=torch.float64)
    plain = nn.Sequential(*layers).double()
    assert torch.equal(nn.Sequential(*fuse_norms(layers))(x), plain(x))
