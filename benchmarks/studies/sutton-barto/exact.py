"""Print the exact values in the text of docs/textbook, chapters 6 and 8.

python benchmarks/studies/sutton-barto/exact.py
"""

import math
from contextlib import closing

import numpy as np
from numpy.typing import NDArray

from gridcade.agents.probabilities import uniform, with_epsilon
from gridcade.envs import registry
from gridcade.envs.tabular import Model
from gridcade.exact.action_values import action_values, optimal_actions
from gridcade.exact.chains import Chain, expected_totals
from gridcade.exact.exploration import best_while_exploring
from gridcade.exact.solver import policy_value, solve

Floats = NDArray[np.float64]

EPSILON = 0.1


def main() -> None:
    """Print the values of examples 6.5 and 6.6, and of the first episode of figure 8.2."""
    wind, cliff, maze = (known_model(name) for name in ("WindyGrid", "CliffWalk", "DynaMaze"))
    length = policy_value(wind, with_epsilon(optimal_policy(wind), EPSILON)).episode_length
    print(f"6.5, steps of an optimal policy with ε = {EPSILON}: {length:.2f}")
    value = policy_value(cliff, with_epsilon(optimal_policy(cliff), EPSILON)).expected_return
    print(f"6.6, return of an optimal policy with ε = {EPSILON}: {value:.2f}")
    best = with_epsilon(best_while_exploring(cliff, EPSILON, discount=1.0), EPSILON)
    value = policy_value(cliff, best).expected_return
    print(f"6.6, return of the best policy among those with ε = {EPSILON}: {value:.2f}")
    mean, deviation = random_walk_length(maze)
    print(f"8.2, steps of a random walk: {mean:.1f}, standard deviation {deviation:.0f}")


def known_model(name: str) -> Model:
    """Return the exact model of a world."""
    with closing(registry.make(name)) as env:
        model = registry.known_model(env)
    assert model is not None
    return model


def optimal_policy(model: Model) -> Floats:
    """Return the policy that takes all optimal actions equally often, [states, actions]."""
    return uniform(optimal_actions(action_values(model, solve(model, "return"))))


def random_walk_length(model: Model) -> tuple[float, float]:
    """Return the mean and the standard deviation of the steps of a random walk from the start."""
    walk = Chain.of(model, model.uniform).transitions
    # T is the number of steps to the end: E[T^2] = 1 + 2 P E[T] + P E[T^2], P E[T] = E[T] - 1.
    mean = expected_totals(walk, np.ones(model.num_states))
    square = expected_totals(walk, 2 * mean - 1)
    at_start = float(model.start @ mean)
    return at_start, math.sqrt(model.start @ square - at_start**2)


if __name__ == "__main__":
    main()
