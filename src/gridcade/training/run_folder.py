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
partial file. (A power cut may lose data that the disk had not written yet.)
"""

import json
import math
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w
from markupsafe import Markup
from numpy.typing import DTypeLike
from safetensors import SafetensorError

from gridcade.agents.base import Tensors
from gridcade.envs.imports import is_import_path
from gridcade.envs.types import Array
from gridcade.errors import InputError, InputWarning, WriteError
from gridcade.files import is_empty, moved_when_whole, read_text, write_text
from gridcade.formatting import shell_command
from gridcade.notebook import box, parts_html
from gridcade.printing import Part, Printed, unbroken
from gridcade.training.checkpoints import (
    AGENT,
    LOOP,
    LOOP_STATE,
    LoopState,
    damage,
    load_tensors,
    read_loop_state,
    reason,
    write_checkpoint,
)
from gridcade.training.config import (
    RunConfig,
    RunSettings,
    read_config,
    read_settings,
    to_dict,
    used_up,
)
from gridcade.training.curves import curves_html
from gridcade.training.locks import locked, reserve
from gridcade.training.metrics import Metrics, lines_until, read_metrics
from gridcade.training.metrics_text import metrics_text
from gridcade.training.run_names import is_run, not_a_run
from gridcade.training.trust import is_trusted, located, read_origin

PROVENANCE = "provenance.json"
KEPT_CHECKPOINTS = 3  # the newest ones; the best one is kept too
LOCK_PATIENCE = 0.2  # seconds; `Run.training` holds the lock for less


class Run(Printed):
    """A run folder.

    Args:
        path: path of the folder.

    Raises:
        InputError: the folder holds no run, or a run of another format.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self._file = self.path / "config.toml"
        if not is_run(self.path):
            raise not_a_run(self.path)
        self.settings: RunSettings = read_settings(self._file)

    @classmethod
    def create(cls, path: Path, config: RunConfig, world: str | None) -> "Run":
        """Create the folder of a new run.

        Args:
            path: path of the folder.
            config: the config of the run.
            world: the text of the map; None: the world was not drawn in a file.

        Raises:
            InputError: the folder exists and is not empty.
            WriteError: the folder cannot be created.
        """
        try:
            exists = os.path.lexists(path)
            if exists and not is_empty(path):
                raise InputError(f"'{path}' exists and is not an empty folder")
            path.parent.mkdir(parents=True, exist_ok=True)
            # A folder that exists stays: it may be a file system, a link, or the current directory.
            place = path if exists else path.parent
            with tempfile.TemporaryDirectory(prefix=".new-run-", dir=place) as temporary:
                new = Path(temporary) / "run"
                for folder in ("checkpoints", "evaluation"):
                    (new / folder).mkdir(parents=True)
                (new / "metrics.jsonl").touch()
                if world is not None:
                    write_text(new / "world.txt", world)
                write_text(new / "config.toml", tomli_w.dumps(to_dict(config)))
                if exists:
                    _move_contents(new, path)
                else:
                    new.rename(path)
        except OSError as error:
            raise WriteError(f"cannot create the run folder '{path}': {error.strerror}") from None
        run = cls(path)
        run.settings = run.config = config
        return run

    @cached_property
    def config(self) -> RunConfig:
        """The settings and the hyperparameters. Reading them imports the module of the agent."""
        return read_config(self._file)

    @property
    def env(self) -> str:
        """The environment's name.

        For a drawn world it is the path of the folder's own copy. An import path is completed to an
        absolute path, so that the file is found from every directory.
        """
        name = self.settings.env
        if is_import_path(name):
            return located(name, self.origin)
        _, mark, query = name.partition("?")
        copy = self.path / "world.txt"
        return f"{copy}{mark}{query}" if copy.is_file() else name

    @property
    def origin(self) -> dict[str, Any]:
        """Where the code of the environment came from, if it is an import path; else empty."""
        return read_origin(self.path / PROVENANCE)

    @property
    def trusted(self) -> bool:
        """Whether making the environment runs no code, or code that this user has run here."""
        return is_trusted(self.settings.env, self.origin)

    @property
    def world(self) -> str | None:
        """The text of the map; None: the world was not drawn in a file."""
        copy = self.path / "world.txt"
        return read_text(copy) if copy.is_file() else None

    @property
    def finished(self) -> bool:
        """Whether the budget is used up.

        Raises:
            InputError: the run has no checkpoint, or the last one is not readable.
        """
        steps = self.last_checkpoint()
        return used_up(self.settings, steps, self.load_loop_state(steps)["seconds"])

    def parts(self) -> list[Part]:
        """Return the result of the last session, and the commands that use it.

        Raises:
            InputError: the run has no checkpoint, or the last one is not readable.
        """
        steps = self.last_checkpoint()
        if not self.finished:
            parts: list[Part] = [f"stopped after {steps:,} steps; the checkpoint is saved"]
            if self.settings.env_source != "object":
                parts.append(unbroken(f"continue:   {self._command('resume')}"))
            return parts
        seconds = self.load_loop_state(steps)["seconds"]
        speed = f" ({steps / seconds:,.0f} per second)" if seconds > 0 else ""
        settings = self.settings
        parts = [f"{settings.agent} on {settings.env}: {steps:,} steps in {seconds:.1f} s{speed}"]
        if metrics := self.metrics():
            parts.append(f"last epoch: {metrics_text(metrics[-1], short=True)}")
            if discarded := metrics[-1].get("discarded_episodes"):
                parts.append(
                    f"{settings.agent} did not learn from {discarded:,} truncated episodes; with a "
                    "longer time limit (time_limit or max_episode_steps in the environment's name) "
                    "more episodes terminate"
                )
        return [
            *parts,
            unbroken(f"run folder: {self.path}"),
            unbroken(f"evaluate:   {self._command('evaluate')}"),
            unbroken(f"watch:      {self._command('watch')}"),
        ]

    def _command(self, name: str) -> str:
        """Return a command for this run, or Python code if its environment has no name."""
        if self.settings.env_source == "name":
            return shell_command("gridcade", name, self.path)
        return f"gridcade.{name}('{self.path}', env=...)"

    def __str__(self) -> str:
        """Return what the command line prints, or why the run cannot be read."""
        try:
            return super().__str__()
        except InputError as error:
            return str(error)

    def _repr_html_(self) -> str:
        """Return the result and the learning curves, or why the run cannot be read."""
        try:
            return super()._repr_html_()
        except InputError as error:
            return box(parts_html([str(error)]))

    def pictures(self) -> list[Markup]:
        """Return the learning curves."""
        curves = curves_html(self.metrics())
        return [curves] if curves else []

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from training in this folder.

        Raises:
            InputError: another process trains in the folder.
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
        """Replace the config, for example by one with a new budget."""
        with self._writing("config.toml") as file:
            write_text(file, tomli_w.dumps(to_dict(config)))
        self.settings = self.config = config

    def storage(self, name: str, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
        """Open an array in a file of this folder, and reserve its space; see `agents.base.Storage`.

        Raises:
            InputError: the file has another size, or is missing although the run has learned from
                it: an empty file would change the rest of the run.
            WriteError: the disk is too full.
        """
        file = self.path / "replay" / f"{name}.bin"
        size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        try:
            file.parent.mkdir(exist_ok=True)
            if not file.is_file():
                if max(self._all_checkpoints(), default=0):
                    raise InputError(f"'{file}' is missing, so the run cannot be resumed")
                with (
                    moved_when_whole(file, file.with_suffix(".tmp")) as new,
                    new.open("wb") as opened,
                ):
                    reserve(opened, size)
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
            sessions = [*json.loads(file.read_bytes())["sessions"]] if file.is_file() else []
        except (KeyError, TypeError, ValueError):
            sessions, kept = [], file.with_name(f"{PROVENANCE}.damaged")
            text = f"'{file}' is damaged; it is kept as '{kept}'"
            warnings.warn(text, InputWarning, stacklevel=2)
            with self._writing(kept.name):
                file.replace(kept)
        with self._writing(PROVENANCE):
            write_text(file, json.dumps({"sessions": [*sessions, session]}, indent=2) + "\n")

    def metrics(self) -> list[Metrics]:
        """Read the metrics, one entry per epoch."""
        return read_metrics(self.path / "metrics.jsonl")

    def add_metrics(self, entry: Metrics) -> None:
        """Append the metrics of an epoch."""
        with self._writing("metrics.jsonl") as file, file.open("a", encoding="utf-8") as opened:
            opened.write(json.dumps(entry) + "\n")

    def cut_metrics(self, steps: int) -> None:
        """Drop the metrics of epochs that ended after a checkpoint."""
        with self._writing("metrics.jsonl") as file:
            write_text(file, lines_until(file, steps))

    @contextmanager
    def _writing(self, name: str) -> Iterator[Path]:
        """Yield the path of a file in this folder; raise WriteError if it cannot be written."""
        file = self.path / name
        try:
            yield file
        except OSError as error:
            raise WriteError(f"cannot write '{file}': {error.strerror}") from None

    # ---- checkpoints

    def checkpoint(self, steps: int) -> Path:
        """Return the folder of the checkpoint after a number of steps; it need not exist."""
        return self.path / "checkpoints" / str(steps)

    def _all_checkpoints(self) -> list[int]:
        """Return the steps of all checkpoints, whole or damaged, in ascending order."""
        names = [path.name for path in (self.path / "checkpoints").glob("*")]
        return sorted(int(name) for name in names if name.isdecimal() and str(int(name)) == name)

    def checkpoints(self) -> list[int]:
        """Return the steps of all checkpoints that are whole, in ascending order."""
        return [steps for steps in self._all_checkpoints() if not damage(self.checkpoint(steps))]

    def damaged(self) -> dict[int, str]:
        """Return the checkpoints newer than the last whole one: steps -> what is wrong."""
        newer = {}
        for steps in reversed(self._all_checkpoints()):
            if not (wrong := damage(self.checkpoint(steps))):
                break
            newer[steps] = wrong
        return newer

    @property
    def is_new(self) -> bool:
        """Whether the run has no checkpoint yet."""
        return not self._all_checkpoints()

    def last_checkpoint(self) -> int:
        """Return the steps of the last whole checkpoint; an InputWarning names newer, damaged ones.

        Raises:
            InputError: the run has no whole checkpoint.
        """
        damaged = self.damaged()
        whole = [steps for steps in self._all_checkpoints() if steps not in damaged]
        names = [f"{self.checkpoint(steps)} ({wrong})" for steps, wrong in damaged.items()]
        if not whole:
            why = f" that can be read: {', '.join(names)}" if names else ""
            raise InputError(f"the run '{self.path}' has no checkpoint{why}")
        for name in names:
            text = f"a checkpoint is damaged, and the last one before it is used: {name}"
            warnings.warn(text, InputWarning, stacklevel=2)
        return whole[-1]

    def best(self) -> int | None:
        """Return the steps of the checkpoint with the best return, then the best average reward.

        A policy that never ends an episode has no return, and ranks below policies that have one.
        Of equal checkpoints the first is the best. None if no epoch has an evaluation.
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
        """Write a checkpoint whole or not at all, and remove old ones whole or not at all.

        Raises:
            WriteError: the checkpoint cannot be written, for example on a full disk; earlier ones
                are kept.
        """
        folder = self.path / "checkpoints"
        try:
            with tempfile.TemporaryDirectory(prefix=".new-", dir=folder) as temporary:
                new = Path(temporary) / "new"
                write_checkpoint(new, agent, loop, loop_state)
                final = self.checkpoint(steps)
                if final.exists():  # a resumed run was interrupted again at once
                    final.rename(Path(temporary) / "replaced")
                new.rename(final)
                whole = self.checkpoints()
                kept = {*whole[-KEPT_CHECKPOINTS:], self.best()}
                for old in whole:
                    if old not in kept:
                        self.checkpoint(old).rename(Path(temporary) / str(old))
        except (OSError, SafetensorError) as error:
            where = self.checkpoint(steps)
            raise WriteError(
                f"cannot write '{where}': {reason(error)}; the last one is kept"
            ) from None

    def drop_checkpoints(self) -> None:
        """Remove all checkpoints, each whole or not at all; damaged ones are renamed instead."""
        folder = self.path / "checkpoints"
        with tempfile.TemporaryDirectory(prefix=".new-", dir=folder) as temporary:
            for old in self.checkpoints():
                self.checkpoint(old).rename(Path(temporary) / str(old))
            for old in self._all_checkpoints():
                names = (folder / f"{old}.damaged-{number}" for number in count(1))
                free = next(name for name in names if not name.exists())
                aside = self.checkpoint(old).rename(free)
                text = f"a checkpoint is damaged; it is kept as '{aside}'"
                warnings.warn(text, InputWarning, stacklevel=2)

    def load_agent(self, steps: int) -> Tensors:
        """Load the agent's tensors of a checkpoint; InputError if it is missing or not readable."""
        return load_tensors(self.checkpoint(steps) / AGENT)

    def load_checkpoint(self, steps: int) -> tuple[Tensors, Tensors, LoopState]:
        """Load a checkpoint: the agent's tensors, the loop's tensors, and the loop's state.

        Raises:
            InputError: the checkpoint is missing or not readable.
        """
        agent = self.load_agent(steps)
        loop = load_tensors(self.checkpoint(steps) / LOOP)
        return agent, loop, self.load_loop_state(steps)

    def load_loop_state(self, steps: int) -> LoopState:
        """Load the loop's state of a checkpoint; InputError if it is missing or not readable."""
        return read_loop_state(self.checkpoint(steps) / LOOP_STATE)

    def clear_leftovers(self) -> None:
        """Remove partial files that a killed session left."""
        for leftover in (self.path / "checkpoints").glob(".new-*"):
            shutil.rmtree(leftover)
        for leftover in self.path.glob(".*.tmp"):
            leftover.unlink()


def _move_contents(folder: Path, into: Path) -> None:
    """Move a folder's contents into an empty folder; config.toml, which marks a run, comes last."""
    moved: list[Path] = []
    try:
        for path in sorted(folder.iterdir(), key=lambda path: path.name == "config.toml"):
            moved.append(path.rename(into / path.name))
    except OSError:
        for path in moved:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        raise
