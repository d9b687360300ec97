"""Configs, presets and models of stable-baselines3's algorithms."""

import re
from contextlib import closing
from inspect import signature
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from stable_baselines3 import A2C, DDPG, DQN, PPO, SAC, TD3

from gridcade import agents
from gridcade.agents import dqn, sb3
from gridcade.agents.dqn import DQNConfig
from gridcade.agents.networks import network
from gridcade.agents.optimizers import MnihRMSProp
from gridcade.agents.sb3_features import Mnih2013CNN
from gridcade.agents.sb3_model import build_model, mnih_rmsprop
from gridcade.envs import registry
from gridcade.envs.observations import Part
from gridcade.errors import InputError
from gridcade.training.config import read_recipe, resolve_config

WITH_PRESETS = ("sb3-dqn", "sb3-ppo", "sb3-a2c")


def config_of(name: str, preset: str = "defaults", **hyperparameters: Any) -> Any:
    return read_recipe(agents.find(name), preset, None, hyperparameters).hyperparameters


@pytest.mark.parametrize("algorithm", [DQN, PPO, A2C, SAC, TD3, DDPG])
def test_every_algorithm_is_an_agent_with_its_own_defaults(algorithm: Any) -> None:
    kind = agents.find(f"sb3-{algorithm.__name__.lower()}")
    config: Any = kind.config()
    assert config.algorithm is algorithm
    for key, parameter in signature(algorithm).parameters.items():
        if hasattr(config, key) and key not in ("policy", "policy_kwargs", "device"):
            value, default = getattr(config, key), parameter.default
            assert value == ({} if default is None and isinstance(value, dict) else default)
    assert config.device == "cpu"  # as for Gridcade's agents, also where a GPU is available


@pytest.mark.parametrize(("name", "nearest"), [("sb3-sak", "sb3-sac"), ("sb3-pop", "sb3-ppo")])
def test_an_unknown_algorithm_is_refused_with_the_nearest_name(name: str, nearest: str) -> None:
    with pytest.raises(InputError, match=f"did you mean {nearest}"):
        agents.find(name)


@pytest.mark.parametrize(
    ("hyperparameters", "message"),
    [
        ({"lerning_rate": 0.1}, "did you mean learning_rate"),
        ({"batch_size": "many"}, "Expected `int`, got `str` - at `$.batch_size`"),
        ({"batch_size": 0}, "batch_size is 0; it must be 1 or more"),
        ({"gamma": 1.5}, "gamma is 1.5; it must be between 0 and 1"),
        ({"learning_rate": "linear"}, "it must be a number, or lin_NUMBER"),
        ({"learning_rate": -1.0}, "Invalid learning rate"),
        ({"policy": "MlpPolic"}, "did you mean MlpPolicy"),
        ({"policy": "CnnPolicy"}, "stable-baselines3's DQN rejects these hyperparameters"),
        ({"policy_kwargs": {"net_arc": [1]}}, "did you mean net_arch"),
        ({"policy_kwargs": {"optimizer_class": "Adem"}}, "unknown optimizer_class 'Adem'"),
        ({"policy_kwargs": {"activation_fn": "Relu"}}, "did you mean ReLU"),
        ({"policy_kwargs": {"net_arch": ["wide"]}}, "rejects these hyperparameters"),
        ({"train_freq": [3, "years"]}, "must be either 'step' or 'episode'"),
    ],
)
def test_a_wrong_hyperparameter_is_refused_in_one_line(
    hyperparameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        sb3.make(gym.make("CartPole-v1"), config_of("sb3-dqn", **hyperparameters), 0)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "env", "message"),
    [
        ("sb3-dqn", "Pendulum-v1", "stable-baselines3's DQN rejects .* this environment"),
        ("sb3-sac", "CartPole-v1", "stable-baselines3's SAC rejects .* this environment"),
        (
            "sb3-ppo",
            "Blackjack-v1",
            "cannot learn from Tuple observations; try: gridcade train dqn",
        ),
    ],
)
def test_an_unsuitable_environment_is_refused(name: str, env: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        sb3.make(gym.make(env), config_of(name), 0)


def test_actions_must_start_at_0() -> None:
    actions = gym.spaces.Discrete(2, start=1)
    env = gym.wrappers.TransformAction(gym.make("CartPole-v1"), lambda a: a - 1, actions)
    with pytest.raises(InputError, match="needs actions that start at 0"):
        sb3.make(env, config_of("sb3-a2c"), 0)


@pytest.mark.parametrize("total", [600, 1000, 3000])
def test_schedule_steps_fix_a_schedule_whatever_the_total(total: int) -> None:
    """The clip range falls from 0.2 to 0 over 1,000 steps, and stays 0."""
    config = config_of("sb3-ppo", clip_range="lin_0.2", learning_rate=0.1, schedule_steps=1000)
    model: Any = build_model(config, gym.make("CartPole-v1"), 0, total)
    for step in range(0, total, 50):
        expected = max(0.2 * (1 - step / 1000), 0)
        assert model.clip_range(1 - step / total) == pytest.approx(expected, abs=1e-12)
        assert model.lr_schedule(1 - step / total) == 0.1


def test_every_preset_makes_a_model() -> None:
    envs = {"vector": registry.make("CartPole"), "image": registry.make("Breakout")}
    envs["state"] = registry.make("FourRooms")
    for name in WITH_PRESETS:
        for preset in agents.find(name).presets():
            atari = preset in ("zoo-atari", "two-core", "nature2015", "mnih2013")
            env = envs["image" if atari else "state" if preset == "gridworld" else "vector"]
            agent = sb3.make(env, config_of(name, preset), 0)
            assert ("Cnn" in type(agent.model.policy).__name__) == atari


@pytest.mark.parametrize(
    ("env", "preset"),
    [
        ("CartPole", "vector"),
        ("Breakout", "two-core"),
        ("FourRooms", "gridworld"),
        ("MinAtar/Freeway", "minatar"),
        ("MiniGrid-Empty-5x5-v0", "minigrid"),
    ],
)
def test_the_default_preset_depends_on_the_observations(env: str, preset: str) -> None:
    if preset in ("minatar", "minigrid"):
        pytest.importorskip(preset)
    with closing(registry.make(env)) as single:
        for name in ("sb3-ppo", "sb3-dqn"):
            assert agents.find(name).preset_for(single) == preset


# ---- equal hyperparameters

EQUAL = {
    "vector": "CartPole",
    "two-core": "Breakout",
    "nature2015": "Breakout",
    "mnih2013": "Breakout",
    "minatar": "MinAtar/Breakout-v1",
    "minigrid": "MiniGrid-DoorKey-5x5-v0",
}


@pytest.mark.parametrize("preset", EQUAL)
def test_presets_of_one_name_have_equal_hyperparameters(preset: str) -> None:
    env = EQUAL[preset]
    if preset in ("minatar", "minigrid"):
        pytest.importorskip(preset)
    recipes = [read_recipe(agents.find(name), preset) for name in ("dqn", "sb3-dqn")]
    runs = [resolve_config(recipe, env, {}) for recipe in recipes]
    ours, theirs = recipes[0].hyperparameters, config_of("sb3-dqn", preset)
    assert isinstance(ours, DQNConfig)
    assert len({(run.steps, run.epoch, run.envs, run.evaluation_episodes) for run in runs}) == 1
    assert theirs.gamma == ours.discount
    assert theirs.batch_size == ours.batch_size
    assert theirs.learning_rate == ours.learning_rate
    assert theirs.learning_starts == ours.learn_start
    assert theirs.clip_rewards == ours.clip_rewards
    assert theirs.n_steps == (1 if preset == "minigrid" else ours.n_step)
    assert theirs.target_update_interval == (ours.target_every or 1)
    assert theirs.train_freq * runs[0].envs == theirs.gradient_steps * ours.update_every
    assert theirs.max_grad_norm >= 1e9
    assert theirs.buffer_size == (100_000 if preset == "two-core" else ours.replay_capacity)

    # Epsilon is equal at every step from the first update on.
    with closing(registry.make(env)) as single:
        agent = dqn.make(single, ours, 0)
        model: Any = build_model(theirs, single, 0, total_steps=5_000_000, replay=False)
    end = ours.learn_start + ours.epsilon.steps
    for step in np.linspace(ours.learn_start, 2 * end, 50).astype(int).tolist():
        agent.steps = step
        epsilon = model.exploration_schedule(1 - step / 5_000_000)
        assert epsilon == pytest.approx(agent.epsilon, abs=1e-9)

    # The networks have layers of equal sizes.
    sizes = [
        sorted(weight.numel() for weight in net.parameters()) for net in (agent.q, model.q_net)
    ]
    assert sizes[0] == sizes[1]
    optimizers: dict[str, type[torch.optim.Optimizer]]
    optimizers = {"adam": torch.optim.Adam, "mnih": MnihRMSProp, "minatar": torch.optim.RMSprop}
    assert type(model.policy.optimizer) is optimizers[ours.optimizer]
    if ours.optimizer == "minatar":
        assert isinstance(agent.optimizer, torch.optim.Optimizer)
        assert model.policy.optimizer.defaults == agent.optimizer.defaults


def test_mnih2013_cnn_computes_what_gridcades_network_computes() -> None:
    """Both have the same weights; stable-baselines3 scales pixels to 0 to 1."""
    space = gym.spaces.Box(0, 255, (4, 84, 84), np.uint8)
    ours = network("2013", [Part((4, 84, 84), np.dtype(np.uint8))], 3)
    theirs = Mnih2013CNN(space)
    for layer, copied in zip([*ours][:-1], theirs.layers, strict=True):
        copied.load_state_dict(layer.state_dict())
    frames = torch.randint(0, 256, (3, 4, 84, 84), dtype=torch.uint8)
    with torch.no_grad():
        features = theirs(frames.float() / 255)
        np.testing.assert_allclose(ours[-1](features), ours(frames), atol=1e-5)


def test_rmsprop_on_mean_losses_takes_the_same_steps_as_on_sums() -> None:
    """A mean over 32 samples divides gradients by 32, so the minimum is divided by 32 squared."""
    config = config_of("sb3-dqn", "nature2015")
    (minimum,) = config.policy_kwargs["optimizer_kwargs"].values()
    ours, theirs = (torch.ones(7, requires_grad=True) for _ in range(2))
    sums = MnihRMSProp([ours], 0.01)
    means = mnih_rmsprop([theirs], lr=0.01, minimum=minimum)
    rng = np.random.default_rng(1)
    for _ in range(20):
        gradient = torch.from_numpy(rng.normal(size=7).astype(np.float32))
        ours.grad, theirs.grad = gradient, gradient / 32
        sums.step()
        means.step()
    np.testing.assert_allclose(theirs.detach(), ours.detach(), rtol=1e-5)
