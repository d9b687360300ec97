"""Evaluations: estimates and exact values, for every kind of policy and task."""

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from worlds import Corridor, Predictor, env_model

from gridcade.agents.base import BaseAgent, Tensors
from gridcade.envs import registry
from gridcade.errors import InputError
from gridcade.evaluation.evaluate import ENVS, evaluate_policy
from gridcade.evaluation.intervals import Estimate
from gridcade.evaluation.policies import TabularPolicy, UniformPolicy, optimal_policy, random_policy
from gridcade.exact import solver

NO_EXACT_VALUE = "no exact value: the policy's action probabilities are unknown"


def random_world(seed: int) -> str:
    """A small random world: slippery, with rewards, and an end that can be reached."""
    rng = np.random.default_rng(seed)
    symbols = rng.choice(list("...#ab"), size=(4, 5))
    symbols[0, 0], symbols[1:, 0], symbols[3, :], symbols[3, 4] = "S", ".", ".", "G"
    drawn = "\n".join("".join(row) for row in symbols)
    slip, stray = rng.uniform(0, 0.4, 2).round(2)
    return (
        f"slip: {slip}\nstray: {stray}\nstep reward: {rng.uniform(-1, 0):.2f}\ntime limit: 40\n"
        f"legend:\n    a: reward {rng.uniform(-2, 2):.2f}\n    b: end, reward 0.5\nmap:\n{drawn}"
    )


@pytest.mark.parametrize("seed", range(4))
def test_estimates_agree_with_exact_values(tmp_path: Path, seed: int) -> None:
    """Random policies with epsilon on random worlds, within five standard errors."""
    file = tmp_path / "world.txt"
    file.write_text(random_world(seed))
    model, limit = env_model(str(file))
    rng = np.random.default_rng(seed)
    policy = TabularPolicy(rng.dirichlet(np.ones(4) / 2, model.num_states))
    epsilon = float(rng.uniform(0, 0.5))
    result = evaluate_policy(policy, str(file), episodes=2000, seed=seed, epsilon=epsilon)
    assert result.exact is not None
    mixed = (1 - epsilon) * policy.table + epsilon / 4
    limited = solver.policy_value(model, mixed, 0.99, limit)
    unlimited = solver.policy_value(model, mixed)
    assert result.exact.expected_return == limited.expected_return
    assert result.exact.average_reward == limited.average_reward
    assert result.exact.unlimited_return == unlimited.expected_return
    pairs: list[tuple[Estimate | None, float | None]] = [
        (result.expected_return, limited.expected_return),
        (result.average_reward, limited.average_reward),
        (result.discounted_return, limited.discounted_return),
        (result.episode_length, limited.episode_length),
    ]
    for estimate, value in pairs:
        assert estimate is not None
        assert value is not None
        standard_error = estimate.half_width / 1.96
        assert abs(estimate.mean - value) < 5 * standard_error


def test_numbers_of_a_known_episode() -> None:
    result = evaluate_policy(UniformPolicy(4), Corridor(), episodes=5, discount=0.5)
    plain = result.as_dict()
    assert plain["expected_return"]["mean"] == 3
    assert plain["average_reward"]["mean"] == 1
    assert plain["discounted_return"]["mean"] == 1.75
    assert plain["episode_length"]["mean"] == 3
    assert plain["truncated"] == 0
    assert plain["exact"] is None
    assert (plain["episodes"], plain["steps"]) == (5, 15)


def test_continuing_task_has_an_average_reward_and_no_return() -> None:
    result = evaluate_policy(UniformPolicy(2), "RiverSwim", steps=20_000)
    plain = result.as_dict()
    for key in ("expected_return", "episode_length", "truncated", "episodes"):
        assert plain[key] is None, key
    assert plain["discounted_return"]["low"] is None  # eight streams are too few
    assert plain["average_reward"]["least"] == 0
    assert plain["average_reward"]["most"] == 1
    assert 20_000 <= plain["steps"] <= 21_000  # the last cycles are completed
    assert plain["cycles"] == result.cycles
    assert plain["exact"]["expected_return"] is None
    assert plain["exact"]["gap_return"] is None
    assert plain["exact"]["optimal_average_reward"] == pytest.approx(0.42862, abs=1e-5)
    estimate = result.average_reward
    assert abs(estimate.mean - plain["exact"]["average_reward"]) < 5 * estimate.half_width / 1.96


def test_short_streams_have_no_discounted_return() -> None:
    result = evaluate_policy(UniformPolicy(2), "RiverSwim", steps=1003)
    assert result.discounted_return is None
    assert 1000 <= result.steps <= 2000  # eight streams of equal length


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"episodes": 3}, "has no episodes; set the number of steps"),
        ({"precision": 0.1}, "has no episodes; set the number of steps"),
        ({"steps": 95}, "steps is 95; it must be at least 100"),
    ],
)
def test_options_that_do_not_fit_a_continuing_task_are_an_error(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        evaluate_policy(UniformPolicy(2), "RiverSwim", **options)


def test_time_limit_of_a_continuing_task_is_an_error() -> None:
    env = gym.wrappers.TimeLimit(registry.make("RiverSwim"), 9)
    with pytest.raises(InputError, match="is a continuing task: it cannot have a time limit"):
        evaluate_policy(UniformPolicy(2), env, steps=1000)


def test_infinite_values_are_none_in_json() -> None:
    """A policy that always moves up never ends without the time limit."""
    result = evaluate_policy(
        TabularPolicy(np.eye(4)[np.zeros(38, dtype=int)]), "CliffWalk", episodes=2
    )
    assert result.exact is not None
    assert result.exact.unlimited_return == -np.inf
    plain = result.as_dict()
    assert plain["exact"]["unlimited_return"] is None
    assert plain["exact"]["gap_return"] is None
    assert "Without a time limit, an episode of this policy may never end." in result.notes


def test_policy_with_predict_only_has_exact_values() -> None:
    result = evaluate_policy(Predictor(has_state=False), "RussellNorvig4x3", episodes=30)
    assert result.exact is not None
    table = np.eye(4)[np.ones(11, dtype=int)]
    model, limit = env_model("RussellNorvig4x3")
    expected = solver.policy_value(model, table, 0.99, limit).expected_return
    assert result.exact.expected_return == expected


def test_policy_with_inner_state_has_no_exact_value() -> None:
    policy = Predictor(has_state=True)
    result = evaluate_policy(policy, "RussellNorvig4x3", episodes=30)
    assert result.exact is None
    assert NO_EXACT_VALUE in result.notes
    starts = np.concatenate([flags for flags in policy.starts if len(flags) == ENVS])
    assert 20 <= starts.sum() - ENVS < (len(starts) - ENVS) / 2  # without the first ones


def test_policy_with_its_own_randomness_has_no_exact_value() -> None:
    class Sampler(Predictor):
        rng = np.random.default_rng(0)

        def predict(self, observation: Any, *args: Any, **options: Any) -> tuple[Any, Any]:
            _, state = super().predict(observation, *args, **options)
            return self.rng.integers(4, size=len(observation)), state

    result = evaluate_policy(Sampler(has_state=False), "DynaMaze?time_limit=50", episodes=10)
    assert result.exact is None
    assert NO_EXACT_VALUE in result.notes


def test_policy_that_observes_pixels_has_exact_values() -> None:
    class PixelPolicy(UniformPolicy):
        def probabilities(
            self, observations: Any, deterministic: bool = True, masks: Any = None
        ) -> Any:
            assert observations.shape[1:] == (24, 24, 3)
            return super().probabilities(observations, deterministic, masks)

    name = "RussellNorvig4x3?observation=pixels&pixels=24"
    result = evaluate_policy(PixelPolicy(4), name, episodes=5)
    state = evaluate_policy(UniformPolicy(4), "RussellNorvig4x3", episodes=5)
    assert result.exact == state.exact


def test_epsilon_is_mixed_into_a_policy_with_predict_only() -> None:
    name = "CliffWalk?time_limit=30"
    greedy = evaluate_policy(Predictor(has_state=False), name, episodes=200)
    mixed = evaluate_policy(Predictor(has_state=False), name, episodes=200, epsilon=0.3)
    for result in (greedy, mixed):
        assert result.exact is not None
        assert result.expected_return is not None
        error = abs(result.expected_return.mean - float(result.exact.expected_return or 0))
        assert error <= 5 * max(result.expected_return.half_width, 1e-9) / 1.96
    assert greedy.exact != mixed.exact


@pytest.mark.parametrize("env", ["FrozenLake-v1", "CliffWalking-v1", "Taxi-v4", "FourRooms"])
def test_optimal_policy_has_no_gap(env: str) -> None:
    single = registry.make(env)
    result = evaluate_policy(optimal_policy(single), env, episodes=2)
    assert result.exact is not None
    assert result.exact.gap_return == 0
    limited = f"{env}?max_episode_steps=50"
    worse = evaluate_policy(random_policy(single), limited, episodes=2)
    assert worse.exact is not None
    assert worse.exact.gap_average_reward > 0


class StillAgent(BaseAgent):
    """An agent that always takes action 0; its number format is an argument."""

    def __init__(self, precision: str):
        self.precision = precision

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
    ) -> tuple[Any, Any]:
        del episode_start, deterministic
        return np.zeros(len(observation), dtype=np.int64), state

    def state_dict(self) -> Tensors:
        return {}

    def load_state_dict(self, tensors: Tensors) -> None:
        del tensors


def test_an_optimal_policy_names_its_criterion_where_another_one_differs() -> None:
    lake = registry.make("SlipperyLake")
    notes = evaluate_policy(optimal_policy(lake), lake, episodes=10).notes
    expected = "This policy maximizes the return; other criteria have other optimal policies."
    assert expected in notes
    cliff = registry.make("CliffWalk")
    assert expected not in evaluate_policy(optimal_policy(cliff), cliff, episodes=10).notes


@pytest.mark.parametrize("precision", ["bfloat16", "float32"])
def test_bfloat16_is_noted(precision: str) -> None:
    result = evaluate_policy(StillAgent(precision), Corridor(), episodes=2)
    assert any("bfloat16" in note for note in result.notes) == (precision == "bfloat16")


def test_wrong_policy_or_environment_is_an_error() -> None:
    nothing: Any = 3
    with pytest.raises(InputError, match="a policy has predict"):
        evaluate_policy(nothing, "FourRooms")
    with pytest.raises(InputError, match="a name, a Gymnasium environment, or a function"):
        evaluate_policy(UniformPolicy(4), nothing)
