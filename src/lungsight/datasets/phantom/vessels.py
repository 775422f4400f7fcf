"""Hila and the branching vessels of the lungs, tapering towards the chest wall."""

from __future__ import annotations

import numpy as np

from lungsight.datasets.phantom.anatomy import LEFT, RIGHT
from lungsight.datasets.phantom.patient import Acquisition, PhantomPatient
from lungsight.datasets.phantom.projection import Grid, Plane, ellipsoid, tubes

_HILUM = {RIGHT: (3.4, 10.6), LEFT: (3.7, 9.6)}  # the left hilum stands higher
_GENERATIONS = 5
#: Arteries and veins: how far below the hilum they spring, in cm, and their radius relative to the arteries'.
_TREES = ((0.0, 0.9), (1.8, 0.7))
#: Directions of the first branches, in degrees from straight outward (positive is down), and their radii in cm.
_DIRECTIONS = (-74, -52, -30, -8, 14, 34, 52, 68, 82)
_RADII = (0.40, 0.42, 0.34, 0.36, 0.38, 0.46, 0.56, 0.62, 0.48)
#: Lying, the vessels of the upper lobes are as wide as those of the lower ones.
_UPPER_IN_BED = 1.3


def vessels(grid: Grid, patient: PhantomPatient, shot: Acquisition) -> Plane:
    """Return the path length through blood in the lungs, in cm."""
    rng = np.random.default_rng(patient.seed + 4)
    sag = 0.5 * (patient.inspiration + shot.breath)
    total = _trees(grid, rng, sag, _UPPER_IN_BED if shot.supine else 1.0)
    for side in (RIGHT, LEFT):
        x, y = _HILUM[side]
        for _ in range(5):
            near = (side * x + rng.normal(0, 0.5), y + sag + rng.normal(0.4, 1.0))
            total += ellipsoid(grid, near, (rng.uniform(0.35, 0.8), rng.uniform(0.4, 1.1)), 0.9, rng.uniform(0, 3))
    return total


def _trees(grid: Grid, rng: np.random.Generator, sag: float, upper: float) -> Plane:
    """Arteries and, from lower down and thinner, veins of both lungs, forking generation by generation.

    Vessels that run upward are ``upper`` times as wide.
    """
    stems = [(side, x, y + sag + lower, share) for side, (x, y) in _HILUM.items() for lower, share in _TREES]
    side, x, y, share = (np.repeat(column, len(_RADII)) for column in np.array(stems).T)
    direction, radius = (np.tile(column, len(stems)) for column in (_DIRECTIONS, _RADII))
    x *= side
    angle = np.deg2rad(direction + rng.normal(0, 7, len(side)))
    radius = radius * share * rng.normal(1, 0.1, len(side)) * np.where(direction < 0, upper, 1.0)
    length = rng.uniform(2.2, 3.4, len(side)) + np.abs(np.sin(angle)) * 1.2
    total = np.zeros(grid.shape, np.float32)
    t = np.linspace(0, 1, 8)
    for _ in range(_GENERATIONS):
        turn = angle[:, None] + rng.normal(0, 0.4, len(angle))[:, None] * t
        step = length[:, None] / (len(t) - 1)
        path_x = x[:, None] + side[:, None] * np.cumsum(np.cos(turn) * step, axis=1)
        path_y = y[:, None] + np.cumsum(np.sin(turn) * step, axis=1)
        total += tubes(grid, np.stack([path_x, path_y, 0 * path_x], axis=2), radius[:, None] * (1 - 0.2 * t))
        fork = rng.uniform(0.12, 0.55, (2, len(angle))) * np.array([[1], [-1]])
        angle = (turn[:, -1] + fork).ravel()
        side, x, y = np.tile(side, 2), np.tile(path_x[:, -1], 2), np.tile(path_y[:, -1], 2)
        radius = np.tile(radius, 2) * rng.uniform(0.55, 0.85, len(angle))
        length = np.tile(length, 2) * rng.uniform(0.55, 0.95, len(angle))
    return total
