"""Policies: shapes, frequencies, and their use by stable-baselines3."""

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

from gridcade.agents.base import Policy, StochasticPolicy
from gridcade.agents.probabilities import sample_actions, with_epsilon
from gridcade.envs import registry
from gridcade.envs.observations import batch_size
from gridcade.envs.tabular import Model
from gridcade.errors import InputError
from gridcade.evaluation.evaluate import evaluate_policy
from gridcade.evaluation.policies import (
    Human,
    RandomPolicy,
    TabularPolicy,
    UniformPolicy,
    optimal_policy,
    random_policy,
    state_values,
)
from gridcade.exact import solver

DRAWS = 30_000


def known(env: gym.Env[Any, Any]) -> Model:
    model = registry.known_model(env)
    assert model is not None
    return model


def test_actions_are_sampled_with_their_probabilities() -> None:
    rng = np.random.default_rng(0)
    table = rng.dirichlet(np.ones(5), 4)
    table[0] = [0, 0.5, 0, 0.5, 0]
    for row in table:
        actions = sample_actions(np.tile(row, (DRAWS, 1)), rng.random(DRAWS))
        shares = np.bincount(actions, minlength=5) / DRAWS
        errors = np.sqrt(row * (1 - row) / DRAWS)
        assert (np.abs(shares - row) <= 5 * errors).all()
        assert (shares[row == 0] == 0).all()


def test_no_impossible_action_is_sampled_at_the_edges() -> None:
    """Also if rounding makes the sum of a row slightly more or less than 1."""
    rows = np.array([[0, 1, 0], [0, 0, 1], [1, 0, 0], [0, 0.5, 0.5]])
    last = np.nextafter(1, 0)
    for scale in (1, 1 - 1e-9, 1 + 1e-9):
        assert sample_actions(rows * scale, np.zeros(4)).tolist() == [1, 2, 0, 1]
        assert sample_actions(rows * scale, np.full(4, last)).tolist() == [1, 2, 0, 2]


def test_each_row_is_sampled_by_its_own_draw() -> None:
    rng = np.random.default_rng(1)
    table, draws = rng.dirichlet(np.ones(3), 50), rng.random(50)
    one_by_one = [sample_actions(table[i : i + 1], draws[i : i + 1])[0] for i in range(50)]
    assert sample_actions(table, draws).tolist() == one_by_one


def test_epsilon_mixes_in_uniform_actions() -> None:
    table = np.array([[1.0, 0, 0, 0], [0.25, 0.25, 0.5, 0]])
    np.testing.assert_array_equal(with_epsilon(table, 0), table)
    np.testing.assert_array_equal(with_epsilon(table, 1), np.full((2, 4), 0.25))
    mixed = with_epsilon(table, 0.2)
    np.testing.assert_allclose(mixed, [[0.85, 0.05, 0.05, 0.05], [0.25, 0.25, 0.45, 0.05]])
    np.testing.assert_allclose(mixed.sum(axis=1), 1)


@pytest.mark.parametrize(
    "space",
    [
        spaces.Discrete(5),
        spaces.Box(0, 1, (3,)),
        spaces.Box(0, 255, (7, 6, 3), np.uint8),
        spaces.MultiDiscrete([3, 4]),
        spaces.Tuple((spaces.Discrete(32), spaces.Discrete(11), spaces.Discrete(2))),
        spaces.Dict({"a": spaces.Box(0, 1, (4,)), "b": spaces.Discrete(3)}),
        spaces.Dict({"deep": spaces.Tuple((spaces.Box(0, 1, (2, 2)), spaces.Discrete(3)))}),
    ],
)
@pytest.mark.parametrize("count", [1, 2, 7])
def test_one_observation_is_distinguished_from_a_batch(space: gym.Space[Any], count: int) -> None:
    space.seed(0)
    one, batch = space.sample(), gym.vector.utils.batch_space(space, count).sample()
    assert batch_size(one, space) is None
    assert batch_size(batch, space) == count
    uniform = UniformPolicy(4, observation_space=space)
    drawn = RandomPolicy(spaces.Box(-1, 1, (2,)), space)
    for policy, shape in ((uniform, ()), (drawn, (2,))):
        alone, together = policy.predict(one)[0], policy.predict(batch)[0]
        assert np.shape(alone) == shape
        assert np.shape(together) == (count, *shape)
    assert uniform.probabilities(batch).shape == (count, 4)


def test_random_actions_are_uniform_and_use_the_policys_own_stream() -> None:
    env = registry.make("Pendulum")
    env.action_space.seed(7)
    expected = env.action_space.sample()
    env.action_space.seed(7)
    policy = random_policy(env)
    drawn = policy.predict(np.zeros((2000, 3)))[0]
    assert env.action_space.sample() == expected  # the environment's own stream is unchanged
    assert drawn.shape == (2000, 1)
    deciles = np.histogram(drawn, 10, (-2, 2))[0] / 2000
    assert np.abs(deciles - 0.1).max() < 5 * np.sqrt(0.09 / 2000)
    again = random_policy(env).predict(np.zeros((2000, 3)))[0]
    np.testing.assert_array_equal(drawn, again)


def test_discrete_random_actions_have_uniform_probabilities() -> None:
    policy = random_policy(registry.make("FourRooms"))
    assert isinstance(policy, StochasticPolicy)
    np.testing.assert_array_equal(policy.probabilities(np.arange(9)), np.full((9, 4), 0.25))
    shares = np.bincount(policy.predict(np.zeros(DRAWS))[0], minlength=4) / DRAWS
    assert np.abs(shares - 0.25).max() < 5 * np.sqrt(0.1875 / DRAWS)


def test_random_actions_that_do_not_begin_at_zero() -> None:
    class Shifted(gym.Env[Any, Any]):
        action_space = spaces.Discrete(3, start=5)
        observation_space = spaces.Discrete(2)

    policy = random_policy(Shifted())
    assert set(policy.predict(np.zeros(100))[0].tolist()) == {5, 6, 7}


def test_tabular_policy_samples_by_its_probabilities() -> None:
    rng = np.random.default_rng(2)
    table = rng.dirichlet(np.ones(4), 3)
    policy = TabularPolicy(table, seed=1)
    assert isinstance(policy, Policy)
    states = rng.integers(3, size=DRAWS)
    state = (np.zeros(1),)
    actions, inner = policy.predict(states, state, np.ones(DRAWS, bool), deterministic=True)
    assert inner is state
    for s in range(3):
        shares = np.bincount(actions[states == s], minlength=4) / (states == s).sum()
        assert np.abs(shares - table[s]).max() < 5 * np.sqrt(0.25 / 9_000)
    np.testing.assert_array_equal(TabularPolicy(table, seed=1).predict(states)[0], actions)
    assert np.ndim(policy.predict(2)[0]) == 0
    assert np.ndim(policy.predict(np.int64(2))[0]) == 0
    assert policy.predict(np.array([2]))[0].shape == (1,)


def test_human_chooses_one_action_per_step() -> None:
    answers = iter([3, 1])
    human = Human(lambda: next(answers))
    assert [human.predict(np.array([0]))[0].tolist() for _ in range(2)] == [[3], [1]]


@pytest.mark.parametrize("name", ["CliffWalk", "FrozenLake", "Taxi", "SlipperyLake"])
def test_optimal_policy_is_optimal(name: str) -> None:
    env = registry.make(name)
    model, policy = known(env), optimal_policy(registry.make(name))
    value = solver.policy_value(model, policy.table)
    assert value.expected_return == pytest.approx(solver.solve(model, "return").value)
    values = state_values(policy)
    assert values is not None
    assert model.start @ np.nan_to_num(values) == pytest.approx(value.expected_return)


@pytest.mark.parametrize("name", ["RiverSwim", "NearAndFar"])
def test_optimal_policy_of_a_continuing_task_maximizes_the_average_reward(name: str) -> None:
    env = registry.make(name)
    policy = optimal_policy(env)
    value = solver.policy_value(known(env), policy.table)
    solution = solver.solve(known(env), "average-reward")
    assert value.average_reward == pytest.approx(solution.average_reward)
    np.testing.assert_array_equal(policy.values, solution.bias)


def test_optimal_policy_needs_a_known_model() -> None:
    with pytest.raises(InputError, match="'optimal' needs an environment whose model is known"):
        optimal_policy(registry.make("CartPole"))


@pytest.mark.parametrize("observation", ["coordinates", "one_hot", "pixels"])
def test_optimal_policy_needs_states_as_observations(observation: str) -> None:
    with pytest.raises(InputError, match="use observation=state"):
        optimal_policy(registry.make("FourRooms", observation=observation))


def test_optimal_policy_needs_a_policy_that_ends(tmp_path: Path) -> None:
    file = tmp_path / "walled.txt"
    file.write_text("######\n#S#SG#\n######\n")
    with pytest.raises(InputError, match="no policy"):
        optimal_policy(registry.make(str(file)))


def test_uniform_and_human_policies_have_no_state_values() -> None:
    assert state_values(UniformPolicy(4)) is None
    assert state_values(Human(lambda: 0)) is None


@pytest.mark.parametrize("count", [1, 3])
def test_stable_baselines3_evaluates_our_policies(count: int) -> None:
    pytest.importorskip("stable_baselines3")
    from stable_baselines3.common.evaluation import evaluate_policy
    from stable_baselines3.common.monitor import Monitor
    from stable_baselines3.common.vec_env import DummyVecEnv

    def vector(name: str) -> Any:
        return DummyVecEnv([lambda: Monitor(registry.make(name))] * count)

    cliff: Any = optimal_policy(registry.make("CliffWalk"))
    assert evaluate_policy(cliff, vector("CliffWalk"), n_eval_episodes=7) == (-13, 0)
    lengths = evaluate_policy(
        cliff, vector("CliffWalk"), n_eval_episodes=7, return_episode_rewards=True
    )
    assert lengths == ([-13.0] * 7, [13] * 7)

    env = registry.make("RussellNorvig4x3")
    model, episodes = known(env), 400
    table = np.random.default_rng(3).dirichlet(np.ones(4), model.num_states)
    exact = solver.policy_value(model, table, time_limit=registry.time_limit(env))
    envs, stochastic = vector("RussellNorvig4x3"), TabularPolicy(table)
    envs.seed(0)
    policy: Any = stochastic
    mean, deviation = evaluate_policy(policy, envs, n_eval_episodes=episodes, deterministic=False)
    assert exact.expected_return is not None
    assert abs(float(np.mean(mean)) - exact.expected_return) < 5 * deviation / episodes**0.5


class Returns:
    """A policy that predicts what a function of the number of observations returns."""

    def __init__(self, function: Any):
        self.function = function

    def predict(self, observation: Any, *_: Any, **__: Any) -> Any:
        return self.function(len(observation))


class Table(Returns):
    """A policy whose probabilities a function of the number of observations returns."""

    def probabilities(self, observations: Any, *_: Any) -> Any:
        return self.function(len(observations))


@pytest.mark.parametrize("env", ["CartPole", "FrozenLake"])
@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (Returns(lambda _: 3), "policy Returns returned 3; it must return a pair"),
        (Returns(lambda n: np.zeros(n, int)), "must return a pair"),
        (Returns(lambda _: (1, None)), r"Returns returned the actions 1 for .* the shape \(\d+,\)"),
        (Returns(lambda n: (np.zeros(n), None)), r"actions array\(\[0.* they must be integers"),
        (Returns(lambda n: (np.ones(n, bool), None)), r"array\(\[ True.* they must be integers"),
        (Returns(lambda n: (np.zeros((n, 2), int), None)), r"they must have the shape"),
        (Returns(lambda n: (np.full(n, 7), None)), r"they must be from 0 to [13]"),
        (Returns(lambda n: (np.full(n, -1), None)), r"they must be from 0 to [13]"),
        (
            Table(lambda n: np.ones((n, 9)) / 9),
            r"policy Table returned an array of shape \(\d+, 9\)",
        ),
        (Table(lambda n: np.ones(n)), r"of shape \(\d+,\); it must be \(\d+, [24]\)"),
    ],
)
def test_results_of_a_policy_that_do_not_fit_the_actions_are_refused(
    env: str, policy: Any, message: str
) -> None:
    """While sampling, and in the table of a world whose model is known."""
    with pytest.raises(InputError, match=message) as error:
        evaluate_policy(policy, env, episodes=10)
    assert "\n" not in str(error.value)


def test_probabilities_that_do_not_sum_to_1_are_refused() -> None:
    with pytest.raises(InputError, match="each row must be 0 or more, with the sum 1"):
        evaluate_policy(Table(lambda n: np.ones((n, 2))), "CartPole", episodes=10)
