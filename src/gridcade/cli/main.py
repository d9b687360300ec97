"""The entry point: finds the command, parses its arguments, and turns errors into exit codes."""

import os
import signal
import sys
from importlib import import_module
from inspect import cleandoc
from shutil import get_terminal_size
from textwrap import fill, indent

from gridcade import __version__
from gridcade.cli import streams
from gridcade.cli.command import Command
from gridcade.cli.options import parse
from gridcade.cli.signals import INTERRUPTED
from gridcade.cli.unknown_options import HELP_FLAGS
from gridcade.errors import InputError, unknown
from gridcade.formatting import shell_command

ABOUT = """A reinforcement-learning playground, from gridworlds to the arcade.

First steps:

$ gridcade train q-learning FourRooms
$ gridcade evaluate runs/FourRooms-q-learning-s0
$ gridcade watch runs/FourRooms-q-learning-s0
$ gridcade compare q-learning random optimal --env CliffWalk --steps 100_000

ENV is a short name (FourRooms), a Gymnasium id (FrozenLake-v1), the file of a map that you drew
(my-world.txt), or an environment of your own (my_env.py:MyEnv, my_package:MyEnv-v0). Its
arguments are part of the name, "Maze?size=9&seed=3", or options, --env.size 9 --env.seed 3.

POLICY is a run folder, a checkpoint in one, a shipped agent ('breakout'), 'random', 'optimal', or
with --trust a model.zip of stable-baselines3."""

COMMANDS = {  # name -> what it does; gridcade.cli.commands.NAME holds the class Name
    "list": "List environments, agents, presets, and the runs under runs/.",
    "train": "Train an agent in a new run folder.",
    "resume": "Resume a run that was stopped or killed, or extend its budget.",
    "evaluate": "Estimate a policy's return and average reward, with intervals.",
    "compare": "Compare agents and policies over several seeds, and write a report.",
    "check": "Check an environment of your own before agents learn in it.",
    "solve": "Compute the exact optimum of an environment whose model is known.",
    "watch": "Watch a policy in a terminal (over ssh too), a window, or a video.",
    "play": "Play yourself, and be evaluated like every policy.",
    "serve": "Open a page on which an agent learns live, in a world that you can edit.",
    "demo": "Train, evaluate, compare with the optimum and watch, in a minute.",
}
OTHER_VERBS = {  # verbs of other programs -> the command; {} stands for the words after the verb
    **dict.fromkeys(("eval", "test", "score", "measure"), "gridcade evaluate {}"),
    **dict.fromkeys(("run", "learn", "fit"), "gridcade train {}"),
    **dict.fromkeys(("continue", "extend"), "gridcade resume {}"),
    **dict.fromkeys(("show", "view", "render", "replay", "enjoy"), "gridcade watch {}"),
    **dict.fromkeys(("benchmark", "bench", "study", "sweep", "tune"), "gridcade compare {}"),
    **dict.fromkeys(("plot", "graph", "report"), "gridcade compare {}"),
    **dict.fromkeys(("optimal", "optimum", "plan"), "gridcade solve {}"),
    **dict.fromkeys(("ls", "info"), "gridcade list {}"),
    **{section: f"gridcade list {section}" for section in ("envs", "agents", "presets", "runs")},
    **dict.fromkeys(("lint", "validate", "verify"), "gridcade check {}"),
    "help": "gridcade {} --help",
    "version": "gridcade --version",
}
REMOVE = ("delete", "remove", "rm", "del")
MAX_WIDTH = 100  # columns of prose


def main() -> None:
    """Run the command line. Bad input is one line on stderr and exit code 2."""
    # A KeyboardInterrupt, unlike the default action of SIGTERM, restores the terminal.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:  # ignored in a background job
        signal.signal(signal.SIGINT, signal.default_int_handler)
    streams.prepare()
    with streams.warnings_on_one_line():
        code = _exit_code(sys.argv[1:])
    if code:
        sys.exit(code)


def _exit_code(words: list[str]) -> int | str | None:
    """Run the command that the words name, print an error, and return the exit code."""
    code: int | str | None = 0
    try:
        try:
            _run(words)
        except InputError as error:
            code = 2
            print(f"gridcade: {error}", file=sys.stderr)
        except KeyboardInterrupt:
            code = INTERRUPTED
            print("gridcade: interrupted", file=sys.stderr)
        except SystemExit as end:
            code = end.code
        sys.stdout.flush()  # so that a full disk or a closed pipe raises its error here
    except OSError:
        if (lost := streams.lost_output()) is None:
            raise
        if not isinstance(lost, BrokenPipeError):  # a reader such as `head` has ended
            print(f"gridcade: cannot write the output: {lost.strerror}", file=sys.stderr)
        return code or 1
    return code


def _run(words: list[str]) -> None:
    """Run the command that the words name, or print the version or the help."""
    if words == ["--version"]:
        print(f"gridcade {__version__}")
    elif not words or words[0] in HELP_FLAGS:
        _print_help()
    elif words[0] in COMMANDS:
        _parse_command(*words).run()
    elif words[0] in OTHER_VERBS:
        right = OTHER_VERBS[words[0]].format(shell_command(*words[1:]))
        raise InputError(f"unknown command '{words[0]}'; write: {' '.join(right.split())}")
    elif words[0] in REMOVE:
        folders = [_existing(word) for word in words[1:] if not word.startswith("-")]
        right = shell_command(*folders) or "runs/NAME"
        raise InputError(f"unknown command '{words[0]}'; remove the folder: rm -r {right}")
    else:
        raise unknown("command", words[0], COMMANDS)


def _existing(folder: str) -> str:
    """Return the folder, or the folder of this name under runs/ if only that exists."""
    under_runs = f"runs/{folder}"
    return folder if os.path.exists(folder) or not os.path.exists(under_runs) else under_runs


def _parse_command(name: str, *words: str) -> Command:
    """Parse the words after a command's name."""
    rest, env_arguments = _take_env_arguments(words)
    module = import_module(f"gridcade.cli.commands.{name}")
    command_type: type[Command] = getattr(module, name.capitalize())
    command_type = command_type.specialize(rest, env_arguments)
    if HELP_FLAGS & set(rest):
        _print_prose(COMMANDS[name])
        _print_prose((command_type.__doc__ or "").partition("\n\n")[2])
        rest = ["--help"]  # alone, because tyro's help leaves out options that other words set
    prog, agent = f"gridcade {name}", command_type.agent_name
    command = parse(command_type, rest, prog, agent, command_type.option_note)
    if env_arguments:
        command.add_env_arguments(env_arguments)
    return command


def _take_env_arguments(words: tuple[str, ...]) -> tuple[list[str], dict[str, str]]:
    """Separate options such as `--env.size 9` from the other words."""
    rest: list[str] = []
    arguments: dict[str, str] = {}
    remaining = iter(words)
    for word in remaining:
        if not word.startswith("--env."):
            rest.append(word)
            continue
        key, equals, value = word.removeprefix("--env.").partition("=")
        if not equals and ((value := next(remaining, "")) == "" or value.startswith("--")):
            raise InputError(f"{word} needs a value, as in --env.size 9")
        arguments[key.replace("-", "_")] = value
    return rest, arguments


def _print_help() -> None:
    """Print what the program does, and its commands."""
    _print_prose(ABOUT)
    print("usage: gridcade COMMAND ...     gridcade COMMAND --help     gridcade --version\n")
    width = min(get_terminal_size().columns, MAX_WIDTH)
    for name, summary in COMMANDS.items():
        print(fill(summary, width, initial_indent=f"  {name:8}  ", subsequent_indent=" " * 12))


def _print_prose(text: str) -> None:
    """Print paragraphs, as wide as the terminal; examples, which start with $, are indented."""
    width = min(get_terminal_size().columns, MAX_WIDTH)
    for paragraph in filter(None, cleandoc(text).split("\n\n")):
        example = paragraph.startswith("$")
        print(indent(paragraph, " " * 4) if example else fill(paragraph, width), end="\n\n")


if __name__ == "__main__":
    main()
