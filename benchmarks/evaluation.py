"""Compare the speed of evaluations on Breakout with that of the emulators alone.

    python benchmarks/evaluation.py [--agent NAME] [--rounds N] [--json]

All measurements use 16 emulators. `emulators alone` steps them without an agent and without resets,
on two threads. In evaluations an agent acts, with its network on one thread, and a new game starts
after each ended one. `one group` waits for all emulators before the agent acts; `two groups` is the
method of `gridcade evaluate`. The clock starts after two rounds of actions, when the first games
have started, and stops while all are running. With two groups, the start of some games may fall
into the measured time. The rounds alternate. Values are medians over the rounds, with the smallest
and the largest. Processor time is that of all threads; other programs disturb it less than they
disturb the steps per second.
"""

import json
import os
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Annotated

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import tyro

from gridcade import contenders
from gridcade.envs.registry import make
from gridcade.envs.types import Envs
from gridcade.evaluation.episodes import EpisodeRunner
from gridcade.evaluation.evaluated_policy import EvaluatedPolicy
from gridcade.experience.pool import EnvPool
from gridcade.experience.vector import make_vector, reset

GAME, ENVS = "Breakout", 16
STEPS = 8_000  # per round


class Done(Exception):  # noqa: N818 - not an error
    """The steps of a round have been taken."""


def timed(start: tuple[float, float]) -> tuple[float, float]:
    """Return the steps per second and the processor milliseconds per step since `start`."""
    return STEPS / (time.perf_counter() - start[0]), (time.process_time() - start[1]) / STEPS * 1000


def now() -> tuple[float, float]:
    """Return the time and the processor time, in seconds."""
    return time.perf_counter(), time.process_time()


def alone(envs: Envs) -> tuple[float, float]:
    """Step the emulators without an agent; returns what `timed` does."""
    reset(envs, list(range(ENVS)))
    start = now()
    for _ in range(STEPS // ENVS):
        envs.step(np.zeros(ENVS, dtype=np.int64))
    return timed(start)


def evaluation(groups: Sequence[Envs], policy: EvaluatedPolicy) -> tuple[float, float]:
    """Play games until the steps of a round have been taken; returns what `timed` does."""
    acts, start, steps_per_act = 0, now(), ENVS // len(groups)

    def check() -> None:
        nonlocal acts, start
        acts += 1
        if acts == 2 * len(groups):
            start = now()
        if (acts - 2 * len(groups)) * steps_per_act >= STEPS:
            raise Done

    with suppress(Done):
        EpisodeRunner(groups, policy, 0.99, None, check=check).run(10_000, 0, "evaluation")
    return timed(start)


def main(
    agent: Annotated[str, tyro.conf.arg(help="Name of a trained agent.")] = "breakout",
    rounds: Annotated[int, tyro.conf.arg(help="Rounds of each measurement.")] = 5,
    as_json: Annotated[bool, tyro.conf.arg(name="json", help="Print JSON.")] = False,
) -> None:
    """Measure and print the results."""
    import torch

    torch.set_num_threads(1)
    policy = EvaluatedPolicy(contenders.load(agent, GAME), make(GAME), None, deterministic=True)
    emulators, one = make_vector(GAME, ENVS), [make_vector(GAME, ENVS)]
    with EnvPool(GAME) as pool:
        two = pool.groups(ENVS)
        measurements: dict[str, Callable[[], tuple[float, float]]] = {
            "emulators alone": lambda: alone(emulators),
            "evaluation, one group": lambda: evaluation(one, policy),
            "evaluation, two groups": lambda: evaluation(two, policy),
        }
        samples: dict[str, list[tuple[float, float]]] = {name: [] for name in measurements}
        for _ in range(rounds):
            for name, measure in measurements.items():
                samples[name].append(measure())
    rates = {name: [rate for rate, _ in pairs] for name, pairs in samples.items()}
    busy = {name: statistics.median(ms for _, ms in pairs) for name, pairs in samples.items()}
    baseline = rates["emulators alone"]
    if as_json:
        print(json.dumps({"steps_per_second": rates, "processor_ms_per_step": busy}, indent=2))
        return
    print("| | steps/s | of emulators alone | processor ms per step |\n| --- | --- | --- | --- |")
    for name, values in rates.items():
        shares = [value / other for value, other in zip(values, baseline, strict=True)]
        cells = [
            f"{statistics.median(values):.0f} ({min(values):.0f} to {max(values):.0f})",
            f"{statistics.median(shares):.0%} ({min(shares):.0%} to {max(shares):.0%})",
            f"{busy[name]:.2f}",
        ]
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    tyro.cli(main)
