"""RMSProp of Mnih et al. and of Young & Tian, compared with their formulas."""

from typing import Any

import numpy as np
import torch

from gridcade.agents.optimizers import MnihRMSProp, minatar_rmsprop


def test_rmsprop_of_mnih_follows_its_formula() -> None:
    """G / sqrt(E[g^2] - E[g]^2 + 0.01), transcribed."""
    rng = np.random.default_rng(0)
    theta = rng.normal(size=7)
    parameter = torch.tensor(theta, requires_grad=True)
    optimizer = MnihRMSProp([parameter], 0.01, 0.95, 0.01)
    mean = square = np.zeros(7)
    for _ in range(60):
        g = rng.normal(size=7) * rng.choice([0.01, 1, 30])
        parameter.grad = torch.tensor(g)
        optimizer.step()
        mean = 0.95 * mean + 0.05 * g
        square = 0.95 * square + 0.05 * g**2
        theta = theta - 0.01 * g / np.sqrt(square - mean**2 + 0.01)
        np.testing.assert_allclose(parameter.detach().numpy(), theta, rtol=1e-9)


def test_the_formula_is_for_summed_gradients() -> None:
    """With mean gradients the same step needs the constant over the batch size squared."""
    steps: list[Any] = []
    for scale, minimum in ((32.0, 0.01), (1.0, 0.01 / 32**2), (1.0, 0.01)):
        parameter = torch.zeros(3, requires_grad=True)
        parameter.grad = torch.tensor([0.01, -0.2, 0.003]) * scale
        MnihRMSProp([parameter], 0.1, 0.95, minimum).step()
        steps.append(parameter.detach().numpy())
    np.testing.assert_allclose(steps[0], steps[1], rtol=1e-5)
    assert np.abs(steps[0] / steps[2]).min() > 2


def test_rmsprop_of_minatar_follows_its_formula() -> None:
    """The formula v = 0.95 v + G / (sqrt(E[g^2] - E[g]^2) + 0.01), transcribed."""
    rng = np.random.default_rng(0)
    theta = rng.normal(size=7)
    parameter = torch.tensor(theta, requires_grad=True)
    optimizer = minatar_rmsprop([parameter], 0.00025)
    mean = square = velocity = np.zeros(7)
    for _ in range(60):
        g = rng.normal(size=7) * rng.choice([0.01, 1, 30])
        parameter.grad = torch.tensor(g)
        optimizer.step()
        mean = 0.95 * mean + 0.05 * g
        square = 0.95 * square + 0.05 * g**2
        velocity = 0.95 * velocity + g / (np.sqrt(square - mean**2) + 0.01)
        theta = theta - 0.00025 * velocity
        np.testing.assert_allclose(parameter.detach().numpy(), theta, rtol=1e-9)
