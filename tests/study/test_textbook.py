"""The studies of the textbook's figures: each can start, and shows what the book claims."""

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gridcade.envs import registry
from gridcade.exact import solver
from gridcade.study.plan import plan_tasks
from gridcade.study.recording import record_training
from gridcade.study.study import read_study

STUDIES = Path(__file__).parents[2] / "benchmarks" / "studies" / "sutton-barto"
TRANSFER = STUDIES.with_name("transfer")


def records(name: str, seeds: int) -> dict[str, dict[str, list[float]]]:
    """Return the record of each contender of a study, with fewer seeds."""
    study = replace(read_study(STUDIES / f"{name}.toml"), seeds=seeds)
    found = {}
    for task in plan_tasks(study):
        assert task.config is not None
        assert task.recording is not None
        record = record_training(task.config, task.recording)
        found[task.spec.label] = record
    return found


@pytest.mark.parametrize("file", sorted(STUDIES.glob("*.toml")), ids=lambda file: file.stem)
def test_a_study_can_start_and_names_its_command(file: Path) -> None:
    study = read_study(file)
    ends = {spec.label: spec for spec in (study.contenders[0], study.contenders[-1])}
    assert plan_tasks(replace(study, contenders=tuple(ends.values())))
    command = f"# gridcade compare benchmarks/studies/sutton-barto/{file.name}"
    assert command in file.read_text(encoding="utf-8").splitlines()


def test_each_transfer_starts_from_the_source_of_its_seed_and_learns_alike(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The arms differ only in the layers that they take and freeze."""
    monkeypatch.chdir(TRANSFER.parents[2])  # the studies name their worlds from there
    source, target = (read_study(TRANSFER / f"{name}.toml") for name in ("source", "target"))
    assert source.seeds == target.seeds
    paths = [f"studies/transfer-source/runs/{task.path}" for task in plan_tasks(source)]
    learned = source.contenders[0].hyperparameters
    for spec in target.contenders:
        if spec.init_from:
            assert [spec.init_from.format(seed=seed) for seed in range(10)] == paths
        choices = {"init_layers", "freeze"}
        assert {k: v for k, v in spec.hyperparameters.items() if k not in choices} == learned
    scratch = target.contenders[0]
    assert plan_tasks(replace(target, contenders=(scratch,), seeds=1))


def test_sarsa_earns_more_than_q_learning_on_the_cliff_while_it_learns() -> None:
    found = records("example-6-6", seeds=30)
    sarsa, q_learning = (np.mean(found[name]["mean"][-20:]) for name in ("Sarsa", "Q-learning"))
    assert -32 < sarsa < -20
    assert -60 < q_learning < -42


def test_sarsa_in_the_wind_comes_close_to_the_best_policy_that_explores() -> None:
    """The optimal policy with a random action in a tenth of the steps takes 17.05 steps."""
    with closing(registry.make("WindyGrid")) as env:
        model = registry.known_model(env)
    assert model is not None
    exploring = 0.9 * solver.solve(model, "return").policy + 0.1 * model.uniform
    assert solver.policy_value(model, exploring).episode_length == pytest.approx(17.05, abs=0.01)
    (found,) = records("example-6-5", seeds=30).values()
    steps, episodes = np.array(found["x"]), np.array(found["mean"])
    assert 17.05 < (steps[-1] - steps[-11]) / (episodes[-1] - episodes[-11]) < 27


def test_double_q_learning_is_hardly_biased() -> None:
    found = records("figure-6-5", seeds=200)
    left = {name: 100 * (np.array(record["mean"]) - 1) for name, record in found.items()}
    assert left["Q-learning"].max() > 65
    assert left["Double Q-learning"][20:].max() < 50
    assert left["Double Q-learning"][-100:].mean() < left["Q-learning"][-100:].mean()


def test_planning_finds_the_way_in_fewer_episodes() -> None:
    found = records("figure-8-2", seeds=30)
    five = {name: np.mean(record["mean"][2:7]) for name, record in found.items()}
    assert five["50 planning steps"] < five["5 planning steps"] < five["0 planning steps"] / 2


@pytest.mark.parametrize("name", ["figure-8-4", "figure-8-5"])
def test_dyna_q_plus_takes_the_new_way(name: str) -> None:
    found = records(name, seeds=20)
    plus, plain = (found[agent]["mean"] for agent in ("Dyna-Q+", "Dyna-Q"))
    assert plus[-1] - plus[-6] > 1.2 * (plain[-1] - plain[-6])
