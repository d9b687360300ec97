"""How fast Q-learning is, measured side by side in one run.

    python benchmarks/q_learning.py [--rounds N] [--json]

One core each: the compiled loop; the same agent through the Gymnasium loop; and a plain NumPy
Q-learning as textbooks have it, through Gymnasium. Then 1,000 seeds x 50,000 steps of FourRooms
with learning curves, on two threads. Rounds are interleaved; medians and ranges are given.
"""

import json
import os
import statistics
import time
from collections.abc import Callable
from typing import Annotated

os.environ.setdefault("OMP_NUM_THREADS", "1")

import gymnasium as gym
import numpy as np
import tyro

import gridcade.envs  # noqa: F401 - registers the worlds
from gridcade.agents.q_learning import QLearning, QLearningConfig
from gridcade.agents.tabular_loop import CompiledLoop, train_many
from gridcade.envs.gridworld import GridWorld
from gridcade.experience.loop import Experience
from gridcade.experience.vector import make_vector

WORLD = "FourRooms"
SEEDS, STEPS, WINDOWS, THREADS = 1000, 50_000, 50, 2
COMPILED, THROUGH_GYMNASIUM = 20_000_000, 20_000  # steps a round

world = GridWorld(WORLD)
model, limit = world.model, world.time_limit


def compiled() -> float:
    """Updates a second of the compiled loop."""
    agent = QLearning(model.num_states, model.num_actions, QLearningConfig())
    loop = CompiledLoop(agent, model, limit, seed=0)
    began = time.perf_counter()
    loop.advance(COMPILED)
    return COMPILED / (time.perf_counter() - began)


def gymnasium_loop() -> float:
    """Updates a second of the same agent in gridcade.experience.loop."""
    agent = QLearning(model.num_states, model.num_actions, QLearningConfig())
    steps = Experience(make_vector(WORLD, 1), seed=0).steps(agent)
    began = time.perf_counter()
    for _ in range(THROUGH_GYMNASIUM):
        next(steps)
    return THROUGH_GYMNASIUM / (time.perf_counter() - began)


def textbook() -> float:
    """Updates a second of plain NumPy Q-learning on the same world."""
    env = gym.make(f"gridcade/{WORLD}-v0", disable_env_checker=True)
    rng = np.random.default_rng(0)
    q = np.zeros((model.num_states, model.num_actions))
    state, _ = env.reset(seed=0)
    began = time.perf_counter()
    for _ in range(THROUGH_GYMNASIUM):
        if rng.random() < 0.1:
            action = int(rng.integers(model.num_actions))
        else:
            action = int(rng.choice(np.flatnonzero(q[state] == q[state].max())))
        after, reward, terminated, truncated, _ = env.step(action)
        target = float(reward) + 0.99 * (not terminated) * q[after].max()
        q[state, action] += 0.1 * (target - q[state, action])
        state = env.reset()[0] if terminated or truncated else after
    return THROUGH_GYMNASIUM / (time.perf_counter() - began)


def many_seeds() -> float:
    """Seconds for all seeds."""
    began = time.perf_counter()
    train_many(model, QLearningConfig(), range(SEEDS), STEPS, WINDOWS, limit, THREADS)
    return time.perf_counter() - began


def main(
    rounds: int = 5,
    as_json: Annotated[bool, tyro.conf.arg(name="json"), tyro.conf.FlagCreatePairsOff] = False,
) -> None:
    """Measure and print."""
    parts: dict[str, Callable[[], float]] = {
        "compiled": compiled,
        "gymnasium_loop": gymnasium_loop,
        "textbook": textbook,
        "many_seeds_seconds": many_seeds,
    }
    train_many(model, QLearningConfig(), [0], 1, 1)  # compiles, or reads the cache
    samples: dict[str, list[float]] = {name: [] for name in parts}
    for _ in range(rounds):
        for name, measure in parts.items():
            samples[name].append(measure())
    result = {
        name: {"median": statistics.median(s), "low": min(s), "high": max(s)}
        for name, s in samples.items()
    }
    if as_json:
        print(json.dumps(result))
        return
    print(f"{WORLD}, one core, updates a second (median, lowest to highest of {rounds} rounds)")
    for name in ("compiled", "gymnasium_loop", "textbook"):
        r = result[name]
        print(f"  {name:<16} {r['median']:>13,.0f}   {r['low']:>13,.0f} to {r['high']:>13,.0f}")
    r = result["many_seeds_seconds"]
    print(
        f"{SEEDS:,} seeds x {STEPS:,} steps, {WINDOWS} windows each, {THREADS} threads: "
        f"{r['median']:.1f} s   ({r['low']:.1f} to {r['high']:.1f})"
    )


if __name__ == "__main__":
    tyro.cli(main)
