"""Measure the score of an agent on an Atari game against the minutes or steps of its training.

    python benchmarks/record.py [GAME] [--agent NAME] [--preset NAME] [--seeds 1 2 3]
        [--minutes 10 15 20 25 30 | --steps N ...] --out FOLDER

Trains one run for each seed. After each number of minutes (training time only) or of steps (which
do not depend on the machine's speed), the last checkpoint plays 100 games (nature2015, epsilon
0.05). Their seeds are the same for all runs and never occur in training. If the command is
interrupted, the same command continues from there. FOLDER/record.json stores all scores.
"""

import json
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

import gridcade
from gridcade.errors import InputError
from gridcade.evaluation.intervals import Estimate
from gridcade.files import write_text
from gridcade.report.phrases import with_interval
from gridcade.study.seed_statistics import seed_interval
from gridcade.training.provenance import cpu_name
from gridcade.training.run_folder import Run

EPSILON, EVALUATION_SEED, CONFIDENCE = 0.05, 777, 0.95


@dataclass(frozen=True)
class Plan:
    """The options of the measurement."""

    game: Annotated[str, tyro.conf.Positional] = "Breakout"
    """Game, with its arguments, such as Breakout?sticky=0.25."""
    agent: str = "pqn"
    """Name of the agent."""
    preset: str = "two-core-pqn"
    """Preset of the agent."""
    seeds: tuple[int, ...] = (1, 2, 3)
    """Seeds of the runs."""
    minutes: tuple[float, ...] = (10, 15, 20, 25, 30)
    """Minutes of training after which each run is evaluated."""
    steps: tuple[int, ...] = ()
    """Steps of training after which each run is evaluated, instead of minutes."""
    games: int = 100
    """Games per evaluation."""
    out: Path = field(kw_only=True)
    """Folder for the runs and record.json."""

    @property
    def unit(self) -> Literal["minutes", "steps"]:
        """The unit of `budgets`."""
        return "steps" if self.steps else "minutes"

    @property
    def budgets(self) -> list[float]:
        """The amounts of training after which runs are evaluated, in `unit`, in ascending order."""
        return sorted(self.steps or self.minutes)

    @property
    def fixed(self) -> dict[str, str | int]:
        """The options that must be the same for all scores in a folder."""
        return {
            "game": self.game,
            "agent": self.agent,
            "preset": self.preset,
            "games": self.games,
            "unit": self.unit,
        }


@dataclass(frozen=True)
class Score:
    """The score of one seed after some training; its interval is over games."""

    seed: int
    budget: float  # of training, in the plan's unit
    steps: int
    seconds: float  # of training
    score: float
    low: float
    high: float
    cpu: str

    @property
    def estimate(self) -> Estimate:
        """The score with its interval."""
        return Estimate(self.score, self.low, self.high, "t")


def main(plan: Plan) -> None:
    """Train and evaluate all runs that are missing in the record, then print the table.

    Raises:
        InputError: the folder has scores with other options, or a run has been trained for longer.
    """
    file = plan.out / "record.json"
    record: Any = (
        json.loads(file.read_text()) if file.exists() else {"plan": plan.fixed, "scores": []}
    )
    if record["plan"] != plan.fixed:
        raise InputError(
            f"'{file}' has scores with other options: {record['plan']}; choose another --out"
        )
    scores = [Score(**row) for row in record["scores"]]
    for budget in plan.budgets:
        for seed in plan.seeds:
            measured = [score.budget for score in scores if score.seed == seed]
            if budget in measured:
                continue
            if measured and budget < max(measured):
                trained = f"{max(measured):,.10g} {plan.unit}"
                raise InputError(
                    f"seed {seed} has been trained for {trained}, so it cannot be evaluated at "
                    f"{budget:,.10g} {plan.unit}; choose another --out"
                )
            scores.append(measure(plan, seed, budget))
            record["scores"] = [asdict(score) for score in scores]
            write_text(file, json.dumps(record, indent=2) + "\n")
            print(scores[-1], flush=True)
    print_table(plan, scores)


def measure(plan: Plan, seed: int, budget: float) -> Score:
    """Train one seed up to a budget, and evaluate its last checkpoint."""
    folder = plan.out / f"seed-{seed}"
    limits: Any = {plan.unit: budget}
    if (folder / "config.toml").exists():
        run = gridcade.resume(folder, **limits)
    else:
        never = 1_000_000  # epochs; evaluations during training would only cost time
        run = gridcade.train(
            plan.agent,
            plan.game,
            preset=plan.preset,
            seed=seed,
            evaluation_every=never,
            out=folder,
            **limits,
        )
    steps = max(run.checkpoints())
    result = gridcade.evaluate(
        Run(folder), episodes=plan.games, seed=EVALUATION_SEED, epsilon=EPSILON
    ).expected_return
    assert result is not None  # because games end
    seconds = run.load_loop_state(steps)["seconds"]
    return Score(seed, budget, steps, seconds, result.mean, result.low, result.high, cpu_name())


def print_table(plan: Plan, scores: list[Score]) -> None:
    """Print one row for each budget of training, with the interval over seeds, in Markdown."""
    cpus = ", ".join(sorted({s.cpu for s in scores}))
    print(f"\n{plan.agent} on {plan.game}, preset {plan.preset}, {cpus}\n")
    header = [plan.unit, *(f"seed {seed}" for seed in plan.seeds), "mean"]
    header += ["steps"] if plan.unit == "minutes" else []
    print("| " + " | ".join(header) + " |")
    print("|---" * len(header) + "|")
    for budget in plan.budgets:
        row = {s.seed: s for s in scores if s.budget == budget}
        several = [row[seed] for seed in plan.seeds]
        mean = seed_interval([s.score for s in several], CONFIDENCE)
        cells = [f"{budget:,.10g}", *(with_interval(s.estimate) for s in several)]
        cells.append(with_interval(mean))
        if plan.unit == "minutes":
            cells.append(", ".join(f"{s.steps:,}" for s in several))
        print("| " + " | ".join(cells) + " |")


if __name__ == "__main__":
    try:
        main(tyro.cli(Plan))
    except InputError as error:
        sys.exit(f"record.py: {error}")
