"""Numbers that change over training, counted in absolute steps: a resumed run does not jump."""

from dataclasses import dataclass
from typing import NamedTuple

from gridcade.errors import InputError


class ScheduleNumbers(NamedTuple):
    """A schedule as the compiled code takes it."""

    initial: float
    final: float
    steps: float
    power: float


@dataclass(frozen=True)
class Schedule:
    """A number that changes over training, counted in absolute steps.

    Runs linearly from `initial` to `final` over `steps`, then stays; and is divided by N^power,
    where N counts the updates of this state and action (step size) or of this state (epsilon).
    """

    initial: float
    """Value at the first step."""
    final: float | None = None
    """Value in the end; none: the initial one, so a constant."""
    steps: int = 0
    """Steps from the initial value to the final one."""
    power: float = 0.0
    """Omega in 1 / N^omega; 0: no such decay."""

    def check(self, name: str) -> None:
        """Raise InputError unless the values are probabilities and the rest is not negative."""
        for key in ("initial", "final"):
            value = getattr(self, key)
            if value is not None and not 0 <= value <= 1:
                raise InputError(f"{name}.{key} is {value}; it takes 0 to 1")
        if self.steps < 0:
            raise InputError(f"{name}.steps is {self.steps}; it takes 0 or more")
        if not 0 <= self.power <= 1:
            raise InputError(f"{name}.power is {self.power}; it takes 0 to 1")

    def at(self, step: int) -> float:
        """The value at an absolute step, from 0 on; without the decay by visits."""
        final = self.initial if self.final is None else self.final
        share = min(step / self.steps, 1.0) if self.steps else 1.0
        return self.initial + (final - self.initial) * share

    def numbers(self) -> ScheduleNumbers:
        """For the compiled code."""
        final = self.initial if self.final is None else self.final
        return ScheduleNumbers(
            float(self.initial), float(final), float(self.steps), float(self.power)
        )
