"""RiverSwim: the model has the published numbers."""

from typing import Any

import pytest

from gridcade.envs.riverswim import LEFT, RIGHT, RiverSwim
from gridcade.errors import InputError


@pytest.mark.parametrize("length", [2, 3, 6, 20])
def test_the_model_has_the_numbers_of_the_papers(length: int) -> None:
    env, last = RiverSwim(length=length), length - 1
    assert set(env.P) == set(range(length))
    for s, row in env.P.items():
        reward = 0.005 if s == 0 else 0.0
        assert row[LEFT] == [(1.0, max(s - 1, 0), reward, False)]
        against = {s_next: (p, reward, end) for p, s_next, reward, end in row[RIGHT]}
        if s == 0:
            assert against == {0: (0.4, 0.0, False), 1: (0.6, 0.0, False)}
        elif s == last:
            assert against == {s - 1: (0.4, 1.0, False), s: (0.6, 1.0, False)}
        else:
            expected = {s - 1: (0.05, 0.0, False), s: (0.6, 0.0, False), s + 1: (0.35, 0.0, False)}
            assert against == expected
    assert env.initial_state_distrib.tolist() == [1.0] + [0.0] * last
    assert env.time_limit is None


def test_the_states_are_drawn_in_a_row() -> None:
    env = RiverSwim(length=4, observation="coordinates", render_mode="ansi")
    assert [tuple(env.encode(s)) for s in range(4)] == [(0, 0), (0, 1), (0, 2), (0, 3)]
    env.reset(seed=0)
    assert env.render() == "@..."


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"length": 1}, "length is 1; it must be an integer, 2 or greater"),
        ({"length": 2.0}, "length is 2.0"),
        ({"length": "long"}, "length is long"),
        ({"time_limit": 100}, "RiverSwim has no end, so it is a continuing task: it must not have"),
    ],
)
def test_an_invalid_argument_is_an_input_error(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        RiverSwim(**arguments)
