"""Read image files that aren't DICOM, with Pillow if it keeps all of the image."""

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
from lungsight.reading.limits import check_size, several_images
from lungsight.reading.reduction import factor_of
from lungsight.reading.stderr import silent_stderr

# Pillow logs some damage besides raising it; unless a program sets up logging, that would go to the terminal.
logging.getLogger("PIL").addHandler(logging.NullHandler())


def read_image(name: str, data: bytes, sha256: str, found: Format, at_least: int = 0) -> Radiograph:
    """Read an image file.

    Args:
        name: of the file, for messages.
        data: its content.
        sha256: of the file, before gzip is unpacked.
        found: its format.
        at_least: as for :func:`~lungsight.reading.read_radiograph`.

    Raises:
        UnreadableImageError: it holds no single radiograph.
        Exception: whatever the decoders raise for damaged data.
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
            image.draft(None, (image.width // factor, image.height // factor))  # has an effect on JPEG only
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
    """Pixels turned by their EXIF orientation (EXIF 2.3, section 4.6.4 A)."""
    if orientation >= 5:
        pixels = pixels.T
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels[:, ::-1] if orientation in (2, 3, 6, 7) else pixels


def _shape_in_file(stored: tuple[int, int], image: Image.Image, turned: Image.Image) -> tuple[int, int] | None:
    """Height and width of the full image, upright, if it was decoded smaller than ``stored`` (width, height)."""
    if image.size == stored:
        return None
    quarter_turn = turned.size != image.size  # a square has the same shape either way
    return stored if quarter_turn else (stored[1], stored[0])


def _refuse_several(name: str, image: Image.Image) -> None:
    # A camera's JPEG may have previews after its image (MPO); anything else with several images is ambiguous.
    if image.format != "MPO" and getattr(image, "is_animated", False):
        raise several_images(name, "several pages" if image.format == "TIFF" else "several frames")


def _upright(image: Image.Image) -> tuple[Image.Image, tuple[str, ...]]:
    """The decoded image, turned by its EXIF orientation."""
    with silent_stderr() if image.format == "TIFF" else nullcontext():
        image.load()
    try:
        return ImageOps.exif_transpose(image), ()
    except Exception:  # damaged EXIF raises many kinds, and the image is still good
        return image, ("The EXIF data is damaged: the orientation is taken as stored.",)


def _grey(image: Image.Image) -> Grey:
    if image.mode.startswith("I;16"):
        return grey_of_samples(np.asarray(image), 16)
    return grey_of(image)
