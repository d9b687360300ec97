"""The run folder: everything about one training run, readable without this program.

    config.toml        the run's settings and hyperparameters
    provenance.json    versions, commit, machine and command; one entry per session
    metrics.jsonl      one line per epoch
    checkpoints/N/     agent.safetensors, loop.safetensors and loop.json after N steps; the last
                       checkpoints and the best one are kept
    replay/            DQN's replay, to which its checkpoints refer
    evaluation/        results of `gridcade evaluate`, one file each
    world.txt          the map, where the world was drawn in a file

Every file is written under a temporary name and then renamed, so a run that is killed leaves no
partial file. (A power cut may lose what the disk had not written.)
"""

import json
import math
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, TypedDict

import filelock
import numpy as np
import tomli_w
from numpy.typing import DTypeLike
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from gridcade import agents
from gridcade.agents.base import Tensors
from gridcade.envs.types import Array
from gridcade.errors import InputError, WriteError, unknown
from gridcade.experience.loop import EnvState
from gridcade.printing import Part, Printed, unbroken
from gridcade.training.config import (
    RunConfig,
    RunSettings,
    read_config,
    read_settings,
    to_dict,
    used_up,
)
from gridcade.training.metrics_text import metrics_text

BLOCK = 1 << 24  # bytes written at once
PROVENANCE = "provenance.json"
RUNS = Path("runs")  # the folder of run folders
KEPT_CHECKPOINTS = 3  # the last ones; the best one is kept besides
LOCK_PATIENCE = 0.2  # seconds; `Run.training` holds the lock for less


class LoopState(TypedDict):
    """The part of a checkpoint that is stored as JSON."""

    steps: int
    epoch_start: int  # step
    epoch_seconds: float  # of the running epoch, without evaluation and checkpoint
    seconds: float  # of training, over all sessions
    totals: dict[str, float]  # of the running epoch
    env_state: EnvState | None  # None: the loop keeps its state as tensors


class Run(Printed):
    """A run folder.

    Args:
        path: of the folder.

    Raises:
        InputError: it holds no run, or one of an older format.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self._file = self.path / "config.toml"
        if not is_run(self.path):
            raise _not_a_run(self.path)
        self.settings: RunSettings = read_settings(self._file)

    @classmethod
    def create(cls, path: Path, config: RunConfig, world: str | None) -> "Run":
        """Create a folder.

        Raises:
            InputError: the folder exists and is not empty.
            WriteError: it cannot be created.
        """
        try:
            if path.exists() and not (path.is_dir() and not any(path.iterdir())):
                raise InputError(f"'{path}' exists and is not an empty folder")
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".new-run-", dir=path.parent) as beside:
                new = Path(beside) / "run"
                for folder in ("checkpoints", "evaluation"):
                    (new / folder).mkdir(parents=True)
                (new / "metrics.jsonl").touch()
                if world is not None:
                    write_text(new / "world.txt", world)
                write_text(new / "config.toml", tomli_w.dumps(to_dict(config)))
                if path.exists():  # an empty folder, which Windows does not replace
                    path.rmdir()
                new.rename(path)
        except OSError as error:
            raise WriteError(f"cannot create the run folder '{path}': {error.strerror}") from None
        run = cls(path)
        run.settings = run.config = config
        return run

    @cached_property
    def config(self) -> RunConfig:
        """The settings, and the hyperparameters of the agent, whose module is loaded for them."""
        return read_config(self._file)

    @property
    def env(self) -> str:
        """The environment's name; a drawn world is read from the folder's own copy."""
        _, mark, query = self.settings.env.partition("?")
        copy = self.path / "world.txt"
        return f"{copy}{mark}{query}" if copy.is_file() else self.settings.env

    @property
    def world(self) -> str | None:
        """The text of the map, where the world was drawn in a file."""
        copy = self.path / "world.txt"
        return copy.read_text(encoding="utf-8") if copy.is_file() else None

    @property
    def finished(self) -> bool:
        """Whether the budget is used up.

        Raises:
            InputError: the run has no checkpoint, or it is not readable.
        """
        steps = self.last_checkpoint()
        return used_up(self.settings, steps, self.load_loop_state(steps)["seconds"])

    def parts(self) -> list[Part]:
        """The result of the last session, and the commands that use it.

        Raises:
            InputError: the run has no checkpoint, or it is not readable.
        """
        steps = self.last_checkpoint()
        if not self.finished:
            return [
                f"stopped after {steps:,} steps; the checkpoint is saved",
                unbroken(f"continue:   gridcade resume {self.path}"),
            ]
        seconds = self.load_loop_state(steps)["seconds"]
        speed = f" ({steps / seconds:,.0f} per second)" if seconds > 0 else ""
        settings = self.settings
        parts: list[Part] = [
            f"{settings.agent} on {settings.env}: {steps:,} steps in {seconds:.1f} s{speed}"
        ]
        if metrics := self.metrics():
            parts.append(f"last epoch: {metrics_text(metrics[-1], short=True)}")
        return [
            *parts,
            unbroken(f"run folder: {self.path}"),
            unbroken(f"evaluate:   gridcade evaluate {self.path}"),
            unbroken(f"watch:      gridcade watch {self.path}"),
        ]

    def __str__(self) -> str:
        """Return what the command line prints, or why the run cannot be read."""
        try:
            return super().__str__()
        except InputError as error:
            return str(error)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from training in this folder.

        Raises:
            InputError: another process trains in it.
            WriteError: the folder is not writable.
        """
        with ExitStack() as stack:
            try:
                stack.enter_context(locked(self.path / ".lock", wait=LOCK_PATIENCE))
            except BlockingIOError:
                raise InputError(f"another process is training in '{self.path}'") from None
            except OSError as error:
                raise WriteError(f"cannot write in '{self.path}': {error.strerror}") from None
            yield

    @property
    def training(self) -> bool:
        """Whether a process trains in this folder now. This tries its lock for a moment."""
        file = self.path / ".lock"
        if not file.is_file():
            return False
        try:
            with locked(file, wait=0):
                return False
        except BlockingIOError:
            return True
        except OSError:  # no permission to train in it
            return False

    def rewrite_config(self, config: RunConfig) -> None:
        """Write another config, with another budget."""
        with self._writing("config.toml") as file:
            write_text(file, tomli_w.dumps(to_dict(config)))
        self.settings = self.config = config

    def storage(self, name: str, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
        """An array in a file of this folder, with its space reserved; see `agents.base.Storage`.

        Raises:
            InputError: the file has another size, or is gone though the run has learned from it:
                an empty one would spoil what follows.
            WriteError: the disk is too full.
        """
        file = self.path / "replay" / f"{name}.bin"
        size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        try:
            file.parent.mkdir(exist_ok=True)
            if not file.is_file():
                if max(self.checkpoints(), default=0):
                    raise InputError(f"'{file}' is missing, so the run cannot be resumed")
                with (
                    _moved_when_whole(file, file.with_suffix(".tmp")) as new,
                    new.open("wb") as opened,
                ):
                    _reserve(opened, size)
            elif file.stat().st_size != size:
                found = file.stat().st_size
                raise InputError(f"'{file}' has {found:,} bytes, not {size:,}: it was changed")
            return np.memmap(file, dtype, "r+", shape=shape)
        except OSError as error:
            reason = f"{error.strerror} ({size / 1e9:.1f} GB are needed)"
            raise WriteError(f"cannot reserve '{file}': {reason}") from None

    def add_provenance(self, session: Mapping[str, Any]) -> None:
        """Append the provenance of a session."""
        file = self.path / PROVENANCE
        try:
            sessions = json.loads(file.read_bytes())["sessions"] if file.is_file() else []
        except (KeyError, TypeError, ValueError):
            raise InputError(f"cannot read {file}") from None
        with self._writing(PROVENANCE):
            write_text(file, json.dumps({"sessions": [*sessions, session]}, indent=2) + "\n")

    def metrics(self) -> list[dict[str, Any]]:
        """The metrics, one entry an epoch; a line that was cut off while written is left out."""
        entries = []
        file = self.path / "metrics.jsonl"
        for line in file.read_bytes().splitlines() if file.is_file() else []:
            try:
                entry = json.loads(line)
            except ValueError:
                break
            if not isinstance(entry, dict) or not isinstance(entry.get("steps"), int):
                break
            entries.append(entry)
        return entries

    def add_metrics(self, entry: Mapping[str, Any]) -> None:
        """Append the metrics of an epoch."""
        with self._writing("metrics.jsonl") as file, file.open("a") as opened:
            opened.write(json.dumps(entry) + "\n")

    def cut_metrics(self, steps: int) -> None:
        """Drop the metrics of epochs that ended after a checkpoint."""
        kept = [json.dumps(m) + "\n" for m in self.metrics() if m["steps"] <= steps]
        with self._writing("metrics.jsonl") as file:
            write_text(file, "".join(kept))

    @contextmanager
    def _writing(self, name: str) -> Iterator[Path]:
        """A file of this folder; a WriteError if it cannot be written."""
        file = self.path / name
        try:
            yield file
        except OSError as error:
            raise WriteError(f"cannot write '{file}': {error.strerror}") from None

    # ---- checkpoints

    def checkpoint(self, steps: int) -> Path:
        """The folder of the checkpoint after a number of steps, whether it exists or not."""
        return self.path / "checkpoints" / str(steps)

    def checkpoints(self) -> list[int]:
        """The steps of all checkpoints, in ascending order."""
        names = [p.name for p in (self.path / "checkpoints").glob("*") if p.name.isdigit()]
        return sorted(map(int, names))

    def last_checkpoint(self) -> int:
        """The steps of the last checkpoint.

        Raises:
            InputError: the run has none.
        """
        if not (checkpoints := self.checkpoints()):
            raise InputError(f"the run '{self.path}' has no checkpoint")
        return checkpoints[-1]

    def best(self) -> int | None:
        """The steps of the checkpoint with the best evaluation: by return, then average reward.

        A policy that never ends has no return, and ranks below those that have one. Of equal
        checkpoints the first is the best.
        """
        metrics = self.metrics()
        for key in ("return_mean", "average_reward_mean"):
            scored = [m for m in metrics if m.get(key) is not None]
            if scored:
                highest = max(m[key] for m in scored)
                equals = [m for m in scored if math.isclose(m[key], highest, rel_tol=1e-9)]
                averages = [m.get("average_reward_mean", 0.0) for m in equals]
                return int(equals[averages.index(max(averages))]["steps"])
        return None

    def save_checkpoint(
        self, steps: int, agent: Tensors, loop: Tensors, loop_state: LoopState
    ) -> None:
        """Write a checkpoint, whole or not at all, and remove old ones likewise.

        Raises:
            WriteError: it cannot be written, as on a full disk; earlier ones are kept.
        """
        folder = self.path / "checkpoints"
        try:
            with tempfile.TemporaryDirectory(prefix=".new-", dir=folder) as beside:
                new = Path(beside) / "new"
                new.mkdir()
                for name, tensors in (("agent", agent), ("loop", loop)):
                    contiguous = {k: np.ascontiguousarray(v) for k, v in tensors.items()}
                    save_file(contiguous, new / f"{name}.safetensors")
                (new / "loop.json").write_text(json.dumps(loop_state))
                final = self.checkpoint(steps)
                if final.exists():  # a resumed run was interrupted again at once
                    final.rename(Path(beside) / "replaced")
                new.rename(final)
                kept = {*self.checkpoints()[-KEPT_CHECKPOINTS:], self.best()}
                for old in self.checkpoints():
                    if old not in kept:
                        self.checkpoint(old).rename(Path(beside) / str(old))
        except (OSError, SafetensorError) as error:
            reason = error.strerror if isinstance(error, OSError) else None
            reason = reason or str(error).partition("\n")[0]
            where = self.checkpoint(steps)
            raise WriteError(f"cannot write '{where}': {reason}; the last one is kept") from None

    def drop_checkpoints(self) -> None:
        """Remove all checkpoints, each whole or not at all."""
        folder = self.path / "checkpoints"
        with tempfile.TemporaryDirectory(prefix=".new-", dir=folder) as beside:
            for old in self.checkpoints():
                self.checkpoint(old).rename(Path(beside) / str(old))

    def load_agent(self, steps: int) -> Tensors:
        """The agent's tensors of a checkpoint; InputError if it is missing or not readable."""
        return load_tensors(self.checkpoint(steps) / "agent.safetensors")

    def load_checkpoint(self, steps: int) -> tuple[Tensors, Tensors, LoopState]:
        """The agent's tensors, the loop's tensors, and the loop's state.

        Raises:
            InputError: the checkpoint is missing or not readable.
        """
        agent = self.load_agent(steps)
        loop = load_tensors(self.checkpoint(steps) / "loop.safetensors")
        return agent, loop, self.load_loop_state(steps)

    def load_loop_state(self, steps: int) -> LoopState:
        """The loop's state of a checkpoint; InputError if it is missing or not readable."""
        file = self.checkpoint(steps) / "loop.json"
        try:
            state: LoopState = json.loads(file.read_text())
        except (OSError, ValueError):
            raise InputError(f"cannot read {file}") from None
        return state

    def clear_leftovers(self) -> None:
        """Remove what a killed session was writing."""
        for leftover in (self.path / "checkpoints").glob(".new-*"):
            shutil.rmtree(leftover)
        for leftover in self.path.glob(".*.tmp"):
            leftover.unlink()


def _reserve(file: BinaryIO, size: int) -> None:
    """Reserve the space of a file: writing to a sparse one on a full disk would raise SIGBUS."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)
        return
    for begin in range(0, size, BLOCK):  # macOS and Windows lack posix_fallocate
        file.write(bytes(min(BLOCK, size - begin)))


@contextmanager
def locked(file: Path, wait: float | None) -> Iterator[None]:
    """Hold the lock of a file.

    Args:
        file: the lock file; it is created.
        wait: seconds to wait for another process that holds the lock; None: until it ends.

    Raises:
        BlockingIOError: another process holds it still.
        OSError: the file cannot be written.
    """
    lock = filelock.FileLock(file, timeout=-1 if wait is None else wait)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise BlockingIOError(f"'{file}' is locked") from None
    try:
        yield
    finally:
        lock.release()


def find_run(policy: str | os.PathLike[str] | Run, others: Iterable[str]) -> tuple[Run, int]:
    """Find a run, and the steps of the checkpoint that is named.

    Args:
        policy: a run folder, which stands for its last checkpoint, or a checkpoint in one.
        others: other names that would be valid, for the message.

    Raises:
        InputError: neither exists.
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
            raise _not_a_run(folder)
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


def _not_a_run(path: Path) -> InputError:
    """Build the error for a path that is not a run folder."""
    message = f"'{path}' is not a run folder: it holds no config.toml"
    for folder, inside in ((path.parent, path), (path.parent.parent, path.parent)):
        if inside.name == "checkpoints" and is_run(folder):
            return InputError(f"{message}; did you mean {folder}?")
    if not os.path.lexists(path):
        error = unknown_policy("run", str(path), ())
        missing = InputError(f"no run folder '{path}'")
        return error if "did you mean" in str(error) else missing
    if os.path.isdir(path / "runs"):
        return InputError(f"{message}; its runs are in {path / 'runs'}")
    return InputError(message)


def is_run(path: Path) -> bool:
    """Whether a folder holds a run."""
    return os.path.isfile(path / "config.toml")  # Path.is_file raises on long names


def unknown_policy(kind: str, name: str, others: Iterable[str]) -> InputError:
    """Build the error for a policy that does not exist; it suggests runs beside it or in runs/.

    Args:
        kind: what was named, such as a contender.
        name: what does not exist.
        others: names of policies that are not runs.
    """
    folders = {folder for folder in (Path(name).parent, RUNS) if os.path.isdir(folder)}
    runs = [file.parent for folder in folders for file in folder.glob("*/config.toml")]
    by_name = {run.name.lower(): run for run in runs}
    if is_run(RUNS / name):
        return InputError(f"unknown {kind} '{name}'; did you mean {RUNS / name}?")
    error = unknown(kind, name, [*others, *map(str, runs)])
    if "did you mean" not in str(error):
        for near in get_close_matches(name.lower(), by_name, n=1):
            return InputError(f"unknown {kind} '{name}'; did you mean {by_name[near]}?")
    return error


def find_trained(
    policy: str | os.PathLike[str] | Run, others: Iterable[str] = ()
) -> tuple[Run | None, RunConfig, Tensors]:
    """Find a trained agent: its run (None: it is shipped), its config and its tensors.

    Args:
        policy: the name of a shipped agent, a run folder, or a checkpoint in one.
        others: other names that would be valid, for the message.

    Raises:
        InputError: it does not exist, or cannot be read.
    """
    shipped = agents.trained()
    if isinstance(policy, str) and policy in shipped:
        folder = shipped[policy]
        return None, read_config(folder / "config.toml"), load_tensors(folder / agents.WEIGHTS)
    run, steps = find_run(policy, [*others, *shipped])
    return run, run.config, run.load_agent(steps)


def load_tensors(file: Path) -> Tensors:
    """Load the tensors of a safetensors file.

    Raises:
        InputError: it is missing, or not such a file.
    """
    try:
        return dict(load_file(file))
    except FileNotFoundError:
        raise InputError(f"no file {file}") from None
    except (OSError, SafetensorError, AttributeError, TypeError, ValueError) as error:
        # AttributeError and TypeError: of a type that numpy does not have
        reason = str(error).partition("\n")[0]
        raise InputError(f"'{file}' is not a readable checkpoint: {reason}") from None


def write_text(file: Path, text: str) -> None:
    """Write a file whole or not at all."""
    with _moved_when_whole(file, file.with_name(f".{file.name}.{os.getpid()}.tmp")) as new:
        new.write_text(text, encoding="utf-8")


@contextmanager
def _moved_when_whole(file: Path, new: Path) -> Iterator[Path]:
    """Write a file beside its place; it is moved there when whole, and removed otherwise."""
    try:
        yield new
        new.replace(file)
    except OSError:
        new.unlink(missing_ok=True)
        raise
