"""The tasks of a study: their keys, their configs, and the errors that are found beforehand."""

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from safetensors.numpy import load_file, save_file

from gridcade import agents
from gridcade.agents import QLearningConfig, Schedule
from gridcade.errors import InputError
from gridcade.study.contender import ContenderSpec
from gridcade.study.plan import plan_tasks
from gridcade.study.runner import run_study
from gridcade.study.study import Study, read_study, study_from_arguments
from gridcade.training import sessions
from gridcade.training.config import to_dict

SMALL = Study(
    (ContenderSpec("q-learning"), ContenderSpec("random"), ContenderSpec("optimal")),
    ("FourRooms", "RiverSwim"),
    steps=3000,
    seeds=2,
    episodes=20,
)


def keys(study: Study) -> dict[str, str]:
    return {task.path: task.key for task in plan_tasks(study)}


def test_a_trained_contender_has_a_task_per_seed_and_a_fixed_policy_one() -> None:
    tasks = plan_tasks(SMALL)
    assert [task.path for task in tasks] == [
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
        {"contenders": (ContenderSpec("q-learning", hyperparameters={"discount": 0.9}),)},
        {"contenders": (ContenderSpec("q-learning", preset="converging"),)},
        {"contenders": (ContenderSpec("q-learning", evaluation_every=2),)},
    ],
)
def test_the_key_depends_on_training_and_evaluation(change: Mapping[str, Any]) -> None:
    path = "FourRooms/q-learning/s0"
    assert keys(replace(SMALL, **change))[path] != keys(SMALL)[path]


def test_brackets_plan_the_runs_of_a_study_file(tmp_path: Path) -> None:
    text = "q-learning:converging[discount=0.9,epsilon=0.25,step-size.initial=0.5]"
    study, _ = study_from_arguments([text], ["FourRooms"], steps=3000, seeds=2)
    file = tmp_path / "study.toml"
    file.write_text(
        'environments = ["FourRooms"]\nsteps = 3e3\nseeds = 2\n[[contenders]]\n'
        f'policy = "q-learning"\nname = "{text}"\npreset = "converging"\n'
        "[contenders.hyperparameters]\ndiscount = 0.9\nepsilon = 0.25\n"
        "step_size.initial = 0.5\n"
    )
    assert read_study(file) == study
    tasks = plan_tasks(study)
    assert [task.key for task in tasks] == [task.key for task in plan_tasks(read_study(file))]
    config = tasks[0].config
    assert config is not None
    assert config.hyperparameters == QLearningConfig(
        discount=0.9, epsilon=Schedule.constant(0.25), step_size=Schedule(0.5, power=0.7)
    )
    file.write_text(tomli_w.dumps(study.as_dict()))
    assert [task.key for task in plan_tasks(read_study(file))] == [task.key for task in tasks]
    same = replace(study, contenders=(replace(study.contenders[0], name="other"),))
    assert plan_tasks(same)[0].key == tasks[0].key
    other, _ = study_from_arguments(["q-learning:converging[discount=0.8]"], ["FourRooms"], steps=9)
    assert plan_tasks(other)[0].key != tasks[0].key


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("q-learning[discount=abc]", "Expected `float`, got `str` - at `$.discount`"),
        ("q-learning[discount=2]", "discount is 2.0; it must be between 0 and 1"),
        ("dqn[batch_size=1.5]", "batch_size is 1.5; it must be a whole number"),
        ("dqn[network=mpl]", "'mpl'"),
        ("random[discount=0.9]", "'random' is not trained"),
        ("q-lerning[discount=0.9]", "unknown contender 'q-lerning'; did you mean q-learning?"),
    ],
)
def test_a_wrong_value_in_brackets_is_found_before_a_run(text: str, message: str) -> None:
    study, _ = study_from_arguments([text], ["FourRooms"], steps=3000)
    with pytest.raises(InputError) as caught:
        plan_tasks(study)
    assert str(caught.value).startswith(f"{text} on FourRooms: ")
    assert message in str(caught.value)


def test_a_world_that_changes_in_training_needs_a_phase_to_be_evaluated() -> None:
    """A trained policy, the random one and the optimum would be scored before the change."""
    name = "BlockingMaze?change_step=1500"
    study = replace(SMALL, environments=(name,))
    with pytest.raises(InputError) as caught:
        plan_tasks(study)
    assert str(caught.value) == (
        f"{name} changes during training, but an evaluation needs an environment that "
        f"stays the same; write '{name}&phase=before' or '{name}&phase=after'"
    )
    for phase in ("before", "after"):
        assert len(plan_tasks(replace(study, environments=(f"{name}&phase={phase}",)))) == 4
    training = replace(study, measure="training-return", contenders=study.contenders[:1])
    assert len(plan_tasks(training)) == 1


def test_the_key_depends_on_the_map(tmp_path: Path) -> None:
    file = tmp_path / "mine.txt"
    study = replace(SMALL, environments=(str(file),))
    file.write_text("map:\nS..G\n")
    before = keys(study)
    file.write_text("map:\nS...G\n")
    assert before.keys() == keys(study).keys()
    assert not set(before.values()) & set(keys(study).values())


def test_the_key_of_a_trained_agent_depends_on_its_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(agents.TRAINED / "breakout-dqn", tmp_path / "breakout-dqn")
    study = Study((ContenderSpec("breakout-dqn"),), ("Breakout",), episodes=1)
    before = keys(study)
    monkeypatch.setattr(agents, "TRAINED", tmp_path)
    assert keys(study) == before
    file = tmp_path / "breakout-dqn" / agents.WEIGHTS
    tensors = load_file(file)
    name = next(iter(tensors))
    save_file(tensors | {name: tensors[name] + 1}, file)
    assert keys(study) != before


def test_stable_baselines3_uses_one_thread_unless_the_study_sets_more() -> None:
    """The preset for images uses two, but runs side by side would slow each other down."""
    two = ContenderSpec("sb3-ppo", "two", "two-core", {"threads": 2})
    one = ContenderSpec("sb3-ppo", preset="two-core")
    tasks = plan_tasks(Study((one, two), ("Breakout",), 1000, None, 1))
    assert [to_dict(t.config)["hyperparameters"]["threads"] for t in tasks] == [1, 2]


@pytest.mark.parametrize(
    ("contenders", "env", "message"),
    [
        (
            [ContenderSpec("q-lerning")],
            "FourRooms",
            "unknown contender 'q-lerning'; did you mean q-learn",
        ),
        ([ContenderSpec("randm")], "FourRooms", "did you mean random"),
        ([ContenderSpec("q-learning")], "FourRoom", "did you mean FourRooms"),
        ([ContenderSpec("q-learning", preset="watkin")], "FourRooms", "did you mean watkins"),
        (
            [ContenderSpec("q-learning", hyperparameters={"discont": 1})],
            "FourRooms",
            "did you mean discount",
        ),
        ([ContenderSpec("q-learning", envs=0)], "FourRooms", "envs is 0"),
        ([ContenderSpec("q-learning", evaluation_every=0)], "FourRooms", "evaluation_every is 0"),
        (
            [ContenderSpec("random"), ContenderSpec("q-learning")],
            "CartPole",
            "q-learning on CartPole: ",
        ),
        ([ContenderSpec("optimal")], "CartPole", "optimal on CartPole: "),
        ([ContenderSpec("random", preset="x")], "FourRooms", "preset is x; 'random' is not"),
        (
            [ContenderSpec("random", hyperparameters={"x": 1})],
            "FourRooms",
            "hyperparameters is {'x': 1}; 'random' is not trained",
        ),
        ([ContenderSpec("random", init_from="x")], "FourRooms", "init_from is x; 'random' is not"),
        (
            [ContenderSpec("random", evaluation_every=2)],
            "FourRooms",
            "evaluation_every is 2; 'random' is not trained",
        ),
        ([ContenderSpec("dqn", init_from="nowhere")], "CartPole", "dqn on CartPole: "),
        ([ContenderSpec("breakout")], "CartPole", "breakout on CartPole: "),
        (
            [ContenderSpec("random", "a:b"), ContenderSpec("random", "a?b")],
            "FourRooms",
            "share the folder",
        ),
    ],
)
def test_mistakes_are_found_before_anything_is_written(
    contenders: list[ContenderSpec], env: str, message: str, tmp_path: Path
) -> None:
    study = replace(SMALL, contenders=tuple(contenders), environments=(env,))
    with pytest.raises(InputError) as caught:
        run_study(study, tmp_path / "out")
    assert message in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_too_large_replays_are_found_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contender = ContenderSpec("sb3-dqn", preset="defaults", hyperparameters={"buffer_size": 1000})
    by_time = Study((contender,), ("CartPole",), minutes=1.0)
    with pytest.raises(InputError, match=r"sb3-dqn on CartPole: .*--steps"):
        run_study(by_time, tmp_path / "out")
    by_steps = replace(by_time, steps=1000)
    size = plan_tasks(by_steps)[0].memory_bytes
    # two observations of four numbers, an action of eight bytes, reward, end and truncation
    assert size == 1000 * (2 * 4 * 4 + 8 + 3 * 4)
    monkeypatch.setattr(sessions, "machine_memory", lambda: 4 * size)  # half is reserved for others
    with pytest.raises(InputError, match=r"3 replays .*--jobs"):
        run_study(by_steps, tmp_path / "out", jobs=3)
    monkeypatch.setattr(sessions, "machine_memory", lambda: size)
    with pytest.raises(InputError, match=r"GB of memory: .*buffer_size"):
        run_study(by_steps, tmp_path / "out", jobs=1)
    assert not (tmp_path / "out").exists()


def test_a_zip_of_stable_baselines3_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "model.zip"
    file.touch()
    study = Study((ContenderSpec(str(file)),), ("CartPole",))
    with pytest.raises(InputError, match=r"cannot be in a study, .* use gridcade evaluate"):
        plan_tasks(study)
