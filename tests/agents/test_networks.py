"""The networks and the optimiser of Mnih et al., against their plain forms."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from gridcade.agents.networks import (
    InBfloat16,
    NetworkName,
    mnihs_convolutions,
    network,
    stack_blocks,
)
from gridcade.agents.optimisers import MnihRMSProp
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


@pytest.mark.parametrize("name", ["2013", "2015"])
def test_networks_are_the_papers(name: NetworkName) -> None:
    """The same weights in the layers as the papers give them yield the same values."""
    ours, plain = network(name, (4, 84, 84), 6), nn.Sequential(*PLAIN[name])
    for layer, reference in zip(ours, plain, strict=True):
        if not isinstance(layer, nn.Conv2d | nn.Linear):
            assert type(layer) is type(reference)
            continue
        weight = reference.state_dict()["weight"]
        if weight.shape[-1] == 8:  # 8 x 8 pixels: 2 x 2 blocks of 4 x 4
            weight = nn.functional.pixel_unshuffle(weight, 4)
        assert layer.weight.shape == weight.shape
        layer.load_state_dict({"weight": weight, "bias": reference.state_dict()["bias"]})
    frames = torch.randint(0, 256, (5, 4, 84, 84), dtype=torch.uint8)
    with torch.no_grad():
        blocks = torch.from_numpy(stack_blocks(frames.numpy()))
        np.testing.assert_allclose(ours(blocks), plain(frames.float() / 255), atol=1e-5)


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
    given = torch.from_numpy(stack_blocks(seen) if kind == "2013" else seen)
    assert auto(given).shape == (2, 3)


def test_frames_that_do_not_fit_are_told() -> None:
    with pytest.raises(InputError, match=r"network 2015 takes square frames.*\[4, 83, 83\]"):
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
    """Values and gradients are float32's but for rounding; the last layer is not rounded at all."""
    torch.manual_seed(0)
    master = network("2013", (4, 84, 84), 4)
    passes = InBfloat16(master)
    frames = torch.randint(0, 256, (8, 21, 21, 64), dtype=torch.uint8)
    wanted, got = master(frames), passes(frames)
    scale = float(wanted.detach().abs().max())
    assert got.dtype == torch.float32
    assert torch.allclose(got, wanted, atol=0.02 * scale)
    assert passes.net[-1] is master[-1]

    wanted.square().sum().backward()
    exact = [p.grad.clone() for p in master.parameters() if p.grad is not None]
    master.zero_grad()
    got.square().sum().backward()  # type: ignore[no-untyped-call]
    passes.return_gradients()
    for parameter, gradient in zip(master.parameters(), exact, strict=True):
        assert parameter.grad is not None
        assert parameter.grad.dtype == torch.float32
        error = (parameter.grad - gradient).norm() / gradient.norm()
        assert error < 0.05

    with torch.no_grad():
        for parameter in master.parameters():
            parameter.add_(0.01)
    stale = passes(frames)
    passes.refresh()
    fresh = passes(frames)
    wanted = master(frames)
    assert (fresh - wanted).abs().max() < 0.1 * (stale - wanted).abs().max()


@pytest.mark.parametrize("name", ["2013", "2015"])
def test_the_layers_for_other_libraries_are_the_same_network(name: Any) -> None:
    """Those of the plain network, but for the last one, whose inputs they count."""
    layers, units = mnihs_convolutions(name)
    assert [str(layer) for layer in layers] == [str(layer) for layer in PLAIN[name][:-1]]
    assert units == PLAIN[name][-1].in_features
