"""Shrinking of gray images by averaging areas, with the bits of OpenCV's INTER_AREA.

A pixel of the result is the mean of the pixels that it covers, those at its edges weighted by the
part that it covers. Many of these means lie halfway between two integers, so the sums are made in
OpenCV's order and in its precision (32 bits): first along rows, then along columns.
"""

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

Weights = tuple[NDArray[np.intp], NDArray[np.float32]]

LEAST_COVER = 1e-3  # a pixel of which less is covered is left out


def resize_area(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Shrink a gray image, [rows, columns] -> [height, width].

    Neither side may shrink by a whole factor, for which OpenCV sums in another order.
    """
    columns, column_weights = _weights(image.shape[1], width)
    rows, row_weights = _weights(image.shape[0], height)
    narrow = image[:, columns[0]] * column_weights[0]  # [rows, width]
    for index, weight in zip(columns[1:], column_weights[1:], strict=True):
        narrow += image[:, index] * weight
    small = narrow[rows[0]] * row_weights[0][:, None]  # [height, width]
    for index, weight in zip(rows[1:], row_weights[1:], strict=True):
        small += narrow[index] * weight[:, None]
    return np.asarray(np.rint(small), np.uint8)


@cache
def _weights(size: int, new_size: int) -> Weights:
    """Which of `size` pixels each new pixel averages, and their weights, [most, new_size] each.

    A new pixel that covers fewer than `most` is filled up with weights of 0.
    """
    scale = 1 / (new_size / size)
    covered: list[list[tuple[int, float]]] = []
    for i in range(new_size):
        start = i * scale
        end = start + scale
        width = min(scale, size - start)
        last = min(math.floor(end), size - 1)
        first = min(math.ceil(start), last)
        pixels = [(k, 1 / width) for k in range(first, last)]
        if first - start > LEAST_COVER:
            pixels.insert(0, (first - 1, (first - start) / width))
        if end - last > LEAST_COVER:
            pixels.append((last, min(end - last, 1.0, width) / width))
        covered.append(pixels)
    most = max(map(len, covered))
    padded = np.array([pixels + [(0, 0.0)] * (most - len(pixels)) for pixels in covered])
    indices, weights = padded.transpose(2, 1, 0)  # [most, new_size] each
    return indices.astype(np.intp), weights.astype(np.float32)
