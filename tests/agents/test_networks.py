"""The networks and the optimiser of Mnih et al., against their plain forms."""

import copy
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from gridcade.agents.deep import Form
from gridcade.agents.networks import (
    NetworkName,
    copy_weights,
    in_bfloat16,
    network,
    to_blocks,
)
from gridcade.agents.optimisers import MnihRMSProp, OverlappedAdam
from gridcade.agents.pqn import PQN
from gridcade.errors import InputError

PLAIN: dict[NetworkName, list[nn.Module]] = {
    "2013": [
        nn.Conv2d(4, 16, 8, stride=4),
        nn.ReLU(),
        nn.Conv2d(16, 32, 4, stride=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(2592, 256),
        nn.ReLU(),
        nn.Linear(256, 6),
    ],
    "2015": [
        nn.Conv2d(4, 32, 8, stride=4),
        nn.ReLU(),
        nn.Conv2d(32, 64, 4, stride=2),
        nn.ReLU(),
        nn.Conv2d(64, 64, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(3136, 512),
        nn.ReLU(),
        nn.Linear(512, 6),
    ],
}


class PlaceNorm(nn.Module):
    """Every place of [batch, filters, h, w] less its channels' mean, over their deviation."""

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        mean = maps.mean(dim=1, keepdim=True)
        variance = maps.var(dim=1, keepdim=True, correction=0)
        normal: torch.Tensor = (maps - mean) / (variance + 1e-5).sqrt()
        return normal


def normalised(layers: list[nn.Module]) -> list[nn.Module]:
    """The same layers, with what comes before a ReLU normalised."""
    found: list[nn.Module] = []
    for layer in layers:
        if isinstance(layer, nn.ReLU):
            last = found[-1]
            found.append(
                nn.LayerNorm(last.out_features) if isinstance(last, nn.Linear) else PlaceNorm()
            )
        found.append(layer)
    return found


@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize("name", ["2013", "2015"])
def test_networks_are_the_papers(name: NetworkName, layer_norm: bool) -> None:
    """The same weights in the layers as the papers give them yield the same values."""
    ours = network(name, (4, 84, 84), 6, layer_norm=layer_norm)
    plain = nn.Sequential(*(normalised(PLAIN[name]) if layer_norm else PLAIN[name]))
    filters, units = {"2013": (32, 2592), "2015": (64, 3136)}[name]
    for layer, reference in zip(ours, plain, strict=True):
        if not isinstance(layer, nn.Conv2d | nn.Linear):
            continue
        weight = reference.state_dict()["weight"]
        if weight.shape[-1] == 8:  # 8 x 8 pixels: 2 x 2 blocks of 4 x 4
            weight = nn.functional.pixel_unshuffle(weight, 4)
        if weight.shape[-1] == units:  # pixel by pixel, not filter by filter
            weight = weight.unflatten(1, (filters, -1)).transpose(1, 2).flatten(1)
        assert layer.weight.shape == weight.shape
        layer.load_state_dict({"weight": weight, "bias": reference.state_dict()["bias"]})
    frames = torch.randint(0, 256, (5, 4, 84, 84), dtype=torch.uint8)
    with torch.no_grad():
        blocks = torch.from_numpy(to_blocks(frames.numpy()))
        np.testing.assert_allclose(ours(blocks), plain(frames.float() / 255), atol=1e-5)


def test_images_are_taken_with_their_channels_first_or_last() -> None:
    """A picture, [side, side, colours], has the values of the same one as [colours, side, side]."""
    last, first = (PQN(Form(shape, np.uint8, 0, 3)) for shape in ((36, 36, 3), (3, 36, 36)))
    last.q.load_state_dict(first.q.state_dict())
    pictures = np.random.default_rng(0).integers(0, 256, (5, 36, 36, 3), dtype=np.uint8)
    turned = np.ascontiguousarray(np.moveaxis(pictures, -1, 1))
    expected = first._values(first._seen(turned))
    np.testing.assert_array_equal(last._values(last._seen(pictures)), expected)


def test_first_weights_lie_within_one_over_root_fan_in() -> None:
    first = network("2013", (4, 84, 84), 4)[0].weight  # fan-in: 4 frames of 8 x 8 pixels
    assert isinstance(first, torch.Tensor)
    assert 0.9 / 16 < first.abs().max() <= 1 / 16


@pytest.mark.parametrize(
    ("shape", "kind"), [((4,), "mlp"), ((12, 12, 3), "mlp"), ((4, 84, 84), "2013")]
)
def test_auto_takes_what_fits(shape: tuple[int, ...], kind: NetworkName) -> None:
    auto, named = network("auto", shape, 3), network(kind, shape, 3)
    assert [type(layer) for layer in auto] == [type(layer) for layer in named]
    seen = np.zeros((2, *shape), np.uint8)
    given = torch.from_numpy(to_blocks(seen) if kind == "2013" else seen)
    assert auto(given).shape == (2, 3)


def test_frames_that_do_not_fit_are_told() -> None:
    with pytest.raises(InputError, match=r"network 2015 takes square images.*\[4, 83, 83\]"):
        network("2015", (4, 83, 83), 4)


def test_rmsprop_is_the_formula() -> None:
    """Against a direct transcription: g / sqrt(E[g^2] - E[g]^2 + 0.01)."""
    rng = np.random.default_rng(0)
    theta = rng.normal(size=7)
    parameter = torch.tensor(theta, requires_grad=True)
    optimiser = MnihRMSProp([parameter], 0.01, 0.95, 0.01)
    mean = square = np.zeros(7)
    for _ in range(60):
        g = rng.normal(size=7) * rng.choice([0.01, 1, 30])
        parameter.grad = torch.tensor(g)
        optimiser.step()
        mean = 0.95 * mean + 0.05 * g
        square = 0.95 * square + 0.05 * g**2
        theta = theta - 0.01 * g / np.sqrt(square - mean**2 + 0.01)
        np.testing.assert_allclose(parameter.detach().numpy(), theta, rtol=1e-9)


def test_summed_gradients_are_part_of_the_formula() -> None:
    """With mean gradients the same step has the constant over the batch size squared."""
    steps: list[Any] = []
    for scale, minimum in ((32.0, 0.01), (1.0, 0.01 / 32**2), (1.0, 0.01)):
        parameter = torch.zeros(3, requires_grad=True)
        parameter.grad = torch.tensor([0.01, -0.2, 0.003]) * scale
        MnihRMSProp([parameter], 0.1, 0.95, minimum).step()
        steps.append(parameter.detach().numpy())
    np.testing.assert_allclose(steps[0], steps[1], rtol=1e-5)
    assert np.abs(steps[0] / steps[2]).min() > 2


def test_passes_in_bfloat16_follow_the_weights_that_are_learnt() -> None:
    """Values are float32's but for rounding; the last layer is not rounded at all."""
    torch.manual_seed(0)
    weights = network("2013", (4, 84, 84), 4)
    passes = in_bfloat16(weights)
    frames = torch.randint(0, 256, (8, 21, 21, 64), dtype=torch.uint8)
    with torch.no_grad():
        wanted, got = weights(frames), passes(frames)
        scale = float(wanted.abs().max())
        assert got.dtype == torch.float32
        assert torch.allclose(got, wanted, atol=0.02 * scale)
        assert passes[-1] is weights[-1]

        for parameter in weights.parameters():
            parameter.add_(0.01)
        stale, wanted = passes(frames), weights(frames)
        copy_weights(weights, passes)
        assert (passes(frames) - wanted).abs().max() < 0.1 * (stale - wanted).abs().max()


@pytest.mark.parametrize("form", [in_bfloat16, lambda weights: weights])
@pytest.mark.parametrize("resumed", [False, True])
def test_adam_beside_the_backward_pass_is_adam(resumed: bool, form: Any) -> None:
    """PyTorch's, on the gradients that the passes have; from a kept state as well."""
    torch.manual_seed(0)
    weights = network("2013", (4, 84, 84), 4)
    first = copy.deepcopy(weights)
    passes = form(weights)
    plain = copy.deepcopy(passes)  # to differentiate as PyTorch does
    reference = torch.optim.Adam(first.parameters(), 0.001)
    with ThreadPoolExecutor(1) as beside:
        ours = OverlappedAdam(weights, passes, 0.001, beside)
        for number in range(6):
            frames = torch.randint(0, 256, (8, 21, 21, 64), dtype=torch.uint8)
            copy_weights(weights, plain)
            plain.zero_grad()
            plain(frames).square().sum().backward()
            for parameter, low in zip(first.parameters(), plain.parameters(), strict=True):
                assert low.grad is not None
                parameter.grad = low.grad.float()
            reference.step()
            passes(frames).square().sum().backward()
            ours.step()
            for weight, expected, low in zip(
                *map(parameters, (weights, first, passes)), strict=True
            ):
                np.testing.assert_allclose(weight, expected, rtol=1e-4, atol=3e-6)
                assert torch.equal(low, weight.to(low.dtype))
            if resumed and number == 2:
                kept = copy.deepcopy(ours.state_dict())
                weights = copy.deepcopy(weights)
                ours = OverlappedAdam(weights, passes := form(weights), 0.001, beside)
                ours.load_state_dict(kept)


def parameters(net: nn.Module) -> list[torch.Tensor]:
    return [p.detach() for p in net.parameters()]
