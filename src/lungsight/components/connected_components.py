"""Connected components of a small mask.

By numpy: scipy or OpenCV would each add a quarter to what scanning installs, and take longer to import than one image
to be analysed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Integers = NDArray[np.intp]


def connected_components(mask: Mask) -> tuple[Integers, int]:
    """The components of bool [height, width], numbered from 1 by their first pixels, and their number.

    Pixels are neighbours by an edge, not by a corner.
    """
    height, width = mask.shape
    edges = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)  # of runs, row by row
    above, below = _touching(starts, ends, width + 1)
    _, numbers = np.unique(_roots(len(starts), above, below), return_inverse=True)
    steps = np.zeros(height * (width + 1), dtype=np.intp)
    steps[starts], steps[ends] = numbers + 1, -(numbers + 1)
    return np.cumsum(steps).reshape(height, width + 1)[:, :width], int(numbers.max(initial=-1)) + 1


def without_holes(mask: Mask) -> Mask:
    """What can't be reached from beyond the image counts as inside."""
    around, _ = connected_components(~np.pad(mask, 1))
    return np.asarray(around[1:-1, 1:-1] != around[0, 0], dtype=bool)


def hull_area(mask: Mask) -> int:
    """Pixels of the convex hull of bool [height, width] around the middles of its pixels."""
    rows = np.flatnonzero(mask.any(axis=1))
    seen = mask[rows]
    left = seen.argmax(axis=1)
    right = mask.shape[1] - 1 - seen[:, ::-1].argmax(axis=1)
    between = np.arange(rows[0], rows[-1] + 1)
    first, last = _envelope(rows, left, between), -_envelope(rows, -right, between)
    return int((np.floor(last + 1e-9) - np.ceil(first - 1e-9) + 1).sum())


def _touching(starts: Integers, ends: Integers, stride: int) -> tuple[Integers, Integers]:
    """Which runs lie above which: every pair that shares a column in neighbouring rows."""
    first = np.searchsorted(ends, starts - stride, side="right")
    beyond = np.searchsorted(starts, ends - stride, side="left")
    counts = np.maximum(beyond - first, 0)
    below = np.repeat(np.arange(len(starts)), counts)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return first[below] + within, below


def _roots(count: int, above: Integers, below: Integers) -> Integers:
    """Of each run the first run of its piece: union-find with halved paths. No parent comes after its child."""
    parents = list(range(count))
    for upper, lower in zip(above.tolist(), below.tolist(), strict=True):
        while (parent := parents[upper]) != upper:
            parents[upper] = upper = parents[parent]
        while (parent := parents[lower]) != lower:
            parents[lower] = lower = parents[parent]
        if upper < lower:
            parents[lower] = upper
        else:
            parents[upper] = lower
    for run, parent in enumerate(parents):
        parents[run] = parents[parent]
    return np.array(parents, dtype=np.intp)


def _envelope(rows: Integers, columns: Integers, at: Integers) -> NDArray[np.float64]:
    """The lower convex envelope of ``columns`` over ``rows``: one side of Andrew's monotone chain (1979)."""
    y: list[int] = []
    x: list[int] = []
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        while len(y) > 1 and (y[-1] - y[-2]) * (column - x[-2]) <= (x[-1] - x[-2]) * (row - y[-2]):
            y.pop()
            x.pop()
        y.append(row)
        x.append(column)
    return np.interp(at, y, x)
