"""A contender of a study, as a study file describes it."""

import os
from dataclasses import dataclass, field
from typing import Any

from gridcade import agents
from gridcade.agents import AgentKind


@dataclass(frozen=True)
class ContenderSpec:
    """A contender as a study file describes it: a policy, or an agent and how to train it."""

    policy: str
    """An agent to train (dqn, sb3-dqn, …), or a policy: random, optimal, a trained agent, a run."""
    name: str = ""
    """The contender's name in the study; empty: the policy's name."""
    preset: str = ""
    """The agent's preset; empty: its default preset."""
    hyperparameters: dict[str, Any] = field(default_factory=dict)
    """Hyperparameters that replace those of the preset."""
    envs: int | None = None
    """Number of parallel environments; None: the preset's."""
    epoch: int | None = None
    """Steps per epoch; None: the preset's."""
    evaluation_every: int | None = None
    """Epochs between two evaluations during training; None: the preset's."""
    init_from: str = ""
    """A run or a trained agent, from whose layers each run starts; empty: none. {seed} in the name
    stands for the seed of the run."""
    seeds: int | None = None
    """Number of runs of each value in a sweep with training_episodes; None: the study's."""
    training_episodes: int | None = None
    """Training episodes per run in a sweep with training_episodes; None: the study's."""
    sweep: str = ""
    """Name of the sweep to which the contender belongs; empty: none. Gridcade writes this field."""
    swept: str = ""
    """Hyperparameter in which the contenders of the sweep differ. Gridcade writes this field."""

    @property
    def label(self) -> str:
        """The contender's name in the study."""
        return self.name or self.policy

    @property
    def kind(self) -> AgentKind | None:
        """The agent to train; None for a fixed policy, which is only evaluated."""
        agent = self.policy in agents.AGENTS
        if agent or (self.policy.startswith("sb3-") and not os.path.exists(self.policy)):
            return agents.find(self.policy)
        return None
