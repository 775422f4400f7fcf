"""The pictures on the page: the radiograph, small, and the same under its evidence."""

from __future__ import annotations

import base64
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lungsight.radiograph import Radiograph

Floats = NDArray[np.float32]

MAX_SIDE = 512

#: For and against the target class; told apart with any colour vision (Brewer's RdBu ends, brightened on grey).
FOR = (228, 52, 44)
AGAINST = (47, 128, 237)

#: How much of the radiograph the strongest evidence covers.
MAX_OPACITY = 0.65

#: The evidence is as smooth as the network's grid is coarse; a finer picture of it would say no more.
_OVERLAY_SIDE = 128


def thumbnail(radiograph: Radiograph) -> Image.Image:
    """The radiograph in 8-bit grey, at most ``MAX_SIDE`` pixels a side, antialiased."""
    image = Image.fromarray(radiograph.pixels)
    image.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.BOX, reducing_gap=None)
    return Image.fromarray(np.rint(np.clip(np.asarray(image), 0, 1) * 255).astype(np.uint8))


def overlay_size(width: int, height: int) -> tuple[int, int]:
    """Width and height of an evidence grid that is fine enough for a picture of this shape."""
    scale = _OVERLAY_SIDE / max(width, height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def with_evidence(grey: Image.Image, evidence: Floats, full: float) -> Image.Image:
    """``grey`` under ``evidence`` (logits, on any grid of the same shape): red speaks for the target, blue against,
    and what says nothing is left clear. ``full`` logits have the strongest colour."""
    strength = np.asarray(Image.fromarray(evidence).resize(grey.size, Image.Resampling.BILINEAR)) / max(full, 1e-6)
    opacity = (np.clip(np.abs(strength), 0, 1) * MAX_OPACITY)[..., None]
    colour = np.where((strength > 0)[..., None], np.array(FOR, np.float32), np.array(AGAINST, np.float32))
    mixed = np.asarray(grey, dtype=np.float32)[..., None] * (1 - opacity) + colour * opacity
    return Image.fromarray(np.rint(mixed).astype(np.uint8))


def jpeg(image: Image.Image) -> bytes:
    data = BytesIO()
    image.save(data, format="JPEG", quality=85)
    return data.getvalue()


def data_uri(jpeg_bytes: bytes) -> str:
    """A picture that stands in the page itself."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg_bytes).decode("ascii")
