"""The hyperparameters that tabular agents share: as a dataclass, and for compiled code."""

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np

from gridcade.agents.schedules import CompiledSchedule, Schedule
from gridcade.errors import InputError


@dataclass(frozen=True)
class TabularConfig:
    """Hyperparameters that tabular agents share.

    Raises:
        InputError: a field is out of its range.
    """

    discount: float = 0.99
    """Discount factor gamma, between 0 and 1, of the discounted return."""
    step_size: Schedule = field(default_factory=lambda: Schedule(0.1))
    """Step size alpha of the updates of the action values."""
    epsilon: Schedule = field(default_factory=lambda: Schedule(0.1))
    """Probability of a uniformly random action."""
    initial_value: float = 0.0
    """Initial action values. If they exceed every possible return, the agent tries every action."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not 0 <= self.discount <= 1:
            raise InputError(f"discount is {self.discount}; it must be between 0 and 1")
        if not np.isfinite(self.initial_value):
            raise InputError(f"initial_value is {self.initial_value}; it must be finite")
        self.step_size.check("step_size")
        self.epsilon.check("epsilon")


@dataclass(frozen=True)
class CriterionConfig(TabularConfig):
    """Hyperparameters of an agent that can maximize the average reward instead."""

    criterion: Literal["discounted", "average-reward"] = "discounted"
    """Objective: the discounted return, or the average reward."""
    average_reward_step_ratio: float = 0.1
    """Step size of the average-reward estimate, as a multiple eta of alpha. Between 0 and 100."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        super().__post_init__()
        if not 0 < self.average_reward_step_ratio <= 100:
            raise InputError(
                f"average_reward_step_ratio is {self.average_reward_step_ratio}; "
                "it must be greater than 0 and at most 100"
            )


class CompiledHyperparameters(NamedTuple):
    """The hyperparameters that all tabular agents share, for compiled code."""

    differential: bool  # whether the criterion is the average reward
    discount: float
    average_reward_step_ratio: float
    step_size: CompiledSchedule
    epsilon: CompiledSchedule


def compiled_hyperparameters(config: TabularConfig) -> CompiledHyperparameters:
    """Convert the hyperparameters that all tabular agents share for compiled code."""
    differential, ratio = False, 0.0
    if isinstance(config, CriterionConfig):
        differential = config.criterion == "average-reward"
        ratio = float(config.average_reward_step_ratio)
    return CompiledHyperparameters(
        differential,
        float(config.discount),
        ratio,
        config.step_size.to_compiled(),
        config.epsilon.to_compiled(),
    )
