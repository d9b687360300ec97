"""Learners with other seeds, which run in the background of a lane, and their statistics."""

import math
import os
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridcade.envs.tabular import Model
from gridcade.errors import InputError
from gridcade.exact import solver
from gridcade.formatting import format_number
from gridcade.live.world.exact_answer import MEASURES
from gridcade.live.world.learner import Learner
from gridcade.study.seed_statistics import MeanScore, difference, seed_interval

Floats = NDArray[np.float64]
Scores = dict[str, list[float | None]]  # measure -> exact values of the greedy policies, [seeds]
Table = dict[str, Any]

SEEDS = 30
FEWEST_STEPS, MOST_STEPS = 100_000, 10_000_000  # of each learner
FIRST_COUNT = 10  # steps after which the policies are evaluated first
COUNTS_PER_DECADE = 4
CHUNK = 200_000  # steps between two checks for a cancellation
PRIORITY = 10  # nice value of the thread; that of the lane is 0; 19 is the lowest priority
CONFIDENCE = 0.95


def step_counts(steps: int) -> list[int]:
    """Return the steps at which policies are evaluated: 10, 18, 32, 56, 100, … .

    The last count is the first one that reaches `steps`, which is limited to FEWEST_STEPS to
    MOST_STEPS. The counts are the same for all lanes, so that any two lanes can be compared.
    """
    target = min(max(steps, FEWEST_STEPS), MOST_STEPS)
    first = round(COUNTS_PER_DECADE * math.log10(FIRST_COUNT))
    last = math.ceil(COUNTS_PER_DECADE * math.log10(target) - 1e-9)
    return [round(10 ** (k / COUNTS_PER_DECADE)) for k in range(first, last + 1)]


class SeedRuns:
    """Learners with the seeds 0 … 29, which learn side by side in one thread of low priority.

    Attributes:
        counts: steps at which their greedy policies are evaluated exactly.
        scores: exact values at each count that all learners have reached.

    Args:
        make: function that makes the learner of a seed.
        model: model of the learners' world.
        discount: discount factor of the discounted return.
        optima: measure -> optimal value, the upper limit of the intervals; None: unknown.
        steps: steps that the lane has reached; see `step_counts`.
    """

    def __init__(
        self,
        make: Callable[[int], Learner],
        model: Model,
        discount: float,
        optima: dict[str, float | None],
        steps: int,
    ):
        self._make, self._model, self._discount, self._optima = make, model, discount, optima
        self.counts = step_counts(steps)
        self.scores: list[Scores] = []
        self._bands: list[Table] = []
        self._values: dict[bytes, dict[str, float | None]] = {}  # policy -> its values
        self._cancelled = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def is_running(self) -> bool:
        """Whether the learners are still learning."""
        return self._thread.is_alive()

    def cancel(self) -> None:
        """Ask the learners to stop soon; the scores so far are kept."""
        self._cancelled.set()

    def join(self) -> None:
        """Wait until the learners have stopped."""
        self._thread.join()

    def _run(self) -> None:
        if hasattr(os, "setpriority"):
            with suppress(OSError):  # on Linux, this is the priority of the thread alone
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), PRIORITY)
        learners = [self._make(seed) for seed in range(SEEDS)]
        for count in self.counts:
            rows = []
            for learner in learners:
                while learner.steps < count:
                    if self._cancelled.is_set():
                        return
                    learner.advance(min(CHUNK, count - learner.steps))
                rows.append(self._evaluate(learner.policy))
            scores = {measure: [row[measure] for row in rows] for measure in MEASURES}
            self._bands.append({m: band(scores[m], self._optima[m]) for m in MEASURES})
            self.scores.append(scores)

    def _evaluate(self, policy: Floats) -> dict[str, float | None]:
        """The exact values of a policy by measure; each distinct policy is evaluated once."""
        key = policy.tobytes()
        if key not in self._values:
            value = None
            with suppress(solver.UnsolvableError):
                value = solver.policy_value(self._model, policy, self._discount)
            self._values[key] = {measure: getattr(value, measure, None) for measure in MEASURES}
        return self._values[key]

    def message(self) -> Table:
        """Return the bands and scores so far, as fields of a message."""
        bands = self._bands[: len(self.scores)]
        steps = self.counts[: len(bands)]
        return {
            "seeds": SEEDS,
            "running": self.is_running,
            "total": self.counts[-1],
            "steps": steps,
            "bands": {
                measure: {key: [b[measure][key] for b in bands] for key in ("mean", "low", "high")}
                for measure in MEASURES
            },
            "scores": list(self.scores),
        }


def band(scores: Sequence[float | None], optimum: float | None) -> dict[str, float | None]:
    """Return the mean of all seeds and its 95 % interval, which ends at the optimum.

    The mean is None if a score is not finite, and the limits are None if all scores are equal.
    """
    if not is_finite(scores):
        return {"mean": None, "low": None, "high": None}
    highest = math.inf if optimum is None else optimum
    estimate = seed_interval(np.array(scores), CONFIDENCE, (-math.inf, highest))
    finite = math.isfinite(estimate.half_width)
    return {
        "mean": estimate.mean,
        "low": estimate.low if finite else None,
        "high": estimate.high if finite else None,
    }


def is_finite(scores: Sequence[float | None]) -> bool:
    """Whether there are scores, and all of them are finite numbers."""
    return bool(scores) and all(x is not None and math.isfinite(x) for x in scores)


def comparison(
    first: Sequence[float | None], second: Sequence[float | None], steps: int, measure: str
) -> str:
    """State whether the means of two lanes' seeds differ significantly, at the same steps.

    Raises:
        InputError: there are too few scores to compare.
    """
    name = measure.replace("_", " ")
    where = f"At {steps:,} steps"
    if not (is_finite(first) and is_finite(second)):
        return f"{where}, the lanes cannot be compared: some policies have no finite {name}."
    if min(len(first), len(second)) < 2:
        raise InputError("a comparison needs two seeds or more in each lane")
    a, b = (MeanScore.from_seeds(np.array(scores)) for scores in (first, second))
    result = difference(a, b, CONFIDENCE)
    estimate = result.estimate
    interval = ""
    if math.isfinite(estimate.half_width):
        low, high = (format_number(x) for x in (estimate.low, estimate.high))
        interval = f", 95 % interval {low} to {high}"
    significant = result.p_value <= 1 - CONFIDENCE
    verdict = "is significant" if significant else "is not significant: it may be chance"
    p = "p < 0.001" if result.p_value < 0.001 else f"p = {result.p_value:.2g}"
    return (
        f"{where}, the mean {name} of lane 1 minus that of lane 2 is "
        f"{format_number(estimate.mean)}{interval}. The difference {verdict} "
        f"({estimate.method.replace('welch', 'Welch’s t-test')}, {len(first)} and {len(second)} "
        f"seeds, {p})."
    )
