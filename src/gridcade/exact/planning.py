"""One sweep of value iteration, policy iteration or iterative policy evaluation.

A sweep updates all states at once from the values of the previous sweep (Jacobi's order).
`solver.solve` computes the limit of the sweeps directly. With a discount of 1, every policy that
the model allows must be sure to end; `sweeps.py` prepares models for which this does not hold.

Sutton & Barto (2018), sections 4.1, 4.3 and 4.4; Puterman (1994), sections 6.3 and 6.4.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gridcade.agents.probabilities import greedy
from gridcade.envs.tabular import Model
from gridcade.exact.action_values import optimal_actions
from gridcade.exact.chains import Chain, expected_totals
from gridcade.exact.policy_iteration import backup, forbid
from gridcade.exact.solver import check_discount
from gridcade.formatting import format_result, format_term

Floats = NDArray[np.float64]

CONVERGED = 1e-10  # relative to the largest value; a smaller change of the values counts as none
SHOWN_OUTCOMES = 4  # number of terms that an equation with numbers shows


@dataclass(frozen=True)
class PlanningConfig:
    """Hyperparameters of planning.

    Raises:
        InputError: the discount is not at least 0 and less than 1.
    """

    discount: float = 0.99
    """Discount factor gamma, at least 0 and less than 1."""

    def __post_init__(self) -> None:
        """Check the range."""
        check_discount(self.discount)


class Plan(NamedTuple):
    """Values, action values and policy after a sweep."""

    values: Floats  # V, [states]
    q: Floats  # Q, [states, actions]
    policy: Floats  # probabilities, [states, actions]


def first_plan(model: Model) -> Plan:
    """Return the plan before the first sweep: values of 0, and the uniformly random policy."""
    q = forbid(model, np.zeros((model.num_states, model.num_actions)))
    return Plan(q.max(axis=1), q, greedy(q))


def value_iteration_sweep(model: Model, plan: Plan, discount: float) -> Plan:
    """V(s) ← max_a Σ p(s′,r|s,a) [r + γ V(s′)], in every state (section 4.4, eq. 4.10).

    The action values are these sums, and the policy is greedy with respect to them.
    """
    q = backup(model, model.rewards, plan.values, discount)
    return Plan(q.max(axis=1), q, greedy(q))


def policy_iteration_sweep(model: Model, plan: Plan, discount: float) -> Plan:
    """Evaluate the policy exactly, by a linear solve, and improve it (section 4.3).

    The values are those of the policy before its improvement; the action values are those of one
    action followed by this policy. The improved policy shares ties evenly.
    """
    chain = Chain.of(model, plan.policy)
    values = expected_totals(chain.transitions * discount, chain.rewards)
    q = backup(model, model.rewards, values, discount)
    return Plan(values, q, greedy(optimal_actions(q).astype(np.float64)))


def policy_evaluation_sweep(model: Model, plan: Plan, discount: float) -> Plan:
    """V(s) ← Σ π(a|s) p(s′,r|s,a) [r + γ V(s′)], in every state (section 4.1, eq. 4.5).

    The action values are the inner sums. The policy does not change.
    """
    q = backup(model, model.rewards, plan.values, discount)
    return Plan(expected(plan.policy, q), q, plan.policy)


def expected(policy: Floats, q: Floats) -> Floats:
    """Σ π(a|s) q(s,a), where q may be -infinity for actions with probability 0.  [states]."""
    return np.asarray((policy * np.where(policy > 0, q, 0.0)).sum(axis=1))


def has_converged(before: Plan, after: Plan) -> bool:
    """Whether a sweep changed neither the policy nor, up to rounding, the values."""
    change = np.abs(after.values - before.values).max()
    same_policy = np.array_equal(before.policy, after.policy)
    return bool(same_policy and change <= CONVERGED * np.abs(after.values).max())


# ---- the terms of a sweep


@dataclass(frozen=True)
class SweepTerms:
    """The equation of a sweep and its numbers, in the state whose value changed most.

    Attributes:
        equation: the update rule, with the names of its source.
        filled: the rule with numbers instead of names.
        terms: names and values; the last one is the new value.
        s: the state.
        a: a greedy action after the sweep.
        next_states: the states whose values the rule reads.
    """

    equation: str
    filled: str
    terms: tuple[tuple[str, float], ...]
    s: int
    a: int
    next_states: tuple[int, ...]


def value_iteration_terms(model: Model, before: Plan, after: Plan, discount: float) -> SweepTerms:
    """Show the backup of the state whose value changed most, for its best action."""
    s = _most_changed(before, after)
    best = np.eye(model.num_actions)[after.q[s].argmax()]
    total, next_states = _sum_with_numbers(model, s, best, before.values, discount)
    return SweepTerms(
        equation="V(s) ← maxₐ Σ p(s′,r|s,a) [r + γ V(s′)]",
        filled=f"{format_result(after.values[s])} ← {total}",
        terms=_values(before, after, s, discount),
        s=s,
        a=int(best.argmax()),
        next_states=next_states,
    )


def policy_iteration_terms(model: Model, before: Plan, after: Plan, discount: float) -> SweepTerms:
    """Show the equation of the evaluated policy, in the state whose value changed most."""
    s = _most_changed(before, after)
    total, next_states = _sum_with_numbers(model, s, before.policy[s], after.values, discount)
    return SweepTerms(
        equation="V(s) = Σ π(a|s) p(s′,r|s,a) [r + γ V(s′)] in all states at once, "
        "then π(s) ← argmaxₐ Σ p(s′,r|s,a) [r + γ V(s′)]",
        filled=f"{format_result(after.values[s])} = {total}",
        terms=_values(before, after, s, discount),
        s=s,
        a=int(after.policy[s].argmax()),
        next_states=next_states,
    )


def _most_changed(before: Plan, after: Plan) -> int:
    return int(np.abs(after.values - before.values).argmax())


def _values(before: Plan, after: Plan, s: int, discount: float) -> tuple[tuple[str, float], ...]:
    old, new = float(before.values[s]), float(after.values[s])
    return ("V(s)", old), ("γ", discount), ("change of V(s)", new - old), ("new V(s)", new)


def _sum_with_numbers(
    model: Model, s: int, chosen: Floats, values: Floats, discount: float
) -> tuple[str, tuple[int, ...]]:
    """Write Σ π(a|s) p(s′,r|s,a) [r + γ V(s′)] with its numbers, the likeliest outcomes first.

    Args:
        model: the model.
        s: the state.
        chosen: probabilities of the actions, [actions].
        values: V, [states].
        discount: discount factor.

    Returns:
        The text, and the states that the outcomes lead to.
    """
    row = s * model.num_actions
    outcomes = np.arange(model.offsets[row], model.offsets[row + model.num_actions])
    weights = chosen[model.rows[outcomes] - row] * model.probabilities[outcomes]
    order = np.argsort(-weights, kind="stable")
    order = order[weights[order] > 0]
    parts = []
    for p, i in zip(weights[order].tolist(), outcomes[order].tolist(), strict=True):
        next_value = 0.0 if model.terminated[i] else float(values[model.next_states[i]])
        reward = float(model.rewards[i])
        numbers = (format_term(x) for x in (p, reward, discount, next_value))
        parts.append("{} · [{} + {} · {}]".format(*numbers))
    if len(parts) > SHOWN_OUTCOMES:
        parts[SHOWN_OUTCOMES:] = ["…"]
    return " + ".join(parts), tuple(dict.fromkeys(model.next_states[outcomes[order]].tolist()))
