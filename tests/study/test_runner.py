"""Runs of a study: skipped when done, resumed when killed, given up when they fail."""

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import gymnasium as gym
import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridcade import api, report
from gridcade.errors import InputError
from gridcade.evaluation.evaluate import evaluate_policy
from gridcade.files import write_text
from gridcade.study.comparison import Comparison, RunResult
from gridcade.study.contender import ContenderSpec
from gridcade.study.plan import plan_tasks
from gridcade.study.runner import (
    TaskStatus,
    gather_results,
    open_session,
    run_result,
    run_study,
    run_tasks,
)
from gridcade.study.seed_statistics import seed_interval
from gridcade.study.study import Study, read_study
from gridcade.study.task import (
    MAX_ATTEMPTS,
    Stopped,
    StudySession,
    Task,
    TaskState,
    read_state,
    run_task,
    state_after_kill,
)
from gridcade.study.workers import Backend
from gridcade.training import sessions
from gridcade.training.config import RunConfig
from gridcade.training.find_run import find_trained
from gridcade.training.run_folder import Run
from gridcade.training.sessions import resume, start, train
from in_process import map_in_process, run_in_process

# Two environments are stepped through Gymnasium: compiled training would end before a kill.
SLOW = ContenderSpec("q-learning", envs=2)
SMALL = Study(
    (ContenderSpec("q-learning"), ContenderSpec("random"), ContenderSpec("optimal")),
    ("FourRooms",),
    steps=3000,
    seeds=2,
    episodes=20,
)
TINY_DQN = ContenderSpec(
    "dqn",
    hyperparameters={"hidden": [8], "learn_start": 100, "held_out": 3, "replay_capacity": 200},
)


def new_session(study: Study, out: Path) -> StudySession:
    return StudySession(study, out, Path.cwd(), "mine")


def state_of(task: Task, session: StudySession) -> TaskState:
    """Return the state of a task that has started."""
    state = read_state(session.task_folder(task))
    assert state is not None
    return state


def snapshot(path: Path) -> dict[str, tuple[int, bytes]]:
    """Return the modification time and the content of every file in a folder."""
    files = (file for file in path.rglob("*") if file.is_file() and file.name != ".lock")
    return {str(f.relative_to(path)): (f.stat().st_mtime_ns, f.read_bytes()) for f in files}


def tensors(path: Path) -> dict[str, bytes]:
    """Return the tensors of a run's last checkpoint, as bytes."""
    run = Run(path)
    return {key: value.tobytes() for key, value in run.load_agent(run.last_checkpoint()).items()}


def num_sessions(path: Path) -> int:
    """Return how often a run was started or resumed."""
    return len(json.loads((path / "provenance.json").read_bytes())["sessions"])


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Comparison]:
    """A small study and its results."""
    out = tmp_path_factory.mktemp("study") / "out"
    return out, run_in_process(SMALL, out, jobs=2)


# ---- results


def test_every_contender_plays_the_same_episodes(done: tuple[Path, Comparison]) -> None:
    out, comparison = done
    for name in ("random", "optimal"):
        expected = api.evaluate(name, "FourRooms", episodes=20, seed=SMALL.evaluation_seed)
        (result,) = comparison.results["FourRooms"][name]
        assert result.seed is None
        assert result.evaluation == json.loads(json.dumps(expected.as_dict()))
    for seed, result in enumerate(comparison.results["FourRooms"]["q-learning"]):
        policy = api.load(out / "runs/FourRooms/q-learning" / f"s{seed}")
        expected = evaluate_policy(policy, "FourRooms", episodes=20, seed=SMALL.evaluation_seed)
        assert expected.expected_return is not None
        assert result.seed == seed
        assert result.evaluation["expected_return"]["mean"] == expected.expected_return.mean


def test_a_task_trains_the_same_run_as_train(done: tuple[Path, Comparison], tmp_path: Path) -> None:
    out, comparison = done
    alone = train("q-learning", "FourRooms", steps=3000, seed=1, out=tmp_path / "alone")
    result = comparison.results["FourRooms"]["q-learning"][1]
    path = out / "runs/FourRooms/q-learning/s1"
    assert result.run == path
    assert Run(path).config == alone.config
    assert tensors(path) == tensors(alone.path)
    assert len(result.metrics) == 3
    assert len(result.sessions) == 1


def test_a_comparison_has_scores_means_and_optima(done: tuple[Path, Comparison]) -> None:
    _, comparison = done
    summary = comparison.as_dict()
    assert summary["deterministic"] is True
    assert summary["failures"] == []
    rooms = summary["environments"]["FourRooms"]
    values = [seed["expected_return"] for seed in rooms["q-learning"]["seeds"]]
    interval = seed_interval(values, 0.95, (0, 1))
    assert rooms["q-learning"]["expected_return"] == {
        "mean": np.mean(values),
        "low": interval.low,
        "high": interval.high,
    }
    random = comparison.results["FourRooms"]["random"][0].evaluation
    parts = ("mean", "low", "high")
    assert rooms["random"]["expected_return"] == {k: random["expected_return"][k] for k in parts}
    assert rooms["random"]["seeds"][0]["exact"]["expected_return"] == pytest.approx(
        random["exact"]["expected_return"]
    )
    assert summary["exact"]["FourRooms"]["expected_return"] == pytest.approx(1)


def test_a_continuing_task_has_an_average_reward_but_no_return(tmp_path: Path) -> None:
    study = Study((ContenderSpec("optimal"),), ("RiverSwim",))
    summary = run_in_process(study, tmp_path / "out").as_dict()
    optimal = summary["environments"]["RiverSwim"]["optimal"]
    exact = summary["exact"]["RiverSwim"]["average_reward"]
    assert optimal["expected_return"] is None
    assert optimal["seeds"][0]["expected_return"] is None
    assert optimal["average_reward"]["low"] < exact < optimal["average_reward"]["high"]


def test_results_are_written_as_json_and_csv(done: tuple[Path, Comparison], tmp_path: Path) -> None:
    _, comparison = done
    report.write_results(comparison, tmp_path)
    results = json.loads((tmp_path / "results.json").read_bytes())
    verdicts, speeds = results.pop("verdicts"), results.pop("learning_speed")
    assert results == comparison.as_dict()
    assert speeds["FourRooms"]["q-learning"]["runs"] == 2
    assert 0 <= speeds["FourRooms"]["q-learning"]["area"]["mean"] <= 1
    assert verdicts[2].startswith("optimal is better than random on FourRooms: difference ")
    header, *rows = (tmp_path / "results.csv").read_text().splitlines()
    assert header.startswith("environment,contender,seed,expected_return,")
    assert [row.split(",")[:3] for row in rows] == [
        [env, name, seed]
        for env in SMALL.environments
        for name, seeds in (("q-learning", "01"), ("random", ("",)), ("optimal", ("",)))
        for seed in seeds
    ]
    with pytest.raises(InputError, match="cannot write the results into"):
        report.write_results(comparison, tmp_path / "missing")


def test_one_seed_has_no_interval_and_a_failed_contender_no_mean() -> None:
    estimate = {"mean": 2.0, "low": 1.0, "high": 3.0}
    evaluation = {"expected_return": estimate, "average_reward": estimate, "exact": None}
    study = replace(SMALL, environments=("CartPole",), minutes=1.0)
    results = {"CartPole": {"q-learning": (RunResult(0, evaluation),), "random": ()}}
    summary = Comparison(study, results).as_dict()
    contenders = summary["environments"]["CartPole"]
    unbounded = {"mean": 2.0, "low": None, "high": None}
    assert contenders["q-learning"]["expected_return"] == unbounded
    assert contenders["random"] == {"seeds": [], "expected_return": None, "average_reward": None}
    assert summary["exact"] == {"CartPole": None}
    assert summary["deterministic"] is False


def test_the_session_is_recorded_but_not_in_the_summary(done: tuple[Path, Comparison]) -> None:
    out, comparison = done
    (session,) = comparison.sessions
    assert (session["backend"], session["jobs"]) == ("loky", 2)
    recorded = json.loads((out / "sessions.json").read_bytes())["sessions"]
    assert recorded[0] == session  # another test may have run the study again
    assert "loky" not in json.dumps(comparison.as_dict())


# ---- fixed policies and transfer


def test_transfer_can_be_compared_with_training_from_scratch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "source"
    train(
        "dqn",
        "CartPole",
        steps=300,
        epoch=100,
        hyperparameters=TINY_DQN.hyperparameters,
        out=source,
    )
    scratch = replace(TINY_DQN, name="scratch")
    transferred = replace(TINY_DQN, name="transferred", init_from=str(source))
    study = Study((scratch, transferred), ("CartPole",), 300, None, 1, 2)
    out = tmp_path / "out"
    run_in_process(study, out)
    initial = {
        label: Run(out / f"runs/CartPole/{label}/s0").load_agent(0)
        for label in ("scratch", "transferred")
    }
    trained = Run(source).load_agent(300)
    for key in (key for key in trained if key.startswith("q.")):
        assert np.array_equal(initial["transferred"][key], trained[key])
        assert not np.array_equal(initial["scratch"][key], trained[key])
    assert read_study(out / "study.toml") == study
    before = snapshot(out)
    with monkeypatch.context() as patched:  # all seeds share one source, which may be large
        reading = Mock(wraps=find_trained)
        patched.setattr("gridcade.study.plan.find_trained", reading)
        assert len(plan_tasks(replace(study, seeds=3))) == 6
        assert reading.call_count == 1
    resume(source, steps=600)  # A run that starts from it would now be another one.
    with pytest.raises(InputError, match=r"from an earlier state of '.*source': choose another"):
        run_study(study, out)
    assert snapshot(out) == before


CELL_PICTURES = ContenderSpec(  # pictures of one pixel per cell
    "pqn", hyperparameters={"rollout": 8, "epochs": 1, "minibatches": 2}, envs=4
)


def test_convolutions_are_taken_from_the_run_with_the_same_seed(tmp_path: Path) -> None:
    """Fine-tuned ones begin as the source's, frozen ones stay, and the layers after them learn."""
    worlds = [f"Maze?size=3&seed={seed}&observation=pixels&pixels=7" for seed in (1, 2)]
    source = Study((CELL_PICTURES,), (worlds[0],), steps=128, seeds=2, episodes=1)
    run_in_process(source, tmp_path / "source")
    runs = next((tmp_path / "source/runs").iterdir()) / "pqn"

    def arm(name: str, init_from: str = "", **fields: str) -> ContenderSpec:
        changes = CELL_PICTURES.hyperparameters | fields
        return replace(CELL_PICTURES, name=name, hyperparameters=changes, init_from=init_from)

    taken = str(runs / "s{seed}")
    arms = (
        arm("scratch"),
        arm("tuned", taken, init_layers="conv"),
        arm("frozen", taken, init_layers="conv", freeze="conv"),
        arm("whole", taken),
        arm("random", freeze="random-conv"),
    )
    study = replace(source, contenders=arms, environments=(worlds[1],))
    run_in_process(study, tmp_path / "out")
    assert read_study(tmp_path / "out/study.toml") == study
    (folder,) = (tmp_path / "out/runs").iterdir()

    def equal_layers(
        seed: int, label: str, steps: int, other: Path, other_steps: int
    ) -> tuple[bool, bool]:
        """Whether the convolution and its norm are equal, and the first layer after them."""
        a = Run(folder / label / f"s{seed}").load_agent(steps)
        b = Run(other / f"s{seed}").load_agent(other_steps)
        layers = (["q.0.weight", "q.0.bias", "q.1.weight", "q.1.bias"], ["q.4.weight", "q.4.bias"])
        convolutions, after = ([np.array_equal(a[k], b[k]) for k in keys] for keys in layers)
        assert len({*convolutions}) == len({*after}) == 1
        return convolutions[0], after[0]

    for seed in (0, 1):
        for label, expected in {
            "scratch": (False, False),
            "tuned": (True, False),
            "frozen": (True, False),
            "whole": (True, True),
            "random": (False, False),
        }.items():
            assert equal_layers(seed, label, 0, runs, 128) == expected
            stays = label in ("frozen", "random")
            assert equal_layers(seed, label, 128, folder / label, 0) == (stays, False)
            fresh = label in ("scratch", "random")
            kept = (fresh, label != "whole")
            assert equal_layers(seed, label, 0, folder / "scratch", 0) == kept


def test_a_run_is_compared_as_it_is_when_the_study_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, first = tmp_path / "mine", tmp_path / "mine/checkpoints/1000"
    train("q-learning", "FourRooms", steps=2000, epoch=1000, out=mine)

    def plan(policy: Path) -> Task:
        return plan_tasks(Study((ContenderSpec(str(policy)),), ("FourRooms",), episodes=5))[0]

    whole, early = plan(mine), plan(first)
    assert (whole.policy, early.policy) == (str(mine / "checkpoints/2000"), str(first))
    resume(mine, steps=20_000)  # This removes early checkpoints.
    assert plan(mine).key != whole.key
    with open_session(session := new_session(SMALL, tmp_path / "out")):
        run_task(whole, session)
    assert run_result(early, session, {}).policy == str(first)  # its clip shows this checkpoint
    (failure,) = gather_results([whole], session).failures
    assert "no checkpoint" in failure.reason  # and no score of another checkpoint

    shutil.rmtree(mine)
    monkeypatch.setattr("gridcade.training.sessions.provenance", lambda _: {"started": "later"})
    train("q-learning", "FourRooms", steps=2000, epoch=1000, out=mine)
    assert plan(mine).key != whole.key
    assert plan(mine).policy == whole.policy


# ---- running again


def test_a_finished_study_is_not_run_again(done: tuple[Path, Comparison]) -> None:
    out, comparison = done
    before = snapshot(out)
    assert run_study(SMALL, out) == comparison
    assert snapshot(out) == before


def test_only_missing_results_are_computed_again(done: tuple[Path, Comparison]) -> None:
    out, comparison = done
    path = "tasks/FourRooms/q-learning/s1"
    (out / path / "result.json").unlink()
    before = snapshot(out)
    assert run_in_process(SMALL, out) == comparison  # evaluated again, but not trained
    changed = {name for name, file in snapshot(out).items() if before.get(name) != file}
    assert {name for name in changed if name.startswith(("runs", "tasks"))} == {
        f"{path}/result.json",
        f"{path}/state.json",
    }


def test_another_study_is_refused_and_nothing_is_lost(done: tuple[Path, Comparison]) -> None:
    out, _ = done
    before = snapshot(out)
    with pytest.raises(InputError, match=r"another study \(steps: 3000 -> 4000\): choose another"):
        run_study(replace(SMALL, steps=4000, seeds=3), out)
    assert snapshot(out) == before


def test_a_finished_study_needs_neither_replays_nor_runs(tmp_path: Path) -> None:
    """A replay may take 7 GB, and a user may keep only the results."""
    study = Study((TINY_DQN,), ("CartPole",), 300, None, 1, 2)
    out = tmp_path / "out"
    first = run_in_process(study, out)
    path = first.results["CartPole"]["dqn"][0].run
    assert path is not None
    assert not (path / "replay").exists()
    api.evaluate(path, episodes=1)
    with pytest.raises(InputError, match="is missing, so the run cannot be resumed"):
        resume(path, steps=600)
    assert Run(path).last_checkpoint() == 300

    shutil.rmtree(out / "runs")
    again = run_study(study, out)
    assert again.as_dict() == first.as_dict()
    (result,) = again.results["CartPole"]["dqn"]
    assert (result.metrics, result.run) == ((), None)
    assert result.config == first.results["CartPole"]["dqn"][0].config
    page = report.write_page(again, out).read_text(encoding="utf-8")
    assert "No video: the run folder was removed." in page


def test_a_study_can_grow_in_its_folder(tmp_path: Path) -> None:
    out = tmp_path / "out"
    q_learning, random = ContenderSpec("q-learning"), ContenderSpec("random")
    few = Study((q_learning, random), ("RussellNorvig4x3",), 2000, None, 1, 5)
    run_in_process(few, out)
    first = snapshot(out / "runs/RussellNorvig4x3/q-learning/s0")
    explicit = ContenderSpec("q-learning", preset="watkins")  # which is the default
    more = (random, explicit, ContenderSpec("q-learning", "new", "converging"))
    environments = ("RussellNorvig4x3", "FrozenLake-v1")
    grown = replace(few, contenders=more, environments=environments, seeds=2)
    notes: list[str] = []
    comparison = run_in_process(grown, out, note=notes.append)
    assert notes == []  # everything that the first report showed is in the second one
    assert snapshot(out / "runs/RussellNorvig4x3/q-learning/s0") == first
    assert read_study(out / "study.toml") == grown
    at_once = run_in_process(grown, tmp_path / "at once")
    assert comparison.as_dict() == at_once.as_dict()
    by_reward = replace(grown, criterion="average-reward")
    assert run_study(by_reward, out, note=notes.append).results == comparison.results
    assert notes == ["the criterion was return, and is now average-reward"]
    assert read_study(out / "study.toml") == by_reward
    run_study(by_reward, out, note=notes.append)
    assert len(notes) == 1
    run_study(replace(few, criterion="average-reward"), out, note=notes.append)
    assert notes[1:] == [
        "this study had 2 seeds; the report now shows 1; "
        "the report now leaves out new, FrozenLake-v1"
    ]


def test_tuples_and_lists_are_the_same_hyperparameters(tmp_path: Path) -> None:
    """A study from Python may have tuples, which are lists in its TOML file."""
    hyperparameters = {"hidden": (8, 8), "learn_start": 100, "held_out": 3}
    contender = ContenderSpec("dqn", hyperparameters=hyperparameters)
    study = Study((contender,), ("CartPole",), 300, None, 1, 2)
    assert run_in_process(study, tmp_path) == run_study(study, tmp_path)
    assert read_study(tmp_path / "study.toml").as_dict() == study.as_dict()


def test_a_removed_run_is_trained_again_to_its_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its state says that training was complete; the new training is interrupted, too."""
    study = replace(SMALL, contenders=(SLOW,), environments=("FourRooms",), seeds=1)
    (task,) = plan_tasks(study)
    session = new_session(study, tmp_path)
    folder = session.task_folder(task)
    folder.mkdir(parents=True)
    state = TaskState("another", "stopped", trained=True, checkpoint=3000)
    (folder / "state.json").write_bytes(msgspec.json.encode(state))

    def interrupted(config: RunConfig, path: Path, **options: Any) -> Run:
        session.marker.unlink()  # as Ctrl-C does
        return start(config, path, **options)

    with open_session(session), monkeypatch.context() as patch:
        patch.setattr("gridcade.study.task.HEARTBEAT", 0.0)  # check for a stop all the time
        patch.setattr(sessions, "start", interrupted)
        run_task(task, session)
    assert Run(session.run_folder(task)).last_checkpoint() < 3000
    with open_session(session):
        run_task(task, session)
    assert Run(session.run_folder(task)).last_checkpoint() == 3000
    assert state_of(task, session).phase == "done"


# ---- folders that cannot be used


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    for path in (tmp_path, tmp_path / "mine"):
        with pytest.raises(InputError, match="exists and holds no study"):
            run_study(SMALL, path)
    assert (tmp_path / "mine").read_text() == "precious"


def test_a_folder_with_only_a_lock_is_taken(tmp_path: Path) -> None:
    """A full disk may have stopped an earlier session after it had made the lock."""
    (tmp_path / ".lock").touch()
    study = Study((ContenderSpec("random"),), ("FourRooms",), episodes=2)
    assert not run_in_process(study, tmp_path).failures


def test_a_run_with_another_config_is_refused(tmp_path: Path) -> None:
    study = replace(SMALL, contenders=(ContenderSpec("q-learning"),), environments=("FourRooms",))
    with open_session(session := new_session(study, tmp_path / "out")):
        pass
    train("q-learning", "FourRooms", steps=2000, out=session.run_folder(plan_tasks(study)[0]))
    before = snapshot(session.out)
    with pytest.raises(InputError, match=r"another config \(.*steps: 2000 -> 3000\)"):
        run_study(study, session.out)
    assert snapshot(session.out) == before


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    with (
        open_session(new_session(SMALL, tmp_path / "out")),
        pytest.raises(InputError, match="is in use by another gridcade compare"),
    ):
        run_study(SMALL, tmp_path / "out")


def test_nothing_is_written_if_no_workers_can_be_started(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--address is the address of a cluster"):
        run_study(SMALL, tmp_path / "out", address="127.0.0.1:1")
    assert not (tmp_path / "out").exists()


# ---- errors


class Breaking(gym.Env[Any, Any]):
    """An environment that fails at its hundredth step."""

    observation_space = gym.spaces.Discrete(2)
    action_space = gym.spaces.Discrete(2)

    def __init__(self) -> None:
        self.steps = 0

    def reset(self, **options: Any) -> tuple[int, dict[str, Any]]:
        super().reset(seed=options.get("seed"))
        return 0, {}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        self.steps += 1
        if self.steps == 100:
            raise OSError("the emulator has stopped")
        return action, 1.0, self.steps % 10 == 0, False, {}


@pytest.fixture
def breaking() -> Iterator[str]:
    gym.register("Breaking-v0", lambda **_: Breaking())
    yield "Breaking-v0"
    del gym.registry["Breaking-v0"]


def test_an_error_is_retried_and_recorded(breaking: str, tmp_path: Path) -> None:
    study = Study((ContenderSpec("q-learning"),), (breaking,), steps=1000, seeds=1)
    (task,) = plan_tasks(study)
    with open_session(session := new_session(study, tmp_path / "out")):
        run_task(task, session)
        state = state_of(task, session)
        assert (state.phase, state.errors, state.kills) == ("failed", MAX_ATTEMPTS, 0)
        assert num_sessions(session.run_folder(task)) == MAX_ATTEMPTS
        for number in range(1, MAX_ATTEMPTS + 1):
            text = (session.task_folder(task) / f"error-{number}.txt").read_text()
            assert text.startswith("Traceback")
            assert "failed at step 10: OSError: the emulator has stopped" in text
        run_task(task, session)  # It has failed, so it is not run again in this session …
        assert num_sessions(session.run_folder(task)) == MAX_ATTEMPTS
    (failure,) = gather_results([task], session).failures
    assert "OSError: the emulator has stopped" in failure.reason
    with open_session(later := replace(session, token="later")):
        run_task(task, later)  # … but in the next one.
    assert num_sessions(session.run_folder(task)) == 2 * MAX_ATTEMPTS


def test_a_deterministic_failure_is_not_retried(tmp_path: Path) -> None:
    hyperparameters = TINY_DQN.hyperparameters | {"learning_rate": 1e30}
    diverging = replace(TINY_DQN, hyperparameters=hyperparameters)
    study = Study((diverging,), ("CartPole",), steps=2000, seeds=1)
    (task,) = plan_tasks(study)
    with open_session(session := new_session(study, tmp_path / "out")):
        run_task(task, session)
    state = state_of(task, session)
    assert (state.phase, state.errors) == ("failed", 1)
    assert "diverged" in state.reason
    assert num_sessions(session.run_folder(task)) == 1


@pytest.mark.parametrize("raises", [True, False])
def test_a_study_ends_if_no_worker_can_start_a_task(raises: bool, tmp_path: Path) -> None:
    """A backend without workers raises; workers that do not see the study's folder return."""
    session = new_session(SMALL, tmp_path / "out")
    calls = []

    def map_tasks(function: Callable[[Task], None], tasks: Sequence[Task]) -> None:
        calls.append(len(tasks))
        if raises:
            raise RuntimeError("the cluster\nhas stopped")
        hidden = session.marker.rename(tmp_path / "hidden")
        map_in_process(function, tasks)
        hidden.rename(session.marker)

    reason = "RuntimeError: the cluster has stopped" if raises else "workers cannot see '.*'"
    with (
        open_session(session),
        pytest.raises(InputError, match=f"no worker can start a task: {reason}"),
    ):
        run_tasks(plan_tasks(SMALL), session, map_tasks, threading.Event())
    assert calls == [4] * MAX_ATTEMPTS
    assert not (session.out / "tasks").exists()


def test_a_task_without_a_folder_disturbs_no_other(tmp_path: Path) -> None:
    contenders = (ContenderSpec("random"), ContenderSpec("optimal"))
    study = Study(contenders, ("FourRooms",), episodes=2)
    tasks = plan_tasks(study)
    with open_session(session := new_session(study, tmp_path / "out")):
        folder = session.task_folder(tasks[0])
        folder.parent.mkdir(parents=True)
        folder.touch()  # a file in place of the folder
        reason = run_tasks(tasks, session, map_in_process, threading.Event())
    comparison = gather_results(tasks, session, reason)
    (failure,) = comparison.failures
    assert failure.contender == "random"
    assert failure.reason.endswith("or cannot write there")
    assert len(comparison.results["FourRooms"]["optimal"]) == 1


# ---- interruptions and kills


def test_a_task_stops_at_a_checkpoint_when_its_session_ends(tmp_path: Path) -> None:
    study = Study((SLOW,), ("FrozenLake-v1",), steps=20_000, seeds=1, episodes=5)
    (task,) = plan_tasks(study)
    with (
        pytest.MonkeyPatch.context() as patch,
        open_session(session := new_session(study, tmp_path / "out")),
    ):
        folder = session.task_folder(task)

        def write_and_end_session(file: Path, text: str) -> None:
            write_text(file, text)
            if (state := read_state(folder)) is not None and state.steps > 0:
                session.marker.unlink(missing_ok=True)

        patch.setattr("gridcade.study.task.HEARTBEAT", 0.0)
        patch.setattr("gridcade.study.task.write_text", write_and_end_session)
        run_task(task, session)
    assert state_of(task, session).phase == "stopped"
    assert 0 < Run(session.run_folder(task)).last_checkpoint() < 20_000
    assert gather_results([task], session).results == {"FrozenLake-v1": {"q-learning": ()}}
    run_in_process(study, session.out)
    alone = train("q-learning", "FrozenLake-v1", steps=20_000, envs=2, out=tmp_path / "alone")
    assert tensors(session.run_folder(task)) == tensors(alone.path)
    assert num_sessions(session.run_folder(task)) == 2


def test_a_study_stops_when_the_callback_says_so(tmp_path: Path) -> None:
    """Its workers end at a checkpoint between two epochs, so that no step is lost."""
    study = Study((SLOW,), ("FrozenLake-v1",), minutes=5, seeds=1, episodes=5)
    out, path = tmp_path / "out", "FrozenLake-v1/q-learning/s0"

    def is_training() -> bool:
        return (state := read_state(out / "tasks" / path)) is not None and state.steps > 0

    with pytest.raises(Stopped):
        run_study(study, out, jobs=1, stop=is_training)
    run = Run(out / "runs" / path)
    assert 0 < run.last_checkpoint() < run.config.epoch
    state = read_state(out / "tasks" / path)
    assert state is not None
    assert state.phase == "stopped"


@given(st.lists(st.integers(0, 5), max_size=12))
def test_a_kill_counts_unless_training_reached_a_new_checkpoint(checkpoints: list[int]) -> None:
    state = TaskState("mine", "training")
    kills, furthest = 0, 0
    for checkpoint in checkpoints:  # the last one after each kill; starting over resets it
        state = state_after_kill(state, checkpoint)
        kills += checkpoint <= furthest
        furthest = max(furthest, checkpoint)
        assert (state.kills, state.checkpoint) == (kills, furthest)


@contextmanager
def killer(out: Path, path: str, times: int) -> Iterator[list[int]]:
    """Kill the worker that trains a task, several times; yield the ids of killed processes."""
    killed: list[int] = []
    finished = threading.Event()

    def kill() -> None:
        while len(killed) < times and not finished.wait(0.02):
            state = read_state(out / "tasks" / path)
            if state and state.phase == "training" and state.pid not in killed and state.steps:
                os.kill(state.pid, signal.SIGKILL)
                killed.append(state.pid)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield killed
    finally:
        finished.set()
        thread.join()


@pytest.mark.slow
def test_a_task_that_is_killed_repeatedly_fails_and_others_do_not(tmp_path: Path) -> None:
    """No checkpoint is made before the end, and each kill ends all of loky's workers."""
    study = Study((SLOW,), ("FrozenLake-v1",), minutes=0.05, seeds=2, episodes=5)
    reports: list[list[TaskStatus]] = []
    with killer(tmp_path / "out", "FrozenLake-v1/q-learning/s0", times=99) as killed:
        comparison = run_study(
            study, tmp_path / "out", jobs=2, report=lambda statuses: reports.append([*statuses])
        )
    assert len(killed) == MAX_ATTEMPTS
    (failure,) = comparison.failures
    assert failure.seed == 0
    assert failure.reason == "killed 3 times without a new checkpoint"
    assert [result.seed for result in comparison.results["FrozenLake-v1"]["q-learning"]] == [1]
    phases = {status.phase for statuses in reports for status in statuses}
    assert phases >= {"waiting", "training", "failed", "done"}
    assert [status.phase for status in reports[-1]] == ["failed", "done"]


VICTIM = "FrozenLake-v1/q-learning/s1"
BROKEN = "FrozenLake-v1/q-learning/s0"
MIXED = Study((SLOW, ContenderSpec("optimal")), ("FrozenLake-v1",), 30_000, None, 2, 20)


def prepare_broken_run(out: Path) -> None:
    """Start a study one of whose runs cannot continue: a folder takes the place of its metrics."""
    with open_session(new_session(MIXED, out)):
        pass
    path = out / "runs" / BROKEN
    train("q-learning", "FrozenLake-v1", steps=30_000, envs=2, out=path, stop=lambda: True)
    (path / "metrics.jsonl").unlink()
    (path / "metrics.jsonl").mkdir()


TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
RUN = """
import json, sys
from gridcade.study.runner import run_study
from gridcade.study.study import read_study

out, backend, address = sys.argv[1:]
study = read_study(out + "/study.toml")
comparison = run_study(study, out, backend=backend, address=address or None, jobs=2)
print(json.dumps(comparison.as_dict()))
"""
RAY = """
import ray

ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
print(ray.get_runtime_context().gcs_address, flush=True)
input()
"""


@contextmanager
def no_cluster() -> Iterator[str]:
    yield ""


@contextmanager
def ray_cluster() -> Iterator[str]:
    """Start a Ray cluster with two CPUs and an authentication token in a process of its own."""
    with subprocess.Popen(
        [sys.executable, "-c", RAY],
        env=os.environ | TOKEN | {"RAY_USAGE_STATS_ENABLED": "0"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()


@contextmanager
def dask_cluster() -> Iterator[str]:
    """Start a Dask cluster of two workers with one thread each."""
    distributed: Any = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50
    ) as cluster:
        yield cluster.scheduler_address


@pytest.mark.timeout(600)  # guards against hanging only
@pytest.mark.parametrize(
    ("backend", "cluster"),
    [
        ("loky", no_cluster),
        pytest.param("ray", ray_cluster, marks=pytest.mark.slow),
        pytest.param("dask", dask_cluster, marks=pytest.mark.slow),
    ],
)
def test_a_killed_worker_and_a_failing_task_change_no_other_result(
    backend: Backend, cluster: Any, tmp_path: Path
) -> None:
    out, undisturbed = tmp_path / "out", tmp_path / "undisturbed"
    for folder in (out, undisturbed):
        prepare_broken_run(folder)
    expected = run_in_process(MIXED, undisturbed)
    with cluster() as address, killer(out, VICTIM, times=1) as killed:
        # A process of its own, because Ray reads its token on import.
        process = subprocess.run(
            [sys.executable, "-c", RUN, str(out), backend, address],
            env=os.environ | TOKEN,
            capture_output=True,
            text=True,
        )
    assert process.returncode == 0, process.stderr
    assert len(killed) == 1
    summary = json.loads(process.stdout.splitlines()[-1])  # Ray may print messages before it
    assert summary == json.loads(json.dumps(expected.as_dict()))
    assert summary["failures"] == [{"contender": "q-learning", "env": "FrozenLake-v1", "seed": 0}]
    assert num_sessions(out / "runs" / VICTIM) == 2
    assert Run(out / "runs" / VICTIM).last_checkpoint() == 30_000
    state = read_state(out / "tasks" / BROKEN)
    assert state is not None
    assert state.reason.startswith("cannot write")
    assert state.reason.endswith("metrics.jsonl': Is a directory")
    assert str(tmp_path) not in state.reason
    assert (out / "tasks" / BROKEN / f"error-{MAX_ATTEMPTS}.txt").is_file()
