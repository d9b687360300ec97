"""`gridcade train`: the options of a run, and the hyperparameters of the agent."""

import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, make_dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, get_type_hints

from tyro.conf import Positional, arg

from gridcade import agents
from gridcade.agents import AgentKind
from gridcade.agents.base import AgentConfig
from gridcade.cli.command import Command, EnvCommand
from gridcade.cli.options import EnvName, try_parse
from gridcade.cli.output import print_note, show_run
from gridcade.cli.progress import TrainingDisplay
from gridcade.cli.signals import INTERRUPTED, interrupt_on_signal, stop_on_signal
from gridcade.cli.unknown_options import HELP_FLAGS
from gridcade.envs.registry import make, with_arguments
from gridcade.errors import InputError
from gridcade.formatting import shell_command
from gridcade.training import sessions
from gridcade.training.config import Recipe, read_recipe
from gridcade.training.options import TrainOptions
from gridcade.training.run_folder import Run
from gridcade.training.trainer import Progress


@dataclass
class Train(EnvCommand):
    """Arguments and options of `gridcade train`.

    $ gridcade train q-learning CliffWalk
    $ gridcade train q-learning my-world.txt --steps 1_000_000 --seed 3
    $ gridcade train q-learning NearAndFar --preset average-reward
    $ gridcade train q-learning FourRooms --help      the agent's own options too

    An option that is not given comes from the config file, then from the preset. Ctrl-C stops the
    training at a checkpoint, and `gridcade resume` continues from there.
    """

    agent: Annotated[Positional[str], arg(metavar="AGENT")]
    """Name of the agent: see `gridcade list agents`."""
    env: EnvName
    options: Annotated[TrainOptions, arg(name="")] = field(default_factory=lambda: TrainOptions())

    @classmethod
    def specialize(cls, words: list[str], env_arguments: dict[str, str]) -> type[Command]:
        """Add the hyperparameters of the agent that the words name, as its preset sets them."""
        kind = _find_agent(words)
        if words and not words[0].startswith("-") and (kind is None or words[0] != kind.name):
            if kind is None or words[1] != kind.name:
                agents.find(words[0])  # raises, because the word is no agent
            right = shell_command("gridcade", "train", words[1], words[0])
            raise InputError(f"the agent comes first: {right}")
        if kind is None:
            return cls
        preset, config = _flag_value(words, "--preset"), _flag_value(words, "--config")
        if preset is None:
            env = _find_env(words, kind) if kind.presets_differ else None
            preset = kind.default_preset if env is None else _preset_for(kind, env, env_arguments)
        recipe = read_recipe(kind, preset, Path(config) if config is not None else None)
        return _with_hyperparameters(kind, recipe.hyperparameters, recipe)

    def run(self) -> None:
        """Train the agent in a new run folder."""
        run_session(
            partial(
                sessions.train,
                self.recipe() or self.agent,
                self.env,
                hyperparameters=self.agent_config(),
                **self.options,
            )
        )

    def recipe(self) -> Recipe | None:
        """Return the agent with its preset and config file; None: the agent is not known."""
        return None

    def agent_config(self) -> AgentConfig | None:
        """Return the agent's hyperparameters; None: the agent is not known."""
        return None


def run_session(session: Callable[..., Run]) -> None:
    """Run a session of training with a progress display; exit with 130 if it was stopped.

    Args:
        session: function that trains and takes `report`, `stop` and `note`; see
            `gridcade.training.sessions.train`.
    """
    signaled, lost = stop_on_signal(), list[OSError]()
    with TrainingDisplay() as display:

        def report(progress: Progress) -> None:
            """Show the progress, until the terminal or the reader of a pipe is gone."""
            try:
                if not lost:
                    display.report(progress)
            except OSError as error:
                lost.append(error)

        run = session(report=report, stop=lambda: bool(lost) or signaled(), note=print_note)
    interrupt_on_signal()
    if not show_run(run):
        sys.exit(INTERRUPTED)


# ---- an agent's hyperparameters as options


def _find_agent(words: list[str]) -> AgentKind | None:
    """Find the agent among words that are not parsed yet; None: no word is an agent."""
    for flag, word in zip(["", *words], words, strict=False):
        if not flag.startswith("--") and (word in agents.AGENTS or word.startswith(agents.SB3)):
            return agents.find(word)
    return None


def _find_env(words: list[str], kind: AgentKind) -> str | None:
    """Find the environment among words; None: they cannot be parsed.

    Switches are ignored: whether one is called --name or --no-name depends on its default in the
    preset, and the preset depends on the environment, which is not known yet.
    """
    hints = get_type_hints(kind.config)
    switches = {name.replace("_", "-") for name, hint in hints.items() if hint is bool}
    rest = [
        word
        for word in words
        if word not in HELP_FLAGS and word.removeprefix("--").removeprefix("no-") not in switches
    ]
    command = _with_hyperparameters(kind, kind.config(), None)
    parsed = try_parse(command, rest)
    return None if parsed is None else parsed.env


def _preset_for(kind: AgentKind, env: str, env_arguments: dict[str, str]) -> str:
    """Return the agent's default preset for an environment."""
    with closing(make(with_arguments(env, env_arguments))) as single:
        return kind.preset_for(single)


def _with_hyperparameters(
    kind: AgentKind, default: AgentConfig, recipe: Recipe | None
) -> type[Train]:
    """Return the command `train` with an agent's hyperparameters as options."""
    hint: Any = Annotated[kind.config, arg(name="")]
    command: type[Train] = make_dataclass(
        "Train",
        [("hyperparameters", hint, field(default=default))],
        bases=(Train,),
        namespace={
            "__doc__": Train.__doc__,
            "agent_name": kind.name,
            "recipe": lambda _: recipe,
            "agent_config": lambda self: self.hyperparameters,
        },
    )
    return command


def _flag_value(words: list[str], flag: str) -> str | None:
    """Return the value of a flag, given as `--flag value` or `--flag=value`; None if missing."""
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word == flag and following:
            return following
        if word.startswith(f"{flag}="):
            return word.partition("=")[2]
    return None
