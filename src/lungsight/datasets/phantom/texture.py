"""Smooth random fields, fixed to the patient rather than to the pixel grid."""

from __future__ import annotations

import cv2
import numpy as np

from lungsight.datasets.phantom.projection import Grid, Plane


def mottle(grid: Grid, rng: np.random.Generator, scale: float, octaves: int = 3) -> Plane:
    """Return noise with mean 0 and standard deviation near 1, its largest grains ``scale`` cm wide."""
    total = np.zeros(grid.shape, np.float32)
    power = 0.0
    lattices = np.random.default_rng(rng.integers(2**32))  # the caller's stream doesn't feel the pixel size
    for octave in range(octaves):
        grain = scale / 2**octave
        weight = 0.6**octave
        power += weight**2
        if grain < 1.5 * grid.pitch:
            continue
        lattice = lattices.standard_normal((int(60 / grain) + 4, int(60 / grain) + 4), dtype=np.float32)
        column, row = (grid.x + 30) / grain, (grid.y + 14) / grain
        total += weight * cv2.remap(lattice, column, row, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    return total * np.float32(1.4 / np.sqrt(power))
