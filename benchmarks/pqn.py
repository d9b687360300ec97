"""Compare the training speed of PQN with that of stable-baselines3's PPO on Breakout.

    python benchmarks/pqn.py [--rounds N] [--json]

Both use the network of 2013 (Gridcade's with layer normalization), 64 emulators, rollouts of 32
steps, and two epochs of minibatches of 128. stable-baselines3 has no PQN; PPO is its algorithm for
many emulators. Each program runs in its own process, on two processors, and waits during the rounds
of the other. Gridcade runs PyTorch on one thread, in bfloat16 if the CPU supports it, and the
emulators on two others; stable-baselines3 runs PyTorch on two.

A further round of Gridcade measures the time spent in each part; emulators and learning run at the
same time. The limits are lower bounds: the time of the emulators alone, on two threads, and of the
matrix products alone.
"""

from typing import Annotated

import gymnasium as gym
import numpy as np
import tyro
from side_by_side import (
    GAME,
    Learner,
    Parts,
    clock,
    compare,
    emulators_alone,
    gridcade_round,
    products,
    sb3_game,
    sb3_policy,
    sb3_round,
)

ENVS = 64  # emulators
ROLLOUT = 32  # steps
EPOCHS = 2  # per rollout
MINIBATCHES = 16  # per epoch
BATCH = ENVS * ROLLOUT // MINIBATCHES
WARMUP = 3 * ENVS * ROLLOUT  # steps before the first round
STEPS = 8 * ENVS * ROLLOUT  # per round
ACTIONS = 4


def gridcade_pqn() -> Learner:
    """Return Gridcade's PQN with its emulators."""
    from gridcade.agents.base import in_memory
    from gridcade.agents.deep import Spaces
    from gridcade.agents.pqn import PQN, PQNConfig
    from gridcade.agents.schedules import Schedule
    from gridcade.envs.observations import ArrayEncoder
    from gridcade.experience.vector import make_vector

    config = PQNConfig(
        network="2013",
        rollout=ROLLOUT,
        epochs=EPOCHS,
        minibatches=MINIBATCHES,
        epsilon=Schedule(0.1),
        bfloat16=True,
    )
    envs = make_vector(GAME, ENVS)
    frames = gym.spaces.Box(0, 255, (4, 84, 84), np.uint8)
    agent = PQN(Spaces(ArrayEncoder(frames), 4, ACTIONS), config)
    agent.allocate(ENVS, 0, in_memory)
    run_round = gridcade_round(agent, envs, STEPS, WARMUP)

    def parts() -> Parts:
        seconds: dict[str, float] = {}
        clock(seconds, envs, "step_wait", "waiting for emulators")
        clock(seconds, envs, "reset", "resets")
        clock(seconds, agent, "act", "acting")
        clock(seconds, agent, "observe", "storing")
        clock(seconds, agent, "update", "learning")
        clock(seconds, agent.optimizer, "step", "  including the optimizer")
        rate = run_round()
        parts_ms = {name: total / STEPS * 1000 for name, total in seconds.items()}
        batch_ms = products("2013", BATCH, agent.precision)
        step_ms = {name: ms / BATCH for name, ms in batch_ms.items()}
        limits = {
            "emulators alone": emulators_alone(ENVS),
            "matrix products of acting alone": step_ms["forward"],
            "matrix products of learning alone": EPOCHS
            * (step_ms["forward"] + step_ms["backward"]),
        }
        return {"ms_per_step": parts_ms | {"all": 1000 / rate}, "limits_ms_per_step": limits}

    return Learner(run_round, parts)


def sb3_ppo() -> Learner:
    """Return stable-baselines3's PPO with the same number of emulators."""
    from stable_baselines3 import PPO

    model = PPO(
        "CnnPolicy",
        sb3_game(ENVS),
        n_steps=ROLLOUT,
        batch_size=BATCH,
        n_epochs=EPOCHS,
        policy_kwargs=sb3_policy("2013"),
        seed=0,
    )
    return Learner(sb3_round(model, STEPS, WARMUP))


def main(
    rounds: Annotated[int, tyro.conf.arg(help="Interleaved rounds of each program.")] = 3,
    as_json: Annotated[bool, tyro.conf.arg(name="json", help="Print JSON.")] = False,
) -> None:
    """Measure both programs and print the results."""
    compare({"ours": gridcade_pqn, "sb3": sb3_ppo}, rounds, as_json)


if __name__ == "__main__":
    tyro.cli(main)
