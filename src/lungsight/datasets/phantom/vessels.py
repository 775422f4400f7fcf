"""Hila and the branching vessels of the lungs, tapering towards the chest wall."""

from __future__ import annotations

import numpy as np

from lungsight.datasets.phantom.anatomy import LEFT, RIGHT
from lungsight.datasets.phantom.patient import Acquisition, PhantomPatient
from lungsight.datasets.phantom.projection import Grid, Plane, ellipsoid, tubes

_HILUM = {RIGHT: (3.4, 10.6), LEFT: (3.7, 9.6)}  # the left hilum stands higher
_GENERATIONS = 6
#: Directions of the first branches: degrees from straight outward, positive is down; with their radius in cm.
_TRUNKS = (
    (-74, 0.40),
    (-52, 0.42),
    (-30, 0.34),
    (-8, 0.36),
    (14, 0.38),
    (34, 0.46),
    (52, 0.56),
    (68, 0.62),
    (82, 0.48),
)


def vessels(grid: Grid, patient: PhantomPatient, shot: Acquisition) -> Plane:
    """Path length through blood in the lungs, in cm."""
    rng = np.random.default_rng(patient.seed + 4)
    sag = 0.5 * (patient.inspiration + shot.breath)
    total = np.zeros(grid.shape, np.float32)
    for side in (RIGHT, LEFT):
        x, y = _HILUM[side]
        root = (side * x, y + sag)
        total += _tree(grid, rng, side, root)
        for _ in range(5):
            near = (root[0] + rng.normal(0, 0.5), root[1] + rng.normal(0.4, 1.0))
            total += ellipsoid(grid, near, (rng.uniform(0.35, 0.8), rng.uniform(0.4, 1.1)), 0.9, rng.uniform(0, 3))
    return total


def _tree(grid: Grid, rng: np.random.Generator, side: int, root: tuple[float, float]) -> Plane:
    """One lung's vessels, forking generation by generation."""
    trunks = np.array(_TRUNKS)
    angle = np.deg2rad(trunks[:, 0] + rng.normal(0, 6, len(trunks)))
    radius = trunks[:, 1] * rng.normal(1, 0.1, len(trunks))
    x, y = np.full(len(trunks), float(root[0])), np.full(len(trunks), float(root[1]))
    length = rng.uniform(2.2, 3.4, len(trunks)) + np.abs(np.sin(angle)) * 1.2
    total = np.zeros(grid.shape, np.float32)
    t = np.linspace(0, 1, 8)
    for _ in range(_GENERATIONS):
        turn = angle[:, None] + rng.normal(0, 0.22, len(angle))[:, None] * t
        step = length[:, None] / (len(t) - 1)
        path_x = x[:, None] + side * np.cumsum(np.cos(turn) * step, axis=1)
        path_y = y[:, None] + np.cumsum(np.sin(turn) * step, axis=1)
        taper = radius[:, None] * (1 - 0.2 * t)
        total += tubes(grid, np.stack([path_x, path_y, 0 * path_x], axis=2), taper)
        fork = rng.uniform(0.12, 0.55, (2, len(angle))) * np.array([[1], [-1]])
        angle = (turn[:, -1] + fork).ravel()
        x, y = np.tile(path_x[:, -1], 2), np.tile(path_y[:, -1], 2)
        radius = np.tile(radius, 2) * rng.uniform(0.55, 0.85, len(angle))
        length = np.tile(length, 2) * rng.uniform(0.55, 0.95, len(angle))
    return total
