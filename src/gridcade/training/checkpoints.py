"""Checkpoints: folders named by steps, which hold the agent and the state of its loop.

A checkpoint is written whole or not at all, but copying, a full disk or a crash of the machine can
still damage it. Damaged checkpoints are skipped, and never deleted.
"""

import json
import shutil
from pathlib import Path
from typing import NotRequired, TypedDict

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save_file

from gridcade.agents.base import Tensors
from gridcade.errors import InputError
from gridcade.experience.loop import EnvState

AGENT, LOOP, LOOP_STATE = "agent.safetensors", "loop.safetensors", "loop.json"


class LoopState(TypedDict):
    """The part of a checkpoint that is stored as JSON."""

    steps: int
    epoch_start: int  # step at which the running epoch began
    epoch_seconds: float  # of the running epoch, without evaluation and checkpoint
    seconds: float  # of training, over all sessions
    evaluation_seconds: NotRequired[float]  # part of `seconds`; missing in older checkpoints
    totals: dict[str, float]  # sums over the running epoch, by the names of TOTALS
    env_state: EnvState | None  # None: the loop keeps its state as tensors


def load_tensors(file: Path) -> Tensors:
    """Load the tensors of a safetensors file.

    Raises:
        InputError: the file is missing, or is not a safetensors file.
    """
    try:
        return dict(load_file(file))
    except FileNotFoundError:
        raise InputError(f"no file {file}") from None
    except (OSError, SafetensorError, AttributeError, TypeError, ValueError) as error:
        # AttributeError and TypeError: NumPy lacks the type of a tensor.
        reason = str(error).partition("\n")[0]
        raise InputError(f"'{file}' is not a readable checkpoint: {reason}") from None


def damage(checkpoint: Path) -> str:
    """Say what is wrong with a checkpoint; "" if it is whole. Tensors are not read.

    Args:
        checkpoint: the folder of the checkpoint.
    """
    for name in (AGENT, LOOP):
        try:
            with safe_open(checkpoint / name, "numpy"):  # compares the header with the file's size
                pass
        except FileNotFoundError:
            return f"{name} is missing"
        except (OSError, SafetensorError) as error:
            return f"{name}: {reason(error)}"
    try:
        read_loop_state(checkpoint / LOOP_STATE)
    except InputError as error:
        return f"{LOOP_STATE}: {str(error).rpartition(': ')[2]}"
    return ""


def read_loop_state(file: Path) -> LoopState:
    """Read the state of a checkpoint's loop; InputError if it is missing or damaged."""
    try:
        state: LoopState = json.loads(file.read_bytes())
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}") from None
    except ValueError:
        raise InputError(f"cannot read {file}: it is not JSON") from None
    if not isinstance(state, dict) or not LoopState.__required_keys__ <= state.keys():
        raise InputError(f"cannot read {file}: entries of a checkpoint are missing")
    return state


def write_checkpoint(folder: Path, agent: Tensors, loop: Tensors, state: LoopState) -> None:
    """Write the files of a checkpoint into a new folder.

    Raises:
        OSError, SafetensorError: a file cannot be written, for example on a full disk.
    """
    folder.mkdir()
    (folder / LOOP_STATE).write_text(json.dumps(state), encoding="utf-8")
    for name, tensors in ((AGENT, agent), (LOOP, loop)):
        save_file({k: np.ascontiguousarray(v) for k, v in tensors.items()}, folder / name)
        # safetensors makes files that only their owner can read, whatever the umask.
        shutil.copymode(folder / LOOP_STATE, folder / name)


def reason(error: OSError | SafetensorError) -> str:
    """Return the first line of an error's text."""
    reason = error.strerror if isinstance(error, OSError) else None
    return reason or str(error).partition("\n")[0] or type(error).__name__
