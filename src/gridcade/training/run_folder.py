"""The run folder: everything about one training run, readable without this program.

    config.toml        what was asked for
    provenance.json    what it ran with: versions, commit, machine, command, one entry a session
    metrics.jsonl      one line an epoch
    checkpoints/N/     agent.safetensors, loop.safetensors and loop.json, after N steps: the
                       last ones and the best
    replay/            DQN's, which its checkpoints refer to
    evaluation/        what `gridcade evaluate` measured, one file each
    world.txt          the map, where the world was drawn in a file

Files are written beside their place and moved there, so a run killed at any moment is whole. (A
power cut may still lose what the disk had not written.)
"""

import json
import math
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np
import tomli_w
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from gridcade import agents
from gridcade.errors import InputError, WriteError, unknown
from gridcade.training.config import RunConfig, from_dict, read_toml, to_dict

try:
    import fcntl
except ImportError:  # Windows has none: there nothing is locked
    fcntl = None  # type: ignore[assignment]

Tensors = dict[str, NDArray[Any]]
T = TypeVar("T")
BLOCK = 1 << 24  # bytes written at once
PROVENANCE = "provenance.json"
KEPT_CHECKPOINTS = 3  # the last ones; the best is kept besides


class Run:
    """A run folder that exists."""

    def __init__(self, path: str | Path):
        self.path = Path(path)
        file = self.path / "config.toml"
        if not os.path.isfile(file):  # Path.is_file raises on long names
            raise InputError(f"'{path}' is no run folder: it holds no config.toml")
        self.config = from_dict(read_toml(file), RunConfig, str(file))

    @classmethod
    def create(cls, path: Path, config: RunConfig, world: str | None) -> "Run":
        """Make a new folder.

        Raises:
            InputError: the folder exists and is not empty.
            WriteError: it cannot be made.
        """
        try:
            if path.exists() and not (path.is_dir() and not any(path.iterdir())):
                raise InputError(f"'{path}' is there already, and is not an empty folder")
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".new-run-", dir=path.parent) as beside:
                new = Path(beside) / "run"
                for folder in ("checkpoints", "evaluation"):
                    (new / folder).mkdir(parents=True)
                (new / "metrics.jsonl").touch()
                if world is not None:
                    write_text(new / "world.txt", world)
                write_text(new / "config.toml", tomli_w.dumps(to_dict(config)))
                new.rename(path)
        except OSError as error:
            raise WriteError(f"cannot make the run folder '{path}': {error.strerror}") from None
        return cls(path)

    @property
    def env(self) -> str:
        """The environment's name; a drawn world's map is the folder's own copy."""
        _, mark, query = self.config.env.partition("?")
        copy = self.path / "world.txt"
        return f"{copy}{mark}{query}" if copy.is_file() else self.config.env

    @property
    def world(self) -> str | None:
        """The text of the map, where the world was drawn in a file."""
        copy = self.path / "world.txt"
        return copy.read_text(encoding="utf-8") if copy.is_file() else None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from training in this folder.

        Raises:
            InputError: one is.
            WriteError: nothing can be written in it.
        """
        with ExitStack() as stack:
            try:
                stack.enter_context(locked(self.path / ".lock", wait=False))
            except BlockingIOError:
                raise InputError(f"'{self.path}' is being trained just now") from None
            except OSError as error:
                raise WriteError(f"cannot write in '{self.path}': {error.strerror}") from None
            yield

    def rewrite_config(self, config: RunConfig) -> None:
        """Change the budget of a run that goes on."""
        with self._writing("config.toml") as file:
            write_text(file, tomli_w.dumps(to_dict(config)))
        self.config = config

    def storage(self, name: str, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        """An array in a file of this folder, with its space reserved.

        Raises:
            InputError: the file is there with another size, or it is gone though the run has
                learnt from it: an empty one would spoil what follows.
            WriteError: the disk is too full.
        """
        file = self.path / "replay" / f"{name}.bin"
        size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        try:
            file.parent.mkdir(exist_ok=True)
            if not file.is_file():
                if max(self.checkpoints(), default=0):
                    raise InputError(f"'{file}' is gone, so that the run cannot go on")
                with _whole(file, file.with_suffix(".tmp")) as new, new.open("wb") as opened:
                    _reserve(opened, size)
            elif file.stat().st_size != size:
                found = file.stat().st_size
                raise InputError(f"'{file}' has {found:,} bytes, not {size:,}: it was changed")
            return np.memmap(file, dtype, "r+", shape=shape)
        except OSError as error:
            reason = f"{error.strerror} ({size / 1e9:.1f} GB are needed)"
            raise WriteError(f"cannot reserve '{file}': {reason}") from None

    def add_provenance(self, session: dict[str, Any]) -> None:
        """Note what a session of this run ran with."""
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

    def add_metrics(self, entry: dict[str, Any]) -> None:
        """Append the metrics of an epoch."""
        with self._writing("metrics.jsonl") as file, file.open("a") as opened:
            opened.write(json.dumps(entry) + "\n")

    def cut_metrics(self, steps: int) -> None:
        """Drop the metrics of what came after a checkpoint."""
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

    def checkpoint(self, steps: int) -> Path:
        """Where the checkpoint after so many steps is, or would be."""
        return self.path / "checkpoints" / str(steps)

    def checkpoints(self) -> list[int]:
        """The steps of the checkpoints there are, in their order."""
        names = [p.name for p in (self.path / "checkpoints").glob("*") if p.name.isdigit()]
        return sorted(map(int, names))

    def best(self) -> int | None:
        """The checkpoint with the best evaluation so far: by its return, of equals by its gain.

        A policy that never ends has no return, and is no rival of those that have one.
        """
        metrics = self.metrics()
        for key in ("return_mean", "average_reward_mean"):
            scored = [m for m in metrics if m.get(key) is not None]
            if scored:
                most = max(m[key] for m in scored)
                equals = [m for m in scored if math.isclose(m[key], most, rel_tol=1e-9)]
                gains = [m.get("average_reward_mean", 0.0) for m in equals]
                return int(equals[gains.index(max(gains))]["steps"])  # of equals the first
        return None

    def save_checkpoint(
        self, steps: int, agent: Tensors, loop: Tensors, loop_state: dict[str, Any]
    ) -> None:
        """Write a checkpoint, whole or not at all, and drop old ones, as wholly.

        Raises:
            WriteError: it cannot be written, as on a full disk; those before it are kept.
        """
        try:
            self._save_checkpoint(steps, agent, loop, loop_state)
        except (OSError, SafetensorError) as error:
            reason = getattr(error, "strerror", None) or str(error).partition("\n")[0]
            where = self.checkpoint(steps)
            raise WriteError(f"cannot write '{where}': {reason}; the last one is kept") from None

    def _save_checkpoint(
        self, steps: int, agent: Tensors, loop: Tensors, loop_state: dict[str, Any]
    ) -> None:
        folder = self.path / "checkpoints"
        with tempfile.TemporaryDirectory(prefix=".new-", dir=folder) as beside:
            new = Path(beside) / "new"
            new.mkdir()
            for name, tensors in (("agent", agent), ("loop", loop)):
                contiguous = {k: np.ascontiguousarray(v) for k, v in tensors.items()}
                save_file(contiguous, new / f"{name}.safetensors")
            (new / "loop.json").write_text(json.dumps(loop_state))
            final = self.checkpoint(steps)
            if final.exists():  # an interrupted run was resumed, and interrupted again at once
                final.rename(Path(beside) / "replaced")
            new.rename(final)
            kept = {*self.checkpoints()[-KEPT_CHECKPOINTS:], self.best()}
            for old in self.checkpoints():
                if old not in kept:
                    self.checkpoint(old).rename(Path(beside) / str(old))

    def drop_checkpoints(self) -> None:
        """Remove all checkpoints, each as wholly as it was written."""
        folder = self.path / "checkpoints"
        with tempfile.TemporaryDirectory(prefix=".new-", dir=folder) as beside:
            for old in self.checkpoints():
                self.checkpoint(old).rename(Path(beside) / str(old))

    def load_agent(self, steps: int) -> Tensors:
        """The agent's tensors of a checkpoint; InputError if it is not there, or not readable."""
        return load_tensors(self.checkpoint(steps) / "agent.safetensors")

    def load_checkpoint(self, steps: int) -> tuple[Tensors, Tensors, dict[str, Any]]:
        """Agent's tensors, loop's tensors, loop's state.

        Raises:
            InputError: it is not there, or not readable.
        """
        folder = self.checkpoint(steps)
        agent = self.load_agent(steps)
        loop = load_tensors(folder / "loop.safetensors")
        try:
            state: dict[str, Any] = json.loads((folder / "loop.json").read_text())
        except (OSError, ValueError):
            raise InputError(f"cannot read {folder / 'loop.json'}") from None
        return agent, loop, state

    def last_checkpoint(self) -> int:
        """The last checkpoint's steps; what a killed write left behind is ignored.

        Raises:
            InputError: there is none.
        """
        if not (found := self.checkpoints()):
            raise InputError(f"the run '{self.path}' has no checkpoint")
        return found[-1]

    def clear_leftovers(self) -> None:
        """Remove what a killed session was writing."""
        for leftover in (self.path / "checkpoints").glob(".new-*"):
            shutil.rmtree(leftover)
        for leftover in self.path.glob(".*.tmp"):
            leftover.unlink()


def _reserve(file: BinaryIO, size: int) -> None:
    """Make a file as long as it will be: a sparse one on a full disk would end in SIGBUS."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)
        return
    for begin in range(0, size, BLOCK):  # macOS and Windows have no such call
        file.write(bytes(min(BLOCK, size - begin)))


@contextmanager
def locked(file: Path, wait: bool) -> Iterator[None]:
    """A file that no other process has locked; BlockingIOError if one has and is not waited for."""
    with file.open("w") as opened:
        if fcntl is not None:
            fcntl.flock(opened, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield


def find_run(policy: str | os.PathLike[str] | Run, others: Iterable[str]) -> tuple[Run, int]:
    """A run and the steps of the checkpoint that is meant.

    Args:
        policy: a run folder, or a checkpoint in one.
        others: what else might have been meant, for the message.

    Raises:
        InputError: there is none.
    """
    if isinstance(policy, Run):
        return policy, policy.last_checkpoint()
    path = Path(policy)
    if path.name == "agent.safetensors":
        path = path.parent
    if path.name.isdigit() and path.parent.name == "checkpoints":
        if not os.path.isdir(path):
            raise InputError(f"there is no checkpoint '{path}'")
        return Run(path.parent.parent), int(path.name)
    if not os.path.exists(path):  # Path.exists raises on long names, and where it may not look
        near = path.parent.glob("*/config.toml") if os.path.isdir(path.parent) else ()
        beside = [str(file.parent) for file in near]
        error = unknown("policy", str(path), [*others, *beside])
        if "did you mean" in str(error):
            raise error
        kinds = ", ".join((*others, "a run folder", "a checkpoint in one"))
        raise InputError(f"there is no policy '{path}'; a policy is one of: {kinds}")
    run = Run(path)
    return run, run.last_checkpoint()


def find_learnt(
    policy: str | os.PathLike[str] | Run, others: Iterable[str] = ()
) -> tuple[Run | None, RunConfig, Tensors]:
    """An agent that has learnt: its run if it is one's, its config, its tensors.

    Args:
        policy: the name of one that comes trained, a run folder, or a checkpoint in one.
        others: what else might have been meant, for the message.

    Raises:
        InputError: there is none, or it cannot be read.
    """
    shipped = agents.trained()
    if isinstance(policy, str) and policy in shipped:
        file = shipped[policy] / "config.toml"
        config = from_dict(read_toml(file), RunConfig, str(file))
        return None, config, load_tensors(shipped[policy] / agents.WEIGHTS)
    run, steps = find_run(policy, [*others, *shipped])
    return run, run.config, run.load_agent(steps)


def load_tensors(file: Path) -> Tensors:
    """The tensors of a safetensors file.

    Raises:
        InputError: it is not there, or is not such a file.
    """
    try:
        return dict(load_file(file))
    except FileNotFoundError:
        raise InputError(f"there is no {file}") from None
    except (OSError, SafetensorError, AttributeError, TypeError, ValueError) as error:
        # AttributeError and TypeError: of a type that numpy has not
        reason = str(error).partition("\n")[0]
        raise InputError(f"'{file}' is no readable checkpoint: {reason}") from None


def write_text(file: Path, text: str) -> None:
    """Write a file whole or not at all."""
    with _whole(file, file.with_name(f".{file.name}.{os.getpid()}.tmp")) as new:
        new.write_text(text, encoding="utf-8")


@contextmanager
def _whole(file: Path, new: Path) -> Iterator[Path]:
    """Where to write a file beside its place: it is moved there when whole, or else is gone."""
    try:
        yield new
        new.replace(file)
    except OSError:
        new.unlink(missing_ok=True)
        raise
