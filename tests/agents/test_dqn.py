"""DQN: an update is compared with the paper's equations; counters, state and errors."""

import copy
from dataclasses import replace
from inspect import signature
from itertools import product
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st

from gridcade import agents
from gridcade.agents.base import Storage, in_memory
from gridcade.agents.deep import Spaces
from gridcade.agents.dqn import DQN, DQNConfig, make
from gridcade.agents.optimizers import MnihRMSProp, minatar_rmsprop
from gridcade.agents.schedules import Schedule
from gridcade.envs import registry
from gridcade.envs.observations import ArrayEncoder
from gridcade.errors import InputError
from gridcade.experience.loop import Experience
from gridcade.experience.step import Step
from gridcade.experience.vector import make_vector
from gridcade.seeding import unpack
from gridcade.training.config import read_recipe

SMALL = DQNConfig(
    hidden=(8,),
    replay_capacity=400,
    learn_start=40,
    update_every=2,
    batch_size=16,
    target_every=20,
    epsilon=Schedule(1.0, 0.1, 100),
    held_out=5,
    learning_rate=0.01,
    clip_rewards=False,
)


def small_config(**fields: Any) -> DQNConfig:
    return replace(SMALL, **fields)


def trained(
    config: DQNConfig,
    steps: int,
    envs: int = 1,
    seed: int = 0,
    storage: Storage = in_memory,
    env: str = "CartPole-v1",
) -> tuple[DQN, Experience]:
    vector = make_vector(env, envs)
    agent = make(registry.make(env), config, seed)
    agent.check_num_envs(envs)
    agent.allocate(envs, 1000, storage)
    experience = Experience(vector, seed)
    continue_training(agent, experience, steps)
    return agent, experience


def continue_training(agent: DQN, experience: Experience, until: int) -> None:
    """Train until the agent has taken `until` steps in total."""
    steps = experience.steps(agent, agent.overlap_updates)
    while agent.steps < until:
        next(steps)


def update_once(agent: DQN) -> None:
    """Update from one minibatch, whether or not an update is due."""
    batch = agent.sample()
    (values,) = agent.backend.target_values(agent.q_target, [batch])
    agent.learn(batch, values)


@pytest.mark.parametrize("optimizer", ["adam", "mnih", "minatar"])
@pytest.mark.parametrize("loss", ["huber", "squared"])
@pytest.mark.parametrize("target_every", [0, 20])
def test_an_update_follows_the_paper(optimizer: Any, loss: Any, target_every: int) -> None:
    """The target is r + gamma max Q^(s', a'), or r at an end; the update follows the loss."""
    config = small_config(optimizer=optimizer, loss=loss, target_every=target_every, n_step=2)
    agent, _ = trained(config, 75)
    q, target = copy.deepcopy(agent.q), copy.deepcopy(agent.q_target)
    rng = np.random.default_rng()
    unpack(rng, agent.state_dict()["agent_stream"])
    moments = copy.deepcopy(agent.optimizer.state_dict())
    update_once(agent)

    batch = agent.D.sample(config.batch_size, rng, 2, config.discount)
    loss_sum = torch.zeros(())
    for i in range(config.batch_size):
        after = torch.as_tensor(batch.next_observations[i])[None]
        best = (target if target_every else q)(after).max().item()
        y = float(batch.returns[i]) + float(batch.discounts[i]) * best
        error = q(torch.as_tensor(batch.observations[i])[None])[0, batch.actions[i]] - y
        if loss == "squared" or abs(error.item()) <= 1:
            loss_sum = loss_sum + 0.5 * error**2
        else:
            loss_sum = loss_sum + error.abs() - 0.5
    reference: torch.optim.Optimizer
    if optimizer == "mnih":
        reference = MnihRMSProp(q.parameters(), config.learning_rate)
    else:
        loss_sum = loss_sum / config.batch_size
        kind = torch.optim.Adam if optimizer == "adam" else minatar_rmsprop
        reference = kind(q.parameters(), config.learning_rate)
    reference.load_state_dict(moments)
    reference.zero_grad()
    torch.autograd.backward(loss_sum)
    reference.step()
    for actual, desired in zip(agent.q.parameters(), q.parameters(), strict=True):
        np.testing.assert_allclose(
            actual.detach().numpy(), desired.detach().numpy(), rtol=2e-4, atol=2e-6
        )


@settings(max_examples=15, deadline=None)
@given(
    envs=st.integers(1, 5),
    start=st.integers(20, 60),
    every=st.integers(1, 7),
)
def test_update_every_counts_steps(envs: int, start: int, every: int) -> None:
    """One update for every `update_every` steps since learn_start, for any number of envs."""
    agent, experience = trained(small_config(learn_start=start, update_every=every), 1, envs)
    steps = experience.steps(agent, agent.overlap_updates)
    while agent.steps < 120:
        before = agent.steps  # when `update` is called
        next(steps)
        expected = (before - start) // every + 1 if before >= start else 0
        assert agent.updates == expected


@pytest.mark.parametrize("overlap", [True, False])
def test_the_papers_order_stores_the_newest_transition_before_the_update(overlap: bool) -> None:
    """With overlap, the update runs while the environment steps, without the newest transition."""
    config = small_config(overlap=overlap, learn_start=5, update_every=1, replay_capacity=100)
    agent, experience = trained(config, 4)
    for stored in range(5, 30):
        before = agent.updates
        continue_training(agent, experience, stored)
        assert agent.steps == stored
        updates = stored - 5 if overlap else stored - 4  # the first at learn_start
        assert (before, agent.updates) == (max(updates - 1, 0), max(updates, 0))


def test_the_target_network_is_copied_every_target_every_steps() -> None:
    agent, experience = trained(SMALL, 39)
    steps = experience.steps(agent, agent.overlap_updates)
    copies, last = [], [p.clone() for p in agent.q_target.parameters()]
    while agent.steps < 200:
        next(steps)
        now = list(agent.q_target.parameters())
        if any((a != b).any() for a, b in zip(last, now, strict=True)):
            copies.append(agent.steps)
            last = [p.clone() for p in now]
    assert np.diff(copies).tolist() == [SMALL.target_every] * (len(copies) - 1)
    assert len(copies) >= 5


def test_without_a_target_network_the_online_network_computes_the_targets() -> None:
    agent, _ = trained(small_config(target_every=0), 60)
    assert agent.updates
    assert agent.q_target is agent.q


def test_a_target_every_below_update_every_copies_the_network_at_each_update() -> None:
    agent, _ = trained(small_config(target_every=1, update_every=4), 80)
    pairs = zip(agent.q.parameters(), agent.q_target.parameters(), strict=True)
    assert all(torch.equal(weight, copied) for weight, copied in pairs)


def test_epsilon_decreases_from_learn_start_on() -> None:
    agent = make(gym.make("CartPole-v1"), SMALL, 0)
    epsilons = []
    for steps in (0, 39, 40, 90, 140, 10_000):
        agent.steps = steps
        epsilons.append(agent.epsilon)
    assert epsilons == pytest.approx([1.0, 1.0, 1.0, 0.55, 0.1, 0.1])


def make_step(reward: float, terminated: bool, life_lost: bool | None) -> Step:
    return Step(
        observations=np.zeros((1, 4), np.float32),
        actions=np.array([1]),
        rewards=np.array([reward]),
        next_observations=np.ones((1, 4), np.float32),
        terminated=np.array([terminated]),
        truncated=np.array([False]),
        current=np.ones((1, 4), np.float32),
        life_lost=None if life_lost is None else np.array([life_lost]),
    )


@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize(
    ("terminated", "life_lost", "bootstraps"),
    [(False, None, True), (False, False, True), (False, True, False), (True, None, False)],
)
def test_the_replay_stores_clipped_rewards_and_lost_lives(
    clip: bool, terminated: bool, life_lost: bool | None, bootstraps: bool
) -> None:
    """A lost life ends bootstrapping, but not the episode."""
    agent = make(gym.make("CartPole-v1"), small_config(clip_rewards=clip, discount=0.9), 0)
    agent.allocate(1, 10, in_memory)
    agent.observe(make_step(7.0, terminated, life_lost))
    batch = agent.D.sample(1, np.random.default_rng(0), 1, 0.9)
    assert batch.returns[0] == (1.0 if clip else 7.0)
    assert batch.discounts[0] == pytest.approx(0.9 if bootstraps else 0.0)
    assert agent.D.written[0] == (3 if terminated else 2)


PIXELS = {"network": "2013", "bfloat16": True, "update_every": 8}


@pytest.mark.parametrize(
    ("env", "fields"),
    [
        ("CartPole-v1", {}),
        ("CartPole-v1", {"optimizer": "mnih"}),
        ("CartPole-v1", {"optimizer": "minatar"}),
        ("CartPole-v1", {"target_every": 0}),
        ("CartPole-v1", {"average_over": 30}),
        ("FourRooms?observation=pixels&pixels=36", PIXELS | {"average_over": 5}),
        ("FourRooms?observation=pixels&pixels=36", PIXELS | {"bfloat16": False}),
    ],
)
def test_a_restored_state_continues_bit_for_bit(
    env: str, fields: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The state dict and the arrays of the replay contain everything that learning depends on."""
    # CPUs without bfloat16 support emulate it slowly.
    monkeypatch.setattr("gridcade.agents.fast.has_bfloat16", lambda _: True)
    config = small_config(**fields)
    arrays: dict[str, Any] = {}

    def storage(name: str, shape: tuple[int, ...], dtype: Any) -> Any:
        return arrays.setdefault(name, np.zeros(shape, dtype))

    agent, experience = trained(config, 100, 2, 3, storage, env)
    assert agent.precision == ("bfloat16" if config.bfloat16 else "float32")
    state = {k: v.copy() for k, v in agent.state_dict().items()}
    env_state = experience.env_state()
    continue_training(agent, experience, 180)
    expected = agent.state_dict()

    restored, _ = trained(config, 0, 2, 99, storage, env)
    restored.load_state_dict(state)
    continued = Experience(make_vector(env, 2), 3)
    continued.load_env_state(env_state)
    continue_training(restored, continued, 180)
    assert set(restored.state_dict()) == set(expected)
    for key, tensor in restored.state_dict().items():
        np.testing.assert_array_equal(tensor, expected[key], err_msg=key)


def test_predict_does_not_change_the_agent() -> None:
    agent, unused = (trained(SMALL, 60)[0] for _ in range(2))
    observations = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)
    for _ in range(20):
        agent.predict(observations, deterministic=False)
    np.testing.assert_array_equal(agent.act(observations), unused.act(observations))
    np.testing.assert_array_equal(
        agent.backend.values(observations), unused.backend.values(observations)
    )


def test_probabilities_are_the_shares_of_the_actions() -> None:
    agent, _ = trained(small_config(epsilon=Schedule(0.4)), 60)
    observation = np.random.default_rng(0).normal(size=4).astype(np.float32)
    table = agent.probabilities(observation[None], deterministic=False)[0]
    assert sorted(table) == pytest.approx([0.2, 0.8])
    actions, _ = agent.predict(np.tile(observation, (5000, 1)), deterministic=False)
    np.testing.assert_allclose(np.bincount(actions, minlength=2) / 5000, table, atol=0.03)
    assert agent.predict(observation, deterministic=True)[0] == table.argmax()


def test_metrics_report_learning() -> None:
    agent, experience = trained(SMALL, 30)
    assert set(agent.metrics()) == {"epsilon", "updates"}
    continue_training(agent, experience, 100)
    metrics = agent.metrics()
    assert metrics["updates"] == agent.updates > 0
    assert np.isfinite([metrics["loss"], metrics["held_out_max_q"]]).all()
    expected = agent.backend.values(agent.held_out).max(axis=1).mean()
    assert metrics["held_out_max_q"] == pytest.approx(float(expected))


def test_a_diverging_loss_is_an_error() -> None:
    agent, _ = trained(small_config(learning_rate=1.0), 60)
    with torch.no_grad():
        for parameter in agent.q.parameters():
            parameter.fill_(float("inf"))
    with pytest.raises(InputError, match="the loss is nan at update"):
        update_once(agent)


def test_weights_that_are_not_finite_are_neither_saved_nor_reported() -> None:
    agent, _ = trained(SMALL, 60)
    with torch.no_grad():
        next(agent.q.parameters())[0, 0] = torch.nan
    for method in (agent.metrics, agent.state_dict):
        with pytest.raises(InputError, match="weights are not finite after update 10"):
            method()


@pytest.mark.parametrize(
    ("invalid", "message"),
    [
        ({"discount": 1.1}, "discount is 1.1"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0"),
        ({"hidden": (8, 0)}, r"hidden is \(8, 0\)"),
        ({"epsilon": Schedule(1.0, power=0.5)}, "it must be 0, because only tabular agents"),
        ({"epsilon": Schedule(1.5)}, "epsilon.initial is 1.5"),
        ({"n_step": 0}, "n_step is 0"),
    ],
)
def test_invalid_hyperparameters_are_an_error(invalid: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        small_config(**invalid)


PAPERS = {  # the values of each preset that differ; the common values are in BOTH
    "mnih2013": {"network": "2013", "update_every": 1, "target_every": 0, "loss": "squared"},
    "nature2015": {"network": "2015", "update_every": 4, "target_every": 10_000, "loss": "huber"},
}
BOTH = {
    "batch_size": 32,
    "replay_capacity": 1_000_000,
    "discount": 0.99,
    "optimizer": "mnih",
    "learning_rate": 0.00025,
    "learn_start": 50_000,
    "clip_rewards": True,
    "epsilon": Schedule(1.0, 0.1, 1_000_000),
    # features that the papers do not have
    "n_step": 1,
    "bfloat16": False,
}


@pytest.mark.parametrize("name", PAPERS)
def test_presets_have_the_values_of_the_papers(name: str) -> None:
    """Mnih et al. (2013), section 5; Mnih et al. (2015), Extended Data Table 1."""
    config = read_recipe(agents.find("dqn"), name).hyperparameters
    expected = BOTH | PAPERS[name]
    assert {key: getattr(config, key) for key in expected} == expected
    parameters = signature(MnihRMSProp).parameters
    constants = [parameters[key].default for key in ("decay", "minimum")]
    assert constants == [0.95, 0.01]


@pytest.mark.parametrize("envs", [1, 3])
@pytest.mark.parametrize("n_step", [1, 3])
def test_a_replay_too_small_for_the_environments_is_an_error(n_step: int, envs: int) -> None:
    """With the smallest valid values, every update can sample transitions."""
    smallest = {"replay_capacity": envs * (2 + n_step), "learn_start": envs * n_step}
    config = small_config(n_step=n_step, update_every=1, **smallest)
    agent, experience = trained(config, 1, envs=envs)
    agent.check_num_envs(envs)
    continue_training(agent, experience, 300)
    assert agent.updates
    for name in ("replay_capacity", "learn_start"):
        smaller = {name: getattr(config, name) - 1}
        # 0 is invalid for any number of environments, so that message does not name it.
        ending = rf" \(envs: {envs}\)" if smaller[name] else ""
        with pytest.raises(InputError, match=f"{name} is .*; it must be .* or more{ending}$"):
            DQN(
                Spaces(ArrayEncoder(spaces.Box(0, 1, (4,))), 0, 2), replace(config, **smaller)
            ).check_num_envs(envs)


@pytest.mark.parametrize("fields", [{}, {"bfloat16": True}, {"optimizer": "mnih"}])
def test_freeze_conv_keeps_the_convolutions_unchanged(
    fields: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All other layers change."""
    monkeypatch.setattr("gridcade.agents.fast.has_bfloat16", lambda _: True)
    config = small_config(network="2013", freeze="conv", held_out=1, **fields)
    agent = DQN(Spaces(ArrayEncoder(spaces.Box(0, 255, (4, 36, 36), np.uint8)), 4, 3), config)
    agent.allocate(1, 1000, in_memory)
    before = copy.deepcopy(agent.q)
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (60, 1, 4, 36, 36), dtype=np.uint8)
    for t in range(59):
        step = make_step(1.0, False, None)
        agent.observe(replace(step, observations=frames[t], next_observations=frames[t + 1]))
    agent.update()
    assert agent.updates
    for layer, old_layer in zip(agent.q, before, strict=True):
        for weight, old in zip(layer.parameters(), old_layer.parameters(), strict=True):
            assert torch.equal(weight, old) == isinstance(layer, torch.nn.Conv2d)


def test_freezing_a_randomly_initialized_layer_is_an_error() -> None:
    def agent_for(shape: tuple[int, ...], num_actions: int, **fields: Any) -> DQN:
        config = small_config(network="2013", **fields)
        agent = DQN(
            Spaces(ArrayEncoder(spaces.Box(0, 255, shape, np.uint8)), shape[0], num_actions), config
        )
        agent.allocate(1, 100, in_memory)
        return agent

    agent = agent_for((4, 36, 36), 3, freeze="conv")
    with pytest.raises(InputError, match=r"cannot freeze layer 0 \(BlockConv\)"):
        agent.take_layers(agent_for((3, 36, 36), 3).state_dict())
    assert agent.take_layers(agent_for((4, 36, 36), 5).state_dict()) == ["7 (Output)"]
    with pytest.raises(InputError, match="freeze is random-conv, so no layers can be loaded"):
        agent_for((4, 36, 36), 3, freeze="random-conv").take_layers(agent.state_dict())
    with pytest.raises(InputError, match="random-conv, so no layers can be loaded: remove init_l"):
        agent_for((4, 36, 36), 3, freeze="random-conv", init_layers="conv")
    for name, value in product(("freeze", "init_layers"), ("conv", "random-conv")):
        if (name, value) != ("init_layers", "random-conv"):
            with pytest.raises(InputError, match=f"{name} is {value}, but this network has no con"):
                make(gym.make("CartPole-v1"), small_config(**{name: value}), 0)


def test_an_agent_that_only_acts_takes_all_layers() -> None:
    """A shipped agent has only weights, whichever layers it once started from."""
    shape, other = Spaces(ArrayEncoder(spaces.Box(0, 255, (4, 36, 36), np.uint8)), 4, 3), 1
    given = DQN(shape, small_config(network="2013"), seed=other).q.state_dict()
    tensors = {f"q.{name}": weight.numpy() for name, weight in given.items()}
    seen = np.zeros((2, 4, 36, 36), np.uint8)
    expected = DQN(shape, small_config(network="2013"), seed=other).action_values(seen)
    for fields in ({"init_layers": "conv"}, {"freeze": "random-conv"}, {"freeze": "conv"}):
        agent = DQN(shape, small_config(network="2013", **fields), seed=0)
        assert agent.take_layers(tensors, whole=True) == []
        np.testing.assert_array_equal(agent.action_values(seen), expected)


def test_an_unavailable_device_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="unknown device 'gpu'"):
        make(gym.make("CartPole-v1"), small_config(device="gpu"), 0)
    with pytest.raises(InputError, match="'cpu:x' is not a device"):
        make(gym.make("CartPole-v1"), small_config(device="cpu:x"), 0)
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="no device 'cuda:0' here; use --device cpu"):
            make(gym.make("CartPole-v1"), small_config(device="cuda:0"), 0)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    with pytest.raises(InputError, match="no device 'cuda:2': PyTorch finds 2 here"):
        make(gym.make("CartPole-v1"), small_config(device="cuda:2"), 0)


def test_an_unsuitable_environment_is_an_error() -> None:
    floats = Spaces(ArrayEncoder(spaces.Box(0, 1, (4, 84, 84))), 4, 3)
    with pytest.raises(
        InputError, match=r"network 2013 needs images in bytes .* float32: use netwo"
    ):
        DQN(floats, small_config(network="2013"))
    assert len(DQN(floats, small_config(network="auto")).q) == 4  # an mlp accepts them
    with pytest.raises(InputError, match="dqn needs finitely many actions"):
        make(gym.make("Pendulum-v1"), SMALL, 0)
