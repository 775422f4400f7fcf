"""Connected pieces of a small mask. By numpy: scipy or OpenCV would each add a quarter to what scanning installs, and
take longer to import than a radiograph to be judged."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Integers = NDArray[np.intp]


def connected_pieces(mask: Mask) -> tuple[Integers, int]:
    """The pieces of bool [height, width], numbered from 1 in the order of their first pixels, and how many they are.
    Pixels are neighbours by an edge, not by a corner."""
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
    around, _ = connected_pieces(~np.pad(mask, 1))
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
    """Of each run the first run of its piece: union-find with halved paths."""
    parents = list(range(count))

    def root(run: int) -> int:
        while parents[run] != run:
            parents[run] = parents[parents[run]]
            run = parents[run]
        return run

    for upper, lower in zip(above.tolist(), below.tolist(), strict=True):
        one, other = sorted((root(upper), root(lower)))
        parents[other] = one
    return np.array([root(run) for run in range(count)], dtype=np.intp)


def _envelope(rows: Integers, columns: Integers, at: Integers) -> NDArray[np.float64]:
    """The lower convex envelope of ``columns`` over ``rows``: one side of Andrew's monotone chain (1979)."""
    kept: list[tuple[int, int]] = []
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        while len(kept) > 1 and _turns_outward(kept[-2], kept[-1], (row, column)):
            kept.pop()
        kept.append((row, column))
    corners = np.array(kept)
    return np.interp(at, corners[:, 0], corners[:, 1])


def _turns_outward(a: tuple[int, int], b: tuple[int, int], c: tuple[int, int]) -> bool:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]) <= 0
