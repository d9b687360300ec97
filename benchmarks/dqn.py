"""How fast DQN learns Breakout beside stable-baselines3's DQN, measured in one run.

    python benchmarks/dqn.py [--network 2013|2015] [--rounds N] [--sb3-envs N] [--json]

Both have the same network, Adam, Huber loss, batches of 32, one update every 4 steps, a target
network and a replay of 100,000 frames, act with epsilon 0.1, and have 8 emulators, with which
stable-baselines3 is faster than with the one that it usually has (`--sb3-envs 1`). Each lives in a
process of its own, on two processors, and waits while the other has its round; medians over the
rounds are given. Ours runs PyTorch on one thread (and the target network, the large layer's
optimiser and the emulators beside it), stable-baselines3's on two. Memory is each process's peak,
with every page of its replay touched beforehand.

The parts are timed in a further round of ours, by clocks around its methods; parts that run at the
same time on two cores add up to more than the whole. Beside them stand their limits: the emulators
alone, on one thread, and the matrix products of an update alone, in its precision.
"""

from functools import partial
from typing import Annotated, Any, Literal

import numpy as np
import tyro
from side_by_side import (
    GAME,
    Learner,
    Parts,
    clock,
    compare,
    emulators_alone,
    products,
    sb3,
    sb3_game,
    sb3_policy,
)
from side_by_side import ours as round_of_ours

FRAMES = 100_000  # of replay
ENVS = 8  # emulators of ours
BATCH = 32
EVERY = 4  # steps an update
WARM = 2_000  # steps before the first round
STEPS = 4_000  # a round
EPSILON = 0.1
ACTIONS = 4


def ours(network: Any) -> Learner:
    """Our DQN in its emulators."""
    from gridcade.agents.base import in_memory
    from gridcade.agents.deep import Spaces
    from gridcade.agents.dqn import DQN, DQNConfig
    from gridcade.agents.schedules import Schedule
    from gridcade.experience.vector import make_vector

    config = DQNConfig(
        network=network,
        replay_capacity=FRAMES,
        learn_start=1_000,
        update_every=EVERY,
        batch_size=BATCH,
        target_every=10_000,
        epsilon=Schedule(EPSILON, EPSILON, 0),
        bfloat16=True,
    )
    envs = make_vector(GAME, ENVS)
    agent = DQN(Spaces((4, 84, 84), np.uint8, 4, ACTIONS), config)
    agent.allocate(ENVS, 0, in_memory)
    for array in (agent.D.frames, agent.D.actions, agent.D.rewards):
        array[:] = 1
    play = round_of_ours(agent, envs, STEPS, WARM)

    def parts() -> Parts:
        spent: dict[str, float] = {}
        forward, target = "forward, with waiting for the target network", "target network, beside"
        rest = "backward, with the other layers' optimiser"
        clock(spent, envs, "step_wait", "waiting for the emulators")
        clock(spent, envs, "reset", "resets")
        clock(spent, agent, "act", "acting")
        clock(spent, agent, "observe", "storing")
        clock(spent, agent, "sample", "sampling")
        clock(spent, agent, "loss", forward)
        clock(spent, agent.backend, "_forward", target)
        large = "the large layer's gradient and optimiser, beside"
        clock(spent, agent.optimizer, "_update_large", large)
        clock(spent, agent, "learn", rest)
        rate = play()
        shares = {name: seconds / STEPS * 1000 for name, seconds in spent.items()}
        shares[rest] -= shares[forward]
        alone = products(network, BATCH, agent.precision)
        limits = {
            "emulators alone": emulators_alone(ENVS),
            "matrix products alone": (2 * alone["forward"] + alone["backward"]) / EVERY,
        }
        return {"ms_a_step": shares | {"all": 1000 / rate}, "limits_ms_a_step": limits}

    return Learner(play, parts)


def theirs(network: Any, envs: int) -> Learner:
    """stable-baselines3's DQN in as many emulators."""
    from stable_baselines3 import DQN

    model = DQN(
        "CnnPolicy",
        sb3_game(envs),
        learning_rate=0.00025,
        buffer_size=FRAMES,
        learning_starts=1_000,
        batch_size=BATCH,
        train_freq=EVERY if envs == 1 else 1,
        gradient_steps=1 if envs == 1 else max(envs // EVERY, 1),
        target_update_interval=10_000,
        exploration_initial_eps=EPSILON,
        exploration_final_eps=EPSILON,
        policy_kwargs=sb3_policy(network),
        seed=0,
    )
    assert model.replay_buffer is not None
    for array in (model.replay_buffer.observations, model.replay_buffer.next_observations):
        array[:] = 1
    return Learner(sb3(model, STEPS, WARM))


def main(
    network: Annotated[Literal["2013", "2015"], tyro.conf.arg(help="Whose network.")] = "2013",
    rounds: Annotated[int, tyro.conf.arg(help="Rounds of each, interleaved.")] = 3,
    sb3_envs: Annotated[int, tyro.conf.arg(help="Emulators of stable-baselines3's.")] = ENVS,
    as_json: Annotated[bool, tyro.conf.arg(name="json", help="Print JSON.")] = False,
) -> None:
    """Measure both, and print."""
    makers = {"ours": partial(ours, network), "sb3": partial(theirs, network, sb3_envs)}
    compare(makers, rounds, as_json)


if __name__ == "__main__":
    tyro.cli(main)
