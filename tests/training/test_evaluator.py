"""Evaluations during training: their share of the time, and what ends them."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from gridcade.agents.q_learning import QLearning
from gridcade.experience.pool import EnvPool
from gridcade.training import evaluator, sessions, trainer
from gridcade.training.config import RunSettings
from gridcade.training.run_folder import Run

NAME = "tests/Endless-v0"


class Endless(gym.Env[Any, Any]):
    """An environment without an end, which counts the steps of all its objects.

    Only its steps advance the simulated time, so the speed of the machine does not matter.
    """

    observation_space = gym.spaces.Box(0, 1, (1,), np.float32)
    action_space = gym.spaces.Discrete(2)
    steps, seconds, seconds_per_step = 0, 0.0, 0.001

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed, options=options)
        return np.zeros(1, np.float32), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        Endless.steps += 1
        Endless.seconds += self.seconds_per_step
        return np.zeros(1, np.float32), float(action), False, False, {}


@pytest.fixture(autouse=True)
def endless(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    Endless.steps, Endless.seconds, Endless.seconds_per_step = 0, 0.0, 0.001
    monkeypatch.setattr(evaluator, "SHORTEST_LIMIT", 100)
    gym.register(NAME, lambda **options: Endless(**options))
    yield
    del gym.registry[NAME]


@pytest.fixture
def simulated_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(perf_counter=lambda: Endless.seconds)
    for module in (evaluator, trainer):
        monkeypatch.setattr(module, "time", clock)


def train(out: Path, **options: Any) -> Run:
    small = {"rollout": 10, "minibatches": 1, "hidden": [4], "epochs": 1}
    given: Any = {"steps": 1200, "epoch": 200, "evaluation_episodes": 3, "envs": 1} | options
    return sessions.train("pqn", given.pop("env", NAME), hyperparameters=small, out=out, **given)


@pytest.mark.usefixtures("simulated_time")
def test_evaluations_in_an_endless_environment_are_bounded_by_steps(tmp_path: Path) -> None:
    notes: list[str] = []
    run = train(tmp_path / "run", note=notes.append)
    assert Endless.steps == 1200 + 6 * 3 * 200
    assert [m["truncated"] for m in run.metrics()] == [1.0] * 6
    assert [note for note in notes if "no time limit is known" in note] != []


@pytest.mark.usefixtures("simulated_time")
def test_evaluations_take_no_longer_than_learning_and_do_not_change_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(tmp_path / "whole")
    monkeypatch.setattr(evaluator, "GRACE", 0.0)
    notes: list[str] = []
    bounded = train(tmp_path / "bounded", note=notes.append, evaluation_episodes=30)
    evaluated = [m["steps"] for m in bounded.metrics() if "return_mean" in m]
    assert evaluated == [1200]
    assert any("was ended" in note for note in notes)
    assert any("take too long compared" in note for note in notes)
    tensors = [run.load_agent(1200) for run in (whole, bounded)]
    assert all((tensors[0][name] == tensors[1][name]).all() for name in tensors[0])
    assert [m.get("loss") for m in whole.metrics()] == [m.get("loss") for m in bounded.metrics()]


@pytest.mark.usefixtures("simulated_time")
@pytest.mark.parametrize("limit", [0.3, None])
def test_an_evaluation_ends_when_its_time_is_used_up_or_the_session_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: float | None
) -> None:
    """Three episodes of 500 steps would take 15 seconds by the clock."""
    monkeypatch.setattr(evaluator, "CHECK_INTERVAL", 0.05)
    if limit is not None:
        monkeypatch.setattr(evaluator, "GRACE", limit)
        monkeypatch.setattr(evaluator, "LAST_SECONDS", limit)
    notes: list[str] = []

    def report(progress: trainer.Progress) -> None:
        if progress.steps == 500:  # then the evaluation begins
            Endless.seconds_per_step = 0.01

    stop: Callable[[], bool] = lambda: limit is None and Endless.steps >= 500  # noqa: E731
    run = train(tmp_path / "run", steps=500, epoch=500, report=report, stop=stop, note=notes.append)
    assert Endless.steps < 500 + 100
    assert [(m["steps"], m.get("return_mean")) for m in run.metrics()] == [(500, None)]
    assert run.last_checkpoint() == 500
    assert any(("was ended" if limit else "was stopped") in note for note in notes)


def test_an_exact_evaluation_is_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An open world with a long time limit, whose exact value takes minutes."""
    monkeypatch.setattr(evaluator, "CHECK_INTERVAL", 0.05)
    monkeypatch.setattr(evaluator, "LAST_SECONDS", 0.3)
    monkeypatch.setattr(evaluator, "GRACE", 0.3)
    file = tmp_path / "open.txt"
    rows = "\n".join("." * 60 for _ in range(60))
    file.write_text(f"slip: 0.5\ntime limit: 10000000\nmap:\nS{rows[1:-1]}G\n")
    notes: list[str] = []
    run = sessions.train(
        "q-learning", str(file), steps=5000, out=tmp_path / "run", note=notes.append
    )
    assert not any("return_mean" in m for m in run.metrics())
    assert any("was ended" in note for note in notes)


def test_exact_evaluations_take_at_most_a_tenth_of_the_time_of_learning() -> None:
    notes: list[str] = []
    settings, agent = RunSettings("q-learning", "FourRooms", minutes=1.0), QLearning(104, 4)
    with EnvPool(settings.env) as pool:
        judge = evaluator.Evaluator(settings, agent, pool, False, lambda: False, notes.append)
        assert "exact" in judge.evaluate(1000, learning_seconds=1.0)  # within the grace
        judge.seconds = 100.0
        assert not judge.evaluate(2000, learning_seconds=1000.0)
        assert "take too long compared with learning" in notes[0]
        assert "exact" in judge.evaluate(3000, learning_seconds=1050.0)
        judge.close()


def test_a_long_epoch_has_checkpoints_at_intervals_of_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "CHECKPOINT_SECONDS", 0.0)
    whole = train(tmp_path / "whole", steps=1000, epoch=1000)
    calls, saved = count(1), list[int]()

    def kill(_: trainer.Progress) -> None:
        saved[:] = Run(tmp_path / "run").checkpoints()
        if next(calls) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "run", steps=1000, epoch=1000, report=kill)
    assert max(saved) == 600
    run = sessions.resume(tmp_path / "run")
    tensors = [one.load_agent(1000) for one in (whole, run)]
    assert all((tensors[0][name] == tensors[1][name]).all() for name in tensors[0])
