"""Changes to an image and its lung mask before the lung segmentation is trained on them.

All draws come from one generator, so a resumed training sees what it would have seen.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from lungsight.training.lung_segmentation.recipe import LungAugmentation
from lungsight.training.lung_segmentation.simulated_opacity import with_opacity

Floats = NDArray[np.float32]
Pair = tuple[Floats, Floats]


def augment(pixels: Floats, mask: Floats, amount: LungAugmentation, rng: np.random.Generator) -> Pair:
    """Both float32 [side, side] in 0…1; what moves the image moves the mask."""
    pixels, mask = _moved(pixels, mask, amount, rng)
    if rng.random() < amount.opacity:
        pixels = with_opacity(pixels, mask, rng)
    pixels = _exposed(pixels, amount, rng)
    pixels = _degraded(pixels, amount, rng)
    if rng.random() < amount.cut_outs:
        pixels = _with_cut_outs(pixels, rng)
    if rng.random() < amount.letters:
        pixels = _with_letters(pixels, rng)
    if rng.random() < amount.invert:
        pixels = 1 - pixels
    if rng.random() < amount.borders:
        pixels, mask = _framed(pixels, mask, rng)
    return np.clip(pixels, 0, 1).astype(np.float32), mask


def _moved(pixels: Floats, mask: Floats, amount: LungAugmentation, rng: np.random.Generator) -> Pair:
    side = pixels.shape[0]
    angle = np.deg2rad(rng.uniform(-amount.rotate, amount.rotate))
    zoom = np.exp(rng.uniform(-amount.zoom, amount.zoom))
    squash = np.exp(rng.uniform(-amount.squash, amount.squash) / 2)
    flip = -1.0 if rng.random() < amount.flip else 1.0
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = np.diag([zoom * squash, zoom / squash]) @ turn @ np.diag([flip, 1.0])
    middle = np.full(2, (side - 1) / 2)
    offset = middle + rng.uniform(-amount.shift, amount.shift, 2) * side - matrix @ middle
    affine = np.column_stack([matrix, offset])
    # Beyond the image: mostly black, sometimes its outermost grey extended.
    beyond = cv2.BORDER_REPLICATE if rng.random() < 0.3 else cv2.BORDER_CONSTANT
    grey = float(rng.random()) if rng.random() < 0.2 else 0.0
    moved = cv2.warpAffine(pixels, affine, (side, side), borderMode=beyond, borderValue=grey)
    lungs = cv2.warpAffine(mask, affine, (side, side), borderMode=cv2.BORDER_CONSTANT, borderValue=0.0)
    return _floats(moved), _floats(lungs)


def _exposed(pixels: Floats, amount: LungAugmentation, rng: np.random.Generator) -> Floats:
    side = pixels.shape[0]
    exposed = np.clip(pixels, 0, 1) ** np.exp(rng.uniform(-amount.gamma, amount.gamma))
    contrast = 1 + rng.uniform(-amount.contrast, amount.contrast)
    brightness = rng.uniform(-0.15, 0.15) * amount.contrast
    x, y = np.linspace(-1, 1, side)[None, :], np.linspace(-1, 1, side)[:, None]
    across, down = rng.uniform(-amount.light, amount.light, 2) / 2
    light = 1 + across * x + down * y
    return np.asarray(np.clip((exposed - 0.5) * contrast + 0.5 + brightness, 0, 1) * light, dtype=np.float32)


def _degraded(pixels: Floats, amount: LungAugmentation, rng: np.random.Generator) -> Floats:
    side = pixels.shape[0]
    if amount.coarsen and rng.random() < 0.3:
        small = max(16, round(side * (1 - rng.uniform(0, amount.coarsen))))
        coarse = cv2.resize(pixels, (small, small), interpolation=cv2.INTER_AREA)
        pixels = _floats(cv2.resize(coarse, (side, side), interpolation=cv2.INTER_LINEAR))
    if amount.blur and rng.random() < 0.3:
        pixels = _floats(cv2.GaussianBlur(pixels, (0, 0), max(float(rng.uniform(0, amount.blur)), 0.1)))
    if amount.noise and rng.random() < 0.5:
        noise = rng.standard_normal(pixels.shape, dtype=np.float32)
        pixels = pixels + np.float32(rng.uniform(0, amount.noise)) * noise
    return pixels


def _with_cut_outs(pixels: Floats, rng: np.random.Generator) -> Floats:
    side = pixels.shape[0]
    cut = pixels.copy()
    for _ in range(int(rng.integers(1, 4))):
        height, width = (rng.uniform(0.04, 0.25, 2) * side).astype(int)
        top, left = rng.integers(0, side - height), rng.integers(0, side - width)
        cut[top : top + height, left : left + width] = rng.random()
    return cut


def _with_letters(pixels: Floats, rng: np.random.Generator) -> Floats:
    """Side markers, annotations, lines and arrows, white or black, anywhere."""
    side = pixels.shape[0]
    drawn = np.round(np.clip(pixels, 0, 1) * 255).astype(np.uint8)  # OpenCV writes on bytes only
    for _ in range(int(rng.integers(1, 5))):
        start = tuple(int(v) for v in rng.integers(0, side, 2))
        grey = 255 if rng.random() < 0.8 else 0
        if rng.random() < 0.6:
            text = "".join(rng.choice(list("LRAPSUEINT0123456789 "), size=int(rng.integers(1, 9))))
            cv2.putText(
                drawn, text, start, cv2.FONT_HERSHEY_SIMPLEX, float(rng.uniform(0.002, 0.005)) * side, grey, 1
            )
        else:
            end = tuple(int(v) for v in rng.integers(0, side, 2))
            cv2.line(drawn, start, end, grey, int(rng.integers(1, 3)))
    return drawn.astype(np.float32) / np.float32(255)


def _framed(pixels: Floats, mask: Floats, rng: np.random.Generator) -> Pair:
    side = pixels.shape[0]
    thick = (rng.uniform(0, 0.12, 4) * side * (rng.random(4) < 0.7)).astype(int)
    inside = np.zeros_like(mask)
    inside[thick[0] : side - thick[1], thick[2] : side - thick[3]] = 1
    grey = np.float32(rng.choice([0.0, 1.0, rng.random()], p=[0.6, 0.25, 0.15]))
    return np.where(inside > 0, pixels, grey).astype(np.float32), mask * inside


def _floats(plane: Any) -> Floats:
    return np.asarray(plane, dtype=np.float32)
