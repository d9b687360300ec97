"""Trainings that end when the agent has learned enough."""

from typing import Any

import gridcade
from gridcade.training.run_folder import Run
from gridcade.training.trainer import Progress


def train_until(metric: str, goal: float, agent: str, env: str, steps: int, **options: Any) -> Run:
    """Train until a metric of an epoch reaches a goal, for `steps` at most.

    When an agent learns, and when it forgets for a while, depends on the CPU's rounding. So a test
    that scores an agent after a fixed number of steps fails on some machines.

    Args:
        metric: name of the metric; epochs without it, which were not evaluated, do not count.
        goal: least value of the metric at which training ends.
        agent: name of the agent.
        env: name of the environment.
        steps: largest number of environment steps.
        **options: further arguments of `gridcade.train`.
    """
    reached = False

    def report(progress: Progress) -> None:
        nonlocal reached
        if progress.metrics is not None:
            value = progress.metrics.get(metric)
            reached = value is not None and value >= goal

    return gridcade.train(agent, env, steps=steps, report=report, stop=lambda: reached, **options)
