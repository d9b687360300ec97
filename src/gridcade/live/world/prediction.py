"""Computes the exact value of a policy that a person has drawn, and finds its mistakes."""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gridcade.envs.maps import FOUR_MOVES
from gridcade.errors import InputError
from gridcade.exact import solver
from gridcade.exact.chains import Chain, reachable
from gridcade.exact.values import gap_between
from gridcade.formatting import format_result
from gridcade.live.messages import encode
from gridcade.live.world.exact_answer import ExactAnswer
from gridcade.live.world.messages import Predict
from gridcade.live.world.place import Place, cell_name
from gridcade.live.world.puzzles import puzzles

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Table = dict[str, Any]

ARROWS: dict[tuple[int, ...], str] = dict(zip(FOUR_MOVES, "↑→↓←", strict=True))


class Mistakes(NamedTuple):
    """The mistakes of a policy: states in which it can take an action that is not optimal.

    Attributes:
        states: states with a mistake that the policy reaches, the largest loss first.
        losses: expected loss in each state compared with an optimal action.  [states].
        reached: whether the policy reaches a state.  [states].
        endless: whether the policy reaches a state and can never end from there.  [states].
    """

    states: list[int]
    losses: Floats
    reached: Bools
    endless: Bools


def prediction_message(place: Place, request: Predict) -> bytes:
    """Return a message with the exact value of a drawn policy, and its mistakes.

    Raises:
        InputError: the actions do not fit the world, or the world has no optimum by the criterion.
    """
    policy = drawn_policy(place, request)
    answer = ExactAnswer(place.model, request.criterion, request.discount)
    value = solver.policy_value(place.model, policy, answer.discount)
    mistakes = find_mistakes(place, policy, answer)
    reached, optimum = value.by(request.criterion), answer.value
    gap = gap_between(optimum, reached)
    return encode(
        "prediction",
        criterion=request.criterion,
        facts=[(name, _shown(x)) for name, x in _facts(reached, optimum, gap)],
        details=[(name, _shown(x)) for name, x in _details(value, answer.discount)],
        sentences=_sentences(place, request, answer, mistakes, optimal=gap == 0),
        lesson=_lesson(place, request),
        wrong=mistakes.states,
        losses=mistakes.losses[mistakes.states].tolist(),
        endless=np.flatnonzero(mistakes.endless).tolist(),
        best=answer.best.tolist(),
        values=answer.values.tolist(),
    )


def drawn_policy(place: Place, request: Predict) -> Floats:
    """Return the policy of the drawn arrows; without an arrow, all actions are equally likely.

    Raises:
        InputError: the actions of the world are not moves, the number of states is wrong, or an
            action does not exist.
    """
    states, actions = place.model.num_states, place.model.num_actions
    if not place.moves:
        raise InputError(f"no policy can be drawn in {place.name}: its actions are not moves")
    if len(request.actions) != states:
        raise InputError(f"the policy has {len(request.actions)} states; the world has {states}")
    policy = np.full((states, actions), 1 / actions)
    for s, a in enumerate(request.actions):
        if a is not None:
            if not 0 <= a < actions:
                raise InputError(f"state {s}: action {a} is not between 0 and {actions - 1}")
            policy[s] = np.eye(actions)[a]
    return policy


def find_mistakes(place: Place, policy: Floats, answer: ExactAnswer) -> Mistakes:
    """Find the states in which a policy, [states, actions], can take a non-optimal action."""
    chain = Chain.of(place.model, policy)
    reached = reachable(chain.transitions, np.flatnonzero(place.model.start))
    best = answer.q.max(axis=1)
    solvable = np.isfinite(best)  # under `return`, some states may have no policy that ends
    losses = np.zeros(len(best))
    for s in np.flatnonzero(solvable):
        taken = policy[s] > 0
        losses[s] = policy[s, taken] @ (best[s] - answer.q[s, taken])
    wrong = reached & solvable & ((policy > 0) & ~answer.best).any(axis=1)
    losses = np.where(wrong, losses, 0.0)
    endless = np.zeros(len(best), dtype=bool)
    if not place.model.continuing:
        endless = reached & ~reachable(chain.transitions.T.tocsr(), np.flatnonzero(chain.ends))
    worst_first = np.argsort(-losses, kind="stable")[: int(wrong.sum())]
    return Mistakes(worst_first.tolist(), losses, reached, endless)


def _facts(value: float, optimum: float, gap: float) -> list[tuple[str, float]]:
    return [("Your policy", value), ("Optimum", optimum), ("Gap", gap)]


def _details(value: solver.PolicyValue, discount: float) -> list[tuple[str, float]]:
    """Return the value of the policy by each measure that it has."""
    rows = [
        ("Average reward per step", value.average_reward),
        ("Return of an episode", value.expected_return),
        (f"Discounted return (γ = {discount:g})", value.discounted_return),
        ("Steps of an episode", value.episode_length),
    ]
    return [(name, x) for name, x in rows if x is not None]


def _sentences(
    place: Place, request: Predict, answer: ExactAnswer, mistakes: Mistakes, *, optimal: bool
) -> list[str]:
    """Say whether the policy is optimal, whether it ends, and how many mistakes it makes."""
    sentences = ["Your policy is optimal: no other one is worth more."] if optimal else []
    if mistakes.endless.any():
        where = _name(place, int(np.flatnonzero(mistakes.endless)[0]))
        sentences.append(f"It can walk in circles forever, for example from {where}.")
    if mistakes.states:
        count, reached = len(mistakes.states), int(mistakes.reached.sum())
        loss = _loss(place, request, answer, mistakes)
        sentences.append(
            f"It makes a mistake in {count} of the {reached} cells that it reaches. The number in "
            f"such a cell is the loss of one step there. {loss}"
        )
    return sentences


def _loss(place: Place, request: Predict, answer: ExactAnswer, mistakes: Mistakes) -> str:
    """Describe the worst mistake in a sentence."""
    s = mistakes.states[0]
    action = request.actions[s]
    arrow = "no arrow" if action is None else ARROWS.get(tuple(place.moves[action]), "?")
    better = " or ".join(
        ARROWS.get(tuple(place.moves[a]), "?") for a in np.flatnonzero(answer.best[s])
    )
    where = f"The worst is in {_name(place, s)}: {arrow}"
    if math.isinf(mistakes.losses[s]):
        return f"{where} may lead to a cell from which no policy is sure to end; {better} does not."
    return f"{where} loses {_shown(mistakes.losses[s])} compared with {better}."


def _lesson(place: Place, request: Predict) -> str:
    """Return a puzzle's explanation; "" if its world or its criterion was changed."""
    puzzle = puzzles().get(place.name)
    if puzzle is None or puzzle.world != place.world or puzzle.criterion != request.criterion:
        return ""
    if puzzle.criterion == "discounted" and puzzle.discount != request.discount:
        return ""
    return puzzle.lesson()


def _name(place: Place, s: int) -> str:
    return cell_name(place.world.places()[s])


def _shown(value: float) -> str:
    if math.isnan(value):
        return "undefined"
    return format_result(value).replace("inf", "∞")
