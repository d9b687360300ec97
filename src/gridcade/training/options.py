"""Options of a training run, shared by the Python API and the command line."""

from pathlib import Path
from typing import TypedDict


class ResumeOptions(TypedDict, total=False):
    """Options of `resume`. A missing option, or None, means the default."""

    steps: int | None
    """New budget of environment steps, including those taken already. Replaces the old budget of
    steps and minutes."""
    minutes: float | None
    """New budget of minutes of training, including those spent already. Replaces the old budget of
    steps and minutes."""
    tensorboard: bool | None
    """Write the metrics for TensorBoard too from now on. Default: as before."""
    device: str | None
    """Device on which the network learns from now on: cpu, cuda or mps. Default: as before."""


class TrainOptions(TypedDict, total=False):
    """Options of `train`. A missing option, or None, means the default."""

    preset: str | None
    """Preset of hyperparameters: see `gridcade list presets AGENT`. Default: the agent's own."""
    config: str | Path | None
    """TOML file in the format of a run's config.toml. Its values override the preset's."""
    steps: int | None
    """Budget of environment steps, over all environments. Schedules, such as epsilon's, do not
    depend on it."""
    minutes: float | None
    """Budget of minutes of training. With --steps, training ends when either is used up."""
    seed: int | None
    """Random seed (0 or greater). Default: 0."""
    out: str | Path | None
    """Run folder to create. Default: runs/ENV-AGENT-sSEED."""
    epoch: int | None
    """Environment steps per epoch, which ends with a line of metrics and a checkpoint. Default:
    1/50 of --steps, at least 1000; 1,000,000 with --minutes alone."""
    envs: int | None
    """Number of environments that step side by side. Default: 1."""
    init_from: str | Path | None
    """Initialize the layers that fit from another agent: a run folder, a checkpoint or a shipped
    agent."""
    evaluation_every: int | None
    """Epochs per evaluation. Default: 1."""
    evaluation_episodes: int | None
    """Episodes per evaluation, where the policy's exact value is not known. Default: 20."""
    tensorboard: bool | None
    """Write the metrics for TensorBoard too, into tensorboard/ of the run folder. Default: no."""
