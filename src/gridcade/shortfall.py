"""What a finished run lacks, and whether longer training may help."""

import math
from contextlib import closing
from typing import NamedTuple

from gridcade.contenders import load
from gridcade.envs import registry
from gridcade.envs.book.changing_mazes import enter_training_step
from gridcade.envs.tabular import Model
from gridcade.exact import solver
from gridcade.exact.exploration import best_while_exploring
from gridcade.exact.values import policy_table
from gridcade.formatting import format_number
from gridcade.training.run_folder import Run

NEAR_OPTIMUM = 0.05  # share of the optimum that a trained policy may lack
ROUNDING = 1e-9  # share of the optimum by which an optimal policy's value may differ
ON_POLICY = ("sarsa", "expected-sarsa", "monte-carlo")  # learn values of the exploring policy


class Shortfall(NamedTuple):
    """A sentence on what a run lacks, and whether longer training may help."""

    reason: str
    longer: bool = True


def shortfall(run: Run) -> Shortfall | None:
    """Say what a run lacks; None if nothing is known.

    The greedy policy of the last checkpoint may run forever without a reward. Or, if the model is
    known, its value under the agent's objective is lower than the optimum by more than
    NEAR_OPTIMUM. An on-policy learner can only reach the policy that is best while it explores.
    """
    evaluations = [metrics for metrics in run.metrics() if "exact" in metrics]
    if not evaluations:
        return None
    if evaluations[-1]["exact"]:
        return _exact_shortfall(run)
    low, high = (evaluations[-1].get(f"return_{end}") for end in ("low", "high"))
    if low is None or high is None or evaluations[-1].get("truncated") != 1:
        return None
    if low == high <= 0:
        return Shortfall("The greedy policy may be stuck: no episode ended before the time limit.")
    return None


def _exact_shortfall(run: Run) -> Shortfall | None:
    """Do what `shortfall` does, if the model of the run's environment is known."""
    if run.settings.env_source != "name":
        return None
    hyperparameters = vars(run.config.hyperparameters)
    discount = hyperparameters.get("discount", 0.99)
    learns_average = hyperparameters.get("criterion") == "average-reward"
    objective = "average reward" if learns_average else f"return discounted by {discount:g}"
    policy = load(run)
    with closing(registry.make(run.env)) as env:
        last_step = run.last_checkpoint() - run.settings.envs  # of training, counted from 0
        enter_training_step(env, last_step)
        model = registry.known_model(env)
        table = None if model is None else policy_table(policy, env, model)
    if model is None or table is None or not (learns_average or 0 < discount < 1):
        return None
    try:
        value = solver.policy_value(model, table, 0.0 if learns_average else discount)
    except solver.UnsolvableError:  # the episodes are too long for floating-point precision
        return None
    reached = value.average_reward if learns_average else value.discounted_return
    criterion: solver.Criterion = "average-reward" if learns_average else "discounted"
    optimum = solver.solve(model, criterion, discount).value
    gap = _gap(optimum, reached)
    stuck = gap > ROUNDING and _is_stuck(value)
    if not stuck and gap <= NEAR_OPTIMUM:
        return None
    numbers = f"its {objective} is {format_number(reached)}, the optimum {format_number(optimum)}"
    reason = f"The greedy policy is not optimal yet: {numbers}."
    if stuck:
        reason = "The greedy policy is stuck: it walks in circles and may never end an episode."
    if learns_average or not (epsilon := _last_epsilon(run)):
        return Shortfall(reason)
    agent, best = run.settings.agent, _best_reachable(model, epsilon, discount)
    if stuck and not _is_stuck(best):
        return Shortfall(reason)
    if _gap(best.discounted_return, reached) > NEAR_OPTIMUM:
        return Shortfall(
            f"{reason} With epsilon {epsilon:g}, {agent} can reach "
            f"{format_number(best.discounted_return)}, once it has taken all actions often."
        )
    return Shortfall(
        f"{agent} learns the policy that is best while it explores, here with epsilon "
        f"{epsilon:g}. Without exploration {numbers}; a smaller epsilon comes closer.",
        longer=False,
    )


def _gap(best: float, reached: float) -> float:
    """Return the difference as a share of the best value."""
    return (best - reached) / max(abs(best), 1e-12)


def _is_stuck(value: solver.PolicyValue) -> bool:
    """Return whether a policy may never end an episode, and gets no reward by that."""
    return value.episode_length == math.inf and value.average_reward <= 0


def _last_epsilon(run: Run) -> float:
    """Return the epsilon of an on-policy learner at the end of a run; 0 if it learns off-policy.

    Also 0 if epsilon falls to 0 with the visits.
    """
    if run.settings.agent not in ON_POLICY:
        return 0.0
    epsilon = vars(run.config.hyperparameters)["epsilon"]
    return 0.0 if epsilon.power else float(epsilon.at(run.last_checkpoint()))


def _best_reachable(model: Model, epsilon: float, discount: float) -> solver.PolicyValue:
    """Compute the value of the greedy policy that an on-policy learner approaches."""
    greedy = best_while_exploring(model, epsilon, discount)
    return solver.policy_value(model, greedy, discount)
