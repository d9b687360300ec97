"""Measure the speed of the tabular agents, relative to that of Q-learning.

    python benchmarks/learners.py [--rounds N] [--json]

Measures the processor time of a step in the compiled loop, on FourRooms, and divides it by the
number of values that the step updates. In Dyna-Q this number includes the planning steps, and in
Q(lambda) all values with a trace. Monte Carlo updates less than one value per step, so its time is
per step. The rounds of all agents alternate. A ratio divides the time of an agent by Q-learning's
time in the same round. Times are medians, and ratios medians and ranges, over the rounds.
"""

import json
import statistics
import time
from typing import Annotated, Any

import numpy as np
import tyro

from gridcade import agents
from gridcade.agents.tabular import TabularAgent
from gridcade.agents.tabular_loop import TabularLoop
from gridcade.envs.gridworld import GridWorld

WORLD = "FourRooms"
SECONDS = 0.5  # approximate duration of one measurement
BASELINE = "q-learning"
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    **{name: (name, {}) for name, kind in agents.AGENTS.items() if kind.is_tabular},
    "dyna-q, 50 planning steps": ("dyna-q", {"planning_steps": 50}),
    "dyna-q+, 50 planning steps": ("dyna-q", {"planning_steps": 50, "exploration_bonus": 1e-3}),
}

world = GridWorld(WORLD)


def make(name: str, fields: dict[str, Any]) -> tuple[TabularAgent[Any], TabularLoop]:
    """Make an agent and its compiled loop."""
    kind = agents.find(name)
    agent = kind.make(world, kind.config(**fields), 0)
    assert isinstance(agent, TabularAgent)
    return agent, agent.compiled_loop(world.model, world.time_limit, seed=0)


def updates_per_step(agent: TabularAgent[Any], loop: TabularLoop) -> float:
    """Count the updates of values per step, over 1000 steps after the first 1000."""
    if agent.name == "dyna-q":
        return 1.0 + agent.numbers_per_update
    loop.advance(1000)
    before, traced = agent.visits.sum(), 0
    for _ in range(1000):
        loop.advance(agent.steps + 1)
        traced += int(np.count_nonzero(agent.episodes.get("traces", 0)))
    return float(max(agent.visits.sum() - before, traced)) / 1000


def seconds_per_step(agent: TabularAgent[Any], loop: TabularLoop, steps: int) -> float:
    """Measure the processor time of a step, in seconds."""
    start = time.process_time()
    loop.advance(agent.steps + steps)
    return (time.process_time() - start) / steps


def main(
    rounds: int = 9,
    as_json: Annotated[bool, tyro.conf.arg(name="json"), tyro.conf.FlagCreatePairsOff] = False,
) -> None:
    """Measure the speed of the tabular agents, relative to that of Q-learning.

    Args:
        rounds: number of rounds; each has one measurement of each agent.
        as_json: print JSON.
    """
    pairs = {case: make(*arguments) for case, arguments in CASES.items()}
    updates = {case: updates_per_step(*pair) for case, pair in pairs.items()}
    steps = {c: int(SECONDS / seconds_per_step(*pair, 50_000)) for c, pair in pairs.items()}
    samples: dict[str, list[float]] = {case: [] for case in pairs}
    for _ in range(rounds):
        for case, pair in pairs.items():
            samples[case].append(seconds_per_step(*pair, steps[case]) / max(updates[case], 1))
    result = {}
    for case, times in samples.items():
        ratios = [t / base for t, base in zip(times, samples[BASELINE], strict=True)]
        result[case] = {
            "updates_per_step": updates[case],
            "nanoseconds": statistics.median(times) * 1e9,
            "ratio": statistics.median(ratios),
            "low": min(ratios),
            "high": max(ratios),
        }
    if as_json:
        print(json.dumps(result))
        return
    print(f"{WORLD}, one core: time per update, and its ratio to {BASELINE}'s ({rounds} rounds)")
    for case, r in result.items():
        print(
            f"  {case:<28} {r['updates_per_step']:6.1f} updates per step"
            f"  {r['nanoseconds']:6.1f} ns   x {r['ratio']:.2f}"
            f"   ({r['low']:.2f} to {r['high']:.2f})"
        )


if __name__ == "__main__":
    tyro.cli(main)
