"""From a radiograph's pixels to what the network sees, and from the network's map back to the radiograph.

Training and scanning both go through here, so that a model is never shown another kind of picture than the one
it learned from. What remains (mean, standard deviation, repeating the grey channel) is inside the network.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

Floats = NDArray[np.float32]


class Preprocessing(BaseModel):
    """What is done to a radiograph before the network sees it.

    Attributes:
        image_size: side of the network's square input, in pixels.
        geometry: ``squash`` fits the whole image into the square and lets the aspect ratio go; ``pad`` keeps the
            ratio and adds black; ``crop`` keeps the ratio and takes the central square.
        intensity: ``as_is`` keeps 0…1 as read; ``percentile`` stretches the 1st and 99th percentile to 0 and 1.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    image_size: int = Field(default=256, ge=32, le=4096)
    geometry: Literal["squash", "pad", "crop"] = "squash"
    intensity: Literal["as_is", "percentile"] = "as_is"

    def apply(self, pixels: Floats) -> Floats:
        """float32 [height, width] in 0…1 to float32 [image_size, image_size] in 0…1, antialiased."""
        region = self.region(*pixels.shape)
        stretched = _stretch(pixels) if self.intensity == "percentile" else pixels
        padded, box = _pad_to(stretched, region)
        size = (self.image_size, self.image_size)
        resized = Image.fromarray(padded).resize(size, Image.Resampling.BILINEAR, box=box)
        return np.clip(np.asarray(resized, dtype=np.float32), 0.0, 1.0)

    def restore(self, network_map: Floats, height: int, width: int) -> Floats:
        """A map over the network's input, float32 [rows, columns], on the radiograph's own grid [height, width];
        what the network didn't see is 0."""
        region = self.region(height, width)
        size = (region.right - region.left, region.bottom - region.top)
        drawn = np.asarray(Image.fromarray(network_map).resize(size, Image.Resampling.BILINEAR), dtype=np.float32)
        whole = np.zeros((height, width), dtype=np.float32)
        top, left, bottom, right = max(region.top, 0), max(region.left, 0), region.bottom, region.right
        visible = drawn[top - region.top :, left - region.left :][: height - top, : width - left]
        whole[top : min(bottom, height), left : min(right, width)] = visible
        return whole

    def region(self, height: int, width: int) -> Region:
        """The rectangle of the radiograph that fills the network's input; ``pad`` reaches beyond the image."""
        if self.geometry == "squash":
            return Region(0, 0, width, height)
        side = max(height, width) if self.geometry == "pad" else min(height, width)
        left, top = (width - side) // 2, (height - side) // 2
        return Region(left, top, left + side, top + side)


@dataclass(frozen=True)
class Region:
    """A rectangle on a radiograph's grid, in pixels; right and bottom are outside it."""

    left: int
    top: int
    right: int
    bottom: int


def _stretch(pixels: Floats) -> Floats:
    low, high = np.percentile(pixels, (1, 99))
    if high - low < 1e-6:
        return pixels
    return np.clip((pixels - low) / (high - low), 0.0, 1.0).astype(np.float32)


def _pad_to(pixels: Floats, region: Region) -> tuple[Floats, tuple[int, int, int, int]]:
    height, width = pixels.shape
    left, top = max(-region.left, 0), max(-region.top, 0)
    right, bottom = max(region.right - width, 0), max(region.bottom - height, 0)
    box = (region.left + left, region.top + top, region.right + left, region.bottom + top)
    if not (left or top or right or bottom):
        return np.ascontiguousarray(pixels), box
    return np.pad(pixels, ((top, bottom), (left, right))), box
