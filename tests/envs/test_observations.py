"""Encoded observations equal those of Gymnasium's `flatten`, on random spaces."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.spaces.utils import flatten
from gymnasium.vector.utils import concatenate, create_empty_array
from hypothesis import given, settings
from hypothesis import strategies as st

from gridcade.envs.observations import (
    ArrayEncoder,
    as_batch,
    batch_size,
    count_batch,
    image_shape,
)
from gridcade.errors import InputError

shapes = st.lists(st.integers(1, 4), max_size=3).map(tuple)
starts = st.integers(-3, 3)
BOOL: Any = bool  # Gymnasium's annotation leaves it out
leaves = st.one_of(
    st.builds(spaces.Discrete, st.integers(1, 6), start=starts),
    st.builds(
        lambda n, s: spaces.MultiDiscrete(n, start=[s] * len(n)),
        st.lists(st.integers(1, 5), min_size=1, max_size=4),
        starts,
    ),
    st.just(spaces.MultiDiscrete(np.array([[2, 3], [4, 1]]))),
    st.builds(spaces.MultiBinary, st.one_of(st.integers(1, 4), st.just([2, 3]))),
    st.builds(lambda s: spaces.Box(-1, 1, s), shapes),
    st.builds(lambda s: spaces.Box(0, 255, s, np.uint8), shapes),
    st.builds(lambda s: spaces.Box(0, 1, s, BOOL), shapes),
    st.builds(lambda s: spaces.Box(-9, 9, s, np.int64), shapes),
)
any_space = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(lambda parts: spaces.Tuple(parts), st.lists(inner, min_size=1, max_size=3)),
        st.dictionaries(st.text("abc", min_size=1), inner, min_size=1, max_size=3).map(spaces.Dict),
    ),
    max_leaves=5,
)


@given(space=any_space, count=st.integers(1, 3), seed=st.integers(0, 99))
@settings(max_examples=200, deadline=None)
def test_observations_are_flattened_as_gymnasium_does(space: Any, count: int, seed: int) -> None:
    space.seed(seed)
    observations = [space.sample() for _ in range(count)]
    empty: Any = create_empty_array(space, count)
    batch = concatenate(space, observations, empty)
    encoder = ArrayEncoder(space)
    encoded = encoder(batch)
    assert encoded.shape == (count, *encoder.shape)
    assert encoded.dtype == encoder.dtype
    for row, observation in zip(encoded, observations, strict=True):
        expected: Any = flatten(space, observation)
        np.testing.assert_allclose(row.ravel(), expected, rtol=1e-6)
        alone = encoder(as_batch(observation))
        np.testing.assert_array_equal(alone[0], row)
        assert batch_size(observation, space) is None
    assert batch_size(batch, space) == count_batch(batch) == count


def test_bytes_bools_and_numbers_take_a_byte_each() -> None:
    small: dict[str, Any] = {"a": spaces.Box(0, 1, (7, 7, 20), np.uint8), "b": spaces.Discrete(4)}
    assert ArrayEncoder(spaces.Dict(small)).dtype == np.uint8
    assert ArrayEncoder(spaces.Dict({**small, "c": spaces.Box(0, 1, (2,))})).dtype == np.float32
    assert ArrayEncoder(spaces.Box(0, 1, (2,), np.float64)).dtype == np.float64


@pytest.mark.parametrize(
    ("shape", "image"),
    [
        ((4, 84, 84), (4, 84, 84, False)),
        ((84, 84, 3), (3, 84, 84, True)),
        ((7, 7, 21), (21, 7, 7, True)),
        ((21, 7, 7), (21, 7, 7, False)),
        ((5, 7, 21), (21, 5, 7, True)),
        ((9, 6, 4), (4, 9, 6, True)),
        ((3, 9, 6), (3, 9, 6, False)),
        ((210, 160, 3), (3, 210, 160, True)),
        ((84, 84), None),
    ],
)
def test_the_channels_of_an_image_are_found(
    shape: tuple[int, ...], image: tuple[Any, ...] | None
) -> None:
    assert image_shape(shape) == image


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (spaces.Text(9), "they are Text"),
        (spaces.Dict({"m": spaces.Tuple((spaces.Text(9),))}), "their part 0 is Text.*leave it out"),
        (spaces.Discrete(10**12), "1000000000000 numbers for a network; at most 1000000"),
    ],
)
def test_observations_that_cannot_be_arrays(space: gym.Space[Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ArrayEncoder(space)
