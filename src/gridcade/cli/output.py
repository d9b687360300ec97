"""What the command line prints: tables, progress, JSON."""

import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import gymnasium as gym
from rich.console import Console, Group
from rich.live import Live
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import (
    Progress as Bars,
)
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from gridcade import agents
from gridcade.envs import registry
from gridcade.envs.atari import DEFAULT_PROTOCOL, PROTOCOLS
from gridcade.errors import InputError
from gridcade.evaluation.evaluate import Evaluation, finite
from gridcade.evaluation.intervals import Estimate
from gridcade.exact.solver import Solution
from gridcade.formatting import number, short
from gridcade.study.comparison import Comparison
from gridcade.training import trainer
from gridcade.training.config import read_toml
from gridcade.training.run_folder import Run

if TYPE_CHECKING:
    from gridcade.study.runner import TaskStatus

ROOMY = 100  # columns, in which there is room for more
REFRESH = 0.1  # seconds between two looks at a progress bar
PLAIN_SHARE, PLAIN_SECONDS = 0.1, 30.0  # of the budget, or of time, between two plain lines

# Names of runs and worlds may have brackets and colons in them, which are no markup.
out = Console(highlight=False, markup=False, emoji=False)
err = Console(highlight=False, markup=False, emoji=False, stderr=True)


class TrainingDisplay:
    """Progress of a training: a bar on a terminal, elsewhere a plain line an epoch."""

    def __init__(self) -> None:
        self._bars = Bars(
            BarColumn(bar_width=None),
            TaskProgressColumn(),
            TextColumn("{task.fields[count]}", markup=False),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[latest]}", markup=False),
            console=err,
            expand=True,
            transient=True,
            disable=not err.is_terminal,
        )
        self._task = self._bars.add_task("", total=1.0, count="", latest="")
        self._latest: dict[str, Any] = {}  # metrics
        self._shown = 0.0  # clock
        self._printed = 0.0  # share of the budget
        self._began: tuple[float, int] | None = None  # clock and steps of this session

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bars.stop()

    def report(self, progress: trainer.Progress) -> None:
        """Show how far it is."""
        now = time.monotonic()
        if self._began is None:
            self._began = now, progress.steps
        if progress.metrics is not None:
            self._latest = progress.metrics
        share = trainer.budget_share(
            progress.total_steps, progress.minutes, progress.steps, progress.seconds
        )
        if not err.is_terminal:
            due = share >= self._printed + PLAIN_SHARE or now - self._shown > PLAIN_SECONDS
            if progress.metrics is not None and due:
                self._shown, self._printed = now, share
                latest = _headline(self._latest)
                print(f"{progress.steps:>11,} steps  {latest}", flush=True)
            return
        if now - self._shown < REFRESH:
            return
        self._shown = now
        rate = (progress.steps - self._began[1]) / max(now - self._began[0], 1e-9)
        count = f"{short(progress.steps)} steps  {short(rate)}/s"
        latest = _worth(self._latest, err)
        self._bars.update(self._task, completed=share, count=count, latest=latest)


class StudyDisplay:
    """Progress of a study: its running tasks on a terminal, elsewhere a line for each that ends.

    Args:
        stopping: whether it was told to stop.
    """

    def __init__(self, stopping: Callable[[], bool]) -> None:
        self._stopping = stopping
        self._live = Live(console=err, transient=True, auto_refresh=False)
        self._began: tuple[float, float] | None = None  # clock and tasks' worth of work done
        self._told: set[str] = set()  # tasks that have ended, by name

    def __enter__(self) -> Self:
        if err.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._live.stop()

    def report(self, statuses: Sequence["TaskStatus"]) -> None:
        """Show where the tasks stand."""
        if err.is_terminal:
            self._live.update(self._table(statuses), refresh=True)
        else:
            self._print(statuses)

    def _print(self, statuses: Sequence["TaskStatus"]) -> None:
        ended = [one for one in statuses if one.phase in ("done", "failed")]
        new = [one for one in ended if one.name not in self._told]
        before, self._told = len(self._told), self._told | {one.name for one in new}
        if self._began is None:
            self._began = time.monotonic(), float(len(ended))
            print(f"{len(ended)} of {len(statuses)} tasks are done", flush=True)
            return
        for count, one in enumerate(new, before + 1):
            words = f"{one.phase}: {one.reason}" if one.reason else one.phase
            print(f"{count:>5} of {len(statuses)}  {one.name}  {words}", flush=True)

    def _table(self, statuses: Sequence["TaskStatus"]) -> Group:
        """The running tasks, as many as there is room for, and a line on all."""
        running = [one for one in statuses if one.phase in ("training", "evaluating")]
        table = Table.grid(padding=(0, 2))
        for one in running[: max(err.height - 3, 1)]:
            steps = f"{short(one.steps)} steps" if one.steps else ""
            score = "" if one.score is None else f"latest {number(one.score)}"
            bar = ProgressBar(total=1.0, completed=one.share, width=20)
            table.add_row(Text(one.name), bar, one.phase, steps, score)
        counts = Counter(one.phase for one in statuses)
        words = [f"{counts[phase]} {phase}" for phase in ("done", "waiting", "failed")]
        words = [f"{len(running)} running", *words]
        if self._stopping():
            words = ["stopping at checkpoints; Ctrl-C once more ends it at once"]
        elif left := self._left(statuses):
            words.append(f"{left} of training left")
        return Group(table, Text("  ".join(words), style="bold"))

    def _left(self, statuses: Sequence["TaskStatus"]) -> str:
        """How long training will take, as it has gone so far in this session; nothing at first."""
        statuses = [one for one in statuses if one.learns]
        work = sum(one.share if one.phase != "failed" else 1.0 for one in statuses)
        now = time.monotonic()
        if self._began is None:
            self._began = now, work
        seconds, done = now - self._began[0], work - self._began[1]
        to_do = len(statuses) - work
        if done <= 0 or to_do <= 0:
            return ""
        return str(timedelta(seconds=round(seconds * to_do / done)))


def _headline(metrics: dict[str, Any]) -> str:
    """What an epoch came to: in training, and when it was evaluated."""
    trained, worth = metrics.get("training_return_mean"), _worth(metrics)
    words = [] if trained is None else [f"training return {number(trained)}"]
    return "  ".join(words + ([f"evaluated: {worth}" if words else worth] if worth else []))


def _worth(metrics: dict[str, Any], place: Console | None = None) -> str:
    """What the policy was evaluated at; in a narrow place the first of its two numbers."""
    names = {"return": "return_mean", "average reward": "average_reward_mean"}
    found = {name: metrics.get(key) for name, key in names.items()}
    words = [f"{name} {number(v)}" for name, v in found.items() if v is not None]
    return "  ".join(words[:1] if place is not None and place.width < ROOMY else words)


@contextmanager
def counting(what: str) -> Iterator[Callable[[int, int], None] | None]:
    """A progress bar on stderr, where that is a terminal; yields what takes done, of how many."""
    if not err.is_terminal:
        yield None
        return
    columns = (
        TextColumn(what),
        BarColumn(bar_width=28),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=err, transient=True) as bars:
        task = bars.add_task("", total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)


def show_run(run: Run) -> bool:
    """Say where a run stands and what comes next; returns whether its budget is used up."""
    steps = run.last_checkpoint()
    metrics = run.metrics()
    seconds = run.load_checkpoint(steps)[2]["seconds"]
    config = run.settings
    if not trainer.used_up(config, steps, seconds):
        print(f"stopped after {steps:,} steps, in a checkpoint")
        print(f"go on with:  gridcade resume {run.path}")
        return False
    rate = f" ({steps / seconds:,.0f} a second)" if seconds > 0 else ""
    print(f"{config.agent} on {config.env}: {steps:,} steps in {seconds:.1f} s{rate}")
    if metrics:
        print(f"last epoch: {_headline(metrics[-1])}")
    print(f"run folder: {run.path}")
    print(f"measure it: gridcade evaluate {run.path}")
    print(f"watch it:   gridcade watch {run.path}")
    return True


def show_comparison(comparison: Comparison) -> None:
    """Print what every contender is worth on every environment, what follows, and what failed."""
    from gridcade.report import tables
    from gridcade.report.analysis import analyze, num_tests
    from gridcade.report.verdicts import environment_sentences, score_sentence

    study, analyses = comparison.study, analyze(comparison)
    for analysis in analyses:
        scores = tables.score_table(analysis, study.confidence)
        heading = Text.assemble((analysis.env, "bold"), f": {analysis.names.title}")
        out.print(heading, soft_wrap=not out.is_terminal)
        columns = scores.head[:4]  # without the gap to the optimum, to fit into a terminal
        table = _numbers(*columns)
        for row in scores.rows:
            table.add_row(*map(Text, row.cells[: len(columns)]))
        out.print(table)
        out.print()
        verdicts = environment_sentences(analysis, study.confidence, num_tests(analyses))
        sentences = (sentence for sentence, _ in verdicts)
        for sentence in (score_sentence(analysis, study.episodes), *sentences):
            out.print(sentence, soft_wrap=not out.is_terminal)
        out.print()
    for failure in comparison.failures:
        seed = "" if failure.seed is None else f" seed {failure.seed}"
        where = f"{failure.env} {failure.contender}{seed}"
        print(f"gridcade: {where} failed: {failure.reason}", file=sys.stderr)


def show_evaluation(result: Evaluation, as_json: bool = False) -> None:
    """Print an evaluation: a table, or one JSON object."""
    if as_json:
        print(json.dumps(result.as_dict()))
        return
    episodes = "" if result.episodes is None else f"{result.episodes:,} episodes, "
    heading = (
        (result.policy, "bold"),
        " on ",
        (result.env, "bold"),
        f": {episodes}{result.steps:,} steps, seed {result.seed}",
        f", epsilon {result.epsilon:g}" if result.epsilon else "",
        ", by its probabilities" if result.stochastic else "",
    )
    out.print(Text.assemble(*heading), soft_wrap=not out.is_terminal)
    exact = result.exact
    rows: dict[str, tuple[Estimate | None, float | None]] = {
        "average reward": (result.average_reward, exact.average_reward if exact else None),
        "return": (result.expected_return, exact.expected_return if exact else None),
        f"discounted by {result.discount:g}": (result.discounted_return, None),
        "episode length": (result.episode_length, None),
    }
    table = _numbers("expected", "estimate", f"{100 * result.confidence:g} % interval", "exact")
    for name, (estimate, value) in rows.items():
        if estimate is not None:
            interval = f"{number(estimate.low)} to {number(estimate.high)}"
            table.add_row(name, number(estimate.mean), interval, number(value))
    out.print(table)
    if exact is not None:
        out.print()
        table = _numbers("exact, without limit", "this policy", "optimum", "gap")
        for name, values in (
            (
                "average reward",
                (
                    exact.unlimited_average_reward,
                    exact.optimal_average_reward,
                    exact.gap_average_reward,
                ),
            ),
            ("return", (exact.unlimited_return, exact.optimal_return, exact.gap_return)),
        ):
            if values[0] is not None:
                table.add_row(name, *map(number, values))
        out.print(table)
    if result.truncated:
        out.print(f"{100 * result.truncated:.3g} % of the episodes were cut by the time limit")
    for note in result.notes:
        out.print(f"note: {note}", soft_wrap=not out.is_terminal)


def _numbers(first: str, *columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    table.add_column(first, min_width=20)
    for column in columns:
        table.add_column(column, justify="right", min_width=10)
    return table


def show_solution(
    name: str, env: gym.Env[Any, Any], solution: Solution, as_json: bool = False
) -> None:
    """Print an optimal policy and its worth."""
    if as_json:
        plain = {
            "env": name,
            "criterion": solution.criterion,
            "discount": solution.discount,
            "value": finite(solution.value),
            "values": [finite(value) for value in solution.values.tolist()],
            "policy": solution.policy.tolist(),
            "average_reward": finite(solution.average_reward),
        }
        print(json.dumps(plain))
        return
    from gridcade.envs.rendering import Overlay
    from gridcade.envs.tabular import TabularEnv
    from gridcade.watch.text_pictures import arrow_panel, color_depth

    words = {
        "return": "expected return",
        "discounted": f"expected return discounted by {solution.discount}",
        "average-reward": "expected average reward (gain)",
    }[solution.criterion]
    heading = ((name, "bold"), f": the optimal {words} is ", (number(solution.value), "bold"))
    out.print(Text.assemble(*heading), soft_wrap=not out.is_terminal)
    if solution.criterion != "average-reward":
        out.print(
            f"expected average reward (gain) of that policy: {number(solution.average_reward)}"
        )
    world = env.unwrapped
    if isinstance(world, TabularEnv):
        values = solution.values
        if solution.bias is not None:
            values = solution.bias
            print("relative values: how much more a state is worth than the first that recurs")
        width, height = world.world.width, world.world.height
        columns = out.width if out.is_terminal else max(100, 2 * width)
        rows = max(out.height - 4 if out.is_terminal else 60, 20, height)  # what is long scrolls
        if (hidden := width - columns // 2) > 0:
            print(f"{hidden} of {width} columns do not fit into this terminal")
        overlay = Overlay(values, solution.policy)
        lines = arrow_panel(world, overlay, None, columns, rows, color_depth(sys.stdout))
        print("\n".join(lines))
    elif len(solution.values) <= 64:
        for state, (value, row) in enumerate(zip(solution.values, solution.policy, strict=True)):
            print(f"state {state:>3}  value {number(float(value)):>10}  action {int(row.argmax())}")


def show_list(what: str) -> None:
    """Print what there is."""
    sections = {"envs": _envs, "agents": _agents, "presets": _presets, "runs": _runs}
    chosen = sections if what == "all" else {what: sections[what]}
    for i, (name, table) in enumerate(chosen.items()):
        if what == "all":
            out.print(("\n" if i else "") + name, style="bold")
        made = table()
        if made.row_count:
            out.print(made)
        else:
            out.print("none yet", style="dim")


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _envs() -> Table:
    table = _table("name", "states", "")
    for spec in gym.registry.values():
        if spec.namespace == "gridcade" and spec.name != "GridWorld":  # that takes a map
            env = registry.make(spec.id)
            world: Any = env.unwrapped
            table.add_row(spec.name, str(world.model.num_states), world.world.about)
            env.close()
    table.add_row("FrozenLake-v1 …", "", "any other Gymnasium id")
    table.add_row("Breakout, Pong …", "", "Atari games by their titles, with gridcade[atari]")
    for name, protocol in PROTOCOLS.items():
        default = "; the default" if name == DEFAULT_PROTOCOL else ""
        table.add_row(f"Pong?protocol={name}", "", protocol.about + default)
    table.add_row("Pong?sticky=0.25", "", "sticky actions alone; ?actions=full or minimal likewise")
    table.add_row("my-world.txt", "", "a map that you drew: see envs/maps/ for the form")
    return table


def _agents() -> Table:
    table = _table("name", "default preset", "")
    for kind in agents.AGENTS.values():
        table.add_row(kind.name, kind.default_preset, kind.about)
    for name, folder in agents.trained().items():
        settings = read_toml(folder / "config.toml")
        about = f"comes trained: {settings['agent']} on {settings['env']}"
        table.add_row(name, "", about)
    return table


def _presets() -> Table:
    table = _table("agent", "preset", "steps", "")
    for kind in agents.AGENTS.values():
        for name, file in kind.presets().items():
            comment = [
                line.lstrip("# ") for line in file.read_text().splitlines() if line.startswith("#")
            ]
            steps = read_toml(file).get("steps")
            table.add_row(kind.name, name, f"{steps:,}" if steps else "", " ".join(comment))
    return table


def _runs() -> Table:
    table = _table("run", "agent", "env", "steps", "latest")
    table.columns[0].no_wrap = True  # to be copied
    for config in sorted(Path("runs").glob("*/config.toml")):
        try:
            run = Run(config.parent)
            steps = run.last_checkpoint()
        except InputError:
            continue  # not ours, or not whole
        metrics = run.metrics()
        latest = _worth(metrics[-1], out) if metrics else ""
        words = (run.settings.agent, run.settings.env, f"{steps:,}", latest)
        table.add_row(str(run.path), *words)
    return table
