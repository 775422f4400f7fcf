"""Ordinary image files to radiographs, by Pillow where it keeps all of the image."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from lungsight.errors import UnreadableImageError
from lungsight.radiograph import Radiograph
from lungsight.reading.deep import needs_deep, read_deep
from lungsight.reading.formats import Format
from lungsight.reading.grayscale import Grey, grey_of, grey_of_samples
from lungsight.reading.limits import check_size
from lungsight.reading.reduction import factor_of
from lungsight.reading.stderr import silent_stderr

# Pillow logs some damage besides raising it; unless a program sets up logging, that would go to the terminal.
logging.getLogger("PIL").addHandler(logging.NullHandler())


def read_image(name: str, data: bytes, sha256: str, found: Format, at_least: int = 0) -> Radiograph:
    """Read ``data``, which is of the format ``found``.

    A JPEG is decoded by a half, a quarter or an eighth where its shorter side keeps ``at_least`` pixels; 0 asks for
    all. Raises UnreadableImage, and whatever the decoders raise for damaged data.
    """
    if needs_deep(data, found):
        return _deep(name, data, sha256, found)
    try:
        image = Image.open(BytesIO(data), formats=[found])
    except Image.DecompressionBombError as error:
        raise UnreadableImageError(
            name, "it unpacks to far more pixels than a radiograph has", "check its source"
        ) from error
    with image:
        check_size(name, image.height, image.width)
        _refuse_several(name, image)
        stored = image.size
        if (factor := factor_of(image.height, image.width, at_least)) > 1:
            image.draft(None, (image.width // factor, image.height // factor))  # Pillow does so for JPEG alone
        turned, warnings = _upright(image)
        shape = _shape_in_file(stored, image, turned)
        grey = _grey(turned)
    return Radiograph(
        pixels=grey.pixels,
        file=name,
        sha256=sha256,
        bit_depth=grey.bit_depth,
        file_shape=shape,
        warnings=(*warnings, *grey.warnings),
    )


def _deep(name: str, data: bytes, sha256: str, found: Format) -> Radiograph:
    grey, orientation = read_deep(name, data, found)
    return Radiograph(
        pixels=np.ascontiguousarray(_turned(grey.pixels, orientation)),
        file=name,
        sha256=sha256,
        bit_depth=grey.bit_depth,
        warnings=grey.warnings,
    )


def _turned(pixels: NDArray[np.float32], orientation: int) -> NDArray[np.float32]:
    """Upright, by EXIF 2.3, section 4.6.4 A."""
    if orientation >= 5:
        pixels = pixels.T
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels[:, ::-1] if orientation in (2, 3, 6, 7) else pixels


def _shape_in_file(stored: tuple[int, int], image: Image.Image, turned: Image.Image) -> tuple[int, int] | None:
    """Height and width of the whole image, upright, where it was decoded smaller than ``stored`` (width, height)."""
    if image.size == stored:
        return None
    lies = turned.size != image.size  # by a quarter turn; a square has the same shape either way
    return stored if lies else (stored[1], stored[0])


def _refuse_several(name: str, image: Image.Image) -> None:
    # A camera's JPEG may carry previews after its picture (MPO); anything else with several pictures is ambiguous.
    if image.format != "MPO" and getattr(image, "is_animated", False):
        what = "pages" if image.format == "TIFF" else "frames"
        raise UnreadableImageError(name, f"it holds several {what}", "save the one X-ray image as a file of its own")


def _upright(image: Image.Image) -> tuple[Image.Image, tuple[str, ...]]:
    """The decoded image, turned as its EXIF orientation asks."""
    with silent_stderr() if image.format == "TIFF" else nullcontext():
        image.load()
    try:
        return ImageOps.exif_transpose(image), ()
    except Exception:  # damaged EXIF raises a dozen kinds, and is no reason to lose the image
        return image, ("The EXIF data is damaged: the orientation is taken as stored.",)


def _grey(image: Image.Image) -> Grey:
    if image.mode.startswith("I;16"):
        return grey_of_samples(np.asarray(image), 16)
    return grey_of(image)
