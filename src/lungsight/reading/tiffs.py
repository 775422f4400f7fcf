"""Read the kinds of TIFF that Pillow reads wrong, or not at all, with tifffile."""

from __future__ import annotations

import logging
import math
from io import BytesIO

import numpy as np
from tifffile import PHOTOMETRIC, TiffFile, TiffPage

from lungsight.errors import UnreadableImageError
from lungsight.reading.grayscale import Grey, grey_of_samples
from lungsight.reading.limits import MAX_PIXELS, check_size, several_images

# tifffile logs damage besides raising it; the log would go to the terminal.
_log = logging.getLogger("tifffile")
_log.addHandler(logging.NullHandler())
_log.propagate = False

_UNSIGNED, _UNDEFINED = 1, 4
_ASSOCIATED = 1
_SHOWN = (PHOTOMETRIC.MINISWHITE, PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.RGB)
ORIENTATION = 274


def needs_tifffile(data: bytes) -> bool:
    """Whether samples aren't unsigned with at most 8 bits; Pillow reads all of those."""
    try:
        with TiffFile(BytesIO(data)) as file:
            page = file.pages.first
            return page.bitspersample > 8 or page.sampleformat not in (_UNSIGNED, _UNDEFINED)
    except Exception:  # tifffile raises every kind; Pillow will report the problem
        return False


def read_tiff(name: str, data: bytes) -> tuple[Grey, int]:
    """The single image in a TIFF, white for white, and its EXIF orientation (1…8).

    Raises:
        UnreadableImageError: it holds no single radiograph.
        Exception: whatever tifffile raises for damaged data.
    """
    with TiffFile(BytesIO(data)) as file:
        if len(file.pages) > 1:
            raise several_images(name, "several pages")
        page = file.pages.first
        check_size(name, page.imagelength, page.imagewidth)
        _check(name, page)
        samples = page.asarray(maxworkers=1)
        tag = page.tags.get(ORIENTATION)
    if page.axes == "SYX":
        samples = np.moveaxis(samples, 0, -1)
    grey = grey_of_samples(samples, page.bitspersample, straight=_ASSOCIATED not in page.extrasamples)
    if page.photometric == PHOTOMETRIC.MINISWHITE:
        np.subtract(1.0, grey.pixels, out=grey.pixels)
    return grey, int(tag.value) if tag is not None else 1


def _check(name: str, page: TiffPage) -> None:
    """Refuse what tifffile would fill up silently or decode for minutes."""
    if page.photometric not in _SHOWN or page.axes not in ("YX", "YXS", "SYX") or page.samplesperpixel > 4:
        raise UnreadableImageError(
            name,
            f"its {page.bitspersample}-bit samples are neither grey nor RGB",
            "save it as a greyscale TIFF or PNG of 16 bits",
        )
    if len(page.dataoffsets) != math.prod(page.chunked) or not all(page.databytecounts):
        raise ValueError("parts of the image are missing")
    if page.dataoffsets and max(map(sum, zip(page.dataoffsets, page.databytecounts, strict=True))) > _size(page):
        raise ValueError("parts of the image are behind the end of the file")
    if math.prod(page.chunks) > 4 * MAX_PIXELS:
        raise ValueError("a tile is larger than any image")


def _size(page: TiffPage) -> int:
    return int(page.parent.filehandle.size)
