"""The exact value of a drawn policy, and its mistakes."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridcade.errors import InputError
from gridcade.exact import solver
from gridcade.exact.action_values import action_values
from gridcade.exact.chains import sum_by_index
from gridcade.live.world.exact_answer import ExactAnswer
from gridcade.live.world.messages import Open, Predict
from gridcade.live.world.place import Place
from gridcade.live.world.prediction import drawn_policy, find_mistakes, prediction_message

UP, RIGHT, DOWN, LEFT = range(4)
SLIPPERY = """
slip: 0.2
step reward: -0.1
wind: 0 0 1 0
legend:
    o: end, reward -1
    P: reward 0.5, to T
    T: floor
map:
S..P
.#.o
T..G
"""
CORRIDOR = "step reward: -1\nlegend:\n    G: end\nmap:\nS..G"


def drawn(text: str) -> Place:
    return Place.find(Open(world="mine", map=text, agent="q-learning"))


def judged(place: Place, *actions: int | None, **fields: Any) -> dict[str, Any]:
    message = prediction_message(place, Predict(actions=list(actions), **fields))
    answer: dict[str, Any] = json.loads(message)
    return answer


@given(st.lists(st.none() | st.integers(0, 3), min_size=10, max_size=10), st.data())
def test_the_losses_explain_the_gap(actions: list[int | None], data: st.DataObject) -> None:
    """The gap is the sum of each state's loss times its discounted visits."""
    place = drawn(SLIPPERY)
    discount = data.draw(st.sampled_from([0.0, 0.5, 0.9]))
    policy = drawn_policy(place, Predict(actions, "discounted", discount))
    mistakes = find_mistakes(place, policy, ExactAnswer(place.model, "discounted", discount))
    visits, present = np.zeros(10), place.model.start
    for t in range(200):
        visits += discount**t * present
        weights = policy.ravel()[place.model.rows] * place.model.probabilities
        on = ~place.model.terminated
        moved = present[place.model.rows // 4] * weights
        present = sum_by_index(place.model.next_states[on], moved[on], 10)
    best = solver.solve(place.model, "discounted", discount).value
    gap = best - solver.policy_value(place.model, policy, discount).discounted_return
    assert visits @ mistakes.losses == pytest.approx(gap, abs=1e-6)
    if mistakes.states:
        assert (np.diff(mistakes.losses[mistakes.states]) <= 0).all()


def test_a_cell_without_an_arrow_loses_the_mean_of_its_actions() -> None:
    place = drawn(SLIPPERY)
    answer = ExactAnswer(place.model, "discounted", 0.9)
    policy = drawn_policy(place, Predict([None] * 10, "discounted", 0.9))
    mistakes = find_mistakes(place, policy, answer)
    q = action_values(place.model, solver.solve(place.model, "discounted", 0.9))
    for s in mistakes.states:
        assert mistakes.losses[s] == pytest.approx(q[s].max() - q[s].mean())


def test_an_optimal_policy_has_no_mistake() -> None:
    for criterion in ("return", "discounted", "average-reward"):
        found = judged(drawn(CORRIDOR), RIGHT, RIGHT, RIGHT, None, criterion=criterion)
        assert (found["wrong"], found["endless"], dict(found["facts"])["Gap"]) == ([], [], "0")
        assert found["sentences"][0].startswith("Your policy is optimal")


def test_a_policy_that_never_ends_is_worth_minus_infinity_and_says_where() -> None:
    found = judged(drawn(CORRIDOR), RIGHT, LEFT, RIGHT, RIGHT, criterion="return")
    facts, details = dict(found["facts"]), dict(found["details"])
    assert (facts["Your policy"], facts["Optimum"], facts["Gap"]) == ("−∞", "−3", "∞")
    assert details["Steps of an episode"] == "∞"
    assert found["endless"] == [0, 1]
    assert found["wrong"] == [1]  # state 2 is not reached
    assert "circles" in found["sentences"][0]
    assert "row 1, column 2: ← loses 2 compared with →" in found["sentences"][1]


@pytest.mark.parametrize(
    ("actions", "criterion", "message"),
    [
        ([0], "return", "the policy has 1 states; the world has 4"),
        ([0, 0, 0, 4], "return", "state 3: action 4 is not between 0 and 3"),
    ],
)
def test_a_policy_of_another_world_is_refused(
    actions: list[int | None], criterion: solver.Criterion, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        prediction_message(drawn(CORRIDOR), Predict(actions, criterion))


def test_a_continuing_task_has_no_return() -> None:
    near = Place.find(Open(world="NearAndFar", agent="q-learning"))
    with pytest.raises(InputError, match="no return"):
        judged(near, *[None] * near.model.num_states, criterion="return")
