"""A model is used if its class also defines the step and reset that run, or declares it."""

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.toy_text.cliffwalking import CliffWalkingEnv
from gymnasium.envs.toy_text.frozen_lake import FrozenLakeEnv

import gridcade
from gridcade.envs.known_models import declares_model, known_model
from gridcade.envs.maze import Maze
from gridcade.envs.tabular import Model
from gridcade.errors import EnvError, InputError
from gridcade.evaluation.evaluate import evaluate_policy
from gridcade.evaluation.policies import UniformPolicy, optimal_policy


class GenerousCliff(CliffWalkingEnv):
    """Pays half a point more than its inherited table says."""

    def step(self, a: Any) -> Any:
        inherited: Any = super()
        observation, reward, *rest = inherited.step(a)
        return observation, reward + 0.5, *rest


class CostlyLake(FrozenLakeEnv):
    """Takes a tenth for each move."""

    def step(self, a: Any) -> Any:
        inherited: Any = super()
        observation, reward, *rest = inherited.step(a)
        return observation, reward - 0.1, *rest


class OtherStart(FrozenLakeEnv):
    """Starts in another state than the table."""

    def reset(self, **options: Any) -> Any:
        super().reset(**options)
        self.s = 1
        return 1, {}


class Renamed(FrozenLakeEnv):
    """Changes nothing."""


class OddMaze(Maze):
    """Encodes its states backwards."""

    def encode(self, state: int) -> Any:
        return self.model.num_states - 1 - state


class Declared(CostlyLake):
    """Declares the table of its own step."""

    def transition_model(self) -> Any:
        table = {
            s: {a: [(p, n, r - 0.1, end) for p, n, r, end in row] for a, row in rows.items()}
            for s, rows in self.P.items()
        }
        return table, self.initial_state_distrib


class DeclaredThenChanged(Declared):
    """Inherits the declaration, and changes step once more."""

    def step(self, a: Any) -> Any:
        return super().step(a)


@pytest.mark.parametrize("kind", [GenerousCliff, CostlyLake, OtherStart, OddMaze])
def test_an_inherited_model_is_not_used_if_a_method_is_overridden(kind: Any) -> None:
    env = kind()
    assert known_model(env) is None
    result = evaluate_policy(UniformPolicy(4), gym.wrappers.TimeLimit(env, 20), episodes=5)
    assert result.exact is None


def test_an_inherited_model_is_used_if_no_method_is_overridden() -> None:
    assert known_model(Renamed()) is not None
    env = Renamed()
    env.step = lambda _: (0, 1.0, False, False, {})  # type: ignore[method-assign]
    assert known_model(env) is None


def test_a_model_is_declared_by_the_class_that_knows_step_and_reset() -> None:
    model, plain = known_model(Declared()), known_model(Renamed())
    assert model is not None
    assert plain is not None
    np.testing.assert_allclose(model.rewards, plain.rewards - 0.1)
    assert declares_model(Declared())
    assert not declares_model(Renamed())
    assert known_model(DeclaredThenChanged()) is None


def test_the_coverage_of_a_declared_model_is_reported(tmp_path: Path) -> None:
    notes: list[str] = []
    name = f"{__file__}:Declared"
    run = gridcade.train("q-learning", name, steps=1000, out=tmp_path / "run", note=notes.append)
    solution, evaluation = gridcade.solve(name), gridcade.evaluate(run, episodes=2)
    for text in (str(notes), str(solution.note), str(evaluation.notes)):
        assert "the declared model agrees with" in text
    inherited = gridcade.evaluate("random", f"{__file__}:CostlyLake", episodes=2)
    assert "CostlyLake replaces step of FrozenLakeEnv" in " ".join(inherited.notes)
    with pytest.raises(InputError, match="be solved exactly: CostlyLake replaces step of FrozenLa"):
        gridcade.solve(f"{__file__}:CostlyLake")


class Table(gym.Env[Any, Any]):
    """A chain of two states that declares a given model, in any form."""

    observation_space = gym.spaces.Discrete(2)
    action_space = gym.spaces.Discrete(1)

    def __init__(self, declared: Any):
        self.declared = declared

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        del seed, options
        return 0, {}

    def step(self, action: Any) -> Any:
        del action
        return 1, 2.0, True, False, {}

    def transition_model(self) -> Any:
        return self.declared


ROWS = [[[(1.0, 1, 2.0, True)]], [[(1.0, 1, 0.0, True)]]]


@pytest.mark.parametrize(
    "table",
    [
        ROWS,
        {s: dict(enumerate(rows)) for s, rows in enumerate(ROWS)},
        np.array(ROWS, dtype=object),
        np.array(ROWS, dtype=float),  # [states, actions, outcomes, 4]
        dict(enumerate(ROWS)),
    ],
)
def test_a_table_is_a_dict_a_list_or_an_array(table: Any) -> None:
    for declared in ((table, [1.0, 0.0]), Model.from_table(table, [1.0, 0.0])):
        model = known_model(Table(declared))
        assert model is not None
        assert model.table() == {0: {0: [(1.0, 1, 2.0, True)]}, 1: {0: [(1.0, 1, 0.0, True)]}}


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        (None, "transition_model of Table returned None; it must return"),
        ((7, [1.0, 0.0]), "the table is 7, not a dict, list or array"),
        (([7, 7], [1.0, 0.0]), "state 0 is 7, not a dict, list or array"),
        (([[7], [7]], [1.0, 0.0]), "state 0, action 0: 7 is not a list of (probability, next"),
        ((np.ones((2, 1, 2)), [1.0, 0.0]), "is not a list of (probability, next state, reward"),
        ((ROWS, [[1.0, 0.0]]), "the start distribution has the shape (1, 2)"),
        ((ROWS, [1.0]), "the start distribution has 1 states, the table 2"),
        ((ROWS[:1], [1.0]), "a next state is outside 0 to 0"),
        ((ROWS, object()), "the result of transition_model of Table is not a valid model: "),
        ((ROWS, [1.0, 0.0], [[1], [1, 2]]), "of Table is not a valid model: "),
        ((ROWS, [1.0, 0.0], "nothing"), "of Table is not a valid model: "),
    ],
)
def test_a_table_of_another_form_is_an_input_error(declared: Any, message: str) -> None:
    with pytest.raises(InputError) as caught:
        known_model(Table(declared))
    assert message in str(caught.value)


def test_a_model_must_have_the_states_and_actions_of_the_spaces() -> None:
    env = Table((ROWS, [1.0, 0.0]))
    env.observation_space = gym.spaces.Discrete(3, start=1)
    with pytest.raises(
        InputError, match=r"has 2 states; its space must be Discrete\(2\), .* but is D"
    ):
        known_model(env)


def test_an_error_in_a_declaration_is_reported_with_its_place() -> None:
    class Failing(Table):
        def transition_model(self) -> Any:
            return np.zeros(2)[7]

    with pytest.raises(
        EnvError, match=r"^transition_model of Failing failed at .*test_known_models"
    ):
        known_model(Failing(None))


def test_optimal_says_why_an_inherited_model_is_not_used() -> None:
    with pytest.raises(
        InputError, match=r"model is known; GenerousCliff replaces step of CliffWalkingEnv"
    ):
        optimal_policy(GenerousCliff())
