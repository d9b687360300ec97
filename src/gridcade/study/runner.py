"""Many runs: a study's contenders on its environments, on this machine or on a cluster.

    study.toml                      what is compared
    sessions.json                   when it was worked on, by what, and how many tasks at once
    runs/ENV/CONTENDER/sSEED/       run folders
    tasks/ENV/CONTENDER/sSEED/      how far a task is, and what it came to: `gridcade.study.task`
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
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import tomli_w
from joblib import cpu_count

from gridcade import agents, api
from gridcade.envs import registry
from gridcade.errors import InputError, unknown
from gridcade.study.comparison import Comparison, Failure, Outcome
from gridcade.study.study import Entry, Study, differences, read_study
from gridcade.study.task import (
    TRIES,
    Session,
    Stopped,
    Task,
    attempt,
    deaths,
    in_a_line,
    over,
    result_of,
    state_of,
)
from gridcade.study.workers import Backend, MapTasks, workers
from gridcade.training import sessions, trainer
from gridcade.training.config import RunConfig, to_dict
from gridcade.training.config import differences as config_differences
from gridcade.training.run_folder import PROVENANCE, Run, find_run, find_trained, locked, write_text

STUDY, SESSIONS = "study.toml", "sessions.json"
LOOK = 0.5  # seconds between two looks at all tasks


@dataclass(frozen=True)
class TaskStatus:
    """Where a task stands, to be shown."""

    name: str
    phase: str  # waiting, training, evaluating, done, failed
    share: float = 0.0  # of its training
    learns: bool = True
    steps: int = 0
    worth: float | None = None
    reason: str = ""


def run(
    study: Study,
    out: str | Path,
    *,
    backend: Backend = "loky",
    address: str | None = None,
    jobs: int | None = None,
    report: Callable[[Sequence[TaskStatus]], None] | None = None,
    stop: Callable[[], bool] = lambda: False,
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
        stop: asked now and then, from another thread; true has the tasks stop at a checkpoint.

    Raises:
        InputError: a name or value that makes no sense, contender and environment that do not
            fit, a folder that is taken, or no cluster; nothing was begun then. Or no worker can
            begin a task.
        Stopped: `stop` said so.
    """
    session = Session(study, Path(out).absolute(), Path.cwd(), secrets.token_hex(8))
    tasks = plan(study)
    _check_folder(session, tasks)
    reason = ""
    if to_do := [task for task in tasks if result_of(session.folder(task), task) is None]:
        if address is None:  # of a cluster's memory nothing is known here
            most = sorted((task.memory for task in to_do), reverse=True)
            sessions.check_memory([*filter(None, most[: jobs or cpu_count()])])
        with (
            workers(backend, address, jobs) as map_tasks,
            _begun(session),
            _watched(tasks, session, report, stop) as stopped,
        ):
            at_once = jobs or (None if address else cpu_count())  # None: as the cluster has it
            _add_session(session.out, {"backend": backend, "jobs": at_once})
            reason = _work_off(tasks, session, map_tasks, stopped)
    elif read_study(session.out / STUDY).as_dict() != study.as_dict():
        with _begun(session):
            pass  # the folder keeps the study as it is now
    comparison = gather(tasks, session, reason)
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
        for entry in study.contenders:
            try:
                configs, memory = _configs(entry, env, study) if entry.kind else ([], 0)
                fixed = [] if entry.kind else [_check_fixed(entry, env)]
            except InputError as error:
                raise InputError(f"{entry.label} on {env}: {error}") from None
            world = registry.map_text(env)  # which can be read: the environment was made
            depends = (env, world, study.episodes, study.evaluation_seed, study.confidence)
            started = [_digest(configs[0].init_from)] if configs and configs[0].init_from else []
            tasks += [
                Task(entry, env, c.seed, c, _key(to_dict(c), *depends, *started), memory)
                for c in configs
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
    alone = {"threads": 1} if "threads" in {field.name for field in fields(kind.config)} else {}
    hyperparameters = alone | entry.hyperparameters  # a preset may be for a whole machine
    config, agent = sessions.dry_run(
        kind.name,
        env,
        hyperparameters,
        preset=entry.preset or None,
        steps=study.steps,
        minutes=study.minutes,
        envs=entry.envs,
        evaluation_every=entry.evaluation_every,
        init_from=_pinned(entry.init_from) if entry.init_from else None,
    )
    configs = [replace(config, seed=seed) for seed in range(study.seeds)]
    return configs, agent.memory_bytes(config.envs)


def _check_fixed(entry: Entry, env: str) -> tuple[str, tuple[Any, ...]]:
    """A policy that learns nothing, and what its worth depends on besides its name.

    Of a run that is the checkpoint that it has just now.

    Raises:
        InputError: there is none, or it does not fit.
    """
    known = {*api.BUILT_IN, *agents.trained()}
    if entry.policy not in known and not os.path.exists(entry.policy):
        raise unknown("contender", entry.policy, {*known, *agents.AGENTS})
    for name in ("preset", "hyperparameters", "envs", "evaluation_every", "init_from"):
        if value := getattr(entry, name):
            raise InputError(f"'{entry.policy}' learns nothing here: it takes no {name} ({value})")
    if entry.policy.endswith(api.ZIP):
        raise InputError(
            f"'{entry.policy}' cannot be in a study: what stable-baselines3 has saved may run any "
            "code when it is loaded; gridcade evaluate takes it, with --trust"
        )
    if api.find(entry.policy, env).run is None:
        known_by = _digest(entry.policy) if entry.policy in agents.trained() else None
        return entry.policy, (known_by,)
    run, steps = find_run(entry.policy, known)
    began = next((session.get("started") for session in _sessions(run.path / PROVENANCE)), None)
    return str(run.checkpoint(steps)), (steps, to_dict(run.config), began)


def _pinned(policy: str) -> str:
    """An agent that has learnt, as it is now: of a run, that is the checkpoint it has come to."""
    if policy in agents.trained():
        return policy
    run, steps = find_run(policy, agents.trained())
    return str(run.checkpoint(steps))


def _digest(policy: str) -> str:
    """What an agent that has learnt is known by, whatever its name."""
    _, config, tensors = find_trained(policy)
    digest = hashlib.sha256(json.dumps(to_dict(config), sort_keys=True).encode())
    for name in sorted(tensors):
        digest.update(name.encode() + tensors[name].tobytes())
    return digest.hexdigest()[:16]


def _key(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def _check_folder(session: Session, tasks: Sequence[Task]) -> None:
    """Raise InputError if the folder is not this study's, or one of its runs is another one."""
    out, file = session.out, session.out / STUDY
    if os.path.isfile(file):  # Path.is_file raises on long names, and where it may not look
        found = differences(read_study(file), session.study)
        if found and any(_has_another(task, session) for task in tasks):
            raise InputError(
                f"'{out}' holds another study ({'; '.join(found)}): choose another --out"
            )
    elif os.path.exists(out) and not (
        out.is_dir() and all(path.name == ".lock" for path in out.iterdir())  # of a full disk
    ):
        raise InputError(f"'{out}' is there already, and holds no study")
    for task in tasks:
        path = session.run(task)
        if task.entry.init_from and _has_another(task, session):
            raise InputError(
                f"'{path}' has started from another '{task.entry.init_from}': choose another --out"
            )
        if task.config is None or not os.path.isfile(path / "config.toml"):
            continue
        kept = Run(path)
        found = config_differences(kept.config, task.config)
        if kept.world != registry.map_text(task.env):
            found.append("the map differs")
        if found:
            raise InputError(
                f"'{path}' holds a run with another config ({'; '.join(found)}): "
                "choose another --out"
            )


def _has_another(task: Task, session: Session) -> bool:
    """Whether a result is there that the task would not come to."""
    folder = session.folder(task)
    return (folder / "result.json").is_file() and result_of(folder, task) is None


# ---- handing tasks out


@contextmanager
def _begun(session: Session) -> Iterator[None]:
    """The folder as this session's alone; in the end its tasks, wherever they run, stop."""
    out = session.out
    with ExitStack() as stack:
        try:
            out.mkdir(parents=True, exist_ok=True)
            stack.enter_context(locked(out / ".lock", wait=False))
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


def _work_off(
    tasks: Sequence[Task], session: Session, map_tasks: MapTasks[Task], stopped: threading.Event
) -> str:
    """Hand tasks out until each is done or given up, in rounds: a worker that died ends one.

    Where some can never begin, why is returned; where none can, it is raised.
    """
    in_vain = 0
    while pending := [task for task in tasks if not over(task, session)]:
        if stopped.is_set():
            raise Stopped
        if not session.sign.exists():
            raise InputError(f"'{session.out}' was stopped: '{session.sign.name}' is gone")
        before = [state_of(session.folder(task)) for task in pending]
        # loky's workers all die with one: a task's last try is by itself, so that it dies of
        # nobody else's fault
        last_try = [task for task in pending if deaths(task, session) >= TRIES - 1]
        reason = f"'{session.out}' is not theirs to see, or to write in"
        try:
            map_tasks(partial(attempt, session=session), last_try[:1] or pending)
        except Exception as error:  # a task keeps its own errors: a worker has died
            reason = in_a_line(error)
        in_vain += 1
        if before != [state_of(session.folder(task)) for task in pending]:
            in_vain = 0
        if in_vain == TRIES:
            reason = f"no worker can begin a task: {reason}"
            if len(pending) < len(tasks):
                return reason
            raise InputError(reason)
    return ""


@contextmanager
def _watched(
    tasks: Sequence[Task],
    session: Session,
    report: Callable[[Sequence[TaskStatus]], None] | None,
    stop: Callable[[], bool],
) -> Iterator[threading.Event]:
    """Tell where the tasks stand, meanwhile and in the end; and tell them when they are to stop.

    Yields whether they have been told.
    """
    stopped = threading.Event()
    final: dict[str, TaskStatus] = {}  # where -> what will not change
    over = threading.Event()

    def look() -> None:
        if stop():
            stopped.set()
            session.sign.unlink(missing_ok=True)
        if report is None:
            return
        found = {t.place: final.get(t.place) or _status(t, session) for t in tasks}
        final.update({p: one for p, one in found.items() if one.phase in ("done", "failed")})
        report(list(found.values()))

    def keep_looking() -> None:
        while not over.wait(LOOK):
            look()

    thread = threading.Thread(target=keep_looking, daemon=True)
    look()
    thread.start()
    try:
        yield stopped
    finally:
        over.set()
        thread.join()
        look()


def _status(task: Task, session: Session) -> TaskStatus:
    learns = task.config is not None
    state = state_of(session.folder(task))
    if state is None or state.session != session.token or state.phase == "stopped":
        done = result_of(session.folder(task), task) is not None
        return TaskStatus(task.name, "done" if done else "waiting", float(done), learns)
    config, share = task.config, 1.0
    if state.phase == "training" and config is not None:
        share = trainer.budget_share(config.steps, config.minutes, state.steps, state.seconds)
    told = state.steps, state.worth, state.reason
    return TaskStatus(task.name, state.phase, share, learns, *told)


# ---- what came out


def gather(tasks: Sequence[Task], session: Session, reason: str = "") -> Comparison:
    """What the tasks of a study came to; `reason` is why some of them have never begun."""
    outcomes: dict[str, dict[str, tuple[Outcome, ...]]] = {
        env: {entry.label: () for entry in session.study.contenders}
        for env in session.study.environments
    }
    failures = []
    for task in tasks:
        label = task.entry.label
        if (evaluation := result_of(session.folder(task), task)) is not None:
            outcomes[task.env][label] += (_outcome(task, session, evaluation),)
        else:
            state = state_of(session.folder(task))
            why = (state.reason if state else "") or reason
            failures.append(Failure(label, task.env, task.seed, why))
    return Comparison(
        session.study, outcomes, tuple(failures), tuple(_sessions(session.out / SESSIONS))
    )


def _outcome(task: Task, session: Session, evaluation: Mapping[str, Any]) -> Outcome:
    if task.config is None:
        return Outcome(None, evaluation, policy=task.policy)
    try:
        kept = Run(session.run(task))
    except InputError:  # the run folder has gone: its scores are in the result
        return Outcome(task.seed, evaluation, config=to_dict(task.config))
    return Outcome(
        task.seed,
        evaluation,
        metrics=tuple(kept.metrics()),
        config=to_dict(kept.config),
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
