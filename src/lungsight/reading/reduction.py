"""Large images by a half, a quarter or an eighth: what a network of 256 pixels never sees needn't be decoded."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from lungsight.radiograph import Radiograph

_FACTORS = (8, 4, 2)  # those that a JPEG can be decoded at


def factor_of(height: int, width: int, at_least: int) -> int:
    """By how much an image may be reduced so that its shorter side keeps ``at_least`` pixels; 0 asks for all."""
    if at_least <= 0:
        return 1
    return next((factor for factor in _FACTORS if min(height, width) // factor >= at_least), 1)


def reduced(radiograph: Radiograph, at_least: int) -> Radiograph:
    """The radiograph with as few pixels as ``at_least`` allows, each the mean of those it stands for."""
    height, width = radiograph.pixels.shape
    factor = factor_of(height, width, at_least)
    if factor == 1:
        return radiograph
    size = (-(-width // factor), -(-height // factor))
    pixels = cv2.resize(radiograph.pixels, size, interpolation=cv2.INTER_AREA)
    shape = radiograph.file_shape or (height, width)
    return replace(radiograph, pixels=np.asarray(pixels, dtype=np.float32), file_shape=shape)
