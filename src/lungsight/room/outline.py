"""The lungs as polygons, which a page can draw at any size."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: Corners nearer to the line between their neighbours than this part of the image are left out.
_FLAT = 0.003

Point = tuple[float, float]


def polygons(mask: NDArray[np.bool_]) -> list[list[list[float]]]:
    """The outlines of a mask, each a closed polygon of [x, y] in fractions 0…1 of the image.

    Args:
        mask: bool [rows, columns] over the whole image.
    """
    height, width = mask.shape
    loops = _loops(mask)
    scaled = [[(x / width, y / height) for x, y in loop] for loop in loops]
    return [[[round(x, 4), round(y, 4)] for x, y in _simplified(loop)] for loop in scaled]


def _loops(mask: NDArray[np.bool_]) -> list[list[tuple[int, int]]]:
    """The corners along each border between inside and outside, with the inside on the right."""
    padded = np.pad(mask, 1)
    inside, left, above = padded[1:, 1:], padded[1:, :-1], padded[:-1, 1:]
    following: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for borders, begin, end in (
        (inside & ~above, (0, 0), (1, 0)),
        (above & ~inside, (1, 0), (0, 0)),
        (inside & ~left, (0, 1), (0, 0)),
        (left & ~inside, (0, 0), (0, 1)),
    ):
        for y, x in np.argwhere(borders).tolist():
            following.setdefault((x + begin[0], y + begin[1]), []).append((x + end[0], y + end[1]))
    loops = []
    while following:
        start = next(iter(following))
        loop, at = [], start
        while at in following:
            loop.append(at)
            ahead = following[at]
            at = ahead.pop()
            if not ahead:
                del following[loop[-1]]
        loops.append(loop)
    return loops


def _simplified(loop: list[Point]) -> list[Point]:
    """The corners that matter (Douglas and Peucker 1973), of a closed loop split at its two farthest points."""
    points = np.array(loop)
    far = int(np.hypot(*(points - points[0]).T).argmax())
    kept = _kept(points[: far + 1])[:-1] + _kept(np.vstack([points[far:], points[:1]]))[:-1]
    return [(float(x), float(y)) for x, y in kept]


def _kept(points: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    if len(points) < 3:
        return list(points)
    keep = {0, len(points) - 1}
    stack = [(0, len(points) - 1)]
    while stack:
        first, last = stack.pop()
        if last - first < 2:
            continue
        along = points[last] - points[first]
        beside = points[first + 1 : last] - points[first]
        length = float(np.hypot(*along))
        distance = (
            np.abs(along[0] * beside[:, 1] - along[1] * beside[:, 0]) / length if length else np.hypot(*beside.T)
        )
        worst = int(distance.argmax())
        if distance[worst] > _FLAT:
            middle = first + 1 + worst
            keep.add(middle)
            stack += [(first, middle), (middle, last)]
    return [points[place] for place in sorted(keep)]
