"""The average of the weights: its formula, which policies use it, and that training does not."""

from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from gridcade.agents import dqn, pqn
from gridcade.agents.base import Tensors, in_memory
from gridcade.agents.deep import DeepAgent
from gridcade.agents.schedules import Schedule
from gridcade.envs import registry
from gridcade.errors import InputError
from gridcade.experience.loop import Experience
from gridcade.experience.vector import make_vector

PIXELS = "FourRooms?observation=pixels&pixels=36"
GREEDY = Schedule(0.0)
HORIZON = 5
DQN = dqn.DQNConfig(
    replay_capacity=300,
    learn_start=20,
    held_out=4,
    target_every=12,
    epsilon=GREEDY,
    learning_rate=0.01,
    average_over=HORIZON,
)
PQN = pqn.PQNConfig(
    rollout=8, minibatches=2, epsilon=GREEDY, learning_rate=Schedule(0.01), average_over=HORIZON
)
CONFIGS = [DQN, PQN]
FORMS: list[dict[str, Any]] = [{}, {"fast": False}, {"bfloat16": True}]
ENVS = 2
UPDATES = 12  # of the agents below, at least


@pytest.fixture(autouse=True)
def with_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gridcade.agents.fast.has_bfloat16", lambda _: True)


def make(config: Any, env: str = PIXELS, seed: int = 0) -> DeepAgent:
    module: Any = dqn if isinstance(config, dqn.DQNConfig) else pqn
    agent: DeepAgent = module.make(registry.make(env), config, seed)
    agent.allocate(ENVS, 100, in_memory)
    return agent


def train(agent: DeepAgent, steps: int = 80, env: str = PIXELS) -> Experience:
    experience = Experience(make_vector(env, ENVS), 3)
    continue_training(agent, experience, steps)
    return experience


def continue_training(agent: DeepAgent, experience: Experience, steps: int) -> None:
    taken = experience.steps(agent, agent.overlap_updates)
    for _ in range(steps // ENVS):
        next(taken)


def observations(env: str = PIXELS) -> Any:
    space = registry.make(env).observation_space
    space.seed(1)
    return np.stack([space.sample() for _ in range(6)])


def weights_of(tensors: Tensors, network: str) -> Tensors:
    """The tensors of one network, by their names in it."""
    prefix = f"{network}."
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def agent_with(agent: DeepAgent, weights: Tensors) -> DeepAgent:
    """Return an agent without an average that has these weights."""
    other = make(replace(agent.config, average_over=0), seed=1)  # type: ignore[attr-defined]
    assert other.take_layers({f"q.{name}": array for name, array in weights.items()}) == []
    return other


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("form", FORMS)
def test_predictions_come_from_the_average_and_actions_from_the_last_weights(
    config: Any, form: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The average is that of the recorded weights: a_k = a_{k-1} + (w_k - a_{k-1}) / min(k, 5)."""
    agent = make(replace(config, **form))
    recorded: list[list[NDArray[np.float64]]] = []
    count_update = agent.count_update

    def record() -> None:
        count_update()
        recorded.append([w.detach().double().numpy().copy() for w in agent.q.parameters()])

    monkeypatch.setattr(agent, "count_update", record)
    train(agent)
    assert len(recorded) == agent.updates > UPDATES
    naive = recorded[0]
    for k, weights in enumerate(recorded, start=1):
        naive = [a + (w - a) / min(k, HORIZON) for a, w in zip(naive, weights, strict=True)]
    assert agent.average
    for average, expected in zip(agent.average.q.parameters(), naive, strict=True):
        np.testing.assert_allclose(average.numpy(), expected, rtol=1e-5, atol=1e-7)

    seen, tensors = observations(), agent.state_dict()
    last, averaged = (agent_with(agent, weights_of(tensors, name)) for name in ("q", "q_average"))
    values = averaged.action_values(seen)
    assert np.abs(values - last.action_values(seen)).max() > 1e-3
    np.testing.assert_array_equal(agent.action_values(seen), values)
    np.testing.assert_array_equal(agent.probabilities(seen), averaged.probabilities(seen))
    np.testing.assert_array_equal(agent.act(seen[:ENVS]), last.act(seen[:ENVS]))
    np.testing.assert_array_equal(
        agent.backend.values(agent.preprocess(seen)), last.backend.values(last.preprocess(seen))
    )


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("env", [PIXELS, "CartPole"])
def test_averaging_does_not_change_what_is_learned(config: Any, env: str) -> None:
    """All other tensors have the same bits as without an average, also if the agent predicts."""
    averaging, plain = make(config, env), make(replace(config, average_over=0), env)
    for agent in (averaging, plain):
        experience = train(agent, 40, env)
        agent.predict(observations(env))
        continue_training(agent, experience, 40)
    expected, tensors = plain.state_dict(), averaging.state_dict()
    assert plain.average is None
    assert {k for k in tensors if not k.startswith("q_average.")} == set(expected)
    for name, tensor in expected.items():
        np.testing.assert_array_equal(tensors[name], tensor, err_msg=name)


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("form", FORMS)
def test_restored_and_shipped_agents_have_the_values_of_the_average(
    config: Any, form: dict[str, Any]
) -> None:
    """The layers of a shipped agent are named `q_average.*`, or `q.*`."""
    agent = make(replace(config, **form))
    train(agent)
    seen, tensors = observations(), agent.state_dict()
    values, layers = agent.action_values(seen), weights_of(tensors, "q_average")
    restored = make(agent.config, seed=1)  # type: ignore[attr-defined]
    restored.action_values(seen)
    restored.load_state_dict(tensors)
    np.testing.assert_array_equal(restored.action_values(seen), values)
    shipped = [{f"{prefix}.{k}": v for k, v in layers.items()} for prefix in ("q_average", "q")]
    for average_over, given in product((0, HORIZON), (tensors, *shipped)):
        started = make(replace(config, **form, average_over=average_over))
        assert started.take_layers(given) == []
        np.testing.assert_array_equal(started.action_values(seen), values)
        np.testing.assert_array_equal(started.backend.values(agent.preprocess(seen)), values)


@pytest.mark.parametrize("config", CONFIGS)
def test_frozen_layers_stay_as_they_were_loaded(config: Any) -> None:
    agent = make(replace(config, freeze="conv"))
    assert agent.take_layers(make(config, seed=1).state_dict()) == []
    loaded = next(agent.q.parameters()).clone()
    train(agent, 40)
    assert agent.updates
    assert agent.average
    for network in (agent.q, agent.average.q):
        assert torch.equal(next(network.parameters()), loaded)


def test_an_average_that_is_missing_or_not_finite_is_an_error() -> None:
    agent = make(DQN, "CartPole")
    train(agent, env="CartPole")
    old = {k: v for k, v in agent.state_dict().items() if not k.startswith("q_average.")}
    with pytest.raises(ValueError, match=r"it lacks the tensor 'q_average\.1\.weight'"):
        make(DQN, "CartPole").load_state_dict(old)
    make(replace(DQN, average_over=0), "CartPole").load_state_dict(old)
    assert agent.average
    with torch.no_grad():
        next(agent.average.q.parameters())[0, 0] = torch.inf
    with pytest.raises(InputError, match="weights are not finite"):
        agent.state_dict()
    with pytest.raises(InputError, match="average_over is -1; it must be 0 or more"):
        replace(DQN, average_over=-1)
