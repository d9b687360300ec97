"""How fast DQN learns Breakout beside stable-baselines3's DQN, measured in one run.

    python benchmarks/dqn.py [--network 2013|2015] [--rounds N] [--sb3-envs N] [--json]

Both have the same network, Adam, Huber loss, batches of 32, one update every 4 decisions, a target
network and a replay of 100,000 frames, act with epsilon 0.1, and have 8 emulators, with which
stable-baselines3 is faster than with the one that it usually has (`--sb3-envs 1`). Each lives in a
process of its own and waits while the other has its round; medians over the rounds are given. Ours
runs PyTorch on one thread (and the target network, the large layer's optimiser and the emulators
on a second one), stable-baselines3's on two. Memory is each process's peak, with every page of its
replay touched beforehand.

The parts are timed in a further round of ours, by clocks around its methods; parts that run at the
same time on two cores add up to more than the whole. Beside them stand their limits: the emulators
alone, on one thread, and the matrix products of an update alone, in its precision.
"""

import json
import multiprocessing
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable
from typing import Annotated, Any, Literal

os.environ.setdefault("OMP_NUM_THREADS", "2")

import numpy as np
import tyro

GAME = "Breakout"
FRAMES = 100_000  # of replay
ENVS = 8  # emulators of ours
WARM = 2_000  # decisions before the first round
DECISIONS = 4_000  # a round
EPSILON = 0.1
ACTIONS = 4

Round = Callable[[], float]


def ours(network: Any) -> tuple[Round, Any, Any]:
    """A round of ours, in decisions a second; the agent and its emulators."""
    import torch

    from gridcade.agents.dqn import DQN, DQNConfig
    from gridcade.agents.replay import in_memory
    from gridcade.agents.schedule import Schedule
    from gridcade.experience import Experience, make_vector

    torch.set_num_threads(1)
    config = DQNConfig(
        network=network,
        replay_capacity=FRAMES,
        learn_start=1_000,
        target_every=10_000,
        epsilon=Schedule(EPSILON, EPSILON, 0),
        bfloat16=True,
    )
    envs = make_vector(GAME, ENVS)
    agent = DQN((4, 84, 84), np.uint8, 4, ACTIONS, config)
    agent.attach(ENVS, 0, in_memory)
    for array in (agent.replay.frames, agent.replay.actions, agent.replay.rewards):
        array[:] = 1
    steps = Experience(envs, seed=0).steps(agent)

    def play(decisions: int) -> float:
        end = agent.decisions + decisions
        began = time.perf_counter()
        while agent.decisions < end:
            next(steps)
        return decisions / (time.perf_counter() - began)

    play(WARM)
    return (lambda: play(DECISIONS)), agent, envs


def sb3(network: Any, envs: int) -> Round:
    """A round of stable-baselines3's DQN, in decisions a second."""
    import ale_py
    import gymnasium as gym
    import torch
    from stable_baselines3 import DQN
    from stable_baselines3.common.env_util import make_atari_env
    from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
    from stable_baselines3.common.vec_env import VecFrameStack

    from gridcade.agents.networks import network as mnihs

    torch.set_num_threads(2)
    gym.register_envs(ale_py)

    class Features(BaseFeaturesExtractor):
        """The same convolutions and hidden layer, on pixels."""

        def __init__(self, observation_space: Any):
            layers: Any = mnihs(network, (4, 84, 84), ACTIONS).children()
            first, *others, output = layers
            super().__init__(observation_space, output.in_features)
            plain = torch.nn.Conv2d(4, first.out_channels, 8, stride=4)  # on pixels, not on blocks
            self.layers = torch.nn.Sequential(plain, *others)

        def forward(self, observations: Any) -> Any:
            return self.layers(observations)

    game = VecFrameStack(make_atari_env(f"{GAME}NoFrameskip-v4", n_envs=envs, seed=0), 4)
    model = DQN(
        "CnnPolicy",
        game,
        learning_rate=0.00025,
        buffer_size=FRAMES,
        learning_starts=1_000,
        batch_size=32,
        train_freq=4 if envs == 1 else 1,
        gradient_steps=1 if envs == 1 else max(envs // 4, 1),
        target_update_interval=10_000,
        exploration_initial_eps=EPSILON,
        exploration_final_eps=EPSILON,
        policy_kwargs={"features_extractor_class": Features, "net_arch": []},
        seed=0,
    )
    assert model.replay_buffer is not None
    for array in (model.replay_buffer.observations, model.replay_buffer.next_observations):
        array[:] = 1

    def play(decisions: int) -> float:
        began = time.perf_counter()
        model.learn(decisions, reset_num_timesteps=False)
        return decisions / (time.perf_counter() - began)

    play(WARM)
    return lambda: play(DECISIONS)


def parts(network: Any, play: Round, agent: Any, envs: Any) -> dict[str, dict[str, float]]:
    """Milliseconds for each decision of ours, part by part, beside their limits."""
    spent: dict[str, float] = {}

    def clocked(owner: Any, method: str, part: str) -> None:
        plain = getattr(owner, method)

        def timed(*arguments: Any, **named: Any) -> Any:
            began = time.perf_counter()
            found = plain(*arguments, **named)
            spent[part] = spent.get(part, 0.0) + time.perf_counter() - began
            return found

        setattr(owner, method, timed)

    forward, target = "forward, with waiting for the target network", "target network, beside"
    large = "the large layer's gradient and optimiser, beside"
    rest = "backward, with the other layers' optimiser"
    clocked(envs, "step", "emulators, beside")
    clocked(envs, "reset", "resets, beside")
    clocked(agent, "act", "acting")
    clocked(agent, "observe", "storing")
    clocked(agent, "_sample", "sampling")
    clocked(agent, "_loss", forward)
    clocked(agent, "_next_values", target)
    clocked(agent._optimiser, "_change_large", large)
    clocked(agent, "_step", rest)
    rate = play()
    shares = {name: seconds / DECISIONS * 1000 for name, seconds in spent.items()}
    shares[rest] -= shares[forward]
    limits = {"emulators alone": emulators_alone(), "matrix products alone": products(network)}
    return {"ms_a_decision": shares | {"all": 1000 / rate}, "limits_ms_a_decision": limits}


def emulators_alone() -> float:
    """Milliseconds a decision of the emulators, on one thread, resets left out."""
    from gridcade.experience import make_vector, reset

    envs = make_vector(GAME, ENVS)
    reset(envs, list(range(ENVS)))
    actions = np.zeros(ENVS, dtype=np.int64)
    began = time.perf_counter()
    for _ in range(DECISIONS // ENVS):
        envs.step(actions)
    return (time.perf_counter() - began) / DECISIONS * 1000


def products(network: str) -> float:
    """Milliseconds a decision of an update's products: [rows, inner] x [inner, columns]."""
    import torch

    layers = {
        "2013": [(400, 256, 16), (81, 256, 32), (1, 2592, 256)],
        "2015": [(400, 256, 32), (81, 512, 64), (49, 576, 64), (1, 3136, 512)],
    }[network]
    torch.set_num_threads(1)
    total = 0.0
    for number, (rows, inner, columns) in enumerate(layers):
        passes = 4 if number else 3  # two forward, by weights, by inputs but for the first
        a = torch.randn(32 * rows, inner).bfloat16()
        b = torch.randn(inner, columns).bfloat16()
        rounds = []
        for _ in range(50):
            began = time.perf_counter()
            torch.mm(a, b)
            rounds.append(time.perf_counter() - began)
        total += passes * statistics.median(rounds)
    return total / 4 * 1000  # an update every four decisions


def live(pipe: Any, which: str, network: Any, envs: int) -> None:
    """A process: a round for each message, until told to end; then its peak memory in bytes."""
    agent = emulators = None
    if which == "ours":
        play, agent, emulators = ours(network)
    else:
        play = sb3(network, envs)
    while (asked := pipe.recv()) != "end":
        pipe.send(parts(network, play, agent, emulators) if asked == "parts" else play())
    pipe.send(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


def main(
    network: Annotated[Literal["2013", "2015"], tyro.conf.arg(help="Whose network.")] = "2013",
    rounds: Annotated[int, tyro.conf.arg(help="Rounds of each, interleaved.")] = 3,
    sb3_envs: Annotated[int, tyro.conf.arg(help="Emulators of stable-baselines3's.")] = 8,
    as_json: Annotated[bool, tyro.conf.arg(name="json", help="Print JSON.")] = False,
) -> None:
    """Measure both, and print."""
    context = multiprocessing.get_context("spawn")
    pipes, processes = {}, []
    for which in ("ours", "sb3"):
        pipes[which], end = context.Pipe()
        processes.append(context.Process(target=live, args=(end, which, network, sb3_envs)))
        processes[-1].start()
        end.close()  # so that a process that fails is noticed here

    def ask(which: str, what: str) -> Any:
        pipes[which].send(what)
        return pipes[which].recv()

    rates: dict[str, list[float]] = {"ours": [], "sb3": []}
    for which in rates:
        ask(which, "round")  # both are warm before the first round counts
    for number in range(rounds):
        for which, found in rates.items():
            found.append(ask(which, "round"))
        shown = ", ".join(f"{which} {found[-1]:.0f}" for which, found in rates.items())
        print(f"round {number + 1}: {shown} decisions/s", file=sys.stderr)
    timed = ask("ours", "parts")
    memory = {which: ask(which, "end") for which in rates}
    for process in processes:
        process.join()
    medians = {which: statistics.median(found) for which, found in rates.items()}
    pairs = [a / b for a, b in zip(rates["ours"], rates["sb3"], strict=True)]
    result = {
        "ours": medians["ours"],
        "sb3": medians["sb3"],
        "ratio": statistics.median(pairs),
        "ours_memory": memory["ours"],
        "sb3_memory": memory["sb3"],
        "parts": timed,
    }
    if as_json:
        print(json.dumps(result, indent=2))
        return
    for which, found in rates.items():
        span = f"{min(found):.0f} to {max(found):.0f}"
        gib = memory[which] / 2**30
        print(f"{which:5s} {medians[which]:6.0f} decisions/s ({span})   {gib:.2f} GiB at its peak")
    print(f"ratio {result['ratio']:.2f} ({min(pairs):.2f} to {max(pairs):.2f})")
    for title, table in timed.items():
        print(title.replace("_", " "))
        for name, value in table.items():
            print(f"  {name:46s} {value:.3f}")


if __name__ == "__main__":
    tyro.cli(main)
