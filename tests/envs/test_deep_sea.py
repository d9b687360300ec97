"""Deep sea, compared with the rules of bsuite in a plain loop."""

from typing import Any

import numpy as np
import pytest

from gridcade.envs.deep_sea import DeepSea
from gridcade.errors import InputError
from gridcade.exact.solver import policy_value, solve


def bsuite_episode(actions: Any, right: Any, size: int, move_cost: float) -> list[Any]:
    """Cells and rewards of an episode, after the reference implementation's `_step`."""
    column, episode = 0, []
    for row, action in enumerate(actions):
        reward = 0.0
        if action == right[row, column]:
            if column == size - 1:
                reward += 1.0
            column += 1  # beyond the last column only where the episode ends
            reward -= move_cost / size
        else:
            column = max(column - 1, 0)
        episode.append(((row + 1, column), pytest.approx(reward)))
    return episode


@pytest.mark.parametrize("seed", [None, 0, 5])
@pytest.mark.parametrize(("size", "move_cost"), [(1, 0.01), (4, 0.01), (7, 0.5)])
def test_episodes_are_those_of_bsuite(size: int, move_cost: float, seed: int | None) -> None:
    env = DeepSea(size, seed, move_cost)
    rng = np.random.default_rng(0)
    right = np.full((size + 1, size + 1), -1)
    right[tuple(env.places.T)] = (env.signs == "↘").argmax(axis=1)
    best = right[np.arange(size), np.arange(size)]
    total = 0.0
    for actions in [best, *rng.integers(2, size=(30, size))]:
        env.reset(seed=0)
        taken = []
        for i, action in enumerate(actions):
            state, reward, terminated, truncated, _ = env.step(action)
            taken.append((tuple(env.places[state]), reward))
            assert (terminated, truncated) == (i == size - 1, False)
        assert taken == bsuite_episode(actions, right, size, move_cost)
        total = max(total, sum(reward for _, reward in taken))
    assert total == pytest.approx(1 - move_cost)


@pytest.mark.parametrize("size", [1, 2, 10, 60])
def test_the_optimal_and_the_random_return_are_known(size: int) -> None:
    model = DeepSea(size).model
    assert model.num_states == (size + 1) * (size + 2) // 2
    assert solve(model, "return").value == pytest.approx(0.99)
    random = policy_value(model, model.uniform)
    assert random.expected_return == pytest.approx(0.5**size - 0.01 / 2)
    assert random.episode_length == pytest.approx(size)


def test_a_seed_draws_the_meaning_of_the_actions() -> None:
    meanings = [DeepSea(8, seed).signs for seed in (None, 0, 0, 1)]
    assert (meanings[0][:, 1] == "↘").all()
    np.testing.assert_array_equal(meanings[1], meanings[2])
    assert (meanings[1] != meanings[3]).any()
    assert 0.3 < (meanings[1][:, 0] == "↘").mean() < 0.7


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": 0}, "size is 0; it must be an integer, 1 or greater"),
        ({"seed": -1}, "seed is -1; it must be none, or an integer, 0 or greater"),
        ({"move_cost": -0.1}, "move_cost is -0.1; it must be a number, 0 or greater"),
        ({"move_cost": np.nan}, "move_cost is nan"),
    ],
)
def test_invalid_arguments_are_input_errors(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        DeepSea(**arguments)
