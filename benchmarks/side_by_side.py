"""Several programs measured in one run: each in a process of its own, waiting for its rounds.

A program is a `Maker`: called in its process, it returns a `Learner`. Steps per second are medians
over interleaved rounds, the ratio is the median of the rounds' ratios, memory each process's peak.
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
Parts = dict[str, dict[str, float]]  # milliseconds a step, table by table


@dataclass(frozen=True)
class Learner:
    """A learner in its environments."""

    play: Callable[[], float]  # a round; steps a second
    parts: Callable[[], Parts] = dict  # a further round, timed part by part


Maker = Callable[[], Learner]


def measure(
    makers: Mapping[str, Maker], rounds: int
) -> tuple[dict[str, list[float]], Parts, dict[str, int]]:
    """Run interleaved rounds of all programs.

    Returns:
        Steps per second by program and round, the parts of the first program, and the peak memory
        of each in bytes.
    """
    context = multiprocessing.get_context("spawn")
    pipes: dict[str, Any] = {}
    processes = []
    for name, maker in makers.items():
        pipes[name], end = context.Pipe()
        processes.append(context.Process(target=_live, args=(end, maker), daemon=True))
        processes[-1].start()
        end.close()  # so that a process that fails is noticed here

    def ask(name: str, what: str) -> Any:
        pipes[name].send(what)
        return pipes[name].recv()

    rates: dict[str, list[float]] = {name: [] for name in makers}
    for name in rates:
        ask(name, "round")  # all are warm before the first round counts
    for number in range(rounds):
        for name, found in rates.items():
            found.append(ask(name, "round"))
        shown = ", ".join(f"{name} {found[-1]:.0f}" for name, found in rates.items())
        print(f"round {number + 1}: {shown} steps/s", file=sys.stderr)
    parts = ask(next(iter(makers)), "parts")
    memory = {name: ask(name, "end") for name in rates}
    for process in processes:
        process.join()
    return rates, parts, memory


def compare(makers: Mapping[str, Maker], rounds: int, as_json: bool) -> None:
    """Measure `ours` and `sb3`, and print the figures."""
    rates, parts, memory = measure(makers, rounds)
    medians = {name: statistics.median(found) for name, found in rates.items()}
    ratios = [a / b for a, b in zip(rates["ours"], rates["sb3"], strict=True)]
    if as_json:
        result = medians | {"ratio": statistics.median(ratios)}
        result |= {f"{name}_memory": size for name, size in memory.items()}
        print(json.dumps(result | {"parts": parts}, indent=2))
        return
    for name, found in rates.items():
        span = f"{min(found):.0f} to {max(found):.0f}"
        gib = memory[name] / 2**30
        print(f"{name:5s} {medians[name]:6.0f} steps/s ({span})   {gib:.2f} GiB at its peak")
    print(f"ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
    for title, table in parts.items():
        print(title.replace("_", " "))
        for name, value in table.items():
            print(f"  {name:50s} {value:.3f}")


def _live(pipe: Any, maker: Maker) -> None:
    """A process: a round for each message, until told to end; then its peak memory in bytes."""
    if hasattr(os, "sched_setaffinity"):  # two processors, however many there are
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
    player = maker()
    while (asked := pipe.recv()) != "end":
        pipe.send(player.parts() if asked == "parts" else player.play())
    unit = 1 if sys.platform == "darwin" else 1024
    pipe.send(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)


def ours(agent: Any, envs: Any, steps: int, warm: int) -> Callable[[], float]:
    """A round of an agent of ours."""
    import torch

    from gridcade.experience.loop import Experience

    torch.set_num_threads(1)
    transitions = Experience(envs, seed=0).steps(agent, agent.overlap_updates)

    def play(count: int) -> float:
        end = agent.steps + count
        began = time.perf_counter()
        while agent.steps < end:
            next(transitions)
        return count / (time.perf_counter() - began)

    play(warm)
    return lambda: play(steps)


def sb3(model: Any, steps: int, warm: int) -> Callable[[], float]:
    """A round of a model of stable-baselines3, on two threads."""
    import torch

    torch.set_num_threads(2)

    def play(count: int) -> float:
        began, before = time.perf_counter(), model.num_timesteps
        model.learn(count, reset_num_timesteps=False)
        return float((model.num_timesteps - before) / (time.perf_counter() - began))

    play(warm)
    return lambda: play(steps)


def sb3_game(envs: int) -> Any:
    """Breakout as stable-baselines3's users have it."""
    import ale_py
    import gymnasium as gym
    from stable_baselines3.common.env_util import make_atari_env
    from stable_baselines3.common.vec_env import VecFrameStack

    gym.register_envs(ale_py)
    return VecFrameStack(make_atari_env(f"{GAME}NoFrameskip-v4", n_envs=envs, seed=0), 4)


def sb3_policy(network: str) -> dict[str, Any]:
    """Keywords that give stable-baselines3 the same convolutions and hidden layer, on pixels."""
    from stable_baselines3.common.torch_layers import NatureCNN

    from gridcade.agents.sb3_model import Mnih2013CNN

    extractor = {"2013": Mnih2013CNN, "2015": NatureCNN}[network]
    return {"features_extractor_class": extractor, "net_arch": []}


def clock(spent: dict[str, float], owner: Any, method: str, part: str) -> None:
    """Add up, under a part's name, the seconds that a method takes."""
    plain = getattr(owner, method)

    def timed(*arguments: Any, **named: Any) -> Any:
        began = time.perf_counter()
        found = plain(*arguments, **named)
        spent[part] = spent.get(part, 0.0) + time.perf_counter() - began
        return found

    setattr(owner, method, timed)


def emulators_alone(count: int, steps: int = 200) -> float:
    """Milliseconds a step of so many emulators, on their own threads, resets left out."""
    from gridcade.experience.vector import make_vector, reset

    envs = make_vector(GAME, count)
    reset(envs, list(range(count)))
    actions = np.zeros(count, dtype=np.int64)
    began = time.perf_counter()
    for _ in range(steps):
        envs.step(actions)
    return (time.perf_counter() - began) / (steps * count) * 1000


def products(network: str, batch: int, precision: str) -> dict[str, float]:
    """Milliseconds for a batch of the matrix products alone: forward, and backward."""
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
        rounds = []
        for _ in range(50):
            began = time.perf_counter()
            torch.mm(a, b)
            rounds.append(time.perf_counter() - began)
        once = statistics.median(rounds) * 1000
        total["forward"] += once
        total["backward"] += once * (2 if number else 1)  # by weights, and by inputs but for pixels
    return total
