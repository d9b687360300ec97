"""How fast PQN learns Breakout beside stable-baselines3's PPO, measured in one run.

    python benchmarks/pqn.py [--rounds N] [--json]

Both have the network of 2013 (ours layer-normalised), 64 emulators, rollouts of 32 steps, two
epochs of minibatches of 128. PPO is what stable-baselines3 has for many emulators; it has no PQN.
Each lives in a process of its own, on two processors, and waits while the other has its round. Ours
runs PyTorch on one thread, in bfloat16 where there are units for it, and the emulators beside it on
two; stable-baselines3's PyTorch has two.

The parts are timed in a further round of ours, by clocks around its methods; emulators and learning
run at the same time. Beside them stand their limits: the emulators alone, on two threads, and the
matrix products of the passes alone.
"""

from functools import partial
from typing import Annotated

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

ENVS = 64
ROLLOUT = 32
EPOCHS = 2
MINIBATCHES = 16  # an epoch
BATCH = ENVS * ROLLOUT // MINIBATCHES
WARM = 3 * ENVS * ROLLOUT  # steps before the first round
STEPS = 8 * ENVS * ROLLOUT  # a round
ACTIONS = 4


def ours() -> Learner:
    """Our PQN in its emulators."""
    from gridcade.agents.base import in_memory
    from gridcade.agents.deep import Spaces
    from gridcade.agents.pqn import PQN, PQNConfig
    from gridcade.agents.schedules import Schedule
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
    agent = PQN(Spaces((4, 84, 84), np.uint8, 4, ACTIONS), config)
    agent.allocate(ENVS, 0, in_memory)
    play = round_of_ours(agent, envs, STEPS, WARM)

    def parts() -> Parts:
        spent: dict[str, float] = {}
        clock(spent, envs, "step_wait", "waiting for the emulators")
        clock(spent, envs, "reset", "resets")
        clock(spent, agent, "act", "acting")
        clock(spent, agent, "observe", "storing")
        clock(spent, agent, "update", "learning")
        clock(spent, agent.optimizer, "step", "  of it the optimizer")
        rate = play()
        shares = {name: seconds / STEPS * 1000 for name, seconds in spent.items()}
        batch = products("2013", BATCH, agent.precision)
        once = {name: spent / BATCH for name, spent in batch.items()}
        limits = {
            "emulators alone": emulators_alone(ENVS),
            "matrix products of acting alone": once["forward"],
            "matrix products of learning alone": EPOCHS * (once["forward"] + once["backward"]),
        }
        return {"ms_a_step": shares | {"all": 1000 / rate}, "limits_ms_a_step": limits}

    return Learner(play, parts)


def theirs() -> Learner:
    """stable-baselines3's PPO in as many emulators."""
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
    return Learner(sb3(model, STEPS, WARM))


def main(
    rounds: Annotated[int, tyro.conf.arg(help="Rounds of each, interleaved.")] = 3,
    as_json: Annotated[bool, tyro.conf.arg(name="json", help="Print JSON.")] = False,
) -> None:
    """Measure both, and print."""
    compare({"ours": partial(ours), "sb3": partial(theirs)}, rounds, as_json)


if __name__ == "__main__":
    tyro.cli(main)
