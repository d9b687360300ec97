"""The interface of a command."""

import os
from abc import ABC, abstractmethod
from typing import Any, ClassVar

from gridcade.errors import InputError


class Command(ABC):
    """A command of the command line.

    Subclasses are dataclasses, whose fields are the arguments and options. The first line of a
    subclass's docstring is not shown; the rest is printed above the help of its options.
    """

    agent_name: ClassVar[str] = ""  # the agent whose hyperparameters are among the options
    option_note: ClassVar[str] = ""  # for the error about an unknown option that is like no other

    @classmethod
    def specialize(cls, words: list[str], env_arguments: dict[str, str]) -> "type[Command]":
        """Return the class that parses these words; `train` adds the agent's hyperparameters."""
        del words, env_arguments
        return cls

    @abstractmethod
    def run(self) -> None:
        """Execute the command.

        Raises:
            InputError: an argument or option is invalid.
        """

    def add_env_arguments(self, arguments: dict[str, str]) -> None:
        """Add the arguments that were given as `--env.NAME VALUE` to the environment.

        Raises:
            InputError: the command takes no environment, or none was given.
        """
        raise InputError(f"this command does not take --env.{next(iter(arguments))}")


class EnvCommand(Command):
    """A command with one environment."""

    env: Any  # str, or str | None if the option is optional

    def add_env_arguments(self, arguments: dict[str, str]) -> None:
        """Add arguments to the environment's name."""
        from gridcade.envs.registry import with_arguments

        if self.env is None:
            raise InputError(
                f"--env.{next(iter(arguments))} needs the environment's name too: --env ENV"
            )
        self.env = with_arguments(self.env, arguments)


def disable_sdl_window() -> None:
    """Let pygame draw off screen, so that SDL does not complain where there is no display."""
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
