"""The policies and environments that the Arcade page may name."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import gymnasium as gym

from gridcade import agents, contenders
from gridcade.contenders import Contender
from gridcade.envs import registry
from gridcade.envs.atari import MNIH2013_GAMES, PROTOCOLS, known_games
from gridcade.errors import InputError, unknown
from gridcade.live.run_files import find_files
from gridcade.live.world.place import check_size, world_names
from gridcade.training.config import read_settings
from gridcade.training.run_folder import Run

DEFAULT_ENV = "Breakout"  # for policies that can play in any environment


@dataclass(frozen=True)
class ListedPolicy:
    """A policy that the page may name."""

    name: str
    group: str  # "shipped", "built in", "runs" or "models"
    env: str = ""  # its own environment; "": any
    run: Run | None = None
    file: Path | None = None  # a model of stable-baselines3

    def checkpoints(self) -> list[int]:
        """Return the steps of a run's checkpoints, ascending; [] for other policies."""
        return self.run.checkpoints() if self.run else []


class PolicyList:
    """Policies by name: shipped agents, built-in policies, and the runs of one directory.

    A name from the page is looked up in this list and never used as a path.

    Args:
        runs: the directory of the run folders.
        trust: whether to list the models that stable-baselines3 saved there (*.zip) too; loading
            one can run any code.
    """

    def __init__(self, runs: Path, trust: bool = False):
        self._runs, self._trust = runs, trust

    def read(self) -> dict[str, ListedPolicy]:
        """Return all policies by name, without runs that are unreadable or have no checkpoint."""
        policies = {
            name: ListedPolicy(name, "shipped", read_settings(folder / "config.toml").env)
            for name, folder in agents.trained().items()
        }
        policies |= {name: ListedPolicy(name, "built in") for name in contenders.BUILT_IN}
        root = self._runs.resolve()
        for name, folder in find_files(self._runs).runs.items():
            if name in policies:
                continue
            try:
                run = Run(folder)
            except InputError:
                continue
            if run.checkpoints():
                policies[name] = ListedPolicy(name, "runs", run.settings.env, run)
        for file in sorted(self._runs.glob("*")) if self._trust else ():
            if file.suffix.lower() == contenders.ZIP and file.resolve().is_relative_to(root):
                policies[file.name] = ListedPolicy(file.name, "models", file=file)
        return policies

    def find(self, name: str, checkpoint: int | None, env: str) -> Contender:
        """Load a policy, and find its environment.

        Args:
            name: name of the policy.
            checkpoint: steps of a run's checkpoint; None: the last one.
            env: name of the environment; "": the policy's own, or DEFAULT_ENV.

        Raises:
            InputError: one of them does not exist, or the policy does not fit the environment.
        """
        policies = self.read()
        if name not in policies:
            raise unknown("policy", name, policies)
        listed = policies[name]
        if env:
            check_environment(env)
        elif not listed.env:
            env = DEFAULT_ENV
        if listed.run is None:
            if checkpoint is not None:
                raise InputError(f"{name} has no checkpoints")
            return contenders.find(listed.file or name, env or None, trust=self._trust)
        path = listed.run.path
        if checkpoint is not None:
            if checkpoint not in listed.checkpoints():
                saved = ", ".join(f"{steps:,}" for steps in listed.checkpoints())
                raise InputError(f"no checkpoint {checkpoint:,} in {name}; it has {saved}")
            path = listed.run.checkpoint(checkpoint)
        return contenders.find(path, env or None, trust=self._trust)

    def message(self) -> dict[str, Any]:
        """Return the choices that the page offers, as fields of a message."""
        return {
            "policies": [
                {"name": p.name, "group": p.group, "env": p.env, "checkpoints": p.checkpoints()}
                for p in self.read().values()
            ],
            "environments": environment_names(),
            "protocols": {name: protocol.about for name, protocol in PROTOCOLS.items()},
            "default_env": DEFAULT_ENV,
        }


@cache
def environment_names() -> list[str]:
    """Return the environments that the page offers: worlds, those of Gymnasium, and games."""
    worlds = list(world_names())
    others = [name for name in registry.short_names() if name not in worlds and may_show(name)]
    return [*worlds, *sorted(others), *(known_games() or MNIH2013_GAMES)]


def may_show(name: str) -> bool:
    """Whether an environment draws pictures and, unlike GridWorld, opens no map file."""
    return "GridWorld" not in name and "gridcade/" not in name and registry.draws_pictures(name)


def check_environment(name: str) -> None:
    """Raise InputError unless the page may name this environment.

    Only Atari games and Gridcade's worlds take arguments, because an argument of another
    environment could name a file.
    """
    base, mark, _ = name.partition("?")
    if base not in environment_names() and not (base in gym.registry and may_show(base)):
        raise unknown("environment", base, environment_names())
    if registry.atari_title(registry.parse(name)[0]):
        return
    if mark and base not in world_names():
        raise InputError(f"{base} takes no arguments on this page")
    check_size(name)
