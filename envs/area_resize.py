"""Shrinks gray images by averaging areas, bit for bit as OpenCV's INTER_AREA does.

A pixel of the result is the mean of the pixels that it covers; a pixel that it covers in part has a
smaller weight. Many of these means lie halfway between two integers, so the sums have OpenCV's
order, first along rows, then along columns, and OpenCV's precision of 32 bits.
"""

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

Weights = tuple[NDArray[np.intp], NDArray[np.float32]]

LEAST_COVER = 1e-3  # a pixel is left out if a smaller part of it is covered


def resize_area(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Shrink a gray image, [rows, columns] -> [height, width].

    Neither side may shrink by an integer factor, because OpenCV then sums in another order.
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
    """Find the pixels that each new pixel averages, and their weights.  [most, new_size] each.

    A new pixel that covers fewer than `most` pixels has weights of 0 at the end.
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
