"""Measure the speedup of each shortcut of agents/fast.py on Breakout.

    python benchmarks/fast.py [--agent dqn|pqn] [--rounds N] [--json]

The first program uses plain PyTorch, in the order of the papers. Each further program adds one
shortcut to those of the previous program, so the last one has all shortcuts. Each program runs in
its own process, on two processors, and waits during the rounds of the others. Steps per second are
medians over the rounds. The speedup of a shortcut is the median over the rounds of the steps per
second with it, divided by those of the previous program.
"""

import json
import statistics
from functools import partial
from itertools import pairwise
from typing import Annotated, Any, Literal

import gymnasium as gym
import numpy as np
import tyro
from side_by_side import GAME, Learner, gridcade_round, measure

Agent = Literal["dqn", "pqn"]
ENVS = {"dqn": 8, "pqn": 64}  # emulators, as in the presets for two cores
STEPS = {"dqn": 1_600, "pqn": 64 * 32}  # per round
WARMUP = {"dqn": 1_200, "pqn": 64 * 32 * 2}  # steps before the first round
SHORTCUTS = (
    "overlap",
    "blocks",
    "keep freed memory",
    "target thread",
    "overlapped Adam",
    "fused passes",
    "bfloat16",
)


def learner(agent: Agent, count: int) -> Learner:
    """Return an agent with the first `count` shortcuts, and its emulators."""
    from gridcade.agents import fast
    from gridcade.agents.base import in_memory
    from gridcade.agents.deep import DeepAgent, Spaces
    from gridcade.agents.dqn import DQN, DQNConfig
    from gridcade.agents.fast import Backend, FastBackend
    from gridcade.agents.pqn import PQN, PQNConfig
    from gridcade.agents.schedules import Schedule
    from gridcade.envs.observations import ArrayEncoder
    from gridcade.experience.vector import make_vector

    shortcuts = SHORTCUTS[:count]
    if "keep freed memory" not in shortcuts:
        fast.keep_freed_memory = lambda: None  # type: ignore[assignment]
    if "target thread" not in shortcuts:
        FastBackend.target_values = Backend.target_values  # type: ignore[method-assign]
    if "overlapped Adam" not in shortcuts:
        FastBackend.adam = Backend.adam  # type: ignore[method-assign]
    if "fused passes" not in shortcuts:
        fast.fuse_norms = list  # type: ignore[assignment, attr-defined]
        FastBackend.radam = Backend.radam  # type: ignore[method-assign]
    fields: dict[str, Any] = {
        "overlap": "overlap" in shortcuts,
        "fast": "blocks" in shortcuts,
        "bfloat16": "bfloat16" in shortcuts,
        "epsilon": Schedule(0.1),
    }
    frames = gym.spaces.Box(0, 255, (4, 84, 84), np.uint8)
    spaces = Spaces(ArrayEncoder(frames), 4, 4)
    deep_agent: DeepAgent = (
        DQN(spaces, DQNConfig(replay_capacity=50_000, learn_start=1_000, **fields))
        if agent == "dqn"
        else PQN(spaces, PQNConfig(minibatches=16, **fields))
    )
    deep_agent.allocate(ENVS[agent], 0, in_memory)
    envs = make_vector(GAME, ENVS[agent])
    return Learner(gridcade_round(deep_agent, envs, STEPS[agent], WARMUP[agent]))


def main(
    agent: Annotated[Agent, tyro.conf.arg(help="Agent to measure.")] = "dqn",
    rounds: Annotated[int, tyro.conf.arg(help="Interleaved rounds of each program.")] = 5,
    as_json: Annotated[bool, tyro.conf.arg(name="json", help="Print JSON.")] = False,
) -> None:
    """Measure all programs and print the results."""
    names = ["plain PyTorch", *(f"+ {shortcut}" for shortcut in SHORTCUTS)]
    makers = {name: partial(learner, agent, count) for count, name in enumerate(names)}
    rates, _, _ = measure(makers, rounds)
    speedups = {
        after: [b / a for a, b in zip(rates[before], rates[after], strict=True)]
        for before, after in pairwise(names)
    }
    if as_json:
        print(json.dumps({"steps_per_second": rates, "speedups": speedups}, indent=2))
        return
    print("| | steps/s | speedup |\n| --- | --- | --- |")
    for name, samples in rates.items():
        speedup = ""
        if name in speedups:
            low, high = min(speedups[name]), max(speedups[name])
            speedup = f"{statistics.median(speedups[name]):.2f} ({low:.2f} to {high:.2f})"
        print(f"| {name} | {statistics.median(samples):.0f} | {speedup} |")


if __name__ == "__main__":
    tyro.cli(main)
