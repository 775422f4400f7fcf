"""Opacities drawn into lungs, so that a network trained on clear ones also finds lungs that have gone white.

Pneumonia removes the contrast that shows a lung, up to its outline. So the grey under a smooth field is moved towards
that of the body between the lungs, and the mask stays as it was.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_FULL_STRENGTH = 0.95


def with_opacity(pixels: Floats, mask: Floats, rng: np.random.Generator) -> Floats:
    """``pixels`` [side, side] with an opacity in the lungs of ``mask`` [side, side], 0…1; unchanged without lungs."""
    if mask.max(initial=0.0) < 0.5:
        return pixels
    side = pixels.shape[0]
    # The edge of the disease isn't the lung's: now sharp, now blurred well beyond it.
    reach = cv2.GaussianBlur(mask, (0, 0), float(rng.uniform(0.005, 0.04)) * side)
    texture = 1 + float(rng.uniform(0, 0.5)) * _clouds(side, rng)
    share = np.clip(_where(mask, rng) * texture, 0, 1) * reach * float(rng.uniform(0.3, _FULL_STRENGTH))
    return np.asarray(pixels + share * (_dense(pixels, mask, rng) - pixels), dtype=np.float32)


def _where(mask: Floats, rng: np.random.Generator) -> Floats:
    """How much of the air is replaced, [side, side]: all of it, one side, from the bases up, or in patches."""
    side = mask.shape[0]
    rows, columns = np.nonzero(mask > 0.5)
    y, x = np.mgrid[:side, :side].astype(np.float32)
    kind = rng.choice(["all", "one side", "bases", "patches"], p=[0.15, 0.2, 0.25, 0.4])
    soft = float(rng.uniform(0.01, 0.08)) * side
    if kind == "all":
        return np.ones_like(mask)
    if kind == "one side":
        centre, towards = (columns.min() + columns.max()) / 2, rng.choice([-1.0, 1.0])
        return _rise(towards * (x - centre), soft)
    if kind == "bases":
        level = rng.uniform(rows.min(), rows.max())
        slope = rng.normal(0, 0.15)
        return _rise(y - level + slope * (x - side / 2), soft)
    return _patches(x, y, rows, columns, rng)


def _patches(
    x: Floats, y: Floats, rows: NDArray[np.intp], columns: NDArray[np.intp], rng: np.random.Generator
) -> Floats:
    side = x.shape[0]
    clear = np.ones_like(x)
    for index in rng.integers(len(rows), size=int(rng.integers(1, 9))):
        width, height = rng.uniform(0.03, 0.16, 2) * side
        distance = ((x - columns[index]) / width) ** 2 + ((y - rows[index]) / height) ** 2
        clear *= 1 - np.exp(-(distance**1.5)) if rng.random() < 0.5 else 1 - np.exp(-distance)
    return np.asarray(1 - clear, dtype=np.float32)


def _dense(pixels: Floats, mask: Floats, rng: np.random.Generator) -> float:
    """A grey of the body around and between the lungs."""
    rows, columns = np.nonzero(mask > 0.5)
    inside = np.s_[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    body = pixels[inside][mask[inside] < 0.1]
    return float(np.quantile(body, rng.uniform(0.3, 0.9))) if body.size else float(pixels.max())


def _rise(distance: Floats, soft: float) -> Floats:
    return np.asarray(1 / (1 + np.exp(np.clip(-distance / soft, -30, 30))), dtype=np.float32)


def _clouds(side: int, rng: np.random.Generator) -> Floats:
    """A smooth random field of about -1…1."""
    coarse = rng.normal(0, 0.6, (int(rng.integers(3, 20)),) * 2).astype(np.float32)
    return np.asarray(cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC), dtype=np.float32)
