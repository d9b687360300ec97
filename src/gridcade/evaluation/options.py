"""Options of an evaluation, shared by the Python API and the command line."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np

from gridcade.errors import InputError
from gridcade.evaluation.intervals import check_confidence
from gridcade.exact.solver import check_discount
from gridcade.plain import plain
from gridcade.seeding import check_seed

ProgressCallback = Callable[[int, int], None]
"""Called with the number of episodes (or steps, on continuing tasks) done, and their total."""


class EvaluationOptions(TypedDict, total=False):
    """Options of an evaluation. A missing option, or None, means the default.

    At most one of `episodes`, `steps` and `precision` sets the size of the sample.
    """

    episodes: int | None
    """Number of whole episodes to play. Default: 100."""
    steps: int | None
    """Number of environment steps. On an episodic task, a pilot sample converts it into a number
    of whole episodes. On a continuing task, up to the same number of additional steps completes the
    last cycles. Default: 100,000 on a continuing task, which has no episodes."""
    precision: float | None
    """Target for half the width of the expected return's interval, relative to the mean, such as
    0.02. A pilot sample determines the number of episodes, at most 10,000. Default: none."""
    seed: int
    """Random seed of the episodes (0 or greater). Default: 0."""
    epsilon: float | None
    """Probability of a uniformly random action in each step. Default: 0.05 on Atari games, 0
    elsewhere."""
    stochastic: bool
    """Sample actions from the policy's probabilities. Default: act greedily."""
    confidence: float
    """Confidence level of the intervals, between 0 and 1. Default: 0.95."""
    discount: float
    """Discount factor of the discounted return, at least 0 and less than 1. Default: 0.99."""


@dataclass(frozen=True)
class ResolvedOptions:
    """The options of an evaluation with their defaults; see `EvaluationOptions`.

    None means that the size of the sample, or epsilon, depends on the environment. Epsilon is
    checked by `EvaluatedPolicy`.

    Raises:
        InputError: another option is out of its range, or more than one sets the size of the
            sample.
    """

    episodes: int | None = None
    steps: int | None = None
    precision: float | None = None
    seed: int = 0
    epsilon: float | None = None
    stochastic: bool = False
    confidence: float = 0.95
    discount: float = 0.99

    def __post_init__(self) -> None:
        counts = {"episodes": self.episodes, "steps": self.steps}
        sizes = [*counts.values(), self.precision]
        if sum(size is not None for size in sizes) > 1:
            raise InputError("episodes, steps and precision exclude each other; set only one")
        for key, count in counts.items():
            is_integer = isinstance(count, int | np.integer) and not isinstance(count, bool)
            if count is not None and not (is_integer and count >= 1):
                raise InputError(f"{key} is {count}; it must be an integer, 1 or greater")
        if self.precision is not None and not 0 < self.precision < 1:
            raise InputError(
                f"precision is {self.precision}; it must be greater than 0 and less than 1"
            )
        check_confidence(self.confidence)
        check_discount(self.discount)
        check_seed(self.seed)


def resolve_options(options: EvaluationOptions) -> ResolvedOptions:
    """Fill in the defaults of missing options and check the others.

    Raises:
        InputError: see `ResolvedOptions`.
    """
    present: dict[str, Any] = {k: plain(value) for k, value in options.items() if value is not None}
    for key in ("episodes", "steps"):  # 1e5 is a whole number too
        value = present.get(key)
        if isinstance(value, float) and value.is_integer():
            present[key] = int(value)
    return ResolvedOptions(**present)
