"""Training on environments given as Python objects, or as functions that make them."""

import subprocess
import sys
from itertools import count
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

import gridcade
from gridcade.envs.objects import EnvLike
from gridcade.errors import InputError
from gridcade.study import runner
from gridcade.training.run_folder import Run
from in_process import in_process_workers

DQN: dict[str, Any] = {"learn_start": 50, "replay_capacity": 500, "hidden": [4], "held_out": 3}
OPTIONS: dict[str, Any] = {"steps": 600, "epoch": 200, "evaluation_episodes": 2}


class Walk(gym.Env[Any, Any]):
    """A walk to 9; it counts its objects, of which at most `limit` can exist."""

    observation_space = gym.spaces.Box(0, 10, (1,), np.float32)
    action_space = gym.spaces.Discrete(2)
    limit = 1000
    open = made = 0

    def __init__(self, far: int = 9):
        if Walk.open >= Walk.limit:
            raise OSError("address already in use")
        Walk.open, Walk.made = Walk.open + 1, Walk.made + 1
        self.far = far
        self.ends: list[str] = []  # of its episodes

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed, options=options)
        self.place = float(self.np_random.random())
        return self._observation(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.place += (0.2 + float(action)) * self.np_random.random()
        return self._observation(), 1.0, self.place > self.far, False, {}

    def _observation(self) -> Any:
        return np.array([min(self.place, 10)], np.float32)

    def close(self) -> None:
        Walk.open -= 1


@pytest.fixture(autouse=True)
def reset_counts() -> None:
    Walk.open = Walk.made = 0
    Walk.limit = 1000


def make_walk() -> gym.Env[Any, Any]:
    return Walk()


def train(env: Any, out: Path, agent: str = "dqn", **options: Any) -> Run:
    hyperparameters = DQN if agent == "dqn" else None
    return gridcade.train(agent, env, hyperparameters=hyperparameters, out=out, **OPTIONS | options)


def numbers(run: Run) -> list[dict[str, Any]]:
    names = ("steps", "training_return_mean", "training_truncated", "return_mean", "loss")
    return [{name: m.get(name) for name in names} for m in run.metrics()]


def test_a_function_gives_fresh_environments_and_its_import_path_is_the_name(
    tmp_path: Path,
) -> None:
    run = train(make_walk, tmp_path / "run", envs=3)
    assert (run.config.env, run.config.env_source) == (f"{__name__}:make_walk", "name")
    assert (Walk.made, Walk.open) == (3 + 2, 0)
    by_name = train(run.config.env, tmp_path / "by-name", envs=3)
    assert numbers(by_name) == numbers(run)
    longer = gridcade.resume(run.path, steps=800)
    assert longer.finished
    assert gridcade.evaluate(run, episodes=3).env == f"{__name__}:make_walk"


def test_a_function_without_a_name_is_needed_again_to_resume(tmp_path: Path) -> None:
    calls, notes = count(1), list[str]()
    run = train(
        lambda: Walk(),
        tmp_path / "run",
        stop=lambda: next(calls) >= 2,
        note=notes.append,
    )
    assert (run.config.env, run.config.env_source) == ("Walk", "function")
    assert any("only Python can resume" in note for note in notes)
    assert f"gridcade.resume('{run.path}', env=...)" in str(run)
    for call in (gridcade.resume, gridcade.evaluate, gridcade.load):
        with pytest.raises(InputError, match="trained in Python"):
            call(run.path)
    with pytest.raises(InputError, match="pass a function"):
        gridcade.resume(run.path, env=Walk())
    whole = train(make_walk, tmp_path / "whole")
    resumed = gridcade.resume(run.path, env=lambda: Walk())
    assert numbers(resumed) == numbers(whole)
    assert gridcade.evaluate(run, lambda: Walk(), episodes=2).episodes == 2


def test_a_bare_object_trains_alone_and_an_evaluation_truncates_its_episode(
    tmp_path: Path,
) -> None:
    env, notes = Walk(far=10**9), list[str]()
    run = train(env, tmp_path / "run", note=notes.append, evaluation_every=2)
    assert run.config.env_source == "object"
    assert (Walk.made, Walk.open) == (1, 1)
    assert any("cannot be resumed" in note for note in notes)
    # No episode terminates. The second and the last epoch end with an evaluation.
    truncated = [m.get("training_truncated") for m in run.metrics()]
    assert truncated == [None, 1.0, 1.0]
    assert [m.get("training_length_mean") for m in run.metrics()] == [None, 400.0, 200.0]
    assert ["return_mean" in m for m in run.metrics()] == [False, True, True]
    with pytest.raises(InputError, match="cannot be resumed"):
        gridcade.resume(run.path, env=make_walk)
    with pytest.raises(InputError, match="trains alone"):
        train(env, tmp_path / "several", envs=2)
    assert not (tmp_path / "several").exists()
    assert gridcade.evaluate(run, Walk(far=1), episodes=2).episodes == 2


def test_an_agent_with_its_own_loop_trains_on_a_bare_object(tmp_path: Path) -> None:
    run = train(Walk(far=10**9), tmp_path / "run", "sb3-a2c")
    assert [m["training_length_mean"] for m in run.metrics()] == [200.0] * 3


def test_an_environment_that_exists_only_once_is_trained_and_evaluated(tmp_path: Path) -> None:
    """For example, each object binds the same port. The run can be resumed, with equal results."""
    Walk.limit, notes = 1, list[str]()
    whole = train(make_walk, tmp_path / "whole", note=notes.append)
    assert any("a second environment cannot be made" in note for note in notes)
    assert all("return_mean" in m for m in whole.metrics())
    calls = count(1)
    run = train(make_walk, tmp_path / "run", stop=lambda: next(calls) >= 3)
    assert not run.finished
    assert numbers(gridcade.resume(run.path)) == numbers(whole)
    assert Walk.open == 0


def test_a_function_that_returns_one_object_again_is_an_error(tmp_path: Path) -> None:
    env = Walk()
    with pytest.raises(InputError, match="the same environment twice"):
        train(lambda: env, tmp_path / "run")


def test_an_object_made_by_name_is_copied_and_can_be_resumed(tmp_path: Path) -> None:
    env = gym.make("CartPole-v1", max_episode_steps=30)
    run = train(env, tmp_path / "run", envs=2)
    assert run.config.env == "CartPole?max_episode_steps=30"
    env.reset()
    assert numbers(train(run.config.env, tmp_path / "by-name", envs=2)) == numbers(run)
    assert gridcade.resume(run.path, steps=700).finished


def test_an_object_of_a_package_is_named_with_its_module(tmp_path: Path) -> None:
    """The command line, which has not imported the package, finds it."""
    gym.register("tests/Walk-v0", f"{__name__}:Walk", max_episode_steps=20)
    try:
        env = gym.make("tests/Walk-v0")
        run = train(env, tmp_path / "run", envs=2)
        assert (run.config.env, run.config.env_source) == (f"{__name__}:tests/Walk-v0", "name")
        assert gridcade.resume(run.path, steps=700).finished
    finally:
        del gym.registry["tests/Walk-v0"]


def test_solve_and_watch_take_functions(tmp_path: Path) -> None:
    def make_rooms() -> Any:
        return gridcade.make("FourRooms", render_mode="rgb_array")

    assert gridcade.solve(make_rooms).value == gridcade.solve("FourRooms").value
    gridcade.watch("optimal", make_rooms, video=tmp_path / "video.gif", episodes=1)
    assert (tmp_path / "video.gif").stat().st_size > 1000


def test_an_object_learns_from_its_model_as_the_name_does(tmp_path: Path) -> None:
    run = gridcade.train("q-learning", gridcade.make("FourRooms"), steps=5000, out=tmp_path / "a")
    same = gridcade.train("q-learning", "FourRooms", steps=5000, out=tmp_path / "b")
    assert run.config == same.config
    assert numbers(run) == numbers(same)


SCRIPT = """
import gymnasium as gym
import gridcade

class Mine(gym.Env):
    observation_space = gym.spaces.Discrete(3)
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return 0, {}

    def step(self, action):
        return 2 * int(action), float(action), bool(action), False, {}

def make():
    return Mine()

if __name__ == "__main__":
    run = gridcade.train("q-learning", make, steps=1000, out="run")
    print(run.config.env, run.config.env_source)
"""


def test_a_function_of_a_script_is_named_by_its_file(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "mine.py"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["mine.py:make", "name"]
    command = [sys.executable, "-m", "gridcade.cli.main", "evaluate", "run", "--episodes", "3"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "mine.py:make" in done.stdout, done.stderr


def test_compare_takes_functions_and_objects_that_have_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "workers", in_process_workers)
    envs: list[EnvLike] = [make_walk, gym.make("CartPole-v1", max_episode_steps=20), "FourRooms"]
    comparison = gridcade.compare("random", envs, out=tmp_path / "study", episodes=3)
    names = (f"{__name__}:make_walk", "CartPole?max_episode_steps=20", "FourRooms")
    assert comparison.study.environments == names
    assert not comparison.failures
    for env in (lambda: Walk(), Walk()):
        with pytest.raises(InputError, match="in other processes, and this"):
            gridcade.compare("random", env)
    with pytest.raises(InputError, match="or a function that makes one, not 3"):
        gridcade.compare("random", [3])  # type: ignore[list-item]  # a wrong type on purpose


class Bad(Walk):
    """The seventh step pays nan or inf, or returns an infinite observation."""

    def __init__(self, reward: float, place: float):
        super().__init__()
        self.steps, self.reward, self.bad_place = 0, reward, place
        self.observation_space = gym.spaces.Box(-np.inf, np.inf, (1,), np.float32)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.steps += 1
        if self.steps < 7:
            return super().step(action)
        return np.array([self.bad_place], np.float32), self.reward, False, False, {}


@pytest.mark.parametrize("agent", ["dqn", "pqn", "sb3-a2c"])
@pytest.mark.parametrize(
    ("reward", "place", "message"),
    [
        (np.nan, 1, "paid nan at step 7; a reward must be finite .*test_objects.py:.*, in step"),
        (np.inf, 1, "paid inf at step 7"),
        (1, np.nan, "returned at step 7 an observation that holds nan"),
        (1, np.inf, "an observation that is infinite|cannot continue"),
    ],
)
def test_an_error_of_the_environment_is_not_reported_as_divergence(
    agent: str, reward: float, place: float, message: str, tmp_path: Path
) -> None:
    hyperparameters: Any = {
        "dqn": DQN,
        "pqn": {"rollout": 16, "minibatches": 1, "hidden": [4]},
        "sb3-a2c": {},
    }
    with pytest.raises(InputError, match=message):
        gridcade.train(
            agent,
            Bad(reward, place),
            hyperparameters=hyperparameters[agent],
            out=tmp_path / "run",
            **OPTIONS,
        )
