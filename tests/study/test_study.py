"""Studies: read from TOML or from arguments, or refused with a message that names the mistake."""

from pathlib import Path
from typing import Any

import pytest
import tomli_w

from gridcade import agents
from gridcade.errors import InputError
from gridcade.study.contender import ContenderSpec
from gridcade.study.study import Study, read_study, study_differences, study_from_arguments

PLAIN = Study((ContenderSpec("q-learning"), ContenderSpec("random")), ("FourRooms",), steps=1000)
FULL = """
environments = ["FourRooms", "Maze?size=7"]
steps = 20_000
minutes = 2
seeds = 3
episodes = 50
evaluation_seed = 7
criterion = "average-reward"
confidence = 0.9

[[contenders]]
policy = "q-learning"
name = "bold"
preset = "converging"
envs = 2
evaluation_every = 3
[contenders.hyperparameters]
discount = 0.9
epsilon = { initial = 0.5 }

[[contenders]]
policy = "optimal"
"""


def error_of(text: str, tmp_path: Path) -> str:
    """Return the error message for a study file."""
    file = tmp_path / "study.toml"
    file.write_text(text)
    with pytest.raises(InputError) as caught:
        read_study(file)
    assert "\n" not in str(caught.value)
    return str(caught.value).replace(f"{file}", "FILE")


def test_a_file_sets_every_field(tmp_path: Path) -> None:
    file = tmp_path / "study.toml"
    file.write_text(FULL)
    bold = ContenderSpec(
        "q-learning",
        "bold",
        "converging",
        {"discount": 0.9, "epsilon": {"initial": 0.5}},
        envs=2,
        evaluation_every=3,
    )
    assert read_study(file) == Study(
        (bold, ContenderSpec("optimal")),
        ("FourRooms", "Maze?size=7"),
        steps=20_000,
        minutes=2.0,
        seeds=3,
        episodes=50,
        evaluation_seed=7,
        criterion="average-reward",
        confidence=0.9,
    )


def test_whole_numbers_may_have_an_exponent(tmp_path: Path) -> None:
    file = tmp_path / "study.toml"
    file.write_text(FULL.replace("20_000", "2e4").replace("envs = 2", "envs = 2.0"))
    study = read_study(file)
    file.write_text(FULL)
    assert study == read_study(file)
    assert isinstance(study.steps, int)
    assert isinstance(study.contenders[0].envs, int)


def test_a_study_survives_writing_and_reading(tmp_path: Path) -> None:
    file = tmp_path / "study.toml"
    file.write_text(FULL)
    for study in (read_study(file), PLAIN, Study((ContenderSpec("random"),), ("CliffWalk",))):
        file.write_text(tomli_w.dumps(study.as_dict()))
        assert read_study(file) == study
        assert not study_differences(read_study(file), study)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("steps =", "step ="), "FILE: unknown field 'step'; did you mean steps?"),
        (("preset", "presets"), "contenders[0]: unknown field 'presets'; did you mean preset?"),
        (("seeds = 3", "seeds = 0"), "FILE: seeds is 0; it must be 1 or greater"),
        (("seeds = 3", 'seeds = "3"'), "FILE: Expected `int`, got `str` - at `$.seeds`"),
        (("episodes = 50", "episodes = -1"), "episodes is -1"),
        (("minutes = 2", "minutes = 0"), "minutes is 0"),
        (("minutes = 2", "minutes = inf"), "minutes is inf"),
        (("evaluation_seed = 7", "evaluation_seed = -7"), "seed is -7"),
        (("confidence = 0.9", "confidence = 1"), "confidence"),
        (('"average-reward"', '"median"'), "median"),
        (("Maze?size=7", "FourRooms"), "two environments have the same name 'FourRooms'"),
        (('"bold"', '"optimal"'), "two contenders have the same name 'optimal'"),
        (
            ('["FourRooms", "Maze?size=7"]', "[]"),
            "environments is empty; a study needs one or more",
        ),
        (("steps = 20_000\nminutes = 2\n", ""), "needs steps, minutes, or both"),
        (("steps = 20_000", "steps = 1.5"), "FILE: steps is 1.5; it must be a whole number"),
        (("envs = 2", "envs = 2.5"), "FILE, contenders[0]: envs is 2.5; it must be a whole"),
        (
            ("discount = 0.9", "gamma = 0.9"),
            "FILE, contenders[0], hyperparameters: unknown field 'gamma'; q-learning calls it disc",
        ),
        (("initial = 0.5", "start = 0.5"), "epsilon: unknown field 'start'; q-learning calls it"),
        (
            ("discount = 0.9", "steps = 9"),
            "hyperparameters: 'steps' is a setting of the study: it belongs outside the contenders",
        ),
        (
            ("discount = 0.9", "num_envs = 9"),
            "'num_envs'; perhaps 'envs', which is a setting of the contender: it belongs outside",
        ),
        (
            ("envs = 2", "discount = 0.9"),
            "FILE, contenders[0]: 'discount' is a hyperparameter of q-learning: it belongs under "
            "[contenders.hyperparameters]",
        ),
        (("envs = 2", "gamma = 0.9"), "perhaps 'discount', which is a hyperparameter of q-learn"),
        (("envs = 2", "episodes = 9"), "contenders[0]: 'episodes' is a setting of the study"),
        (("seeds = 3", "discount = 0.9"), "FILE: 'discount' is a hyperparameter of q-learning"),
        (("seeds = 3", "envs = 3"), "FILE: 'envs' is a setting of a contender"),
        (("seeds = 3", "num_seeds = 3"), "unknown field 'num_seeds'; Gridcade calls it seeds"),
        (("steps = 20_000", "steps = "), "FILE: Invalid value (at line 3, column 9)"),
    ],
)
def test_a_mistake_is_reported_with_its_place(
    change: tuple[str, str], message: str, tmp_path: Path
) -> None:
    assert change[0] in FULL
    assert message in error_of(FULL.replace(*change), tmp_path)


def test_a_study_of_fixed_policies_needs_no_budget() -> None:
    assert Study((ContenderSpec("random"), ContenderSpec("breakout")), ("Breakout",)).steps is None


@pytest.mark.parametrize(
    ("old", "new", "differences"),
    [
        ({}, {}, []),
        ({"seeds": 5}, {"seeds": 10, "criterion": "average-reward"}, []),
        ({}, {"environments": ("CartPole", "Acrobot")}, []),
        ({"episodes": 5}, {"episodes": 10}, ["episodes: 5 -> 10"]),
        ({}, {"minutes": 2.0}, ["minutes: none -> 2.0"]),
        (
            {"contenders": (ContenderSpec("dqn"),)},
            {"contenders": (ContenderSpec("dqn", preset="vector"),)},
            [
                "contender dqn: {'policy': 'dqn'} -> {'policy': 'dqn', 'preset': 'vector'}",
            ],
        ),
        (
            {"contenders": (ContenderSpec("dqn"),)},
            {"contenders": (ContenderSpec("random"), ContenderSpec("dqn"))},
            [],
        ),
        (  # the budget does not matter to fixed policies
            {"contenders": (ContenderSpec("random"),), "steps": None},
            {"contenders": (ContenderSpec("random"), ContenderSpec("dqn"))},
            [],
        ),
        (
            {"contenders": (ContenderSpec("dqn", hyperparameters={"hidden": (8, 8)}),)},
            {"contenders": (ContenderSpec("dqn", hyperparameters={"hidden": [8, 8]}),)},
            [],
        ),
    ],
)
def test_differences_are_listed(old: Any, new: Any, differences: list[str]) -> None:
    basis = {"contenders": PLAIN.contenders, "environments": ("CartPole",), "steps": 9}
    assert study_differences(Study(**(basis | old)), Study(**(basis | new))) == differences


# ---- arguments


def presets_of(*contenders: str, presets: tuple[str, ...] = ()) -> dict[str, tuple[str, str]]:
    """Return policy and preset by label."""
    study, _ = study_from_arguments(contenders, ["FourRooms"], presets, steps=1)
    return {c.label: (c.policy, c.preset) for c in study.contenders}


def test_presets_by_argument() -> None:
    both = presets_of("dqn:two-core", "dqn:vector", "random")
    assert both == {
        "dqn:two-core": ("dqn", "two-core"),
        "dqn:vector": ("dqn", "vector"),
        "random": ("random", ""),
    }
    for presets in (("vector", "q-learning=converging"), ("q-learning=converging", "vector")):
        assert presets_of("dqn", "q-learning", "random", "dqn:two-core", presets=presets) == {
            "dqn": ("dqn", "vector"),
            "q-learning": ("q-learning", "converging"),
            "random": ("random", ""),
            "dqn:two-core": ("dqn", "two-core"),
        }
    with pytest.raises(InputError, match=r"unknown contender 'dqm'; did you mean dqn\?"):
        presets_of("dqn", presets=("dqm=vector",))
    with pytest.raises(InputError, match="'dqn' is named twice"):
        presets_of("dqn", "dqn")


def test_the_criterion_of_an_agent_is_distinguished_from_that_of_the_study() -> None:
    assert contender("sarsa[criterion=average-reward]").hyperparameters
    with pytest.raises(InputError, match="a hyperparameter of q-learning and sarsa; this agent"):
        contender("q-lambda[criterion=average-reward]")
    with pytest.raises(InputError, match="'criterion' is a setting of the study"):
        contender("dqn[criterion=average-reward]")


def contender(text: str) -> ContenderSpec:
    """Return the contender that an argument describes."""
    (spec,) = study_from_arguments([text], ["FourRooms"], steps=1)[0].contenders
    return spec


@pytest.mark.parametrize(
    ("text", "policy", "preset", "hyperparameters"),
    [
        ("q-learning[discount=0.9]", "q-learning", "", {"discount": 0.9}),
        (
            "q-learning[discount=0.9, step-size.initial=1e-1,step_size.steps=1_000]",
            "q-learning",
            "",
            {"discount": 0.9, "step_size": {"initial": 0.1, "steps": 1000}},
        ),
        (
            "q-learning:average-reward[epsilon=0.1]",
            "q-learning",
            "average-reward",
            {"epsilon": 0.1},
        ),
        (
            "dqn[hidden=(64,32),network=2013,overlap=False,batch-size=8]",
            "dqn",
            "",
            {"hidden": [64, 32], "network": "2013", "overlap": False, "batch_size": 8},
        ),
        ("dqn[hidden=64]", "dqn", "", {"hidden": [64]}),
        ("dqn[hidden=[64, 32]]", "dqn", "", {"hidden": [64, 32]}),
        (
            "sb3-ppo[learning_rate=lin_0.1,policy_kwargs.net_arch=[8,8],n_steps=16]",
            "sb3-ppo",
            "",
            {"learning_rate": "lin_0.1", "policy_kwargs": {"net_arch": [8, 8]}, "n_steps": 16},
        ),
    ],
)
def test_hyperparameters_in_brackets(
    text: str, policy: str, preset: str, hyperparameters: dict[str, Any]
) -> None:
    spec = contender(text)
    assert spec == ContenderSpec(policy, text, preset, hyperparameters)
    types = [type(value) for value in spec.hyperparameters.values()]
    assert types == [type(value) for value in hyperparameters.values()]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("q-learning[gamma=0.9]", "'gamma'; q-learning calls it discount"),
        ("q-learning[discuont=0.9]", "'discuont'; did you mean discount"),
        ("q-learning[step-size.start=0.9]", ", step_size: .*'start'; q-learning calls it initial"),
        ("q-learning[discount]", "'discount' must be NAME=VALUE, as in discount=0.9"),
        ("q-learning[]", "'' must be NAME=VALUE"),
        ("q-learning[discount=0.9", "the bracket must be closed"),
        ("q-learning[discount=0.9]:watkins", "the bracket must be closed"),
        ("q-learning[discount=1,discount=0]", "discount is given twice"),
        ("q-learning[epsilon=1,epsilon.final=0]", "epsilon is given twice"),
        ("q-learning[epsilon.final=1,epsilon=0]", "epsilon is given twice"),
        ("q-learning[steps=9]", "'steps' is a setting of the study"),
        ("q-learning[envs=9]", "'envs' is a setting of the contender"),
    ],
)
def test_a_mistake_in_brackets_names_the_part(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        contender(text)
    assert text in str(caught.value)


def test_presets_by_argument_also_apply_to_brackets() -> None:
    text = "q-learning[discount=0.9]"
    arguments = ([text, "q-learning"], ["FourRooms"])
    for presets in ((f"{text}=converging",), ("converging", "q-learning=watkins")):
        study, name = study_from_arguments(*arguments, presets, steps=1)
        assert study.contenders[0].preset == "converging"
        assert study.contenders[0].hyperparameters == {"discount": 0.9}
        assert name == "FourRooms-q-learning-discount=0.9-q-learning"


def test_long_names_of_studies_differ() -> None:
    names = {
        study_from_arguments([text], ["Maze"], steps=1)[1]
        for text in (f"q-learning[epsilon.initial=0.1{'0' * 100}{n}]" for n in range(3))
    }
    assert len(names) == 3
    assert max(map(len, names)) == 100


def test_a_path_with_a_colon_is_a_path(tmp_path: Path) -> None:
    run = tmp_path / "a:b"
    run.mkdir()
    assert presets_of(str(run)) == {str(run): (str(run), "")}


def test_arguments_and_a_file_give_the_same_study(tmp_path: Path) -> None:
    study, name = study_from_arguments(
        ["q-learning", "random"], ["FourRooms"], steps=1000, seeds=None
    )
    assert (study, name) == (PLAIN, "FourRooms-q-learning-random")
    file = tmp_path / "mine.toml"
    file.write_text(tomli_w.dumps(PLAIN.as_dict()))
    assert study_from_arguments([str(file)], []) == (PLAIN, "mine")
    with pytest.raises(InputError, match="defines the whole study: remove --seeds"):
        study_from_arguments([str(file)], [], seeds=3, steps=None)
    with pytest.raises(InputError, match="defines the whole study: remove --env"):
        study_from_arguments([str(file)], ["FourRooms"])
    with pytest.raises(InputError, match="cannot read 'missing"):
        study_from_arguments(["missing.toml"], [])


def test_agents_are_trained_and_other_policies_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in agents.AGENTS:
        kind = ContenderSpec(name).kind
        assert kind is not None
        assert kind.name == name
    for name in ("random", "optimal", "breakout", "runs/mine"):
        assert ContenderSpec(name).kind is None
    (tmp_path / "sb3-mine.zip").touch()
    assert ContenderSpec("sb3-mine.zip").kind is None


def test_an_unknown_criterion_is_refused_before_anything_is_trained() -> None:
    with pytest.raises(InputError, match="unknown criterion 'discounted'; known: average-reward"):
        study_from_arguments(["random"], ["CliffWalk"], [], criterion="discounted")
