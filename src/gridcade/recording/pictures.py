"""Conversion of what environments render to pictures of one kind."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gridcade.errors import InputError

Picture = NDArray[np.uint8]  # [height, width, 3]

UNIT = 1.01  # floats up to here are on a scale from 0 to 1, with rounding errors; else to 255
GRAY, COLOR, COLOR_AND_ALPHA = 1, 3, 4  # channels


def to_picture(rendered: object) -> Picture:
    """Convert what `render` returned to a picture.

    Args:
        rendered: an array or nested lists, [height, width] or [height, width, channels], of
            integers from 0 to 255, floats from 0 to 1 or to 255, or bools. Of several pictures,
            the last one is taken, and channels may come first.

    Raises:
        InputError: `rendered` is something else.
    """
    if isinstance(rendered, list | tuple) and rendered and np.ndim(rendered[-1]) == COLOR:
        rendered = rendered[-1]  # as Gymnasium's rgb_array_list
    try:
        array: NDArray[Any] = np.asarray(rendered)
    except ValueError:  # rows of different lengths
        raise _no_picture("rows of different lengths") from None
    if array.dtype.kind not in "biuf":
        raise _no_picture("nothing" if rendered is None else f"a {type(rendered).__name__}")
    shape = array.shape
    if array.ndim == 4:
        array = array[-1]
    if array.ndim == 2:
        array = array[:, :, None]
    channels = (GRAY, COLOR, COLOR_AND_ALPHA)
    if array.ndim == 3 and array.shape[2] not in channels and array.shape[0] in channels:
        array = array.transpose(1, 2, 0)
    if array.ndim != 3 or array.shape[2] not in channels or not array.size:
        raise _no_picture(f"an array of shape {shape}")
    array = _bytes(array)
    if array.shape[2] == GRAY:
        return np.repeat(array, 3, axis=2)
    return np.ascontiguousarray(array[:, :, :3])


def _bytes(array: NDArray[Any]) -> NDArray[np.uint8]:
    """Convert brightness to integers from 0 to 255."""
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * 255
    array = np.nan_to_num(array)
    if array.dtype.kind == "f":
        array = np.rint(array * 255 if array.max() <= UNIT else array)
    return np.asarray(np.clip(array, 0, 255), dtype=np.uint8)


def _no_picture(found: str) -> InputError:
    return InputError(
        f"cannot draw this environment: `render` returned {found}; a picture is an array "
        "[height, width, 3] of integers from 0 to 255, or of floats from 0 to 1"
    )


def fit(picture: Picture, height: int, width: int) -> Picture:
    """Fit a picture into a size: shrink it if it is too large, and add black around it."""
    if picture.shape[:2] == (height, width):
        return picture
    if picture.shape[0] > height or picture.shape[1] > width:
        image = Image.fromarray(picture)
        image.thumbnail((width, height))
        picture = np.asarray(image)
    above, left = (height - picture.shape[0]) // 2, (width - picture.shape[1]) // 2
    fitted = np.zeros((height, width, 3), np.uint8)
    fitted[above : above + picture.shape[0], left : left + picture.shape[1]] = picture
    return fitted
