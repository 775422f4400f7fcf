"""Radiographs of the chest that can't be analysed: cut off, blurred, drowned in noise, burnt out."""

from __future__ import annotations

import cv2
import numpy as np

from lungsight.datasets.ood_images.canvas import SIDE, field, squared, stretched, write
from lungsight.datasets.ood_images.kinds import Floats, Kind, Radiographs, family


@family(Kind.UNUSABLE, "broken")
def cropped(rng: np.random.Generator, radiographs: Radiographs) -> Floats:
    """A part that holds less than the two lungs: at most half of the width or of the height."""
    image = radiographs(rng)
    height, width = image.shape
    narrow, other = rng.uniform(0.2, 0.5), rng.uniform(0.2, 1.0)
    across, down = (narrow, other) if rng.random() < 0.6 else (other, narrow)
    columns, rows = max(16, int(width * across)), max(16, int(height * down))
    left, top = int(rng.uniform(0, width - columns)), int(rng.uniform(0, height - rows))
    part = image[top : top + rows, left : left + columns]
    if rng.random() < 0.3:  # the rest of the image blackened: collimated away, or masked out
        whole = np.full_like(image, float(rng.choice([0.0, 0.0, 1.0])))
        whole[top : top + rows, left : left + columns] = part
        return whole
    return np.ascontiguousarray(part)


@family(Kind.UNUSABLE, "broken")
def hidden(rng: np.random.Generator, radiographs: Radiographs) -> Floats:
    """A bar or a block over one lung or more."""
    image = squared(radiographs(rng))
    left = int(rng.choice([0.0, rng.uniform(0, 0.12), rng.uniform(0.42, 0.5)]) * SIDE)
    width = int(rng.uniform(0.45, 0.58) * SIDE)
    image[int(rng.uniform(0, 0.12) * SIDE) : int(rng.uniform(0.75, 1) * SIDE), left : left + width] = rng.random()
    return image


@family(Kind.UNUSABLE, "broken")
def blurred(rng: np.random.Generator, radiographs: Radiographs) -> Floats:
    """So heavily that neither ribs nor vessels are seen; by motion or out of focus."""
    image = squared(radiographs(rng))
    if rng.random() < 0.3:
        length = int(rng.uniform(40, 90))
        return np.asarray(cv2.blur(image, (length, 3) if rng.random() < 0.5 else (3, length)), np.float32)
    return np.asarray(cv2.GaussianBlur(image, (0, 0), float(rng.uniform(10, 24))), np.float32)


@family(Kind.UNUSABLE, "broken")
def noisy(rng: np.random.Generator, radiographs: Radiographs) -> Floats:
    """More noise than image."""
    image = squared(radiographs(rng))
    grain = field(rng, float(rng.choice([0.3, 0.8, 1.5])))
    return stretched(image * rng.uniform(0.05, 0.35) + rng.uniform(0.25, 0.5) * grain)


@family(Kind.UNUSABLE, "broken")
def burnt_out(rng: np.random.Generator, radiographs: Radiographs) -> Floats:
    """Over- or underexposed until the lungs are one flat shade, or posterised to two or three."""
    image = squared(radiographs(rng))
    style = rng.choice(["bright", "dark", "posterised"])
    if style == "posterised":
        levels = int(rng.integers(1, 3))
        return np.asarray(
            np.round(np.clip((image - 0.5) * rng.uniform(1, 4) + 0.5, 0, 1) * levels) / levels, np.float32
        )
    cut = float(np.quantile(image, rng.uniform(0.02, 0.12) if style == "bright" else rng.uniform(0.88, 0.98)))
    kept = np.minimum(image, cut) if style == "bright" else np.maximum(image, cut)
    return stretched(kept + 0.002 * rng.standard_normal(image.shape))


@family(Kind.UNUSABLE, "broken")
def shuffled(rng: np.random.Generator, radiographs: Radiographs) -> Floats:
    """A damaged file: bands shifted or tiles out of place."""
    image = squared(radiographs(rng))
    if rng.random() < 0.5:
        n = int(rng.integers(2, 5))
        tile = SIDE // n
        tiles = [image[r * tile : (r + 1) * tile, c * tile : (c + 1) * tile] for r in range(n) for c in range(n)]
        order = np.roll(rng.permutation(n * n), 1) if n == 2 else rng.permutation(n * n)
        return np.block([[tiles[order[r * n + c]] for c in range(n)] for r in range(n)]).astype(np.float32)
    band = int(rng.integers(4, 40))
    for top in range(0, SIDE, band):
        image[top : top + band] = np.roll(image[top : top + band], int(rng.integers(SIDE)), axis=1)
    return image


@family(Kind.UNUSABLE)
def blank(rng: np.random.Generator, radiographs: Radiographs) -> Floats:
    """An exposure of nothing: flat, with noise, uneven light, perhaps a collimator's edges and a letter."""
    drawn = rng.random() + rng.uniform(0, 0.3) * field(rng, 60)
    drawn = drawn + rng.uniform(0.001, 0.08) * field(rng, float(rng.uniform(0.3, 2)))
    drawn = np.ascontiguousarray(np.clip(drawn, 0, 1), dtype=np.float32)
    if rng.random() < 0.4:
        edges = rng.integers(0, 60, 4)
        drawn[: edges[0]] = drawn[SIDE - edges[1] :] = 0.0
        drawn[:, : edges[2]] = drawn[:, SIDE - edges[3] :] = 0.0
    if rng.random() < 0.5:
        write(drawn, "R" if rng.random() < 0.5 else "L", (20, 40), 1.0, 1.2, rng, 2)
    return drawn
