"""Run the tasks of a study on this machine or on a cluster, and gather their results.

    study.toml                      the study
    sessions.json                   start time, backend and jobs of each session
    runs/ENV/CONTENDER/sSEED/       run folders
    tasks/ENV/CONTENDER/sSEED/      state and result of each task: see `gridcade.study.task`

A task is done when its result exists. A task that was killed continues from its last checkpoint. A
task that fails MAX_ATTEMPTS times, by an error or by being killed without a new checkpoint, is
marked as failed, and the others continue.
"""

import json
import os
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import tomli_w
from joblib import cpu_count

from gridcade.envs import registry
from gridcade.errors import InputError, one_line
from gridcade.files import is_empty, write_text
from gridcade.study.comparison import Comparison, Failure, RunResult
from gridcade.study.measures import measure_key
from gridcade.study.plan import plan_tasks, read_sessions
from gridcade.study.study import Study, read_study, report_changes, study_differences
from gridcade.study.task import (
    MAX_ATTEMPTS,
    Stopped,
    StudySession,
    Task,
    is_finished,
    kill_count,
    read_result,
    read_state,
    run_task,
)
from gridcade.study.workers import Backend, MapTasks, workers
from gridcade.training import sessions, trainer
from gridcade.training.config import differences, to_dict
from gridcade.training.locks import locked
from gridcade.training.run_folder import PROVENANCE, Run
from gridcade.training.trust import changed_code

STUDY_FILE, SESSIONS_FILE = "study.toml", "sessions.json"
POLL_INTERVAL = 0.5  # seconds between two reads of all task states


@dataclass(frozen=True)
class TaskStatus:
    """The status of a task for a progress display."""

    name: str
    phase: str  # waiting, training, evaluating, done, failed
    share: float = 0.0  # fraction of the training budget that is used up
    learns: bool = True  # whether the task trains
    steps: int = 0
    score: float | None = None  # latest evaluation: mean return, or the average reward
    reason: str = ""  # last error


def run_study(
    study: Study,
    out: str | Path,
    *,
    backend: Backend = "loky",
    address: str | None = None,
    jobs: int | None = None,
    report: Callable[[Sequence[TaskStatus]], None] | None = None,
    stop: Callable[[], bool] = lambda: False,
    note: Callable[[str], None] = lambda _: None,
) -> Comparison:
    """Run all tasks of a study that have no result yet, and return all results.

    Args:
        study: the study.
        out: the study's folder: new, or one of an earlier session, which the study may extend. The
            workers of a cluster must see it under the same path.
        backend: loky for this machine; ray or dask for this machine or a cluster.
        address: address of a cluster; None: this machine.
        jobs: number of tasks that run at the same time; None: one per core.
        report: called every half second, from another thread, with the status of every task.
        stop: called every half second, from another thread; if it returns true, all tasks stop at a
            checkpoint.
        note: called before the first task, with a sentence on what an earlier report in the folder
            showed and the new one does not.

    Raises:
        InputError: the study is invalid, the folder is in use or holds something else, no cluster
            answers (nothing was started in these cases), or no worker can start a task.
        Stopped: `stop` returned true.
    """
    session = StudySession(study, Path(out).absolute(), Path.cwd(), secrets.token_hex(8))
    tasks = plan_tasks(study)
    _check_folder(session, tasks)
    earlier = session.out / STUDY_FILE
    if os.path.isfile(earlier) and (changes := report_changes(read_study(earlier), study)):
        note("; ".join(changes))
    reason = ""
    if pending := [task for task in tasks if not _has_result(task, session)]:
        if address is None:  # The memory of a cluster's nodes is unknown here.
            largest = sorted((task.memory_bytes for task in pending), reverse=True)
            sessions.check_memory([*filter(None, largest[: jobs or cpu_count()])])
        with (
            workers(backend, address, jobs) as map_tasks,
            open_session(session),
            _monitor(tasks, session, report, stop) as stopped,
        ):
            # On a cluster without --jobs, the cluster decides the number: None.
            concurrent = jobs or (None if address else cpu_count())
            _record_session(session.out, {"backend": backend, "jobs": concurrent})
            reason = run_tasks(tasks, session, map_tasks, stopped)
    elif read_study(session.out / STUDY_FILE).as_dict() != study.as_dict():
        with open_session(session):
            pass  # This writes the current study into its folder.
    return gather_results(tasks, session, reason)


def _has_result(task: Task, session: StudySession) -> bool:
    return read_result(session.task_folder(task), task) is not None


# ---- the study's folder


def _check_folder(session: StudySession, tasks: Sequence[Task]) -> None:
    """Raise InputError if the folder holds another study, other runs, or something else."""
    out, file = session.out, session.out / STUDY_FILE
    if os.path.isfile(file):  # Path.is_file raises for long names and unreadable folders.
        changes = study_differences(read_study(file), session.study)
        if changes and any(_has_outdated_result(task, session) for task in tasks):
            raise InputError(
                f"'{out}' holds another study ({'; '.join(changes)}): "
                "choose another --out (Python: out=)"
            )
    elif os.path.exists(out) and not is_empty(out):
        raise InputError(f"'{out}' exists and holds no study: choose another --out (Python: out=)")
    for task in tasks:
        path = session.run_folder(task)
        init_from = task.spec.init_from
        if init_from and _has_outdated_result(task, session):
            raise InputError(
                f"'{path}' started from an earlier state of '{init_from}': "
                "choose another --out (Python: out=)"
            )
        if task.config is None or not os.path.isfile(path / "config.toml"):
            continue
        run = Run(path)
        if not _has_result(task, session):
            with suppress(InputError):  # The task itself will report the error.
                run.last_checkpoint()  # Warn of damaged checkpoints, because workers do not.
        changes = differences(run.config, task.config)
        if run.world != registry.map_text(task.env):
            changes.append("the map differs")
        if changed_code(task.env, run.origin):
            changes.append(f"the code of {task.env} differs")
        if changes:
            raise InputError(
                f"'{path}' holds a run with another config ({'; '.join(changes)}): "
                "choose another --out (Python: out=)"
            )


def _has_outdated_result(task: Task, session: StudySession) -> bool:
    """Return whether the folder has a result of another config, policy or evaluation."""
    exists = (session.task_folder(task) / "result.json").is_file()
    return exists and not _has_result(task, session)


@contextmanager
def open_session(session: StudySession) -> Iterator[None]:
    """Lock the study's folder and write the study there; at the end, stop remaining tasks.

    Raises:
        InputError: another session is using the folder, or it cannot be written.
    """
    out = session.out
    with ExitStack() as stack:
        try:
            out.mkdir(parents=True, exist_ok=True)
            stack.enter_context(locked(out / ".lock", wait=0))
            write_text(out / STUDY_FILE, tomli_w.dumps(session.study.as_dict()))
            for earlier in out.glob(".session-*"):
                earlier.unlink()
            session.marker.touch()
        except BlockingIOError:
            raise InputError(f"'{out}' is in use by another gridcade compare") from None
        except OSError as error:
            raise InputError(f"cannot write in '{out}': {error.strerror}") from None
        try:
            yield
        finally:
            session.marker.unlink(missing_ok=True)


def _record_session(out: Path, settings: Mapping[str, Any]) -> None:
    """Append a session to sessions.json. With a time budget, scores depend on its jobs."""
    started = datetime.now(UTC).isoformat(timespec="seconds")
    entries = [*read_sessions(out / SESSIONS_FILE), {"started": started, **settings}]
    write_text(out / SESSIONS_FILE, json.dumps({"sessions": entries}, indent=2) + "\n")


# ---- running tasks


def run_tasks(
    tasks: Sequence[Task],
    session: StudySession,
    map_tasks: MapTasks[Task],
    stopped: threading.Event,
) -> str:
    """Run tasks until each is done or has failed; restart unfinished tasks if a worker dies.

    Returns:
        Why some tasks could not be started; empty if all were.

    Raises:
        InputError: no task could be started, or another process ended the session.
        Stopped: `stopped` was set.
    """
    rounds_without_progress = 0
    while pending := [task for task in tasks if not is_finished(task, session)]:
        if stopped.is_set():
            raise Stopped
        if not session.marker.exists():
            raise InputError(f"'{session.out}' was stopped: '{session.marker.name}' was removed")
        before = [read_state(session.task_folder(task)) for task in pending]
        # If one of loky's workers dies, all die. So the last attempt of a task that killed its
        # worker runs alone, so that its death does not count against other tasks.
        last_attempts = [t for t in pending if kill_count(t, session) >= MAX_ATTEMPTS - 1]
        reason = f"workers cannot see '{session.out}', or cannot write there"
        try:
            map_tasks(partial(run_task, session=session), last_attempts[:1] or pending)
        except Exception as error:  # A task catches its own errors, so a worker has died.
            reason = one_line(error)
        rounds_without_progress += 1
        if before != [read_state(session.task_folder(task)) for task in pending]:
            rounds_without_progress = 0
        if rounds_without_progress == MAX_ATTEMPTS:
            reason = f"no worker can start a task: {reason}"
            if len(pending) < len(tasks):
                return reason
            raise InputError(reason)
    return ""


@contextmanager
def _monitor(
    tasks: Sequence[Task],
    session: StudySession,
    report: Callable[[Sequence[TaskStatus]], None] | None,
    stop: Callable[[], bool],
) -> Iterator[threading.Event]:
    """Report the status of all tasks, and stop them when `stop` returns true.

    Yields an event that is set when the tasks have been stopped.
    """
    stopped, finished = threading.Event(), threading.Event()
    final: dict[str, TaskStatus] = {}  # statuses that will not change, by path

    def poll() -> None:
        if stop():
            stopped.set()
            session.marker.unlink(missing_ok=True)
        if report is None:
            return
        statuses = {task.path: final.get(task.path) or _status(task, session) for task in tasks}
        final.update({p: s for p, s in statuses.items() if s.phase in ("done", "failed")})
        report(list(statuses.values()))

    def poll_until_finished() -> None:
        while not finished.wait(POLL_INTERVAL):
            poll()

    thread = threading.Thread(target=poll_until_finished, daemon=True)
    poll()
    thread.start()
    try:
        yield stopped
    finally:
        finished.set()
        thread.join()
        poll()


def _status(task: Task, session: StudySession) -> TaskStatus:
    learns = task.config is not None
    state = read_state(session.task_folder(task))
    if state is None or state.session != session.token or state.phase == "stopped":
        done = _has_result(task, session)
        return TaskStatus(task.name, "done" if done else "waiting", float(done), learns)
    config, share = task.config, 1.0
    if task.recording is not None:
        share = state.share
    elif state.phase == "training" and config is not None:
        share = trainer.budget_share(config.steps, config.minutes, state.steps, state.seconds)
    return TaskStatus(task.name, state.phase, share, learns, state.steps, state.score, state.reason)


# ---- results


def gather_results(tasks: Sequence[Task], session: StudySession, reason: str = "") -> Comparison:
    """Read the results of all tasks. `reason` says why some tasks have never started."""
    results: dict[str, dict[str, tuple[RunResult, ...]]] = {
        env: {spec.label: () for spec in session.study.contenders}
        for env in session.study.environments
    }
    records: dict[str, dict[str, Mapping[str, Any]]] = {env: {} for env in results}
    failures = []
    for task in tasks:
        label, folder = task.spec.label, session.task_folder(task)
        if (evaluation := read_result(folder, task)) is not None and task.recording:
            records[task.env][label] = evaluation
            results[task.env][label] = recorded_results(task, evaluation)
        elif evaluation is not None:
            results[task.env][label] += (run_result(task, session, evaluation),)
        else:
            state = read_state(folder)
            last_error = (state.reason if state else "") or reason
            failures.append(Failure(label, task.env, task.seed, last_error))
    started = read_sessions(session.out / SESSIONS_FILE)
    if session.study.measure == "evaluation":
        records = {}
    return Comparison(session.study, results, tuple(failures), tuple(started), records)


def recorded_results(task: Task, record: Mapping[str, Any]) -> tuple[RunResult, ...]:
    """Return the result of each seed of a record."""
    assert task.config is not None  # noqa: S101 - a recording is of training
    assert task.recording is not None  # noqa: S101 - same
    key, settings = measure_key(task.recording.measure), to_dict(task.config)
    config = {name: settings[name] for name in ("agent", "preset", "hyperparameters")}
    return tuple(
        RunResult(seed, {key: {"mean": score}, "exact": None, "episodes": None}, config=config)
        for seed, score in enumerate(record["scores"])
    )


def run_result(task: Task, session: StudySession, evaluation: Mapping[str, Any]) -> RunResult:
    """Combine an evaluation with the metrics and the provenance in the run folder."""
    if task.config is None:
        return RunResult(None, evaluation, policy=task.policy)
    try:
        run = Run(session.run_folder(task))
    except InputError:  # The run folder was removed; its scores are in the result.
        return RunResult(task.seed, evaluation, config=to_dict(task.config))
    return RunResult(
        task.seed,
        evaluation,
        metrics=tuple(run.metrics()),
        config=to_dict(run.config),
        sessions=tuple(read_sessions(run.path / PROVENANCE)),
        run=run.path,
    )
