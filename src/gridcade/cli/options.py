"""Turns the option types of the API, such as `TrainOptions`, into command-line options.

An option type is a TypedDict. Each key becomes an option, and the docstring under it becomes the
help. tyro alone would offer the word None, and would print "(unset by default)" after the help,
which names the default already.
"""

import ast
import inspect
from collections.abc import Callable, Sequence
from itertools import pairwise
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
    StructConstructorSpec,
    StructFieldSpec,
    StructTypeInfo,
)

C = TypeVar("C")

HELP_FLAGS = {"-h", "--help"}
METAVARS: dict[type, str] = {int: "N", float: "X", str: "NAME", Path: "FILE"}
METAVARS_BY_KEY = {
    "config": "FILE",
    "video": "FILE",
    "out": "DIR",
    "init_from": "POLICY",
    "address": "ADDRESS",
}
FLAGS = {"where": "in"}  # the flag of a key, if they differ; `in` is a keyword of Python


def optional(
    kind: Callable[[str], Any], metavar: str, choices: tuple[str, ...] | None = None
) -> PrimitiveConstructorSpec[Any]:
    """Annotate an option that is None if it is missing, and whose help names its default.

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
ENV_HELP = "Environment: a name, a Gymnasium id or a map file."
OTHER_ENV_HELP = "Environment. Default: the one the agent was trained in."
TRUST_HELP = (
    "Load a model.zip. Unpickling it can run any code, so it must be from a trusted author."
)

EnvName: TypeAlias = Annotated[Positional[str], arg(metavar="ENV", help=ENV_HELP)]
OtherEnv: TypeAlias = Annotated[
    str | None, arg(help=OTHER_ENV_HELP, help_behavior_hint=""), optional(str, "ENV")
]
PolicyName: TypeAlias = Annotated[Positional[str], arg(metavar="POLICY", help=POLICY_HELP)]
Trust: TypeAlias = Annotated[bool, arg(help=TRUST_HELP, help_behavior_hint="")]


def parse(
    command: type[C], words: Sequence[str], prog: str = "", console_outputs: bool = True
) -> C:
    """Parse the words of a command; exits with an error message, or after the help.

    Args:
        command: a dataclass.
        words: arguments and options.
        prog: the program's name, for the usage.
        console_outputs: whether to print help and errors.
    """
    registry = ConstructorRegistry()
    registry.struct_rule(_options_rule)
    return tyro.cli(
        command,
        args=words,
        prog=prog,
        description="",
        config=(FlagCreatePairsOff,),  # a switch is either --name or --no-name
        console_outputs=console_outputs,
        registry=registry,
    )


def _options_rule(info: StructTypeInfo) -> StructConstructorSpec | None:
    """Make options of the keys of a TypedDict; the result has those that were given."""
    if not is_typeddict(info.type):
        return None
    docs = _key_docs(info.type)
    hints = get_type_hints(info.type)
    fields = [_option(key, hint, docs[key]) for key, hint in hints.items()]

    def instantiate(**values: Any) -> dict[str, Any]:
        return {key: value for key, value in values.items() if value is not None}

    return StructConstructorSpec(instantiate, tuple(fields))


def _option(key: str, hint: Any, doc: str) -> StructFieldSpec:
    """The option of a key of a TypedDict."""
    kind = _without_none(hint)
    look = arg(name=FLAGS.get(key), help=doc, help_behavior_hint="")
    if kind is bool:
        return StructFieldSpec(key, Annotated[bool, look], False)  # type: ignore[arg-type]
    if get_origin(kind) is Literal:
        choices = get_args(kind)
        spec = optional(str, f"{{{','.join(choices)}}}", choices)
    else:
        spec = optional(kind, METAVARS_BY_KEY.get(key, METAVARS[kind]))
    return StructFieldSpec(key, Annotated[hint | None, look, spec], None)  # type: ignore[arg-type]


def _without_none(hint: Any) -> Any:
    """The type that an option's text is converted to: str for `str | Path | None`."""
    if get_origin(hint) not in (Union, UnionType):
        return hint
    kinds = [kind for kind in get_args(hint) if kind is not NoneType]
    return str if str in kinds else kinds[0]


def _key_docs(options: type) -> dict[str, str]:
    """The docstrings under the keys of a TypedDict, each on one line."""
    docs = {}
    for key, doc in pairwise(ast.walk(ast.parse(inspect.getsource(options)))):
        match key, doc:
            case ast.AnnAssign(ast.Name(name)), ast.Expr(ast.Constant(str(text))):
                docs[name] = " ".join(text.split())
    return docs
