"""What the command line prints: tables, sentences and JSON."""

import json
import sys
from collections.abc import Sequence

from rich.console import Console

from gridcade.agents import SB3
from gridcade.evaluation.result import Evaluation
from gridcade.formatting import shell_command
from gridcade.printing import Part, print_parts, unbroken
from gridcade.shortfall import shortfall
from gridcade.training.run_folder import Run
from gridcade.viewing.drawn import Drawn
from gridcade.viewing.solution import EnvSolution
from gridcade.viewing.text_pictures import color_depth

# Names of runs and environments can contain brackets and colons, which are not markup.
out = Console(highlight=False, markup=False, emoji=False)
err = Console(highlight=False, markup=False, emoji=False, stderr=True)


def show_run(run: Run) -> bool:
    """Print a run's result, and the commands that use it; returns whether its budget is used up."""
    show_parts(run.parts())
    lack = shortfall(run) if run.finished else None
    if lack is not None and lack.longer:
        command = unbroken(f"            {longer_training(run, 10)}")
        show_parts([f"{lack.reason} Train longer:", command])
    elif lack is not None:
        show_parts([lack.reason])
    return run.finished


def longer_training(run: Run, factor: int) -> str:
    """Return the command that trains an agent for a multiple of its budget."""
    settings = run.settings
    longer = ["--minutes", f"{factor * settings.minutes:g}"] if settings.minutes is not None else []
    longer = ["--steps", f"{factor * settings.steps:_}"] if settings.steps is not None else longer
    if settings.agent.startswith(SB3):  # cannot resume
        return shell_command("gridcade", "train", settings.agent, settings.env, *longer)
    return shell_command("gridcade", "resume", run.path, *longer)


def show_evaluation(result: Evaluation, as_json: bool = False) -> None:
    """Print an evaluation: a table, or one JSON object."""
    if as_json:
        print(json.dumps(result.as_dict()))
        return
    show_parts(result.parts())


def show_solution(solution: EnvSolution, as_json: bool = False) -> None:
    """Print an optimal policy and its value: a drawing or a list of states, or one JSON object."""
    if as_json:
        print(json.dumps(solution.as_dict()))
        return
    show_drawn(solution)


def show_drawn(result: Drawn) -> None:
    """Print a result and its drawing over the world, in colors on a terminal."""
    show_parts(result.parts())
    for line in result.drawing(color_depth(sys.stdout)):
        print(line)


def print_note(sentence: str) -> None:
    """Print a sentence for the user on stderr."""
    print(f"gridcade: {sentence}", file=sys.stderr)


def show_parts(parts: Sequence[Part]) -> None:
    """Print lines and tables; lines are wrapped on a terminal, but not in a file."""
    print_parts(out, parts, wrap=out.is_terminal)
