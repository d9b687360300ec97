"""Measure PQN on a GPU with Breakout, in eight minutes at most.

    python benchmarks/gpu.py [--device cuda] [--minutes 8] [--tiny]

Five parts run one after another, each in a process of its own with a time limit. If a part fails or
takes too long, the others still run, and the exit code is 1:

1. correctness: compares losses on the device with those on the processor, and a resumed run with
   an uninterrupted one.
2. emulators: steps per second of 64, 128 and 256 emulators alone, without resets.
3. pqn: steps per second of training with the same numbers of emulators, as a share of the emulators
   alone, and the milliseconds of each part. Emulators and learning run at the same time.
4. ppo: steps per second of stable-baselines3's PPO with the same network, rollouts and minibatches.
   Its emulators run in processes.
5. score: trains with PQN's preset for Breakout and 128 emulators for the remaining minutes; prints
   training returns by minutes, and then the score of 30 games (nature2015, epsilon 0.05).

`--device cpu --tiny` tests the command without a GPU. The processor then runs the code in
`agents/accelerator.py`.
"""

import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Literal
from unittest.mock import patch

import gymnasium as gym
import numpy as np
import tyro
from side_by_side import GAME, clock, gridcade_round, sb3_policy

from gridcade.experience.step import Step

Part = Literal["correctness", "emulators", "pqn", "ppo", "score"]
LIMITS: dict[Part, float] = {"correctness": 75, "emulators": 45, "pqn": 90, "ppo": 45}  # seconds
AFTER_TRAINING = 90.0  # seconds that the last part needs for its start and the evaluation
GAMES = (64, 128, 256)  # numbers of emulators
BATCH = 128  # transitions in a minibatch
ROLLOUT = 32  # steps
SCORED_GAMES = 30


def main(
    device: Annotated[str, tyro.conf.arg(help="Device: cuda, cuda:1, mps or cpu.")] = "cuda",
    minutes: Annotated[float, tyro.conf.arg(help="Minutes for all parts together.")] = 8.0,
    tiny: Annotated[
        bool, tyro.conf.arg(help="Use the smallest sizes, to test the command.")
    ] = False,
    part: Annotated[Part | None, tyro.conf.arg(help="Run only this part, in this process.")] = None,
) -> None:
    """Run all parts, or one part, and print the results."""
    end = time.monotonic() + 60 * minutes
    if part is not None:
        PARTS[part](device, tiny, 60 * minutes)
        return
    failed = [name for name in PARTS if not run_part(name, device, tiny, end)]
    print(f"\nfailed: {', '.join(failed)}" if failed else "\nall parts ran", flush=True)
    sys.exit(bool(failed))


def run_part(part: Part, device: str, tiny: bool, end: float) -> bool:
    """Run a part in a process of its own; returns whether it succeeded within its time limit."""
    limit = min(LIMITS.get(part, np.inf), end - time.monotonic())
    print(f"\n== {part} (at most {limit:.0f} s)", flush=True)
    command = [sys.executable, "-u", __file__, "--device", device, "--part", part]
    command += ["--minutes", str(limit / 60), *(["--tiny"] if tiny else [])]
    start = time.monotonic()
    process = subprocess.Popen(command, start_new_session=True)
    try:
        status = str(process.wait(max(limit, 0)))
    except subprocess.TimeoutExpired:
        status = "time limit"
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)  # also kills the processes that it started
            process.wait()
    took = time.monotonic() - start
    ended = "done" if status == "0" else f"FAILED ({status})"
    print(f"-- {part}: {ended}, {took:.0f} s", flush=True)
    return status == "0"


@contextmanager
def as_accelerator(device: str) -> Iterator[None]:
    """Make the processor run the accelerator's code, if the processor is the device to measure."""
    with ExitStack() as patches:
        for name in ("deep.is_accelerator", "accelerator.has_room") if device == "cpu" else ():
            patches.enter_context(patch(f"gridcade.agents.{name}", lambda *_: True))
        yield


def make_pqn(games: int, device: str, **fields: Any) -> Any:
    """Make PQN as in the preset for Breakout, with minibatches of `BATCH`."""
    from gridcade.agents.base import in_memory
    from gridcade.agents.pqn import PQN, PQNConfig
    from gridcade.agents.schedules import Schedule

    defaults: dict[str, Any] = {"rollout": ROLLOUT, "epsilon": Schedule(0.1), "bfloat16": True}
    defaults["minibatches"] = max(games * ROLLOUT // BATCH, 1)
    agent = PQN(spaces(), PQNConfig(device=device, **(defaults | fields)))
    agent.allocate(games, 0, in_memory)
    return agent


def spaces() -> Any:
    """Return the observation and action spaces of Breakout."""
    from gridcade.agents.deep import Spaces
    from gridcade.envs.observations import ArrayEncoder

    return Spaces(ArrayEncoder(gym.spaces.Box(0, 255, (4, 84, 84), np.uint8)), 4, 4)


# ---- 1 correctness


def correctness(device: str, tiny: bool, seconds: float) -> None:
    """Compare losses with the processor's, in both number formats, and resume from the middle."""
    del seconds
    import torch

    if device.startswith("cuda"):
        print(torch.cuda.get_device_name(device), "PyTorch", torch.__version__)
        torch.backends.cudnn.allow_tf32 = False  # otherwise float32 is rounded to 10 bits
    half = 12 if tiny else 40
    fine = True
    for name, make in {"pqn": small_pqn, "dqn": small_dqn}.items():
        reference = losses_of(make("cpu", fast=False), 0, 2 * half)
        saved: dict[str, Any] = {}
        with as_accelerator(device):
            agents = [make(device, bfloat16=low) for low in (False, True)]
        for agent, tolerance in zip(agents, (1e-3, 3e-2), strict=True):
            losses = losses_of(agent, 0, half)
            saved = {key: np.array(tensor) for key, tensor in agent.state_dict().items()}
            losses += losses_of(agent, half, 2 * half)
            error = max(abs(a / b - 1) for a, b in zip(losses, reference, strict=True))
            print(
                f"{name} {agent.precision}: {agent.updates} updates; losses differ by at most "
                f"{error:.1e} of themselves (limit {tolerance}); {recorded(agent)}"
            )
            fine &= error <= tolerance
        if name == "pqn":  # its checkpoints hold all observations; DQN's replay is in a file
            with as_accelerator(device):
                other = make(device, bfloat16=True)
            other.load_state_dict(saved)
            losses_of(other, half, 2 * half)
            fine &= agree(agents[1].state_dict(), other.state_dict())
    if not fine:
        sys.exit(
            "training on the device differs from training on the processor by more than the limits"
        )


def small_pqn(device: str, **fields: Any) -> Any:
    """Make PQN with eight games and an update every step."""
    return make_pqn(8, device, **{"bfloat16": False, "rollout": 8, "minibatches": 4, **fields})


def small_dqn(device: str, **fields: Any) -> Any:
    """Make DQN with eight games and two updates every step."""
    from gridcade.agents.base import in_memory
    from gridcade.agents.dqn import DQN, DQNConfig
    from gridcade.agents.schedules import Schedule

    config = DQNConfig(
        device=device,
        replay_capacity=1_000,
        learn_start=64,
        target_every=40,
        held_out=8,
        epsilon=Schedule(0.1),
        **fields,
    )
    agent = DQN(spaces(), config)
    agent.allocate(8, 1_000, in_memory)
    return agent


def losses_of(agent: Any, begin: int, end: int) -> list[float]:
    """Train on random screens, the same for every agent; returns the mean loss of each step."""
    no, losses = np.zeros(8, bool), []
    for t in range(begin, end):
        rng = np.random.default_rng(t)
        before, after = (
            np.random.default_rng(s).integers(0, 256, (8, 4, 84, 84), np.uint8) for s in (t, t + 1)
        )
        agent.act(before)
        agent.update()
        rewards, actions = rng.choice([0.0, 1.0], 8), rng.integers(4, size=8)
        agent.observe(Step(before, actions, rewards, after, no, no, after))
        metrics = agent.metrics()
        losses += [metrics["loss"]] if "loss" in metrics else []
    return losses


def agree(tensors: dict[str, Any], others: dict[str, Any]) -> bool:
    """Print the largest difference of the agents' weights; returns whether it is rounding alone."""
    pairs = [(tensors[key], others[key]) for key in tensors if key.startswith("q.")]
    error = max(float(np.abs(a - b).max()) for a, b in pairs)
    print(f"resumed: {f'weights differ by at most {error:.1e}' if error else 'the same bits'}")
    return error < 1e-3


def recorded(agent: Any) -> str:
    """Name the functions of an agent that run as CUDA graphs."""
    graphs = {"acting": "_acting", "target": "_target", "gradients": "_gradients"}
    names = [name for name, field in graphs.items() if getattr(agent.backend, field).is_recorded]
    return f"CUDA graphs: {', '.join(names) or 'none'}"


# ---- 2 and 3 speed


def emulators(device: str, tiny: bool, seconds: float) -> None:
    """Print the steps per second of the emulators alone."""
    del device, seconds
    for games in (2,) if tiny else GAMES:
        alone = emulators_of(games)
        print(f"{games} games: {spread([alone() for _ in range(5)])} steps/s")


def emulators_of(games: int) -> Callable[[], float]:
    """Start emulators; returns a function that steps them and returns their steps per second."""
    from gridcade.experience.vector import make_vector, reset

    envs, steps = make_vector(GAME, games), 40
    reset(envs, list(range(games)))
    actions = np.zeros(games, dtype=np.int64)

    def run() -> float:
        start = time.perf_counter()
        for _ in range(steps):
            envs.step(actions)  # no game ends, because FIRE is never pressed
        return games * steps / (time.perf_counter() - start)

    return run


def pqn(device: str, tiny: bool, seconds: float) -> None:
    """Print the steps per second of training, and the milliseconds of each part."""
    del seconds
    from gridcade.experience.vector import make_vector

    for games in (2,) if tiny else GAMES:
        with as_accelerator(device):
            agent = make_pqn(games, device, rollout=2 if tiny else ROLLOUT)
        envs = make_vector(GAME, games)
        rollout = games * agent.config.rollout
        run_round = gridcade_round(agent, envs, 2 * rollout, 3 * rollout)
        alone = emulators_of(games)
        pairs = [(run_round(), alone()) for _ in range(3)]  # interleaved
        rates, shares = [rate for rate, _ in pairs], [rate / most for rate, most in pairs]
        print(
            f"{games} games, {agent.precision}: {spread(rates)} steps/s, "
            f"{statistics.median(shares):.0%} of the emulators alone; {recorded(agent)}"
        )
        spent: dict[str, float] = {}
        clock(spent, envs, "step_wait", "waiting for emulators")
        clock(spent, envs, "reset", "resets")
        clock(spent, agent, "act", "acting, including waiting for the device")
        clock(spent, agent, "observe", "storing")
        clock(spent, agent, "update", "learning, the host's part")
        rate = run_round()
        for name, total in spent.items():
            print(f"  {name:42s} {total / (2 * rollout) * 1000:.4f} ms per step")
        print(f"  {'all':42s} {1000 / rate:.4f} ms per step")
        envs.close()


def spread(rates: list[float]) -> str:
    """Format the median and the range of some rates."""
    return f"{statistics.median(rates):.0f} ({min(rates):.0f} to {max(rates):.0f})"


# ---- 4 stable-baselines3


def ppo(device: str, tiny: bool, seconds: float) -> None:
    """Print the steps per second of stable-baselines3's PPO."""
    del seconds
    import ale_py
    from stable_baselines3 import PPO
    from stable_baselines3.common.env_util import make_atari_env
    from stable_baselines3.common.vec_env import SubprocVecEnv, VecFrameStack

    gym.register_envs(ale_py)
    for games in (2,) if tiny else GAMES[:2]:
        envs = make_atari_env(
            f"{GAME}NoFrameskip-v4",
            n_envs=games,
            seed=0,
            vec_env_cls=SubprocVecEnv,
            # Forking is possible because the device has not been used yet.
            vec_env_kwargs={"start_method": "fork"},
        )
        model = PPO(
            "CnnPolicy",
            VecFrameStack(envs, 4),
            n_steps=ROLLOUT,
            batch_size=min(BATCH, games * ROLLOUT),
            n_epochs=2,
            policy_kwargs=sb3_policy("2013"),
            seed=0,
            device=device,
        )
        rates: list[float] = []
        for _ in range(2 if tiny else 4):
            start, before = time.perf_counter(), model.num_timesteps
            model.learn(games * ROLLOUT, reset_num_timesteps=False)
            rates.append((model.num_timesteps - before) / (time.perf_counter() - start))
        print(f"{games} games: {spread(rates[1:])} steps/s")  # the first round is a warm-up
        envs.close()


# ---- 5 score


def score(device: str, tiny: bool, seconds: float) -> None:
    """Train for the remaining seconds, and evaluate."""
    import gridcade
    from gridcade.training.trainer import Progress

    games = 2 if tiny else 128
    minutes = 0.05 if tiny else max(seconds - AFTER_TRAINING, 1) / 60
    options: dict[str, Any] = {"minibatches": max(games * ROLLOUT // BATCH, 1), "device": device}

    def report(progress: Progress) -> None:
        if (metrics := progress.metrics) is not None:
            print(
                f"{progress.seconds / 60:5.2f} minutes {metrics['steps']:9,} steps "
                f"{metrics['steps_per_second']:6,} steps/s, training return "
                f"{metrics.get('training_return_mean', np.nan):.1f}"
            )

    with TemporaryDirectory() as folder, as_accelerator(device):
        run = gridcade.train(
            "pqn",
            GAME,
            preset="two-core-pqn",
            hyperparameters=options,
            minutes=minutes,
            envs=games,
            epoch=256 if tiny else 262_144,
            evaluation_every=1_000_000,
            out=Path(folder, "run"),
            report=report,
        )
        print(gridcade.evaluate(run.path, episodes=2 if tiny else SCORED_GAMES))


PARTS: dict[Part, Callable[[str, bool, float], None]] = {
    "correctness": correctness,
    "emulators": emulators,
    "pqn": pqn,
    "ppo": ppo,
    "score": score,
}

if __name__ == "__main__":
    tyro.cli(main)
