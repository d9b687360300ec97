"""Finds runs, checkpoints and shipped agents by their names."""

import os
from collections.abc import Iterable
from pathlib import Path

from gridcade import agents
from gridcade.agents.base import Tensors
from gridcade.errors import InputError
from gridcade.training.checkpoints import load_tensors
from gridcade.training.config import RunConfig, read_config
from gridcade.training.run_folder import Run
from gridcade.training.run_names import is_run, not_a_run, unknown_policy


def find_run(policy: str | os.PathLike[str] | Run, others: Iterable[str]) -> tuple[Run, int]:
    """Find a run, and the steps of the named checkpoint.

    Args:
        policy: a run folder, which stands for its last checkpoint, or a checkpoint in one.
        others: other names that would be valid, for the message.

    Raises:
        InputError: there is no such run or checkpoint.
    """
    if isinstance(policy, Run):
        return policy, policy.last_checkpoint()
    path = Path(policy)
    if path.name == "agent.safetensors":
        path = path.parent
    if path.name.isdigit():
        in_checkpoints = path.parent.name == "checkpoints"
        folder = path.parent.parent if in_checkpoints else path.parent
        if in_checkpoints and not is_run(folder):
            raise not_a_run(folder)
        if in_checkpoints and os.path.isdir(path):
            return Run(folder), int(path.name)
        if is_run(folder):
            saved = ", ".join(map(str, Run(folder).checkpoints())) or "none"
            raise InputError(f"no checkpoint '{path}'; those in {folder}/checkpoints are: {saved}")
    if not os.path.exists(path):  # Path.exists raises on long names and unreadable folders
        if str(path) in agents.AGENTS:
            raise InputError(f"'{path}' is an agent, not a policy: gridcade train {path} ENV")
        error = unknown_policy("policy", str(path), others)
        if "did you mean" in str(error):
            raise error
        kinds = ", ".join((*others, "a run folder", "a checkpoint in one"))
        raise InputError(f"no policy '{path}'; a policy is one of: {kinds}")
    run = Run(path)
    return run, run.last_checkpoint()


def find_trained(
    policy: str | os.PathLike[str] | Run, others: Iterable[str] = ()
) -> tuple[Run | None, RunConfig, Tensors]:
    """Find a trained agent: its run (None: it is shipped), its config and its tensors.

    Args:
        policy: the name of a shipped agent, a run folder, or a checkpoint in one.
        others: other names that would be valid, for the message.

    Raises:
        InputError: the agent does not exist, or cannot be read.
    """
    shipped = agents.trained()
    if isinstance(policy, str) and policy in shipped:
        folder = shipped[policy]
        return None, read_config(folder / "config.toml"), load_tensors(folder / agents.WEIGHTS)
    run, steps = find_run(policy, [*others, *shipped])
    return run, run.config, run.load_agent(steps)
