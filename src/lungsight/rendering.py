"""What the page draws: the image, small, and layers of colour over it."""

from __future__ import annotations

import base64
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lungsight.radiograph import Radiograph

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

MAX_SIDE = 1024

#: What an image on the page may take, so that a page of 500 can be opened.
MAX_BYTES = 64_000
#: Longest side and JPEG quality, in the order in which they are tried until an image is small enough.
_SIZES = ((MAX_SIDE, 85), (MAX_SIDE, 70), (896, 65), (768, 60), (640, 55), (640, 35))

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


def thumbnail(radiograph: Radiograph, side: int = MAX_SIDE) -> Image.Image:
    """The image in 8-bit grey, at most ``side`` pixels a side, antialiased."""
    image = Image.fromarray(radiograph.pixels)
    image.thumbnail((side, side), Image.Resampling.BOX, reducing_gap=None)
    return Image.fromarray(np.rint(np.clip(np.asarray(image), 0, 1) * 255).astype(np.uint8))


def small_jpeg(radiograph: Radiograph, side: int = MAX_SIDE) -> bytes:
    """The image as a grey JPEG, as large and as good as ``MAX_BYTES`` allow, at most ``side`` pixels a side.

    It has at least 640 pixels a side where image and ``side`` have as many.
    """
    picture = thumbnail(radiograph, side)
    for most, quality in _SIZES:
        picture.thumbnail((most, most), Image.Resampling.LANCZOS)
        drawn = jpeg(picture, quality)
        if len(drawn) <= MAX_BYTES:
            break
    return drawn


def with_evidence(grey: Image.Image, evidence: Floats, full: float, *, against: bool = False) -> Image.Image:
    """An image under its evidence: red speaks for the target.

    Args:
        grey: the image.
        evidence: float32 on any grid of the same shape, in logits.
        full: logits that have the strongest colour.
        against: blue shows what speaks against the target, too.
    """
    mixed = grey.convert("RGB")
    for colour, speaks in ((FOR, evidence), (AGAINST, -evidence)) if against else ((FOR, evidence),):
        mixed.paste(colour, mask=_covering(speaks, full, grey.size))
    return mixed


def heat_layer(evidence: Floats, full: float, colour: tuple[int, int, int]) -> bytes:
    """A PNG to be stretched over the image: clear where the evidence is 0 or less.

    Args:
        evidence: float32 [height, width], in logits.
        full: logits from which on the colour is strongest.
        colour: red, green and blue, 0…255.
    """
    return _layer(_covering(evidence, full, (evidence.shape[1], evidence.shape[0])), colour)


def outline_layer(lungs: Mask, size: tuple[int, int]) -> bytes:
    """A PNG of ``size`` (width, height) that is clear but for the lungs' outline."""
    return _layer(_line(lungs, size), OUTLINE)


def with_outline(picture: Image.Image, lungs: Mask) -> Image.Image:
    """``picture`` with the lungs' outline as a thin line; ``lungs`` is over the whole of it, on any grid."""
    mixed = picture.convert("RGB")
    mixed.paste(OUTLINE, mask=_line(lungs, picture.size))
    return mixed


def _covering(speaks: Floats, full: float, size: tuple[int, int]) -> Image.Image:
    """How much a colour covers of each pixel where ``speaks`` logits speak, on a picture of ``size``."""
    drawn = Image.fromarray(speaks).resize(size, Image.Resampling.BILINEAR)
    strength = np.asarray(drawn, dtype=np.float32) / np.float32(max(full, 1e-6))
    return _opacity(strength * MAX_OPACITY, MAX_OPACITY)


def _line(lungs: Mask, size: tuple[int, int]) -> Image.Image:
    """How much the lungs' outline covers of each pixel of a picture of ``size``."""
    drawn = Image.fromarray(lungs.astype(np.float32)).resize(size, Image.Resampling.BICUBIC)
    inside = np.asarray(drawn, dtype=np.float32) - np.float32(0.5)
    # how far a pixel lies from where the mask crosses one half, by how steep it is there
    steepness = np.hypot(*np.gradient(inside))
    distance = np.abs(inside) / np.maximum(steepness, 1e-3)
    return _opacity((_HALF_WIDTH + 0.5 - distance) * _OUTLINE_OPACITY, _OUTLINE_OPACITY)


def _opacity(share: Floats, most: float) -> Image.Image:
    """What a colour covers, as Pillow takes it: 0…``most`` of 1 as 0…``most`` of 255."""
    return Image.fromarray(np.rint(np.clip(share, 0, most) * 255).astype(np.uint8))


def _layer(opacity: Image.Image, colour: tuple[int, int, int]) -> bytes:
    """One colour as a PNG of a byte a pixel: each of its 256 entries is that colour, as opaque as its number."""
    drawn = Image.frombytes("P", opacity.size, opacity.tobytes())
    drawn.putpalette(colour * 256)
    data = BytesIO()
    drawn.save(data, format="PNG", transparency=bytes(range(256)), optimize=True)
    return data.getvalue()


def packed(lungs: Mask) -> bytes:
    """The mask as a PNG of one bit a pixel: some hundred bytes, whatever is scanned."""
    data = BytesIO()
    Image.fromarray(lungs).save(data, format="PNG", optimize=True)
    return data.getvalue()


def unpacked(png: bytes) -> Mask:
    """What :func:`packed` was given."""
    return np.asarray(Image.open(BytesIO(png)), dtype=np.bool_)


def jpeg(image: Image.Image, quality: int = 85) -> bytes:
    """The bytes of a JPEG."""
    data = BytesIO()
    image.save(data, format="JPEG", quality=quality)
    return data.getvalue()


def data_uri(picture: bytes, kind: str = "jpeg") -> str:
    """A picture that stands in the page itself."""
    return f"data:image/{kind};base64," + base64.b64encode(picture).decode("ascii")
