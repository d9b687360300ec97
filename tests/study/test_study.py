"""A study is read as it was meant, or refused with what is wrong and where."""

from pathlib import Path
from typing import Any

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from gridcade import agents
from gridcade.errors import InputError
from gridcade.study.study import Entry, Study, differences, from_words, read_study, slug

PLAIN = Study((Entry("q-learning"), Entry("random")), ("FourRooms",), steps=1000)
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


def refused(text: str, tmp_path: Path) -> str:
    """What is said of a study file."""
    file = tmp_path / "study.toml"
    file.write_text(text)
    with pytest.raises(InputError) as caught:
        read_study(file)
    assert "\n" not in str(caught.value)
    return str(caught.value).replace(f"{file}", "FILE")


def test_a_file_says_all_that_a_study_has(tmp_path: Path) -> None:
    file = tmp_path / "study.toml"
    file.write_text(FULL)
    bold = Entry(
        "q-learning", "bold", "converging", {"discount": 0.9, "epsilon": {"initial": 0.5}}, 2, 3
    )
    assert read_study(file) == Study(
        (bold, Entry("optimal")),
        ("FourRooms", "Maze?size=7"),
        steps=20_000,
        minutes=2.0,
        seeds=3,
        episodes=50,
        evaluation_seed=7,
        criterion="average-reward",
        confidence=0.9,
    )


def test_what_is_written_is_read_as_the_same_study(tmp_path: Path) -> None:
    file = tmp_path / "study.toml"
    file.write_text(FULL)
    for study in (read_study(file), PLAIN, Study((Entry("random"),), ("CliffWalk",))):
        file.write_text(tomli_w.dumps(study.as_dict()))
        assert read_study(file) == study
        assert not differences(read_study(file), study)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("steps =", "step ="), "FILE: unknown field 'step'; did you mean steps?"),
        (("preset", "presets"), "contenders[0]: unknown field 'presets'; did you mean preset?"),
        (("seeds = 3", "seeds = 0"), "FILE: seeds is 0; it takes 1 or more"),
        (("seeds = 3", 'seeds = "3"'), "FILE: Expected `int`, got `str` - at `$.seeds`"),
        (("episodes = 50", "episodes = -1"), "episodes is -1"),
        (("minutes = 2", "minutes = 0"), "minutes is 0"),
        (("minutes = 2", "minutes = inf"), "minutes is inf"),
        (("evaluation_seed = 7", "evaluation_seed = -7"), "seed is -7"),
        (("confidence = 0.9", "confidence = 1"), "confidence"),
        (('"average-reward"', '"median"'), "median"),
        (("Maze?size=7", "FourRooms"), "two environments are called 'FourRooms'"),
        (('"bold"', '"optimal"'), "two contenders are called 'optimal'"),
        (('["FourRooms", "Maze?size=7"]', "[]"), "a study takes one or more environments"),
        (("steps = 20_000\nminutes = 2\n", ""), "a study takes steps, minutes, or both"),
        (("steps = 20_000", "steps = "), "FILE: Invalid value (at line 3, column 9)"),
    ],
)
def test_a_mistake_is_named_with_its_place(
    change: tuple[str, str], said: str, tmp_path: Path
) -> None:
    assert change[0] in FULL
    assert said in refused(FULL.replace(*change), tmp_path)


def test_a_study_of_fixed_policies_needs_no_budget() -> None:
    assert Study((Entry("random"), Entry("breakout")), ("Breakout",)).steps is None


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ({}, {}, []),
        ({"seeds": 5}, {"seeds": 10, "criterion": "average-reward"}, []),
        ({}, {"environments": ("CartPole", "Acrobot")}, []),
        ({"episodes": 5}, {"episodes": 10}, ["episodes: 5 -> 10"]),
        ({}, {"minutes": 2.0}, ["minutes: none -> 2.0"]),
        (
            {"contenders": (Entry("dqn"),)},
            {"contenders": (Entry("dqn", preset="vector"),)},
            [
                "contender dqn: {'policy': 'dqn'} -> {'policy': 'dqn', 'preset': 'vector'}",
            ],
        ),
        (
            {"contenders": (Entry("dqn"),)},
            {"contenders": (Entry("random"), Entry("dqn"))},
            [],
        ),
        (  # a budget that changes nothing which was there
            {"contenders": (Entry("random"),), "steps": None},
            {"contenders": (Entry("random"), Entry("dqn"))},
            [],
        ),
        (
            {"contenders": (Entry("dqn", hyperparameters={"hidden": (8, 8)}),)},
            {"contenders": (Entry("dqn", hyperparameters={"hidden": [8, 8]}),)},
            [],
        ),
    ],
)
def test_differences_are_named(old: Any, new: Any, found: list[str]) -> None:
    basis = {"contenders": PLAIN.contenders, "environments": ("CartPole",), "steps": 9}
    assert differences(Study(**(basis | old)), Study(**(basis | new))) == found


# ---- words


def entries(*contenders: str, presets: tuple[str, ...] = ()) -> dict[str, tuple[str, str]]:
    """Label -> policy and preset."""
    study, _ = from_words(contenders, ["FourRooms"], presets, steps=1)
    return {entry.label: (entry.policy, entry.preset) for entry in study.contenders}


def test_presets_by_word() -> None:
    both = entries("dqn:two-core", "dqn:vector", "random")
    assert both == {
        "dqn:two-core": ("dqn", "two-core"),
        "dqn:vector": ("dqn", "vector"),
        "random": ("random", ""),
    }
    for presets in (("vector", "q-learning=converging"), ("q-learning=converging", "vector")):
        assert entries("dqn", "q-learning", "random", "dqn:two-core", presets=presets) == {
            "dqn": ("dqn", "vector"),
            "q-learning": ("q-learning", "converging"),
            "random": ("random", ""),
            "dqn:two-core": ("dqn", "two-core"),
        }
    with pytest.raises(InputError, match=r"unknown contender 'dqm'; did you mean dqn\?"):
        entries("dqn", presets=("dqm=vector",))
    with pytest.raises(InputError, match="'dqn' is named twice"):
        entries("dqn", "dqn")


def test_a_path_with_a_colon_is_a_path(tmp_path: Path) -> None:
    run = tmp_path / "a:b"
    run.mkdir()
    assert entries(str(run)) == {str(run): (str(run), "")}


def test_words_and_a_file_say_the_same(tmp_path: Path) -> None:
    study, name = from_words(["q-learning", "random"], ["FourRooms"], steps=1000, seeds=None)
    assert (study, name) == (PLAIN, "FourRooms-q-learning-random")
    file = tmp_path / "mine.toml"
    file.write_text(tomli_w.dumps(PLAIN.as_dict()))
    assert from_words([str(file)], []) == (PLAIN, "mine")
    with pytest.raises(InputError, match="is the whole study: leave out --seeds"):
        from_words([str(file)], [], seeds=3, steps=None)
    with pytest.raises(InputError, match="is the whole study: leave out --env"):
        from_words([str(file)], ["FourRooms"])


def test_which_contenders_learn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in agents.AGENTS:
        kind = Entry(name).kind
        assert kind is not None
        assert kind.name == name
    for name in ("random", "optimal", "breakout", "runs/mine"):
        assert Entry(name).kind is None
    (tmp_path / "sb3-mine.zip").touch()
    assert Entry("sb3-mine.zip").kind is None


@given(st.text())
def test_a_slug_is_one_folder_below(name: str) -> None:
    folder = Path("runs") / slug(name)
    assert folder.parent == Path("runs")
    assert folder.name not in ("", ".", "..")
    assert slug(slug(name)) == slug(name)


def test_slugs_of_what_is_usual() -> None:
    assert slug("FourRooms") == "FourRooms"
    assert slug("Maze?size=9&seed=3") == "Maze-size=9-seed=3"
    assert slug("ALE/Breakout-v5") == "ALE-Breakout-v5"
    assert slug("dqn:two-core") == "dqn-two-core"
