"""Random streams: kept and put back to the bit, and no two of them the same numbers."""

from collections import Counter
from itertools import product
from typing import get_args

import numpy as np
import pytest
import torch
from gymnasium.utils.seeding import np_random
from hypothesis import given
from hypothesis import strategies as st

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
STREAMS = 4000
seeds = st.integers(0, 1 << 70)
purposes = st.sampled_from(PURPOSES)
numbers = st.integers(0, 1 << 32)


def drawn(rng: np.random.Generator) -> list[float]:
    return [*rng.random(5).tolist(), *rng.integers(0, 1 << 20, 5, dtype=np.uint32).tolist()]


@given(seeds, purposes, st.integers(0, 20), st.integers(0, 3))
def test_a_stream_goes_on_from_where_it_was_packed(
    seed: int, purpose: Purpose, doubles: int, halves: int
) -> None:
    rng, other = stream(seed, purpose), stream(seed + 1, purpose, 7)
    rng.random(doubles)
    rng.integers(0, 1 << 20, halves, dtype=np.uint32)  # an odd number of these leaves a half over
    packed = pack(rng)
    expected = drawn(rng)
    unpack(other, packed)
    assert drawn(other) == expected
    assert (pack(other) == pack(rng)).all()


def test_a_half_that_was_left_over_is_packed_too() -> None:
    rng = stream(0, "agent")
    rng.integers(0, 1 << 20, dtype=np.uint32)
    assert rng.bit_generator.state["has_uint32"] == 1
    assert pack(rng)[4] == 1
    assert pack(rng).dtype == np.uint64


@given(seeds, purposes, numbers, numbers)
def test_an_episodes_seed_has_31_bits_and_names_its_purpose(
    seed: int, purpose: Purpose, env: int, number: int
) -> None:
    drawn_seed = episode_seed(seed, purpose, env, number)
    assert 0 <= drawn_seed < 1 << 31
    assert drawn_seed % (1 << PURPOSE_BITS) == PURPOSES.index(purpose)


def test_the_purposes_fit_their_bits() -> None:
    assert len(set(PURPOSES)) == len(PURPOSES) <= 1 << PURPOSE_BITS


@pytest.mark.parametrize("purpose", ["training", "evaluation"])
def test_the_episodes_of_a_run_have_seeds_of_their_own(purpose: Purpose) -> None:
    places = product(range(10), range(300))  # 28 random bits: 1.7 % of runs so long hold a pair
    counts = Counter(episode_seed(0, purpose, env, number) for env, number in places)
    assert len(counts) == 3000


def test_seeds_repeat_no_more_often_than_by_chance() -> None:
    size = 20_000
    distinct = {episode_seed(seed, "training", 0, 0) for seed in range(size)}
    pairs = size * size / 2 / (1 << 31 - PURPOSE_BITS)  # expected; 0.75
    assert size - len(distinct) <= pairs + 5 * pairs**0.5


@pytest.mark.parametrize("seed", [0, 1, 7, 1 << 31, 1 << 40])
def test_no_stream_is_that_of_an_environment_or_of_another_purpose(seed: int) -> None:
    firsts = [tuple(np.random.default_rng(seed).random(4)), tuple(episode_stream(seed).random(4))]
    firsts += [tuple(stream(seed, p, n).random(4)) for p in PURPOSES for n in range(3)]
    assert len(set(firsts)) == len(firsts)


@pytest.mark.parametrize("lag", [-1, 0, 1])
def test_an_episodes_actions_know_nothing_of_its_outcomes(lag: int) -> None:
    """Drawn from the environment's own stream, they made random swimmers earn five-fold."""
    seeds = [episode_seed(0, "evaluation", 0, k) for k in range(STREAMS)]
    actions = np.array([episode_stream(seed).random(3) for seed in seeds])
    outcomes = np.array([np_random(seed)[0].random(3) for seed in seeds])
    correlation = np.corrcoef(actions[:, 1], outcomes[:, 1 + lag])[0, 1]
    assert abs(correlation) < 4 / STREAMS**0.5


@pytest.mark.parametrize("lag", [-1, 0, 1])
@pytest.mark.parametrize("purpose", PURPOSES)
def test_a_streams_numbers_are_not_those_of_an_environment_with_its_seed(
    purpose: Purpose, lag: int
) -> None:
    own = np.array([stream(seed, purpose).random(3) for seed in range(STREAMS)])
    others = np.array([np_random(s)[0].random(3) for s in range(STREAMS)])
    correlation = np.corrcoef(own[:, 1], others[:, 1 + lag])[0, 1]
    assert abs(correlation) < 4 / STREAMS**0.5


def test_random_swimmers_earn_what_chance_gives() -> None:
    """The property itself, where the defect was seen."""
    env = make("RiverSwim")
    rewards = []
    for k in range(60):
        seed = episode_seed(0, "evaluation", 0, k)
        rng = episode_stream(seed)
        env.reset(seed=seed)
        rewards.append(sum(float(env.step(int(rng.random() < 0.5))[1]) for _ in range(300)))
    model = known_model(env)
    assert model is not None
    gain = solver.policy_value(model, np.full((6, 2), 0.5)).average_reward
    earned, spread = np.mean(rewards) / 300, np.std(rewards) / 300 / 60**0.5
    assert abs(earned - gain) < 4 * spread + 0.0005  # it starts at the left bank


def test_a_seed_is_one_that_every_library_takes() -> None:
    largest = 2**32 - 1
    check_seed(largest)
    torch.manual_seed(largest)
    np.random.RandomState(largest)
    with pytest.raises(InputError, match="it takes less than 4,294,967,296"):
        check_seed(largest + 1)


@pytest.mark.parametrize("seed", [-1, 0.5, True, "1", None])
def test_a_bad_seed_is_told(seed: object) -> None:
    with pytest.raises(InputError, match="it takes a whole number, 0 or more"):
        check_seed(seed)  # type: ignore[arg-type]
