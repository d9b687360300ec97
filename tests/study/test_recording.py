"""Studies that measure training: records equal naive sums, and sweeps equal single runs."""

import json
import math
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w
from numpy.testing import assert_allclose

from gridcade import report
from gridcade.agents.q_learning import QLearning
from gridcade.agents.tabular_loop import TabularLoop
from gridcade.envs import registry
from gridcade.errors import InputError
from gridcade.study.contender import ContenderSpec
from gridcade.study.measures import FigureAxes, Measure
from gridcade.study.plan import plan_tasks
from gridcade.study.recording import record_band
from gridcade.study.runner import run_study
from gridcade.study.seed_statistics import seed_interval
from gridcade.study.study import Study, read_study, report_changes, study_from_arguments
from gridcade.study.sweeps import expand_sweeps
from gridcade.study.task import Task
from gridcade.training import sessions
from in_process import run_in_process

SPEC = ContenderSpec("q-learning", hyperparameters={"discount": 1.0, "step_size": 0.5})
STUDY = Study(
    (SPEC,),
    ("CliffWalk?time_limit=none",),
    measure="training-return",
    training_episodes=12,
    seeds=6,
)
SWEEP = replace(SPEC, name="Q", hyperparameters={"discount": 1.0, "step_size": [0.1, 0.5, 0.9]})


def with_budget(measure: Measure, **changes: Any) -> Study:
    """Return the study with another measure and budget."""
    return replace(STUDY, **{"measure": measure, "training_episodes": None, **changes})


def record(study: Study, tmp_path: Path) -> dict[str, Any]:
    """Run a study with one contender, and return its record."""
    comparison = run_in_process(study, tmp_path / "study")
    assert not comparison.failures
    (records,) = comparison.records.values()
    (result,) = records.values()
    return dict(result)


def single_steps(task: Task, seed: int) -> Iterator[tuple[float, bool]]:
    """Yield the reward of each step of training, and whether an episode ended with it."""
    assert task.config is not None
    with closing(registry.make(task.env)) as env:
        agent = sessions.make_agent(replace(task.config, seed=seed), env)
        assert isinstance(agent, QLearning)
        loop = sessions.compiled_loop(agent, env, seed)
    assert isinstance(loop, TabularLoop)
    while True:
        reward = loop.step().transition.r
        yield reward, loop.elapsed == 0


def naive_curve(task: Task, seed: int) -> list[float]:
    """Return the measure of one seed at each episode or step."""
    assert task.recording is not None
    measure, episodes = task.recording.measure, task.recording.episodes
    curve: list[float] = []
    total, length, ended = 0.0, 0, 0
    for reward, end in single_steps(task, seed):
        total, length, ended = total + reward, length + 1, ended + end
        if episodes is None:
            curve.append(total if measure == "training-return" else ended)
        elif end:
            curve.append(total if measure == "training-return" else length)
            total, length = 0.0, 0
        if len(curve) == (episodes or task.recording.steps):
            break
    return curve


@pytest.mark.parametrize(
    "study",
    [
        STUDY,
        with_budget("training-length", training_episodes=12),
        with_budget("training-return", steps=100),
        with_budget("training-episodes", steps=100),
    ],
    ids=["return", "length", "reward", "episodes"],
)
def test_a_record_equals_a_naive_computation(study: Study, tmp_path: Path) -> None:
    study = replace(study, environments=("RussellNorvig4x3?time_limit=none",))  # short episodes
    (task,) = plan_tasks(study)
    result = record(study, tmp_path)
    curves = np.array([naive_curve(task, seed) for seed in range(study.seeds)], float)
    assert result["x"] == list(range(1, curves.shape[1] + 1))
    assert_allclose(result["mean"], curves.mean(axis=0), rtol=1e-12)
    last = curves[:, -1]
    assert_allclose(result["scores"], last if study.steps else curves.mean(axis=1), rtol=1e-12)
    band = record_band(result, 0.9)
    for i in range(curves.shape[1]):
        expected = seed_interval(curves[:, i], 0.9)
        assert_allclose(band.low[i], expected.low, rtol=1e-9)
        assert_allclose(band.high[i], expected.high, rtol=1e-9)


def test_a_point_is_the_mean_of_its_episodes(tmp_path: Path) -> None:
    every = record(STUDY, tmp_path / "every")
    few = record(replace(STUDY, figure=FigureAxes(points=4)), tmp_path / "few")
    assert few["x"] == [3, 6, 9, 12]
    assert_allclose(few["mean"], np.reshape(every["mean"], (4, 3)).mean(axis=1))
    assert few["scores"] == every["scores"]


def test_the_first_seeds_and_episodes_do_not_depend_on_further_ones(tmp_path: Path) -> None:
    small = record(STUDY, tmp_path)
    more = record(replace(STUDY, seeds=9), tmp_path)  # the same folder grows
    assert more["scores"][:6] == small["scores"]
    longer = record(replace(STUDY, training_episodes=20), tmp_path / "longer")
    assert longer["mean"][:12] == small["mean"]


def test_a_sweep_equals_its_contenders_one_by_one(tmp_path: Path) -> None:
    study, _ = study_from_arguments(
        ["q-learning[discount=1.0,step_size=(0.1,0.5,0.9)]"],
        ["CliffWalk?time_limit=none"],
        measure="training-return",
        training_episodes=12,
        seeds=6,
    )
    together = run_in_process(study, tmp_path / "together").records["CliffWalk?time_limit=none"]
    head = "q-learning[discount=1.0,step_size="
    assert [*together] == [f"{head}0.1]", f"{head}0.5]", f"{head}0.9]"]
    assert {spec.sweep for spec in study.contenders} == {"q-learning[discount=1.0]"}
    for size, swept in zip((0.1, 0.5, 0.9), together.values(), strict=True):
        spec = replace(SPEC, hyperparameters={"discount": 1.0, "step_size": size})
        alone = record(replace(STUDY, contenders=(spec,)), tmp_path / f"{size}")
        assert swept == alone


def test_one_figure_shows_sweeps_with_seeds_and_episodes_of_their_own(tmp_path: Path) -> None:
    """Figure 6.3 of Sutton & Barto: few long runs, and many short ones."""
    long = replace(SWEEP, name="long", seeds=2, training_episodes=30)
    study = replace(STUDY, contenders=expand_sweeps((replace(SWEEP, name="short"), long)))
    comparison = run_in_process(study, tmp_path / "both")
    (records,) = comparison.records.values()
    for name, seeds, episodes in (("short", 6, 12), ("long", 2, 30)):
        contenders = expand_sweeps((replace(SWEEP, name=name),))
        alone = replace(STUDY, contenders=contenders, seeds=seeds, training_episodes=episodes)
        (expected,) = run_in_process(alone, tmp_path / name).records.values()
        assert {label: records[label] for label in expected} == expected
    page = report.write_page(comparison, tmp_path / "both").read_text()
    (figure,) = (tmp_path / "both" / "figures").glob("*sweep*.svg")
    assert all(name in figure.read_text() for name in ("short", "long"))
    assert "with 2 to 6 seeds, for 12 episodes or 30 episodes per run" in page
    contenders = expand_sweeps((replace(SWEEP, name="short"), replace(long, seeds=1)))
    assert report_changes(study, replace(study, contenders=contenders)) == [
        f"{spec.label} had 2 seeds; the report now shows 1" for spec in expand_sweeps((long,))
    ]
    assert report_changes(replace(study, contenders=contenders), study) == []


def test_a_sweep_in_a_file_survives_writing_and_has_the_tasks_of_its_parts(tmp_path: Path) -> None:
    """The key of a task is a hash of everything on which its result depends."""
    file = tmp_path / "study.toml"
    evaluated = replace(STUDY, measure="evaluation", training_episodes=None, steps=500)
    for study in (STUDY, evaluated):
        file.write_text(tomli_w.dumps(replace(study, contenders=(SWEEP,)).as_dict()))
        swept = read_study(file)
        labels = [f"Q[step_size={size}]" for size in (0.1, 0.5, 0.9)]
        assert [spec.label for spec in swept.contenders] == labels
        parts = [
            ContenderSpec("q-learning", label, hyperparameters={"discount": 1.0, "step_size": size})
            for label, size in zip(labels, (0.1, 0.5, 0.9), strict=True)
        ]
        expected = plan_tasks(replace(study, contenders=tuple(parts)))
        assert [t.key for t in plan_tasks(swept)] == [t.key for t in expected]
        file.write_text(tomli_w.dumps(swept.as_dict()))
        assert read_study(file) == swept


def test_a_list_of_lists_sweeps_a_hyperparameter_that_is_a_list(tmp_path: Path) -> None:
    file = tmp_path / "study.toml"
    head = 'environments = ["FourRooms"]\nsteps = 9\n[[contenders]]\npolicy = "dqn"\n'
    for value, hidden in (
        ("[8, 8]", [[8, 8]]),
        ("[[8], [8, 8]]", [[8], [8, 8]]),
    ):
        file.write_text(f"{head}[contenders.hyperparameters]\nhidden = {value}\n")
        contenders = read_study(file).contenders
        assert [spec.hyperparameters["hidden"] for spec in contenders] == hidden


def test_the_report_shows_curves_or_sweeps(tmp_path: Path) -> None:
    swept = Study(
        study_from_arguments(["q-learning[step_size=(0.2,0.7)]"], ["CliffWalk"], steps=1)[
            0
        ].contenders,
        ("CliffWalk",),
        measure="training-length",
        training_episodes=5,
        seeds=4,
        figure=FigureAxes(x="Step size", y="Steps", multiply=-1.0),
    )
    compared = replace(STUDY, contenders=(SPEC, replace(SPEC, name="again", preset="converging")))
    for study, name in ((compared, "record"), (swept, "sweep-step-size")):
        comparison = run_in_process(study, tmp_path / name)
        report.write_results(comparison, tmp_path / name)
        page = report.write_page(comparison, tmp_path / name).read_text()
        figures = {file.stem.partition("-")[2] for file in (tmp_path / name / "figures").iterdir()}
        assert any(figure.endswith(name) for figure in figures)
        assert "Videos" not in page
        unranked = "Longer episodes may be better or worse"
        assert (unranked in page) == (study is swept)
    results = json.loads((tmp_path / "record" / "results.json").read_bytes())
    curve = results["curves"]["CliffWalk?time_limit=none"]["again"]
    assert len(curve["x"]) == 12
    assert all(np.array(curve["low"]) < np.array(curve["mean"]))
    assert len(results["verdicts"]) == 1
    svg = next((tmp_path / "sweep-step-size" / "figures").glob("*sweep*.svg")).read_text()
    assert "Step size" in svg


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"measure": "evaluation"},
            "training_episodes is 12; a budget in episodes needs a measure",
        ),
        ({"measure": "training-episodes"}, "training-episodes has no budget of training_episodes"),
        ({"steps": 9}, "steps is 9 and training_episodes is 12"),
        ({"minutes": 1.0}, "minutes is 1.0; the measure training-return needs a budget"),
        ({"training_episodes": 0}, "training_episodes is 0; it must be 1 or greater"),
        ({"training_episodes": None}, "needs steps or training_episodes"),
        ({"measure": "training-retrun"}, "did you mean training-return?"),
        ({"figure": FigureAxes(left=12)}, "left is 12; the figure must begin before the end"),
        ({"seeds": 10**9}, "would need 12000000000 numbers in memory"),
        ({"contenders": (ContenderSpec("random"),)}, "not trained has no training-return"),
        ({"contenders": (ContenderSpec("dqn"),)}, "training-return needs a tabular agent"),
        ({"contenders": (replace(SPEC, envs=2),)}, "envs is 2; the measure"),
        ({"contenders": (replace(SPEC, seeds=2),)}, "seeds is 2; only a contender of a sweep"),
        (
            {"contenders": expand_sweeps((replace(SWEEP, training_episodes=0),))},
            "training_episodes is 0; it must be 1 or greater",
        ),
        ({"environments": ("NearAndFar",)}, "never ends: set steps instead of training_episodes"),
        ({"environments": ("CartPole?bins=4",)}, "a world whose model is known"),
    ],
)
def test_studies_that_do_not_fit_the_measure_are_refused(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError) as caught:
        run_study(replace(STUDY, **changes), tmp_path / "study")
    assert message in str(caught.value)
    assert not (tmp_path / "study").exists()


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ({"low": math.nan}, "low is nan; it must be finite"),
        ({"multiply": math.inf}, "multiply is inf; it must be finite"),
        ({"low": 1.0, "high": 1.0}, "low is 1.0; it must be less than high"),
        ({"points": 0}, "points is 0; it must be 1 or greater"),
    ],
)
def test_axes_that_cannot_be_drawn_are_refused(axes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        FigureAxes(**axes)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("hyperparameters", "message"),
    [
        ("step_size = []", "q-learning: step_size is an empty list"),
        ("step_size = [0.1]\ndiscount = [1.0]", "step_size and discount are lists"),
        ("step_size = [0.1, 0.1]", "two contenders have the same name 'q-learning[step_size=0.1]'"),
    ],
)
def test_a_bad_sweep_is_refused(hyperparameters: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "study.toml"
    head = 'environments = ["FourRooms"]\nsteps = 9\n[[contenders]]\npolicy = "q-learning"\n'
    file.write_text(f"{head}[contenders.hyperparameters]\n{hyperparameters}\n")
    with pytest.raises(InputError) as caught:
        read_study(file)
    assert message in str(caught.value)
