"""Simulated sections: CT of trunk and head, MR of the brain and of a joint, ultrasound."""

from __future__ import annotations

import cv2
import numpy as np

from lungsight.datasets.ood_images.canvas import SIDE, field, stretched, word, write
from lungsight.datasets.ood_images.kinds import Floats, Kind, Radiographs, family


def _plane() -> tuple[Floats, Floats]:
    rows, columns = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    return (columns - SIDE / 2) / (SIDE / 2), (rows - SIDE / 2) / (SIDE / 2)


def _inside(centre: tuple[float, float], half: tuple[float, float], wobble: Floats) -> np.ndarray:
    x, y = _plane()
    inside: np.ndarray = ((x - centre[0]) / half[0]) ** 2 + ((y - centre[1]) / half[1]) ** 2 + wobble < 1
    return inside


@family(Kind.SLICE, name="trunk CT")
def trunk_ct(rng: np.random.Generator, radiographs: Radiographs) -> Floats:
    """An axial section of chest or abdomen: fat, organs, perhaps lungs, a vertebra, the table."""
    wobble = 0.06 * field(rng, 25)
    wide, high = rng.uniform(0.75, 0.98), rng.uniform(0.5, 0.75)
    drawn = np.zeros((SIDE, SIDE), np.float32)
    drawn[_inside((0, 0), (wide, high), wobble)] = 0.4
    drawn[_inside((0, 0), (wide - 0.08, high - 0.08), wobble)] = 0.6
    if rng.random() < 0.6:
        for side in (-1, 1):
            lung = _inside((side * wide * 0.46, -0.02), (wide * 0.33, high * 0.66), 2 * wobble)
            drawn[lung] = 0.08 + 0.1 * np.clip(field(rng, 1.5) - 1.3, 0, 3)[lung]
    else:
        for _ in range(int(rng.integers(4, 12))):
            place = (rng.uniform(-0.6, 0.6) * wide, rng.uniform(-0.6, 0.4) * high)
            organ = _inside(place, tuple(rng.uniform(0.05, 0.4, 2)), 3 * wobble) & (drawn > 0.5)
            drawn[organ] = rng.choice([0.05, 0.5, 0.65, 0.7, 0.8])
    drawn[_inside((0, high * 0.55), (0.14, 0.13), wobble)] = 0.95
    for angle in np.linspace(0, 2 * np.pi, int(rng.integers(8, 20))):
        place = ((wide - 0.12) * np.cos(angle), (high - 0.12) * np.sin(angle))
        drawn[_inside(place, (0.05, 0.03), wobble)] = 0.95
    if rng.random() < 0.7:
        x, y = _plane()
        drawn[np.abs(y - high - 0.08 - 0.15 * x**2) < 0.012] = 0.45
    return np.asarray(np.clip(drawn + rng.uniform(0.01, 0.06) * field(rng, 0.7), 0, 1), np.float32)


@family(Kind.SLICE)
def head(rng: np.random.Generator, radiographs: Radiographs) -> Floats:
    """A section of the head: skull, folded brain, ventricles, in the contrast of CT or of one of MR's weightings."""
    wobble = 0.05 * field(rng, 25)
    wide, high = rng.uniform(0.55, 0.75), rng.uniform(0.7, 0.9)
    scalp, skull, grey, white, water = rng.choice(
        [[0.6, 0.05, 0.5, 0.75, 0.1], [0.5, 0.1, 0.6, 0.4, 0.95], [0.3, 1.0, 0.45, 0.4, 0.2]]
    )
    drawn = np.zeros((SIDE, SIDE), np.float32)
    for shrink, shade in ((0, scalp), (0.05, skull), (0.1, water), (0.13, grey)):
        drawn[_inside((0, 0), (wide - shrink, high - shrink), wobble)] = shade
    folds = np.abs(field(rng, float(rng.uniform(3, 7))))
    drawn[_inside((0, 0), (wide - 0.15, high - 0.15), wobble) & (folds > 0.35)] = white
    drawn[_inside((0, 0), (wide - 0.15, high - 0.15), wobble) & (folds < 0.08)] = water
    for side in (-1, 1):
        drawn[_inside((side * 0.1, rng.normal(0, 0.04)), (0.06, 0.24), 2 * wobble)] = water
    drawn = np.asarray(cv2.GaussianBlur(drawn, (0, 0), float(rng.uniform(0.6, 1.8))), np.float32)
    return np.asarray(np.clip(drawn + rng.uniform(0.01, 0.06) * field(rng, 0.7), 0, 1), np.float32)


@family(Kind.SLICE)
def joint(rng: np.random.Generator, radiographs: Radiographs) -> Floats:
    """A knee, a spine or a pelvis as MR shows it: bright marrow with dark rims in grey muscle."""
    drawn = 0.3 + 0.12 * field(rng, 6) + 0.04 * field(rng, 1)
    for _ in range(int(rng.integers(2, 9))):
        place, half = tuple(rng.uniform(-0.7, 0.7, 2)), tuple(rng.uniform(0.08, 0.35, 2))
        wobble = 0.2 * field(rng, 12)
        drawn[_inside(place, half, wobble)] = 0.03
        drawn[_inside(place, (half[0] * 0.9, half[1] * 0.9), wobble)] = rng.uniform(0.6, 0.95)
    drawn[~_inside((0, 0), (rng.uniform(0.8, 1.6), rng.uniform(0.8, 1.6)), 0.1 * field(rng, 25))] = 0.0
    return stretched(drawn + 0.03 * field(rng, 0.8))


@family(Kind.SLICE)
def ultrasound(rng: np.random.Generator, radiographs: Radiographs) -> Floats:
    """A fan of speckle on black, with dark cysts and bright walls, and the machine's letters."""
    angle, depth = rng.uniform(0.4, 0.9), rng.uniform(1.4, 1.9)
    x, y = _plane()
    apex = -1 - rng.uniform(-0.1, 0.4)
    radius, turn = np.hypot(x, y - apex), np.arctan2(x, y - apex)
    fan = (np.abs(turn) < angle) & (radius < depth) & (radius > rng.uniform(0.05, 0.4))
    echo = 0.35 + 0.2 * field(rng, 14) + 0.08 * np.sin(radius * rng.uniform(10, 40))
    for _ in range(int(rng.integers(1, 6))):
        place, half = (rng.uniform(-0.5, 0.5), rng.uniform(-0.4, 0.6)), tuple(rng.uniform(0.08, 0.35, 2))
        wobble = 0.2 * field(rng, 14)
        echo = np.where(_inside(place, half, wobble), rng.uniform(0.5, 1), echo)
        echo = np.where(_inside(place, (half[0] * 0.88, half[1] * 0.88), wobble), rng.uniform(0, 0.2), echo)
    speckle = np.abs(field(rng, 1.0) + 1j * field(rng, 1.0))
    drawn = np.where(fan, np.clip(echo, 0, 1.2) * speckle, 0).astype(np.float32)
    drawn = np.ascontiguousarray(np.clip(drawn, 0, 1))
    for _ in range(int(rng.integers(0, 6))):
        column, row = (int(v) for v in rng.uniform(4, 230, 2))
        write(drawn, word(rng), (column, row), 0.9, 0.3, rng)
    return drawn
