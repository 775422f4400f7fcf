"""Changes to an image before the gate is trained on it: position, exposure, borders, letters, turns, inversion."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from lungsight.datasets.ood_images.canvas import word, write
from lungsight.datasets.ood_images.kinds import Floats
from lungsight.networks.gate_network import TURNS


@dataclass(frozen=True, eq=False)
class View:
    """An image as it is shown; ``turn`` is the index in TURNS, the number of quarter turns."""

    pixels: Floats
    turn: int = 0
    inverted: bool = False
    marked: bool = False


def view_of(image: Floats, rng: np.random.Generator) -> View:
    """A random view of a frontal image [side, side]; half of them are upright, not inverted and not marked."""
    pixels = acquired(image, rng)
    if rng.random() < 0.5:
        return View(pixels)
    turn = int(rng.integers(len(TURNS)))
    inverted = bool(rng.random() < 0.35)
    marked = bool(rng.random() < 0.35)
    if marked:
        pixels = with_marks(pixels, rng)
    if inverted:
        pixels = 1 - pixels
    return View(np.ascontiguousarray(np.rot90(pixels, turn)), turn, inverted, marked)


def turned(pixels: Floats, rng: np.random.Generator) -> View:
    """A random view of an image that isn't frontal, which it doesn't become by turning or inverting it."""
    turn = int(rng.integers(4)) if rng.random() < 0.3 else 0
    inverted = bool(rng.random() < 0.2)
    return View(np.ascontiguousarray(np.rot90(1 - pixels if inverted else pixels, turn)), turn, inverted)


def acquired(image: Floats, rng: np.random.Generator) -> Floats:
    """The image as another machine, person or archive might have made it."""
    drawn: Floats = _placed(image, rng)
    if rng.random() < 0.6:
        drawn = drawn ** np.float32(np.exp(rng.normal(0, 0.3)))
    if rng.random() < 0.3:
        drawn = np.asarray(cv2.GaussianBlur(drawn, (0, 0), float(rng.uniform(0.3, 2.0))), np.float32)
    if rng.random() < 0.3:
        drawn = drawn + np.float32(rng.uniform(0, 0.05)) * rng.standard_normal(drawn.shape, dtype=np.float32)
    if rng.random() < 0.3:
        low, high = np.quantile(drawn, (rng.uniform(0, 0.04), rng.uniform(0.96, 1)))
        drawn = (drawn - low) / max(float(high - low), 1e-3)
    if rng.random() < 0.4:
        drawn = _bordered(drawn, rng)
    drawn = np.ascontiguousarray(np.clip(drawn, 0, 1), dtype=np.float32)
    if rng.random() < 0.5:
        _small_letters(drawn, rng)
    return drawn


def with_marks(image: Floats, rng: np.random.Generator) -> Floats:
    """Letters, arrows, circles or stripes so large that they hide or outshine what is under them."""
    drawn = image.copy()
    side = drawn.shape[0]
    for _ in range(int(rng.integers(2, 6))):
        ink = float(rng.choice([0.0, 1.0, 1.0]))
        column, row = (int(v) for v in rng.uniform(0.1, 0.7, 2) * side)
        style = rng.choice(["letters", "arrow", "circle", "bar"])
        if style == "letters":
            write(drawn, word(rng, 8), (column // 2, row + 40), ink, float(rng.uniform(1.0, 2.5)), rng, 3)
        elif style == "arrow":
            way = rng.uniform(-0.3, 0.3, 2) * side
            tip = (int(column + way[0]), int(row + way[1]))
            cv2.arrowedLine(drawn, (column, row), tip, ink, int(rng.integers(4, 10)), tipLength=0.4)
        elif style == "circle":
            cv2.circle(drawn, (column, row), int(rng.uniform(0.06, 0.2) * side), ink, int(rng.integers(3, 8)))
        else:
            drawn[row : row + int(rng.uniform(0.05, 0.12) * side), : int(rng.uniform(0.4, 1) * side)] = ink
            write(drawn, word(rng, 14), (4, row + 14), 1 - ink, 0.6, rng)
    return drawn


def _placed(image: Floats, rng: np.random.Generator) -> Floats:
    side = image.shape[0]
    scale = rng.uniform(0.88, 1.18, 2) if rng.random() < 0.7 else np.ones(2)
    lens = cv2.getRotationMatrix2D((side / 2, side / 2), float(rng.normal(0, 4)), 1.0)
    lens[0] *= scale[0]
    lens[1] *= scale[1]
    lens[:, 2] += (1 - scale) * side / 2 + rng.normal(0, 0.03 * side, 2)
    drawn = cv2.warpAffine(image, lens, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    return np.ascontiguousarray(drawn[:, ::-1] if rng.random() < 0.3 else drawn, np.float32)


def _bordered(image: Floats, rng: np.random.Generator) -> Floats:
    """A black, white or grey frame, as padding to a square and scanned sheets leave it."""
    side = image.shape[0]
    margins = rng.integers(0, side // 7, 4) * (rng.random(4) < 0.5)
    framed = np.full_like(image, float(rng.choice([0.0, 0.0, 1.0, rng.random()])))
    top, bottom, left, right = (int(m) for m in margins)
    framed[top : side - bottom, left : side - right] = cv2.resize(image, (side - left - right, side - top - bottom))
    return framed


def _small_letters(drawn: Floats, rng: np.random.Generator) -> None:
    """What most images carry: a side marker, a name plate, a small arrow."""
    side = drawn.shape[0]
    for _ in range(int(rng.integers(1, 4))):
        column = int(rng.choice([rng.uniform(0, 0.2), rng.uniform(0.7, 0.95)]) * side)
        row = int(rng.choice([rng.uniform(0.05, 0.2), rng.uniform(0.85, 0.98)]) * side)
        write(drawn, word(rng, 5), (column, row), 1.0, float(rng.uniform(0.25, 0.7)), rng)
