"""Many runs: a study's contenders on its environments, on this machine or on a cluster.

    study.toml                      what is compared
    sessions.json                   when it was worked on, by what, and how many tasks at once
    runs/ENV/CONTENDER/sSEED/       run folders
    tasks/ENV/CONTENDER/sSEED/      of every task: state.json, how far it is;
                                    result.json, its final evaluation; error-N.txt, what went wrong
    results.json, results.csv       what came out

This folder is all that tasks and whoever started them have in common, so every backend works alike.
A task is done when its result is there. One that was killed goes on at its checkpoint; one that
fails TRIES times, by an error or by being killed without a new checkpoint, is given up, and the
others go on.
"""

import csv
import hashlib
import io
import json
import os
import secrets
import shutil
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, chdir, closing, contextmanager
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import tomli_w
from joblib import cpu_count

from gridcade import agents, api, trainer, training
from gridcade.comparison import Comparison, Failure, Outcome
from gridcade.envs import lookup
from gridcade.errors import InputError, WriteError, unknown
from gridcade.evaluation import measure
from gridcade.run import PROVENANCE, Run, RunConfig, find_run, plain, write_text
from gridcade.run import differences as config_differences
from gridcade.study import Entry, Study, differences, read_study, slug
from gridcade.workers import Backend, HandOut, workers

try:
    import fcntl
except ImportError:  # Windows has none: there nothing is locked
    fcntl = None  # type: ignore[assignment]

STUDY, SESSIONS = "study.toml", "sessions.json"
TRIES = 3
PULSE = 1.0  # seconds between two words from a task, and between two looks at whether to go on
LOOK = 0.5  # seconds between two looks at all tasks


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
    decisions: int = 0
    seconds: float = 0.0  # of training
    worth: float | None = None  # the latest return of the greedy policy, or its average reward
    reached: int = 0  # decisions of the furthest checkpoint there was when it was last begun
    kills: int = 0  # without a new checkpoint
    errors: int = 0
    reason: str = ""  # of the last failure, in one line

    @property
    def ended(self) -> bool:
        """Whether its process came to an end of its own; else it runs, or was killed."""
        return self.phase in ("done", "failed", "stopped")


@dataclass(frozen=True)
class Standing:
    """Where a task stands, to be shown."""

    name: str
    phase: str  # waiting, training, evaluating, done, failed
    share: float = 0.0  # of its training
    decisions: int = 0
    worth: float | None = None
    reason: str = ""


class _Stopped(Exception):  # noqa: N818 - nothing is wrong
    """The session is over, and the task ends with it."""


def run(
    study: Study,
    out: str | Path,
    *,
    backend: Backend = "loky",
    address: str | None = None,
    jobs: int | None = None,
    report: Callable[[Sequence[Standing]], None] | None = None,
) -> Comparison:
    """Train and evaluate what is not yet, and write results.json and results.csv.

    Args:
        study: what is compared with what.
        out: the study's folder, new, or its own, in which it may grow; a cluster's workers must
            see it under this path.
        backend: what runs the tasks: loky on this machine; ray or dask here or on a cluster.
        address: of a cluster; None: this machine.
        jobs: tasks side by side; None: as many as there are cores.
        report: called now and then, from another thread, with where every task stands.

    Raises:
        InputError: a name or value that makes no sense, contender and environment that do not
            fit, a folder that is taken, or no cluster; nothing was begun then.
    """
    session = Session(study, Path(out).absolute(), Path.cwd(), secrets.token_hex(8))
    tasks = plan(study)
    _check_folder(session, tasks)
    if to_do := [task for task in tasks if _result(session.folder(task), task) is None]:
        if address is None:  # of a cluster's memory nothing is known here
            most = sorted((task.memory for task in to_do), reverse=True)
            training.check_memory([*filter(None, most[: jobs or cpu_count()])])
        with (
            workers(backend, address, jobs) as hand_out,
            _begun(session),
            _watched(tasks, session, report),
        ):
            at_once = jobs or (None if address else cpu_count())  # None: as the cluster has it
            _add_session(session.out, {"backend": backend, "jobs": at_once})
            _work_off(tasks, session, hand_out)
    elif read_study(session.out / STUDY).as_dict() != study.as_dict():
        with _begun(session):
            pass  # the folder keeps the study as it is now
    comparison = gather(tasks, session)
    write_results(comparison, session.out)
    return comparison


# ---- what there is to do


def plan(study: Study) -> list[Task]:
    """The tasks of a study, first seeds first.

    Raises:
        InputError: a name or value that makes no sense, or contender and environment do not fit.
    """
    tasks = []
    for env in study.environments:
        map_ = lookup.map_file(env)
        world = map_.read_text(encoding="utf-8") if map_ and map_.is_file() else None
        depends = (env, world, study.episodes, study.evaluation_seed, study.confidence)
        for entry in study.contenders:
            try:
                configs, memory = _configs(entry, env, study) if entry.kind else ([], 0)
                fixed = [] if entry.kind else [_check_fixed(entry, env)]
            except InputError as error:
                raise InputError(f"{entry.label} on {env}: {error}") from None
            tasks += [
                Task(entry, env, c.seed, c, _key(plain(c), *depends), memory) for c in configs
            ]
            tasks += [
                Task(entry, env, None, None, _key((entry.policy, *known), *depends), policy=policy)
                for policy, known in fixed
            ]
    places = [task.place for task in tasks]
    if twice := sorted({p for p in places if places.count(p) > 1}):
        raise InputError(f"two contenders or environments would share the folder '{twice[0]}'")
    return sorted(tasks, key=lambda task: -1 if task.seed is None else task.seed)


def _configs(entry: Entry, env: str, study: Study) -> tuple[list[RunConfig], int]:
    """The runs of an agent, one a seed, and the memory of each; InputError if it does not fit."""
    kind = agents.find(entry.policy)
    given = {"steps": study.steps, "minutes": study.minutes, "envs": entry.envs}
    alone = {"threads": 1} if "threads" in {field.name for field in fields(kind.config)} else {}
    hyperparameters = alone | entry.hyperparameters  # a preset may be for a whole machine
    settled = training.settle(kind, env, entry.preset or None, None, given, hyperparameters)
    agent, _ = training.tried(settled)
    return [replace(settled, seed=seed) for seed in range(study.seeds)], training.memory_of(agent)


def _check_fixed(entry: Entry, env: str) -> tuple[str, tuple[Any, ...]]:
    """A policy that learns nothing, and what its worth depends on besides its name.

    Of a run that is the checkpoint that it has just now.

    Raises:
        InputError: there is none, or it does not fit.
    """
    known = {*api.BUILT_IN, *agents.trained()}
    if entry.policy not in known and not os.path.exists(entry.policy):
        raise unknown("contender", entry.policy, {*known, *agents.AGENTS})
    for name in ("preset", "hyperparameters", "envs"):
        if value := getattr(entry, name):
            raise InputError(f"'{entry.policy}' learns nothing here: it takes no {name} ({value})")
    if entry.policy.endswith(api.ZIP):
        raise InputError(
            f"'{entry.policy}' cannot be in a study: what stable-baselines3 has saved may run any "
            "code when it is loaded; gridcade evaluate takes it, with --trust"
        )
    if api.find(entry.policy, env).run is None:
        return entry.policy, (None,)
    run, decisions = find_run(entry.policy, known)
    began = next((session.get("started") for session in _sessions(run.path / PROVENANCE)), None)
    checkpoint = run.path / "checkpoints" / str(decisions)
    return str(checkpoint), (decisions, plain(run.config), began)


def _key(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def _check_folder(session: Session, tasks: Sequence[Task]) -> None:
    """Raise InputError if the folder is not this study's, or one of its runs is another one."""
    out, file = session.out, session.out / STUDY
    if file.is_file():
        found = differences(read_study(file), session.study)
        if found and any(_has_another(task, session) for task in tasks):
            raise InputError(
                f"'{out}' holds another study ({'; '.join(found)}): choose another --out"
            )
    elif out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise InputError(f"'{out}' is there already, and holds no study")
    for task in tasks:
        path = session.run(task)
        if task.config is None or not (path / "config.toml").is_file():
            continue
        kept = Run(path)
        found = config_differences(kept.config, task.config)
        map_ = lookup.map_file(task.env)
        if kept.world != (map_.read_text(encoding="utf-8") if map_ else None):
            found.append("the map differs")
        if found:
            raise InputError(
                f"'{path}' holds a run with another config ({'; '.join(found)}): "
                "choose another --out"
            )


def _has_another(task: Task, session: Session) -> bool:
    """Whether a result is there that the task would not come to."""
    folder = session.folder(task)
    return (folder / "result.json").is_file() and _result(folder, task) is None


# ---- the one who hands tasks out


@contextmanager
def _begun(session: Session) -> Iterator[None]:
    """The folder as this session's alone; in the end its tasks, wherever they run, stop."""
    out = session.out
    with ExitStack() as stack:
        try:
            out.mkdir(parents=True, exist_ok=True)
            stack.enter_context(_locked(out / ".lock", wait=False))
            write_text(out / STUDY, tomli_w.dumps(session.study.as_dict()))
            for other in out.glob(".session-*"):
                other.unlink()
            session.sign.touch()
        except BlockingIOError:
            raise InputError(f"'{out}' is being worked on just now") from None
        except OSError as error:
            raise InputError(f"cannot write in '{out}': {error.strerror}") from None
        try:
            yield
        finally:
            session.sign.unlink(missing_ok=True)


def _add_session(out: Path, about: Mapping[str, Any]) -> None:
    """Note how a study is worked on: what the clock bounds depends on what runs beside it."""
    started = datetime.now(UTC).isoformat(timespec="seconds")
    sessions = [*_sessions(out / SESSIONS), {"started": started, **about}]
    write_text(out / SESSIONS, json.dumps({"sessions": sessions}, indent=2) + "\n")


def _sessions(file: Path) -> list[dict[str, Any]]:
    """A study's or a run's sessions in their order; none where the file does not tell."""
    try:
        return list(json.loads(file.read_bytes())["sessions"])
    except (OSError, KeyError, TypeError, ValueError):
        return []


def _work_off(tasks: Sequence[Task], session: Session, hand_out: HandOut[Task]) -> None:
    """Hand tasks out until each is done or given up, in rounds: a worker that died ends one."""
    in_vain = 0
    while pending := [task for task in tasks if not _over(task, session)]:
        if not session.sign.exists():
            raise InputError(f"'{session.out}' was stopped: '{session.sign.name}' is gone")
        before = [_state(session.folder(task)) for task in pending]
        # loky's workers all die with one: a task's last try is by itself, so that it dies of
        # nobody else's fault
        last_try = [task for task in pending if _deaths(task, session) >= TRIES - 1]
        try:
            hand_out(partial(attempt, session=session), last_try[:1] or pending)
        except Exception as error:  # a task keeps its own errors: a worker has died
            in_vain += 1
            if before != [_state(session.folder(task)) for task in pending]:
                in_vain = 0
            if in_vain == TRIES:
                raise InputError(f"no worker can begin a task: {_line(error)}") from error


def _over(task: Task, session: Session) -> bool:
    state = _state(session.folder(task))
    given_up = state is not None and state.session == session.token and state.phase == "failed"
    return given_up or _result(session.folder(task), task) is not None


def _deaths(task: Task, session: Session) -> int:
    """How often a task was killed without a new checkpoint, the last time included."""
    state = _state(session.folder(task))
    if state is None or state.session != session.token:
        return 0
    return state.kills if state.ended else _killed(state, _reached(session.run(task))).kills


@contextmanager
def _watched(
    tasks: Sequence[Task], session: Session, report: Callable[[Sequence[Standing]], None] | None
) -> Iterator[None]:
    """Tell where the tasks stand, meanwhile and in the end."""
    if report is None:
        yield
        return
    final: dict[str, Standing] = {}  # where -> what will not change
    over = threading.Event()

    def look() -> None:
        found = {t.place: final.get(t.place) or _standing(t, session) for t in tasks}
        final.update({p: one for p, one in found.items() if one.phase in ("done", "failed")})
        report(list(found.values()))

    def keep_looking() -> None:
        while not over.wait(LOOK):
            look()

    thread = threading.Thread(target=keep_looking, daemon=True)
    look()
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        look()


def _standing(task: Task, session: Session) -> Standing:
    state = _state(session.folder(task))
    if state is None or state.session != session.token or state.phase == "stopped":
        done = _result(session.folder(task), task) is not None
        return Standing(task.name, "done" if done else "waiting", share=float(done))
    config, share = task.config, 1.0
    if state.phase == "training" and config is not None:
        share = trainer.share(config, state.decisions, state.seconds)
    return Standing(task.name, state.phase, share, state.decisions, state.worth, state.reason)


# ---- a task, in a worker


def attempt(task: Task, session: Session) -> None:
    """Do a task, or what is left of it; what becomes of it is told in its folder."""
    os.environ["OMP_NUM_THREADS"] = "1"  # before PyTorch is loaded
    folder = session.folder(task)
    folder.mkdir(parents=True, exist_ok=True)
    # one that a dying session or a lost node still works on is waited for
    with chdir(session.cwd), _locked(folder / ".lock", wait=True):
        if session.sign.exists() and not _over(task, session):
            _try(task, session, _Pulse(folder, session, _begin(task, session)))


def _begin(task: Task, session: Session) -> State:
    """The state to begin in: tries are counted within a session."""
    before, reached = _state(session.folder(task)), _reached(session.run(task))
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
        except _Stopped:
            return pulse.tell(phase="stopped")
        except Exception as error:
            errors = pulse.state.errors + 1
            write_text(pulse.folder / f"error-{errors}.txt", traceback.format_exc())
            reason = _line(error).replace(f"{session.out}{os.sep}", "")
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
    with closing(lookup.make(task.env)) as single:
        model = lookup.known_model(single)
    continuing = model is not None and model.continuing
    found = api.find(policy, task.env)
    evaluation = measure(
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
        wanted = {field.name: getattr(config, field.name) for field in fields(config)}
        found = training.train(out=path, report=pulse.training, stop=pulse.stop, **wanted)
    elif pulse.state.trained:
        found = Run(path)
    else:
        found = training.resume(path, report=pulse.training, stop=pulse.stop)
    if pulse.stopping:
        raise _Stopped
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
            self.tell(decisions=progress.decisions, seconds=progress.seconds, worth=self._worth)

    def evaluating(self, done: int, total: int) -> None:
        """Go on evaluating, or stop."""
        del done, total
        if self.stop():
            raise _Stopped

    def stop(self) -> bool:
        """Whether the session is over."""
        if (now := time.monotonic()) - self._asked >= PULSE:
            self._asked = now
            self.stopping = not self.session.sign.exists()
        return self.stopping


@contextmanager
def _locked(file: Path, wait: bool) -> Iterator[None]:
    """A file that no other process has locked; BlockingIOError if one has and is not waited for."""
    with file.open("w") as opened:
        if fcntl is not None:
            fcntl.flock(opened, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield


def _state(folder: Path) -> State | None:
    """How far a task is, as its folder tells; None if it was never begun."""
    try:
        return msgspec.json.decode((folder / "state.json").read_bytes(), type=State)
    except (OSError, msgspec.DecodeError):
        return None


def _reached(path: Path) -> int:
    """The decisions of a run's last checkpoint; 0: none, or the one that it begins with."""
    try:
        return max(Run(path).checkpoints(), default=0)
    except InputError:
        return 0


def _result(folder: Path, task: Task) -> dict[str, Any] | None:
    """A task's final evaluation; None if it is not done."""
    try:
        kept = json.loads((folder / "result.json").read_bytes())
        return dict(kept["evaluation"]) if kept["key"] == task.key else None
    except (OSError, KeyError, TypeError, ValueError):
        return None


def _line(error: Exception) -> str:
    """An error in one line."""
    text = " ".join(str(error).split())
    return text if isinstance(error, InputError) else f"{type(error).__name__}: {text}"


# ---- what came out


def gather(tasks: Sequence[Task], session: Session) -> Comparison:
    """What the tasks of a study came to."""
    outcomes: dict[str, dict[str, tuple[Outcome, ...]]] = {
        env: {entry.label: () for entry in session.study.contenders}
        for env in session.study.environments
    }
    failures = []
    for task in tasks:
        label = task.entry.label
        if (evaluation := _result(session.folder(task), task)) is not None:
            outcomes[task.env][label] += (_outcome(task, session, evaluation),)
        else:
            state = _state(session.folder(task))
            reason = state.reason if state else ""
            failures.append(Failure(label, task.env, task.seed, reason))
    return Comparison(
        session.study, outcomes, tuple(failures), tuple(_sessions(session.out / SESSIONS))
    )


def _outcome(task: Task, session: Session, evaluation: Mapping[str, Any]) -> Outcome:
    if task.config is None:
        return Outcome(None, evaluation, policy=task.policy)
    try:
        kept = Run(session.run(task))
    except InputError:  # the run folder has gone: its scores are in the result
        return Outcome(task.seed, evaluation, config=plain(task.config))
    return Outcome(
        task.seed,
        evaluation,
        metrics=tuple(kept.metrics()),
        config=plain(kept.config),
        sessions=tuple(_sessions(kept.path / PROVENANCE)),
        run=kept.path,
    )


def write_results(comparison: Comparison, out: Path) -> None:
    """Write results.json, with the verdicts in words, and results.csv.

    Raises:
        InputError: they cannot be written.
    """
    from gridcade.report import verdicts  # with its figures, which workers need not load

    found = comparison.as_dict() | {"verdicts": verdicts(comparison)}
    table = io.StringIO()
    rows = list(comparison.rows())
    writer = csv.DictWriter(table, fieldnames=list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    try:
        write_text(out / "results.json", json.dumps(found, indent=2) + "\n")
        write_text(out / "results.csv", table.getvalue())
    except OSError as error:
        raise InputError(f"cannot write in '{out}': {error.strerror}") from None
