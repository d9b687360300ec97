"""Declared models are compared with simulated steps of their environments."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.toy_text.frozen_lake import FrozenLakeEnv

from gridcade.envs import registry
from gridcade.envs.known_models import known_model, why_no_model
from gridcade.envs.tabular import Model, TabularEnv
from gridcade.errors import InputError
from gridcade.exact.model_check import VISITS, check_model, model_notes


class Lake(FrozenLakeEnv):
    """Declares the inherited table, changed by a function."""

    def __init__(self, change: Any = None, **arguments: Any):
        super().__init__(**arguments)
        self.change = change

    def transition_model(self) -> Any:
        table = {s: {a: list(row) for a, row in rows.items()} for s, rows in self.P.items()}
        start = self.initial_state_distrib.copy()
        if self.change is not None:
            self.change(table, start)
        return table, start


class LeftAlone(FrozenLakeEnv):
    """Overrides `step` of the inherited lake, but changes nothing."""

    def step(self, a: Any) -> Any:
        inherited: Any = super()
        return inherited.step(a)


def forget_slips(table: Any, _: Any) -> None:
    for rows in table.values():
        for action, row in rows.items():
            rows[action] = [(1.0, *row[1 % len(row)][1:])]


def favor_one(table: Any, _: Any) -> None:
    for rows in table.values():
        for row in rows.values():
            if len(row) == 3:
                row[:] = [(p, *rest) for p, (_, *rest) in zip((0.6, 0.2, 0.2), row, strict=True)]


def pay_less(table: Any, _: Any) -> None:
    table[14][2] = [(p, s, r / 2, end) for p, s, r, end in table[14][2]]


def start_elsewhere(_: Any, start: Any) -> None:
    start[:] = np.eye(16)[1]


def never_end(table: Any, _: Any) -> None:
    table[4][1] = [(p, s, r, False) for p, s, r, _ in table[4][1]]


@pytest.mark.parametrize("slippery", [False, True])
def test_a_correct_model_agrees_and_every_pair_is_covered(slippery: bool) -> None:
    env = Lake(is_slippery=slippery)
    model = known_model(env)
    assert model is not None
    check = check_model(env, model)
    assert check.pairs == 11 * 4  # of 16 states, 4 are holes and 1 is the goal
    assert check.often == check.pairs
    assert check.pairs * VISITS <= check.steps < 10_000
    assert model_notes(env) == [
        f"the declared model agrees with {check.steps:,} simulated steps: each of the 44 reachable "
        "pairs of a state and an action occurred 20 times or more"
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (forget_slips, r"does not agree with step: in state \d+, action \d led to state"),
        (favor_one, r"whose probability in the model is 0\.[246]"),
        (pay_less, r"led to state 15 with reward 1 and terminated; the model has .*reward 0\.5"),
        (start_elsewhere, "began in state 0, whose probability in the start distribution is 0"),
        (never_end, r"in state 4, action 1 led to state 5 with reward 0 and terminated"),
    ],
)
def test_a_wrong_model_is_refused(change: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        model_notes(Lake(change))


def test_the_steps_are_limited_and_the_coverage_is_reported() -> None:
    env = Lake(map_name="8x8")
    model = known_model(env)
    assert model is not None
    check = check_model(env, model)
    assert check.steps == 10_000
    assert 0 < check.often < check.pairs
    assert f"{check.often} of {check.pairs} reachable pairs" in str(check)


def test_forbidden_actions_are_not_tried() -> None:
    """Taxi's mask forbids moves into walls, and to pick up where nobody waits."""
    env = registry.make("Taxi")
    taken = set()
    model = known_model(env)
    assert model is not None
    assert model.allowed is not None

    class Watched(gym.Wrapper[Any, Any, Any, Any]):
        def step(self, action: Any) -> Any:
            taken.add((int(env.unwrapped.s), action))  # type: ignore[attr-defined]
            return super().step(action)

    check_model(Watched(env), model)
    assert all(model.allowed[state, action] for state, action in taken)


def test_correct_models_are_never_refused_by_their_frequencies() -> None:
    """Also with probabilities as small as one in a thousand, and with many seeds."""
    rng = np.random.default_rng(0)
    for name in ("RiverSwim", "SlipperyLake", "RussellNorvig4x3"):
        env = registry.make(name)
        assert isinstance(env.unwrapped, TabularEnv)
        for _ in range(3):
            check_model(env, env.unwrapped.model, int(rng.integers(1000)))
    for p in (0.001, 0.01, 0.2):
        for seed in range(20):
            _check_coin(p, seed)


def _check_coin(p: float, seed: int) -> None:
    rng = np.random.default_rng(seed)

    class Coin(gym.Env[Any, Any]):
        observation_space = gym.spaces.Discrete(2)
        action_space = gym.spaces.Discrete(2)

        def reset(self, **options: Any) -> Any:
            del options
            return 0, {}

        def step(self, action: Any) -> Any:
            del action
            return int(rng.random() < p), 0.0, True, False, {}

    row = [(p, 1, 0.0, True), (1 - p, 0, 0.0, True)]
    check_model(Coin(), Model.from_table([[row, row], [row, row]], [1.0, 0.0]))


def test_a_model_that_is_not_used_is_mentioned() -> None:
    note = "LeftAlone replaces step of FrozenLakeEnv, so its inherited model is not used; define "
    assert model_notes(LeftAlone()) == [note + "transition_model to declare one"]
    for name in ("CliffWalk", "FrozenLake", "Taxi?fickle_passenger=true", "CartPole"):
        assert why_no_model(registry.make(name)) == ""
