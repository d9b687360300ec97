"""Environments from names, functions and objects: how many are made, and that all are closed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import pytest

import gridcade
from gridcade.envs.objects import copier, function_name, identity
from gridcade.errors import InputError
from gridcade.evaluation.evaluate import ENVS, evaluate_policy
from gridcade.evaluation.policies import UniformPolicy
from gridcade.experience.loop import Experience
from gridcade.experience.pool import EnvPool

NAME = "tests/Counted-v0"


class Counted(gym.Env[Any, Any]):
    """Counts its objects, of which at most `limit` exist at a time, as if each bound a port.

    Its `info` changes shape and type at every step, which Gymnasium allows.
    """

    observation_space = gym.spaces.Box(0, 100, (1,), np.float32)
    action_space = gym.spaces.Discrete(2)
    limit = 1000
    made = closed = most = 0

    def __init__(self, render_mode: str | None = None) -> None:
        if Counted.made - Counted.closed >= Counted.limit:
            raise OSError("address already in use")
        self.render_mode = render_mode
        Counted.made += 1
        Counted.most = max(Counted.most, Counted.made - Counted.closed)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed, options=options)
        self.steps, self.length = 0, int(self.np_random.integers(2, 9))
        return self._observation(), {"legal": np.arange(1), "action_mask": np.ones(2, np.int8)}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.steps += 1
        info: dict[str, Any] = {"legal": np.arange(self.steps + 1), "action_mask": [1, 1]}
        info["odd"] = {"a": 1} if self.steps % 2 else 3
        return self._observation(), float(action), self.steps == self.length, False, info

    def _observation(self) -> Any:
        return np.array([self.steps], np.float32)

    def close(self) -> None:
        Counted.closed += 1


@pytest.fixture(autouse=True)
def counted() -> Iterator[None]:
    Counted.made = Counted.closed = Counted.most = 0
    Counted.limit = 1000
    gym.register(NAME, lambda **options: Counted(**options), max_episode_steps=50)
    yield
    del gym.registry[NAME]


def make_counted() -> gym.Env[Any, Any]:
    return Counted()


@pytest.mark.parametrize("env", [NAME, Counted, make_counted])
@pytest.mark.parametrize("episodes", [1, 3, 40])
def test_evaluation_makes_as_few_environments_as_possible_and_closes_them(
    env: Any, episodes: int
) -> None:
    evaluate_policy(UniformPolicy(2), env, episodes=episodes)
    assert Counted.made == Counted.closed == min(episodes, ENVS)


def test_evaluations_by_name_leave_no_environment_open() -> None:
    for _ in range(5):
        gridcade.evaluate("random", NAME, episodes=1)
    assert Counted.most == 1
    assert Counted.made == Counted.closed


def test_an_environment_that_exists_only_once_has_the_same_value() -> None:
    """As if each object bound the same port: the episodes follow one another."""
    many = evaluate_policy(UniformPolicy(2), NAME, episodes=30)
    Counted.limit = 1
    alone = evaluate_policy(UniformPolicy(2), NAME, episodes=30)
    assert alone == many
    assert Counted.made == Counted.closed


def test_the_first_environment_that_cannot_be_made_is_an_error() -> None:
    Counted.limit = 0
    with pytest.raises(Exception, match="address already in use"):
        evaluate_policy(UniformPolicy(2), make_counted, episodes=30)


@pytest.mark.parametrize("limit", [1, 2])
def test_a_training_in_too_many_environments_says_how_many_are_possible(
    limit: int, tmp_path: Path
) -> None:
    Counted.limit = limit
    with pytest.raises(InputError, match=rf"in use.*; {limit} of 3 could .* set envs to {limit}$"):
        gridcade.train("q-learning", f"{NAME}?bins=4", steps=100, envs=3, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    assert Counted.made == Counted.closed


def test_an_object_is_used_alone_and_stays_open() -> None:
    env = gym.make(NAME)
    with EnvPool(env) as pool:
        assert pool.first.unwrapped is env.unwrapped
        assert pool.vector(16, fewer=True).num_envs == 1
        with pytest.raises(InputError, match="pass a function that makes such an environment"):
            pool.vector(2)
    with EnvPool(env, copies=True) as pool:
        assert pool.vector(3).num_envs == 3
    assert (Counted.made, Counted.closed) == (3, 2)


def test_a_function_that_returns_one_object_again_is_an_error() -> None:
    env = Counted()
    with pytest.raises(InputError, match="the same environment twice"), EnvPool(lambda: env) as p:
        p.vector(2, fewer=True)


@pytest.mark.parametrize(
    ("env", "message"),
    [(3, "not 3"), (lambda: 3, "returned 3"), (None, "not None")],
)
def test_an_object_that_is_no_environment_is_an_error(env: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        evaluate_policy(UniformPolicy(2), env)


def test_an_info_that_changes_shape_and_type_is_harmless() -> None:
    class Alternating:
        def act(self, observations: Any, masks: Any = None) -> Any:
            assert masks.all()
            return np.arange(len(observations)) % 2

        def observe(self, step: Any) -> None: ...

        def update(self) -> None: ...

    with EnvPool(NAME) as pool:
        envs = pool.vector(3)
        steps = Experience(envs, seed=0).steps(Alternating())
        rewards = [next(steps).rewards.tolist() for _ in range(30)]
        assert rewards == [[0.0, 1.0, 0.0]] * 30
        assert envs.reset(options={"reset_mask": np.array([False, True, False])})[1] == {}


class TestNames:
    here: ClassVar[Any] = __name__

    def test_of_functions_and_classes(self) -> None:
        assert function_name(make_counted) == f"{self.here}:make_counted"
        assert function_name(Counted) == f"{self.here}:Counted"
        assert function_name(lambda: Counted()) is None

    def test_a_function_without_a_name_has_the_name_of_its_environment(self) -> None:
        assert identity(lambda: Counted(), Counted()) == ("Counted", "function")
        assert identity(Counted(), Counted()) == ("Counted", "object")

    @pytest.mark.parametrize(
        ("arguments", "name"),
        [
            ({"id": "CartPole-v1"}, "CartPole"),
            ({"id": "CartPole-v1", "max_episode_steps": 30}, "CartPole?max_episode_steps=30"),
            ({"id": "FrozenLake-v1", "is_slippery": False}, "FrozenLake?is_slippery=False"),
            ({"id": "gridcade/Maze-v0", "size": 9}, "Maze?size=9"),
        ],
    )
    def test_of_objects_make_equal_environments(self, arguments: Any, name: str) -> None:
        env = gym.make(**arguments)
        assert identity(env, env) == (name, "name")
        specs = gridcade.make(name).spec, env.spec
        assert len({(s.id, str(s.kwargs), s.max_episode_steps) for s in specs if s}) == 1

    def test_a_wrapped_object_is_copied_but_has_no_name(self) -> None:
        env = gym.wrappers.ClipReward(gym.make("CartPole-v1", render_mode="rgb_array"), 0, 0.5)
        assert identity(env, env)[1] == "function"
        make = copier(env)
        assert make is not None
        copy = make()
        copy.reset(seed=0)
        assert copy.step(0)[1] == 0.5

    def test_a_wrapper_without_record_cannot_be_copied(self) -> None:
        class Own(gym.Wrapper[Any, Any, Any, Any]):
            pass

        env = Own(gym.make("CartPole-v1"))
        assert copier(env) is None
        assert identity(env, env)[1] == "object"


@pytest.mark.parametrize("envs", [1, 3])
def test_training_reuses_its_environments_for_every_evaluation(tmp_path: Path, envs: int) -> None:
    options: Any = {"steps": 600, "epoch": 100, "evaluation_episodes": 5, "envs": envs}
    hyperparameters = {"rollout": 8, "hidden": [4], "minibatches": 1}
    run = gridcade.train(
        "pqn", NAME, hyperparameters=hyperparameters, out=tmp_path / "run", **options
    )
    assert [m["exact"] for m in run.metrics()] == [False] * 6
    assert Counted.made == Counted.closed == envs + 5
