"""Ordinary image files to radiographs, by Pillow."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, TiffImagePlugin

from lungsight.faults import UnreadableImage
from lungsight.radiograph import Radiograph
from lungsight.reading.formats import Format
from lungsight.reading.grey import Grey, depth_in_use, grey_of, stretched
from lungsight.reading.limits import check_size
from lungsight.reading.reduction import factor_of
from lungsight.reading.silence import silent_stderr

# Pillow logs some damage besides raising it; unless a program sets up logging, that would go to the terminal.
logging.getLogger("PIL").addHandler(logging.NullHandler())

_WHITE_IS_ZERO = 0


def read_image(name: str, data: bytes, sha256: str, found: Format, at_least: int = 0) -> Radiograph:
    """Read ``data``, which is of the format ``found``.

    A JPEG is decoded by a half, a quarter or an eighth where its shorter side keeps ``at_least`` pixels; 0 asks for
    all. Raises UnreadableImage, and whatever Pillow raises for damaged data.
    """
    try:
        image = Image.open(BytesIO(data), formats=[found])
    except Image.DecompressionBombError as error:
        raise UnreadableImage(
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
        if _white_is_zero(image):
            np.subtract(1.0, grey.pixels, out=grey.pixels)
    return Radiograph(
        pixels=grey.pixels,
        file=name,
        sha256=sha256,
        bit_depth=grey.bit_depth,
        file_shape=shape,
        warnings=(*warnings, *grey.warnings),
    )


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
        raise UnreadableImage(name, f"it holds several {what}", "save the one X-ray image as a file of its own")


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
        return _sixteen_bit(np.asarray(image))
    if image.mode in ("I", "F"):
        return _without_scale(np.asarray(image), 32)
    return grey_of(image)


def _sixteen_bit(samples: NDArray[np.uint16]) -> Grey:
    depth, warnings = depth_in_use(samples)
    return Grey(np.divide(samples, np.float32(2**depth - 1), dtype=np.float32), depth, warnings)


def _without_scale(samples: NDArray[np.int32] | NDArray[np.float32], bits: int) -> Grey:
    """Numbers whose black and white nobody stated."""
    numbers = samples.astype(np.float64)
    warnings = ["The file states no black and white: its smallest and largest values are taken."]
    finite = np.isfinite(numbers)
    if not finite.all():
        warnings.append("Values that are no numbers are taken as black.")
    return Grey(stretched(numbers, finite), bits, tuple(warnings))


def _white_is_zero(image: Image.Image) -> bool:
    """Pillow turns white-is-zero TIFFs of up to 8 bits itself, the others not."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile) or image.mode not in ("I;16", "I;16B", "I", "F"):
        return False
    return image.tag_v2.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == _WHITE_IS_ZERO
