"""Random streams: every purpose its own, derived from a run's seed, and kept as tensors."""

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from gridcade.errors import InputError

Purpose = Literal[
    "agent", "training", "evaluation", "pilot", "watching", "prediction", "validation"
]
PURPOSE_BITS = 3
SEEDS = 1 << 32  # stable-baselines3 takes no more; PyTorch takes 64 bits


def check_seed(seed: int) -> None:
    """Raise InputError unless a seed is a whole number of 0 to SEEDS - 1."""
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise InputError(f"seed is {seed}; it takes a whole number, 0 or more")
    if seed >= SEEDS:
        raise InputError(f"seed is {seed}; it takes less than {SEEDS:,}")


def episode_seed(seed: int, purpose: Purpose, env: int, number: int) -> int:
    """The seed of an episode: 31 bits (emulators take no more), from its place in the run.

    The lowest bits name the purpose, so no two purposes ever share a seed: evaluation's episodes
    are disjoint from training's by construction, not by luck.
    """
    code = get_args(Purpose).index(purpose)
    drawn = int(_sequence(seed, code, env, number).generate_state(1)[0])
    return (drawn >> (PURPOSE_BITS + 1)) << PURPOSE_BITS | code


def stream(seed: int, purpose: Purpose, number: int = 0) -> np.random.Generator:
    """The random stream of a purpose."""
    code = get_args(Purpose).index(purpose)
    return np.random.Generator(np.random.PCG64(_sequence(seed, code, number)))


def episode_stream(seed: int) -> np.random.Generator:
    """The stream that a policy's actions are drawn from, in the episode of a seed.

    Not `default_rng(seed)`: that is the environment's own stream, draw for draw, and an action
    that knows the outcome to come is no policy.
    """
    return np.random.Generator(np.random.PCG64(_sequence(seed, 0)))


def _sequence(seed: int, *key: int) -> np.random.SeedSequence:
    """What streams are seeded by: another one for every key, and none of them `default_rng(seed)`.

    Not `SeedSequence([seed, *key])`: there [seed, 0] and [seed, 0, 0] are the same as seed.
    """
    return np.random.SeedSequence(seed, spawn_key=key)


def pack(rng: np.random.Generator) -> NDArray[np.uint64]:
    """The state of a PCG64 stream as six whole numbers."""
    state = rng.bit_generator.state
    numbers = [state["state"]["state"], state["state"]["inc"]]
    halves = [half for n in numbers for half in (n & (1 << 64) - 1, n >> 64)]
    return np.array([*halves, state["has_uint32"], state["uinteger"]], dtype=np.uint64)


def unpack(rng: np.random.Generator, packed: NDArray[np.uint64]) -> None:
    """Put a stream back where `pack` found it."""
    low, high, inc_low, inc_high, has, spare = (int(n) for n in packed)
    rng.bit_generator.state = {
        "bit_generator": "PCG64",
        "state": {"state": low | high << 64, "inc": inc_low | inc_high << 64},
        "has_uint32": has,
        "uinteger": spare,
    }
