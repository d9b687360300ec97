"""Make a page for each world that ships with Gridcade, with its drawing and exact values."""

import inspect
from pathlib import Path
from typing import get_args

from gridcade import envs
from gridcade.api import solve
from gridcade.envs import registry
from gridcade.envs.rendering import Overlay
from gridcade.envs.tabular import Model, TabularEnv
from gridcade.errors import InputError
from gridcade.exact import solver
from gridcade.exact.solver import Criterion
from gridcade.formatting import format_number
from gridcade.viewing.drawn import world_legend, world_picture

MAPS = Path(envs.__file__).parent / "maps"
DISCOUNT = 0.99
CRITERIA = {
    "return": "return",
    "discounted": f"return discounted by {DISCOUNT:g}",
    "average-reward": "average reward per step",
}


def world_pages() -> dict[str, str]:
    """Return the pages in Markdown, by name; the page `index` lists the others."""
    specs = registry.our_worlds()
    pages = {spec.name: world_page(spec.name) for spec in specs}
    rows = [f"| [{spec.name}]({spec.name}.md) | {_about(spec.name)} |" for spec in specs]
    names = "\n".join(pages)
    pages["index"] = (
        "# Worlds\n\nEach world ships with its exact model, so every page gives the largest value "
        "that any policy can have.\n[Draw your own world](../../worlds.md) shows how to make one."
        "\n\n| world | about |\n| --- | --- |\n"
        + "\n".join(rows)
        + f"\n\n```{{toctree}}\n:hidden:\n\n{names}\n```\n"
    )
    return pages


def _about(name: str) -> str:
    """Return the description of a world, in one paragraph."""
    env = registry.make(name).unwrapped
    if isinstance(env, TabularEnv) and env.world.about:
        return env.world.about
    return " ".join((type(env).__doc__ or "").split("\n\n")[0].split())


def world_page(name: str) -> str:
    """Return the page of a world, in Markdown."""
    env = registry.make(name)
    world, model = env.unwrapped, registry.known_model(env)
    limit = registry.time_limit(env)
    parts = [f"# {name}", _about(name)]
    if isinstance(world, TabularEnv):
        nothing = Overlay()
        parts.append(
            _html(
                world_picture(world, nothing, f"The world {name}"),
                world_legend(world, nothing),
            )
        )
    if model is not None:
        task = "a continuing task" if model.continuing else "episodes end"
        parts.append(
            f"{model.num_states:,} states, {model.num_actions} actions; {task}"
            + (f"; at most {limit:,} steps." if limit else ".")
        )
        parts.append(_answers(name, model, limited=limit is not None))
    parts.append(f"```shell\ngridcade solve {name} --watch\ngridcade train q-learning {name}\n```")
    if (drawing := MAPS / f"{name}.txt").is_file():
        text = drawing.read_text(encoding="utf-8").rstrip()
        parts += [
            "## As text",
            "[Draw your own world](../../worlds.md) describes the format.",
            f"````text\n{text}\n````",
        ]
    else:
        parts += ["## Docstring", f"```text\n{inspect.cleandoc(type(world).__doc__ or '')}\n```"]
    env.close()
    return "\n\n".join(parts) + "\n"


def _answers(name: str, model: Model, limited: bool) -> str:
    """Return a table of the optimum and the random policy's value, and pictures of the optimum.

    The values are those of the model, which has no time limit. If the world is `limited` by one,
    the heading says so.
    """
    rows, drawings = [], []
    criteria: tuple[Criterion, ...] = get_args(Criterion)
    try:
        random = solver.policy_value(model, model.uniform, DISCOUNT)
    except InputError:
        random = None
    for criterion in criteria:
        try:
            solution = solve(name, criterion, DISCOUNT if criterion == "discounted" else None)
        except InputError as error:
            rows.append(f"| {CRITERIA[criterion]} | {error} | |")
            continue
        random_value = "" if random is None else format_number(random.by(criterion))
        row = (CRITERIA[criterion], format_number(solution.value), random_value)
        rows.append(f"| {' | '.join(row)} |")
        if (pictures := solution.pictures()) and solver.tells_states_apart(model, solution):
            drawings += [f"### By the {CRITERIA[criterion]}", _html(*pictures)]
    title = "Exact answers, without the time limit" if limited else "Exact answers"
    head = f"## {title}\n\n| expected | optimum | random policy |\n| --- | ---: | ---: |\n"
    drawn = (
        [
            "The pictures show the optimal policies over the values of the states. A criterion "
            "that gives all states the same value has no picture.",
            *drawings,
        ]
        if drawings
        else []
    )
    return "\n\n".join([head + "\n".join(rows), *drawn])


def _html(*pieces: str) -> str:
    return "```{raw} html\n" + "\n".join(pieces) + "\n```"
