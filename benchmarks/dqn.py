"""Compare the training speed of DQN with that of stable-baselines3's DQN on Breakout.

    python benchmarks/dqn.py [--network 2013|2015] [--rounds N] [--sb3-envs N] [--json]

Both use the same network, Adam, the Huber loss, batches of 32, one update every 4 steps, a target
network, a replay of 100,000 frames, epsilon 0.1 and 8 emulators. stable-baselines3 is faster with 8
emulators than with its usual single one (`--sb3-envs 1`). Each program runs in its own process, on
two processors, and waits during the rounds of the other. The results are medians over the rounds.
Gridcade runs PyTorch on one thread, and the target network, the optimizer of the large layer and
the emulators on further threads; stable-baselines3 runs PyTorch on two. Memory is the peak of each
process; the benchmark writes every page of the replay beforehand, so that the peak includes it.

A further round of Gridcade measures the time spent in each part. Some parts run at the same time on
two cores, so their sum exceeds the whole. The limits are lower bounds: the time of the emulators
alone, on one thread, and of the matrix products of an update alone, in its number format.
"""

from functools import partial
from typing import Annotated, Any, Literal

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

FRAMES = 100_000  # capacity of the replay
ENVS = 8  # emulators
BATCH = 32
UPDATE_EVERY = 4  # steps per update
WARMUP = 2_000  # steps before the first round
STEPS = 4_000  # per round
EPSILON = 0.1
ACTIONS = 4


def gridcade_dqn(network: Any) -> Learner:
    """Return Gridcade's DQN with its emulators."""
    from gridcade.agents.base import in_memory
    from gridcade.agents.deep import Spaces
    from gridcade.agents.dqn import DQN, DQNConfig
    from gridcade.agents.schedules import Schedule
    from gridcade.envs.observations import ArrayEncoder
    from gridcade.experience.vector import make_vector

    config = DQNConfig(
        network=network,
        replay_capacity=FRAMES,
        learn_start=1_000,
        update_every=UPDATE_EVERY,
        batch_size=BATCH,
        target_every=10_000,
        epsilon=Schedule(EPSILON, EPSILON, 0),
        bfloat16=True,
    )
    envs = make_vector(GAME, ENVS)
    frames = gym.spaces.Box(0, 255, (4, 84, 84), np.uint8)
    agent = DQN(Spaces(ArrayEncoder(frames), 4, ACTIONS), config)
    agent.allocate(ENVS, 0, in_memory)
    for array in (agent.D.frames, agent.D.actions, agent.D.rewards):
        array[:] = 1
    run_round = gridcade_round(agent, envs, STEPS, WARMUP)

    def parts() -> Parts:
        seconds: dict[str, float] = {}
        forward = "forward pass, including waiting for the target network"
        target = "target network, on another thread"
        rest = "backward pass, and optimizer of the other layers"
        clock(seconds, envs, "step_wait", "waiting for emulators")
        clock(seconds, envs, "reset", "resets")
        clock(seconds, agent, "act", "acting")
        clock(seconds, agent, "observe", "storing")
        clock(seconds, agent, "sample", "sampling")
        clock(seconds, agent, "loss", forward)
        clock(seconds, agent.backend, "_forward", target)
        large = "gradient and optimizer of the large layer, on another thread"
        clock(seconds, agent.optimizer, "_update_large", large)
        clock(seconds, agent, "learn", rest)
        rate = run_round()
        parts_ms = {name: total / STEPS * 1000 for name, total in seconds.items()}
        parts_ms[rest] -= parts_ms[forward]
        batch_ms = products(network, BATCH, agent.precision)
        limits = {
            "emulators alone": emulators_alone(ENVS),
            "matrix products alone": (2 * batch_ms["forward"] + batch_ms["backward"])
            / UPDATE_EVERY,
        }
        return {"ms_per_step": parts_ms | {"all": 1000 / rate}, "limits_ms_per_step": limits}

    return Learner(run_round, parts)


def sb3_dqn(network: Any, num_envs: int) -> Learner:
    """Return stable-baselines3's DQN with `num_envs` emulators."""
    from stable_baselines3 import DQN

    model = DQN(
        "CnnPolicy",
        sb3_game(num_envs),
        learning_rate=0.00025,
        buffer_size=FRAMES,
        learning_starts=1_000,
        batch_size=BATCH,
        train_freq=UPDATE_EVERY if num_envs == 1 else 1,
        gradient_steps=1 if num_envs == 1 else max(num_envs // UPDATE_EVERY, 1),
        target_update_interval=10_000,
        exploration_initial_eps=EPSILON,
        exploration_final_eps=EPSILON,
        policy_kwargs=sb3_policy(network),
        seed=0,
    )
    assert model.replay_buffer is not None
    for array in (model.replay_buffer.observations, model.replay_buffer.next_observations):
        array[:] = 1
    return Learner(sb3_round(model, STEPS, WARMUP))


def main(
    network: Annotated[
        Literal["2013", "2015"], tyro.conf.arg(help="Network: Mnih et al. 2013 or 2015.")
    ] = "2013",
    rounds: Annotated[int, tyro.conf.arg(help="Interleaved rounds of each program.")] = 3,
    sb3_envs: Annotated[
        int, tyro.conf.arg(help="Number of emulators of stable-baselines3.")
    ] = ENVS,
    as_json: Annotated[bool, tyro.conf.arg(name="json", help="Print JSON.")] = False,
) -> None:
    """Measure both programs and print the results."""
    makers = {"ours": partial(gridcade_dqn, network), "sb3": partial(sb3_dqn, network, sb3_envs)}
    compare(makers, rounds, as_json)


if __name__ == "__main__":
    tyro.cli(main)
