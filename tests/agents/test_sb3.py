"""stable-baselines3 as the reference: its own training to the bit, in our folders and harness."""

import json
import os
import random
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from contextlib import closing
from inspect import signature
from itertools import count
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import stable_baselines3
import torch
from gridcade.agents.optimisers import MnihRMSProp
from gymnasium.envs.registration import EnvSpec
from stable_baselines3 import A2C, DDPG, DQN, PPO, SAC, TD3
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv

import gridcade
from gridcade import agents, api
from gridcade.agents import dqn, sb3
from gridcade.agents.base import StochasticPolicy
from gridcade.agents.dqn import DQNConfig
from gridcade.agents.networks import network, to_blocks
from gridcade.envs import registry
from gridcade.errors import InputError
from gridcade.exact import solver
from gridcade.experience.loop import Experience
from gridcade.experience.vector import make_vector
from gridcade.seeding import episode_seed
from gridcade.training import sessions, trainer
from gridcade.training.run_folder import Run
from gridcade.training.sessions import train

SHORT = "CartPole-v1?max_episode_steps=10"  # most episodes are cut, some poles fall
SMALL: dict[str, dict[str, Any]] = {
    "sb3-dqn": {
        "learning_starts": 50,
        "buffer_size": 300,
        "train_freq": 2,
        "batch_size": 8,
        "target_update_interval": 40,
        "n_steps": 2,
    },
    "sb3-ppo": {"n_steps": 32, "batch_size": 16, "n_epochs": 2, "clip_range": "lin_0.2"},
    "sb3-a2c": {"n_steps": 4, "learning_rate": "lin_0.01"},
}
WALL_CLOCK = ("seconds", "steps_per_second")


def config_of(name: str, preset: str = "defaults", **given: Any) -> Any:
    return sessions.hyperparameters_of(agents.find(name), preset, None, given)


def train_small(name: str, out: Path, env: str = "CartPole-v1", **options: Any) -> Run:
    """A training of few and small updates."""
    given: dict[str, Any] = {
        "steps": 400,
        "epoch": 150,
        "evaluation_episodes": 2,
        "preset": "defaults",
    } | options
    return train(name, env, out=out, hyperparameters=SMALL.get(name, {}), **given)


class Seeded(gym.Wrapper[Any, Any, Any, Any]):
    """Every episode by its own seed, without anything of the code under test but the seeds."""

    def __init__(self, number: int):
        super().__init__(gym.make("CartPole-v1", max_episode_steps=10))
        self.number, self.episodes = number, count()

    def reset(self, **_: Any) -> Any:
        seed = episode_seed(3, "training", self.number, next(self.episodes))
        return self.env.reset(seed=seed)


def by_hand(name: str, envs: int, steps: int) -> Any:
    """The same training as a user of stable-baselines3 would write it."""
    given = dict(SMALL[name])
    for key, value in given.items():
        if isinstance(value, str):
            start = float(value.removeprefix("lin_"))
            given[key] = lambda left, start=start: left * start
    algorithm = getattr(stable_baselines3, name.removeprefix("sb3-").upper())
    env = DummyVecEnv([lambda i=i: Seeded(i) for i in range(envs)])  # type: ignore[misc]
    return algorithm("MlpPolicy", env, seed=3, device="cpu", **given).learn(steps)


@pytest.mark.parametrize("envs", [1, 2])
@pytest.mark.parametrize("name", SMALL)
def test_a_training_is_what_stable_baselines3_does_by_itself(
    name: str, envs: int, tmp_path: Path
) -> None:
    """To the bit: epochs, evaluations and checkpoints change nothing, and schedules hold."""
    run = train_small(name, tmp_path / "run", SHORT, seed=3, steps=384, epoch=100, envs=envs)
    tensors = run.load_agent(384)
    expected = by_hand(name, envs, 384).policy.state_dict()
    assert {key for key in tensors if key.startswith("policy.")} == {
        f"policy.{k}" for k in expected
    }
    for key, value in expected.items():
        np.testing.assert_array_equal(tensors[f"policy.{key}"], value.numpy())


@pytest.mark.parametrize("name", SMALL)
def test_metrics_have_the_keys_of_other_agents(name: str, tmp_path: Path) -> None:
    ours = train("q-learning", "FourRooms", steps=3000, out=tmp_path / "ours").metrics()[-1]
    run = train_small(name, tmp_path / "run", "FourRooms", steps=3000, epoch=1000)
    theirs = run.metrics()
    assert [m["steps"] for m in theirs] == [1000, 2000, 3000]
    assert run.checkpoints() == [1000, 2000, 3000]
    own = set(agents.QLearning(2, 2).metrics())
    for entry in theirs:
        missing = set(ours) - own - set(entry)
        assert {key for key in missing if not key.startswith("training_return")} <= {
            "training_length_mean",
            "training_truncated",
        }
        assert entry["exact"]
        assert entry["updates"] > 0
        assert entry["learning_rate"] >= 0


@pytest.mark.parametrize("name", SMALL)
def test_training_returns_are_those_of_whole_episodes(name: str, tmp_path: Path) -> None:
    """On CartPole a step pays 1, so returns are lengths, and all steps are in episodes."""
    run = train_small(name, tmp_path / "run", SHORT, envs=2, steps=396, epoch=100)
    metrics = run.metrics()
    assert sum(m["episodes"] for m in metrics) >= 396 / 10 - 2
    for entry in metrics:
        assert entry["training_average_reward"] == 1
        assert entry["training_return_mean"] == entry["training_length_mean"] <= 10
        assert entry["training_truncated"] > 0


@pytest.mark.parametrize("steps", [70, 100, 128])
def test_no_more_than_the_budget_is_learnt_from(steps: int, tmp_path: Path) -> None:
    """PPO fills rollouts of 32: what lies beyond the budget counts as nothing, whole ones count."""
    run = train_small("sb3-ppo", tmp_path / "run", steps=steps, epoch=1000)
    assert run.checkpoints()[-1] == steps
    (entry,) = run.metrics()
    assert entry["updates"] == 2 * (steps // 32)
    assert entry["training_average_reward"] == 1


class Leaking(gym.Env[Any, Any]):
    """An environment that fails by itself."""

    observation_space = gym.spaces.Discrete(2)
    action_space = gym.spaces.Discrete(2)

    def reset(self, **given: Any) -> tuple[int, dict[str, Any]]:
        super().reset(seed=given.get("seed"))
        return 0, {}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        raise ValueError(f"no valve {action}")


def test_an_environments_own_error_is_not_the_algorithms(tmp_path: Path) -> None:
    gym.register("Leaking-v0", lambda **_: Leaking())
    try:
        with pytest.raises(ValueError, match="no valve") as caught:
            train_small("sb3-a2c", tmp_path / "run", "Leaking-v0")
    finally:
        del gym.registry["Leaking-v0"]
    assert not isinstance(caught.value, InputError)


def test_a_run_folder_holds_no_pickle(tmp_path: Path) -> None:
    run = train_small("sb3-dqn", tmp_path / "run")
    suffixes = {file.suffix for file in run.path.rglob("*") if file.is_file()}
    assert suffixes <= {".toml", ".json", ".jsonl", ".safetensors", ""} | {
        file.suffix for file in (run.path / "tensorboard").glob("*")
    }
    for file in run.path.rglob("*.safetensors"):
        assert b"cloudpickle" not in file.read_bytes()


# ---- stopped and resumed


@pytest.mark.parametrize("name", SMALL)
def test_an_interrupted_training_starts_over(name: str, tmp_path: Path) -> None:
    whole = train_small(name, tmp_path / "whole", SHORT)
    asked = count()
    stopped = train_small(name, tmp_path / "run", SHORT, stop=lambda: next(asked) >= 220)
    assert 150 < stopped.last_checkpoint() < 400
    assert len(stopped.metrics()) == 1
    said: list[str] = []
    resumed = api.resume(stopped.path, note=said.append)
    assert said == [f"{name} cannot go on from {stopped_at(resumed)} steps: it starts over"]
    assert resumed.checkpoints() == whole.checkpoints()
    ours, theirs = resumed.load_agent(400), whole.load_agent(400)
    assert ours.keys() == theirs.keys()
    for key, value in theirs.items():
        np.testing.assert_array_equal(ours[key], value)
    for a, b in zip(resumed.metrics(), whole.metrics(), strict=True):
        assert {**a, **dict.fromkeys(WALL_CLOCK)} == {**b, **dict.fromkeys(WALL_CLOCK)}


def stopped_at(run: Run) -> int:
    """The steps that provenance says were lost."""
    first, second = json.loads((run.path / "provenance.json").read_text())["sessions"]
    assert "started_over" not in first
    return int(second["started_over"])


@pytest.mark.parametrize(("at", "kept"), [(200, [0, 150]), (100, [0])])
def test_a_killed_training_starts_over(at: int, kept: list[int], tmp_path: Path) -> None:
    def kill(progress: trainer.Progress) -> None:
        if progress.steps == at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_small("sb3-a2c", tmp_path / "run", report=kill)
    assert Run(tmp_path / "run").checkpoints() == kept
    resumed = api.resume(tmp_path / "run")
    assert [m["steps"] for m in resumed.metrics()] == [150, 300, 400]
    assert stopped_at(resumed) == kept[-1]


def test_a_training_killed_as_it_starts_over_has_started_over(tmp_path: Path) -> None:
    run = train_small("sb3-a2c", tmp_path / "run", stop=lambda: True)
    run.drop_checkpoints()
    assert stopped_at(api.resume(run.path)) == 0


def test_a_finished_training_is_not_lost(tmp_path: Path) -> None:
    run = train_small("sb3-a2c", tmp_path / "run")
    before = run.metrics(), run.load_agent(400)
    assert api.resume(run.path).metrics() == before[0]
    with pytest.raises(InputError, match="cannot go on from there: train it anew"):
        api.resume(run.path, steps=800)
    assert Run(run.path).metrics() == before[0]
    assert run.config.steps == 400
    np.testing.assert_array_equal(run.load_agent(400)["counters"], before[1]["counters"])


def test_minutes_bound_a_training(tmp_path: Path) -> None:
    options: dict[str, Any] = {"steps": None, "minutes": 0.02, "epoch": 100}
    with pytest.raises(InputError, match="give --steps as well, or --schedule-steps"):
        train_small("sb3-dqn", tmp_path / "none", **options)
    assert not (tmp_path / "none").exists()
    given = SMALL["sb3-dqn"] | {"schedule_steps": 100, "exploration_fraction": 0.5}
    run = train(
        "sb3-dqn",
        "CartPole-v1",
        minutes=0.02,
        preset="defaults",
        hyperparameters=given,
        out=tmp_path / "run",
    )
    state = run.load_checkpoint(run.last_checkpoint())[2]
    assert state["seconds"] >= 1.2
    assert run.load_agent(run.last_checkpoint())["exploration_rate"] == 0.05
    assert api.resume(run.path).last_checkpoint() == run.last_checkpoint()


# ---- config


def test_every_algorithm_is_an_agent() -> None:
    names = {"DQN": DQN, "PPO": PPO, "A2C": A2C, "SAC": SAC, "TD3": TD3, "DDPG": DDPG}
    for name, algorithm in names.items():
        kind = agents.find(f"sb3-{name.lower()}")
        assert kind.config.algorithm is algorithm
        config = kind.config()
        for key, parameter in signature(algorithm).parameters.items():
            if hasattr(config, key) and key not in ("policy", "policy_kwargs", "device"):
                value, default = getattr(config, key), parameter.default
                assert value == ({} if default is None and isinstance(value, dict) else default)
        assert config.device == "cpu"  # as ours, though a graphics card be there
    with pytest.raises(InputError, match="did you mean sb3-sac"):
        agents.find("sb3-sak")
    with pytest.raises(InputError, match="did you mean sb3-ppo"):
        agents.find("sb3-pop")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"lerning_rate": 0.1}, "did you mean learning_rate"),
        ({"batch_size": "many"}, "Expected `int`, got `str` - at `$.batch_size`"),
        ({"batch_size": 0}, "batch_size is 0; it takes 1 or more"),
        ({"gamma": 1.5}, "gamma is 1.5; it takes 0 to 1"),
        ({"learning_rate": "linear"}, "it takes a number, or lin_NUMBER"),
        ({"learning_rate": -1.0}, "Invalid learning rate"),
        ({"policy": "MlpPolic"}, "did you mean MlpPolicy"),
        ({"policy": "CnnPolicy"}, "does not take this"),
        ({"policy_kwargs": {"net_arc": [1]}}, "did you mean net_arch"),
        ({"policy_kwargs": {"optimizer_class": "Adem"}}, "unknown optimizer_class 'Adem'"),
        ({"policy_kwargs": {"activation_fn": "Relu"}}, "did you mean ReLU"),
        ({"policy_kwargs": {"net_arch": ["wide"]}}, "does not take this"),
        ({"train_freq": [3, "years"]}, "must be either 'step' or 'episode'"),
    ],
)
def test_a_wrong_value_is_told_in_a_line(given: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=re.escape(said)) as told:
        train(
            "sb3-dqn", "CartPole-v1", preset="defaults", hyperparameters=given, out=tmp_path / "a"
        )
    assert "\n" not in str(told.value)
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    ("name", "env"),
    [("sb3-dqn", "Pendulum-v1"), ("sb3-sac", "CartPole-v1"), ("sb3-ppo", "Blackjack-v1")],
)
def test_an_environment_that_does_not_fit_is_told(name: str, env: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="stable-baselines3's"):
        train_small(name, tmp_path / "run", env)
    assert not (tmp_path / "run").exists()


def test_a_replay_beyond_this_machines_memory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"would take 564\d\.\d GB .* buffer_size"):
        train(
            "sb3-dqn",
            "Breakout",
            preset="nature2015",
            out=tmp_path / "run",
            hyperparameters={"buffer_size": 100_000_000},
        )
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("total", [600, 1000, 3000])
def test_schedules_count_absolute_steps_if_told(total: int) -> None:
    """So a budget changes no schedule: 0.2 falls to 0 over 1,000 steps, and stays."""
    given: dict[str, Any] = {"clip_range": "lin_0.2", "learning_rate": 0.1, "schedule_steps": 1000}
    model: Any = sb3.build(config_of("sb3-ppo", **given), gym.make("CartPole-v1"), 0, total)
    for done in range(0, total, 50):
        expected = max(0.2 * (1 - done / 1000), 0)
        assert model.clip_range(1 - done / total) == pytest.approx(expected, abs=1e-12)
        assert model.lr_schedule(1 - done / total) == 0.1


class Pair(gym.Env[Any, Any]):
    """Pictures and numbers together: an observation of two parts."""

    observation_space = gym.spaces.Dict(
        {
            "picture": gym.spaces.Box(0, 255, (36, 36, 1), np.uint8),
            "numbers": gym.spaces.Box(-1, 1, (3,), np.float32),
        }
    )
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed, options=options)
        self.left = 7
        return self.seen(), {}

    def step(self, action: Any) -> Any:
        self.left -= 1
        return self.seen(), float(action), self.left == 0, False, {}

    def seen(self) -> dict[str, Any]:
        picture = self.np_random.integers(256, size=(36, 36, 1)).astype(np.uint8)
        return {"picture": picture, "numbers": np.full(3, self.left / 7, np.float32)}


def test_observations_of_several_parts_are_learnt_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = EnvSpec("Pair-v0", lambda **_: Pair())
    monkeypatch.setitem(gym.registry, "Pair-v0", spec)
    run = train(
        "sb3-ppo", "Pair-v0", steps=64, hyperparameters=SMALL["sb3-ppo"], out=tmp_path / "r"
    )
    policy: Any = api.load(run)
    assert type(policy.model.policy).__name__ == "MultiInputActorCriticPolicy"
    assert run.metrics()[-1]["updates"] > 0
    result = gridcade.evaluate(run, episodes=3)
    assert result.steps == 21


def test_updates_may_come_by_the_episode(tmp_path: Path) -> None:
    given = SMALL["sb3-dqn"] | {"train_freq": [1, "episode"], "gradient_steps": 3}
    run = train("sb3-dqn", SHORT, steps=200, envs=1, hyperparameters=given, out=tmp_path / "run")
    updates = run.metrics()[-1]["updates"]
    assert updates % 3 == 0
    assert 3 * 10 <= updates <= 3 * 20  # episodes of 10 steps or fewer, but for the first 50


def test_every_preset_makes_a_model() -> None:
    envs = {"vector": registry.make("CartPole"), "image": registry.make("Breakout")}
    envs["state"] = registry.make("FourRooms")
    for name in SMALL:
        for preset in agents.find(name).presets():
            atari = preset in ("zoo-atari", "two-core", "nature2015", "mnih2013")
            env = envs["image" if atari else "state" if preset == "gridworld" else "vector"]
            agent = sb3.make(env, config_of(name, preset), 0)
            policy = agent.model.policy.__class__.__name__
            assert ("Cnn" in policy) == atari
    assert {
        agents.find("sb3-ppo").preset_for(e) for e in ("CartPole", "Breakout", "FourRooms")
    } == {
        "vector",
        "two-core",
        "gridworld",
    }


# ---- equal hyperparameters

EQUAL = {
    "vector": "CartPole",
    "two-core": "Breakout",
    "nature2015": "Breakout",
    "mnih2013": "Breakout",
}


@pytest.mark.parametrize("preset", EQUAL)
def test_presets_of_one_name_have_equal_hyperparameters(preset: str) -> None:
    ours: DQNConfig = sessions.hyperparameters_of(agents.find("dqn"), preset, None)
    theirs = config_of("sb3-dqn", preset)
    kinds = [agents.find("dqn"), agents.find("sb3-dqn")]
    env = EQUAL[preset]
    runs = [sessions.settle(kind, env, preset, None, {}) for kind in kinds]
    assert len({(run.steps, run.epoch, run.envs, run.evaluation_episodes) for run in runs}) == 1
    assert theirs.gamma == ours.discount
    assert theirs.batch_size == ours.batch_size
    assert theirs.learning_rate == ours.learning_rate
    assert theirs.learning_starts == ours.learn_start
    assert theirs.clip_rewards == ours.clip_rewards
    assert theirs.n_steps == ours.n_step
    assert theirs.target_update_interval == (ours.target_every or 1)
    assert theirs.train_freq * runs[0].envs == theirs.gradient_steps * ours.update_every
    assert theirs.max_grad_norm >= 1e9
    assert theirs.buffer_size == (100_000 if preset == "two-core" else ours.replay_capacity)

    # epsilon, step by step, once it decides anything
    with closing(registry.make(env)) as single:
        agent: dqn.DQN = agents.find("dqn").make(single, ours, 0)
        model: Any = sb3.build(theirs, single, 0, total=5_000_000, buffer_size=1)
    end = ours.learn_start + ours.epsilon.steps
    for step in np.linspace(ours.learn_start, 2 * end, 50).astype(int).tolist():
        agent.steps = step
        rate = model.exploration_schedule(1 - step / 5_000_000)
        assert rate == pytest.approx(agent.epsilon, abs=1e-9)

    # the network: as many weights in as many layers
    sizes = [
        sorted(weight.numel() for weight in net.parameters()) for net in (agent.q, model.q_net)
    ]
    assert sizes[0] == sizes[1]
    kinds_of = {"adam": torch.optim.Adam, "mnih": MnihRMSProp}
    assert type(model.policy.optimizer) is kinds_of[ours.optimiser]


def test_the_network_of_2013_is_ours() -> None:
    """The same numbers from the same weights, once blocks are pixels again."""
    space = gym.spaces.Box(0, 255, (4, 84, 84), np.uint8)
    torch.manual_seed(0)
    ours: Any = network("2013", (4, 84, 84), 3)
    theirs = sb3.Mnih2013CNN(space)
    blocks = ours[0].weight.detach().reshape(16, 4, 4, 4, 2, 2)
    pixels = blocks.permute(0, 1, 4, 2, 5, 3).reshape(16, 4, 8, 8)
    state = {f"layers.{key}": value for key, value in ours[:-1].state_dict().items()}
    theirs.load_state_dict(state | {"layers.0.weight": pixels})
    frames = np.random.default_rng(0).integers(0, 256, (5, 4, 84, 84), dtype=np.uint8)
    with torch.no_grad():
        expected = ours[:-1](torch.from_numpy(to_blocks(frames)))
        got = theirs(torch.from_numpy(frames).float() / 255)
    assert got.shape == (5, theirs.features_dim) == (5, 256)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


def test_rmsprop_on_means_is_rmsprop_on_sums() -> None:
    """Divided by 32, a gradient makes the same step, if the minimum is divided by 32 squared."""
    config = config_of("sb3-dqn", "nature2015")
    (minimum,) = config.policy_kwargs["optimizer_kwargs"].values()
    ours, theirs = (torch.ones(7, requires_grad=True) for _ in range(2))
    sums = MnihRMSProp([ours], 0.01)
    means = sb3.mnih_rmsprop([theirs], lr=0.01, minimum=minimum)
    rng = np.random.default_rng(1)
    for _ in range(20):
        gradient = torch.from_numpy(rng.normal(size=7).astype(np.float32))
        ours.grad, theirs.grad = gradient, gradient / 32
        sums.step()
        means.step()
    np.testing.assert_allclose(theirs.detach(), ours.detach(), rtol=1e-5)


# ---- environments


def test_a_lost_life_ends_an_episode_and_not_the_game() -> None:
    rng = np.random.default_rng(0)
    actions = rng.integers(4, size=(700, 2))
    taught = [
        closing(make_vector("Breakout?protocol=nature2015", 2)),
        closing(make_vector("Breakout?protocol=nature2015", 2)),
    ]
    with taught[0] as one, taught[1] as other:
        arena = sb3.SB3VecEnv(Experience(one, 5), clip_rewards=True)
        plain = Experience(other, 5)

        class Following:
            """Takes the same actions."""

            def act(self, observations: Any) -> Any:
                np.testing.assert_array_equal(observations, self.seen)
                return self.actions

            seen: Any
            actions: Any

            def observe(self, step: Any) -> None:
                pass

            def update(self) -> None:
                pass

        following = Following()
        steps = plain.steps(following)
        following.seen = arena.reset()
        lives = games = 0
        for chosen in actions:
            following.actions = chosen
            seen: Any
            seen, rewards, dones, infos = arena.step(chosen)
            step = next(steps)
            assert step.life_lost is not None
            np.testing.assert_array_equal(rewards, np.clip(step.rewards, -1, 1))
            np.testing.assert_array_equal(arena.latest.rewards, step.rewards)
            ended = step.terminated | step.truncated
            np.testing.assert_array_equal(dones, ended | step.life_lost)
            lives += int((step.life_lost & ~ended).sum())
            games += int(ended.sum())
            for env, info in enumerate(infos):
                assert bool(info) == dones[env]
                if dones[env]:
                    np.testing.assert_array_equal(
                        info["terminal_observation"], step.next_observations[env]
                    )
                    assert not info["TimeLimit.truncated"]
                if step.life_lost[env] and not ended[env]:  # the game goes on where it was
                    np.testing.assert_array_equal(seen[env], step.next_observations[env])
            following.seen = seen
        assert lives > games > 0


def test_atari_trains_and_its_run_is_evaluated(tmp_path: Path) -> None:
    given = {"buffer_size": 500, "learning_starts": 64, "threads": 1}
    run = train(
        "sb3-dqn",
        "Breakout",
        steps=160,
        epoch=80,
        evaluation_episodes=1,
        evaluation_every=2,
        envs=2,
        hyperparameters=given,
        out=tmp_path / "run",
    )
    assert run.config.preset == "two-core"
    assert [m["frames"] for m in run.metrics()] == [320, 640]
    agent = api.load(run)
    assert isinstance(agent, StochasticPolicy)
    frames = np.random.default_rng(0).integers(0, 256, (3, 4, 84, 84), dtype=np.uint8)
    np.testing.assert_allclose(agent.probabilities(frames).sum(axis=1), 1)
    assert agent.predict(frames[0])[0].shape == ()


@pytest.mark.parametrize("env", ["FourRooms?observation=one_hot", "FourRooms?observation=pixels"])
def test_worlds_are_seen_as_they_show_themselves(env: str, tmp_path: Path) -> None:
    run = train_small("sb3-a2c", tmp_path / "run", env)
    assert run.metrics()[-1]["exact"]


# ---- policies


@pytest.mark.parametrize("name", SMALL)
def test_probabilities_are_those_of_the_model(name: str, tmp_path: Path) -> None:
    run = train_small(name, tmp_path / "run", "RussellNorvig4x3")
    agent: Any = api.load(run)
    states = np.arange(agent.model.observation_space.n)
    greedy = agent.probabilities(states)
    np.testing.assert_array_equal(
        greedy.argmax(axis=1), agent.model.predict(states, deterministic=True)[0]
    )
    table = agent.probabilities(states, deterministic=False)
    np.testing.assert_allclose(table.sum(axis=1), 1)
    draws = np.array([agent.predict(states)[0] for _ in range(3000)])
    seen = np.stack([(draws == action).mean(axis=0) for action in range(4)], axis=1)
    np.testing.assert_allclose(seen, table, atol=5 * 0.5 / np.sqrt(3000))
    if name == "sb3-dqn":
        epsilon = agent.model.exploration_rate
        assert 0.05 <= epsilon < 1
        np.testing.assert_allclose(table, (1 - epsilon) * greedy + epsilon / 4)
    else:
        drawn = np.array([agent.model.predict(states)[0] for _ in range(3000)])
        seen = np.stack([(drawn == action).mean(axis=0) for action in range(4)], axis=1)
        np.testing.assert_allclose(seen, table, atol=5 * 0.5 / np.sqrt(3000))


def test_exact_values_stand_beside_estimates(tmp_path: Path) -> None:
    run = train_small("sb3-ppo", tmp_path / "run", "RussellNorvig4x3", steps=2000, epoch=2000)
    result = api.evaluate(run, episodes=2000, stochastic=True, confidence=0.999)
    assert result.exact is not None
    assert result.expected_return is not None
    assert result.expected_return.low <= result.exact.expected_return <= result.expected_return.high  # type: ignore[operator]


def test_making_and_loading_leave_the_global_streams_alone(tmp_path: Path) -> None:
    run = train_small("sb3-ppo", tmp_path / "run")
    zipped = tmp_path / "model.zip"
    PPO("MlpPolicy", gym.make("CartPole-v1"), seed=3).save(zipped)

    def drawn() -> tuple[Any, ...]:
        return random.random(), np.random.rand(), float(torch.rand(()))  # noqa: NPY002

    def seeded() -> None:
        random.seed(5)
        np.random.seed(5)  # noqa: NPY002
        torch.manual_seed(5)

    seeded()
    expected = drawn()
    seeded()
    api.load(run)
    api.load(zipped, "CartPole-v1", trust=True)
    assert drawn() == expected


def test_continuous_actions_are_trained_and_evaluated(tmp_path: Path) -> None:
    given = {"learning_starts": 50, "batch_size": 8, "policy_kwargs": {"net_arch": [8]}}
    run = train(
        "sb3-sac",
        "Pendulum-v1",
        steps=120,
        epoch=60,
        evaluation_episodes=1,
        hyperparameters=given,
        out=tmp_path / "run",
    )
    agent = api.load(run)
    assert not isinstance(agent, StochasticPolicy)
    first, second = (api.evaluate(run, episodes=2) for _ in range(2))
    assert first.expected_return == second.expected_return


# ---- models that people bring


class Trap:
    """What a pickle may do."""

    def __init__(self, file: Path):
        self.file = file

    def __reduce__(self) -> Any:
        return (os.mkdir, (str(self.file),))


@pytest.fixture
def trapped(tmp_path: Path) -> Path:
    model = PPO("MlpPolicy", gym.make("CartPole-v1"), n_steps=8, batch_size=8)
    model.trap = Trap(tmp_path / "sprung")  # type: ignore[attr-defined]
    model.save(tmp_path / "model.zip")
    return tmp_path / "model.zip"


def cli(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "gridcade.cli.main", *words],
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_zip_is_loaded_only_if_it_is_trusted(trapped: Path) -> None:
    for command in ("evaluate", "watch"):
        told = cli(command, str(trapped), "--env", "CartPole")
        assert told.returncode == 2
        assert told.stdout == ""
        assert len(told.stderr.splitlines()) == 1
        assert "pickles may run any code" in told.stderr
        assert "--trust" in told.stderr
    for ask in (api.load, api.evaluate):
        with pytest.raises(InputError, match="--trust"):
            ask(trapped, "CartPole-v1")
    assert not (trapped.parent / "sprung").exists()

    words = ("evaluate", str(trapped), "--env", "CartPole", "--trust", "--episodes", "2", "--json")
    told = cli(*words)
    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout)["episodes"] == 2
    assert (trapped.parent / "sprung").exists()  # the trap was one


@pytest.mark.parametrize("algorithm", [DQN, PPO, A2C, SAC, TD3, DDPG])
def test_a_saved_model_acts_as_it_did(algorithm: Any, tmp_path: Path) -> None:
    """Whose it is, is told without unpickling; DDPG is TD3 under another name."""
    env = gym.make("CartPole-v1" if algorithm in (DQN, PPO, A2C) else "Pendulum-v1")
    model = algorithm("MlpPolicy", env, seed=1, device="cpu")
    model.save(tmp_path / "model.zip")
    loaded: Any = api.load(tmp_path / "model.zip", env, trust=True)
    assert type(loaded.model) is (TD3 if algorithm is DDPG else algorithm)
    assert isinstance(loaded, StochasticPolicy) == (algorithm in (DQN, PPO, A2C))
    observations = np.array([env.observation_space.sample() for _ in range(50)])
    expected, _ = model.predict(observations, deterministic=True)
    np.testing.assert_array_equal(loaded.predict(observations, deterministic=True)[0], expected)
    assert api.evaluate(tmp_path / "model.zip", env, trust=True, episodes=2).episodes == 2


def test_a_model_that_does_not_fit_is_told(tmp_path: Path) -> None:
    PPO("MlpPolicy", gym.make("CartPole-v1")).save(tmp_path / "model.zip")
    with pytest.raises(
        InputError, match=r"does not fit here: its observations are Box.* these Box"
    ):
        api.load(tmp_path / "model.zip", "Acrobot-v1", trust=True)
    wide = gym.spaces.Box(-np.arange(1.0, 41.0), np.arange(1.0, 41.0))  # told in several lines
    env = gym.wrappers.TransformObservation(gym.make("CartPole-v1"), lambda _: wide.low, wide)
    assert "\n" in str(wide)
    with pytest.raises(InputError, match="does not fit here") as told:
        api.load(tmp_path / "model.zip", env, trust=True)
    assert "\n" not in str(told.value)
    with pytest.raises(InputError, match="needs an environment"):
        api.load(tmp_path / "model.zip", trust=True)
    (tmp_path / "text.zip").write_text("hello")
    with pytest.raises(InputError, match=r"cannot load .*text\.zip"):
        api.load(tmp_path / "text.zip", "CartPole-v1", trust=True)
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("data", "{}")
    with pytest.raises(InputError, match=r"cannot load .*other\.zip"):
        api.load(tmp_path / "other.zip", "CartPole-v1", trust=True)
    with pytest.raises(InputError, match=r"there is no policy|did you mean"):
        api.load(tmp_path / "none.zip", "CartPole-v1", trust=True)


# ---- our agents in stable-baselines3


def test_our_agents_are_evaluated_by_stable_baselines3() -> None:
    """`evaluate_policy` takes them as they are, and finds what our harness finds."""
    run: Any = agents.find("dqn").make(gym.make("CartPole-v1"), DQNConfig(hidden=(8,)), 4)
    vector = DummyVecEnv([lambda: gym.make("CartPole-v1") for _ in range(3)])
    vector.seed(0)
    returns, lengths = evaluate_policy(run, vector, 200, return_episode_rewards=True, warn=False)
    assert returns == lengths
    ours = api.evaluate(run, "CartPole-v1", episodes=500, confidence=0.999)
    assert ours.expected_return is not None
    mean, spread = np.mean(returns), np.std(returns) / np.sqrt(200)
    assert ours.expected_return.low - 4 * spread < mean < ours.expected_return.high + 4 * spread


@pytest.mark.parametrize("vector", [DummyVecEnv, SubprocVecEnv])
def test_a_learnt_table_is_worth_its_exact_value_in_a_vec_env(
    vector: Callable[..., Any], tmp_path: Path
) -> None:
    run = train("q-learning", "CliffWalk", out=tmp_path / "run", steps=100_000)
    agent = api.load(run)
    envs = vector([lambda: gridcade.make("CliffWalk")] * 2)
    mean, spread = evaluate_policy(agent, envs, 4, deterministic=True, warn=False)
    envs.close()
    assert (mean, spread) == (-13, 0)


# ---- learning


def test_ppo_learns_a_small_world(tmp_path: Path) -> None:
    run = train("sb3-ppo", "RussellNorvig4x3", out=tmp_path / "run", steps=20_000, epoch=20_000)
    assert run.config.preset == "gridworld"
    (entry,) = run.metrics()
    model = registry.known_model(registry.make("RussellNorvig4x3"))
    assert model is not None
    assert entry["return_mean"] >= solver.solve(model).value - 0.05


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", SMALL)
def test_four_rooms_are_learnt(name: str, tmp_path: Path) -> None:
    run = train(name, "FourRooms", out=tmp_path / "run")
    model = registry.known_model(registry.make("FourRooms"))
    assert model is not None
    gain = solver.solve(model, "average-reward").average_reward
    assert run.metrics()[-1]["average_reward_mean"] >= 0.9 * gain


# ---- without stable-baselines3


def test_nothing_but_its_agents_needs_stable_baselines3() -> None:
    script = (
        "import sys; sys.modules['stable_baselines3'] = None\n"
        "from gridcade import cli; sys.argv = ['gridcade', *sys.argv[1:]]; cli.main()"
    )

    def without(*words: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-c", script, *words]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    listed = without("list", "agents")
    assert listed.returncode == 0
    assert "sb3-ppo" in listed.stdout
    for name in ("sb3-dqn", "sb3-sac"):
        told = without("train", name, "CartPole")
        assert told.returncode == 2
        assert told.stderr.splitlines() == [
            "gridcade: this takes stable-baselines3: pip install 'gridcade[sb3]'"
        ]


def test_listing_does_not_load_stable_baselines3() -> None:
    script = (
        "import sys; sys.argv = ['gridcade', 'list']\n"
        "from gridcade import cli; cli.main()\n"
        "assert not {'stable_baselines3', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)
