"""The values of actions under an optimal policy, and which actions are optimal."""

import numpy as np
from numpy.typing import NDArray

from gridcade.envs.tabular import Model
from gridcade.exact.chains import TOLERANCE
from gridcade.exact.policy_iteration import backup, expectation, forbid
from gridcade.exact.solver import Solution

Floats = NDArray[np.float64]


def action_values(model: Model, solution: Solution) -> Floats:
    """Compute the value of each action that is followed by the optimal policy.  [states, actions].

    Under `average-reward` these are the differential values, of which only differences within a
    state matter: r - g(s') + h(s') with the gain g and the bias h. Under `return`, actions that may
    lead to states from which no policy is sure to end have the value -infinity, and so have actions
    that the model does not allow.
    """
    if solution.bias is None:
        values = np.where(np.isnan(solution.values), -np.inf, solution.values)
        discount = 1.0 if solution.discount is None else solution.discount
        return backup(model, model.rewards, values, discount)
    at_start = float(model.start @ (solution.bias - solution.values)), solution.bias
    next_values = np.where(
        model.terminated, at_start[0], (solution.bias - solution.values)[model.next_states]
    )
    return forbid(model, expectation(model, model.rewards + next_values))


def optimal_actions(values: Floats) -> NDArray[np.bool_]:
    """Return which actions are optimal by `action_values`, up to rounding.  [states, actions]."""
    best = values.max(axis=1, keepdims=True)
    finite = values[np.isfinite(values)]
    margin = TOLERANCE * max(1e-300, float(np.abs(finite).max(initial=0.0)))
    return np.asarray((values >= best - margin) & np.isfinite(best))
