"""Read image files that Pillow would read with a loss, or not at all.

These are 16-bit colour, deep or lossless JPEG, JPEG-LS, JPEG 2000, JPEG XL, and TIFF of every sample format.
"""

from __future__ import annotations

from io import BytesIO

import imagecodecs
from PIL import Image

from lungsight.errors import UnreadableImageError
from lungsight.reading.codestream import Codec, stream_of
from lungsight.reading.formats import Format
from lungsight.reading.grayscale import Grey, grey_of_samples
from lungsight.reading.imagecodecs_samples import decoded
from lungsight.reading.limits import check_size, several_images
from lungsight.reading.stderr import silent_stderr

ORIENTATION = 274


def read_deep(name: str, data: bytes, found: Format) -> tuple[Grey, int]:
    """The stored image and its EXIF orientation (1…8).

    Raises:
        UnreadableImageError: it holds no single radiograph.
        Exception: whatever the decoders raise for damaged data.
    """
    if found is Format.TIFF:
        from lungsight.reading.tiffs import read_tiff

        return read_tiff(name, data)
    if found is Format.PNG:
        return _png(name, data)
    stream = stream_of(data)
    if stream is None:
        raise ValueError("its header is not whole")
    check_size(name, stream.rows, stream.columns)
    samples = decoded(data, stream)
    if samples.ndim > 3:
        raise several_images(name, "several frames")
    if stream.codec is Codec.JPEG and stream.samples == 3 and stream.colour != "RGB":
        raise UnreadableImageError(name, "it is a JPEG in colour of more than 8 bits", "save it as a greyscale PNG")
    return grey_of_samples(samples, stream.bits or 8 * samples.dtype.itemsize), 1


def needs_deep(data: bytes, found: Format) -> bool:
    """Whether Pillow would lose a part of the image."""
    if found is Format.PNG:
        return _is_deep_and_not_plain_grey(data)
    if found is Format.JPEG:
        stream = stream_of(data)
        return stream is not None and (stream.codec is Codec.JPEG_LS or stream.bits > 8 or stream.lossless_process)
    if found is Format.TIFF:
        from lungsight.reading.tiffs import needs_tifffile

        return needs_tifffile(data)
    return found in (Format.JPEG_2000, Format.JPEG_XL)


def _is_deep_and_not_plain_grey(png: bytes) -> bool:
    """By bit depth and colour type in the header (PNG, third edition, 11.2.1)."""
    return png[24:25] == b"\x10" and png[25:26] in (b"\x02", b"\x04", b"\x06")


def _png(name: str, data: bytes) -> tuple[Grey, int]:
    with Image.open(BytesIO(data), formats=["PNG"]) as image:
        check_size(name, image.height, image.width)
        if getattr(image, "is_animated", False):
            raise several_images(name, "several frames")
        image.load()  # stricter about damage than libpng
        orientation = image.getexif().get(ORIENTATION, 1)
    with silent_stderr():
        samples = imagecodecs.png_decode(data)
    return grey_of_samples(samples, 16), orientation
