"""Turns the option types of the API, such as `TrainOptions`, into command-line options.

An option type is a TypedDict. Each key becomes an option, and the docstring under it becomes the
help. tyro alone would offer the word None, and would print "(unset by default)" after the help,
which names the default already.
"""

import io
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import replace
from pathlib import Path
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    TypeAlias,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

import tyro
from tyro.conf import FlagCreatePairsOff, Positional, arg
from tyro.constructors import (
    ConstructorRegistry,
    PrimitiveConstructorSpec,
    PrimitiveTypeInfo,
    StructConstructorSpec,
    StructFieldSpec,
    StructTypeInfo,
)

from gridcade.agents.schedules import Schedule
from gridcade.cli.unknown_options import HELP_FLAGS, check_options, unexpected, wrong_value
from gridcade.field_docs import field_docs

C = TypeVar("C")

METAVARS: dict[type, str] = {int: "N", float: "X", str: "NAME", Path: "FILE"}
METAVARS_BY_KEY = {
    "config": "FILE",
    "video": "FILE",
    "out": "DIR",
    "init_from": "POLICY",
    "address": "ADDRESS",
}
LARGEST_FLOAT = 2**53  # the floats up to here include every whole number
FLAGS = {"where": "in"}  # the flag of a key, if they differ; `in` is a keyword of Python


def optional(
    kind: Callable[[str], Any], metavar: str, choices: tuple[str, ...] | None = None
) -> PrimitiveConstructorSpec[Any]:
    """Annotate an option that is None if it is not given, and whose help names its default.

    Args:
        kind: converts the option's text.
        metavar: name of the value in the help.
        choices: the allowed texts; None: any.
    """
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=metavar,
        instance_from_str=lambda words: kind(words[0]),
        is_instance=lambda value: value is None,
        str_from_instance=lambda value: [str(value)],
        choices=choices,
    )


POLICY_HELP = (
    "A run folder (its last checkpoint), a checkpoint in one (RUN/checkpoints/N), a shipped agent "
    "(`gridcade list agents`), `random`, `optimal`, or with --trust a model.zip of "
    "stable-baselines3."
)
ENV_HELP = "Environment: a name, a Gymnasium id, a map file, or my_env.py:MyEnv."
OTHER_ENV_HELP = "Environment. Default: the environment in which the agent was trained."
TRUST_HELP = (
    "Load a model.zip, or the file of the environment in which somebody else trained a run. Both "
    "can run any code, so they must be from a trusted author."
)

VECNORMALIZE_HELP = (
    "Statistics that VecNormalize of stable-baselines3 saved, for a model.zip that was trained "
    "with them. The file is unpickled, so it needs --trust."
)

EnvName: TypeAlias = Annotated[Positional[str], arg(metavar="ENV", help=ENV_HELP)]
OtherEnv: TypeAlias = Annotated[
    str | None, arg(help=OTHER_ENV_HELP, help_behavior_hint=""), optional(str, "ENV")
]
PolicyName: TypeAlias = Annotated[Positional[str], arg(metavar="POLICY", help=POLICY_HELP)]
VecNormalizeFile: TypeAlias = Annotated[
    Path | None,
    arg(name="vecnormalize", help=VECNORMALIZE_HELP, help_behavior_hint=""),
    optional(Path, "FILE"),
]
Trust: TypeAlias = Annotated[bool, arg(help=TRUST_HELP, help_behavior_hint="")]


def whole_number(text: str) -> int:
    """Convert text such as 100000, 100_000 or 1e5.

    Raises:
        ValueError: the text is not a whole number.
    """
    with suppress(ValueError, OverflowError):
        return int(text)
    with suppress(ValueError):
        number = float(text)
        if number.is_integer() and abs(number) <= LARGEST_FLOAT:
            return int(number)
    raise ValueError(f"'{text}' is not a whole number, such as 100_000 or 1e5")


def number(text: str) -> float:
    """Convert text to a float.

    Raises:
        ValueError: the text is not a number.
    """
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"'{text}' is not a number, such as 0.5") from None


def parse(
    command: type[C], words: Sequence[str], prog: str = "gridcade", agent: str = "", note: str = ""
) -> C:
    """Parse the words of a command; exits with an error message, or after the help.

    Args:
        command: a dataclass.
        words: arguments and options.
        prog: the program's name, for the usage.
        agent: the agent whose hyperparameters are among the options, for messages.
        note: the end of the error about an option that is like no other.

    Raises:
        InputError: an option or argument is unknown.
    """
    if HELP_FLAGS & set(words):
        return _parse(command, words, prog)[0]
    complaint = io.StringIO()
    try:
        with redirect_stderr(complaint):
            parsed, unknown = _parse(command, words, prog)
    except SystemExit:  # perhaps because of an unknown option
        help_text = _help_text(command, prog)
        check_options(help_text, words, prog, agent, note)
        if error := wrong_value(complaint.getvalue(), help_text, prog):
            raise error from None
        print(complaint.getvalue(), end="", file=sys.stderr)
        raise
    if unknown:
        help_text = _help_text(command, prog)
        check_options(help_text, words, prog, agent, note)
        raise unexpected(help_text, unknown[0], prog)
    return parsed


def try_parse(command: type[C], words: Sequence[str]) -> C | None:
    """Parse the words of a command; None if they contain an error."""
    try:
        with redirect_stderr(io.StringIO()):
            parsed, unknown = _parse(command, words, "gridcade")
    except SystemExit:
        return None
    return None if unknown else parsed


def _parse(command: type[C], words: Sequence[str], prog: str) -> tuple[C, list[str]]:
    """Parse words with tyro; returns the command, and the words that tyro does not know."""
    registry = ConstructorRegistry()
    registry.struct_rule(_options_rule)
    registry.struct_rule(_schedule_rule)
    registry.primitive_rule(_number_rule)
    return tyro.cli(
        command,
        args=words,
        prog=prog,
        description="",
        config=(FlagCreatePairsOff,),  # a switch is either --name or --no-name
        return_unknown_args=True,
        registry=registry,
    )


def _help_text(command: type[Any], prog: str) -> str:
    """Return the help of a command, as tyro prints it."""
    with redirect_stdout(io.StringIO()) as text, suppress(SystemExit):
        _parse(command, ["--help"], prog)
    return text.getvalue()


def _options_rule(info: StructTypeInfo) -> StructConstructorSpec | None:
    """Make options of the keys of a TypedDict; the parsed dictionary has only the given options."""
    if not is_typeddict(info.type):
        return None
    docs = field_docs(info.type)
    hints = get_type_hints(info.type)
    fields = [_option(key, hint, docs[key]) for key, hint in hints.items()]
    negatable = [key for key, hint in hints.items() if _is_negatable(hint)]
    fields += [_option(f"no_{key}", bool, f"Turn off --{key}.") for key in negatable]

    def instantiate(**values: Any) -> dict[str, Any]:
        given = {key: v for key, v in values.items() if v is not None and v is not False}
        return {key: v for key, v in given.items() if key in hints} | {
            key: False for key in negatable if f"no_{key}" in given
        }

    return StructConstructorSpec(instantiate, tuple(fields))


def _schedule_rule(info: StructTypeInfo) -> StructConstructorSpec | None:
    """Make options of a schedule: one for a constant, and one for each of its fields."""
    if info.type is not Schedule:
        return None
    docs = field_docs(Schedule)

    def option(name: str, kind: Callable[[str], Any], metavar: str, doc: str) -> StructFieldSpec:
        spec = optional(lambda text: (kind(text),), metavar)  # a tuple, because None is a value
        flag = arg(name=name, help=doc, help_behavior_hint="")
        return StructFieldSpec(name or "constant", Annotated[Any, flag, spec], None)  # type: ignore[arg-type]

    def doc(name: str) -> str:
        value = getattr(info.default, name, None)
        return f"{docs[name]} (default: {value})"

    def instantiate(constant: Any, **options: Any) -> Schedule:
        given = {name: value[0] for name, value in options.items() if value is not None}
        base = info.default if constant is None else Schedule.constant(constant[0])
        return replace(base, **given)

    return StructConstructorSpec(
        instantiate,
        (
            option("", number, "FLOAT", "Constant value. The options below override it."),
            option("initial", number, "FLOAT", doc("initial")),
            option("final", _float_or_none, "{None}|FLOAT", doc("final")),
            option("steps", whole_number, "INT", doc("steps")),
            option("power", number, "FLOAT", doc("power")),
        ),
    )


def _float_or_none(text: str) -> float | None:
    return None if text == "None" else number(text)


def _number_rule(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    """Convert the values of all options that are numbers by `whole_number` and `number`."""
    if info.type is not int and info.type is not float:
        return None
    convert, kinds = (whole_number, int) if info.type is int else (number, int | float)
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar="INT" if info.type is int else "FLOAT",
        instance_from_str=lambda words: convert(words[0]),
        is_instance=lambda value: isinstance(value, kinds) and not isinstance(value, bool),
        str_from_instance=lambda value: [str(value)],
    )


def _option(key: str, hint: Any, doc: str) -> StructFieldSpec:
    """Make the option of a key of a TypedDict."""
    kind = _without_none(hint)
    flag = arg(name=FLAGS.get(key), help=doc, help_behavior_hint="")
    if kind is bool:
        return StructFieldSpec(key, Annotated[bool, flag], False)  # type: ignore[arg-type]
    if get_origin(kind) is Literal:
        choices = get_args(kind)
        spec = optional(str, f"{{{','.join(choices)}}}", choices)
    else:
        convert = {int: whole_number, float: number}.get(kind, kind)
        spec = optional(convert, METAVARS_BY_KEY.get(key, METAVARS[kind]))
    return StructFieldSpec(key, Annotated[hint | None, flag, spec], None)  # type: ignore[arg-type]


def _is_negatable(hint: Any) -> bool:
    """Return whether an option is a switch with a --no- form: its type is bool | None."""
    return _without_none(hint) is bool and NoneType in get_args(hint)


def _without_none(hint: Any) -> Any:
    """Return the type to which an option's text is converted: str for `str | Path | None`."""
    if get_origin(hint) not in (Union, UnionType):
        return hint
    kinds = [kind for kind in get_args(hint) if kind is not NoneType]
    return str if str in kinds else kinds[0]
