"""Options of an evaluation: their defaults and their ranges."""

from typing import Any

import pytest

from gridcade.errors import InputError
from gridcade.evaluation.evaluate import evaluate_policy
from gridcade.evaluation.options import EvaluationOptions, ResolvedOptions, resolve_options
from gridcade.evaluation.policies import UniformPolicy


def test_missing_options_and_none_take_the_default() -> None:
    assert resolve_options({}) == ResolvedOptions()
    options: Any = dict.fromkeys(EvaluationOptions.__annotations__)
    assert resolve_options(options) == ResolvedOptions()
    options |= {"episodes": 7, "stochastic": True}
    assert resolve_options(options) == ResolvedOptions(episodes=7, stochastic=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"episodes": 0}, "episodes is 0; it must be an integer, 1 or greater"),
        ({"episodes": 2.5}, "episodes is 2.5"),
        ({"episodes": True}, "episodes is True"),
        ({"steps": -5}, "steps is -5"),
        ({"precision": 0.0}, "precision is 0.0"),
        ({"precision": 1.5}, "precision is 1.5"),
        ({"episodes": 3, "steps": 5}, "set only one"),
        ({"confidence": 1.0}, "confidence is 1.0"),
        ({"discount": 1.0}, "discount is 1.0"),
        ({"seed": -1}, "seed is -1"),
        ({"epsilon": 1.2}, "epsilon is 1.2; it must be between 0 and 1"),
    ],
)
def test_wrong_option_is_an_error(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        evaluate_policy(UniformPolicy(4), "FourRooms", **options)


def test_unknown_option_is_an_error() -> None:
    options: Any = {"epsiode": 3}
    with pytest.raises(TypeError, match="epsiode"):
        evaluate_policy(UniformPolicy(4), "FourRooms", **options)
