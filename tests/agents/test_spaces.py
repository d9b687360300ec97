"""Agents in spaces of every kind: they learn which action belongs to which observation."""

import re
import shlex
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3.common.preprocessing import preprocess_obs
from torch import nn

import gridcade
from gridcade import agents
from gridcade.agents import dqn, sb3
from gridcade.agents.base import in_memory
from gridcade.agents.networks import ImageConv, PixelConv
from gridcade.agents.sb3_features import SmallImages
from gridcade.envs import registry
from gridcade.envs.actions import action_index
from gridcade.errors import InputError
from gridcade.training.config import read_recipe

BOOL: Any = bool  # Gymnasium's annotation leaves it out
OBSERVATIONS: dict[str, Any] = {
    "discrete": spaces.Discrete(5, start=2),
    "multi-discrete": spaces.MultiDiscrete([3, 4], start=[1, 0]),
    "multi-binary": spaces.MultiBinary(4),
    "tuple": spaces.Tuple((spaces.Discrete(9), spaces.Discrete(4), spaces.MultiBinary(2))),
    "dict": spaces.Dict(
        {"where": spaces.Box(-1, 1, (2,)), "with": spaces.Discrete(3), "time": spaces.Box(0, 1, ())}
    ),
    "deep": spaces.Dict(
        {"a": spaces.Tuple((spaces.Discrete(4), spaces.Box(0, 9, (2, 2), np.int64)))}
    ),
    "cells": spaces.Box(0, 1, (10, 10, 4), BOOL),  # as MinAtar's
    "floats": spaces.Box(0, 1, (6, 9, 21)),
    "planes": spaces.Box(0, 1, (5, 8, 8), np.uint8),
    "image and more": spaces.Dict(
        {"direction": spaces.Discrete(4), "image": spaces.Box(0, 10, (7, 7, 3), np.uint8)}
    ),
    "two images": spaces.Tuple(
        (spaces.Box(0, 255, (36, 40, 3), np.uint8), spaces.Box(0, 1, (6, 6, 2)))
    ),
}
ACTIONS: dict[str, Any] = {
    "discrete": spaces.Discrete(3),
    "shifted": spaces.Discrete(3, start=-1),
    "multi-discrete": spaces.MultiDiscrete([2, 3], start=[1, 0]),
    "multi-binary": spaces.MultiBinary(2),
}


class Matching(gym.Env[Any, Any]):
    """Pays 1 for the action that belongs to the observation; there are three observations."""

    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012 - as Gymnasium's

    def __init__(self, observe: str, act: str = "discrete", render_mode: str | None = None):
        self.observation_space, self.action_space = OBSERVATIONS[observe], ACTIONS[act]
        self.render_mode = render_mode
        self.observation_space.seed(5)
        self._observations = [self.observation_space.sample() for _ in range(3)]
        self._actions = action_index(self.action_space)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed, options=options)
        self._steps, self._which = 0, int(self.np_random.integers(3))
        return self._observations[self._which], {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        assert self.action_space.contains(action), action
        reward = float(self._actions.encode(np.asarray(action)[None])[0] == self._which)
        self._steps, self._which = self._steps + 1, int(self.np_random.integers(3))
        return self._observations[self._which], reward, False, self._steps == 10, {}

    def render(self) -> Any:
        return np.full((16, 16, 3), 40 * self._which, np.uint8)


ENTRY_POINT: Any = Matching
gym.register("tests/Matching-v0", ENTRY_POINT)
QUICK: dict[str, Any] = {
    "dqn": {
        "network": "auto",
        "hidden": (32,),
        "learn_start": 60,
        "update_every": 4,
        "batch_size": 32,
        "replay_capacity": 2000,
        "target_every": 50,
        "epsilon": {"initial": 1.0, "final": 0.1, "steps": 400},
        "learning_rate": 0.005,
        "discount": 0.0,
    },
    "pqn": {
        "network": "auto",
        "hidden": (32,),
        "rollout": 8,
        "minibatches": 2,
        "epochs": 4,
        "epsilon": {"initial": 1.0, "final": 0.1, "steps": 500},
        "learning_rate": {"initial": 0.01},
        "discount": 0.0,
    },
}
QUICK["sb3-dqn"] = {
    "learning_starts": 60,
    "train_freq": 1,
    "target_update_interval": 50,
    "buffer_size": 2000,
    "exploration_fraction": 0.5,
    "learning_rate": 0.003,
    "gamma": 0.0,
    "n_steps": 1,
    "policy_kwargs": {"net_arch": [32]},
}
QUICK["q-learning"] = {
    "step_size": {"initial": 0.5},
    "epsilon": {"initial": 1.0, "final": 0.1, "steps": 400},
    "discount": 0.0,
}
STEPS = 600


def learned(agent: str, env: str, **options: Any) -> Any:
    run = gridcade.train(agent, env, steps=STEPS, envs=4, hyperparameters=QUICK[agent], **options)
    result = gridcade.evaluate(run, episodes=6)
    assert result.expected_return is not None
    assert result.expected_return.mean == 10  # each step's reward
    return run


@pytest.mark.parametrize(
    ("agent", "observe"),
    [*(("dqn", kind) for kind in OBSERVATIONS), ("pqn", "deep"), ("pqn", "image and more")],
)
def test_deep_agents_learn_from_observations_of_every_kind(
    agent: str, observe: str, tmp_path: Path
) -> None:
    learned(agent, f"tests/Matching-v0?observe={observe}", out=tmp_path / "run")


@pytest.mark.parametrize(
    ("agent", "act"), [*(("dqn", kind) for kind in ACTIONS), ("pqn", "multi-discrete")]
)
def test_deep_agents_learn_finite_actions_of_every_kind(
    agent: str, act: str, tmp_path: Path
) -> None:
    learned(agent, f"tests/Matching-v0?observe=dict&act={act}", out=tmp_path / "run")


@pytest.mark.parametrize(
    ("observe", "act"),
    [
        ("discrete", "shifted"),
        ("multi-discrete", "multi-binary"),
        ("multi-binary", "discrete"),
        ("tuple", "multi-discrete"),
        ("dict&bins=4", "discrete"),
        ("deep&bins=2", "shifted"),
    ],
)
def test_q_learning_learns_from_finite_observations(observe: str, act: str, tmp_path: Path) -> None:
    run = learned(
        "q-learning", f"tests/Matching-v0?observe={observe}&act={act}", out=tmp_path / "run"
    )
    policy: Any = gridcade.load(run)
    assert (policy.q != 1.0).any(axis=1).sum() == 3  # the three observations of this environment


@pytest.mark.parametrize(
    ("agent", "env", "message"),
    [
        (
            "q-learning",
            "CartPole",
            r"try: (gridcade train q-learning 'CartPole\?bins=8') or: (.*)$",
        ),
        ("q-lambda", "CartPole", r"try: (gridcade train q-lambda 'CartPole\?bins=8') or: (.*)$"),
        (
            "q-learning",
            "FourRooms?observation=pixels",
            r"these are Box.*uint8\); try: (.* dqn .*)$",
        ),
        (
            "q-learning",
            "Pendulum",
            "needs finitely many actions.*try: (gridcade train sb3-sac .*)$",
        ),
        ("dqn", "Pendulum", "needs finitely many actions.*try: (gridcade train sb3-sac Pendulum)$"),
        ("sb3-dqn", "Blackjack", "cannot learn from Tuple.*; try: (gridcade train dqn Blackjack)$"),
    ],
)
def test_the_advice_works(agent: str, env: str, message: str) -> None:
    kind, single = agents.find(agent), registry.make(env)
    with pytest.raises(InputError, match=message) as error:
        kind.make(single, kind.config(), 0)
    found = re.search(message, str(error.value))
    assert found
    for command in found.groups():
        _, _, other, name = shlex.split(command)
        kind, single = agents.find(other), registry.make(name)
        recipe = read_recipe(kind, kind.preset_for(single))
        kind.make(single, recipe.hyperparameters, 0)


def test_too_many_states_are_refused() -> None:
    class Huge(Matching):
        def __init__(self) -> None:
            self.observation_space = spaces.Discrete(10**12)
            self.action_space = spaces.Discrete(2)

    message = (
        "a table of 1000000000000 states and 2 actions here, .*; at most 100000000 are possible"
    )
    kind = agents.find("q-learning")
    with pytest.raises(InputError, match=message):
        kind.make(Huge(), kind.config(), 0)
    with pytest.raises(InputError, match="1000000000000 numbers for a network"):
        dqn.make(Huge(), dqn.DQNConfig(), 0)


def test_the_replay_stores_bytes_where_observations_allow_it() -> None:
    """Images of bytes with one-hot numbers are uint8, bools are bool, and floats are float32."""
    for observe, dtype in (("image and more", np.uint8), ("cells", np.bool_), ("dict", np.float32)):
        env = registry.make(f"tests/Matching-v0?observe={observe}")
        agent = dqn.make(env, dqn.DQNConfig(replay_capacity=100), 0)
        agent.allocate(1, 10, in_memory)
        assert agent.D.frames.dtype == agent.held_out.dtype == dtype


def test_images_go_to_convolutions() -> None:
    agent = dqn.make(registry.make("tests/Matching-v0?observe=two images"), dqn.DQNConfig(), 0)
    first, small = [layer for layer in agent.q.modules() if isinstance(layer, ImageConv)]
    assert isinstance(first, PixelConv)
    assert (first.in_channels, first.out_channels, first.kernel_size) == (3, 16, (8, 8))
    assert (small.in_channels, small.out_channels, small.kernel_size) == (2, 16, (3, 3))
    agent = dqn.make(registry.make("tests/Matching-v0?observe=image and more"), dqn.DQNConfig(), 0)
    head = [layer for layer in agent.q if isinstance(layer, nn.Linear)]
    assert [layer.in_features for layer in head] == [4 + 5 * 5 * 16, 128]  # Young & Tian (2019)


@pytest.mark.parametrize("observe", ["cells", "planes", "image and more", "multi-binary"])
def test_stable_baselines3_learns_from_small_images_and_dicts(observe: str, tmp_path: Path) -> None:
    run = learned("sb3-dqn", f"tests/Matching-v0?observe={observe}", out=tmp_path / "run")
    policy: Any = gridcade.load(run)
    extractor = policy.model.policy.q_net.features_extractor
    has_image = observe in ("cells", "planes", "image and more")
    assert isinstance(extractor, SmallImages) == has_image
    assert gridcade.evaluate(run, episodes=3, epsilon=1.0).epsilon == 1  # probabilities are known


@pytest.mark.parametrize("observe", ["cells", "floats", "image and more"])
def test_stable_baselines3_has_the_convolutions_of_our_network(observe: str) -> None:
    """From the same weights they have the same outputs."""
    env = registry.make(f"tests/Matching-v0?observe={observe}")
    ours = dqn.make(env, dqn.DQNConfig(), 0)
    theirs: Any = sb3.make(env, sb3_config("sb3-dqn"), 0)
    extractor = theirs.model.policy.q_net.features_extractor
    for mine, copied in zip(convolutions(ours.q), convolutions(extractor), strict=True):
        copied.load_state_dict(mine.state_dict())
    space = env.observation_space
    space.seed(1)
    batch = gym.vector.utils.batch_space(space, 3).sample()
    seen = torch.from_numpy(ours.preprocess(batch))
    layers = list(ours.q)
    expected = layers[0](seen) if observe == "image and more" else nn.Sequential(*layers[:3])(seen)
    policy = theirs.model.policy
    inputs, _ = policy.obs_to_tensor(batch)
    preprocessed = preprocess_obs(inputs, policy.q_net.observation_space)
    torch.testing.assert_close(extractor(preprocessed), expected)


def convolutions(module: nn.Module) -> list[nn.Module]:
    return [layer for layer in module.modules() if isinstance(layer, nn.Conv2d)]


def sb3_config(name: str) -> Any:
    return agents.find(name).config()


@pytest.mark.parametrize(
    ("observe", "act", "message"),
    [
        (
            "tuple",
            "discrete",
            "cannot learn from Tuple observations; try: gridcade train dqn .*tests/",
        ),
        ("deep", "discrete", "cannot learn from Tuple observations"),
        ("discrete", "discrete", r"observations that start at 0; these are Discrete\(5, start=2\)"),
        ("dict", "shifted", r"actions that start at 0; these are Discrete\(3, start=-1\); try"),
        ("dict", "multi-binary", "stable-baselines3's DQN rejects"),
    ],
)
def test_spaces_that_stable_baselines3_cannot_use(observe: str, act: str, message: str) -> None:
    env = registry.make(f"tests/Matching-v0?observe={observe}&act={act}")
    with pytest.raises(InputError, match=message) as error:
        sb3.make(env, sb3_config("sb3-dqn"), 0)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("agent", ["dqn", "pqn"])
def test_runs_on_dicts_resume_with_the_same_bits(agent: str, tmp_path: Path) -> None:
    """The actions have several parts."""
    env = "tests/Matching-v0?observe=image and more&act=multi-discrete"
    options: dict[str, Any] = {
        "steps": 200,
        "epoch": 48,
        "envs": 3,
        "hyperparameters": QUICK[agent],
    }
    whole = gridcade.train(agent, env, out=tmp_path / "whole", **options)
    stops = iter([False, False, True])
    out = tmp_path / "stopped"
    stopped = gridcade.train(agent, env, out=out, stop=lambda: next(stops), **options)
    assert 0 < stopped.last_checkpoint() < whole.last_checkpoint()
    resumed = gridcade.resume(out)
    last = whole.last_checkpoint()
    for name, tensor in whole.load_agent(last).items():
        np.testing.assert_array_equal(resumed.load_agent(last)[name], tensor, err_msg=name)


@pytest.mark.parametrize("observe", ["tuple", "image and more"])
def test_policies_for_dicts_and_tuples_can_be_watched(observe: str, tmp_path: Path) -> None:
    env = f"tests/Matching-v0?observe={observe}&act=multi-binary"
    run = gridcade.train("dqn", env, out=tmp_path / "run", steps=80, hyperparameters=QUICK["dqn"])
    gridcade.watch(run, video=tmp_path / "video.gif", episodes=1)
    single = registry.make(env)
    policy, (observation, _) = gridcade.load(run), single.reset(seed=0)
    assert single.action_space.contains(policy.predict(observation)[0])
    batch = gym.vector.utils.batch_space(single.observation_space, 3).sample()
    assert policy.predict(batch)[0].shape == (3, 2)
