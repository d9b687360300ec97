"""The specification of a study: contenders, environments, training budget and seeds."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, TypedDict, get_args

from gridcade.agents import AgentKind
from gridcade.envs import registry
from gridcade.errors import InputError, unknown
from gridcade.evaluation.intervals import check_confidence
from gridcade.files import slug
from gridcade.formatting import shell_command
from gridcade.seeding import check_seed
from gridcade.study.brackets import read_changes, split_contender
from gridcade.study.contender import ContenderSpec
from gridcade.study.measures import FigureAxes, Measure, check_measure, needed_budget
from gridcade.study.sweeps import expand_sweeps
from gridcade.training.config import (
    check_names,
    convert_numbers,
    field_names,
    from_dict,
    read_toml,
    to_dict,
)

Criterion = Literal["return", "average-reward"]
# These fields may change while the study's folder keeps its results.
GROWABLE_FIELDS = (
    "contenders",
    "environments",
    "seeds",
    "criterion",
    "threshold",
    "tensorboard",
    "figure",
)


class StudyOptions(TypedDict, total=False):
    """Options of a study; a study file can set them too."""

    steps: int
    """Steps of training per run."""
    minutes: float
    """Minutes of training per run. With --steps, training ends when either is used up."""
    training_episodes: int
    """Training episodes per run, instead of --steps; needs a measure of training."""
    measure: Measure
    """What to measure: the evaluation after training, the return of the training episodes (with
    --steps: the sum of the rewards so far), their length, or their number (with --steps). Default:
    evaluation."""
    seeds: int
    """Runs of each agent on each environment. Default: 10."""
    episodes: int
    """Episodes of the evaluation after each run. Default: 100."""
    threshold: float
    """Score until which training steps are counted, as a share of the way from random play to the
    optimum. Default: 0.95."""
    tensorboard: bool
    """Write the metrics of each run for TensorBoard too."""
    criterion: Criterion
    """Criterion that ranks the contenders. Default: return. average-reward separates them better
    where only the goal gives a reward."""


@dataclass(frozen=True)
class Study:
    """A comparison to run. Every contender gets the same training budget and evaluation.

    Raises:
        InputError: a field is out of range, or two contenders or environments have the same name.
    """

    contenders: tuple[ContenderSpec, ...]
    environments: tuple[str, ...]
    steps: int | None = None
    """Training steps per run; None: no limit."""
    minutes: float | None = None
    """Training minutes per run; None: no limit."""
    seeds: int = 10
    """Runs of each trained contender on each environment, with the seeds 0, 1, …"""
    episodes: int = 100
    """Episodes of each final evaluation."""
    evaluation_seed: int = 1_000_000
    """Seed of the evaluation episodes, which no training run uses."""
    tensorboard: bool = False
    """Write the metrics of each run for TensorBoard too, into tensorboard/ of its folder."""
    criterion: Criterion = "return"
    """Criterion that decides which contender is better."""
    confidence: float = 0.95
    """Confidence level of the intervals."""
    threshold: float = 0.95
    """Score until which training steps are counted, as a share of the way from random play to the
    optimum."""
    training_episodes: int | None = None
    """Training episodes per run, for a measure of training; None: no limit."""
    measure: Measure = "evaluation"
    """What is measured: the policy after training, or training itself."""
    figure: FigureAxes = field(default_factory=FigureAxes)
    """Axes of the figure of a measure of training, or of a sweep."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name in ("contenders", "environments"):
            if not getattr(self, name):
                raise InputError(f"{name} is empty; a study needs one or more {name}")
        labels = [spec.label for spec in self.contenders]
        for plural, names in (("contenders", labels), ("environments", list(self.environments))):
            if duplicates := sorted({n for n in names if names.count(n) > 1}):
                raise InputError(f"two {plural} have the same name '{duplicates[0]}'")
        for name in ("steps", "training_episodes", "seeds", "episodes"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{name} is {value}; it must be 1 or greater")
        if self.minutes is not None and not 0 < self.minutes < float("inf"):
            raise InputError(f"minutes is {self.minutes}; it must be finite and greater than 0")
        trains = any(spec.kind for spec in self.contenders)
        check_measure(self.measure, self.steps, self.minutes, self.training_episodes)
        budgets = self.steps, self.minutes, self.training_episodes
        if trains and all(budget is None for budget in budgets):
            raise InputError(f"a study that trains agents needs {needed_budget(self.measure)}")
        budget, left = self.steps or self.training_episodes, self.figure.left
        if budget is not None and left is not None and left >= budget:
            raise InputError(
                f"left is {left}; the figure must begin before the end of training, {budget}"
            )
        if not 0 < self.threshold <= 1:
            raise InputError(f"threshold is {self.threshold}; it must be greater than 0, up to 1")
        if self.criterion not in get_args(Criterion):
            raise unknown("criterion", self.criterion, get_args(Criterion))
        check_seed(self.evaluation_seed)
        check_confidence(self.confidence)

    def episode_budgets(self) -> list[int]:
        """Return the different numbers of training episodes per run of the contenders."""
        budgets = {spec.training_episodes or self.training_episodes for spec in self.contenders}
        return sorted(budget for budget in budgets if budget)

    def as_dict(self) -> dict[str, Any]:
        """Return the fields for TOML or JSON, without fields that are empty or None."""
        values = to_dict(self)
        if self.figure == FigureAxes():
            del values["figure"]
        values["contenders"] = [
            {key: value for key, value in contender.items() if value or value == 0}
            for contender in values["contenders"]
        ]
        return values


# Fields that are often written in the wrong table of a study file, and where they belong.
SPEC_SETTINGS: tuple[str, ...] = ("preset", "envs", "epoch", "evaluation_every", "init_from")
STUDY_SETTINGS = {
    f.name: "is a setting of the study: it belongs outside the contenders"
    for f in fields(Study)
    if f.name != "contenders"
}


def read_study(file: str | Path) -> Study:
    """Read a study from a TOML file.

    Raises:
        InputError: the file cannot be read, or a field in it is invalid; the message names both.
    """
    values = read_toml(Path(file))
    contenders = values.get("contenders")
    contenders = contenders if isinstance(contenders, list) else []
    misplaced: dict[str, str] = dict.fromkeys(
        SPEC_SETTINGS, "is a setting of a contender: it belongs under [[contenders]]"
    )
    for number, contender in enumerate(contenders):
        if isinstance(contender, dict):
            place = f"{file}, contenders[{number}]"
            contenders[number], hyperparameters = _check_contender(contender, place)
            misplaced = hyperparameters | misplaced
    study: Study = from_dict(values, Study, str(file), misplaced=misplaced)
    try:
        return replace(study, contenders=expand_sweeps(study.contenders))
    except InputError as error:
        raise InputError(f"{file}: {error}") from None


def _check_contender(
    contender: dict[str, Any], where: str
) -> tuple[dict[str, Any], dict[str, str]]:
    """Check the names of a contender and of its hyperparameters.

    Returns:
        The contender with numbers of the right types, and for each hyperparameter of the agent a
        message that says where it belongs.

    Raises:
        InputError: a name is unknown, or belongs elsewhere.
    """
    policy, changes = contender.get("policy"), contender.get("hyperparameters")
    kind = ContenderSpec(policy).kind if isinstance(policy, str) else None
    place = f"is a hyperparameter of {policy}: it belongs under [contenders.hyperparameters]"
    hyperparameters = dict.fromkeys(field_names(kind.config), place) if kind else {}
    check_names(contender, ContenderSpec, where, misplaced=STUDY_SETTINGS | hyperparameters)
    if kind and isinstance(changes, dict):
        _check_hyperparameters(changes, kind, f"{where}, hyperparameters")
    return convert_numbers(contender, ContenderSpec, where), hyperparameters


def _check_hyperparameters(changes: dict[str, Any], kind: AgentKind, where: str) -> None:
    """Raise InputError if a name is unknown or belongs elsewhere; values are checked later."""
    outside = "is a setting of the contender: it belongs outside hyperparameters"
    misplaced = STUDY_SETTINGS | dict.fromkeys(SPEC_SETTINGS, outside)
    if kind.is_tabular:
        misplaced["criterion"] = (
            "is a hyperparameter of q-learning and sarsa; this agent maximizes the discounted "
            "return"
        )
    check_names(changes, kind.config, where, kind.name, misplaced)


def study_from_arguments(
    contenders: Sequence[str],
    environments: Sequence[str],
    presets: Sequence[str] = (),
    **settings: Any,
) -> tuple[Study, str]:
    """Build a study from command-line arguments, and a name for its folder.

    Args:
        contenders: policies; `dqn:two-core` for an agent with a preset, `dqn[discount=0.9]` for
            one with other hyperparameters; or one study file.
        environments: names of environments.
        presets: `CONTENDER=NAME`, or `NAME` for every agent that has no preset yet.
        settings: other fields of the study; None stands for the field's default.

    Raises:
        InputError: a study file was combined with other arguments, a preset names an unknown
            contender, or the study is invalid.
    """
    given = {key: value for key, value in settings.items() if value is not None}
    settings = convert_numbers(given, Study, "study")
    if len(contenders) == 1 and contenders[0].endswith(".toml"):
        options = [*(["env"] if environments else []), *(["preset"] if presets else []), *settings]
        if options:
            raise InputError(
                f"{contenders[0]} defines the whole study: remove --{options[0]}, or set it there"
            )
        return read_study(contenders[0]), Path(contenders[0]).stem
    worlds = () if environments else [n for n in contenders if registry.is_environment(n)]
    for world in worlds:
        raise InputError(f"'{world}' is an environment; write: {shell_command('--env', world)}")
    if not environments:
        raise InputError(
            "environments is empty; give one or more, as in --env FourRooms "
            "(Python: envs='FourRooms')"
        )
    specs: dict[str, ContenderSpec] = {}
    for label in contenders:
        if label in specs:
            raise InputError(
                f"'{label}' is named twice; to compare its presets, write {label}:PRESET, and its "
                f"hyperparameters, {label}[NAME=VALUE]"
            )
        specs[label] = _parse_contender(label)
    for assignment in presets:
        target, _, preset = assignment.rpartition("=")
        if target and target not in specs:
            raise unknown("contender", target, specs)
        for label, spec in specs.items():
            if label == target or (not target and spec.kind and not spec.preset):
                specs[label] = replace(spec, preset=preset)
    name = slug("-".join(slug(part) for part in (*environments, *specs)))
    return Study(expand_sweeps(specs.values()), tuple(environments), **settings), name


def _parse_contender(label: str) -> ContenderSpec:
    """Read a contender of the command line: a path, or `POLICY:PRESET[NAME=VALUE,...]`."""
    if os.path.exists(label):
        return ContenderSpec(label)
    policy, preset, bracket = split_contender(label)
    spec = ContenderSpec(policy, name=label if policy != label else "", preset=preset)
    if bracket is None:
        return spec
    changes = read_changes(bracket, spec.kind, f"'{label}'")
    if spec.kind:
        _check_hyperparameters(changes, spec.kind, f"'{label}'")
    return replace(spec, hyperparameters=changes)


def report_changes(old: Study, new: Study) -> list[str]:
    """List what the report of a study in the same folder no longer shows; empty if it only grew."""
    changes = []
    if new.seeds < old.seeds:
        changes.append(f"this study had {old.seeds} seeds; the report now shows {new.seeds}")
    specs = {spec.label: spec for spec in new.contenders}
    for spec in old.contenders:
        now = specs.get(spec.label, spec)
        before, after = spec.seeds or old.seeds, now.seeds or new.seeds
        if (spec.seeds or now.seeds) and after < before:
            changes.append(f"{spec.label} had {before} seeds; the report now shows {after}")
    left_out = [spec.label for spec in old.contenders if spec.label not in specs]
    left_out += [env for env in old.environments if env not in new.environments]
    if left_out:
        changes.append(f"the report now leaves out {', '.join(left_out)}")
    for name in ("criterion", "threshold"):
        before, now = getattr(old, name), getattr(new, name)
        if before != now:
            changes.append(f"the {name} was {before}, and is now {now}")
    return changes


def study_differences(old: Study, new: Study) -> list[str]:
    """List the changes that affect runs of both studies, one `steps: 5 -> 10` per field.

    Seeds, contenders and environments that only one study has affect no run of the other; neither
    does the criterion.
    """
    shared = {spec.label for spec in old.contenders} & {spec.label for spec in new.contenders}
    trains = any(spec.kind for spec in new.contenders if spec.label in shared)
    ignored = GROWABLE_FIELDS if trains else (*GROWABLE_FIELDS, "steps", "minutes")

    def compared_fields(study: Study) -> dict[str, Any]:
        values = study.as_dict()
        pairs = zip(study.contenders, values["contenders"], strict=True)
        specs = {
            f"contender {spec.label}": {k: value for k, value in v.items() if k != "seeds"}
            for spec, v in pairs
            if spec.label in shared
        }
        return {key: value for key, value in values.items() if key not in ignored} | specs

    a, b = compared_fields(old), compared_fields(new)
    return [
        f"{key}: {a.get(key, 'none')} -> {b.get(key, 'none')}"
        for key in sorted({*a, *b})
        if a.get(key) != b.get(key)
    ]
