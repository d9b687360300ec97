"""`gridcade list`: environments, agents, presets and runs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, get_args

from rich.table import Table
from tyro.conf import Positional, arg

from gridcade import agents
from gridcade.agents import AgentKind
from gridcade.cli.command import Command
from gridcade.cli.options import optional
from gridcade.cli.output import out
from gridcade.cli.runs_table import SortKey, print_runs, read_runs
from gridcade.envs import registry
from gridcade.envs.atari import DEFAULT_PROTOCOL, PROTOCOLS
from gridcade.envs.suites import SUITES
from gridcade.envs.tabular import TabularEnv
from gridcade.errors import InputError
from gridcade.training.config import read_toml

SECTIONS = Literal["all", "envs", "agents", "presets", "runs"]
SORT_HELP = (
    "Order of the runs: newest, best or longest first, or by name. The score is that of the last "
    "evaluation during training. Default: date."
)
GAP = 2  # columns between two columns of a table


@dataclass
class Section:
    """A table of entries. The last column holds descriptions of any length."""

    header: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]

    def print(self, one_line: bool) -> None:
        """Print the table, or `none yet`; with one line per entry, long descriptions are cut."""
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
    $ gridcade list runs --sort score

    `gridcade list` prints one line per entry. `list envs`, `list agents` and `list presets AGENT`
    print full descriptions. Below the name of a run are the settings and hyperparameters in which
    it differs from other runs of its agent and environment.
    """

    section: Annotated[
        Positional[SECTIONS],
        arg(metavar="[all|envs|agents|presets|runs]", help_behavior_hint=""),
    ] = "all"
    """Section to list. Default: all."""
    agent: Annotated[Positional[str], arg(metavar="[AGENT]", help_behavior_hint="")] = ""
    """Agent whose presets are listed. Default: all agents."""
    sort: Annotated[
        SortKey | None,
        arg(help=SORT_HELP, help_behavior_hint=""),
        optional(str, "{date,name,score,steps}", get_args(SortKey)),
    ] = None

    def run(self) -> None:
        """Print the entries."""
        if self.agent and self.section != "presets":
            right = f"gridcade list presets {self.agent}"
            raise InputError(f"cannot list {self.section} of '{self.agent}'; write: {right}")
        kinds = [agents.find(self.agent)] if self.agent else [*agents.AGENTS.values()]
        if self.sort and self.section != "runs":
            raise InputError("--sort needs the section: gridcade list runs --sort KEY")
        sections: dict[str, Callable[[bool], None]] = {
            "envs": _envs().print,
            "agents": _agents().print,
            "presets": _presets(kinds).print,
            "runs": lambda _: print_runs(read_runs(), self.sort or "date"),
        }
        if self.section != "all":
            sections[self.section](self.section == "presets" and not self.agent)
            return
        for name, print_section in sections.items():
            out.print(name, style="bold")
            print_section(True)
            print()
        print("Full descriptions: gridcade list envs, list agents, list presets AGENT")


def _envs() -> Section:
    rows = []
    for spec in registry.our_worlds():
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
    rows += [(s.example, "", f"{s.about} (the package {s.package})") for s in SUITES if s.installed]
    rows.append(("my-world.txt", "", "a world that you draw: see docs/worlds.md"))
    rows.append(("my_env.py:MyEnv", "", "an environment of your own: see docs/environments.md"))
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
