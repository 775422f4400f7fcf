"""Reduce large images to a half, a quarter or an eighth: a network of 256 pixels needs no more."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lungsight.radiograph import Radiograph

Floats = NDArray[np.float32]

_FACTORS = (8, 4, 2)  # a JPEG can be decoded at these


def factor_of(height: int, width: int, at_least: int) -> int:
    """The factor by which an image may be reduced; its shorter side keeps ``at_least`` pixels (0: no reduction)."""
    if at_least <= 0:
        return 1
    return next((factor for factor in _FACTORS if min(height, width) // factor >= at_least), 1)


def reduced(radiograph: Radiograph, at_least: int) -> Radiograph:
    """The radiograph reduced by :func:`factor_of`; each pixel is the mean of those that it replaces."""
    pixels = reduced_pixels(radiograph.pixels, at_least)
    if pixels is radiograph.pixels:
        return radiograph
    return replace(radiograph, pixels=pixels, file_shape=(radiograph.height, radiograph.width))


def reduced_pixels(pixels: Floats, at_least: int) -> Floats:
    """:func:`reduced` for float32 pixels [height, width]."""
    factor = factor_of(pixels.shape[0], pixels.shape[1], at_least)
    return pixels if factor == 1 else np.asarray(Image.fromarray(pixels).reduce(factor))
