"""sb3-contrib: its models are identified without unpickling, and act as in sb3-contrib."""

import json
import shutil
import sys
import zipfile
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

pytest.importorskip("sb3_contrib", reason="requires sb3-contrib (pip install sb3-contrib)")

import sb3_contrib
from sb3_contrib.ppo_recurrent import MlpLstmPolicy
from stable_baselines3 import A2C, DQN, PPO, SAC, TD3
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from gridcade import agents, api
from gridcade.agents.base import ActionValues, StochasticPolicy
from gridcade.agents.sb3 import SB3Agent
from gridcade.agents.sb3_streams import end_training
from gridcade.agents.sb3_zip import _identify_algorithm
from gridcade.cli.main import main
from gridcade.errors import InputError, InputWarning
from gridcade.experience.pool import EnvPool
from gridcade.training import sessions

DISCRETE, CONTINUOUS = "CartPole-v1", "Pendulum-v1"
SMALL: dict[str, Any] = {"policy_kwargs": {"net_arch": [8]}}
LSTM: dict[str, Any] = {"policy_kwargs": {"net_arch": [8], "lstm_hidden_size": 8}}
MODELS: dict[str, tuple[Any, str, str, dict[str, Any], int]] = {  # with a few steps of training
    "ARS": (sb3_contrib.ARS, "MlpPolicy", DISCRETE, {"n_delta": 1} | SMALL, 20),
    "CrossQ": (sb3_contrib.CrossQ, "MlpPolicy", CONTINUOUS, {"learning_starts": 8} | SMALL, 12),
    "MaskablePPO": (
        *(sb3_contrib.MaskablePPO, "MlpPolicy", DISCRETE),
        *({"n_steps": 16, "batch_size": 16} | SMALL, 16),
    ),
    "QRDQN": (sb3_contrib.QRDQN, "MlpPolicy", DISCRETE, {"learning_starts": 8} | SMALL, 40),
    "RecurrentPPO": (
        *(sb3_contrib.RecurrentPPO, "MlpLstmPolicy", DISCRETE),
        *({"n_steps": 16, "batch_size": 16} | LSTM, 16),
    ),
    "RecurrentPPO continuous": (
        *(sb3_contrib.RecurrentPPO, "MlpLstmPolicy", CONTINUOUS),
        *({"n_steps": 16, "batch_size": 16} | LSTM, 16),
    ),
    "TQC": (sb3_contrib.TQC, "MlpPolicy", CONTINUOUS, {"learning_starts": 8} | SMALL, 12),
    "TRPO": (
        sb3_contrib.TRPO,
        "MlpPolicy",
        DISCRETE,
        {"n_steps": 16, "batch_size": 16} | SMALL,
        16,
    ),
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, Any]]:
    """Returns the file of a trained model, and the model."""
    folder, models = tmp_path_factory.mktemp("models"), {}

    def save(name: str) -> tuple[Path, Any]:
        if name not in models:
            algorithm, policy, env, options, steps = MODELS[name]
            models[name] = algorithm(policy, env, seed=3, device="cpu", **deepcopy(options))
            unmasked = {"use_masking": False} if name == "MaskablePPO" else {}
            models[name].learn(steps, **unmasked)
            models[name].save(folder / f"{name}.zip")
        return folder / f"{name}.zip", models[name]

    return save


class Recorder(gym.Wrapper[Any, Any, Any, Any]):
    """Records each observation, whether it began an episode, and the action that followed."""

    def __init__(self, env: Any):
        super().__init__(env)
        self.seen: list[tuple[Any, bool, Any]] = []

    def reset(self, **options: Any) -> Any:
        observation, info = self.env.reset(**options)
        self._last, self._start = np.array(observation), True
        return observation, info

    def step(self, action: Any) -> Any:
        self.seen.append((self._last, self._start, np.array(action)))
        result = self.env.step(action)
        self._last, self._start = np.array(result[0]), False
        return result


@pytest.mark.parametrize("name", MODELS)
def test_a_loaded_model_acts_as_the_saved_one_in_an_evaluation(name: str, saved: Any) -> None:
    path, model = saved(name)
    recorder = Recorder(gym.make(MODELS[name][2], max_episode_steps=30))
    policy: Any = api.load(path, recorder, trust=True)
    assert type(policy.model).__name__ == name.split()[0]
    api.evaluate(policy, recorder, episodes=3)
    assert sum(start for _, start, _ in recorder.seen) >= 3
    state: Any = None
    for observation, start, action in recorder.seen:
        starts = np.array([start])
        expected, state = model.predict(observation[None], state, starts, deterministic=True)
        np.testing.assert_allclose(action, expected[0], rtol=1e-5)


@pytest.mark.parametrize("stochastic", [False, True])
def test_a_trained_recurrent_model_keeps_its_state_in_an_episode_and_not_longer(
    stochastic: bool, tmp_path: Path
) -> None:
    """Each action equals that of stable-baselines3's own loop, and depends on the state."""
    settings: Any = {"n_steps": 64, "batch_size": 64, "n_epochs": 1, "learning_rate": 0.01} | LSTM
    model = sb3_contrib.RecurrentPPO("MlpLstmPolicy", CONTINUOUS, seed=0, device="cpu", **settings)
    before = deepcopy(model.policy.state_dict())
    model.learn(128).save(tmp_path / "model.zip")
    assert all(not before[key].equal(value) for key, value in model.policy.state_dict().items())
    recorder = Recorder(gym.make(CONTINUOUS, max_episode_steps=20))
    policy: Any = api.load(tmp_path / "model.zip", recorder, trust=True)
    torch.manual_seed(7)
    api.evaluate(policy, recorder, episodes=3, stochastic=stochastic)
    torch.manual_seed(7)
    state: Any = None
    forgets: list[bool] = []  # whether an action differs without the state
    remembers: list[bool] = []  # whether it differs with the state of the episode before
    for observation, start, action in recorder.seen:
        one, starts, best = observation[None], np.array([start]), not stochastic
        carried, before_it = state, torch.get_rng_state()
        expected, state = model.predict(one, state, starts, best)
        np.testing.assert_allclose(action, expected[0], rtol=1e-5)
        for others, used, first in ((forgets, None, True), (remembers, carried, False)):
            if start == (others is remembers) and carried is not None:
                after = torch.get_rng_state()
                torch.set_rng_state(before_it)
                other, _ = model.predict(one, used, np.array([first]), best)
                torch.set_rng_state(after)
                others.append(not np.allclose(other, expected, rtol=1e-5))
    assert np.mean(forgets) > 0.9
    assert len(remembers) == 2
    assert all(remembers)


def test_recurrent_episodes_do_not_depend_on_episodes_in_other_environments(saved: Any) -> None:
    """Each of the environments that step side by side has a recurrent state of its own."""
    path, _ = saved("RecurrentPPO continuous")
    several = api.evaluate(path, f"{CONTINUOUS}?max_episode_steps=25", trust=True, episodes=5)
    alone = api.evaluate(path, gym.make(CONTINUOUS, max_episode_steps=25), trust=True, episodes=5)
    assert several.expected_return
    assert alone.expected_return
    assert several.expected_return.mean == pytest.approx(alone.expected_return.mean, rel=1e-5)


def test_action_probabilities_are_known_where_the_model_has_them(saved: Any) -> None:
    observations = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    for name in ("TRPO", "QRDQN"):
        path, model = saved(name)
        policy: Any = api.load(path, DISCRETE, trust=True)
        assert isinstance(policy, StochasticPolicy)
        table = policy.probabilities(observations)
        np.testing.assert_array_equal(
            table.argmax(1), model.predict(observations, None, None, True)[0]
        )
        assert isinstance(policy, ActionValues) == (name == "QRDQN")
    for name in ("ARS", "RecurrentPPO"):  # a recurrent policy has no table of states
        assert not isinstance(api.load(saved(name)[0], DISCRETE, trust=True), StochasticPolicy)


class Masked(gym.Wrapper[Any, Any, Any, Any]):
    """CartPole with more actions, some of which are forbidden; which ones changes at each step."""

    def __init__(self, parts: list[int]):
        super().__init__(gym.make(DISCRETE, max_episode_steps=25))
        several = len(parts) > 1
        self.action_space = (
            gym.spaces.MultiDiscrete(parts) if several else gym.spaces.Discrete(parts[0])
        )
        self._parts, self.time = parts, 0
        self.forbidden = 0  # number of actions that were taken although forbidden

    def allowed(self) -> list[Any]:
        return [(np.arange(n) + self.time) % 3 > 0 for n in self._parts]

    def action_masks(self) -> Any:
        return np.concatenate(self.allowed())

    def reset(self, **options: Any) -> Any:
        self.time = 0
        return self.env.reset(**options)

    def step(self, action: Any) -> Any:
        numbers = np.atleast_1d(action)
        taken = zip(self.allowed(), numbers, strict=True)
        self.forbidden += not all(mask[number] for mask, number in taken)
        self.time += 1
        return self.env.step(int(numbers.sum() % 2))


@pytest.mark.parametrize("parts", [[6], [3, 4]])
@pytest.mark.parametrize("stochastic", [False, True])
def test_maskable_ppo_is_given_the_masks(
    parts: list[int], stochastic: bool, tmp_path: Path
) -> None:
    env = Masked(parts)
    options: Any = {"n_steps": 16, "batch_size": 16, "device": "cpu", "seed": 1}
    model = sb3_contrib.MaskablePPO("MlpPolicy", env, **options)
    model.learn(32)
    model.save(tmp_path / "masked")
    recorder = Recorder(env)
    assert env.forbidden == 0
    api.evaluate(tmp_path / "masked", recorder, trust=True, episodes=6, stochastic=stochastic)
    assert env.forbidden == 0
    assert len(recorder.seen) > 50
    if stochastic:
        return
    time = 0
    for observation, start, action in recorder.seen:
        env.time = time = 0 if start else time + 1
        masks = env.action_masks()
        expected, _ = model.predict(observation, deterministic=True, action_masks=masks)
        np.testing.assert_array_equal(action, expected)


class OwnPolicy(ActorCriticPolicy):
    """A user's policy class, whose name does not show the algorithm."""


class OwnRecurrentPolicy(MlpLstmPolicy):
    """A user's recurrent policy class."""


OwnRecurrentPolicy.__module__ = "__main__"  # such classes are pickled by value


@pytest.mark.parametrize(
    ("algorithm", "policy", "env"),
    [
        *((a, "MlpPolicy", DISCRETE) for a in (A2C, DQN, PPO)),
        *((a, "MlpPolicy", CONTINUOUS) for a in (A2C, PPO, SAC, TD3)),
        *((a, OwnPolicy, DISCRETE) for a in (A2C, PPO, sb3_contrib.TRPO)),
        (sb3_contrib.RecurrentPPO, OwnRecurrentPolicy, DISCRETE),
        *((entry[0], entry[1], entry[2]) for entry in MODELS.values()),
    ],
)
def test_algorithms_are_identified_without_unpickling(
    algorithm: Any, policy: Any, env: str, tmp_path: Path
) -> None:
    algorithm(policy, env, device="cpu").save(tmp_path / "model.zip")
    with zipfile.ZipFile(tmp_path / "model.zip") as archive:
        attributes = json.loads(archive.read("data"))
    assert _identify_algorithm(attributes) is algorithm


def test_without_sb3_contrib_the_package_is_named(
    saved: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = saved("QRDQN")
    monkeypatch.setitem(sys.modules, "sb3_contrib", None)
    monkeypatch.setattr("gridcade.agents.sb3_config.find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"QRDQN needs sb3-contrib: pip install 'gridcade\[sb3-c"):
        api.load(path, DISCRETE, trust=True)
    with pytest.raises(InputError, match=r"sb3-trpo needs sb3-contrib: pip install"):
        api.train("sb3-trpo", DISCRETE)
    with pytest.raises(InputError, match="unknown agent 'sb3-trpp'"):
        api.train("sb3-trpp", DISCRETE)


@pytest.mark.parametrize("name", ["model", "model.zip", "MODEL.ZIP", "model-v1.5"])
def test_a_model_is_found_by_any_name_that_stable_baselines3_gives(
    name: str, saved: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = "model.zip" if name == "model" else name
    shutil.copy(saved("TRPO")[0], file)
    with pytest.raises(InputError, match=f"'{file}' is a model .*--trust"):
        api.evaluate(name, DISCRETE)
    assert api.evaluate(name, DISCRETE, trust=True, episodes=2).policy == file
    with pytest.raises(InputError, match="cannot be in a study"):
        api.compare(name, DISCRETE)


# ---- statistics of VecNormalize


@pytest.fixture
def normalized(tmp_path: Path) -> tuple[Path, Path, Any]:
    """A model that learned from normalized observations, its statistics, and its environment."""
    env: Any = DummyVecEnv([lambda: gym.make(DISCRETE)])
    env = VecNormalize(env, clip_obs=5.0)
    model = PPO("MlpPolicy", env, n_steps=64, batch_size=64, seed=1, device="cpu")
    model.learn(128)
    model.save(tmp_path / "model")
    env.obs_rms.mean += 1.0  # so that actions differ without the statistics
    env.save(str(tmp_path / "vecnormalize.pkl"))
    return tmp_path / "model.zip", tmp_path / "vecnormalize.pkl", env


def test_observations_are_normalized_as_in_training(normalized: Any) -> None:
    path, statistics, trained = normalized
    recorder = Recorder(gym.make(DISCRETE))
    api.evaluate(path, recorder, trust=True, vecnormalize=statistics, episodes=5)
    model = PPO.load(path, device="cpu")
    observations = np.array([observation for observation, _, _ in recorder.seen])
    expected, _ = model.predict(trained.normalize_obs(observations), deterministic=True)
    np.testing.assert_array_equal([action for _, _, action in recorder.seen], expected)
    raw, _ = model.predict(observations, deterministic=True)
    assert (raw != expected).any()


def test_statistics_that_are_not_used_are_named(normalized: Any) -> None:
    path, statistics, _ = normalized
    with pytest.warns(InputWarning, match=rf"{statistics.name}' lies beside the model and is not"):
        api.load(path, DISCRETE, trust=True)
    folder = path.with_suffix("")  # as RL Baselines3 Zoo saves them
    folder.mkdir()
    shutil.move(statistics, folder / "vecnormalize.pkl")
    with pytest.warns(InputWarning, match=r"model/vecnormalize\.pkl' lies beside"):
        api.load(path, DISCRETE, trust=True)


def test_statistics_need_trust_and_a_model_that_they_fit(normalized: Any, tmp_path: Path) -> None:
    path, statistics, _ = normalized
    (tmp_path / "text.pkl").write_text("hello")
    (tmp_path / "list.pkl").write_bytes(b"\x80\x04]\x94.")
    for options, message in (
        ({"policy": path, "vecnormalize": statistics}, "--trust"),
        ({"policy": "random", "vecnormalize": statistics, "trust": True}, "'random' is not one"),
        ({"policy": path, "vecnormalize": "none.pkl", "trust": True}, "cannot read 'none.pkl'"),
        ({"policy": path, "vecnormalize": tmp_path / "text.pkl", "trust": True}, "does not hold"),
        ({"policy": path, "vecnormalize": tmp_path / "list.pkl", "trust": True}, "but a list"),
    ):
        with pytest.raises(InputError, match=message):
            api.evaluate(env=DISCRETE, **options)
    PPO("MlpPolicy", "Acrobot-v1", device="cpu").save(tmp_path / "acrobot")
    with pytest.raises(InputError, match=r"does not fit this environment: its observation space"):
        api.load(tmp_path / "acrobot", "Acrobot-v1", trust=True, vecnormalize=statistics)


def test_the_command_line_takes_statistics(
    normalized: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path, statistics, _ = normalized
    words = ["gridcade", "evaluate", str(path.with_suffix("")), "--env", "CartPole", "--trust"]
    outputs = []
    for more in ([], ["--vecnormalize", str(statistics)]):
        monkeypatch.setattr(sys, "argv", [*words, "--episodes", "3", "--json", *more])
        main()
        captured = capsys.readouterr()
        assert captured.err.count("\n") == (not more)
        outputs.append(json.loads(captured.out)["expected_return"]["mean"])
    assert outputs[0] != outputs[1]


# ---- training


@pytest.mark.parametrize("name", ["sb3-trpo", "sb3-qrdqn", "sb3-tqc", "sb3-crossq"])
def test_algorithms_of_sb3_contrib_are_agents(name: str, tmp_path: Path) -> None:
    """The metrics have the algorithm's counters, and a loaded run has the trained model."""
    env = DISCRETE if name in ("sb3-trpo", "sb3-qrdqn") else CONTINUOUS
    options: Any = {"n_steps": 64, "batch_size": 64}
    if name != "sb3-trpo":
        options = {"learning_starts": 64, "policy_kwargs": {"net_arch": [32]}}
    budget: Any = {"steps": 128, "evaluation_episodes": 2}
    run = api.train(name, env, hyperparameters=options, out=tmp_path / "run", **budget)
    assert run.last_checkpoint() == 128
    policy: Any = api.load(run)
    assert policy.steps == 128
    assert type(policy.model).__name__.lower() == name.removeprefix("sb3-")
    assert api.evaluate(run, episodes=2).episodes == 2
    assert (run.metrics()[-1]["steps"], run.metrics()[-1]["exact"]) == (128, False)


FORBIDDING = Path(__file__).with_name("forbidding.py")


@pytest.mark.parametrize("name", ["ForbiddingWorld", "Forbidding", "ForbiddingParts", "CartPole"])
def test_maskable_ppo_learns_within_the_masks_of_our_environments(
    name: str, tmp_path: Path
) -> None:
    """The environment raises an error if a forbidden action is taken; CartPole forbids none."""
    env = name if name == "CartPole" else f"{FORBIDDING}:{name}"
    settings: Any = {"n_steps": 32, "batch_size": 32, "n_epochs": 2}
    options: Any = {"steps": 256, "epoch": 128, "envs": 2, "evaluation_episodes": 5}
    run = api.train(
        "sb3-maskableppo", env, hyperparameters=settings, out=tmp_path / "run", **options
    )
    result = api.evaluate(run, episodes=100, epsilon=0.2, stochastic=True)
    assert not any("mask" in note for note in result.notes)
    if name == "ForbiddingWorld":
        assert result.exact is not None
        assert result.expected_return is not None
        exact = result.exact.expected_return
        assert exact is not None
        assert abs(result.expected_return.mean - exact) < 2.5 * result.expected_return.half_width


def test_notes_name_algorithms_that_do_not_use_action_masks(tmp_path: Path) -> None:
    printed: list[str] = []
    settings: Any = {"n_steps": 16, "batch_size": 16}
    options: Any = {"steps": 32, "epoch": 32, "evaluation_episodes": 1, "out": tmp_path / "run"}
    run = sessions.train(
        "sb3-ppo", "Taxi", hyperparameters=settings, note=printed.append, **options
    )
    notes = api.evaluate(run, "Taxi", episodes=2).notes
    for sentences in (printed, notes):
        assert sum("not use action masks" in sentence for sentence in sentences) == 1


@pytest.mark.parametrize(
    ("name", "env"),
    [
        ("sb3-dqn", "CartPole"),
        ("sb3-dqn", "MiniGrid-Empty-5x5-v0"),
        ("sb3-ppo", "Taxi"),
        ("sb3-tqc", CONTINUOUS),
        ("sb3-maskableppo", "Taxi"),
        ("sb3-maskableppo", f"{FORBIDDING}:ForbiddingParts"),
    ],
)
def test_all_arrays_of_a_buffer_are_counted_before_training(name: str, env: str) -> None:
    """The arrays include masks, the largest part if an environment has many actions."""
    pytest.importorskip("minigrid")
    kind = agents.find(name)
    sizes = {"n_steps": 24, "batch_size": 8}
    if name in ("sb3-dqn", "sb3-tqc"):
        sizes = {"buffer_size": 48}
    with EnvPool(env) as pool:
        agent = kind.make(pool.first, kind.config(**sizes), 0)
        assert isinstance(agent, SB3Agent)
        agent.set_env(pool.vector(2))
        end_training()
    model: Any = agent.model
    buffer = model.replay_buffer if "buffer_size" in sizes else model.rollout_buffer
    arrays = [array for array in vars(buffer).values() if isinstance(array, np.ndarray)]
    observations = [vars(buffer).get(key) for key in ("observations", "next_observations")]
    arrays += [part for parts in observations if isinstance(parts, dict) for part in parts.values()]
    assert agent.memory_bytes(2) == sum(array.nbytes for array in arrays)
