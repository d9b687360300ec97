"""Options of a training run, for the Python API and the command line alike."""

from pathlib import Path
from typing import TypedDict


class ResumeOptions(TypedDict, total=False):
    """Options of `resume`; an option that is None counts as not given."""

    steps: int | None
    """New bound on environment steps, including those already taken. Replaces both old bounds."""
    minutes: float | None
    """New bound on minutes of training, including those already spent. Replaces both old bounds."""


class TrainOptions(TypedDict, total=False):
    """Options of `train`; an option that is None counts as not given."""

    preset: str | None
    """Preset of hyperparameters: see `gridcade list presets AGENT`. Default: the agent's own."""
    config: str | Path | None
    """TOML file like a run's config.toml, laid over the preset."""
    steps: int | None
    """Environment steps, over all environments. Schedules, such as epsilon's, keep their length."""
    minutes: float | None
    """Minutes of training. With --steps, training ends when either is used up."""
    seed: int | None
    """Random seed (0 or greater). Default: 0."""
    out: str | Path | None
    """Run folder to create. Default: one under runs/, named by environment, agent and seed."""
    epoch: int | None
    """Steps from one checkpoint and line of metrics to the next. Default: 1/50 of the steps."""
    envs: int | None
    """Environments that step side by side. Default: 1."""
    init_from: str | Path | None
    """Start from the layers of another agent that fit: a run folder, a checkpoint or a name."""
    evaluation_every: int | None
    """Epochs from one evaluation to the next. Default: 1."""
    evaluation_episodes: int | None
    """Episodes per evaluation, where no exact value is known. Default: 20."""
