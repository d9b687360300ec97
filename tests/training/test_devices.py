"""Runs on an accelerator, and runs that move from one device to another.

Here the CPU is the accelerator, under the name cpu:0.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gridcade.errors import InputError
from gridcade.training import sessions
from gridcade.training.run_folder import Run

ENV = "FourRooms?observation=pixels&pixels=36"
AGENTS: dict[str, dict[str, Any]] = {
    "dqn": {
        "replay_capacity": 300,
        "learn_start": 60,
        "update_every": 8,
        "target_every": 16,
        "batch_size": 16,
        "held_out": 4,
    },
    "pqn": {"rollout": 16, "minibatches": 4, "epochs": 1},
}
HALF, WHOLE = 160, 320


@pytest.fixture(autouse=True)
def cpu_0_is_an_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gridcade.agents.deep.is_accelerator", lambda device: device.index == 0)
    monkeypatch.setattr("gridcade.agents.accelerator.has_room", lambda *_: True)


def train(agent: str, out: Path, device: str, until: int) -> Run:
    """Train, and stop after a number of steps, before the budget is used up."""
    taken: list[int] = []
    return sessions.train(
        agent,
        ENV,
        hyperparameters=AGENTS[agent] | {"device": device, "average_over": 20},
        out=out,
        steps=WHOLE,
        epoch=HALF,
        envs=2,
        evaluation_every=10,
        report=lambda progress: taken.append(progress.steps),
        stop=lambda: taken[-1] >= until,
    )


@pytest.mark.parametrize("agent", AGENTS)
def test_runs_resume_bit_for_bit_and_on_another_device_up_to_rounding(
    agent: str, tmp_path: Path
) -> None:
    whole = train(agent, tmp_path / "whole", "cpu:0", WHOLE)
    expected = whole.load_checkpoint(WHOLE)[0]
    notes: list[str] = []
    for device, after in (("cpu:0", None), ("cpu:0", "cpu"), ("cpu", "cpu:0")):
        half = train(agent, tmp_path / f"{device}-{after}", device, HALF)
        sessions.resume(half.path, device=after, note=notes.append)
        tensors = half.load_checkpoint(WHOLE)[0]
        assert tensors.keys() == expected.keys()
        for name, tensor in tensors.items():
            if after is None or tensor.dtype.kind in "ui":
                np.testing.assert_array_equal(tensor, expected[name], err_msg=name)
            else:
                np.testing.assert_allclose(tensor, expected[name], rtol=0.02, atol=2e-3)
        assert vars(Run(half.path).config.hyperparameters)["device"] == (after or device)
    (there, back) = notes
    assert there == (
        "this run now learns on cpu, and learned on cpu:0 before: devices round differently, so it "
        "will differ from a run that stays on cpu:0"
    )
    assert back.startswith("this run now learns on cpu:0, and learned on cpu before")


def test_devices_that_do_not_fit_are_errors(tmp_path: Path) -> None:
    run = sessions.train("q-learning", "FourRooms", out=tmp_path / "table", steps=1000)
    with pytest.raises(InputError, match="device is cuda, but q-learning has no network"):
        sessions.resume(run.path, steps=2000, device="cuda")
    run = train("pqn", tmp_path / "net", "cpu", HALF)
    with pytest.raises(InputError, match="unknown device 'gpu'"):
        sessions.resume(run.path, device="gpu")
    assert vars(Run(run.path).config.hyperparameters)["device"] == "cpu"
