"""From a radiograph's pixels to what the network sees, and from the network's map back to the radiograph.

Training and scanning both go through here, so that a model is never shown another kind of picture than the one
it learned from. What remains (mean, standard deviation, repeating the grey channel) is inside the network.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

from lungsight.components.lungs import Box
from lungsight.radiograph import Radiograph
from lungsight.reading import ImageFile, read_radiograph
from lungsight.reading.reduction import reduced_pixels
from lungsight.reading.remote import RemoteFile

Floats = NDArray[np.float32]

#: Below so many pixels sorting is as quick as counting.
_FEW = 100_000
_LEVELS = 65535


class Preprocessing(BaseModel):
    """What is done to a radiograph before the network sees it.

    Attributes:
        image_size: side of the network's square input, in pixels.
        geometry: ``squash`` fits the whole image into the square and lets the aspect ratio go; ``pad`` keeps the
            ratio and adds black; ``crop`` keeps the ratio and takes the central square; ``lungs`` squashes the box
            around the lungs into the square, or the whole image where no two plausible lungs were found.
        margin: what ``lungs`` adds to the box on each side, as a share of the box's width and height; the
            image's edge cuts it. The other geometries don't look at it.
        intensity: ``as_is`` keeps 0…1 as read; ``percentile`` stretches the 1st and 99th percentile to 0 and 1: of
            the whole image, or with ``lungs`` of the box.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    image_size: int = Field(default=256, ge=32, le=4096)
    geometry: Literal["squash", "pad", "crop", "lungs"] = "squash"
    margin: float = Field(default=0.1, ge=0, le=1)
    intensity: Literal["as_is", "percentile"] = "as_is"

    @property
    def needs_lungs(self) -> bool:
        """Whether what the network sees rests on where the lungs are."""
        return self.geometry == "lungs"

    @property
    def enough_pixels(self) -> int:
        """Of the shorter side: an image with twice as many is first reduced by a half, a quarter or an eighth.

        The network still sees the mean of several pixels in each of its own, and the percentiles are those of the
        image, not of the noise of single pixels.
        """
        return max(3 * self.image_size, 512)

    def read(
        self,
        source: Path | str | ImageFile | RemoteFile,
        *,
        keep_identifiers: bool = False,
        keep_header: bool = False,
    ) -> Radiograph:
        """The image in a file, decoded to as few pixels as are enough. Raises UnreadableImageError.

        Training, scanning and evaluation read what a network sees through here, so that a file has one prediction.
        """
        return read_radiograph(
            source, at_least=self.enough_pixels, keep_identifiers=keep_identifiers, keep_header=keep_header
        )

    def apply(self, pixels: Floats, box: Box | None = None) -> Floats:
        """The network's input, float32 [image_size, image_size] in 0…1, antialiased.

        Args:
            pixels: float32 [height, width] in 0…1.
            box: around the lungs; only the geometry ``lungs`` uses it, and takes the whole image without it.
        """
        pixels = reduced_pixels(pixels, self.enough_pixels)
        region = self.region(pixels.shape[0], pixels.shape[1], box)
        if self.needs_lungs:  # cut first, or the filter would mix in what lies beside the box
            pixels = pixels[region.top : region.bottom, region.left : region.right]
            region = Region(0, 0, pixels.shape[1], pixels.shape[0])
        padded, frame = _pad_to(_stretch(pixels) if self.intensity == "percentile" else pixels, region)
        size = (self.image_size, self.image_size)
        resized = Image.fromarray(padded).resize(size, Image.Resampling.BILINEAR, box=frame)
        return np.clip(np.asarray(resized, dtype=np.float32), 0.0, 1.0)

    def restore(self, network_map: Floats, height: int, width: int, box: Box | None = None) -> Floats:
        """A map over the network's input drawn on the image, float32 [height, width]; 0 where it saw nothing.

        Args:
            network_map: float32 [rows, columns].
            height: of the image, or of any grid of the same shape.
            width: of the same grid.
            box: as it was given to :meth:`apply`.
        """
        region = self.region(height, width, box)
        size = (region.right - region.left, region.bottom - region.top)
        drawn = np.asarray(Image.fromarray(network_map).resize(size, Image.Resampling.BILINEAR), dtype=np.float32)
        whole = np.zeros((height, width), dtype=np.float32)
        top, left, bottom, right = max(region.top, 0), max(region.left, 0), region.bottom, region.right
        visible = drawn[top - region.top :, left - region.left :][: height - top, : width - left]
        whole[top : min(bottom, height), left : min(right, width)] = visible
        return whole

    def region(self, height: int, width: int, box: Box | None = None) -> Region:
        """The rectangle of the radiograph that fills the network's input; ``pad`` reaches beyond the image."""
        if self.geometry == "squash":
            return Region(0, 0, width, height)
        if self.geometry == "lungs":
            if box is None:
                return Region(0, 0, width, height)
            left, right = _widened(box.left, box.right, self.margin, width)
            top, bottom = _widened(box.top, box.bottom, self.margin, height)
            return Region(left, top, right, bottom)
        side = max(height, width) if self.geometry == "pad" else min(height, width)
        left, top = (width - side) // 2, (height - side) // 2
        return Region(left, top, left + side, top + side)

    @model_serializer(mode="wrap")
    def _margin_only_with_lungs(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without a lung crop, what was written before there was one: cached images are named by it."""
        stated: dict[str, Any] = dump(self)
        if not self.needs_lungs:
            stated.pop("margin", None)
        return stated


@dataclass(frozen=True)
class Region:
    """A rectangle on a radiograph's grid, in pixels; right and bottom are outside it."""

    left: int
    top: int
    right: int
    bottom: int


def _widened(low: float, high: float, margin: float, pixels: int) -> tuple[int, int]:
    """The whole pixels from ``low`` to ``high`` (fractions of ``pixels``), wider by ``margin`` on both sides.

    At least one pixel, and none beyond the image.
    """
    more = margin * (high - low)
    first = min(max(math.floor((low - more) * pixels), 0), pixels - 1)
    return first, min(max(math.ceil((high + more) * pixels), first + 1), pixels)


def _stretch(pixels: Floats) -> Floats:
    low, high = percentiles(pixels, 1, 99)
    if high - low < 1e-6:
        return pixels
    stretched = (pixels - np.float32(low)) * np.float32(1 / (high - low))
    return np.asarray(np.clip(stretched, 0.0, 1.0, out=stretched), dtype=np.float32)


def sound(pixels: Floats) -> Floats:
    """``pixels`` with a number in 0…1 everywhere: black where there is none."""
    given = np.asarray(pixels, dtype=np.float32)
    if given.size and given.min() >= 0 and given.max() <= 1:  # neither holds where a pixel is no number
        return given
    return np.clip(np.nan_to_num(given, nan=0.0, posinf=1.0, neginf=0.0), 0.0, 1.0)


def percentiles(pixels: Floats, *percents: float) -> tuple[float, ...]:
    """As ``numpy.percentile``, to the last of 16 bits; a large image's greys are counted, in a tenth of the time."""
    if pixels.size < _FEW or not (pixels.min() >= 0 and pixels.max() <= 1):  # nor where one is no number
        return tuple(np.percentile(pixels, percents).tolist())
    levels = (pixels * np.float32(_LEVELS) + np.float32(0.5)).astype(np.uint16)
    upto = np.cumsum(np.bincount(levels.ravel(), minlength=_LEVELS + 1))
    places = np.asarray(percents) / 100 * (pixels.size - 1)
    below, above = (np.searchsorted(upto, f(places), side="right") for f in (np.floor, np.ceil))
    return tuple(((below + (above - below) * (places - np.floor(places))) / _LEVELS).tolist())


def _pad_to(pixels: Floats, region: Region) -> tuple[Floats, tuple[int, int, int, int]]:
    """The pixels with black wherever the region reaches beyond them, and the region's place on those."""
    height, width = pixels.shape
    left, top = max(-region.left, 0), max(-region.top, 0)
    right, bottom = max(region.right - width, 0), max(region.bottom - height, 0)
    frame = (region.left + left, region.top + top, region.right + left, region.bottom + top)
    if not (left or top or right or bottom):
        return np.ascontiguousarray(pixels), frame
    return np.pad(pixels, ((top, bottom), (left, right))), frame
