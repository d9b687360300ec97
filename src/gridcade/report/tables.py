"""The tables of a report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gridcade.agents import SB3
from gridcade.formatting import format_number
from gridcade.report.analysis import CRITERION_NAMES, EnvironmentAnalysis
from gridcade.report.atari_scores import AtariScores, published_scores
from gridcade.report.learning import LearningSpeed
from gridcade.report.phrases import (
    concurrency,
    count,
    dates,
    duration,
    gap,
    interval,
    listing,
    percent,
    seed_count,
    with_interval,
)
from gridcade.study.comparison import Failure, RunResult
from gridcade.training.side_by_side import flatten, side_by_side

# Other fields of a run's config are the same for all contenders, or differ by design (seed).
SHOWN_SETTINGS = (
    "preset",
    "envs",
    "epoch",
    "evaluation_every",
    "evaluation_episodes",
    "init_from",
)
# stable-baselines3's names -> our names, for hyperparameters with the same meaning and unit.
SB3_NAMES = {
    "buffer_size": "replay_capacity",
    "exploration_final_eps": "epsilon.final",
    "gamma": "discount",
    "learning_starts": "learn_start",
    "n_epochs": "epochs",
    "policy_kwargs.net_arch": "hidden",
    "target_update_interval": "target_every",
}
# SB3's n_steps is the n of n-step returns for DQN, and the length of a rollout for other agents.
SB3_N_STEPS = {"sb3-dqn": "n_step"}
AGENTS_2013 = {
    "random": "Random",
    "sarsa": "Sarsa",
    "contingency": "Contingency",
    "dqn": "DQN",
    "human": "Human",
    "hneat_best": "HNeat best",
    "hneat_pixel": "HNeat pixel",
    "dqn_best": "DQN best",
}


@dataclass(frozen=True)
class ReportRow:
    """A row of a table, whose first cell is its heading."""

    cells: tuple[str, ...]
    css_class: str = ""  # a class in page.css


@dataclass(frozen=True)
class ReportTable:
    """A table of text cells."""

    caption: str
    head: tuple[str, ...]
    rows: tuple[ReportRow, ...]
    contenders: bool = False  # the first cell of a row is a contender
    prose: bool = False  # cells contain text, not numbers


def score_table(analysis: EnvironmentAnalysis, confidence: float) -> ReportTable:
    """Tabulate means and intervals, and the gap to the optimum if it is known."""
    head = ["contender", "seeds", "mean", f"{percent(confidence)} interval"]
    if analysis.optimum is not None:
        head.append("gap to the optimum")
    rows = []
    for s in analysis.scores:
        cells = [s.contender, seed_count(s), format_number(s.estimate.mean), interval(s.estimate)]
        if analysis.optimum is not None:
            cells.append(gap(analysis.optimum, s.estimate.mean))
        rows.append(ReportRow(tuple(cells)))
    return ReportTable(analysis.names.title.capitalize(), tuple(head), tuple(rows), contenders=True)


def speed_table(speeds: Sequence[LearningSpeed], share: float, confidence: float) -> ReportTable:
    """Tabulate how fast contenders learn, with intervals over seeds."""
    has_threshold = speeds[0].threshold is not None
    rows = []
    for speed in speeds:
        cells = [speed.contender]
        if has_threshold:
            reached = f"in {speed.reached} of {speed.runs} runs"
            cells.append(with_interval(speed.steps, "{:,.0f}") if speed.steps else reached)
        rows.append(ReportRow((*cells, with_interval(speed.area) if speed.area else "-")))
    head = ["contender", *([f"steps to {percent(share)}"] if has_threshold else [])]
    caption = f"Learning speed, with {percent(confidence)} intervals"
    return ReportTable(caption, (*head, "mean while learning"), tuple(rows), contenders=True)


def run_table(analysis: EnvironmentAnalysis) -> ReportTable:
    """Tabulate the evaluation of every run, and its exact value if all are known."""
    head = ["contender", "seed", "expected return", "average reward"]
    if analysis.exact:
        head.append(f"exact {analysis.names.title.removeprefix('expected ')}")
    rows = []
    for s in analysis.scores:
        for result, value in zip(s.results, s.values, strict=True):
            seed = "-" if result.seed is None else str(result.seed)
            estimates = [result.evaluation[names.score] for names in CRITERION_NAMES.values()]
            cells = [s.contender, seed, *(format_number(e and e["mean"]) for e in estimates)]
            if analysis.exact:
                cells.append(format_number(value))
            rows.append(ReportRow(tuple(cells)))
    return ReportTable("Final evaluations", tuple(head), tuple(rows), contenders=True)


def published_tables(analyses: Sequence[EnvironmentAnalysis]) -> list[ReportTable]:
    """Tabulate published scores of 2015 and 2013 beside ours, for the games that were played."""
    played = [
        (a, a.published) for a in analyses if a.published is not None and a.criterion == "return"
    ]
    contenders = list(dict.fromkeys(s.contender for a, _ in played for s in a.scores))
    tables = [_table_2015(played, contenders)] if played else []
    # Each group has one environment per game, because a game may be played on several.
    groups: list[dict[str, EnvironmentAnalysis]] = []
    for a, game in played:
        if game.mnih2013 is not None:
            group = next((g for g in groups if game.name not in g), None)
            if group is None:
                groups.append(group := {})
            group[game.name] = a
    return [*tables, _table_2013(groups, contenders)] if groups else tables


def _table_2015(
    played: Sequence[tuple[EnvironmentAnalysis, AtariScores]], contenders: Sequence[str]
) -> ReportTable:
    rows = [
        ReportRow(
            (
                a.env,
                _published(game.nature2015.random),
                _published(game.nature2015.human),
                f"{_published(game.nature2015.dqn)} ± {_published(game.nature2015.dqn_deviation)}",
                *(_mean(a, contender) for contender in contenders),
            )
        )
        for a, game in played
    ]
    return ReportTable(
        "Mnih et al. (2015), DQN after 200 million frames; ± is the standard deviation over 30 "
        "episodes",
        ("environment", "random 2015", "human 2015", "DQN 2015", *contenders),
        tuple(rows),
    )


def _table_2013(
    groups: Sequence[Mapping[str, EnvironmentAnalysis]], contenders: Sequence[str]
) -> ReportTable:
    games = [(g.name, g.mnih2013) for g in published_scores().values() if g.mnih2013 is not None]
    rows = [
        ReportRow((label, *(_published(getattr(scores, key)) for _, scores in games)))
        for key, label in AGENTS_2013.items()
    ]
    for contender in contenders:
        for group in groups:
            heading = contender
            if len(groups) > 1:
                heading += f" on {listing([a.env for a in group.values()])}"
            means = (_mean(group.get(name), contender) for name, _ in games)
            rows.append(ReportRow((heading, *means), "ours"))
    return ReportTable(
        "Mnih et al. (2013), average total reward; the rows of HNeat and DQN best are single "
        "episodes; this study in bold",
        ("agent", *(name for name, _ in games)),
        tuple(rows),
    )


def _mean(analysis: EnvironmentAnalysis | None, contender: str) -> str:
    """Format a contender's mean on an environment; a dash if it has none."""
    means = {s.contender: s.estimate.mean for s in analysis.scores} if analysis else {}
    return format_number(means.get(contender))


def _published(score: float) -> str:
    """Format a score as it was published."""
    return f"{score:,g}"


def hyperparameter_tables(analyses: Sequence[EnvironmentAnalysis]) -> list[ReportTable]:
    """Tabulate hyperparameters; environments with the same ones share a table.

    Hyperparameters of stable-baselines3 have our name if one of ours has the same meaning.
    """
    tables: dict[tuple[tuple[str, ...], tuple[ReportRow, ...]], list[str]] = {}
    for a in analyses:
        configs = {s.contender: _settings(s.results[0].config) for s in a.scores if s.learns}
        rows = [
            ReportRow((row.name, *row.cells), "differs" if row.differs else "")
            for row in side_by_side([*configs.values()])
        ]
        if rows:
            tables.setdefault((("", *configs), tuple(rows)), []).append(a.env)
    everywhere = len(tables) == 1
    return [
        ReportTable("On every environment" if everywhere else f"On {listing(envs)}", head, rows)
        for (head, rows), envs in tables.items()
    ]


def _settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the shown settings that are not empty, under our names if they are SB3's."""
    shown = {key: value for key, value in config.items() if key in SHOWN_SETTINGS}
    flat = flatten(shown | config.get("hyperparameters", {}))
    flat = {key: value for key, value in flat.items() if value not in (None, "")}
    if not (agent := str(config.get("agent", ""))).startswith(SB3):
        return flat
    names = SB3_NAMES | {"n_steps": SB3_N_STEPS.get(agent, "rollout")}
    return {names.get(key, key): value for key, value in flat.items()}


def failure_table(failures: Sequence[Failure]) -> ReportTable | None:
    """Tabulate the tasks that failed, and why; None if none failed."""
    rows = [
        ReportRow((f.contender, f.env, "-" if f.seed is None else str(f.seed), f.reason))
        for f in failures
    ]
    caption = "Tasks whose attempts all failed; they have no scores above"
    head = ("contender", "environment", "seed", "last error")
    return ReportTable(caption, head, tuple(rows), contenders=True, prose=True) if rows else None


def provenance_table(
    results: Sequence[RunResult], study_sessions: Sequence[Mapping[str, Any]] = ()
) -> ReportTable | None:
    """Tabulate software and hardware of the runs, with every value if sessions differ."""
    sessions = [session for result in results for session in result.sessions]
    if not sessions:
        return None
    rows = {
        "gridcade": [str(s.get("gridcade", "")) for s in sessions],
        "commit": [_commit(s) for s in sessions],
        "Python": [str(s.get("python", "")) for s in sessions],
        "platform": [str(s.get("platform", "")) for s in sessions],
        "processor": [str(s.get("cpu", "")) for s in sessions],
    }
    for s in sessions:
        for library, version in s.get("libraries", {}).items():
            rows.setdefault(library, []).append(str(version))
    rows["at the same time"] = [concurrency(session) for session in study_sessions]
    rows["dates"] = [dates(results)]
    seconds = sum(r.metrics[-1].get("seconds") or 0.0 for r in results if r.metrics)
    rows["training"] = [f"{duration(seconds)} in {count(len(sessions), 'session')}"]
    distinct = {key: list(dict.fromkeys(filter(None, values))) for key, values in rows.items()}
    return ReportTable(
        "Software and hardware of all runs",
        ("", "values"),
        tuple(ReportRow((key, ", ".join(values))) for key, values in distinct.items() if values),
        prose=True,
    )


def _commit(session: Mapping[str, Any]) -> str:
    commit = session.get("commit")
    return f"{commit[:12]}{' (changed)' if session.get('dirty') else ''}" if commit else ""
