"""Large images by a half, a quarter or an eighth: what a network of 256 pixels never sees needn't be decoded."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lungsight.radiograph import Radiograph

Floats = NDArray[np.float32]

_FACTORS = (8, 4, 2)  # those that a JPEG can be decoded at


def factor_of(height: int, width: int, at_least: int) -> int:
    """By how much an image may be reduced so that its shorter side keeps ``at_least`` pixels; 0 asks for all."""
    if at_least <= 0:
        return 1
    return next((factor for factor in _FACTORS if min(height, width) // factor >= at_least), 1)


def reduced(radiograph: Radiograph, at_least: int) -> Radiograph:
    """The radiograph with as few pixels as ``at_least`` allows, each the mean of those it stands for."""
    pixels = reduced_pixels(radiograph.pixels, at_least)
    if pixels is radiograph.pixels:
        return radiograph
    return replace(radiograph, pixels=pixels, file_shape=(radiograph.height, radiograph.width))


def reduced_pixels(pixels: Floats, at_least: int) -> Floats:
    """:func:`reduced`, of float32 [height, width] alone."""
    factor = factor_of(pixels.shape[0], pixels.shape[1], at_least)
    return pixels if factor == 1 else np.asarray(Image.fromarray(pixels).reduce(factor))
