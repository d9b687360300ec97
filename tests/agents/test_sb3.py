"""Training with stable-baselines3: bit-identical to its own training, in Gridcade's run folders."""

import json
import random
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import stable_baselines3
import torch
from gymnasium.envs.registration import EnvSpec
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv

import gridcade
from gridcade import agents, api
from gridcade.agents.base import ActionValues, SelfTrainedAgent, StateValues, StochasticPolicy
from gridcade.agents.dqn import DQNConfig
from gridcade.agents.probabilities import greedy
from gridcade.agents.sb3 import DiscreteSB3Agent
from gridcade.envs import registry
from gridcade.errors import InputError, InputWarning
from gridcade.exact import solver
from gridcade.seeding import episode_seed
from gridcade.training import trainer
from gridcade.training.run_folder import Run
from gridcade.training.sessions import train

SHORT = "CartPole-v1?max_episode_steps=10"  # most episodes are truncated, in some the pole falls
WORLD = "RussellNorvig4x3"  # has a known model
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
    "sb3-a2c": {"n_steps": 8, "learning_rate": "lin_0.01"},
}
SLOW = pytest.mark.slow
STEPS = 128
WALL_CLOCK = ("seconds", "steps_per_second")
ONE_FAST = [name if name == "sb3-dqn" else pytest.param(name, marks=SLOW) for name in SMALL]
Trained = Callable[..., Run]


def train_small(name: str, out: Path, env: str = SHORT, **options: Any) -> Run:
    """Train with few and small updates; three epochs unless the options differ."""
    arguments: dict[str, Any] = {
        "steps": STEPS,
        "epoch": 50,
        "evaluation_episodes": 2,
        "preset": "defaults",
        "seed": 3,
    } | options
    return train(name, env, out=out, hyperparameters=SMALL.get(name, {}), **arguments)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Return a run by agent, environment and number of environments; tests must not change it."""

    @cache
    def run(name: str, env: str = SHORT, envs: int = 1) -> Run:
        return train_small(name, tmp_path_factory.mktemp("shared") / "run", env, envs=envs)

    return run


class SeededCartPole(gym.Wrapper[Any, Any, Any, Any]):
    """SHORT with Gridcade's episode seeds, but without Gridcade's other code."""

    def __init__(self, number: int):
        super().__init__(gym.make("CartPole-v1", max_episode_steps=10))
        self.number, self.episodes = number, count()

    def reset(self, **_: Any) -> Any:
        seed = episode_seed(3, "training", self.number, next(self.episodes))
        return self.env.reset(seed=seed)


def train_directly(name: str, envs: int) -> BaseAlgorithm:
    """Train as a user of stable-baselines3 would."""
    arguments = dict(SMALL[name])
    for key, value in arguments.items():
        if isinstance(value, str):
            start = float(value.removeprefix("lin_"))
            arguments[key] = lambda remaining, start=start: remaining * start
    algorithm = getattr(stable_baselines3, name.removeprefix("sb3-").upper())
    env = DummyVecEnv([lambda i=i: SeededCartPole(i) for i in range(envs)])  # type: ignore[misc]
    model: BaseAlgorithm = algorithm("MlpPolicy", env, seed=3, device="cpu", **arguments)
    return model.learn(STEPS)


@pytest.mark.parametrize("envs", [1, 2])
@pytest.mark.parametrize("name", SMALL)
def test_training_equals_stable_baselines3_bit_for_bit(
    name: str, envs: int, trained: Trained
) -> None:
    """Epochs, evaluations and checkpoints change no weight, and schedules run as they should."""
    tensors = trained(name, envs=envs).load_agent(STEPS)
    expected = train_directly(name, envs).policy.state_dict()
    assert {key for key in tensors if key.startswith("policy.")} == {
        f"policy.{key}" for key in expected
    }
    for key, value in expected.items():
        np.testing.assert_array_equal(tensors[f"policy.{key}"], value.numpy())


@pytest.mark.parametrize("name", SMALL)
def test_metrics_have_the_keys_of_other_agents(name: str, trained: Trained, tmp_path: Path) -> None:
    q_learning = train("q-learning", WORLD, steps=1000, out=tmp_path / "run").metrics()[-1]
    own = set(agents.QLearning(2, 2).metrics())
    run = trained(name, WORLD)
    metrics = run.metrics()
    assert run.last_checkpoint() == STEPS
    assert [entry["steps"] for entry in metrics] == [50, 100, STEPS]
    assert set(q_learning) - own <= {key for entry in metrics for key in entry}
    assert all(entry["exact"] for entry in metrics)
    assert metrics[-1]["updates"] > 0
    assert metrics[-1]["learning_rate"] >= 0


@pytest.mark.parametrize("name", SMALL)
def test_training_returns_count_whole_episodes(name: str, trained: Trained) -> None:
    """In CartPole every reward is 1, so returns are lengths."""
    metrics = trained(name, envs=2).metrics()
    assert sum(entry["episodes"] for entry in metrics) >= STEPS / 10 - 2
    for entry in metrics:
        assert entry["training_average_reward"] == 1
        assert entry["training_return_mean"] == entry["training_length_mean"] <= 10
    assert any(entry["training_truncated"] > 0 for entry in metrics)


@pytest.mark.parametrize("steps", [50, 64])
def test_nothing_is_learned_from_a_rollout_that_the_budget_cuts_off(
    steps: int, tmp_path: Path
) -> None:
    """PPO's rollouts have 32 steps."""
    run = train_small("sb3-ppo", tmp_path / "run", steps=steps, epoch=1000)
    assert run.checkpoints()[-1] == steps
    (entry,) = run.metrics()
    assert entry["updates"] == 2 * (steps // 32)
    assert entry["training_average_reward"] == 1


class Failing(gym.Env[Any, Any]):
    """An environment that raises an error."""

    observation_space = gym.spaces.Discrete(2)
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[int, dict[str, Any]]:
        super().reset(seed=seed, options=options)
        return 0, {}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        raise ValueError(f"no valve {action}")


def test_an_error_of_the_environment_is_not_reported_as_the_algorithms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(gym.registry, "Failing-v0", EnvSpec("Failing-v0", lambda **_: Failing()))
    message = r"^the environment 'Failing-v0' failed at step 1: ValueError: no valve 0 \(.*step\)"
    with pytest.raises(InputError, match=message):
        train_small("sb3-a2c", tmp_path / "run", "Failing-v0")


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_divergence_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"stable-baselines3's A2C cannot continue: .*nan"):
        train(
            "sb3-a2c",
            SHORT,
            steps=100,
            preset="defaults",
            hyperparameters={"learning_rate": 1e30},
            out=tmp_path / "run",
        )


def test_a_run_folder_holds_no_pickle(trained: Trained) -> None:
    run = trained("sb3-dqn")
    suffixes = {file.suffix for file in run.path.rglob("*") if file.is_file()}
    assert suffixes <= {".toml", ".json", ".jsonl", ".safetensors", ""} | {
        file.suffix for file in (run.path / "tensorboard").glob("*")
    }
    for file in run.path.rglob("*.safetensors"):
        assert b"cloudpickle" not in file.read_bytes()


# ---- stopping and resuming


@pytest.mark.parametrize("name", ONE_FAST)
def test_an_interrupted_training_starts_over(name: str, trained: Trained, tmp_path: Path) -> None:
    calls = count()
    stopped = train_small(name, tmp_path / "run", stop=lambda: next(calls) >= 90)
    assert 50 < stopped.last_checkpoint() < 100
    assert len(stopped.metrics()) == 1
    notes: list[str] = []
    resumed = api.resume(stopped.path, note=notes.append)
    (note,) = notes
    assert f" {lost_steps(resumed)} steps" in note
    whole = trained(name)
    assert resumed.checkpoints() == whole.checkpoints()
    tensors, expected = resumed.load_agent(STEPS), whole.load_agent(STEPS)
    assert tensors.keys() == expected.keys()
    for key, value in expected.items():
        np.testing.assert_array_equal(tensors[key], value)
    for a, b in zip(resumed.metrics(), whole.metrics(), strict=True):
        assert {**a, **dict.fromkeys(WALL_CLOCK)} == {**b, **dict.fromkeys(WALL_CLOCK)}


def lost_steps(run: Run) -> int:
    """The steps that a run lost when it started over, from its provenance."""
    first, second = json.loads((run.path / "provenance.json").read_text())["sessions"]
    assert "started_over" not in first
    return int(second["started_over"])


@pytest.mark.parametrize(("at", "checkpoints"), [(75, [0, 50]), (25, [0])])
def test_a_killed_training_starts_over(at: int, checkpoints: list[int], tmp_path: Path) -> None:
    def kill(progress: trainer.Progress) -> None:
        if progress.steps == at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_small("sb3-a2c", tmp_path / "run", steps=120, report=kill)
    assert Run(tmp_path / "run").checkpoints() == checkpoints
    resumed = api.resume(tmp_path / "run")
    assert [entry["steps"] for entry in resumed.metrics()] == [50, 100, 120]
    assert lost_steps(resumed) == checkpoints[-1]


def test_a_training_killed_while_it_drops_checkpoints_starts_over(tmp_path: Path) -> None:
    run = train_small("sb3-a2c", tmp_path / "run", steps=50, stop=lambda: True)
    run.drop_checkpoints()
    assert lost_steps(api.resume(run.path)) == 0


@pytest.mark.filterwarnings("ignore::gridcade.errors.InputWarning")
@pytest.mark.parametrize("damaged", [[100], [120], [999_999], [0, 50, 100, 120]])
def test_damaged_checkpoints_are_kept_when_a_training_starts_over(
    damaged: list[int], trained: Trained, tmp_path: Path
) -> None:
    """Also a damaged folder that no training wrote, such as checkpoints/999999."""
    whole = trained("sb3-a2c")
    run = Run(shutil.copytree(whole.path, tmp_path / "run"))
    run.checkpoint(STEPS).rename(tmp_path / "last")  # as if it was killed before its end
    for steps in damaged:
        run.checkpoint(steps).mkdir(exist_ok=True)
        (run.checkpoint(steps) / "agent.safetensors").write_bytes(b"broken")
    with pytest.warns(InputWarning, match=f"damaged.*checkpoints/{damaged[-1]}.damaged-1'"):
        resumed = api.resume(run.path)
    assert resumed.checkpoints() == whole.checkpoints()
    tensors, expected = resumed.load_agent(STEPS), whole.load_agent(STEPS)
    np.testing.assert_array_equal(
        tensors["policy.action_net.bias"], expected["policy.action_net.bias"]
    )
    for steps in damaged:
        kept = run.path / "checkpoints" / f"{steps}.damaged-1" / "agent.safetensors"
        assert kept.read_bytes() == b"broken"


def test_a_finished_training_is_kept(trained: Trained) -> None:
    run = trained("sb3-a2c")
    metrics, tensors = run.metrics(), run.load_agent(STEPS)
    assert api.resume(run.path).metrics() == metrics
    with pytest.raises(InputError, match="--out"):
        api.resume(run.path, steps=2 * STEPS)
    assert Run(run.path).metrics() == metrics
    assert run.config.steps == STEPS
    np.testing.assert_array_equal(run.load_agent(STEPS)["counters"], tensors["counters"])


def test_minutes_alone_bound_a_training_with_schedule_steps(tmp_path: Path) -> None:
    options: dict[str, Any] = {"preset": "defaults", "minutes": 0.01, "evaluation_episodes": 2}
    with pytest.raises(InputError, match="set --steps as well, or --schedule-steps"):
        train("sb3-dqn", SHORT, out=tmp_path / "none", **options)
    assert not (tmp_path / "none").exists()
    # Epsilon reaches its end after 2 steps, which even a slow machine takes in 0.6 seconds.
    hyperparameters = SMALL["sb3-dqn"] | {"schedule_steps": 4, "exploration_fraction": 0.5}
    run = train("sb3-dqn", SHORT, out=tmp_path / "run", hyperparameters=hyperparameters, **options)
    state = run.load_checkpoint(run.last_checkpoint())[2]
    assert state["seconds"] >= 0.6
    assert run.load_agent(run.last_checkpoint())["exploration_rate"] == 0.05
    assert api.resume(run.path).last_checkpoint() == run.last_checkpoint()


def test_a_replay_larger_than_memory_is_refused(tmp_path: Path) -> None:
    """A transition takes two frame stacks of 4 x 84 x 84 bytes."""
    with pytest.raises(InputError, match=r"would take 564\d\.\d GB .* buffer_size"):
        train(
            "sb3-dqn",
            "Breakout",
            preset="nature2015",
            out=tmp_path / "run",
            hyperparameters={"buffer_size": 100_000_000},
        )
    assert not (tmp_path / "run").exists()


# ---- environments and spaces


class ImageAndVector(gym.Env[Any, Any]):
    """An environment of seven steps with a Dict observation."""

    observation_space = gym.spaces.Dict(
        {
            "image": gym.spaces.Box(0, 255, (36, 36, 1), np.uint8),
            "vector": gym.spaces.Box(-1, 1, (3,), np.float32),
        }
    )
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed, options=options)
        self.left = 7
        return self.observation(), {}

    def step(self, action: Any) -> Any:
        self.left -= 1
        return self.observation(), float(action), self.left == 0, False, {}

    def observation(self) -> dict[str, Any]:
        image = self.np_random.integers(256, size=(36, 36, 1)).astype(np.uint8)
        return {"image": image, "vector": np.full(3, self.left / 7, np.float32)}


def test_agents_learn_from_dict_observations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = EnvSpec("ImageAndVector-v0", lambda **_: ImageAndVector())
    monkeypatch.setitem(gym.registry, "ImageAndVector-v0", spec)
    run = train_small("sb3-ppo", tmp_path / "run", "ImageAndVector-v0", steps=32, epoch=32)
    agent: Any = api.load(run)
    assert type(agent.model.policy).__name__ == "MultiInputActorCriticPolicy"
    assert run.metrics()[-1]["updates"] > 0
    assert gridcade.evaluate(run, episodes=3).steps == 21


def test_updates_can_be_counted_in_episodes(tmp_path: Path) -> None:
    arguments = SMALL["sb3-dqn"] | {"train_freq": [1, "episode"], "gradient_steps": 3}
    run = train("sb3-dqn", SHORT, steps=120, hyperparameters=arguments, out=tmp_path / "run")
    updates = run.metrics()[-1]["updates"]
    assert updates % 3 == 0
    assert 3 * 6 <= updates <= 3 * 12  # after 50 steps; episodes have 10 steps or slightly fewer


def test_atari_is_trained_and_evaluated(tmp_path: Path) -> None:
    run = train(
        "sb3-dqn",
        "Breakout",
        steps=48,
        epoch=24,
        evaluation_episodes=1,
        evaluation_every=2,
        envs=2,
        hyperparameters={"buffer_size": 500, "learning_starts": 32, "threads": 1},
        out=tmp_path / "run",
    )
    assert run.config.preset == "two-core"
    assert [entry["frames"] for entry in run.metrics()] == [96, 192]
    agent = api.load(run)
    assert isinstance(agent, StochasticPolicy)
    frames = np.random.default_rng(0).integers(0, 256, (3, 4, 84, 84), dtype=np.uint8)
    np.testing.assert_allclose(agent.probabilities(frames).sum(axis=1), 1)
    assert agent.predict(frames[0])[0].shape == ()


@pytest.mark.parametrize("observation", ["one_hot", "pixels"])
def test_exact_values_are_known_whatever_the_observations(observation: str, tmp_path: Path) -> None:
    env = f"FourRooms?observation={observation}"
    run = train_small("sb3-a2c", tmp_path / "run", env, steps=8, epoch=8)
    assert run.metrics()[-1]["exact"]


def test_continuous_actions_are_trained_and_evaluated(tmp_path: Path) -> None:
    run = train(
        "sb3-sac",
        "Pendulum-v1?max_episode_steps=20",
        steps=60,
        epoch=60,
        evaluation_episodes=1,
        hyperparameters={
            "learning_starts": 50,
            "batch_size": 8,
            "policy_kwargs": {"net_arch": [8]},
        },
        out=tmp_path / "run",
    )
    assert run.metrics()[-1]["updates"] > 0
    agent = api.load(run)
    assert isinstance(agent, SelfTrainedAgent)
    assert not isinstance(agent, StochasticPolicy)
    first, second = (api.evaluate(run, episodes=2) for _ in range(2))
    assert first.expected_return == second.expected_return


# ---- policies


def frequencies(policy: Any, states: Any, samples: int) -> Any:
    """How often a policy takes each of four actions: [states, 4]."""
    actions = policy.predict(np.repeat(states, samples))[0].reshape(len(states), samples)
    return np.stack([(actions == action).mean(axis=1) for action in range(4)], axis=1)


@pytest.mark.parametrize("name", SMALL)
def test_probabilities_equal_those_of_the_model(name: str, trained: Trained) -> None:
    agent: Any = api.load(trained(name, WORLD))
    assert isinstance(agent, DiscreteSB3Agent)
    assert isinstance(agent.model.observation_space, gym.spaces.Discrete)
    states = np.arange(agent.model.observation_space.n)
    best = agent.probabilities(states)
    np.testing.assert_array_equal(
        best.argmax(axis=1), agent.model.predict(states, deterministic=True)[0]
    )
    table = agent.probabilities(states, deterministic=False)
    np.testing.assert_allclose(table.sum(axis=1), 1)
    samples = 3000
    torch.manual_seed(0)  # the model samples from the global stream
    tolerance = 5 * 0.5 / np.sqrt(samples)
    np.testing.assert_allclose(frequencies(agent, states, samples), table, atol=tolerance)
    if isinstance(agent.model, DQN):
        epsilon = agent.model.exploration_rate
        assert 0.05 <= epsilon < 1
        np.testing.assert_allclose(table, (1 - epsilon) * best + epsilon / 4)
    else:
        np.testing.assert_allclose(frequencies(agent.model, states, samples), table, atol=tolerance)


@pytest.mark.parametrize("name", SMALL)
def test_values_equal_those_of_the_model(name: str, trained: Trained) -> None:
    """DQN has Q(s, a), whose largest values its policy takes; the others have V(s)."""
    agent = api.load(trained(name, WORLD))
    assert isinstance(agent, DiscreteSB3Agent)
    assert isinstance(agent.model.observation_space, gym.spaces.Discrete)
    states = np.arange(agent.model.observation_space.n)
    if isinstance(agent.model, DQN):
        assert isinstance(agent, ActionValues)
        assert not isinstance(agent, StateValues)
        values = agent.action_values(states)
        np.testing.assert_array_equal(greedy(values), agent.probabilities(states))
        return
    assert isinstance(agent, StateValues)
    assert not isinstance(agent, ActionValues)
    policy: Any = agent.model.policy
    with torch.no_grad():
        expected = [policy.predict_values(policy.obs_to_tensor(s)[0]).item() for s in states]
    np.testing.assert_allclose(agent.state_values(states), expected, rtol=1e-5)


def test_an_exact_value_lies_in_the_interval_of_its_estimate(trained: Trained) -> None:
    run = trained("sb3-ppo", WORLD)
    result = api.evaluate(run, episodes=200, stochastic=True, confidence=0.999)
    estimate, exact = result.expected_return, result.exact
    assert estimate is not None
    assert exact is not None
    assert exact.expected_return is not None
    assert estimate.low is not None
    assert estimate.high is not None
    assert estimate.low <= exact.expected_return <= estimate.high


def test_making_and_loading_preserve_the_global_random_streams(
    trained: Trained, tmp_path: Path
) -> None:
    run = trained("sb3-ppo")
    zipped = tmp_path / "model.zip"
    PPO("MlpPolicy", gym.make("CartPole-v1"), seed=3).save(zipped)

    def draw() -> tuple[Any, ...]:
        return random.random(), np.random.rand(), float(torch.rand(()))  # noqa: NPY002

    def seed() -> None:
        random.seed(5)
        np.random.seed(5)  # noqa: NPY002
        torch.manual_seed(5)

    seed()
    expected = draw()
    seed()
    api.load(run)
    api.load(zipped, "CartPole-v1", trust=True)
    assert draw() == expected


# ---- Gridcade's agents in stable-baselines3


def test_stable_baselines3_evaluates_an_agent_as_gridcade_does() -> None:
    agent: Any = agents.find("dqn").make(gym.make("CartPole-v1"), DQNConfig(hidden=(8,)), 4)
    envs = DummyVecEnv([lambda: gym.make("CartPole-v1") for _ in range(3)])
    envs.seed(0)
    returns, lengths = evaluate_policy(agent, envs, 100, return_episode_rewards=True, warn=False)
    assert returns == lengths
    estimate = api.evaluate(agent, "CartPole-v1", episodes=300, confidence=0.999).expected_return
    assert estimate is not None
    assert estimate.low is not None
    assert estimate.high is not None
    mean, error = np.mean(returns), np.std(returns) / np.sqrt(100)
    assert estimate.low - 4 * error < mean < estimate.high + 4 * error


@pytest.mark.parametrize("vec_env", [DummyVecEnv, pytest.param(SubprocVecEnv, marks=SLOW)])
def test_stable_baselines3_evaluates_in_gridcades_environments(
    vec_env: Callable[..., Any], tmp_path: Path
) -> None:
    run = train("q-learning", "CliffWalk", out=tmp_path / "run", steps=100_000)
    agent = api.load(run)
    envs = vec_env([lambda: gridcade.make("CliffWalk")] * 2)
    mean, deviation = evaluate_policy(agent, envs, 4, deterministic=True, warn=False)
    envs.close()
    assert (mean, deviation) == (-13, 0)  # the shortest safe path


# ---- learning


@pytest.mark.slow
def test_ppo_learns_a_small_world(tmp_path: Path) -> None:
    run = train("sb3-ppo", WORLD, out=tmp_path / "run", steps=20_000, epoch=20_000)
    assert run.config.preset == "gridworld"
    (entry,) = run.metrics()
    model = registry.known_model(registry.make(WORLD))
    assert model is not None
    assert entry["return_mean"] >= solver.solve(model).value - 0.05


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", SMALL)
def test_four_rooms_are_learned(name: str, tmp_path: Path) -> None:
    """The best checkpoint counts, because DQN's exact value may fall by a quarter for an epoch."""
    run = train(name, "FourRooms", out=tmp_path / "run")
    best = run.best()
    assert best is not None
    exact = api.evaluate(run.checkpoint(best), episodes=10).exact
    assert exact is not None
    assert exact.unlimited_average_reward >= 0.9 * exact.optimal_average_reward


# ---- without stable-baselines3


def test_only_sb3_agents_need_stable_baselines3() -> None:
    """Agents are listed without it, and without loading PyTorch."""
    script = """
import sys
sys.modules["stable_baselines3"] = None
from gridcade import agents
from gridcade.cli.main import main
from gridcade.errors import InputError
sys.argv = ["gridcade", "list", "agents"]
main()
assert "torch" not in sys.modules
for name in ("sb3-dqn", "sb3-sac"):
    try:
        agents.find(name).config
    except InputError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "sb3-ppo" in done.stdout
    message = "sb3 agents need stable-baselines3: pip install 'gridcade[sb3]'"
    assert done.stdout.splitlines()[-2:] == [message, message]


def test_a_training_on_another_thread_is_refused(tmp_path: Path) -> None:
    """Both trainings would draw from the global random streams, and their weights would differ."""
    alone = train_small("sb3-ppo", tmp_path / "alone")
    refused: list[str] = []

    def train_beside() -> bool:
        def work() -> None:
            try:
                train_small("sb3-dqn", tmp_path / "second")
            except InputError as error:
                refused.append(str(error))

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        return False

    first = train_small("sb3-ppo", tmp_path / "first", stop=train_beside)
    assert "already trains on another thread of this process" in refused[0]
    assert len(refused) > 1
    assert not (tmp_path / "second").exists()
    last = first.last_checkpoint()
    for name, tensor in alone.load_agent(last).items():
        np.testing.assert_array_equal(first.load_agent(last)[name], tensor)
    train_beside()  # the first training has ended
    assert (tmp_path / "second").exists()
