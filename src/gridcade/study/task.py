"""One task of a study, in whatever process works on it: trained, evaluated, and told of.

A task's folder is all that it and whoever handed it out have in common:

    tasks/ENV/CONTENDER/sSEED/state.json    how far it is
                              result.json   its final evaluation
                              error-N.txt   what went wrong
"""

import json
import os
import shutil
import socket
import time
import traceback
from contextlib import chdir, closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from gridcade import api
from gridcade.envs import registry
from gridcade.errors import InputError, WriteError
from gridcade.evaluation.evaluate import evaluate_policy
from gridcade.study.study import Entry, Study, slug
from gridcade.training import sessions, trainer
from gridcade.training.config import RunConfig
from gridcade.training.run_folder import Run, locked, write_text

TRIES = 3
PULSE = 1.0  # seconds between two words from a task, and between two looks at whether to go on


@dataclass(frozen=True)
class Task:
    """A contender on an environment: trained from a seed and evaluated, or just evaluated."""

    entry: Entry
    env: str
    seed: int | None  # None: nothing is trained
    config: RunConfig | None  # of the run, settled
    key: str  # of all that its result depends on
    memory: int = 0  # bytes that its training fills, where they are many
    policy: str = ""  # what is evaluated where nothing is trained

    @property
    def place(self) -> str:
        """Where it is kept, in `runs/` and in `tasks/`."""
        last = "fixed" if self.seed is None else f"s{self.seed}"
        return "/".join((slug(self.env), slug(self.entry.label), last))

    @property
    def name(self) -> str:
        """What people read."""
        seed = "" if self.seed is None else f" seed {self.seed}"
        return f"{self.env} {self.entry.label}{seed}"


@dataclass(frozen=True)
class Session:
    """One call of `run`, as its tasks know it."""

    study: Study
    out: Path  # absolute
    cwd: Path  # from where names of files are meant
    token: str  # no two sessions have the same

    def folder(self, task: Task) -> Path:
        """Of what is kept of a task besides its run."""
        return self.out / "tasks" / task.place

    def run(self, task: Task) -> Path:
        """A task's run folder."""
        return self.out / "runs" / task.place

    @property
    def sign(self) -> Path:
        """A file that is there while its tasks are wanted: a worker anywhere can see it go."""
        return self.out / f".session-{self.token}"


@dataclass(frozen=True)
class State:
    """How far a task is."""

    session: str  # its token
    phase: str  # training, evaluating, done, failed, stopped
    host: str = ""
    pid: int = 0
    trained: bool = False
    steps: int = 0
    seconds: float = 0.0  # of training
    worth: float | None = None  # the latest return of the greedy policy, or its average reward
    reached: int = 0  # steps of the furthest checkpoint there was when it was last begun
    kills: int = 0  # without a new checkpoint
    errors: int = 0
    reason: str = ""  # of the last failure, in one line

    @property
    def ended(self) -> bool:
        """Whether its process came to an end of its own; else it runs, or was killed."""
        return self.phase in ("done", "failed", "stopped")


class Stopped(Exception):  # noqa: N818 - nothing is wrong
    """The session is over before all was done; the same call goes on."""


def attempt(task: Task, session: Session) -> None:
    """Do a task, or what is left of it; what becomes of it is told in its folder."""
    os.environ["OMP_NUM_THREADS"] = "1"  # before PyTorch is loaded
    folder = session.folder(task)
    if not session.sign.exists():
        return  # the session is over, or its folder is not to be seen from here
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return  # what cannot be written cannot be told either: the others go on
    # one that a dying session or a lost node still works on is waited for
    with chdir(session.cwd), locked(folder / ".lock", wait=True), suppress(OSError):
        if session.sign.exists() and not over(task, session):
            _try(task, session, _Pulse(folder, session, _begin(task, session)))


def _begin(task: Task, session: Session) -> State:
    """The state to begin in: tries are counted within a session."""
    before, reached = state_of(session.folder(task)), _reached(session.run(task))
    if before is None or before.session != session.token:
        trained = before is not None and before.trained
        return State(session.token, "training", trained=trained, reached=reached)
    return before if before.ended else _killed(before, reached)


def _killed(state: State, reached: int) -> State:
    """A state after a kill, which is charged where no further checkpoint was reached."""
    charged = state.kills + (reached <= state.reached)
    return replace(state, kills=charged, reached=max(state.reached, reached))


def _try(task: Task, session: Session, pulse: "_Pulse") -> None:
    """Do a task, again after an error; bad input comes again, so that is not worth it."""
    if pulse.state.kills >= TRIES:
        reason = f"killed {TRIES} times without a new checkpoint"
        return pulse.tell(phase="failed", reason=reason)
    while True:
        pulse.tell(phase="training", host=socket.gethostname(), pid=os.getpid())
        try:
            _do(task, session, pulse)
            return pulse.tell(phase="done")
        except Stopped:
            return pulse.tell(phase="stopped")
        except Exception as error:
            errors = pulse.state.errors + 1
            write_text(pulse.folder / f"error-{errors}.txt", traceback.format_exc())
            reason = in_a_line(error).replace(f"{session.out}{os.sep}", "")
            pulse.tell(errors=errors, reason=reason)
            in_vain = isinstance(error, InputError) and not isinstance(error, WriteError)
            if errors == TRIES or in_vain:
                return pulse.tell(phase="failed")


def _do(task: Task, session: Session, pulse: "_Pulse") -> None:
    """Train, if there is something to, and evaluate."""
    policy: Any = task.policy
    if task.config is not None:
        policy = _trained(task.config, session.run(task), pulse)
    pulse.tell(phase="evaluating", trained=task.config is not None)
    with closing(registry.make(task.env)) as single:
        model = registry.known_model(single)
    continuing = model is not None and model.continuing
    found = api.find(policy, task.env)
    evaluation = evaluate_policy(
        found.policy,
        found.env,
        episodes=None if continuing else session.study.episodes,
        seed=session.study.evaluation_seed,
        confidence=session.study.confidence,
        name=task.entry.label,
        progress=pulse.evaluating,
    )
    result = {"key": task.key, "evaluation": evaluation.as_dict()}
    write_text(pulse.folder / "result.json", json.dumps(result, indent=2) + "\n")
    shutil.rmtree(pulse.session.run(task) / "replay", ignore_errors=True)  # 7 GB, of no more use


def _trained(config: RunConfig, path: Path, pulse: "_Pulse") -> Run:
    """A task's run, trained to its budget."""
    if not (path / "config.toml").is_file():
        pulse.tell(trained=False)  # where an earlier one was removed
        found = sessions.start(config, path, report=pulse.training, stop=pulse.stop)
    elif pulse.state.trained:
        found = Run(path)
    else:
        found = sessions.resume(path, report=pulse.training, stop=pulse.stop)
    if pulse.stopping:
        raise Stopped
    return found


class _Pulse:
    """Tells how far a task is, and asks whether it is to go on."""

    def __init__(self, folder: Path, session: Session, state: State):
        self.folder, self.session, self.state = folder, session, state
        self.stopping = False
        self._told = self._asked = -PULSE  # clock
        self._worth: float | None = None

    def tell(self, **changes: Any) -> None:
        """Write the state, with these changes."""
        self.state = replace(self.state, **changes)
        write_text(self.folder / "state.json", msgspec.json.encode(self.state).decode())

    def training(self, progress: trainer.Progress) -> None:
        """Tell of a training."""
        metrics = progress.metrics or {}
        self._worth = metrics.get("return_mean", metrics.get("average_reward_mean", self._worth))
        if (now := time.monotonic()) - self._told >= PULSE:
            self._told = now
            self.tell(steps=progress.steps, seconds=progress.seconds, worth=self._worth)

    def evaluating(self, done: int, total: int) -> None:
        """Go on evaluating, or stop."""
        del done, total
        if self.stop():
            raise Stopped

    def stop(self) -> bool:
        """Whether the session is over."""
        if (now := time.monotonic()) - self._asked >= PULSE:
            self._asked = now
            self.stopping = not self.session.sign.exists()
        return self.stopping


def state_of(folder: Path) -> State | None:
    """How far a task is, as its folder tells; None if it was never begun."""
    try:
        return msgspec.json.decode((folder / "state.json").read_bytes(), type=State)
    except (OSError, msgspec.DecodeError):
        return None


def _reached(path: Path) -> int:
    """The steps of a run's last checkpoint; 0: none, or the one that it begins with."""
    try:
        return max(Run(path).checkpoints(), default=0)
    except InputError:
        return 0


def result_of(folder: Path, task: Task) -> dict[str, Any] | None:
    """A task's final evaluation; None if it is not done."""
    try:
        kept = json.loads((folder / "result.json").read_bytes())
        return dict(kept["evaluation"]) if kept["key"] == task.key else None
    except (OSError, KeyError, TypeError, ValueError):
        return None


def in_a_line(error: Exception) -> str:
    """An error in one line."""
    text = " ".join(str(error).split())
    return text if isinstance(error, InputError) else f"{type(error).__name__}: {text}"


def over(task: Task, session: Session) -> bool:
    """Whether it is done, or given up in this session."""
    state = state_of(session.folder(task))
    given_up = state is not None and state.session == session.token and state.phase == "failed"
    return given_up or result_of(session.folder(task), task) is not None


def deaths(task: Task, session: Session) -> int:
    """How often a task was killed without a new checkpoint, the last time included."""
    state = state_of(session.folder(task))
    if state is None or state.session != session.token:
        return 0
    return state.kills if state.ended else _killed(state, _reached(session.run(task))).kills
