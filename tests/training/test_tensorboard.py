"""TensorBoard shows what the metrics hold, once each, however often a run was resumed."""

from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from gridcade.training import sessions
from gridcade.training.tensorboard import TensorBoardLogger


def after(asked: int) -> Callable[[], bool]:
    times = count(1)
    return lambda: next(times) >= asked


def test_tensorboard_shows_the_metrics_of_a_run_that_was_resumed(tmp_path: Path) -> None:
    small = {"learn_start": 100, "replay_capacity": 500, "hidden": (8,), "held_out": 3}
    run = sessions.train(
        "dqn",
        "CartPole",
        steps=2_000,
        epoch=500,
        evaluation_episodes=1,
        hyperparameters=small,
        out=tmp_path / "run",
        stop=after(7),
    )
    assert 500 < run.last_checkpoint() < 2_000
    # killed after an epoch's metrics were shown, before its checkpoint: the epoch comes twice
    shown = TensorBoardLogger(run.path, 1_000)
    shown.add({"steps": 1_500, "return_mean": -1.0})
    shown.close()
    sessions.resume(run.path)
    events = EventAccumulator(str(run.path / "tensorboard")).Reload()
    for name in ("return_mean", "held_out_max_q", "loss"):
        scalars = [(e.step, e.value) for e in events.Scalars(name)]
        expected = [(m["steps"], m[name]) for m in run.metrics() if name in m]
        assert [s for s, _ in scalars] == [d for d, _ in expected]
        assert [v for _, v in scalars] == pytest.approx([e for _, e in expected], rel=1e-5)
