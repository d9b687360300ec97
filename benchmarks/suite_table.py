"""Print the table of a study of MiniGrid or MinAtar in Markdown, from the study's folder.

$ python benchmarks/suite_table.py studies/minigrid
"""

import json
import sys
from pathlib import Path
from statistics import median
from typing import Any

from gridcade.files import slug
from gridcade.formatting import format_number
from gridcade.report.phrases import interval
from gridcade.study.seed_statistics import seed_interval
from gridcade.study.study import read_study

TARGET = 0.9  # share of the best possible return


def main() -> None:
    """Print one row for each environment and contender."""
    folder = Path(sys.argv[1])
    study = read_study(folder / "study.toml")
    print("| | policy | expected return | best possible | share | seeds at 0.9 | minutes per run |")
    print("|---|---|---|---|---|---|---|")
    for env in study.environments:
        for contender in study.contenders:
            runs = sorted((folder / "tasks" / slug(env) / slug(contender.label)).glob("*/"))
            results = [load(run / "result.json")["evaluation"] for run in runs]
            seconds = [load(run / "state.json")["seconds"] for run in runs]
            print("|", " | ".join([env, contender.label, *cells(results, seconds)]), "|")


def load(file: Path) -> Any:
    """Read a JSON file."""
    return json.loads(file.read_text(encoding="utf-8"))


def cells(evaluations: list[dict[str, Any]], seconds: list[float]) -> list[str]:
    """Return the cells of a row from the evaluations and training seconds of all seeds."""
    returns = [evaluation["expected_return"]["mean"] for evaluation in evaluations]
    best = evaluations[0]["best_return"]
    possible = -float("inf"), best or float("inf")
    text = format_number(sum(returns) / len(returns))
    if len(returns) > 1:
        text += f" ({interval(seed_interval(returns, 0.95, possible))})"
    minutes = f"{median(seconds) / 60:.1f}" if any(seconds) else ""
    if best is None:
        return [text, "", "", "", minutes]
    shares = [value / best for value in returns]
    reached = f"{sum(share >= TARGET for share in shares)} of {len(shares)}"
    return [text, format_number(best), f"{sum(shares) / len(shares):.3f}", reached, minutes]


if __name__ == "__main__":
    main()
