"""What identifies an image: checksums, and a small even-handed thumbnail."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from lungsight.radiograph import Radiograph

#: Side of the thumbnail, in pixels. Of an image cropped by a quarter on every side, half of that is left to compare.
THUMBNAIL_SIDE = 192
#: A row or column at the edge belongs to a border when nine tenths of it lie within this range of grey (of 0…1).
_FLAT = 0.04
#: What a border may take of either side of the image. More, and it isn't a border.
_WIDEST_BORDER = 0.4

Thumbnail = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Fingerprint:
    """One image, small.

    Attributes:
        file: sha256 of the file's bytes.
        pixels: sha256 of the decoded pixels.
        thumbnail: the image without its plain borders, stretched to the full range of grey and squashed into uint8
            [THUMBNAIL_SIDE, THUMBNAIL_SIDE].
    """

    file: str
    pixels: str
    thumbnail: Thumbnail

    @classmethod
    def of(cls, radiograph: Radiograph) -> Fingerprint:
        """Return the fingerprint of an image."""
        return cls(radiograph.sha256, _pixels_digest(radiograph.pixels), thumbnail_of(radiograph.pixels))


def thumbnail_of(pixels: NDArray[np.float32]) -> Thumbnail:
    """Return ``pixels``, float32 [height, width] in 0…1, as a :class:`Fingerprint` keeps them."""
    inside = without_borders(pixels)
    small = cv2.resize(inside, (THUMBNAIL_SIDE, THUMBNAIL_SIDE), interpolation=cv2.INTER_AREA)
    low, high = np.percentile(small, (0.5, 99.5))
    stretched = (small - low) / max(high - low, 1e-3)
    return np.asarray(np.round(np.clip(stretched, 0.0, 1.0) * 255), dtype=np.uint8)


def without_borders(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the image inside its plain borders, whatever their grey."""
    rows = _inside(pixels)
    columns = _inside(pixels[rows].T)
    return np.ascontiguousarray(pixels[rows, columns])


def _inside(lines: NDArray[np.float32]) -> slice:
    """From the first to the last line that isn't plain."""
    low, high = np.percentile(lines, (5, 95), axis=1)
    varied = np.flatnonzero(high - low > _FLAT)
    most = int(len(lines) * _WIDEST_BORDER)
    if not len(varied):
        return slice(0, len(lines))
    return slice(min(int(varied[0]), most), max(int(varied[-1]) + 1, len(lines) - most))


def _pixels_digest(pixels: NDArray[np.float32]) -> str:
    # 16 bits hold every grey value a radiograph can have; float noise in the last place must not count.
    digest = hashlib.sha256(f"{pixels.shape}".encode())
    digest.update(np.round(pixels * 65535).astype(np.uint16).tobytes())
    return digest.hexdigest()
