"""Measure the speed of Q-learning.

    python benchmarks/q_learning.py [--rounds N] [--json]

Measures the updates per second on one core, on FourRooms, of three programs: the compiled loop; the
same agent in the loop over Gymnasium environments; and a plain Q-learning in NumPy, as in
textbooks. Also measures the seconds to train 1,000 seeds for 50,000 steps each, with learning
curves, on two threads. The rounds of the four measurements alternate; the results are medians and
ranges over the rounds.
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
from gridcade.agents.q_learning import QLearning
from gridcade.agents.tabular_loop import train_many
from gridcade.envs.gridworld import GridWorld
from gridcade.experience.loop import Experience
from gridcade.experience.vector import make_vector

WORLD = "FourRooms"
SEEDS, STEPS, WINDOWS, THREADS = 1000, 50_000, 50, 2
COMPILED_STEPS, GYMNASIUM_STEPS = 20_000_000, 20_000  # per round

world = GridWorld(WORLD)
model, time_limit = world.model, world.time_limit


def compiled() -> float:
    """Return the updates per second of the compiled loop."""
    agent = QLearning(model.num_states, model.num_actions)
    loop = agent.compiled_loop(model, time_limit, seed=0)
    start = time.perf_counter()
    loop.advance(COMPILED_STEPS)
    return COMPILED_STEPS / (time.perf_counter() - start)


def gymnasium_loop() -> float:
    """Return the updates per second of the same agent in `gridcade.experience.loop`."""
    agent = QLearning(model.num_states, model.num_actions)
    steps = Experience(make_vector(WORLD, 1), seed=0).steps(agent)
    start = time.perf_counter()
    for _ in range(GYMNASIUM_STEPS):
        next(steps)
    return GYMNASIUM_STEPS / (time.perf_counter() - start)


def textbook() -> float:
    """Return the updates per second of plain NumPy Q-learning in the same world."""
    env = gym.make(f"gridcade/{WORLD}-v0", disable_env_checker=True)
    rng = np.random.default_rng(0)
    q = np.zeros((model.num_states, model.num_actions))
    state, _ = env.reset(seed=0)
    start = time.perf_counter()
    for _ in range(GYMNASIUM_STEPS):
        if rng.random() < 0.1:
            action = int(rng.integers(model.num_actions))
        else:
            action = int(rng.choice(np.flatnonzero(q[state] == q[state].max())))
        after, reward, terminated, truncated, _ = env.step(action)
        target = float(reward) + 0.99 * (not terminated) * q[after].max()
        q[state, action] += 0.1 * (target - q[state, action])
        state = env.reset()[0] if terminated or truncated else after
    return GYMNASIUM_STEPS / (time.perf_counter() - start)


def many_seeds() -> float:
    """Return the seconds to train all seeds."""
    start = time.perf_counter()
    agents = [QLearning(model.num_states, model.num_actions, seed=seed) for seed in range(SEEDS)]
    train_many(
        model,
        agents,
        range(SEEDS),
        STEPS,
        windows=WINDOWS,
        time_limit=time_limit,
        threads=THREADS,
    )
    return time.perf_counter() - start


def main(
    rounds: int = 5,
    as_json: Annotated[bool, tyro.conf.arg(name="json"), tyro.conf.FlagCreatePairsOff] = False,
) -> None:
    """Measure the speed of Q-learning.

    Args:
        rounds: number of rounds; each has one measurement of each kind.
        as_json: print JSON.
    """
    measurements: dict[str, Callable[[], float]] = {
        "compiled": compiled,
        "gymnasium_loop": gymnasium_loop,
        "textbook": textbook,
        "many_seeds_seconds": many_seeds,
    }
    # Compile the loop, or load it from the cache, before the first round.
    QLearning(model.num_states, model.num_actions).compiled_loop(model, time_limit, seed=0)
    samples: dict[str, list[float]] = {name: [] for name in measurements}
    for _ in range(rounds):
        for name, measure in measurements.items():
            samples[name].append(measure())
    result = {
        name: {"median": statistics.median(s), "low": min(s), "high": max(s)}
        for name, s in samples.items()
    }
    if as_json:
        print(json.dumps(result))
        return
    print(f"{WORLD}, one core, updates per second (median and range of {rounds} rounds)")
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
