"""What a study measures: the policies after training, or the performance during training."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

from gridcade.errors import InputError, unknown

# Measures of training, with exploration, averaged over seeds.
TrainingMeasure = Literal["training-return", "training-length", "training-episodes"]
Measure = Literal["evaluation", TrainingMeasure]
BY_EPISODE = ("training-return", "training-length")  # measures of each training episode
BY_STEP = ("training-return", "training-episodes")  # measures that add up from step to step


@dataclass(frozen=True)
class Recording:
    """What a task records while it trains a contender with all seeds."""

    measure: TrainingMeasure
    seeds: int
    steps: int | None  # budget of each seed; None: a budget of episodes
    episodes: int | None  # budget of each seed; None: a budget of steps
    points: int  # maximum number of points of a curve


@dataclass(frozen=True)
class FigureAxes:
    """The axes of a study's figure. Gridcade chooses the fields that are empty or None."""

    x: str = ""
    """Name of the x axis."""
    y: str = ""
    """Name of the y axis."""
    points: int = 500
    """Maximum number of points of a curve. With more episodes, a point is the mean of several."""
    left: float | None = None
    """Left end of the x axis."""
    low: float | None = None
    """Low end of the y axis."""
    high: float | None = None
    """High end of the y axis."""
    multiply: float = 1.0
    """Factor by which the measure is multiplied, for another unit, such as 100 for percent."""
    add: float = 0.0
    """Number that is added to the measure after the multiplication."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.points < 1:
            raise InputError(f"points is {self.points}; it must be 1 or greater")
        for name in ("left", "low", "high", "multiply", "add"):
            value = getattr(self, name)
            if value is not None and not math.isfinite(value):
                raise InputError(f"{name} is {value}; it must be finite")
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise InputError(f"low is {self.low}; it must be less than high, which is {self.high}")


def check_measure(
    measure: Measure, steps: int | None, minutes: float | None, training_episodes: int | None
) -> None:
    """Raise InputError if the budgets of a study do not fit its measure."""
    if measure not in get_args(Measure):
        raise unknown("measure", measure, get_args(Measure))
    if measure == "evaluation":
        if training_episodes is not None:
            raise InputError(
                f"training_episodes is {training_episodes}; a budget in episodes needs a measure "
                f"of training: set measure to {' or '.join(BY_EPISODE)}"
            )
        return
    if minutes is not None:
        raise InputError(
            f"minutes is {minutes}; the measure {measure} needs a budget that does not depend on "
            "the machine: set steps or training_episodes"
        )
    if steps is not None and training_episodes is not None:
        raise InputError(
            f"steps is {steps} and training_episodes is {training_episodes}; the measure {measure} "
            "needs one of them"
        )
    for name, budget, measures in (
        ("steps", steps, BY_STEP),
        ("training_episodes", training_episodes, BY_EPISODE),
    ):
        if budget is not None and measure not in measures:
            raise InputError(
                f"the measure {measure} has no budget of {name}; remove {name}, or set measure to "
                f"{' or '.join(measures)}"
            )


def needed_budget(measure: Measure) -> str:
    """Return the budgets that a study of this measure can have, as text for a message."""
    if measure == "evaluation":
        return "steps, minutes, or both"
    budgets = ["steps"] * (measure in BY_STEP) + ["training_episodes"] * (measure in BY_EPISODE)
    return " or ".join(budgets)


def measure_key(measure: Measure) -> str:
    """Return the name of a measure as a key of results."""
    return measure.replace("-", "_")


def is_training_measure(measure: str) -> bool:
    """Return whether a criterion or measure is one of training."""
    return measure in get_args(TrainingMeasure)
