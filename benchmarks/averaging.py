"""Compare averages of the weights over several horizons with the last weights, on CartPole.

    python benchmarks/averaging.py [--agent dqn|pqn] [--over N N ...] [--seeds N] [--json FILE]

An average does not change what the agent learns. So each seed trains once, with the agent's preset
for CartPole, and all averages are computed during this training. In the second half of training,
every policy plays the same 10 episodes at 11 times. A seed relapses if its mean return falls below
475, at which Gymnasium counts the task as solved, after it had reached 475 at an earlier time.
"""

import json
from pathlib import Path
from typing import Annotated, Literal, TypedDict

import numpy as np
import tyro

ENV = "CartPole"
TIMES = 11  # evaluations, from the middle of training to its end
EPISODES = 10  # per evaluation
SOLVED = 475
HORIZONS = {"dqn": (1_000, 3_000, 10_000), "pqn": (300, 1_000, 3_000)}  # updates


class Evaluated(TypedDict):
    """The evaluation of one policy at one time of training."""

    seed: int
    steps: int  # of training
    average_over: int  # updates; 0: the last weights
    mean_return: float


def train(agent: Literal["dqn", "pqn"], seed: int, horizons: list[int]) -> list[Evaluated]:
    """Train one seed with the preset, and evaluate the last weights and all averages."""
    from gridcade import agents
    from gridcade.agents.averaging import WeightAverage
    from gridcade.agents.base import in_memory
    from gridcade.agents.deep import DeepAgent
    from gridcade.envs import registry
    from gridcade.evaluation.evaluate import evaluate_policy
    from gridcade.experience.loop import Experience
    from gridcade.experience.vector import make_vector
    from gridcade.training.config import read_recipe

    env, kind = registry.make(ENV), agents.find(agent)
    recipe = read_recipe(kind, kind.preset_for(env), overlay={"average_over": 0})
    steps, envs = int(recipe.settings["steps"]), int(recipe.settings.get("envs", 1))
    learner = kind.make(env, recipe.hyperparameters, seed)
    assert isinstance(learner, DeepAgent)
    learner.allocate(envs, steps, in_memory)
    averages = {horizon: WeightAverage(learner.backend, horizon) for horizon in horizons}
    count_update = learner.count_update

    def average_too() -> None:
        count_update()
        for average in averages.values():
            average.update(learner.updates)

    learner.count_update = average_too  # type: ignore[method-assign]  # for this agent alone
    experience = Experience(make_vector(ENV, envs), seed)
    taken = experience.steps(learner, learner.overlap_updates)
    results: list[Evaluated] = []
    for time in np.linspace(steps // 2, steps, TIMES):
        while learner.steps < time:
            next(taken)
        for horizon in (0, *horizons):
            learner.average = averages.get(horizon)
            played = evaluate_policy(learner, ENV, episodes=EPISODES, seed=seed)
            mean_return = played.expected_return.mean if played.expected_return else np.nan
            results.append(
                Evaluated(
                    seed=seed, steps=learner.steps, average_over=horizon, mean_return=mean_return
                )
            )
        learner.average = None
    return results


def table(results: list[Evaluated]) -> str:
    """Return a Markdown table with a row for each horizon; 95 % intervals are over seeds."""
    from gridcade.evaluation.intervals import mean_interval

    lines = [
        "| `average_over` | at the end | mean of all times | seeds that relapse "
        "| times below 475 | lowest |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for horizon in dict.fromkeys(result["average_over"] for result in results):
        mine = [result for result in results if result["average_over"] == horizon]
        seeds = sorted({result["seed"] for result in mine})
        returns = np.array([[r["mean_return"] for r in mine if r["seed"] == s] for s in seeds])
        cells = [str(horizon or "last weights")]
        for samples in (returns[:, -1], returns.mean(axis=1)):
            mean = mean_interval(samples, 0.95)
            cells.append(f"{mean.mean:.1f} ({mean.low:.1f} to {mean.high:.1f})")
        solved = np.maximum.accumulate(returns >= SOLVED, axis=1)
        relapsed = solved & (returns < SOLVED)
        cells.append(f"{relapsed.any(axis=1).sum()} of {len(seeds)}")
        cells += [f"{100 * (returns < SOLVED).mean():.0f} %", f"{returns.min():.0f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main(
    agent: Annotated[Literal["dqn", "pqn"], tyro.conf.arg(help="Agent to train.")] = "dqn",
    over: Annotated[
        list[int] | None, tyro.conf.arg(help="Horizons of the averages, in updates.")
    ] = None,
    seeds: Annotated[int, tyro.conf.arg(help="Number of seeds, counted from 0.")] = 10,
    json_file: Annotated[
        Path | None,
        tyro.conf.arg(name="json", help="File for all evaluations, one JSON object per line."),
    ] = None,
) -> None:
    """Train all seeds and print the table."""
    results: list[Evaluated] = []
    for seed in range(seeds):
        results += train(agent, seed, list(HORIZONS[agent] if over is None else over))
        if json_file is not None:
            json_file.write_text("".join(json.dumps(result) + "\n" for result in results))
    print(table(results))


if __name__ == "__main__":
    tyro.cli(main)
