"""One task of a study: train a contender from a seed and evaluate it, in any process.

Tasks and the process that started them communicate through files only, so that every backend and
every node works the same way:

    tasks/ENV/CONTENDER/sSEED/state.json    progress
                              result.json   final evaluation
                              error-N.txt   traceback of the Nth error
"""

import json
import os
import shutil
import socket
import time
import traceback
import warnings
from collections.abc import Mapping
from contextlib import chdir, closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from gridcade import contenders
from gridcade.envs import registry
from gridcade.envs.origins import check_shared
from gridcade.errors import EnvError, InputError, InputWarning, WriteError, one_line
from gridcade.evaluation.evaluate import evaluate_policy
from gridcade.files import slug, write_text
from gridcade.study.contender import ContenderSpec
from gridcade.study.measures import Recording
from gridcade.study.recording import record_training
from gridcade.study.study import Study
from gridcade.training import sessions, trainer
from gridcade.training.config import RunConfig
from gridcade.training.locks import locked
from gridcade.training.run_folder import Run

MAX_ATTEMPTS = 3
HEARTBEAT = 1.0  # seconds between two writes of a task's state, and two checks for a stop


@dataclass(frozen=True)
class Task:
    """A contender on an environment: trained from a seed and evaluated, or only evaluated.

    A task with a recording trains with all seeds, and evaluates nothing.
    """

    spec: ContenderSpec
    env: str
    seed: int | None  # None: nothing is trained, or all seeds are
    config: RunConfig | None  # resolved config of the run; None: nothing is trained
    key: str  # hash of everything that the result depends on
    memory_bytes: int = 0  # memory that training fills, if it is large
    policy: str = ""  # the policy to evaluate, if nothing is trained
    recording: Recording | None = None

    @property
    def path(self) -> str:
        """The task's path below `runs/` and `tasks/`."""
        fixed = "seeds" if self.recording else "fixed"
        last = fixed if self.seed is None else f"s{self.seed}"
        return "/".join((slug(self.env), slug(self.spec.label), last))

    @property
    def name(self) -> str:
        """The task's name in the progress display."""
        seed = "" if self.seed is None else f" seed {self.seed}"
        return f"{self.env} {self.spec.label}{seed}"


@dataclass(frozen=True)
class StudySession:
    """What all tasks of one call of `run_study` share."""

    study: Study
    out: Path  # the study's folder, absolute
    cwd: Path  # the directory to which relative paths in the study refer
    token: str  # unique to this session

    def task_folder(self, task: Task) -> Path:
        """Return the folder of a task's state and result."""
        return self.out / "tasks" / task.path

    def run_folder(self, task: Task) -> Path:
        """Return the run folder of a task."""
        return self.out / "runs" / task.path

    @property
    def marker(self) -> Path:
        """A file that exists during the session; removing it stops tasks on every node."""
        return self.out / f".session-{self.token}"


@dataclass(frozen=True)
class TaskState:
    """The progress of a task, as `state.json` stores it."""

    session: str  # token of the session
    phase: str  # training, evaluating, done, failed, stopped
    host: str = ""
    pid: int = 0
    trained: bool = False
    steps: int = 0
    seconds: float = 0.0  # duration of training
    share: float = 0.0  # fraction of the seeds that are recorded
    score: float | None = None  # latest evaluation: mean return, or the average reward
    checkpoint: int = 0  # steps of the furthest checkpoint when the task last started
    kills: int = 0  # number of kills without a new checkpoint
    errors: int = 0
    reason: str = ""  # the last error, on one line

    @property
    def ended(self) -> bool:
        """Whether the task is done, failed or stopped; otherwise it is running or was killed."""
        return self.phase in ("done", "failed", "stopped")


class Stopped(Exception):  # noqa: N818 - nothing is wrong
    """The session was stopped before all tasks were done; running it again continues it."""


def run_task(task: Task, session: StudySession) -> None:
    """Start or continue a task, and write its result and its errors into its folder."""
    os.environ["OMP_NUM_THREADS"] = "1"  # must be set before PyTorch is imported
    folder = session.task_folder(task)
    if not session.marker.exists():
        return  # The session has ended, or this node does not see the study's folder.
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return  # Without a folder the error cannot be reported; other tasks continue.
    # A worker of an earlier session, or on a lost node, may still be running this task: wait.
    with (
        chdir(session.cwd),
        locked(folder / ".lock", wait=None),
        suppress(OSError),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore", InputWarning)  # the main process has shown them
        if session.marker.exists() and not is_finished(task, session):
            _attempt(task, session, _Heartbeat(folder, session, _initial_state(task, session)))


def _initial_state(task: Task, session: StudySession) -> TaskState:
    """Return the state to start from. Attempts are counted per session."""
    previous = read_state(session.task_folder(task))
    checkpoint = _last_checkpoint(session.run_folder(task))
    if previous is None or previous.session != session.token:
        trained = previous is not None and previous.trained
        return TaskState(session.token, "training", trained=trained, checkpoint=checkpoint)
    return previous if previous.ended else state_after_kill(previous, checkpoint)


def state_after_kill(state: TaskState, checkpoint: int) -> TaskState:
    """Return the state after a kill, which counts unless training reached a new checkpoint."""
    kills = state.kills + (checkpoint <= state.checkpoint)
    return replace(state, kills=kills, checkpoint=max(state.checkpoint, checkpoint))


def _attempt(task: Task, session: StudySession, heartbeat: "_Heartbeat") -> None:
    """Train and evaluate, up to MAX_ATTEMPTS times; an invalid input is not retried."""
    if heartbeat.state.kills >= MAX_ATTEMPTS:
        reason = f"killed {MAX_ATTEMPTS} times without a new checkpoint"
        return heartbeat.update(phase="failed", reason=reason)
    while True:
        heartbeat.update(phase="training", host=socket.gethostname(), pid=os.getpid())
        try:
            _train_and_evaluate(task, session, heartbeat)
            return heartbeat.update(phase="done")
        except Stopped:
            return heartbeat.update(phase="stopped")
        except Exception as error:
            errors = heartbeat.state.errors + 1
            write_text(heartbeat.folder / f"error-{errors}.txt", traceback.format_exc())
            reason = one_line(error).replace(f"{session.out}{os.sep}", "")
            heartbeat.update(errors=errors, reason=reason)
            transient = isinstance(error, WriteError | EnvError)
            deterministic = isinstance(error, InputError) and not transient
            if errors == MAX_ATTEMPTS or deterministic:
                return heartbeat.update(phase="failed")


def _train_and_evaluate(task: Task, session: StudySession, heartbeat: "_Heartbeat") -> None:
    check_shared(task.env)
    if task.recording is not None and task.config is not None:
        record = record_training(task.config, task.recording, heartbeat.on_recording)
        _write_result(task, heartbeat.folder, record)
        return
    policy: str | Run = task.policy
    if task.config is not None:
        policy = _train(task.config, session.run_folder(task), heartbeat)
    heartbeat.update(phase="evaluating", trained=task.config is not None)
    with closing(registry.make(task.env)) as single:
        model = registry.known_model(single)
    continuing = model is not None and model.continuing
    contender = contenders.find(policy, task.env)
    evaluation = evaluate_policy(
        contender.policy,
        contender.env,
        episodes=None if continuing else session.study.episodes,
        seed=session.study.evaluation_seed,
        confidence=session.study.confidence,
        name=task.spec.label,
        progress=heartbeat.on_evaluation,
    )
    _write_result(task, heartbeat.folder, evaluation.as_dict())
    # A replay takes up to 7 GB, and an evaluated run no longer needs it.
    shutil.rmtree(session.run_folder(task) / "replay", ignore_errors=True)


def _write_result(task: Task, folder: Path, evaluation: Mapping[str, Any]) -> None:
    """Write the result of a task: its final evaluation, or its record."""
    result = {"key": task.key, "evaluation": evaluation}
    write_text(folder / "result.json", json.dumps(result, indent=2) + "\n")


def _train(config: RunConfig, path: Path, heartbeat: "_Heartbeat") -> Run:
    """Train the run of a task to the end of its budget."""
    if not (path / "config.toml").is_file():
        heartbeat.update(trained=False)  # An earlier run may have been removed.
        run = sessions.start(config, path, report=heartbeat.on_training, stop=heartbeat.should_stop)
    elif heartbeat.state.trained:
        run = Run(path)
    else:
        run = sessions.resume(
            path, report=heartbeat.on_training, stop=heartbeat.should_stop, trust=True
        )
    if heartbeat.stopping:
        raise Stopped
    return run


class _Heartbeat:
    """Writes the state of a running task, and checks whether its session has ended."""

    def __init__(self, folder: Path, session: StudySession, state: TaskState):
        self.folder, self.session, self.state = folder, session, state
        self.stopping = False
        self._last_write = self._last_check = -HEARTBEAT  # monotonic clock, in seconds
        self._score: float | None = None

    def update(self, **changes: Any) -> None:
        """Change fields of the state, and write it."""
        self.state = replace(self.state, **changes)
        write_text(self.folder / "state.json", msgspec.json.encode(self.state).decode())

    def on_training(self, progress: trainer.Progress) -> None:
        """Write the progress of training."""
        metrics = progress.metrics or {}
        self._score = metrics.get("return_mean", metrics.get("average_reward_mean", self._score))
        if (now := time.monotonic()) - self._last_write >= HEARTBEAT:
            self._last_write = now
            self.update(steps=progress.steps, seconds=progress.seconds, score=self._score)

    def on_recording(self, done: int, total: int) -> None:
        """Write the share of the seeds that are recorded; raise Stopped if the session ended."""
        if self.should_stop():
            raise Stopped
        if (now := time.monotonic()) - self._last_write >= HEARTBEAT:
            self._last_write = now
            self.update(share=done / total)

    def on_evaluation(self, done: int, total: int) -> None:
        """Raise Stopped if the session has ended."""
        del done, total
        if self.should_stop():
            raise Stopped

    def should_stop(self) -> bool:
        """Return whether the session has ended."""
        if (now := time.monotonic()) - self._last_check >= HEARTBEAT:
            self._last_check = now
            self.stopping = not self.session.marker.exists()
        return self.stopping


def read_state(folder: Path) -> TaskState | None:
    """Read the state of a task from its folder; None if the task has never started."""
    try:
        return msgspec.json.decode((folder / "state.json").read_bytes(), type=TaskState)
    except (OSError, msgspec.DecodeError):
        return None


def read_result(folder: Path, task: Task) -> dict[str, Any] | None:
    """Read the result of a task from its folder; None if it is missing or outdated."""
    try:
        result = json.loads((folder / "result.json").read_bytes())
        return dict(result["evaluation"]) if result["key"] == task.key else None
    except (OSError, KeyError, TypeError, ValueError):
        return None


def is_finished(task: Task, session: StudySession) -> bool:
    """Return whether a task has a result, or has failed in this session."""
    state = read_state(session.task_folder(task))
    failed = state is not None and state.session == session.token and state.phase == "failed"
    return failed or read_result(session.task_folder(task), task) is not None


def kill_count(task: Task, session: StudySession) -> int:
    """Return how often a task was killed in this session without a new checkpoint."""
    state = read_state(session.task_folder(task))
    if state is None or state.session != session.token:
        return 0
    if state.ended:
        return state.kills
    return state_after_kill(state, _last_checkpoint(session.run_folder(task))).kills


def _last_checkpoint(path: Path) -> int:
    """Return the steps of a run's last checkpoint; 0 if there is no run or no checkpoint."""
    try:
        return max(Run(path).checkpoints(), default=0)
    except InputError:
        return 0
