"""Models that stable-baselines3 has saved are loaded only if the user trusts them."""

import json
import os
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from stable_baselines3 import A2C, DDPG, DQN, PPO, SAC, TD3

from gridcade import api
from gridcade.agents.base import StochasticPolicy
from gridcade.cli.main import main
from gridcade.errors import InputError


class Trap:
    """An object that makes a folder when it is unpickled."""

    def __init__(self, folder: Path):
        self.folder = folder

    def __reduce__(self) -> Any:
        return (os.mkdir, (str(self.folder),))


@pytest.fixture
def trapped(tmp_path: Path) -> Path:
    """A saved model that makes the folder `sprung` beside it when it is unpickled."""
    model = PPO("MlpPolicy", gym.make("CartPole-v1"), n_steps=8, batch_size=8)
    model.trap = Trap(tmp_path / "sprung")  # type: ignore[attr-defined]
    model.save(tmp_path / "model.zip")
    return tmp_path / "model.zip"


@pytest.mark.parametrize("function", [api.load, api.evaluate])
def test_a_zip_is_not_loaded_unless_it_is_trusted(
    function: Callable[..., Any], trapped: Path
) -> None:
    with pytest.raises(InputError, match=r"can run any code.*--trust") as caught:
        function(trapped, "CartPole-v1")
    assert "\n" not in str(caught.value)
    assert not (trapped.parent / "sprung").exists()


def test_the_trust_flag_loads_a_zip(
    trapped: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["gridcade", "evaluate", str(trapped), "--env", "CartPole", "--episodes", "2"]
    for verb in ("evaluate", "watch"):
        monkeypatch.setattr(sys, "argv", ["gridcade", verb, *command[2:5]])
        with pytest.raises(SystemExit, match="2"):
            main()
        assert "--trust" in capsys.readouterr().err
    assert not (trapped.parent / "sprung").exists()
    monkeypatch.setattr(sys, "argv", [*command, "--trust", "--json"])
    main()
    assert json.loads(capsys.readouterr().out)["episodes"] == 2
    assert (trapped.parent / "sprung").exists()


@pytest.mark.parametrize("algorithm", [DQN, PPO, A2C, SAC, TD3, DDPG])
def test_a_loaded_model_acts_as_the_saved_one(algorithm: Any, tmp_path: Path) -> None:
    """The algorithm is identified without unpickling; DDPG has TD3's attributes, and its policy."""
    discrete = algorithm in (DQN, PPO, A2C)
    env = gym.make("CartPole-v1" if discrete else "Pendulum-v1", max_episode_steps=20)
    model = algorithm("MlpPolicy", env, seed=1, device="cpu")
    model.save(tmp_path / "model.zip")
    loaded: Any = api.load(tmp_path / "model.zip", env, trust=True)
    assert type(loaded.model) is (TD3 if algorithm is DDPG else algorithm)
    assert isinstance(loaded, StochasticPolicy) == discrete
    observations = np.array([env.observation_space.sample() for _ in range(50)])
    expected, _ = model.predict(observations, deterministic=True)
    np.testing.assert_array_equal(loaded.predict(observations, deterministic=True)[0], expected)
    assert api.evaluate(tmp_path / "model.zip", env, trust=True, episodes=2).episodes == 2


def test_a_loaded_model_cannot_learn(tmp_path: Path) -> None:
    env = gym.make("CartPole-v1")
    A2C("MlpPolicy", env).save(tmp_path / "model.zip")
    agent: Any = api.load(tmp_path / "model.zip", env, trust=True)
    assert agent.memory_bytes(1) == 0
    with pytest.raises(InputError, match="cannot learn"):
        agent.set_total_steps(100)


def test_a_model_of_other_spaces_is_refused(tmp_path: Path) -> None:
    PPO("MlpPolicy", gym.make("CartPole-v1")).save(tmp_path / "model.zip")
    with pytest.raises(
        InputError,
        match=r"does not fit this environment: its observation space is Box.* environment's is Box",
    ):
        api.load(tmp_path / "model.zip", "Acrobot-v1", trust=True)
    bounds = np.arange(1.0, 41.0, dtype=np.float32)
    wide = gym.spaces.Box(-bounds, bounds)
    env = gym.wrappers.TransformObservation(gym.make("CartPole-v1"), lambda _: wide.low, wide)
    assert "\n" in str(wide)
    with pytest.raises(InputError, match="does not fit this environment") as caught:
        api.load(tmp_path / "model.zip", env, trust=True)
    assert "\n" not in str(caught.value)


def test_a_model_needs_an_environment(tmp_path: Path) -> None:
    (tmp_path / "model.zip").touch()
    with pytest.raises(InputError, match="needs an environment"):
        api.load(tmp_path / "model.zip", trust=True)


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.zip").write_text("hello")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("data", "{}")
    for name in ("text", "other"):
        with pytest.raises(InputError, match=rf"cannot load .*{name}\.zip"):
            api.load(tmp_path / f"{name}.zip", "CartPole-v1", trust=True)
    with pytest.raises(InputError, match=r"no policy|did you mean"):
        api.load(tmp_path / "none.zip", "CartPole-v1", trust=True)
