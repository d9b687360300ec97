"""The networks of Mnih et al., compared with the same layers written as in the papers."""

import numpy as np
import pytest
import torch
from torch import nn

from gridcade.agents.networks import NetworkName, network
from gridcade.envs.observations import Part
from gridcade.errors import InputError

PAPERS: dict[NetworkName, list[nn.Module]] = {
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


class NormOverChannels(nn.Module):
    """Normalizes [batch, channels, h, w] over the channels of each position."""

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        mean = maps.mean(dim=1, keepdim=True)
        variance = maps.var(dim=1, keepdim=True, correction=0)
        normal: torch.Tensor = (maps - mean) / (variance + 1e-5).sqrt()
        return normal


def with_norms(layers: list[nn.Module]) -> list[nn.Module]:
    """The same layers, with a norm before every ReLU."""
    normed: list[nn.Module] = []
    for layer in layers:
        if isinstance(layer, nn.ReLU):
            last = normed[-1]
            linear = isinstance(last, nn.Linear)
            normed.append(nn.LayerNorm(last.out_features) if linear else NormOverChannels())
        normed.append(layer)
    return normed


def pixels(*shape: int) -> list[Part]:
    """Return the parts of an observation of bytes."""
    return [Part(shape, np.dtype(np.uint8), 255.0)]


@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize("name", ["2013", "2015"])
def test_networks_compute_what_the_papers_layers_compute(
    name: NetworkName, layer_norm: bool
) -> None:
    """The same weights yield the same values."""
    torch.manual_seed(0)
    ours = network(name, pixels(4, 84, 84), 6, layer_norm=layer_norm)
    paper = nn.Sequential(*(with_norms(PAPERS[name]) if layer_norm else PAPERS[name]))
    filters, units = {"2013": (32, 2592), "2015": (64, 3136)}[name]
    for layer, reference in zip(ours, paper, strict=True):
        if not isinstance(layer, nn.Conv2d | nn.Linear):
            continue
        weight = reference.state_dict()["weight"]
        if weight.shape[-1] == units:  # ours flattens place by place, not channel by channel
            weight = weight.unflatten(1, (filters, -1)).transpose(1, 2).flatten(1)
        layer.load_state_dict({"weight": weight, "bias": reference.state_dict()["bias"]})
    frames = torch.randint(0, 256, (5, 4, 84, 84), dtype=torch.uint8)
    with torch.no_grad():
        np.testing.assert_allclose(ours(frames), paper(frames.float() / 255), atol=1e-5)


def test_images_may_have_their_channels_first_or_last() -> None:
    """A picture, [side, side, colors], has the values of the same one as [colors, side, side]."""
    torch.manual_seed(0)
    last, first = (network("2013", pixels(*shape), 3) for shape in ((36, 36, 3), (3, 36, 36)))
    last.load_state_dict(first.state_dict())
    pictures = torch.randint(0, 256, (5, 36, 36, 3), dtype=torch.uint8)
    with torch.no_grad():
        np.testing.assert_allclose(last(pictures), first(pictures.permute(0, 3, 1, 2)), atol=1e-6)


@pytest.mark.parametrize("name", ["2013", "2015"])
def test_initial_weights_lie_within_one_over_root_fan_in(name: NetworkName) -> None:
    torch.manual_seed(0)
    first = network(name, pixels(4, 84, 84), 4)[0].weight  # fan-in: 4 frames of 8 x 8 pixels
    assert isinstance(first, torch.Tensor)
    assert 0.9 / 16 < first.abs().max() <= 1 / 16


@pytest.mark.parametrize(
    ("shape", "kind"),
    [
        ((4,), "mlp"),
        ((12, 12), "mlp"),
        ((2, 3, 4), "mlp"),
        ((12, 12, 3), "minatar"),
        ((7, 9, 21), "minatar"),
        ((4, 84, 84), "2013"),
        ((50, 61, 3), "2013"),
    ],
)
def test_auto_chooses_the_network_that_fits(shape: tuple[int, ...], kind: NetworkName) -> None:
    auto, named = network("auto", pixels(*shape), 3), network(kind, pixels(*shape), 3)
    assert [type(layer) for layer in auto] == [type(layer) for layer in named]
    assert auto(torch.zeros((2, *shape), dtype=torch.uint8)).shape == (2, 3)


def test_images_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match=r"network 2015 needs images.* 36 x 36.*\[4, 35, 84\]"):
        network("2015", pixels(4, 35, 84), 4)
