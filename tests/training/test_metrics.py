"""docs/reference.md describes exactly the keys that runs write into metrics.jsonl."""

import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pytest
from PIL import Image

import gridcade
from gridcade.training.run_folder import Run

REFERENCE = (Path(__file__).parents[2] / "docs" / "reference.md").read_text(encoding="utf-8")
SECTION = REFERENCE.partition("\n## Metrics\n")[2].partition("\n## ")[0]
Entry = dict[str, Any]

QLEARNING: dict[str, Any] = {"steps": 4000, "epoch": 1000}
DEEP: dict[str, Any] = {"steps": 768, "epoch": 256, "evaluation_episodes": 2}
RUNS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "exact": ("q-learning", "CliffWalk", QLEARNING),
    "every second epoch": ("q-learning", "FourRooms", QLEARNING | {"evaluation_every": 2}),
    "average reward": (
        "q-learning",
        "RiverSwim",
        QLEARNING | {"hyperparameters": {"criterion": "average-reward"}},
    ),
    "sarsa": (
        "sarsa",
        "RiverSwim",
        QLEARNING | {"hyperparameters": {"criterion": "average-reward"}},
    ),
    "monte-carlo": ("monte-carlo", "CliffWalk", QLEARNING),
    "no episode ends": ("q-learning", "Maze?size=9", {"steps": 300, "epoch": 100}),
    "dqn": ("dqn", "CartPole", DEEP | {"hyperparameters": {"learn_start": 300}}),
    "pqn": ("pqn", "CartPole", DEEP | {"steps": 1536, "epoch": 512, "evaluation_every": 3}),
}


def documented() -> dict[str, str]:
    """When each key is present, as the table says."""
    rows = re.findall(r"^\| (`.*`) \|.*\| ([^|]+) \|$", SECTION, re.MULTILINE)
    return {key: present for keys, present in rows for key in re.findall(r"`(\w+)`", keys)}


def conditions(run: Run, entry: Entry, previous: Entry) -> dict[str, bool]:
    """Whether each condition of the table holds in an epoch of a run, after a previous one."""
    agent = run.config.agent
    number = round(entry["steps"] / run.config.epoch)
    last = entry["steps"] >= (run.config.steps or 0)
    evaluated = last or number % run.config.evaluation_every == 0
    ends = run.env != "RiverSwim"
    updated = entry.get("updates", 0) > previous.get("updates", 0)
    differential = getattr(run.config.hyperparameters, "criterion", "") == "average-reward"
    return {
        "always": True,
        "if an episode ended": entry["episodes"] > 0,
        "with an evaluation": evaluated,
        "with an evaluation, if episodes end": evaluated and ends,
        "with an estimated evaluation, if episodes end": evaluated and run.env == "CartPole",
        "tabular agents, dqn, pqn": True,
        "q-learning and sarsa with the criterion average-reward": differential,
        "monte-carlo": agent == "monte-carlo",
        "dqn, pqn": agent in ("dqn", "pqn"),
        "pqn": agent == "pqn",
        "dqn, pqn, if the epoch had updates": updated,
        "dqn, if the epoch had updates": agent == "dqn" and updated,
        "pqn, if the epoch had updates": agent == "pqn" and updated,
    }


@pytest.mark.parametrize("name", RUNS)
def test_the_documented_keys_are_those_that_a_run_writes(name: str, tmp_path: Path) -> None:
    agent, env, options = RUNS[name]
    run = gridcade.train(agent, env, out=tmp_path / "run", **options)
    entries = run.metrics()
    assert len(entries) >= 3
    for previous, entry in pairwise([{}, *entries]):
        holds = conditions(run, entry, previous)
        assert set(entry) == {key for key, when in documented().items() if holds[when]}, entry


def test_epsilon_is_missing_where_it_depends_on_visits(tmp_path: Path) -> None:
    options: dict[str, Any] = {"hyperparameters": {"epsilon": {"power": 0.5}}}
    run = gridcade.train("q-learning", "CliffWalk", steps=100, out=tmp_path / "run", **options)
    assert "epsilon" not in run.metrics()[-1]


def test_the_example_plots_a_curve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    gridcade.train("q-learning", "FourRooms", steps=3000, epoch=1000)
    [example] = re.findall(r"```python\n(.*?)```", SECTION, re.DOTALL)
    plt.close("all")  # the example draws into the current figure
    run_example: Callable[[str, Entry], None] = exec
    run_example(example, {})
    [line] = plt.gca().lines
    assert [*line.get_xdata()] == [1000, 2000, 3000]  # type: ignore[misc]
    plt.close()
    assert Image.open("curve.png").width > 100
