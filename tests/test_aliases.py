"""Other names of fields and options: each leads to a name that exists."""

import re
from dataclasses import fields

import pytest

from gridcade import agents
from gridcade.aliases import NOTES, SYNONYMS, hint, synonyms
from gridcade.cli.commands.compare import RunnerOptions
from gridcade.cli.commands.serve import Serve
from gridcade.evaluation.options import EvaluationOptions
from gridcade.study.contender import ContenderSpec
from gridcade.study.study import Study, StudyOptions
from gridcade.training.config import RunSettings, field_names
from gridcade.training.options import TrainOptions
from gridcade.viewing.show import WatchOptions

KINDS = [*agents.AGENTS, "sb3-sac"]
FIELDS = {name: field_names(agents.find(name).config) for name in KINDS}
OPTIONS = {
    "train": [*TrainOptions.__annotations__, *(f.name for f in fields(RunSettings))],
    "evaluate": ["policy", *EvaluationOptions.__annotations__],
    "compare": [*StudyOptions.__annotations__, *RunnerOptions.__annotations__],
    "study": [f.name for kind in (Study, ContenderSpec) for f in fields(kind)],
    "watch": [*WatchOptions.__annotations__],
    "serve": [f.name for f in fields(Serve)],
    "schedule": ["initial", "final", "steps", "power"],
}
KNOWN = FIELDS | OPTIONS


def test_every_line_begins_with_a_field_that_exists() -> None:
    existing = {name for names in KNOWN.values() for name in names}
    assert [names for names in SYNONYMS if names[0] not in {*existing, "tau"}] == []
    assert all(len(set(names)) == len(names) > 1 for names in SYNONYMS)
    for condition, field, _ in NOTES.values():
        assert {condition, field} <= existing


@pytest.mark.parametrize("owner", KNOWN)
def test_every_alias_gives_a_message_that_names_existing_options(owner: str) -> None:
    known = KNOWN[owner]
    aliases = {n for names in SYNONYMS if {*names} & {*known} for n in names} - {*known}
    assert aliases
    for alias in aliases:
        flag = f"--{alias.replace('_', '-')}"
        for name, mark in ((alias, ""), (flag, "--")):
            message = hint(name, known, owner)
            named = [f"{mark}{n.replace('_', '-') if mark else n}" for n in known]
            assert any(n in re.split("[ ,;?]+", message) for n in named), (name, message)
        assert set(synonyms(alias, known)) <= set(known)


@pytest.mark.parametrize("agent", [n for n in agents.AGENTS if not n.startswith(agents.SB3)])
def test_every_hyperparameter_has_other_names(agent: str) -> None:
    listed = {name for names in SYNONYMS for name in names}
    schedules = {name.partition(".")[0] for name in FIELDS[agent] if "." in name}
    assert {f for f in FIELDS[agent] if "." not in f} - schedules <= listed
    for schedule in schedules:  # also through the names of its fields, as in --lr.start
        assert synonyms(f"{schedule}.start", FIELDS[agent]) == [f"{schedule}.initial"]


@pytest.mark.parametrize(
    ("agent", "name", "right"),
    [
        ("q-learning", "gamma", "q-learning calls it discount"),
        ("q-learning", "--alpha", "q-learning calls it --step-size"),
        ("q-learning", "--learning-rate", "q-learning calls it --step-size"),
        ("q-learning", "--LR.end", "q-learning calls it --step-size.final"),
        ("q-learning", "eps_decay", "q-learning calls it epsilon.steps"),
        ("dqn", "--step_size", "dqn calls it --learning-rate"),
        ("dqn", "buffer-size", "dqn calls it replay_capacity"),
        ("dqn", "tau", "the target network is copied whole; target_every sets how often"),
        ("dqn", "n_steps", "dqn calls it n_step"),
        ("pqn", "n_steps", "pqn calls it rollout"),
        ("pqn", "batch_size", "pqn calls it minibatches"),
        ("sb3-dqn", "discount", "sb3-dqn calls it gamma"),
        ("sb3-dqn", "replay_capacity", "sb3-dqn calls it buffer_size"),
        ("sb3-ppo", "hidden", "sb3-ppo calls it policy_kwargs"),
        ("q-learning", "discuont", "did you mean discount?"),
    ],
)
def test_common_names_of_other_libraries_lead_to_the_names_here(
    agent: str, name: str, right: str
) -> None:
    assert hint(name, FIELDS[agent], agent) == right
