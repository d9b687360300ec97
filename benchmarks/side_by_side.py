"""Measure several training programs in interleaved rounds, each in its own process.

A program is a `Maker`: a function that is called in the process of the program and returns a
`Learner`. Steps per second are medians over the rounds, the ratio is the median of the ratios of
all rounds, and memory is the peak of each process.
"""

import json
import multiprocessing
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "2")

import numpy as np

GAME = "Breakout"
Parts = dict[str, dict[str, float]]  # title of a table -> {part: milliseconds per step}


@dataclass(frozen=True)
class Learner:
    """An agent with its environments.

    Attributes:
        run_round: trains for one round; returns the steps per second.
        parts: trains for one more round; returns the time of each part.
    """

    run_round: Callable[[], float]
    parts: Callable[[], Parts] = dict


Maker = Callable[[], Learner]


def measure(
    makers: Mapping[str, Maker], rounds: int
) -> tuple[dict[str, list[float]], Parts, dict[str, int]]:
    """Run interleaved rounds of all programs.

    Returns:
        The steps per second of each program and round, the parts of the first program, and the peak
        memory of each program in bytes.
    """
    context = multiprocessing.get_context("spawn")
    pipes: dict[str, Any] = {}
    processes = []
    for name, maker in makers.items():
        pipes[name], end = context.Pipe()
        processes.append(context.Process(target=_serve, args=(end, maker), daemon=True))
        processes[-1].start()
        end.close()  # so that `recv` raises EOFError if the process fails

    def request(name: str, message: str) -> Any:
        pipes[name].send(message)
        return pipes[name].recv()

    rates: dict[str, list[float]] = {name: [] for name in makers}
    for name in rates:
        request(name, "round")  # a warm-up round, which is not counted
    for number in range(rounds):
        for name, samples in rates.items():
            samples.append(request(name, "round"))
        speeds = ", ".join(f"{name} {samples[-1]:.0f}" for name, samples in rates.items())
        print(f"round {number + 1}: {speeds} steps/s", file=sys.stderr)
    parts = request(next(iter(makers)), "parts")
    memory = {name: request(name, "end") for name in rates}
    for process in processes:
        process.join()
    return rates, parts, memory


def compare(makers: Mapping[str, Maker], rounds: int, as_json: bool) -> None:
    """Measure the programs `ours` and `sb3`, and print the results."""
    rates, parts, memory = measure(makers, rounds)
    medians = {name: statistics.median(samples) for name, samples in rates.items()}
    ratios = [a / b for a, b in zip(rates["ours"], rates["sb3"], strict=True)]
    if as_json:
        result = medians | {"ratio": statistics.median(ratios)}
        result |= {f"{name}_memory": size for name, size in memory.items()}
        print(json.dumps(result | {"parts": parts}, indent=2))
        return
    for name, samples in rates.items():
        span = f"{min(samples):.0f} to {max(samples):.0f}"
        gib = memory[name] / 2**30
        print(f"{name:5s} {medians[name]:6.0f} steps/s ({span})   {gib:.2f} GiB peak memory")
    print(f"ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
    for title, table in parts.items():
        print(title.replace("_", " "))
        for name, value in table.items():
            print(f"  {name:62s} {value:.3f}")


def _serve(pipe: Any, maker: Maker) -> None:
    """Answer each message with the result of a round, and `end` with the peak memory in bytes."""
    if hasattr(os, "sched_setaffinity"):  # use two processors only
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
    learner = maker()
    while (message := pipe.recv()) != "end":
        pipe.send(learner.parts() if message == "parts" else learner.run_round())
    unit = 1 if sys.platform == "darwin" else 1024
    pipe.send(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)


def gridcade_round(agent: Any, envs: Any, steps: int, warmup: int) -> Callable[[], float]:
    """Train a Gridcade agent for `warmup` steps; return a function that trains for a round."""
    import torch

    from gridcade.experience.loop import Experience

    torch.set_num_threads(1)
    transitions = Experience(envs, seed=0).steps(agent, agent.overlap_updates)

    def run(count: int) -> float:
        end = agent.steps + count
        start = time.perf_counter()
        while agent.steps < end:
            next(transitions)
        return count / (time.perf_counter() - start)

    run(warmup)
    return lambda: run(steps)


def sb3_round(model: Any, steps: int, warmup: int) -> Callable[[], float]:
    """Train a stable-baselines3 model for `warmup` steps; return a function for further rounds."""
    import torch

    torch.set_num_threads(2)

    def run(count: int) -> float:
        start, before = time.perf_counter(), model.num_timesteps
        model.learn(count, reset_num_timesteps=False)
        return float((model.num_timesteps - before) / (time.perf_counter() - start))

    run(warmup)
    return lambda: run(steps)


def sb3_game(num_envs: int) -> Any:
    """Return `num_envs` emulators of Breakout with stable-baselines3's standard preprocessing."""
    import ale_py
    import gymnasium as gym
    from stable_baselines3.common.env_util import make_atari_env
    from stable_baselines3.common.vec_env import VecFrameStack

    gym.register_envs(ale_py)
    return VecFrameStack(make_atari_env(f"{GAME}NoFrameskip-v4", n_envs=num_envs, seed=0), 4)


def sb3_policy(network: str) -> dict[str, Any]:
    """Return the `policy_kwargs` for the same convolutions and hidden layer as Gridcade's."""
    from stable_baselines3.common.torch_layers import NatureCNN

    from gridcade.agents.sb3_features import Mnih2013CNN

    extractor = {"2013": Mnih2013CNN, "2015": NatureCNN}[network]
    return {"features_extractor_class": extractor, "net_arch": []}


def clock(seconds: dict[str, float], owner: Any, method: str, part: str) -> None:
    """Wrap a method, so that each call adds its duration to `seconds[part]`."""
    original = getattr(owner, method)

    def timed(*arguments: Any, **options: Any) -> Any:
        start = time.perf_counter()
        result = original(*arguments, **options)
        seconds[part] = seconds.get(part, 0.0) + time.perf_counter() - start
        return result

    setattr(owner, method, timed)


def emulators_alone(num_envs: int, steps: int = 200) -> float:
    """Return the milliseconds per step of `num_envs` emulators alone, without resets."""
    from gridcade.experience.vector import make_vector, reset

    envs = make_vector(GAME, num_envs)
    reset(envs, list(range(num_envs)))
    actions = np.zeros(num_envs, dtype=np.int64)
    start = time.perf_counter()
    for _ in range(steps):
        envs.step(actions)
    return (time.perf_counter() - start) / (steps * num_envs) * 1000


def products(network: str, batch: int, precision: str) -> dict[str, float]:
    """Return the milliseconds of the matrix products of a batch, forward and backward."""
    import torch

    layers = {
        "2013": [(400, 256, 16), (81, 256, 32), (1, 2592, 256)],
        "2015": [(400, 256, 32), (81, 512, 64), (49, 576, 64), (1, 3136, 512)],
    }[network]
    torch.set_num_threads(1)
    dtype = getattr(torch, precision)
    total = {"forward": 0.0, "backward": 0.0}
    for number, (rows, inner, columns) in enumerate(layers):
        a = torch.randn(batch * rows, inner).to(dtype)
        b = torch.randn(inner, columns).to(dtype)
        samples = []
        for _ in range(50):
            start = time.perf_counter()
            torch.mm(a, b)
            samples.append(time.perf_counter() - start)
        median = statistics.median(samples) * 1000
        total["forward"] += median
        # Gradients of the weights, and of the inputs except the pixels.
        total["backward"] += median * (2 if number else 1)
    return total
