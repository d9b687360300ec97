"""Random streams: saved and restored exactly, and independent of each other."""

from collections import Counter
from itertools import product
from typing import get_args

import numpy as np
import pytest
import torch
from gymnasium.utils.seeding import np_random
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from gridcade.envs.registry import known_model, make
from gridcade.errors import InputError
from gridcade.exact import solver
from gridcade.seeding import (
    PURPOSE_BITS,
    Purpose,
    check_seed,
    episode_seed,
    episode_stream,
    pack,
    stream,
    unpack,
)

PURPOSES: tuple[Purpose, ...] = get_args(Purpose)
Floats = NDArray[np.float64]
STREAMS = 2000
seeds = st.integers(0, 1 << 70)
purposes = st.sampled_from(PURPOSES)
numbers = st.integers(0, 1 << 32)


def drawn(rng: np.random.Generator) -> list[float]:
    return [*rng.random(5).tolist(), *rng.integers(0, 1 << 20, 5, dtype=np.uint32).tolist()]


@given(seeds, purposes, st.integers(0, 20), st.integers(0, 3))
def test_an_unpacked_stream_continues_where_it_was_packed(
    seed: int, purpose: Purpose, doubles: int, halves: int
) -> None:
    rng, other = stream(seed, purpose), stream(seed + 1, purpose, 7)
    rng.random(doubles)
    rng.integers(0, 1 << 20, halves, dtype=np.uint32)  # an odd number leaves half of 64 bits unused
    packed = pack(rng)
    expected = drawn(rng)
    unpack(other, packed)
    assert drawn(other) == expected
    assert (pack(other) == pack(rng)).all()


def test_unused_bits_are_packed_as_well() -> None:
    rng = stream(0, "agent")
    rng.integers(0, 1 << 20, dtype=np.uint32)
    assert rng.bit_generator.state["has_uint32"] == 1
    assert pack(rng)[4] == 1
    assert pack(rng).dtype == np.uint64


@given(seeds, purposes, numbers, numbers)
def test_an_episode_seed_has_31_bits_and_encodes_its_purpose(
    seed: int, purpose: Purpose, env: int, episode: int
) -> None:
    drawn_seed = episode_seed(seed, purpose, env, episode)
    assert 0 <= drawn_seed < 1 << 31
    assert drawn_seed % (1 << PURPOSE_BITS) == PURPOSES.index(purpose)


def test_the_purposes_fit_into_their_bits() -> None:
    assert len(set(PURPOSES)) == len(PURPOSES) <= 1 << PURPOSE_BITS


@pytest.mark.parametrize("purpose", ["training", "evaluation"])
def test_the_episodes_of_a_run_have_different_seeds(purpose: Purpose) -> None:
    places = product(range(10), range(300))  # 28 random bits: no collision is likely
    counts = Counter(episode_seed(0, purpose, env, number) for env, number in places)
    assert len(counts) == 3000


def test_seeds_collide_no_more_often_than_by_chance() -> None:
    size = 20_000
    distinct = {episode_seed(seed, "training", 0, 0) for seed in range(size)}
    pairs = size * size / 2 / (1 << 31 - PURPOSE_BITS)  # expected; 0.75
    assert size - len(distinct) <= pairs + 5 * pairs**0.5


@pytest.mark.parametrize("seed", [0, 1, 7, 1 << 31, 1 << 40])
def test_streams_differ_from_those_of_environments_and_other_purposes(seed: int) -> None:
    firsts = [tuple(np.random.default_rng(seed).random(4)), tuple(episode_stream(seed).random(4))]
    firsts += [tuple(stream(seed, p, n).random(4)) for p in PURPOSES for n in range(3)]
    assert len(set(firsts)) == len(firsts)


@pytest.fixture(scope="module")
def environment_draws() -> Floats:
    """Three numbers from the generator of an environment reset with each seed.  [STREAMS, 3]."""
    return np.array([np_random(seed)[0].random(3) for seed in range(STREAMS)])


def assert_uncorrelated(ours: Floats, environments: Floats) -> None:
    """Check the second number of ours against each number of the environments'."""
    correlations = [np.corrcoef(ours[:, 1], environments[:, k])[0, 1] for k in range(3)]
    assert np.abs(correlations).max() < 4 / STREAMS**0.5


def test_actions_are_uncorrelated_with_the_transitions_of_their_episode() -> None:
    """Actions drawn from the environment's own generator increased a random policy's reward."""
    seeds = [episode_seed(0, "evaluation", 0, k) for k in range(STREAMS)]
    actions = np.array([episode_stream(seed).random(3) for seed in seeds])
    transitions = np.array([np_random(seed)[0].random(3) for seed in seeds])
    assert_uncorrelated(actions, transitions)


@pytest.mark.parametrize("purpose", PURPOSES)
def test_streams_are_uncorrelated_with_an_environment_of_the_same_seed(
    purpose: Purpose, environment_draws: Floats
) -> None:
    draws = np.array([stream(seed, purpose).random(3) for seed in range(STREAMS)])
    assert_uncorrelated(draws, environment_draws)


def test_a_random_policy_earns_its_exact_average_reward() -> None:
    """In RiverSwim, where correlated actions once increased the reward five-fold."""
    env = make("RiverSwim")
    rewards = []
    for k in range(60):
        seed = episode_seed(0, "evaluation", 0, k)
        rng = episode_stream(seed)
        env.reset(seed=seed)
        rewards.append(sum(float(env.step(int(rng.random() < 0.5))[1]) for _ in range(300)))
    model = known_model(env)
    assert model is not None
    average_reward = solver.policy_value(model, np.full((6, 2), 0.5)).average_reward
    earned, spread = np.mean(rewards) / 300, np.std(rewards) / 300 / 60**0.5
    assert abs(earned - average_reward) < 4 * spread + 0.0005  # episodes start at the left bank


def test_every_library_accepts_the_largest_seed() -> None:
    largest = 2**32 - 1
    check_seed(largest)
    torch.manual_seed(largest)
    np.random.RandomState(largest)
    with pytest.raises(InputError, match="it must be an integer from 0 to 4294967295"):
        check_seed(largest + 1)


@pytest.mark.parametrize("seed", [-1, 0.5, True, "1", None])
def test_an_invalid_seed_is_an_input_error(seed: object) -> None:
    with pytest.raises(InputError, match="it must be an integer from 0 to 4294967295"):
        check_seed(seed)  # type: ignore[arg-type]
