"""Values of actions under an optimal policy, and the actions that are optimal."""

import numpy as np
from numpy.typing import NDArray

from gridcade.envs.tabular import Model
from gridcade.exact.chains import TOLERANCE
from gridcade.exact.policy_iteration import backup, expectation, forbid
from gridcade.exact.solver import Solution

Floats = NDArray[np.float64]


def action_values(model: Model, solution: Solution) -> Floats:
    """Compute the value of each action followed by the optimal policy.  [states, actions].

    Under `average-reward` the values are differential: r - g(s') + h(s') with the gain g and the
    bias h. Only their differences within a state matter. An action has the value -infinity if the
    model does not allow it, or if, under `return`, it may lead to a state from which no policy is
    sure to end.
    """
    if solution.bias is None:
        values = np.where(np.isnan(solution.values), -np.inf, solution.values)
        discount = 1.0 if solution.discount is None else solution.discount
        return backup(model, model.rewards, values, discount)
    relative = solution.bias - solution.values
    at_start = float(model.start @ relative)
    next_values = np.where(model.terminated, at_start, relative[model.next_states])
    return forbid(model, expectation(model, model.rewards + next_values))


def optimal_actions(values: Floats) -> NDArray[np.bool_]:
    """Mark each state's actions with the largest value, up to rounding.  [states, actions]."""
    best = values.max(axis=1, keepdims=True)
    finite = values[np.isfinite(values)]
    margin = TOLERANCE * max(1e-300, float(np.abs(finite).max(initial=0.0)))
    return np.asarray((values >= best - margin) & np.isfinite(best))
