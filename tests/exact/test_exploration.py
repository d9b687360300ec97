"""The best epsilon-greedy policy, compared with value iteration over such policies."""

import numpy as np
import pytest

from gridcade.agents.probabilities import with_epsilon
from gridcade.envs import registry
from gridcade.exact.chains import Chain, expected_totals
from gridcade.exact.exploration import best_while_exploring
from gridcade.exact.policy_iteration import backup


@pytest.mark.parametrize("world", ["CliffWalk", "RussellNorvig4x3", "GamblersProblem?goal=16"])
@pytest.mark.parametrize("epsilon", [0.1, 0.5, 1.0])
def test_no_policy_that_explores_is_better(world: str, epsilon: float) -> None:
    """The operator is v <- (1 - epsilon) max q + epsilon mean q over the allowed actions."""
    model = registry.known_model(registry.make(world))
    assert model is not None
    values, discount = np.zeros(model.num_states), 0.9
    for _ in range(400):
        q = backup(model, model.rewards, values, discount)
        mean = np.where(np.isfinite(q), q, 0).sum(axis=1) / np.isfinite(q).sum(axis=1)
        values = (1 - epsilon) * q.max(axis=1) + epsilon * mean
    greedy = best_while_exploring(model, epsilon, discount)
    chain = Chain.of(model, with_epsilon(greedy, epsilon, model.allowed))
    found = expected_totals(chain.transitions * discount, chain.rewards)
    np.testing.assert_allclose(found, values, rtol=1e-9, atol=1e-9)
