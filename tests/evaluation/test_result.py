"""An evaluation prints tables: estimates beside exact values, the optimum, and notes."""

import json
import re
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.wrappers import TimeLimit

import gridcade
from gridcade.evaluation.evaluate import evaluate_policy
from gridcade.evaluation.policies import Human, TabularPolicy
from gridcade.evaluation.result import Evaluation
from gridcade.formatting import format_number


def rows(text: str) -> dict[str, list[list[str]]]:
    """The cells of every table row by the row's name, which may occur in both tables."""
    found: dict[str, list[list[str]]] = {}
    for line in text.splitlines():
        name, *cells = re.split(r"  +", line)
        found.setdefault(name, []).append(cells)
    return found


@pytest.fixture(scope="module")
def result() -> Evaluation:
    return gridcade.evaluate("random", "RussellNorvig4x3", episodes=50, discount=0.9)


def test_exact_values_stand_beside_the_estimates(result: Evaluation) -> None:
    exact, table = result.exact, rows(str(result))
    assert exact is not None
    beside = {
        "average reward": (result.average_reward, exact.average_reward),
        "return": (result.expected_return, exact.expected_return),
        "discounted by 0.9": (result.discounted_return, exact.discounted_return),
        "episode length": (result.episode_length, exact.episode_length),
    }
    for name, (estimate, value) in beside.items():
        assert estimate is not None
        cells = table[name][0]
        assert (cells[0], cells[-1]) == (format_number(estimate.mean), format_number(value))


def test_the_second_table_has_each_criterion_with_optimum_and_gap(result: Evaluation) -> None:
    exact, table = result.exact, rows(str(result))
    assert exact is not None
    assert table["exact, no time limit"] == [["this policy", "optimum", "gap"]]
    for name, key in (
        ("average reward", "average_reward"),
        ("return", "return"),
        ("discounted by 0.9", "discounted_return"),
    ):
        values = [getattr(exact, f"{part}_{key}") for part in ("unlimited", "optimal", "gap")]
        assert table[name][1] == [*map(format_number, values)]
        assert values[1] - values[0] == pytest.approx(values[2])


def test_repr_is_the_text_and_fits_into_a_terminal(
    result: Evaluation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "72")
    assert repr(result) == str(result)
    lines = str(result).splitlines()
    assert lines[0] == f"random on RussellNorvig4x3: 50 episodes, {result.steps:,} steps, seed 0"
    assert max(map(len, lines)) <= 72
    assert not any(line.endswith(" ") for line in lines)


def test_truncated_episodes_reached_the_time_limit() -> None:
    walls = TabularPolicy(np.eye(4)[np.full(38, 3)])  # into the left wall for ever
    result = gridcade.evaluate(walls, "CliffWalk?time_limit=1234", episodes=3)
    assert result.time_limit == result.as_dict()["time_limit"] == 1234
    assert "100 % of the episodes reached the time limit (1,234 steps)" in str(result)


def test_truncation_without_a_known_time_limit_is_reported_as_such() -> None:
    class Truncated(gym.Wrapper[Any, Any, Any, Any]):
        def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
            observation, reward, terminated, _, info = self.env.step(action)
            return observation, float(reward), terminated, True, info

    result = gridcade.evaluate("random", Truncated(gym.make("CartPole-v1").unwrapped), episodes=3)
    assert result.time_limit is None
    assert "100 % of the episodes were truncated" in str(result)


def test_time_limit_of_a_gymnasium_environment_is_known() -> None:
    env = TimeLimit(gym.make("CartPole-v1"), 7)
    assert gridcade.evaluate("random", env, episodes=2).time_limit == 7


def test_a_criterion_that_tells_no_policies_apart_is_noted_beside_the_gap() -> None:
    result = gridcade.evaluate("random", "Maze?size=3", episodes=5)
    assert result.exact is not None
    assert result.exact.gap_average_reward == 0  # though random play is far from optimal
    assert result.exact.gap_discounted_return is not None
    assert result.exact.gap_discounted_return > 1
    note = "The average reward does not tell policies apart here: every policy has -1. "
    assert result.notes[0] == note + "Compare the return or the discounted return."
    assert f"note: {result.notes[0]}" in " ".join(str(result).split())


def test_all_exact_values_are_in_the_json(result: Evaluation) -> None:
    plain = json.loads(json.dumps(result.as_dict()))
    assert result.exact is not None
    for key in ("discounted_return", "episode_length", "gap_discounted_return"):
        assert plain["exact"][key] == getattr(result.exact, key)


@pytest.mark.parametrize("env", ["CliffWalk", "CartPole"])
def test_a_single_episode_of_a_person_has_no_estimates(env: str) -> None:
    person, world = Human(lambda: 1), gridcade.make(env)
    one = evaluate_policy(person, world, episodes=1, name="you")
    lines = str(one).splitlines()
    assert lines[0].startswith(f"you on {one.env}: 1 episode, ")
    assert lines[1].split() == ["this", "episode"]
    assert all(len(re.split(r"  +", line)) == 2 for line in lines[2:6])
    text = " ".join(lines)
    assert "One episode does not show how much episodes differ" in text
    assert "probabilities" not in text
    assert not re.search(r"inf| - |nan", text)
    three = str(evaluate_policy(person, world, episodes=3, name="you"))
    assert re.split(r"  +", three.splitlines()[1]) == ["expected", "estimate"]
    assert "Intervals need 10 or more episodes" in three
