"""`gridcade list`: environments, agents, presets and runs."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import gymnasium as gym
from rich.table import Table
from tyro.conf import Positional, arg

from gridcade import agents
from gridcade.agents import AgentKind
from gridcade.cli.command import Command
from gridcade.cli.output import evaluation_text, out
from gridcade.envs import registry
from gridcade.envs.atari import DEFAULT_PROTOCOL, PROTOCOLS
from gridcade.envs.tabular import TabularEnv
from gridcade.errors import InputError
from gridcade.training.config import read_toml
from gridcade.training.run_folder import RUNS, Run

SECTIONS = Literal["all", "envs", "agents", "presets", "runs"]
GAP = 2  # columns between two columns of a table


@dataclass
class Section:
    """A table of entries. The last column holds texts of any length."""

    header: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]

    def print(self, one_line: bool) -> None:
        """Print the table, or `none yet`; with one line per entry, long texts are shortened."""
        if not self.rows:
            out.print("none yet", style="dim")
            return
        widths = [max(map(len, column)) for column in zip(self.header, *self.rows, strict=True)]
        room = out.width - sum(width + GAP for width in widths[:-1])
        table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="dim")
        for name, width in zip(self.header[:-1], widths, strict=False):
            table.add_column(name, no_wrap=True, min_width=width)
        table.add_column(self.header[-1], overflow="fold")
        for *cells, text in self.rows:
            short = one_line and len(text) > room
            table.add_row(*cells, f"{text[: room - 1]}…" if short else text)
        out.print(table)


@dataclass
class List(Command):
    """Arguments of `gridcade list`.

    $ gridcade list
    $ gridcade list envs
    $ gridcade list presets dqn

    `gridcade list` prints one line per entry. `list envs`, `list agents` and `list presets AGENT`
    print the whole texts.
    """

    section: Annotated[
        Positional[SECTIONS],
        arg(metavar="[all|envs|agents|presets|runs]", help_behavior_hint=""),
    ] = "all"
    """Section to list. Default: all."""
    agent: Annotated[Positional[str], arg(metavar="[AGENT]", help_behavior_hint="")] = ""
    """Agent whose presets are listed. Default: all agents."""

    def run(self) -> None:
        """Print the entries."""
        if self.agent and self.section != "presets":
            raise InputError(f"cannot list {self.section} of '{self.agent}'; only presets")
        kinds = [agents.find(self.agent)] if self.agent else [*agents.AGENTS.values()]
        sections: dict[str, Callable[[], Section]] = {
            "envs": _envs,
            "agents": _agents,
            "presets": lambda: _presets(kinds),
            "runs": _runs,
        }
        if self.section != "all":
            one_line = self.section == "presets" and not self.agent
            sections[self.section]().print(one_line)
            return
        for name, section in sections.items():
            out.print(name, style="bold")
            section().print(one_line=True)
            print()
        print("For the whole texts: gridcade list envs, list agents, list presets AGENT")


def _envs() -> Section:
    rows = []
    for spec in gym.registry.values():
        if spec.namespace == "gridcade" and spec.name != "GridWorld":  # GridWorld needs a map
            env = registry.make(spec.id)
            world = env.unwrapped
            if isinstance(world, TabularEnv):
                rows.append((spec.name, str(world.model.num_states), world.world.about))
            env.close()
    rows.append(("FrozenLake-v1 …", "", "any other Gymnasium id"))
    rows.append(("Breakout, Pong …", "", "Atari games by their titles, with gridcade[atari]"))
    for name, protocol in PROTOCOLS.items():
        default = "; the default" if name == DEFAULT_PROTOCOL else ""
        rows.append((f"Pong?protocol={name}", "", protocol.about + default))
    rows.append(("Pong?sticky=0.25", "", "only sticky actions; also ?actions=full or minimal"))
    rows.append(("my-world.txt", "", "a map that you drew: see envs/maps/ for the format"))
    return Section(("name", "states", ""), rows)


def _agents() -> Section:
    rows = [(kind.name, kind.default_preset, kind.about) for kind in agents.AGENTS.values()]
    for name, folder in agents.trained().items():
        config = read_toml(folder / "config.toml")
        rows.append((name, "", f"shipped agent: {config['agent']}, trained on {config['env']}"))
    return Section(("name", "default preset", ""), rows)


def _presets(kinds: list[AgentKind]) -> Section:
    rows = []
    for kind in kinds:
        for name, file in kind.presets().items():
            lines = file.read_text(encoding="utf-8").splitlines()
            about = " ".join(line.lstrip("# ") for line in lines if line.startswith("#"))
            steps = read_toml(file).get("steps")
            rows.append((kind.name, name, f"{steps:,}" if steps else "", about))
    return Section(("agent", "preset", "steps", ""), rows)


def _runs() -> Section:
    """The runs under runs/. A line on stderr names each folder that cannot be read."""
    rows = []
    for config in sorted(RUNS.glob("*/config.toml")):
        try:
            run = Run(config.parent)
            steps = run.last_checkpoint()
        except InputError as error:
            print(f"gridcade: {error}", file=sys.stderr)
            continue
        metrics = run.metrics()
        latest = evaluation_text(metrics[-1]) if metrics else ""
        settings = run.settings
        rows.append((str(run.path), settings.agent, settings.env, f"{steps:,}", latest))
    return Section(("run", "agent", "env", "steps", "latest"), rows)
