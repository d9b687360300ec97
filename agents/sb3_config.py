"""Configs of stable-baselines3's algorithms, made from the signatures of their constructors.

A config has the constructor's arguments as fields, with their names, types, defaults and
descriptions, and adds a few fields that every algorithm shares.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field, fields, make_dataclass
from functools import cache, reduce
from importlib import import_module
from importlib.util import find_spec
from inspect import getdoc, signature
from operator import or_
from types import NoneType, UnionType
from typing import Annotated, Any, ClassVar, Union, get_args, get_origin

import stable_baselines3
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.utils import LinearSchedule
from typing_extensions import Doc

from gridcade import agents
from gridcade.errors import InputError

# Algorithms of sb3-contrib that learn in `SB3VecEnv`. ARS has no loop of steps.
CONTRIB = ("CrossQ", "MaskablePPO", "QRDQN", "TQC", "TRPO")
INSTALL_CONTRIB = "pip install 'gridcade[sb3-contrib]'"
LINEAR = "lin_"  # prefix of linear schedules, as in RL Baselines3 Zoo
NOT_FIELDS = {  # arguments that are not hyperparameters, or that SB3Config defines itself
    *("policy", "policy_kwargs", "env", "seed"),
    *("stats_window_size", "tensorboard_log", "verbose", "_init_setup_model"),
}
DEFAULTS = {"device": "cpu"}  # not "auto": by default, all agents must use the same hardware
TOML_TYPES = (bool, int, float, str, NoneType)  # a field that is None is left out of the file
MINIMUM = {
    **dict.fromkeys(("batch_size", "buffer_size", "n_epochs", "n_steps", "policy_delay"), 1),
    **dict.fromkeys(("target_update_interval", "threads", "train_freq"), 1),
    **dict.fromkeys(("learning_starts", "schedule_steps"), 0),
}


@dataclass(frozen=True)
class SB3Config:
    """Fields of every algorithm; `config_class` adds the arguments of the algorithm's constructor.

    Raises:
        InputError: a field is out of its range.
    """

    algorithm: ClassVar[type[BaseAlgorithm]]
    schedulable: ClassVar[tuple[str, ...]]  # fields that accept a schedule

    policy: str = "auto"
    """MlpPolicy, CnnPolicy, MultiInputPolicy, or auto, which selects by the observation space."""
    policy_kwargs: dict[str, Any] = field(default_factory=dict)
    """Arguments of the policy, such as net_arch; classes by name, such as optimizer_class Adam."""
    clip_rewards: bool = False
    """Clip rewards to [-1, 1] for learning; metrics and evaluation use raw rewards."""
    schedule_steps: int = 0
    """Steps after which schedules reach their end; 0: the run's total number of steps."""
    threads: int = 1
    """Threads of PyTorch while learning."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name, minimum in MINIMUM.items():
            value = getattr(self, name, minimum)
            if isinstance(value, int) and value < minimum:
                raise InputError(f"{name} is {value}; it must be {minimum} or more")
        if not 0 <= (gamma := getattr(self, "gamma", 1.0)) <= 1:
            raise InputError(f"gamma is {gamma}; it must be between 0 and 1")
        for name in self.schedulable:
            _schedule(name, getattr(self, name), 1.0)

    @classmethod
    def argument_names(cls) -> set[str]:
        """Names of the fields that are arguments of the algorithm's constructor."""
        return {f.name for f in fields(cls)} - {f.name for f in fields(SB3Config)}

    def arguments(self, total_steps: int) -> dict[str, Any]:
        """Return the arguments of the algorithm's constructor by name, without those of the policy.

        stable-baselines3's schedules end after a fraction of the total number of steps. This
        computes the fraction from `schedule_steps`.

        Args:
            total_steps: environment steps of the training.
        """
        end_fraction = self.schedule_steps / total_steps if self.schedule_steps else 1.0
        values = {name: getattr(self, name) for name in self.argument_names()}
        for name in self.schedulable:
            values[name] = _schedule(name, values[name], end_fraction)
        if "exploration_fraction" in values:
            values["exploration_fraction"] *= end_fraction
        return values

    @property
    def has_schedules(self) -> bool:
        """Whether a hyperparameter changes during the training."""
        scheduled = [isinstance(getattr(self, name), str) for name in self.schedulable]
        return any(scheduled) or hasattr(self, "exploration_fraction")


def own_algorithms() -> list[type[BaseAlgorithm]]:
    """Return the algorithms that stable-baselines3 exports."""
    exported = (getattr(stable_baselines3, name) for name in stable_baselines3.__all__)
    return [c for c in exported if isinstance(c, type) and issubclass(c, BaseAlgorithm)]


def algorithms() -> dict[str, type[BaseAlgorithm]]:
    """Return the algorithms that can be trained, by agent name, such as `sb3-dqn`.

    If sb3-contrib is installed, they include its algorithms in CONTRIB.
    """
    classes = own_algorithms()
    if find_spec("sb3_contrib"):
        contrib = import_module("sb3_contrib")
        classes += [getattr(contrib, name) for name in CONTRIB]
    return {agents.SB3 + c.__name__.lower(): c for c in classes}


def check_contrib(name: str) -> None:
    """Raise InputError if an agent needs sb3-contrib and that package is not installed."""
    is_contrib = name in {agents.SB3 + algorithm.lower() for algorithm in CONTRIB}
    if is_contrib and not find_spec("sb3_contrib"):
        raise InputError(f"{name} needs sb3-contrib: {INSTALL_CONTRIB}")


@cache
def config_class(algorithm: type[BaseAlgorithm]) -> type[SB3Config]:
    """Make the config of an algorithm: a subclass of SB3Config with the constructor's arguments.

    Arguments that TOML cannot express, such as classes and objects, are left out.
    """
    descriptions = _parameter_descriptions(algorithm)
    added: list[Any] = []
    schedulable: list[str] = []
    for name, parameter in signature(algorithm).parameters.items():
        members = _union_members(parameter.annotation)
        types = [t for t in members if t in TOML_TYPES or get_origin(t) in (dict, tuple)]
        if name in NOT_FIELDS or types in ([], [NoneType]):
            continue
        if any(get_origin(member) is Callable for member in members):
            schedulable.append(name)
            types.append(str)
        field_type, default = reduce(or_, types), DEFAULTS.get(name, parameter.default)
        specifier: Any = field(default=default)
        if any(get_origin(t) is dict for t in types):
            # TOML has no null, so an empty table stands for None.
            field_type, specifier = dict[str, Any], field(default_factory=dict)
        added.append((name, Annotated[field_type, Doc(descriptions.get(name, ""))], specifier))
    namespace = {
        "algorithm": algorithm,
        "schedulable": tuple(schedulable),
        "__doc__": SB3Config.__doc__,
        "__module__": "gridcade.agents.sb3",  # where pickle finds the class by its name
    }
    name = f"{algorithm.__name__}Config"
    return make_dataclass(name, added, bases=(SB3Config,), namespace=namespace, frozen=True)


def _union_members(annotation: Any) -> tuple[Any, ...]:
    """Return the types that an annotation allows."""
    is_union = get_origin(annotation) in (Union, UnionType)
    return get_args(annotation) if is_union else (annotation,)


def _parameter_descriptions(algorithm: type[BaseAlgorithm]) -> dict[str, str]:
    """Return the `:param name: description` entries of a docstring by name, each as one line."""
    entries = re.findall(r":param (\w+): ((?:.(?!:param ))*)", getdoc(algorithm) or "", re.S)
    return {name: " ".join(description.split()) for name, description in entries}


def _schedule(name: str, value: Any, end_fraction: float) -> Any:
    """Convert `lin_NUMBER` to a linear schedule, and return other values unchanged.

    Args:
        name: the field.
        value: its value. `lin_0.1` falls linearly from 0.1 to 0.
        end_fraction: fraction of the training after which the schedule is 0.

    Raises:
        InputError: the value is a string of another form.
    """
    if not isinstance(value, str):
        return value
    try:
        return LinearSchedule(float(value.removeprefix(LINEAR)), 0.0, end_fraction)
    except ValueError:
        raise InputError(
            f"{name} is '{value}'; it must be a number, or {LINEAR}NUMBER, which falls linearly "
            "from NUMBER to 0"
        ) from None
