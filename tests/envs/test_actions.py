"""Action numbers: one for each action of a space, and used by random policies and epsilon."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

from gridcade.envs.actions import MAX_ACTIONS, action_index, finite_actions
from gridcade.errors import InputError
from gridcade.evaluation.evaluate import evaluate_policy
from gridcade.evaluation.policies import random_policy

FINITE: list[tuple[Any, int]] = [
    (spaces.Discrete(4), 4),
    (spaces.Discrete(4, start=1), 4),
    (spaces.Discrete(3, start=-5), 3),
    (spaces.MultiDiscrete([3, 1, 4]), 12),
    (spaces.MultiDiscrete(np.array([[2, 3], [1, 4]]), start=np.array([[0, 5], [-2, 1]])), 24),
    (spaces.MultiDiscrete([2, 3], dtype=np.int32), 6),
    (spaces.MultiBinary(3), 8),
    (spaces.MultiBinary([2, 2]), 16),
]


@pytest.mark.parametrize(("space", "count"), FINITE)
def test_each_action_has_one_number(space: Any, count: int) -> None:
    index = action_index(space)
    assert index.count == count
    numbers = np.arange(count)
    actions = index.decode(numbers)
    assert actions.shape == (count, *space.shape)
    assert all(space.contains(action) for action in actions)
    assert len({action.tobytes() for action in actions}) == count
    np.testing.assert_array_equal(index.encode(actions), numbers)
    np.testing.assert_array_equal(index.decode(numbers[1]), actions[1])
    np.testing.assert_array_equal(index.encode(actions[[-1, 0]]), [count - 1, 0])


def test_numbers_from_zero_are_not_copied() -> None:
    numbers = np.arange(3)
    index = action_index(spaces.Discrete(3))
    assert index.decode(numbers) is numbers
    assert index.encode(numbers) is numbers


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (spaces.MultiDiscrete([3] * 10), "59049 actions; at most 10000"),
        (spaces.Discrete(10**12), "1000000000000 actions"),
        (spaces.MultiBinary(100), f"{2**100} actions"),
        (spaces.Box(0, 1, (2,)), "the actions are Box"),
        (spaces.Dict({"a": spaces.Discrete(2)}), "must be Discrete, MultiDiscrete or MultiBinary"),
    ],
)
def test_spaces_that_cannot_be_numbered(space: Any, message: str) -> None:
    assert MAX_ACTIONS == 10_000
    assert finite_actions(space) is None
    with pytest.raises(InputError, match=message) as error:
        action_index(space)
    assert "\n" not in str(error.value)


class Records(gym.Env[Any, Any]):
    """An environment that records the actions it receives."""

    observation_space = spaces.Discrete(2)

    def __init__(self, space: Any):
        self.action_space = space
        self.received: list[Any] = []

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[int, dict[str, Any]]:
        super().reset(seed=seed, options=options)
        return 0, {}

    def step(self, action: Any) -> tuple[int, float, bool, bool, dict[str, Any]]:
        self.received.append(action)
        return 0, 1.0, len(self.received) % 50 == 0, False, {}


COMPOSITE = [
    spaces.Dict({"a": spaces.Discrete(2, start=3), "b": spaces.Box(-1, 1, (2,))}),
    spaces.Tuple((spaces.MultiBinary(2), spaces.Dict({"c": spaces.Discrete(3)}))),
]


@pytest.mark.parametrize("space", [s for s, _ in FINITE] + COMPOSITE)
def test_random_actions_lie_in_the_space(space: Any) -> None:
    env = Records(space)
    result = evaluate_policy(random_policy(env), env, episodes=4)
    assert result.steps == 200
    assert all(space.contains(action) for action in env.received)
    if (index := finite_actions(space)) is not None:
        assert set(index.encode(np.array(env.received)).tolist()) == set(range(index.count))


class First:
    """A policy that always takes the first action of a space."""

    def __init__(self, space: Any):
        self.action = action_index(space).decode(0)

    def predict(self, observation: Any, *_: Any, **__: Any) -> tuple[Any, None]:
        return np.array([self.action] * len(observation)), None


@pytest.mark.parametrize("space", [s for s, _ in FINITE])
def test_epsilon_mixes_in_actions_of_the_space(space: Any) -> None:
    env = Records(space)
    evaluate_policy(First(space), env, episodes=4, epsilon=0.5)
    index = action_index(space)
    numbers = index.encode(np.array(env.received))
    share = (numbers == 0).mean()
    expected = 0.5 + 0.5 / index.count
    assert abs(share - expected) < 5 * np.sqrt(0.25 / 200)
    assert all(space.contains(action) for action in env.received)


def test_epsilon_needs_actions_that_can_be_numbered() -> None:
    env = Records(spaces.Box(0, 1, (2,)))
    with pytest.raises(InputError, match="must be 0 because the actions cannot be numbered"):
        evaluate_policy(random_policy(env), env, epsilon=0.1)
