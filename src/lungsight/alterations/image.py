"""An image to alter: what an alteration is given, and what it may do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from lungsight.components.preprocessing import Preprocessing, Region

Floats32 = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class AuditedImage:
    """One image to alter.

    Attributes:
        pixels: float32 [height, width] in 0…1, at most twice as large as what the network sees.
        lungs: bool [height, width], the lungs: of the manifest's mask or, if it names none, as a network found them;
            None if there are neither.
        seed: the image's own, so that what is random is the same at every call.
        region: the rectangle that the network sees of it; None for the whole.
    """

    pixels: Floats32
    lungs: Mask | None
    seed: int
    region: Region | None = None


#: Gives other pixels, float32 [height, width] in 0…1, or None if this image can't be altered so.
Alteration = Callable[[AuditedImage], Floats32 | None]


def at_twice_the_input(pixels: Floats32, preprocessing: Preprocessing) -> Floats32:
    """An image whose longer side is reduced to twice the network's input, as audits alter it."""
    height, width = pixels.shape
    scale = min(1.0, 2 * preprocessing.image_size / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = pixels if scale == 1 else cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    return np.asarray(small, dtype=np.float32)


def seed_of(sha256: str) -> int:
    """The image's own seed, by the checksum of its file."""
    return int(sha256[:8], 16)
