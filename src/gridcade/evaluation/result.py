"""The result of an evaluation: estimates beside exact values, as a table and as JSON."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from rich.table import Table
from rich.text import Text

from gridcade.evaluation.intervals import Estimate
from gridcade.exact.values import ExactValues
from gridcade.formatting import format_number
from gridcade.printing import Part, Printed, number_table

OUTSIDE = " *"  # marks an exact value outside the interval of its estimate


@dataclass(frozen=True, repr=False)
class Evaluation(Printed):
    """The result of an evaluation. None: the task does not define the value."""

    env: str
    policy: str
    episodes: int | None
    steps: int
    confidence: float
    seed: int
    epsilon: float  # probability of a uniformly random action that was mixed in
    stochastic: bool  # actions were sampled from the policy's probabilities
    discount: float  # discount factor of the discounted return
    expected_return: Estimate | None
    average_reward: Estimate  # per step
    discounted_return: Estimate | None
    episode_length: Estimate | None  # steps
    truncated: float | None  # share of episodes
    cycles: int | None  # number of cycles of a continuing task: see `cycles.py`
    time_limit: int | None  # steps after which an episode is truncated; None: no limit is known
    exact: ExactValues | None  # None: the model, or the policy's probabilities, are unknown
    best_return: float | None  # mean of the best possible returns of the episodes; None: unknown
    notes: tuple[str, ...]  # what a reader must know to interpret the numbers

    def as_dict(self) -> dict[str, Any]:
        """Convert to JSON types.

        Estimates have mean, low and high, and the least and the most that is possible. Infinities
        and nan become None.
        """
        plain = asdict(self)
        for key, value in plain.items():
            if isinstance(getattr(self, key), Estimate):
                plain[key] = {k: finite(value[k]) for k in ("mean", "low", "high", "least", "most")}
        if self.exact is not None:
            plain["exact"] = {key: finite(value) for key, value in plain["exact"].items()}
        plain["notes"] = list(self.notes)
        return plain

    def parts(self) -> list[Part]:
        """A heading, the estimates, the exact values, and notes."""
        plural = "" if self.episodes == 1 else "s"
        episodes = "" if self.episodes is None else f"{self.episodes:,} episode{plural}, "
        heading = Text.assemble(
            (self.policy, "bold"),
            " on ",
            (self.env, "bold"),
            f": {episodes}{self.steps:,} steps, seed {self.seed}",
            f", epsilon {self.epsilon:g}" if self.epsilon else "",
            ", stochastic" if self.stochastic else "",
        )
        parts: list[Part] = [heading, self._estimates_table()]
        if any(self._outside()):
            share = f"{100 * (1 - self.confidence):g} of 100"
            parts.append(
                f"{OUTSIDE.strip()} outside the interval, which happens to about {share} intervals"
                + (", and to more if a note below says so" if self._any_skewed() else "")
            )
        if self.exact is not None:
            parts += ["", self._exact_table(self.exact)]
        if self.truncated:
            limit = self.time_limit
            happened = f"reached the time limit ({limit:,} steps)" if limit else "were truncated"
            parts.append(f"{100 * self.truncated:.3g} % of the episodes {happened}")
        return parts + [f"note: {note}" for note in self.notes]

    def _rows(self) -> dict[str, tuple[Estimate | None, float | None]]:
        """The estimates and the exact values by their names in the table."""
        exact = self.exact
        return {
            "average reward": (self.average_reward, exact.average_reward if exact else None),
            "return": (self.expected_return, exact.expected_return if exact else None),
            self._discounted: (self.discounted_return, exact.discounted_return if exact else None),
            "episode length": (self.episode_length, exact.episode_length if exact else None),
        }

    def _any_skewed(self) -> bool:
        """Whether an interval is unreliable, because its samples are skewed."""
        return any(e is not None and e.samples_needed for e, _ in self._rows().values())

    def _outside(self) -> list[bool]:
        """Which exact values lie outside the interval of their estimate."""
        return [bool(e is not None and _mark(e, value)) for e, value in self._rows().values()]

    def _estimates_table(self) -> Table:
        """Tabulate the estimates, their intervals, and the exact or best possible values, if known.

        The column of a single episode is named "this episode", because its estimates are poor.
        """
        rows = {name: row for name, row in self._rows().items() if row[0] is not None}
        has_best = self.best_return is not None
        has_intervals = any(e is not None and math.isfinite(e.half_width) for e, _ in rows.values())
        columns = ["this episode" if self.episodes == 1 else "estimate"]
        if has_intervals:
            columns.append(f"{100 * self.confidence:g} % interval")
        if has_best or self.exact is not None:  # no environment with a model has both
            columns.append("best possible" if has_best else "exact")
        table = number_table("" if self.episodes == 1 else "expected", *columns)
        for name, (estimate, value) in rows.items():
            if estimate is None:
                continue
            cells = [format_number(estimate.mean)] + [_interval(estimate)] * has_intervals
            if has_best:
                cells.append(format_number(self.best_return) if name == "return" else "")
            elif self.exact is not None:
                cells.append(format_number(value) + _mark(estimate, value))
            table.add_row(name, *cells)
        return table

    def _exact_table(self, exact: ExactValues) -> Table:
        """The policy's exact values without a time limit, beside the optimum."""
        rows = {
            "average reward": (
                exact.unlimited_average_reward,
                exact.optimal_average_reward,
                exact.gap_average_reward,
            ),
            "return": (exact.unlimited_return, exact.optimal_return, exact.gap_return),
            self._discounted: (
                exact.unlimited_discounted_return,
                exact.optimal_discounted_return,
                exact.gap_discounted_return,
            ),
        }
        table = number_table("exact, no time limit", "this policy", "optimum", "gap")
        for name, values in rows.items():
            if values[0] is not None:
                table.add_row(name, *map(format_number, values))
        return table

    @property
    def _discounted(self) -> str:
        """The name of the discounted return in the tables."""
        return f"discounted by {self.discount:g}"


def _interval(estimate: Estimate) -> str:
    """Format the interval of an estimate."""
    if not math.isfinite(estimate.half_width):
        return "-"
    if estimate.half_width == 0 and estimate.method == "cycles":
        return "deterministic"
    if estimate.half_width == 0:
        return "all equal" if estimate.least < estimate.most else "always"
    return f"{format_number(estimate.low)} to {format_number(estimate.high)}"


def _mark(estimate: Estimate, value: float | None) -> str:
    """Mark an exact value that lies outside the interval of its estimate."""
    return OUTSIDE if value is not None and not estimate.covers(value) else ""


def finite(value: float | None) -> float | None:
    """Replace infinities and nan, which JSON cannot represent, by None."""
    return value if value is not None and math.isfinite(value) else None
