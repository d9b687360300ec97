"""Planning sweep by sweep, so that it can be watched, until nothing changes.

Value iteration, policy iteration and iterative policy evaluation, for each of the three criteria.
They converge to the solution of `solver.solve`, or to the exact values of the evaluated policy. A
sweep updates all states at once (Jacobi's order).

Sutton & Barto (2018), chapter 4; Puterman (1994), sections 6.3, 6.4, 8.5.4 and 9.2.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from gridcade.agents.probabilities import greedy
from gridcade.envs.tabular import Model
from gridcade.errors import InputError, unknown
from gridcade.exact import solver
from gridcade.exact.action_values import optimal_actions
from gridcade.exact.chains import Chain, expected_totals, gain_and_bias, reachable
from gridcade.exact.planning import (
    CONVERGED,
    Plan,
    expected,
    first_plan,
    has_converged,
    policy_evaluation_sweep,
    policy_iteration_sweep,
    value_iteration_sweep,
)
from gridcade.exact.policy_iteration import (
    average_reward_iteration,
    ending_actions,
    expectation,
    forbid,
)
from gridcade.exact.solver import Criterion, check_discount, default_criterion

Floats = NDArray[np.float64]
Method = Literal["value-iteration", "policy-iteration", "policy-evaluation"]

APERIODIC = 0.5  # τ, the probability that the transformed chain moves; see `_relative_sweep`


@dataclass(frozen=True)
class Sweep:
    """The results of a planning method after a sweep."""

    number: int  # 0: before the first sweep
    values: Floats  # [states], under the criterion, as in `solver.Solution`
    bias: Floats | None  # [states], of the average-reward criterion
    policy: Floats  # [states, actions]: greedy, ties shared evenly; or the evaluated policy
    value: float  # expected over the start distribution
    change: float  # largest change of a value in this sweep; infinite before the first one
    error: float  # largest difference between a value and its limit
    converged: bool


def sweeps(
    model: Model,
    method: Method = "value-iteration",
    criterion: Criterion | None = None,
    discount: float = 0.99,
    policy: Floats | None = None,
) -> Iterator[Sweep]:
    """Yield the results before the first sweep and after each one, until nothing changes.

    Args:
        model: the model.
        method: `value-iteration`, `policy-iteration` or `policy-evaluation`.
        criterion: see `solver.solve`.
        discount: discount factor of the `discounted` criterion.
        policy: the policy to evaluate, [states, actions]; None: the uniformly random one.

    Raises:
        InputError: an argument is invalid, no optimum exists, or, under `return`, the evaluated
            policy may never end.
    """
    if method not in get_args(Method):
        raise unknown("method", str(method), get_args(Method))
    criterion = criterion or default_criterion(model)
    check_discount(discount)
    table = None
    if method == "policy-evaluation":
        table = model.uniform if policy is None else policy
        limit = _policy_values(model, table, criterion, discount)
    elif policy is not None:
        raise InputError(f"{method} finds a policy itself; only policy-evaluation takes one")
    else:
        limit = solver.solve(model, criterion, discount).values
    if criterion == "average-reward":
        return _average_reward_sweeps(model, method, limit, table)
    return _total_sweeps(model, method, criterion, discount, limit, table)


def _policy_values(model: Model, policy: Floats, criterion: Criterion, discount: float) -> Floats:
    """Compute the exact values of a policy.  [states]."""
    chain = Chain.of(model, policy)
    if criterion == "average-reward":
        return gain_and_bias(*chain.restarted(model.start))[0][:-1]
    if criterion == "return":
        ends = np.flatnonzero(chain.ends)
        if not reachable(chain.transitions.T.tocsr(), ends).all():
            raise InputError(
                "an episode of this policy may never end; use the criterion average-reward or "
                "discounted"
            )
        discount = 1.0
    elif criterion != "discounted":
        raise unknown("criterion", criterion, get_args(Criterion))
    return expected_totals(chain.transitions * discount, chain.rewards)


# ---- return and discounted return


def _total_sweeps(
    model: Model,
    method: Method,
    criterion: Criterion,
    discount: float,
    limit: Floats,
    table: Floats | None,
) -> Iterator[Sweep]:
    """Yield the sweeps for the return or the discounted return."""
    task, plan = model, first_plan(model)
    if table is not None:
        plan = plan._replace(policy=table)
    if criterion == "return":
        discount = 1.0
        if table is None:
            task, plan = _first_return_plan(model)
    step = {
        "value-iteration": value_iteration_sweep,
        "policy-iteration": policy_iteration_sweep,
        "policy-evaluation": policy_evaluation_sweep,
    }[method]
    number, change, converged = 0, np.inf, False
    while True:
        known = np.where(np.isnan(limit), np.nan, plan.values)
        yield Sweep(
            number=number,
            values=known + 0.0,  # turns -0 into 0
            bias=None,
            policy=plan.policy,
            value=_at_start(model, known),
            change=change,
            error=float(np.nanmax(np.abs(known - limit))),
            converged=converged,
        )
        if converged:
            return
        before, plan, number = plan, step(task, plan, discount), number + 1
        change = float(np.abs(plan.values - before.values).max())
        converged = has_converged(before, plan)


def _first_return_plan(model: Model) -> tuple[Model, Plan]:
    """Forbid actions after which no policy is sure to end; returns this model and a first plan.

    A state without other actions becomes an end. Value iteration starts from values of 0. If
    walking forever might cost nothing, these values may be so optimistic that it never learns that
    episodes must end. So it then starts from the values of a policy that ends, where they are
    negative.
    """
    allowed, actions = ending_actions(model)
    inside: NDArray[np.bool_] = allowed.max(axis=1)
    lost = ~inside[model.rows // model.num_actions]  # [outcomes]
    ending = replace(
        model,
        allowed=allowed | ~inside[:, None],
        rewards=np.where(lost, 0.0, model.rewards),
        terminated=model.terminated | lost,
    )
    plan = first_plan(ending)
    going_on = ~ending.terminated & (ending.uniform.ravel()[ending.rows] > 0)
    if (ending.rewards[going_on] >= 0).any():
        chain = Chain.of(ending, np.eye(model.num_actions)[actions])
        values = expected_totals(chain.transitions, chain.rewards)
        plan = plan._replace(values=np.minimum(values, 0.0))
    return ending, plan


# ---- average reward


class GainPlan(NamedTuple):
    """Gains, bias and policy after a sweep for the average reward."""

    gains: Floats  # [states]
    bias: Floats  # [states]
    policy: Floats  # [states, actions]


def _average_reward_sweeps(
    model: Model, method: Method, limit: Floats, table: Floats | None
) -> Iterator[Sweep]:
    """Yield the sweeps for the average reward."""
    zeros = np.zeros(model.num_states)
    plan = GainPlan(zeros, zeros, model.uniform if table is None else table)
    step = _howard_sweep() if method == "policy-iteration" else _relative_sweep(table)
    number, change, converged = 0, np.inf, False
    while True:
        yield Sweep(
            number=number,
            values=plan.gains + 0.0,
            bias=plan.bias + 0.0,
            policy=plan.policy,
            value=_at_start(model, plan.gains),
            change=change,
            error=float(np.abs(plan.gains - limit).max()),
            converged=converged,
        )
        if converged:
            return
        before, plan, number = plan, step(model, plan), number + 1
        change = float(np.abs(plan.gains - before.gains).max())
        same_policy = np.array_equal(before.policy, plan.policy)
        converged = bool(same_policy and change <= CONVERGED * np.abs(plan.gains).max())


def _relative_sweep(table: Floats | None) -> Callable[[Model, GainPlan], GainPlan]:
    """Make a sweep of relative value iteration, or of policy evaluation if a policy is given.

    h(s) ← h(s) + τ g(s), where g(s) = max_a Σ p(s′,r|s,a) [r + h(s′)] - h(s) estimates the gain
    (White 1963). The factor τ makes every chain aperiodic; without it, g(s) may oscillate forever
    (Schweitzer 1971; Puterman 1994, section 8.5.4). An end leads to the next start.
    """

    def sweep(model: Model, plan: GainPlan) -> GainPlan:
        at_start = float(model.start @ plan.bias)
        next_bias = np.where(model.terminated, at_start, plan.bias[model.next_states])
        q = forbid(model, expectation(model, model.rewards + next_bias))
        gains = (q.max(axis=1) if table is None else expected(table, q)) - plan.bias
        bias = plan.bias + APERIODIC * gains
        policy = greedy(optimal_actions(q).astype(np.float64)) if table is None else table
        return GainPlan(gains, bias - bias[model.start.argmax()], policy)

    return sweep


def _howard_sweep() -> Callable[[Model, GainPlan], GainPlan]:
    """Make an iteration of Howard's policy iteration.

    The first policy takes the first allowed action of each state.
    """

    def sweep(model: Model, plan: GainPlan) -> GainPlan:
        gains, bias, better = average_reward_iteration(model, plan.policy.argmax(axis=1))
        return GainPlan(gains, bias, np.eye(model.num_actions)[better])

    return sweep


def _at_start(model: Model, values: Floats) -> float:
    starts = model.start > 0
    return float(model.start[starts] @ values[starts])
