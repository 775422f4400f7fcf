"""The pictures on the page: the radiograph, small, and the same under its evidence."""

from __future__ import annotations

import base64
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lungsight.radiograph import Radiograph

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

MAX_SIDE = 512

#: For and against the target class; told apart with any colour vision (Brewer's RdBu ends, brightened on grey).
FOR = (228, 52, 44)
AGAINST = (47, 128, 237)

#: The lungs' outline: bright on any grey, told from both with any colour vision (the yellow of Okabe and Ito).
OUTLINE = (240, 228, 66)

#: How much of the radiograph the strongest evidence covers.
MAX_OPACITY = 0.65

#: Half the outline's width, in pixels of the picture, and how much of the radiograph it covers.
_HALF_WIDTH = 1.0
_OUTLINE_OPACITY = 0.8


def thumbnail(radiograph: Radiograph) -> Image.Image:
    """The radiograph in 8-bit grey, at most ``MAX_SIDE`` pixels a side, antialiased."""
    image = Image.fromarray(radiograph.pixels)
    image.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.BOX, reducing_gap=None)
    return Image.fromarray(np.rint(np.clip(np.asarray(image), 0, 1) * 255).astype(np.uint8))


def with_evidence(grey: Image.Image, evidence: Floats, full: float) -> Image.Image:
    """``grey`` under ``evidence`` (logits, on any grid of the same shape): red speaks for the target, blue against,
    and what says nothing is left clear. ``full`` logits have the strongest colour."""
    drawn = Image.fromarray(evidence).resize(grey.size, Image.Resampling.BILINEAR)
    strength = np.asarray(drawn, dtype=np.float32) / np.float32(max(full, 1e-6))
    mixed = grey.convert("RGB")
    for colour, speaks in ((FOR, strength), (AGAINST, -strength)):
        mixed.paste(colour, mask=_opacity(speaks * MAX_OPACITY, MAX_OPACITY))
    return mixed


def with_outline(picture: Image.Image, lungs: Mask) -> Image.Image:
    """``picture`` with the lungs' outline as a thin line; ``lungs`` is over the whole of it, on any grid."""
    drawn = Image.fromarray(lungs.astype(np.float32)).resize(picture.size, Image.Resampling.BICUBIC)
    inside = np.asarray(drawn, dtype=np.float32) - np.float32(0.5)
    # how far a pixel lies from where the mask crosses one half, by how steep it is there
    steepness = np.hypot(*np.gradient(inside))
    distance = np.abs(inside) / np.maximum(steepness, 1e-3)
    mixed = picture.convert("RGB")
    mixed.paste(OUTLINE, mask=_opacity((_HALF_WIDTH + 0.5 - distance) * _OUTLINE_OPACITY, _OUTLINE_OPACITY))
    return mixed


def _opacity(share: Floats, most: float) -> Image.Image:
    """What a colour covers, as Pillow takes it: 0…``most`` of 1 as 0…``most`` of 255."""
    return Image.fromarray(np.rint(np.clip(share, 0, most) * 255).astype(np.uint8))


def packed(lungs: Mask) -> bytes:
    """The mask as a PNG of one bit a pixel: some hundred bytes, whatever is scanned."""
    data = BytesIO()
    Image.fromarray(lungs).save(data, format="PNG", optimize=True)
    return data.getvalue()


def unpacked(png: bytes) -> Mask:
    """What :func:`packed` was given."""
    return np.asarray(Image.open(BytesIO(png)), dtype=np.bool_)


def jpeg(image: Image.Image) -> bytes:
    data = BytesIO()
    image.save(data, format="JPEG", quality=85)
    return data.getvalue()


def data_uri(jpeg_bytes: bytes) -> str:
    """A picture that stands in the page itself."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg_bytes).decode("ascii")
