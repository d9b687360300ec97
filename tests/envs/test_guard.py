"""An error in another author's environment is one line, with its place in the author's file."""

import math
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.wrappers import OrderEnforcing, TimeLimit

from gridcade.envs import registry
from gridcade.envs.guard import Guard, guard_of, guarded
from gridcade.envs.maze import Maze
from gridcade.errors import InputError

FILE = Path(__file__).name
BOX = gym.spaces.Box(-1, 1, (3,), np.float32)
GOOD = np.zeros(3, np.float32)


class Returns(gym.Env[Any, Any]):
    """Returns prepared values, and raises an error in a prepared method."""

    action_space = gym.spaces.Discrete(2)

    def __init__(self, step: Any, reset: Any = (GOOD, {}), space: Any = BOX):
        self.observation_space = space
        self.returned, self.first = step, reset

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        del seed, options
        return self.first

    def step(self, action: Any) -> Any:
        if action == 1:
            self.returned = [self.returned][action]
        return self.returned

    def render(self) -> Any:
        return math.sqrt(-1)


class OldReset(Returns):
    """Resets as the old gym did."""

    def reset(self) -> Any:  # type: ignore[override]
        return self.first


def line_of(text: str) -> int:
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line)


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ((GOOD, 1.0, False, {}), "returned 4 values from step; it must be observation, reward, t"),
        ((GOOD, 1.0, False, {}), "4 is the API of the old gym"),
        ((GOOD, 1.0, False, False), "returned 4 values"),
        ((GOOD, 1.0, False, False, {}, 0), "returned 6 values"),
        (None, "returned None from step"),
        ((GOOD, math.nan, False, False, {}), "paid nan at step 2; a reward must be finite"),
        ((GOOD, np.float32("-inf"), False, False, {}), "paid -inf at step 2"),
        ((GOOD, None, False, False, {}), "paid None at step 2; a reward is a number"),
        ((GOOD, np.ones(1), False, False, {}), "paid array([1.]) at step 2"),
        ((GOOD, 1.0, "no", False, {}), "returned 'no' as terminated at step 2, not a bool"),
        ((GOOD, 1.0, False, None, {}), "returned None as truncated at step 2"),
        ((GOOD, 1.0, False, False, None), "returned None as info at step 2, not a dict"),
        ((GOOD[:2], 1.0, False, False, {}), "that has the shape (2,); its space has (3,)"),
        ((GOOD.astype(complex), 1.0, False, False, {}), "is of type complex128; its space is of"),
        ((GOOD + np.nan, 1.0, False, False, {}), "holds nan"),
        (([0, [1]], 1.0, False, False, {}), "that is [0, [1]], not an array"),
    ],
)
def test_a_wrong_result_of_step_is_reported(result: Any, message: str) -> None:
    env = guarded(TimeLimit(OrderEnforcing(Returns((GOOD, 1.0, False, False, {}))), 9))
    env.reset(seed=0)
    env.step(0)
    bare: Any = env.unwrapped
    bare.returned = result
    with pytest.raises(InputError) as caught:
        env.step(0)
    assert message in str(caught.value)
    line = line_of("def step(self, action: Any) -> Any:")
    assert str(caught.value).endswith(f"{FILE}:{line}, in step)")


@pytest.mark.parametrize(
    ("space", "observation", "message"),
    [
        (gym.spaces.Discrete(3, start=1), 0, "is 0; its space has the whole numbers from 1 to 3"),
        (gym.spaces.Discrete(3), np.int64(3), "the whole numbers from 0 to 2"),
        (gym.spaces.Discrete(3), [1], "that is [1]"),
        (gym.spaces.Discrete(3), 1.0, "that is 1.0"),
        (gym.spaces.MultiDiscrete([2, 3]), np.array([1, 3]), "that is array([1, 3])"),
        (gym.spaces.MultiBinary(2), [0, 2], "that is [0, 2]"),
        (gym.spaces.Box(0, 255, (2,), np.uint8), np.array([0, 256]), "is of type int64"),
        (gym.spaces.Dict({"a": BOX}), {"b": GOOD}, "is ['b']; its space has the keys a"),
        (gym.spaces.Dict({"a": BOX}), {"a": GOOD[:1]}, "in 'a' has the shape (1,)"),
        (gym.spaces.Tuple([BOX]), (GOOD, GOOD), "its space has 1 parts"),
        (gym.spaces.Tuple([BOX]), (None,), "in part 0 has the shape ()"),
    ],
)
def test_an_observation_outside_its_space_is_reported(
    space: Any, observation: Any, message: str
) -> None:
    with pytest.raises(InputError) as caught:
        guarded(Returns(None, (observation, {}), space)).reset(seed=0)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("space", "observation"),
    [
        (BOX, GOOD),
        (BOX, [0.0, 1, 2]),
        (BOX, np.zeros(3)),  # float64 is common, and is converted
        (gym.spaces.Box(-np.inf, np.inf, (2,)), np.array([np.inf, -np.inf], np.float32)),
        (gym.spaces.Box(0, 255, (2,), np.uint8), np.array([0, 255])),
        (gym.spaces.Discrete(3, start=1), np.array(3)),
        (gym.spaces.MultiBinary(2), [0, 1]),
        (gym.spaces.Tuple([gym.spaces.Discrete(2), BOX]), [1, GOOD]),
        (gym.spaces.Text(5), 7),
    ],
)
def test_results_that_can_be_used_are_not_reported(space: Any, observation: Any) -> None:
    env = guarded(Returns((observation, np.float32(1), np.False_, 0, {}), (observation, {}), space))
    assert env.reset(seed=0)[0] is observation
    assert env.step(0)[0] is observation


def test_an_error_in_the_environment_is_reported_with_its_line() -> None:
    env = guarded(Returns((GOOD, 1.0, False, False, {})), "mine.py:Mine")
    env.reset(seed=0)
    with pytest.raises(InputError) as caught:
        env.step(1)
    line = line_of("[self.returned][action]")
    place = str(Path(__file__)).removeprefix(f"{Path.cwd()}/")
    message = "the environment 'mine.py:Mine' failed at step 1: IndexError: list index out of range"
    assert str(caught.value) == f"{message} ({place}:{line}, in step)"
    with pytest.raises(InputError, match=r"failed in render: ValueError: .* in render"):
        env.render()


def test_an_old_reset_is_reported() -> None:
    with pytest.raises(InputError, match=r"a reset without seed or options; write reset\(self, \*"):
        guarded(OldReset(None)).reset(seed=0)
    with pytest.raises(InputError, match=r"returned array.* from reset, not an observation and a"):
        guarded(Returns(None, GOOD)).reset(seed=0)


def test_missing_spaces_are_reported() -> None:
    with pytest.raises(InputError, match=r"sets no observation_space .*in __init__"):
        guarded(Returns(None, space=None))

    class NotReady(Returns):
        @property
        def action_space(self) -> Any:
            raise ValueError("not ready")

        @action_space.setter
        def action_space(self, space: Any) -> None:
            pass

    with pytest.raises(InputError, match=r"failed in action_space: ValueError: not ready \(.*test"):
        guarded(NotReady(None))


def test_the_guard_is_below_gymnasiums_wrappers_of_a_copy() -> None:
    """The user's object is unchanged. Environments get one guard, and Gridcade's own get none."""
    env = TimeLimit(OrderEnforcing(Returns(None)), 9)
    inside = guarded(env)
    assert isinstance(inside, TimeLimit)
    assert isinstance(inside.env, OrderEnforcing)
    assert isinstance(inside.env.env, Guard)
    assert guard_of(env) is None
    assert inside.unwrapped is env.unwrapped
    assert guarded(inside) is inside
    maze = Maze(size=3)
    assert guarded(maze) is maze
    assert guard_of(registry.make("CartPole")) is not None
