"""Encodes observations of every kind as arrays for networks.

Environments give arrays, numbers, dicts and tuples. Networks take arrays, [n, ...]: images and
vectors as they are, and everything else flattened as `gymnasium.spaces.utils.flatten` does.
"""

from collections.abc import Iterator
from math import prod
from typing import Any, Literal, NamedTuple

import gymnasium as gym
import numpy as np

from gridcade.envs.types import Array, Space
from gridcade.errors import InputError, single_line

MAX_NUMBERS = 1_000_000  # largest size of an encoded observation
PICTURE_SIDE = 36  # pixels; images of this side or more suit the convolutions of Mnih et al.
SMALL_SIDE = 5  # cells; an array with a smaller side counts as a vector
BYTES = (np.dtype(np.uint8), np.dtype(np.bool_))


ImageKind = Literal["small", "picture"]


class Image(NamedTuple):
    """The shape of an image."""

    channels: int
    height: int  # pixels
    width: int  # pixels
    channels_last: bool


class Part(NamedTuple):
    """A part of an encoded observation: an array of the environment, or a one-hot vector."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    scale: float = 1.0  # divides the numbers, so that bytes become numbers from 0 to 1

    @property
    def image(self) -> Image | None:
        """The shape as an image; None if it is not the shape of an image."""
        return image_shape(self.shape)

    @property
    def image_kind(self) -> ImageKind | None:
        """`small`, or a `picture` of bytes; None if the part counts as a vector."""
        if self.image is None or (side := min(self.image[1:3])) < SMALL_SIDE:
            return None
        if side < PICTURE_SIDE:
            return "small"
        return "picture" if self.dtype == np.uint8 else None


class ArrayEncoder:
    """Encodes observations of a space as arrays.

    Observations of a Box with an axis are not changed. The parts of other observations follow each
    other in one vector, in the order of `gymnasium.spaces.utils.flatten`. Its type is uint8 if all
    parts are bytes, bools or one-hot vectors, else float32.

    Args:
        space: the space of one observation.

    Attributes:
        parts: the parts of an encoded observation, in order.
        shape: the shape of an encoded observation.
        dtype: the type of an encoded observation.

    Raises:
        InputError: a part of the space has no numbers, or there are too many.
    """

    def __init__(self, space: Space):
        self.space = space
        self.parts = tuple(_parts(space, "they are"))
        self._is_identity = isinstance(space, gym.spaces.Box) and bool(space.shape)
        if self._is_identity:
            self.shape, self.dtype, _ = self.parts[0]
            return
        size = sum(prod(part.shape) for part in self.parts)
        if size > MAX_NUMBERS:
            raise InputError(
                f"the observations are {single_line(space)}, which are {size} numbers for a "
                f"network; at most {MAX_NUMBERS} are possible"
            )
        only_bytes = all(part.dtype in BYTES for part in self.parts)
        self.shape, self.dtype = (size,), np.dtype(np.uint8 if only_bytes else np.float32)

    def __call__(self, observations: Any) -> Array:
        """Encode a batch, as vector environments give it.  [n, ...] -> [n, *shape]."""
        if self._is_identity:
            return np.asarray(observations)
        parts = list(_flatten(self.space, observations))
        return np.concatenate(parts, axis=1, dtype=self.dtype, casting="unsafe")


def image_shape(shape: tuple[int, ...]) -> Image | None:
    """Read a shape as an image: [channels, height, width] or [height, width, channels].

    Two equal axes are height and width. If no adjacent axes are equal, channels come last, unless
    the first axis has length 4 or less and is shorter than the last. None if there are not three
    axes.
    """
    if len(shape) != 3:
        return None
    first, middle, last = shape
    is_first = middle == last or (first != middle and first <= 4 and first < last)
    return Image(first, middle, last, False) if is_first else Image(last, first, middle, True)


def batch_size(observation: Any, space: Space) -> int | None:
    """Return the number of observations in a batch; None if `observation` is a single one."""
    while isinstance(space, gym.spaces.Dict | gym.spaces.Tuple):  # look at the first component
        key: Any = next(iter(space.keys())) if isinstance(space, gym.spaces.Dict) else 0
        observation, space = observation[key], space[key]
    return len(observation) if np.ndim(observation) > len(space.shape or ()) else None


def count_batch(observations: Any) -> int:
    """Return the number of observations in a batch."""
    while isinstance(observations, dict | tuple):
        parts = observations.values() if isinstance(observations, dict) else observations
        observations = next(iter(parts))
    return len(observations)


def as_batch(observation: Any) -> Any:
    """Make a batch of one observation, by an additional first axis of each array."""
    if isinstance(observation, dict):
        return {key: as_batch(part) for key, part in observation.items()}
    if isinstance(observation, tuple):
        return tuple(as_batch(part) for part in observation)
    return np.asarray(observation)[None]


def components(space: Space) -> list[tuple[Any, Space]] | None:
    """List keys and spaces of the components of a Dict or Tuple; None for other spaces."""
    if isinstance(space, gym.spaces.Dict):
        return list(space.spaces.items())
    return list(enumerate(space.spaces)) if isinstance(space, gym.spaces.Tuple) else None


def _parts(space: Space, name: str) -> Iterator[Part]:
    """Yield the parts of the encoded observations of a space; `name` is used in messages."""
    if (children := components(space)) is not None:
        for key, child in children:
            yield from _parts(child, f"their part {key!r} is")
    elif isinstance(space, gym.spaces.Box):
        dtype = np.dtype(space.dtype)
        high = float(space.high.max(initial=0)) if dtype == np.uint8 else 1.0
        yield Part(space.shape or (1,), dtype, high or 1.0)
    elif isinstance(space, gym.spaces.MultiBinary):
        yield Part((prod(space.shape),), np.dtype(np.uint8))
    elif isinstance(space, gym.spaces.Discrete | gym.spaces.MultiDiscrete):
        yield Part((int(np.sum(_sizes(space))),), np.dtype(np.uint8))
    else:
        raise InputError(
            f"the observations cannot become arrays: {name} {single_line(space)}; leave it out "
            "with a wrapper (gymnasium.wrappers.FilterObservation)"
        )


def _flatten(space: Space, observations: Any) -> Iterator[Array]:
    """Yield the parts of a batch, [n, numbers] each."""
    if (children := components(space)) is not None:
        for key, child in children:
            yield from _flatten(child, observations[key])
    elif isinstance(space, gym.spaces.Discrete | gym.spaces.MultiDiscrete):
        sizes = _sizes(space)
        numbers = (np.asarray(observations) - space.start).reshape(-1, sizes.size)
        one_hot = np.zeros((len(numbers), sizes.sum()), np.uint8)
        np.put_along_axis(one_hot, numbers + sizes.cumsum() - sizes, 1, axis=1)
        yield one_hot
    else:
        batch = np.asarray(observations)
        yield batch.reshape(len(batch), -1)


def _sizes(space: gym.spaces.Discrete | gym.spaces.MultiDiscrete) -> Array:
    """Return the number of values of each component."""
    sizes = space.nvec if isinstance(space, gym.spaces.MultiDiscrete) else space.n
    return np.asarray(sizes, dtype=np.int64).ravel()
