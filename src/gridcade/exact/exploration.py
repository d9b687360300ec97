"""The best epsilon-greedy policy, which on-policy learners approach."""

import numpy as np
from numpy.typing import NDArray

from gridcade.agents.probabilities import uniform, with_epsilon
from gridcade.envs.tabular import Model
from gridcade.exact.action_values import optimal_actions
from gridcade.exact.chains import Chain, expected_totals
from gridcade.exact.policy_iteration import backup

Floats = NDArray[np.float64]

MAX_ITERATIONS = 1_000  # of policy iteration, which usually takes about ten


def best_while_exploring(model: Model, epsilon: float, discount: float) -> Floats:
    """Compute the greedy part of the best epsilon-greedy policy.

    Policy iteration improves a policy that takes a uniformly random action with probability
    `epsilon` (Sutton & Barto 2018, section 5.4). It starts from the uniformly random policy.

    Args:
        model: the model.
        epsilon: probability of a uniformly random action, greater than 0.
        discount: discount factor. With 1, every action must be able to lead to an end.

    Returns:
        Action probabilities without the random actions; ties share evenly.  [states, actions].
    """
    greedy = model.uniform
    for _ in range(MAX_ITERATIONS):
        chain = Chain.of(model, with_epsilon(greedy, epsilon, model.allowed))
        values = expected_totals(chain.transitions * discount, chain.rewards)
        improved = uniform(optimal_actions(backup(model, model.rewards, values, discount)))
        if np.array_equal(improved, greedy):
            break
        greedy = improved
    return greedy
