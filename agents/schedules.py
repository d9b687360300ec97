"""Hyperparameters that change during training.

Schedules count absolute steps, so that a resumed run continues where it stopped.
"""

from dataclasses import dataclass
from typing import NamedTuple

from gridcade.errors import InputError


class CompiledSchedule(NamedTuple):
    """The fields of a `Schedule`, for compiled code."""

    initial: float
    final: float
    steps: float
    power: float


def value_at(schedule: CompiledSchedule, step: int, visits: int) -> float:
    """Return a schedule's value at an absolute step.

    This is plain Python, because deep agents need no compilation; tabular agents compile it.

    Args:
        schedule: the schedule.
        step: steps before this one, over all environments.
        visits: N in the decay 1 / N^power, 1 or more.
    """
    value = schedule.final
    if step < schedule.steps:
        value = schedule.initial + (schedule.final - schedule.initial) * (step / schedule.steps)
    return value if schedule.power == 0.0 else value / float(visits) ** schedule.power


@dataclass(frozen=True)
class Schedule:
    """A number that changes linearly from `initial` to `final` over `steps`, then stays.

    It is divided by N^power, where N counts the updates of this state and action (step size), or
    those of all actions in this state, plus 1 (epsilon).
    """

    initial: float
    """Value at the first step."""
    final: float | None = None
    """Value after `steps` steps. None: the initial value, so that the number is constant."""
    steps: int = 0
    """Environment steps from the initial value to the final one."""
    power: float = 0.0
    """Exponent omega of the decay 1 / N^omega, between 0 and 1. 0: no decay."""

    @classmethod
    def constant(cls, value: float) -> "Schedule":
        """Return a schedule that never changes; a number such as `epsilon = 0.1` means this."""
        return cls(value, value)

    def check(self, name: str) -> None:
        """Check that the values are between 0 and 1, and that `steps` and `power` are in range.

        Args:
            name: the hyperparameter that the schedule belongs to, for the message.

        Raises:
            InputError: a field is out of its range.
        """
        for key in ("initial", "final", "power"):
            value = getattr(self, key)
            if value is not None and not 0 <= value <= 1:
                raise InputError(f"{name}.{key} is {value}; it must be between 0 and 1")
        if self.steps < 0:
            raise InputError(f"{name}.steps is {self.steps}; it must be 0 or greater")

    def at(self, step: int) -> float:
        """Return the value at an absolute step, counted from 0, without the decay by visits."""
        return value_at(self.to_compiled(), step, 1)

    def to_compiled(self) -> CompiledSchedule:
        """Convert the schedule for compiled code."""
        final = self.initial if self.final is None else self.final
        return CompiledSchedule(
            float(self.initial), float(final), float(self.steps), float(self.power)
        )
