"""Random seeds and generators: every purpose has its own, all derived from one run's seed."""

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from gridcade.errors import InputError

Purpose = Literal[
    "agent", "training", "evaluation", "pilot", "watching", "prediction", "validation"
]
PURPOSE_BITS = 3  # bits of an episode's seed that encode its purpose
SEED_LIMIT = 1 << 32  # seeds are smaller: stable-baselines3 accepts 32 bits, PyTorch 64


def check_seed(seed: int) -> None:
    """Check that a run's seed is an integer from 0 to SEED_LIMIT - 1.

    Raises:
        InputError: the seed is something else.
    """
    is_integer = isinstance(seed, int | np.integer) and not isinstance(seed, bool)
    if not (is_integer and 0 <= seed < SEED_LIMIT):
        raise InputError(f"seed is {seed}; it must be an integer from 0 to {SEED_LIMIT - 1}")


def episode_seed(seed: int, purpose: Purpose, env: int, episode: int) -> int:
    """Derive the seed of one episode from the run's seed.

    The lowest bits encode the purpose, so evaluation episodes never share a seed with training
    episodes.

    Args:
        seed: the run's seed.
        purpose: what the episode is for.
        env: index of the environment.
        episode: index of the episode in that environment.

    Returns:
        A seed of 31 bits; the Atari emulator accepts no more.
    """
    code = get_args(Purpose).index(purpose)
    random_bits = int(_seed_sequence(seed, code, env, episode).generate_state(1)[0])
    return (random_bits >> (PURPOSE_BITS + 1)) << PURPOSE_BITS | code


def stream(seed: int, purpose: Purpose, number: int = 0) -> np.random.Generator:
    """Create the random generator for a purpose; different numbers give different generators."""
    code = get_args(Purpose).index(purpose)
    return np.random.Generator(np.random.PCG64(_seed_sequence(seed, code, number)))


def episode_stream(seed: int) -> np.random.Generator:
    """Create the generator that samples a policy's actions in the episode with this seed.

    It differs from `default_rng(seed)`, which is the environment's own generator: actions sampled
    from the same numbers would be correlated with the transitions.
    """
    return np.random.Generator(np.random.PCG64(_seed_sequence(seed, 0)))


def _seed_sequence(seed: int, *key: int) -> np.random.SeedSequence:
    """Create a seed sequence that differs for every key and from that of `default_rng(seed)`.

    `SeedSequence([seed, *key])` does not: [seed, 0] and [seed, 0, 0] are equivalent to seed.
    """
    return np.random.SeedSequence(seed, spawn_key=key)


def pack(rng: np.random.Generator) -> NDArray[np.uint64]:
    """Save the state of a PCG64 generator as an array.  [6]."""
    state = rng.bit_generator.state
    numbers = [state["state"]["state"], state["state"]["inc"]]
    halves = [half for n in numbers for half in (n & (1 << 64) - 1, n >> 64)]
    return np.array([*halves, state["has_uint32"], state["uinteger"]], dtype=np.uint64)


def unpack(rng: np.random.Generator, packed: NDArray[np.uint64]) -> None:
    """Restore the state that `pack` saved."""
    state_low, state_high, inc_low, inc_high, has_uint32, uinteger = (int(n) for n in packed)
    rng.bit_generator.state = {
        "bit_generator": "PCG64",
        "state": {"state": state_low | state_high << 64, "inc": inc_low | inc_high << 64},
        "has_uint32": has_uint32,
        "uinteger": uinteger,
    }
