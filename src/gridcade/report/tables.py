"""The tables of a report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gridcade.agents import SB3
from gridcade.formatting import number
from gridcade.report import words
from gridcade.report.atari_scores import published
from gridcade.report.findings import NAMES, Findings
from gridcade.study.comparison import Failure, Outcome

# What else a run's config tells is the same for all contenders, or the run's own.
SHOWN = (
    "preset",
    "envs",
    "epoch",
    "evaluation_every",
    "evaluation_episodes",
    "init_from",
    "hyperparameters",
)
SAME = {  # stable-baselines3's names for what our agents call otherwise and count the same way
    "buffer_size": "replay_capacity",
    "exploration_final_eps": "epsilon.final",
    "gamma": "discount",
    "learning_starts": "learn_start",
    "n_epochs": "epochs",
    "policy_kwargs.net_arch": "hidden",
    "target_update_interval": "target_every",
}
STEPS = {"sb3-dqn": "n_step"}  # n_steps, of returns; of all others they are a rollout's
YEAR_2013 = {
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
class Row:
    """A row of a table: its first cell is its heading."""

    cells: tuple[str, ...]
    mark: str = ""  # a class of page.css


@dataclass(frozen=True)
class Table:
    """A table, as the page shows it."""

    caption: str
    head: tuple[str, ...]
    rows: tuple[Row, ...]
    contenders: bool = False  # its rows are headed by contenders
    words: bool = False  # its cells hold words, not numbers


def scores(found: Findings, confidence: float) -> Table:
    """Means and intervals, and how far they are from the optimum where it is known."""
    head: tuple[str, ...] = ("contender", "seeds", "mean", f"{words.percent(confidence)} interval")
    rows: list[tuple[str, ...]] = [
        (
            s.contender,
            words.seeds(s),
            number(s.estimate.mean),
            words.interval(s.estimate),
        )
        for s in found.scores
    ]
    if found.optimum is not None:
        head = (*head, "below the optimum")
        rows = [
            (*row, words.gap(found.optimum, s.estimate.mean))
            for row, s in zip(rows, found.scores, strict=True)
        ]
    caption = found.names.words.capitalize()
    return Table(caption, head, tuple(map(Row, rows)), contenders=True)


def runs(found: Findings) -> Table:
    """Every run: what its evaluation came to, and what it is worth exactly where that is known."""
    head: tuple[str, ...] = ("contender", "seed", "expected return", "average reward")
    rows = []
    for s in found.scores:
        for outcome, value in zip(s.outcomes, s.values, strict=True):
            seed = "-" if outcome.seed is None else str(outcome.seed)
            measured = [outcome.evaluation[n.score] for n in NAMES.values()]
            means = [number(m and m["mean"]) for m in measured]
            rows.append((s.contender, seed, *means, *([number(value)] if found.exact else [])))
    if found.exact:
        head = (*head, f"exact {found.names.words.removeprefix('expected ')}")
    return Table("As evaluated", head, tuple(map(Row, rows)), contenders=True)


def published_scores(found: Sequence[Findings]) -> list[Table]:
    """Scores of 2015, and of 2013, beside ours, where one of their games was played."""
    played = [
        (f, f.published) for f in found if f.published is not None and f.criterion == "return"
    ]
    ours = list(dict.fromkeys(s.contender for f, _ in played for s in f.scores))
    made = []
    if played:
        rows = [
            (
                f.env,
                _printed(game.nature2015.random),
                _printed(game.nature2015.human),
                f"{_printed(game.nature2015.dqn)} ± {_printed(game.nature2015.dqn_deviation)}",
                *(_mean(f, contender) for contender in ours),
            )
            for f, game in played
        ]
        caption = "Mnih et al. (2015), DQN after 200 million frames; ± is the deviation of games"
        head = ("environment", "random 2015", "human 2015", "DQN 2015", *ours)
        made.append(Table(caption, head, tuple(map(Row, rows))))
    rounds: list[dict[str, Findings]] = []  # a game may be played in several environments
    for f, game in played:
        if game.mnih2013 is not None:
            free = next((one for one in rounds if game.name not in one), None)
            if free is None:
                rounds.append(free := {})
            free[game.name] = f
    if rounds:
        seven = [(g.name, g.mnih2013) for g in published().values() if g.mnih2013 is not None]
        theirs = [
            Row((label, *(_printed(getattr(scores, key)) for _, scores in seven)))
            for key, label in YEAR_2013.items()
        ]
        new = [
            Row(
                (_where(contender, one, rounds), *(_mean(one.get(n), contender) for n, _ in seven)),
                "ours",
            )
            for contender in ours
            for one in rounds
        ]
        caption = (
            "Mnih et al. (2013), average total reward; HNeat and DQN best are single episodes; "
            "this study in bold"
        )
        head = ("agent", *(name for name, _ in seven))
        made.append(Table(caption, head, (*theirs, *new)))
    return made


def _where(contender: str, one: Mapping[str, Findings], rounds: Sequence[object]) -> str:
    """A contender, and its environments where they do not all fit into one row."""
    environments = words.listing([f.env for f in one.values()])
    return contender if len(rounds) == 1 else f"{contender} on {environments}"


def _mean(found: Findings | None, contender: str) -> str:
    """What a contender came to on an environment; a dash where it has not played."""
    means = {s.contender: s.estimate.mean for s in found.scores} if found else {}
    return number(means.get(contender))


def _printed(score: float) -> str:
    """A score as it was published."""
    return f"{score:,g}"


def hyperparameters(found: Sequence[Findings]) -> list[Table]:
    """Hyperparameters side by side: a table for all environments on which they are the same.

    Those of stable-baselines3 stand under our name, if there is one that means the same.
    """
    tables: dict[tuple[Any, ...], list[str]] = {}
    for f in found:
        configs = {s.contender: _ours(s.outcomes[0].config) for s in f.scores if s.learns}
        keys = list(dict.fromkeys(key for config in configs.values() for key in config))
        rows = []
        for key in keys:
            had = [config[key] for config in configs.values() if key in config]
            differs = any(value != had[0] for value in had)
            cells = [_value(config[key]) if key in config else "-" for config in configs.values()]
            rows.append(Row((key, *cells), "differs" if differs else ""))
        if rows:
            tables.setdefault((("", *configs), tuple(rows)), []).append(f.env)
    everywhere = len(tables) == 1
    return [
        Table("On every environment" if everywhere else f"On {words.listing(envs)}", head, rows)
        for (head, rows), envs in tables.items()
    ]


def _ours(config: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by name, with dots; stable-baselines3's under our names."""
    flat, agent = _flat(config), str(config.get("agent", ""))
    if not agent.startswith(SB3):
        return flat
    names = SAME | {"n_steps": STEPS.get(agent, "rollout")}
    return {names.get(key, key): value for key, value in flat.items()}


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings under names with dots."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if not prefix and key not in SHOWN:
            continue
        name = f"{prefix}.{key}" if prefix not in ("", "hyperparameters") else key
        if isinstance(value, Mapping):
            flat |= _flat(value, name)
        elif value not in (None, ""):
            flat[name] = value
    return flat


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, list | tuple):
        return ", ".join(map(_value, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def failures(found: Sequence[Failure]) -> Table | None:
    """Which tasks failed, and why; None if none did."""
    rows = [
        Row((f.contender, f.env, "-" if f.seed is None else str(f.seed), f.reason)) for f in found
    ]
    caption = "Tasks that failed as often as they were tried, and are missing above"
    head = ("contender", "environment", "seed", "last error")
    return Table(caption, head, tuple(rows), contenders=True, words=True) if rows else None


def provenance(
    outcomes: Sequence[Outcome], studies: Sequence[Mapping[str, Any]] = ()
) -> Table | None:
    """What the runs ran with: several values where sessions, of runs or of the study, differ."""
    sessions = [session for outcome in outcomes for session in outcome.sessions]
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
    rows["side by side"] = [words.side_by_side(study) for study in studies]
    rows["dates"] = [words.dates(outcomes)]
    seconds = sum(o.metrics[-1]["seconds"] for o in outcomes if o.metrics)
    rows["training"] = [f"{words.duration(seconds)} over {words.count(len(sessions), 'session')}"]
    distinct = {key: list(dict.fromkeys(filter(None, values))) for key, values in rows.items()}
    return Table(
        "What the runs were made with",
        ("", "in all runs"),
        tuple(Row((key, ", ".join(values))) for key, values in distinct.items() if values),
        words=True,
    )


def _commit(session: Mapping[str, Any]) -> str:
    commit = session.get("commit")
    return f"{commit[:12]}{' (changed)' if session.get('dirty') else ''}" if commit else ""
