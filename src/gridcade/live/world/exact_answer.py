"""The exact answer beside a learner: the optimum of its world, and the values of policies."""

from contextlib import suppress
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridcade.envs.tabular import Model
from gridcade.errors import InputError
from gridcade.exact import solver
from gridcade.exact.action_values import action_values, optimal_actions
from gridcade.exact.chains import reachable_states
from gridcade.exact.values import gap_between

Floats = NDArray[np.float64]
Table = dict[str, Any]

LARGEST_DISCOUNT = 0.9999  # with 1, there is no discounted optimum
MEASURES = ("average_reward", "expected_return", "discounted_return")  # attributes of `PolicyValue`


class ExactAnswer:
    """An optimal solution of a world, and the exact values of policies beside it.

    Attributes:
        criterion: objective of the optimal solution.
        q: exact optimal action values.  [states, actions].
        best: whether an action is optimal.  [states, actions].
        reachable: whether a state can be reached from a start.  [states].
        discount: discount factor of the exact values: `discount`, but at most LARGEST_DISCOUNT.

    Args:
        model: the model of the world.
        criterion: the objective to maximize.
        discount: discount factor of the discounted return.
    """

    def __init__(self, model: Model, criterion: solver.Criterion, discount: float):
        self._model = model
        self.criterion: solver.Criterion = criterion
        self.discount = min(discount, LARGEST_DISCOUNT)
        self._has_discount = self.discount == discount
        self._solution = solver.solve(model, criterion, self.discount)
        self.q = action_values(model, self._solution)
        self.best = optimal_actions(self.q)
        self.reachable = reachable_states(model)
        self._known: tuple[Floats, Table] | None = None  # the policy evaluated last

    @property
    def values(self) -> Floats:
        """Exact optimal state values; the bias, if the criterion is the average reward."""
        bias = self._solution.bias
        return self._solution.values if bias is None else bias

    @cached_property
    def optima(self) -> dict[str, float | None]:
        """The optimal value by each measure; None where there is none."""
        return {
            "discounted_return": self._optimum("discounted"),
            "expected_return": self._optimum("return"),
            "average_reward": self._optimum("average-reward"),
        }

    def _optimum(self, criterion: solver.Criterion) -> float | None:
        if criterion == self.criterion:
            return self._solution.value
        with suppress(InputError):
            return solver.solve(self._model, criterion, self.discount).value
        return None

    @cached_property
    def value(self) -> float:
        """The value of the optimal policy, computed by the same code as that of other policies."""
        policy = self._solution.policy
        return solver.policy_value(self._model, policy, self.discount).by(self.criterion)

    def distance(self, values: Floats) -> float | None:
        """Return the largest error of state values, [states], in the reachable states.

        None unless the criterion is `discounted`, because differential values are defined only up
        to a constant; None too if the learner's discount exceeds LARGEST_DISCOUNT.
        """
        if self.criterion != "discounted" or not self._has_discount:
            return None
        errors = np.abs(values - self._solution.values)[self.reachable]
        return float(errors.max(initial=0.0))

    def evaluate(self, policy: Floats) -> Table:
        """Return the exact values of a policy, [states, actions], and its gap to the optimum."""
        if self._known is None or not np.array_equal(policy, self._known[0]):
            self._known = policy, self._evaluate(policy)
        return self._known[1]

    def _evaluate(self, policy: Floats) -> Table:
        value = solver.policy_value(self._model, policy, self.discount)
        wrong = ((policy > 0) & ~self.best).any(axis=1) & self.reachable
        return {
            **{measure: getattr(value, measure) for measure in MEASURES},
            "gap": gap_between(self.value, value.by(self.criterion)),
            "wrong": int(wrong.sum()),
        }
