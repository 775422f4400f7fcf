"""Read image files that aren't DICOM, with Pillow if it keeps all of the image."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from dataclasses import replace
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lungsight.errors import UnreadableImageError
from lungsight.radiograph import Radiograph
from lungsight.reading.deep_images import ORIENTATION, needs_deep, read_deep
from lungsight.reading.formats import Format
from lungsight.reading.grayscale import Grey, grey_of, grey_of_samples
from lungsight.reading.limits import check_size, several_images
from lungsight.reading.reduction import factor_of
from lungsight.reading.stderr import silent_stderr

# Pillow logs some damage besides raising it; unless a program sets up logging, that would go to the terminal.
logging.getLogger("PIL").addHandler(logging.NullHandler())

_QUARTER_TURNS = (5, 6, 7, 8)


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
        return _radiograph(name, sha256, *read_deep(name, data, found))
    try:
        image = Image.open(BytesIO(data), formats=[found])
    except Image.DecompressionBombError as error:
        problem = "it unpacks to far more pixels than a radiograph has"
        raise UnreadableImageError(name, problem, "check its source") from error
    with image:
        check_size(name, image.height, image.width)
        _refuse_several(name, image)
        stored = image.size
        if (factor := factor_of(image.height, image.width, at_least)) > 1:
            image.draft(None, (image.width // factor, image.height // factor))  # has an effect on JPEG only
        whole = stored if image.size != stored else None
        with silent_stderr() if image.format == "TIFF" else nullcontext():
            image.load()
        orientation, warnings = _orientation(image)
        grey = _grey(image)
    return _radiograph(name, sha256, replace(grey, warnings=(*warnings, *grey.warnings)), orientation, whole)


def _radiograph(
    name: str, sha256: str, grey: Grey, orientation: int, whole: tuple[int, int] | None = None
) -> Radiograph:
    """Grey pixels made upright; ``whole`` is the width and height in the file, if it was decoded smaller."""
    return Radiograph(
        pixels=np.ascontiguousarray(_turned(grey.pixels, orientation)),
        file=name,
        sha256=sha256,
        bit_depth=grey.bit_depth,
        file_shape=whole if whole is None or orientation in _QUARTER_TURNS else (whole[1], whole[0]),
        warnings=grey.warnings,
    )


def _turned(pixels: NDArray[np.float32], orientation: int) -> NDArray[np.float32]:
    """Pixels turned by their EXIF orientation (EXIF 2.3, section 4.6.4 A)."""
    if orientation in _QUARTER_TURNS:
        pixels = pixels.T
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels[:, ::-1] if orientation in (2, 3, 6, 7) else pixels


def _refuse_several(name: str, image: Image.Image) -> None:
    # A camera's JPEG may have previews after its image (MPO); anything else with several images is ambiguous.
    if image.format != "MPO" and getattr(image, "is_animated", False):
        raise several_images(name, "several pages" if image.format == "TIFF" else "several frames")


def _orientation(image: Image.Image) -> tuple[int, tuple[str, ...]]:
    """The EXIF orientation (1…8) of a loaded image; Pillow has applied that of a TIFF."""
    try:
        return int(image.getexif().get(ORIENTATION, 1)), ()
    except Exception:  # damaged EXIF raises many kinds, and the image is still good
        return 1, ("The EXIF data is damaged: the orientation is taken as stored.",)


def _grey(image: Image.Image) -> Grey:
    if image.mode.startswith("I;16"):
        return grey_of_samples(np.asarray(image), 16)
    return grey_of(image)
