"""Decode JPEG, JPEG-LS, JPEG 2000 and JPEG XL to samples, with imagecodecs.

A JPEG file of 8 bits isn't decoded here, but with Pillow in ``pillow_images.py``.
"""

from __future__ import annotations

from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from lungsight.reading.codestream import Codec, Stream, has_end

Samples = NDArray[Any]
#: Bytes after a complete JPEG change no pixel; if rows are missing, these change them.
_FILLER = bytes((37 * n) % 255 for n in range(4096))

_END = b"\xff\xd9"


def decoded(data: bytes, stream: Stream) -> Samples:
    """The decoded samples, in the stream's own colours.

    Returns:
        [height, width] or [height, width, samples], of 8 or 16 bits as their depth needs; JPEG XL may hold
        floating-point samples.

    Raises:
        ValueError: a JPEG is cut short, which its decoder would fill up silently.
        Exception: whatever imagecodecs raises for damaged data.
    """
    if stream.codec is Codec.JPEG_LS:
        whole = data if has_end(data) else data + _END  # without one, CharLS can take a minute to find 1 kB cut short
        try:
            return imagecodecs.jpegls_decode(whole)
        except imagecodecs.JpeglsError:
            return imagecodecs.jpegls_decode(_without_padding(whole))
    if stream.codec is Codec.JPEG_2000:
        return imagecodecs.jpeg2k_decode(data, planar=False)
    if stream.codec is Codec.JPEG_XL:
        return imagecodecs.jpegxl_decode(data)
    samples = _jpeg(data, stream)
    if not has_end(data) and not np.array_equal(samples, _jpeg(data + _FILLER, stream)):
        raise ValueError("the JPEG ends before its last row")
    return samples


def _without_padding(data: bytes) -> bytes:
    """The data without the padding that some writers put before its end marker; CharLS takes it for image data."""
    image, end, behind = data.rpartition(_END)
    return image.rstrip(b"\0") + end if end and not behind.strip(b"\0") else data


def _jpeg(data: bytes, stream: Stream) -> Samples:
    if stream.samples != 3:
        return imagecodecs.jpeg8_decode(data)
    return imagecodecs.jpeg8_decode(data, colorspace="YCBCR", outcolorspace="YCBCR")  # converts nothing
