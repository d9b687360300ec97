"""The fast layers and optimizer compute the values, gradients and weights that PyTorch computes."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch import Tensor, nn

from gridcade.agents.base import in_memory
from gridcade.agents.deep import DeepAgent, Spaces
from gridcade.agents.dqn import DQN, DQNConfig
from gridcade.agents.fast import OverlappedAdam, Worker, fast_layers, in_bfloat16, to_blocks
from gridcade.agents.networks import NetworkName, copy_weights, network
from gridcade.agents.pqn import PQN, PQNConfig
from gridcade.agents.schedules import Schedule
from gridcade.envs.observations import ArrayEncoder, Part
from gridcade.experience.step import Step

SPACES = Spaces(ArrayEncoder(spaces.Box(0, 255, (4, 84, 84), np.uint8)), 4, 6)
UPDATES = 20


def random_frames(count: int, *shape: int) -> Any:
    return np.random.default_rng(0).integers(0, 256, (count, *shape), dtype=np.uint8)


@pytest.mark.parametrize("name", ["2013", "2015"])
@pytest.mark.parametrize("shape", [(4, 84, 84), (36, 36, 3)])
def test_fast_layers_have_the_same_values(name: NetworkName, shape: tuple[int, ...]) -> None:
    plain = network(name, [Part(shape, np.dtype(np.uint8))], 6, layer_norm=True)
    fast = fast_layers(copy.deepcopy(plain))
    frames = random_frames(5, *shape)
    blocks = to_blocks(frames if shape[0] == 4 else np.moveaxis(frames, -1, 1))
    with torch.no_grad():
        expected = plain(torch.from_numpy(frames))
        np.testing.assert_allclose(fast(torch.from_numpy(blocks)), expected, atol=1e-5)


def dqn(**fields: Any) -> DQN:
    return DQN(SPACES, DQNConfig(replay_capacity=1000, target_every=40, held_out=1, **fields))


def dqn_losses(agent: DQN) -> list[float]:
    """Losses of the first updates, from the same replay for every agent."""
    agent.allocate(1, 1000, in_memory)
    frames, no = random_frames(120, 1, 84, 84), np.array([False])
    stacks = np.stack([frames[k : 116 + k] for k in range(4)], axis=2)  # [116, 1, 4, 84, 84]
    rewards = np.random.default_rng(1).choice([0.0, 1.0], 116)
    for t in range(115):
        reward, after = rewards[[t]], stacks[t + 1]
        agent.observe(Step(stacks[t], np.array([t % 6]), reward, after, no, no, after))
    losses = []
    for _ in range(UPDATES):
        batch = agent.sample()
        (values,) = agent.backend.target_values(agent.q_target, [batch])
        agent.metrics()
        agent.learn(batch, values)
        losses.append(agent.metrics()["loss"])
    return losses


def pqn(**fields: Any) -> PQN:
    schedule = Schedule(0.00025)
    return PQN(SPACES, PQNConfig(rollout=4, minibatches=10, learning_rate=schedule, **fields))


def pqn_losses(agent: PQN) -> list[float]:
    """Losses of the first updates, from the same rollouts for every agent."""
    agent.allocate(10, 0, in_memory)
    frames, no = random_frames(9, 10, 4, 84, 84), np.zeros(10, bool)
    losses: list[float] = []
    learn = agent.learn

    def record(rows: Any) -> None:
        agent.metrics()
        learn(rows)
        losses.append(agent.metrics()["loss"])

    agent.learn = record  # type: ignore[method-assign]
    for t in range(8):
        agent.act(frames[t])  # the actions below are the same for all agents
        agent.update()
        rewards, after = np.random.default_rng(t).normal(size=10), frames[t + 1]
        agent.observe(Step(frames[t], np.arange(10) % 6, rewards, after, no, no, after))
    return losses


CASES: list[tuple[Callable[..., Any], Callable[[Any], list[float]]]] = [
    (dqn, dqn_losses),
    (pqn, pqn_losses),
]


@pytest.mark.parametrize(("make", "losses"), CASES)
def test_in_float32_fast_and_plain_agents_learn_the_same(
    make: Callable[..., DeepAgent], losses: Callable[[DeepAgent], list[float]]
) -> None:
    """After twenty updates from the same seed, action values agree to 1e-5."""
    fast, plain = make(), make(fast=False)
    both = losses(fast), losses(plain)
    assert len(both[0]) == len(both[1]) == UPDATES
    np.testing.assert_allclose(both[0], both[1], rtol=1e-4)
    frames = random_frames(8, 4, 84, 84)
    values = [agent.backend.values(agent.backend.preprocess(frames)) for agent in (fast, plain)]
    np.testing.assert_allclose(values[0], values[1], atol=1e-5)


@pytest.mark.parametrize("fast", [True, False])
def test_layers_can_be_loaded_from_an_agent_with_the_other_layout(fast: bool) -> None:
    """Fast agents store the first convolution in another layout; the values are equal."""
    given, taking = dqn(fast=fast), DQN(SPACES, DQNConfig(fast=not fast, freeze="conv"), seed=1)
    given.allocate(1, 100, in_memory)
    assert taking.take_layers(given.state_dict()) == []
    frames = random_frames(4, 4, 84, 84)
    values = [agent.backend.values(agent.backend.preprocess(frames)) for agent in (given, taking)]
    np.testing.assert_allclose(values[0], values[1], atol=1e-5)


@pytest.mark.parametrize(("make", "losses"), CASES)
def test_in_bfloat16_losses_equal_those_of_float32_up_to_rounding(
    make: Callable[..., DeepAgent],
    losses: Callable[[DeepAgent], list[float]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gridcade.agents.fast.has_bfloat16", lambda _: True)
    low, plain = make(bfloat16=True), make(fast=False)
    assert low.precision == "bfloat16"
    np.testing.assert_allclose(losses(low), losses(plain), rtol=0.01)


def test_bfloat16_layers_follow_the_weights_that_are_learned() -> None:
    """Values are float32's up to rounding; the last layer is not rounded at all."""
    torch.manual_seed(0)
    weights = fast_layers(network("2013", [Part((4, 84, 84), np.dtype(np.uint8))], 4))
    low = in_bfloat16(weights)
    blocks = torch.randint(0, 256, (8, 21, 21, 64), dtype=torch.uint8)
    with torch.no_grad():
        expected, values = weights(blocks), low(blocks)
        assert values.dtype == torch.float32
        assert torch.allclose(values, expected, atol=0.02 * float(expected.abs().max()))
        assert low[-1] is weights[-1]

        for parameter in weights.parameters():
            parameter.add_(0.01)
        stale, expected = low(blocks), weights(blocks)
        copy_weights(weights, low)
        assert (low(blocks) - expected).abs().max() < 0.1 * (stale - expected).abs().max()


def parameters(net: nn.Module) -> list[Tensor]:
    return [p.detach() for p in net.parameters()]


@pytest.mark.parametrize("convert", [in_bfloat16, lambda weights: weights])
@pytest.mark.parametrize("resumed", [False, True])
def test_overlapped_adam_equals_adam(resumed: bool, convert: Callable[..., nn.Sequential]) -> None:
    """It takes the steps of PyTorch's Adam on the same gradients, also from a saved state."""
    torch.manual_seed(0)
    weights = fast_layers(network("2013", [Part((4, 84, 84), np.dtype(np.uint8))], 4))
    expected = copy.deepcopy(weights)
    computing = convert(weights)
    plain = copy.deepcopy(computing)  # PyTorch computes its gradients
    reference = torch.optim.Adam(expected.parameters(), 0.001)
    executor = Worker()
    ours = OverlappedAdam(weights, computing, 0.001, executor)
    for update in range(6):
        blocks = torch.randint(0, 256, (8, 21, 21, 64), dtype=torch.uint8)
        copy_weights(weights, plain)
        plain.zero_grad()
        plain(blocks).square().sum().backward()
        for parameter, low in zip(expected.parameters(), plain.parameters(), strict=True):
            assert low.grad is not None
            parameter.grad = low.grad.float()
        reference.step()
        computing(blocks).square().sum().backward()
        ours.step()
        for weight, wanted, low in zip(
            *map(parameters, (weights, expected, computing)), strict=True
        ):
            np.testing.assert_allclose(weight, wanted, rtol=1e-4, atol=3e-6)
            assert torch.equal(low, weight.to(low.dtype))
        if resumed and update == 2:
            saved = copy.deepcopy(ours.state_dict())
            weights = copy.deepcopy(weights)
            ours = OverlappedAdam(weights, computing := convert(weights), 0.001, executor)
            ours.load_state_dict(saved)
