"""Many runs: skipped when done, resumed when killed, given up when they fail; the same anywhere."""

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import gymnasium as gym
import msgspec
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from gridcade import agents, api, report
from gridcade.errors import InputError
from gridcade.evaluation.evaluate import evaluate_policy
from gridcade.evaluation.intervals import mean_interval
from gridcade.study import runner
from gridcade.study.comparison import Comparison, Outcome
from gridcade.study.runner import TaskStatus, _begun, _outcome, gather, plan, run
from gridcade.study.study import Entry, Study, read_study
from gridcade.study.task import TRIES, Session, State, Stopped, Task, _killed, attempt, state_of
from gridcade.study.workers import Backend, workers
from gridcade.training import sessions
from gridcade.training.run_folder import Run
from gridcade.training.sessions import resume, train
from waiting import wait

SLOW = Entry("q-learning", envs=2)  # through Gymnasium: what is compiled is done before a kill
SMALL = Study(
    (Entry("q-learning"), Entry("random"), Entry("optimal")),
    ("FourRooms", "RiverSwim"),
    steps=3000,
    seeds=2,
    episodes=20,
)


def files(path: Path) -> dict[str, tuple[int, bytes]]:
    """Every file of a folder: when it was written, and what it holds."""
    found = (file for file in path.rglob("*") if file.is_file() and file.name != ".lock")
    return {str(f.relative_to(path)): (f.stat().st_mtime_ns, f.read_bytes()) for f in found}


def tensors(path: Path) -> dict[str, bytes]:
    """What the last checkpoint of a run knows, to the bit."""
    kept = Run(path)
    return {key: value.tobytes() for key, value in kept.load_agent(kept.last_checkpoint()).items()}


def session_count(path: Path) -> int:
    """How often a run was begun or gone on with."""
    return len(json.loads((path / "provenance.json").read_bytes())["sessions"])


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Comparison]:
    """A small study, and what it found."""
    out = tmp_path_factory.mktemp("study") / "out"
    return out, run(SMALL, out, jobs=2)


# ---- what there is to do


def keys(study: Study) -> dict[str, str]:
    return {task.place: task.key for task in plan(study)}


def test_a_task_for_each_seed_and_one_for_what_learns_nothing() -> None:
    tasks = plan(SMALL)
    assert [task.place for task in tasks] == [
        "FourRooms/random/fixed",
        "FourRooms/optimal/fixed",
        "RiverSwim/random/fixed",
        "RiverSwim/optimal/fixed",
        "FourRooms/q-learning/s0",
        "RiverSwim/q-learning/s0",
        "FourRooms/q-learning/s1",
        "RiverSwim/q-learning/s1",
    ]
    assert len({task.key for task in tasks}) == len(tasks)
    assert keys(SMALL) == keys(replace(SMALL, criterion="average-reward"))


@pytest.mark.parametrize(
    "change",
    [
        {"steps": 4000},
        {"minutes": 1.0},
        {"episodes": 21},
        {"evaluation_seed": 1},
        {"confidence": 0.9},
        {"contenders": (Entry("q-learning", hyperparameters={"discount": 0.9}),)},
        {"contenders": (Entry("q-learning", preset="converging"),)},
        {"contenders": (Entry("q-learning", evaluation_every=2),)},
    ],
)
def test_another_task_has_another_key(change: Mapping[str, Any]) -> None:
    place = "FourRooms/q-learning/s0"
    assert keys(replace(SMALL, **change))[place] != keys(SMALL)[place]


def test_a_redrawn_map_makes_another_task(tmp_path: Path) -> None:
    map_ = tmp_path / "mine.txt"
    study = replace(SMALL, environments=(str(map_),))
    map_.write_text("map:\nS..G\n")
    before = keys(study)
    map_.write_text("map:\nS...G\n")
    assert before.keys() == keys(study).keys()
    assert not set(before.values()) & set(keys(study).values())


def test_an_agent_that_comes_trained_is_known_by_its_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(agents.TRAINED / "breakout-dqn", tmp_path / "breakout-dqn")
    study = Study((Entry("breakout-dqn"),), ("Breakout",), episodes=1)
    before = keys(study)
    monkeypatch.setattr(agents, "TRAINED", tmp_path)
    assert keys(study) == before
    file = tmp_path / "breakout-dqn" / agents.WEIGHTS
    tensors = load_file(file)
    name = next(iter(tensors))
    save_file(tensors | {name: tensors[name] + 1}, file)
    assert keys(study) != before


def test_transfer_can_be_compared_with_training_anew(tmp_path: Path) -> None:
    small = {"hidden": [8], "learn_start": 100, "held_out": 3, "replay_capacity": 200}
    source = tmp_path / "source"
    train("dqn", "CartPole", steps=300, epoch=100, hyperparameters=small, out=source)
    anew = Entry("dqn", "anew", hyperparameters=small)
    transferred = replace(anew, name="transferred", init_from=str(source))
    study = Study((anew, transferred), ("CartPole",), 300, None, 1, 2)
    outcomes = run(study, tmp_path / "out").outcomes["CartPole"]
    began = {
        label: Run(tmp_path / f"out/runs/CartPole/{label}/s0").load_agent(0) for label in outcomes
    }
    learnt = Run(source).load_agent(300)
    for key in (key for key in learnt if key.startswith("q.")):
        assert np.array_equal(began["transferred"][key], learnt[key])
        assert not np.array_equal(began["anew"][key], learnt[key])
    assert read_study(tmp_path / "out/study.toml") == study
    results = files(tmp_path / "out")
    resume(source, steps=600)  # it knows more now: a run from it would be another one
    with pytest.raises(InputError, match=r"has started from another '.*source': choose another"):
        run(study, tmp_path / "out")
    assert files(tmp_path / "out") == results


def test_a_run_is_compared_as_it_stands_when_the_study_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, first = tmp_path / "mine", tmp_path / "mine/checkpoints/1000"
    train("q-learning", "FourRooms", steps=2000, epoch=1000, out=mine)

    def plan_of(policy: Path) -> Task:
        return plan(Study((Entry(str(policy)),), ("FourRooms",), episodes=5))[0]

    whole, early = plan_of(mine), plan_of(first)
    assert (whole.policy, early.policy) == (str(mine / "checkpoints/2000"), str(first))
    resume(mine, steps=20_000)  # which keeps the last checkpoints only
    assert plan_of(mine).key != whole.key
    with _begun(session := begun(SMALL, tmp_path / "out")):
        attempt(whole, session)
    assert _outcome(early, session, {}).policy == str(first)  # which its replay will show
    (failure,) = gather([whole], session).failures
    assert "there is no checkpoint" in failure.reason  # rather than another one's score

    shutil.rmtree(mine)
    monkeypatch.setattr("gridcade.training.sessions.provenance", lambda _: {"started": "later"})
    train("q-learning", "FourRooms", steps=2000, epoch=1000, out=mine)
    assert plan_of(mine).key != whole.key
    assert plan_of(mine).policy == whole.policy


def test_a_run_of_the_reference_has_one_thread_unless_its_study_names_more() -> None:
    """The preset for images has two, which would make runs side by side slow each other."""
    named = Entry("sb3-ppo", "named", "two-core", {"threads": 2})
    study = Study((Entry("sb3-ppo", preset="two-core"), named), ("Breakout",), 1000, None, 1)
    threads = [getattr(t.config and t.config.hyperparameters, "threads", None) for t in plan(study)]
    assert threads == [1, 2]


@pytest.mark.parametrize(
    ("contenders", "env", "said"),
    [
        ([Entry("q-lerning")], "FourRooms", "unknown contender 'q-lerning'; did you mean q-learn"),
        ([Entry("randm")], "FourRooms", "did you mean random"),
        ([Entry("q-learning")], "FourRoom", "did you mean FourRooms"),
        ([Entry("q-learning", preset="watkin")], "FourRooms", "did you mean watkins"),
        ([Entry("q-learning", hyperparameters={"discont": 1})], "FourRooms", "mean discount"),
        ([Entry("q-learning", envs=0)], "FourRooms", "envs is 0"),
        ([Entry("q-learning", evaluation_every=0)], "FourRooms", "evaluation_every is 0"),
        ([Entry("random"), Entry("q-learning")], "CartPole", "q-learning on CartPole: "),
        ([Entry("optimal")], "CartPole", "optimal on CartPole: "),
        ([Entry("random", preset="x")], "FourRooms", "takes no preset"),
        ([Entry("random", hyperparameters={"x": 1})], "FourRooms", "takes no hyperparameters"),
        ([Entry("random", init_from="x")], "FourRooms", "takes no init_from"),
        ([Entry("random", evaluation_every=2)], "FourRooms", "takes no evaluation_every"),
        ([Entry("dqn", init_from="nowhere")], "CartPole", "dqn on CartPole: "),
        ([Entry("breakout")], "CartPole", "breakout on CartPole: "),
        ([Entry("random", "a:b"), Entry("random", "a?b")], "FourRooms", "share the folder"),
    ],
)
def test_what_makes_no_sense_is_told_before_anything_is_made(
    contenders: list[Entry], env: str, said: str, tmp_path: Path
) -> None:
    study = replace(SMALL, contenders=tuple(contenders), environments=(env,))
    with pytest.raises(InputError) as caught:
        run(study, tmp_path / "out")
    assert said in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_what_train_would_refuse_is_told_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = Entry("sb3-dqn", preset="defaults", hyperparameters={"buffer_size": 1000})
    by_time = Study((reference,), ("CartPole",), minutes=1.0)
    with pytest.raises(InputError, match=r"sb3-dqn on CartPole: .* give --steps as well"):
        run(by_time, tmp_path / "out")
    by_steps = replace(by_time, steps=1000)
    (one, *_) = plan(by_steps)
    assert one.memory == 2 * 4 * 4 * 1000  # two observations of four numbers, four bytes each
    monkeypatch.setattr(sessions, "_memory", lambda: 4 * one.memory)  # half of it is for others
    with pytest.raises(InputError, match=r"3 replays side by side would take .*, or fewer --jobs"):
        run(by_steps, tmp_path / "out", jobs=3)
    monkeypatch.setattr(sessions, "_memory", lambda: one.memory)
    with pytest.raises(
        InputError, match=r"replay or rollout would take .* buffer_size or rollout$"
    ):
        run(by_steps, tmp_path / "out", jobs=1)
    assert not (tmp_path / "out").exists()


def test_a_model_that_may_run_any_code_is_told_where_it_is_taken(tmp_path: Path) -> None:
    file = tmp_path / "model.zip"
    file.touch()
    study = Study((Entry(str(file)),), ("CartPole",))
    with pytest.raises(InputError, match=r"cannot be in a study: .* gridcade evaluate takes it"):
        run(study, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"jobs": 0}, "jobs is 0"),
        ({"address": "127.0.0.1:1"}, "--address is for a cluster"),
        ({"backend": "ray", "address": "127.0.0.1:1"}, "no Ray cluster at"),
        ({"backend": "ray", "address": "head"}, "HOST:PORT"),
        ({"backend": "dask", "address": "tcp://127.0.0.1:1"}, "no Dask scheduler at"),
        ({"backend": "dask", "address": "tcp://127.0.0.1:99999"}, "no Dask scheduler at"),
    ],
)
def test_workers_that_are_not_there(given: Mapping[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=said):
        run(SMALL, tmp_path / "out", **given)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("name", "backend"), [("ray", "ray"), ("distributed", "dask")])
def test_a_package_that_is_missing(
    name: str, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(InputError, match="pip install 'gridcade"), workers(backend):
        pass


# ---- what comes out


def test_every_contender_plays_the_same_episodes(done: tuple[Path, Comparison]) -> None:
    out, found = done
    for name in ("random", "optimal"):
        wanted = api.evaluate(name, "FourRooms", episodes=20, seed=SMALL.evaluation_seed)
        (outcome,) = found.outcomes["FourRooms"][name]
        assert outcome.seed is None
        assert outcome.evaluation == json.loads(json.dumps(wanted.as_dict()))
    for seed, outcome in enumerate(found.outcomes["FourRooms"]["q-learning"]):
        policy = api.load(out / "runs/FourRooms/q-learning" / f"s{seed}")
        wanted = evaluate_policy(policy, "FourRooms", episodes=20, seed=SMALL.evaluation_seed)
        assert outcome.seed == seed
        assert outcome.evaluation["expected_return"]["mean"] == wanted.expected_return.mean  # type: ignore[union-attr]


def test_a_task_is_the_run_that_train_makes(done: tuple[Path, Comparison], tmp_path: Path) -> None:
    out, found = done
    alone = train("q-learning", "FourRooms", steps=3000, seed=1, out=tmp_path / "alone")
    outcome = found.outcomes["FourRooms"]["q-learning"][1]
    path = out / "runs/FourRooms/q-learning/s1"
    assert outcome.run == path
    assert Run(path).config == alone.config
    assert tensors(path) == tensors(alone.path)
    assert len(outcome.metrics) == 3
    assert len(outcome.sessions) == 1


def test_results_hold_seeds_means_and_optima(done: tuple[Path, Comparison]) -> None:
    out, found = done
    results = json.loads((out / "results.json").read_bytes())
    assert results == found.as_dict() | {"verdicts": report.verdicts(found)}
    assert "optimal is better than random on FourRooms: difference " in results["verdicts"][2]
    assert results["deterministic"] is True
    assert results["failures"] == []
    rooms = results["environments"]["FourRooms"]
    values = [seed["expected_return"] for seed in rooms["q-learning"]["seeds"]]
    interval = mean_interval(values, 0.95)
    assert rooms["q-learning"]["expected_return"] == {
        "mean": np.mean(values),
        "low": interval.low,
        "high": interval.high,
    }
    random = found.outcomes["FourRooms"]["random"][0].evaluation
    assert rooms["random"]["expected_return"] == random["expected_return"]
    assert rooms["random"]["seeds"][0]["exact"]["expected_return"] == pytest.approx(
        random["exact"]["expected_return"]
    )
    assert results["exact"]["FourRooms"]["expected_return"] == pytest.approx(1)
    swim = results["environments"]["RiverSwim"]["optimal"]  # never ends
    assert swim["expected_return"] is None
    assert swim["seeds"][0]["expected_return"] is None
    assert swim["average_reward"]["low"] < results["exact"]["RiverSwim"]["average_reward"]
    assert results["exact"]["RiverSwim"]["average_reward"] < swim["average_reward"]["high"]


def test_one_row_a_run(done: tuple[Path, Comparison]) -> None:
    header, *rows = (done[0] / "results.csv").read_text().splitlines()
    assert header.startswith("environment,contender,seed,expected_return,")
    assert [row.split(",")[:3] for row in rows] == [
        [env, name, seed]
        for env in SMALL.environments
        for name, seeds in (("q-learning", "01"), ("random", ("",)), ("optimal", ("",)))
        for seed in seeds
    ]


def test_one_seed_has_no_interval_and_no_seed_no_mean() -> None:
    estimate = {"mean": 2.0, "low": 1.0, "high": 3.0}
    evaluation = {"expected_return": estimate, "average_reward": estimate, "exact": None}
    study = replace(SMALL, environments=("CartPole",), minutes=1.0)
    found = Comparison(
        study, {"CartPole": {"q-learning": (Outcome(0, evaluation),), "random": ()}}
    ).as_dict()
    contenders = found["environments"]["CartPole"]
    unknown = {"mean": 2.0, "low": None, "high": None}
    assert contenders["q-learning"]["expected_return"] == unknown
    assert contenders["random"] == {"seeds": [], "expected_return": None, "average_reward": None}
    assert found["exact"] == {"CartPole": None}
    assert found["deterministic"] is False


# ---- again


def test_what_is_done_is_left_alone(done: tuple[Path, Comparison]) -> None:
    out, found = done
    before = {name: kept for name, kept in files(out).items() if not name.startswith("results")}
    again = run(SMALL, out)
    assert again == found
    after = {name: kept for name, kept in files(out).items() if not name.startswith("results")}
    assert after == before
    assert {session_count(path.parent) for path in out.rglob("config.toml")} == {1}


def test_how_it_was_worked_on_is_kept(done: tuple[Path, Comparison]) -> None:
    out, found = done
    (session,) = found.sessions
    assert (session["backend"], session["jobs"]) == ("loky", 2)
    assert json.loads((out / "sessions.json").read_bytes()) == {"sessions": [session]}
    assert "loky" not in (out / "results.json").read_text()


def test_a_finished_study_needs_neither_replays_nor_runs(tmp_path: Path) -> None:
    """A replay takes 7 GB; and what is left of a study may be its results."""
    small = {"hidden": [8], "learn_start": 100, "held_out": 3, "replay_capacity": 200}
    study = Study((Entry("dqn", hyperparameters=small),), ("CartPole",), 300, None, 1, 2)
    out = tmp_path / "out"
    first = run(study, out)
    path = first.outcomes["CartPole"]["dqn"][0].run
    assert path is not None
    assert not (path / "replay").exists()
    api.evaluate(path, episodes=1)
    with pytest.raises(InputError, match="is gone, so that the run cannot go on"):
        resume(path, steps=600)
    assert Run(path).last_checkpoint() == 300

    shutil.rmtree(out / "runs")
    results = (out / "results.json").read_bytes()
    (outcome,) = run(study, out).outcomes["CartPole"]["dqn"]
    assert (out / "results.json").read_bytes() == results
    assert (outcome.metrics, outcome.run) == ((), None)
    assert outcome.config == first.outcomes["CartPole"]["dqn"][0].config
    page = report.write(run(study, out), out).read_text(encoding="utf-8")
    assert "No replay: the run folder is not here." in page


def test_only_what_is_missing_is_done_again(done: tuple[Path, Comparison]) -> None:
    out, found = done
    (out / "tasks/FourRooms/q-learning/s1/result.json").unlink()
    before = files(out)
    assert run(SMALL, out) == found  # evaluated again, not trained
    changed = {name for name, kept in files(out).items() if before.get(name) != kept}
    place = "tasks/FourRooms/q-learning/s1"
    assert {name for name in changed if name.startswith(("runs", "tasks"))} == {
        f"{place}/result.json",
        f"{place}/state.json",
    }


def test_another_study_is_refused_and_nothing_lost(done: tuple[Path, Comparison]) -> None:
    out, _ = done
    before = files(out)
    with pytest.raises(InputError, match=r"another study \(steps: 3000 -> 4000\): choose another"):
        run(replace(SMALL, steps=4000, seeds=3), out)
    assert files(out) == before


def test_a_study_grows_in_its_folder(tmp_path: Path) -> None:
    out = tmp_path / "out"
    few = Study((Entry("q-learning"), Entry("random")), ("FourRooms",), 2000, None, 1, 5)
    run(few, out)
    first = files(out / "runs/FourRooms/q-learning/s0")
    same = Entry("q-learning", preset="watkins")  # the default, in a word
    more = (Entry("random"), same, Entry("q-learning", "new", "converging"))
    grown = replace(few, contenders=more, environments=("FourRooms", "CliffWalk"), seeds=2)
    found = run(grown, out)
    assert files(out / "runs/FourRooms/q-learning/s0") == first
    assert read_study(out / "study.toml") == grown
    run(grown, tmp_path / "at once")
    assert (out / "results.json").read_bytes() == (tmp_path / "at once/results.json").read_bytes()
    by_reward = replace(grown, criterion="average-reward")
    assert run(by_reward, out).outcomes == found.outcomes
    assert read_study(out / "study.toml") == by_reward


def test_the_same_study_from_python_is_the_same_the_second_time(tmp_path: Path) -> None:
    small = {"hidden": (8, 8), "learn_start": 100, "held_out": 3}
    study = Study((Entry("dqn", hyperparameters=small),), ("CartPole",), 300, None, 1, 2)
    assert run(study, tmp_path / "out") == run(study, tmp_path / "out")
    assert read_study(tmp_path / "out/study.toml").as_dict() == study.as_dict()


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    for place in (tmp_path, tmp_path / "mine"):
        with pytest.raises(InputError, match="is there already, and holds no study"):
            run(SMALL, place)
    assert (tmp_path / "mine").read_text() == "precious"


def test_a_folder_that_a_full_disk_left_with_a_lock_alone_is_taken(tmp_path: Path) -> None:
    (tmp_path / ".lock").touch()
    assert not run(SMALL, tmp_path).failures


def test_a_run_that_was_removed_is_trained_to_its_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its training was complete when the study was stopped; what is trained anew is stopped too."""
    study = replace(SMALL, contenders=(SLOW,), environments=("FourRooms",), seeds=1)
    (task,) = plan(study)
    session = begun(study, tmp_path)
    folder = session.folder(task)
    folder.mkdir(parents=True)
    told = State("another", "stopped", trained=True, reached=3000)
    (folder / "state.json").write_bytes(msgspec.json.encode(told))

    def interrupted(**given: Any) -> Run:
        session.sign.unlink()  # as Ctrl-C does
        return train(**given)

    with _begun(session), monkeypatch.context() as patched:
        patched.setattr("gridcade.study.task.PULSE", 0.0)  # it asks whenever the loop does
        patched.setattr(sessions, "train", interrupted)
        attempt(task, session)
    assert Run(session.run(task)).last_checkpoint() < 3000
    with _begun(session):
        attempt(task, session)
    assert Run(session.run(task)).last_checkpoint() == 3000
    state = state_of(folder)
    assert state is not None
    assert state.phase == "done"


def test_a_run_that_was_made_otherwise_is_refused(tmp_path: Path) -> None:
    study = replace(SMALL, contenders=(Entry("q-learning"),), environments=("FourRooms",))
    with _begun(session := begun(study, tmp_path / "out")):
        pass
    train("q-learning", "FourRooms", steps=2000, out=session.run(plan(study)[0]))
    before = files(session.out)
    with pytest.raises(InputError, match=r"another config \(.*steps: 2000 -> 3000\)"):
        run(study, session.out)
    assert files(session.out) == before


def test_a_study_is_worked_on_by_one_at_a_time(tmp_path: Path) -> None:
    with (
        _begun(begun(SMALL, tmp_path / "out")),
        pytest.raises(InputError, match="is being worked on just now"),
    ):
        run(SMALL, tmp_path / "out")


# ---- errors and kills


def begun(study: Study, out: Path) -> Session:
    return Session(study, out, Path.cwd(), "mine")


class Breaking(gym.Env[Any, Any]):
    """An environment that fails at its hundredth step, as one with a leak might."""

    observation_space = gym.spaces.Discrete(2)
    action_space = gym.spaces.Discrete(2)

    def __init__(self) -> None:
        self.steps = 0

    def reset(self, **given: Any) -> tuple[int, dict[str, Any]]:
        super().reset(seed=given.get("seed"))
        return 0, {}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        self.steps += 1
        if self.steps == 100:
            raise OSError("the emulator has gone")
        return action, 1.0, self.steps % 10 == 0, False, {}


@pytest.fixture
def breaking() -> Iterator[str]:
    gym.register("Breaking-v0", lambda **_: Breaking())
    yield "Breaking-v0"
    del gym.registry["Breaking-v0"]


def test_an_error_is_tried_three_times_and_kept(breaking: str, tmp_path: Path) -> None:
    study = Study((Entry("q-learning"),), (breaking,), steps=1000, seeds=1)
    (task,) = plan(study)
    with _begun(session := begun(study, tmp_path / "out")):
        attempt(task, session)
        state = state_of(session.folder(task))
        assert state is not None
        assert (state.phase, state.errors, state.kills) == ("failed", TRIES, 0)
        assert session_count(session.run(task)) == TRIES
        for number in range(1, TRIES + 1):
            kept = (session.folder(task) / f"error-{number}.txt").read_text()
            assert kept.startswith("Traceback")
            assert kept.endswith("OSError: the emulator has gone\n")
        attempt(task, session)  # given up in this session
        assert session_count(session.run(task)) == TRIES
    (failure,) = gather([task], session).failures
    assert failure.reason == "OSError: the emulator has gone"
    with _begun(later := replace(session, token="later")):
        attempt(task, later)  # another session tries afresh
    assert session_count(session.run(task)) == 2 * TRIES


def test_bad_input_is_not_tried_again(tmp_path: Path) -> None:
    wild = Entry(
        "dqn",
        hyperparameters={"learning_rate": 1e30, "learn_start": 100, "hidden": [8], "held_out": 3},
    )
    study = Study((wild,), ("CartPole",), steps=2000, seeds=1)
    (task,) = plan(study)
    with _begun(session := begun(study, tmp_path / "out")):
        attempt(task, session)
    state = state_of(session.folder(task))
    assert state is not None
    assert (state.phase, state.errors) == ("failed", 1)
    assert "it has diverged" in state.reason
    assert session_count(session.run(task)) == 1


def test_a_task_whose_session_is_over_stops_at_a_checkpoint(tmp_path: Path) -> None:
    study = Study((SLOW,), ("FrozenLake-v1",), steps=40_000, seeds=1, episodes=5)
    (task,) = plan(study)
    with _begun(session := begun(study, tmp_path / "out")):
        working = threading.Thread(target=attempt, args=(task, session))
        working.start()
        wait(lambda: (state := state_of(session.folder(task))) is not None and state.steps > 0)
        session.sign.unlink()
        working.join(30)
        assert not working.is_alive()
    state = state_of(session.folder(task))
    assert state is not None
    assert state.phase == "stopped"
    assert 0 < Run(session.run(task)).last_checkpoint() < 40_000
    assert gather([task], session).outcomes == {"FrozenLake-v1": {"q-learning": ()}}
    run(study, session.out)  # goes on there
    alone = train("q-learning", "FrozenLake-v1", steps=40_000, envs=2, out=tmp_path / "alone")
    assert tensors(session.run(task)) == tensors(alone.path)
    assert session_count(session.run(task)) == 2


@given(st.lists(st.integers(0, 5), max_size=12))
def test_a_kill_is_charged_unless_a_further_checkpoint_was_reached(reached: list[int]) -> None:
    state = State("mine", "training")
    charged, furthest = 0, 0
    for checkpoint in reached:  # that there is after each kill; starting over takes it back
        state = _killed(state, checkpoint)
        charged += checkpoint <= furthest
        furthest = max(furthest, checkpoint)
        assert (state.kills, state.reached) == (charged, furthest)


@contextmanager
def killer(session_out: Path, place: str, times: int) -> Iterator[list[int]]:
    """Kill whoever trains a task, so many times; yields the processes that were killed."""
    killed: list[int] = []
    over = threading.Event()

    def kill() -> None:
        while len(killed) < times and not over.wait(0.02):
            state = state_of(session_out / "tasks" / place)
            if state and state.phase == "training" and state.pid not in killed and state.steps:
                os.kill(state.pid, signal.SIGKILL)
                killed.append(state.pid)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield killed
    finally:
        over.set()
        thread.join()


# ---- backends


VICTIM = "FrozenLake-v1/q-learning/s1"
HURT = "FrozenLake-v1/q-learning/s0"
MIXED = Study(
    (SLOW, Entry("random"), Entry("optimal")),
    ("FrozenLake-v1",),
    steps=50_000,
    seeds=3,
    episodes=20,
)


def spoilt(out: Path) -> Path:
    """A study with a run that cannot go on: its metrics have become a folder."""
    with _begun(session := begun(MIXED, out)):
        pass
    path = out / "runs" / HURT
    asked = MIXED.contenders[0].policy, MIXED.environments[0]
    train(*asked, steps=MIXED.steps, envs=SLOW.envs, seed=0, out=path, stop=lambda: True)
    (path / "metrics.jsonl").unlink()
    (path / "metrics.jsonl").mkdir()
    assert session.run(next(task for task in plan(MIXED) if task.place == HURT)) == path
    return out


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """What comes out where nobody is killed."""
    out = spoilt(tmp_path_factory.mktemp("undisturbed") / "out")
    run(MIXED, out, jobs=2)
    return (out / "results.json").read_bytes()


TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
RUN = """
import sys
from gridcade.study.runner import run
from gridcade.study.study import read_study

out, backend, address = sys.argv[1:]
run(read_study(out + "/study.toml"), out, backend=backend, address=address or None, jobs=2)
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
    """A Ray cluster of two processors, in a process of its own, with a token made for it."""
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
    """A Dask cluster of two workers with one thread each."""
    distributed: Any = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50
    ) as cluster:
        yield cluster.scheduler_address


def test_the_slurm_workers_of_the_docs_have_one_thread_and_no_limit_to_memory() -> None:
    """The last of an option counts; dask-jobqueue gives a limit of its own before ours."""
    slurm: Any = pytest.importorskip("dask_jobqueue.slurm")
    docs = (Path(__file__).parents[2] / "docs/studies.md").read_text(encoding="utf-8")
    call = docs.partition("cluster = SLURMCluster(")[2].partition("\n    )")[0]
    given = eval(f"dict({call})")
    script = slurm.SLURMJob(scheduler="tcp://head:1", name="worker", **given).job_script()
    options = script.splitlines()[-1].split()
    limits = [value for key, value in pairwise(options) if key == "--memory-limit"]
    assert limits[-1] == "0"
    assert options[options.index("--nthreads") + 1] == "1"


@pytest.mark.timeout(600)  # guards against hanging only
@pytest.mark.parametrize(
    ("backend", "cluster"), [("loky", no_cluster), ("ray", ray_cluster), ("dask", dask_cluster)]
)
def test_a_worker_killed_and_a_task_that_fails_change_nothing_else(
    backend: Backend, cluster: Any, undisturbed: bytes, tmp_path: Path
) -> None:
    out = spoilt(tmp_path / "out")
    with cluster() as address, killer(out, VICTIM, times=1) as killed:
        # in a process of its own: Ray learns of its token when it is loaded
        said = subprocess.run(
            [sys.executable, "-c", RUN, str(out), backend, address],
            env=os.environ | TOKEN,
            capture_output=True,
            text=True,
        )
    assert said.returncode == 0, said.stderr
    assert len(killed) == 1
    assert (out / "results.json").read_bytes() == undisturbed
    assert session_count(out / "runs" / VICTIM) == 2
    assert Run(out / "runs" / VICTIM).last_checkpoint() == 50_000
    assert (
        b'"contender": "q-learning",\n      "env": "FrozenLake-v1",\n      "seed": 0' in undisturbed
    )
    state = state_of(out / "tasks" / HURT)
    assert state is not None
    assert state.reason.startswith("cannot write")
    assert state.reason.endswith("metrics.jsonl': Is a directory")
    assert str(tmp_path) not in state.reason
    assert (out / "tasks" / HURT / f"error-{TRIES}.txt").is_file()


def test_the_killed_is_given_up_and_whoever_dies_with_it_is_not(tmp_path: Path) -> None:
    # no checkpoint is made before the end, and all of loky's workers die together
    study = Study((SLOW,), ("FrozenLake-v1",), minutes=0.05, seeds=2, episodes=5)
    seen: list[list[TaskStatus]] = []
    with killer(tmp_path / "out", "FrozenLake-v1/q-learning/s0", times=99) as killed:
        found = run(study, tmp_path / "out", jobs=2, report=lambda now: seen.append([*now]))
    assert len(killed) == TRIES
    (failure,) = found.failures
    assert failure.seed == 0
    assert failure.reason == "killed 3 times without a new checkpoint"
    assert [outcome.seed for outcome in found.outcomes["FrozenLake-v1"]["q-learning"]] == [1]
    assert {one.phase for now in seen for one in now} >= {"waiting", "training", "failed", "done"}
    assert [one.phase for one in seen[-1]] == ["failed", "done"]


@pytest.mark.parametrize("backend", ["loky", "ray", "dask"])
def test_jobs_bound_what_runs_at_once_in_processes_of_one_thread(
    backend: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS")  # or they would inherit it

    def span(number: int) -> None:
        start = time.monotonic()
        threads = os.environ["OMP_NUM_THREADS"], torch.get_num_threads()
        time.sleep(0.2)
        found = start, time.monotonic(), threads, os.getpid()
        (tmp_path / f"{number}.json").write_text(json.dumps(found))

    with workers(backend, jobs=1) as map_tasks:
        map_tasks(span, range(3))
    spans = sorted(json.loads(file.read_text()) for file in tmp_path.glob("*.json"))
    assert len(spans) == 3
    for (_, end, _, _), (start, _, _, _) in pairwise(spans):
        assert end <= start
    assert all(threads == ["1", 1] for _, _, threads, _ in spans)
    assert os.getpid() not in {process for _, _, _, process in spans}


def test_no_usage_statistics_are_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_USAGE_STATS_ENABLED", raising=False)
    with workers("ray", jobs=1):
        from ray._common.usage import usage_lib

        assert not usage_lib.usage_stats_enabled()


def test_workers_of_several_threads_are_refused(tmp_path: Path) -> None:
    """Where a task chooses its folder and its threads for its whole process."""
    distributed: Any = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=2, dashboard_address=None, silence_logs=50
        ) as cluster,
        pytest.raises(InputError, match="start them with --nthreads 1"),
    ):
        run(SMALL, tmp_path / "out", backend="dask", address=cluster.scheduler_address)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("raised", [True, False])
def test_where_no_worker_can_begin_the_study_ends(raised: bool, tmp_path: Path) -> None:
    """Workers that cannot be had raise; such as do not see the study's folder say nothing."""
    session = begun(SMALL, tmp_path / "out")
    calls = []

    def map_tasks(work: Callable[[Task], None], items: Any) -> None:
        calls.append(len(items))
        if raised:
            raise RuntimeError("the cluster\nhas gone")
        hidden = session.sign.rename(tmp_path / "hidden")
        for item in items:
            work(item)
        hidden.rename(session.sign)

    why = "RuntimeError: the cluster has gone" if raised else "'.*' is not theirs to see"
    with (
        _begun(session),
        pytest.raises(InputError, match=f"no worker can begin a task: {why}"),
    ):
        runner._work_off(plan(SMALL), session, map_tasks, threading.Event())
    assert calls == [8] * TRIES
    assert not (session.out / "tasks").exists()


def test_a_task_that_cannot_be_told_of_disturbs_no_other(tmp_path: Path) -> None:
    tasks = plan(SMALL)
    with _begun(session := begun(SMALL, tmp_path / "out")):
        folder = session.folder(tasks[0])
        folder.parent.mkdir(parents=True)
        folder.touch()  # where its folder should be

        def here(work: Callable[[Task], None], items: Any) -> None:
            for item in items:
                work(item)

        reason = runner._work_off(tasks, session, here, threading.Event())
    (failure,) = gather(tasks, session, reason).failures
    assert failure.contender == "random"
    assert failure.reason.endswith("is not theirs to see, or to write in")


def test_a_study_stops_when_it_is_told_to(tmp_path: Path) -> None:
    study = Study((SLOW,), ("FrozenLake-v1",), minutes=5, seeds=1, episodes=5)
    out, place = tmp_path / "out", "FrozenLake-v1/q-learning/s0"

    def learning() -> bool:
        return (state := state_of(out / "tasks" / place)) is not None and state.steps > 0

    with pytest.raises(Stopped):
        run(study, out, jobs=1, stop=learning)
    kept = Run(out / "runs" / place)
    assert 0 < kept.last_checkpoint() < kept.config.epoch  # not a step is lost
    state = state_of(out / "tasks" / place)
    assert state is not None
    assert state.phase == "stopped"
