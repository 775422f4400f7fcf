"""Image files that Pillow reads with a loss or not at all: 16-bit colour, deep or lossless JPEG, JPEG-LS, JPEG 2000,
JPEG XL, and TIFF of all sample formats."""

from __future__ import annotations

from io import BytesIO

import imagecodecs
from PIL import Image

from lungsight.errors import UnreadableImageError
from lungsight.reading.codecs import decoded
from lungsight.reading.codestream import Codec, stream_of
from lungsight.reading.formats import Format
from lungsight.reading.grayscale import Grey, grey_of_samples
from lungsight.reading.limits import check_size
from lungsight.reading.stderr import silent_stderr

_ORIENTATION = 274


def read_deep(name: str, data: bytes, found: Format) -> tuple[Grey, int]:
    """The image as it is stored, and its orientation as EXIF counts them. Raises UnreadableImage, and whatever the
    decoders raise for damaged data."""
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
        raise UnreadableImageError(name, "it holds several frames", "save the one X-ray image as a file of its own")
    if stream.codec is Codec.JPEG and stream.samples == 3 and stream.colour != "RGB":
        raise UnreadableImageError(name, "it is a JPEG in colour of more than 8 bits", "save it as a greyscale PNG")
    return grey_of_samples(samples, stream.bits or 8 * samples.dtype.itemsize), 1


def needs_deep(data: bytes, found: Format) -> bool:
    """Whether Pillow would lose some of the image."""
    if found is Format.PNG:
        return _is_deep_and_more_than_grey(data)
    if found is Format.JPEG:
        stream = stream_of(data)
        return stream is not None and (stream.codec is Codec.JPEG_LS or stream.bits > 8 or stream.lossless_process)
    if found is Format.TIFF:
        from lungsight.reading.tiffs import needs_tifffile

        return needs_tifffile(data)
    return found in (Format.JPEG_2000, Format.JPEG_XL)


def _is_deep_and_more_than_grey(png: bytes) -> bool:
    """By the bit depth and the colour type of the header (PNG, third edition, 11.2.1)."""
    return png[24:25] == b"\x10" and png[25:26] in (b"\x02", b"\x04", b"\x06")


def _png(name: str, data: bytes) -> tuple[Grey, int]:
    with Image.open(BytesIO(data), formats=["PNG"]) as image:
        check_size(name, image.height, image.width)
        if getattr(image, "is_animated", False):
            raise UnreadableImageError(
                name, "it holds several frames", "save the one X-ray image as a file of its own"
            )
        image.load()  # is stricter with damage than libpng
        orientation = image.getexif().get(_ORIENTATION, 1)
    with silent_stderr():
        samples = imagecodecs.png_decode(data)
    return grey_of_samples(samples, 16), orientation
