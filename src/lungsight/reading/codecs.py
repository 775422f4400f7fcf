"""Compressed image data to samples, by imagecodecs."""

from __future__ import annotations

from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from lungsight.reading.codestream import Codec, Stream, has_end

Samples = NDArray[Any]
#: Behind the end of a JPEG that is whole no byte changes a pixel; where rows are missing, these change them.
_FILLER = bytes((37 * n) % 255 for n in range(4096))


def decoded(data: bytes, stream: Stream) -> Samples:
    """The samples as they were compressed, in the stream's own colours: [height, width], or [height, width, samples].

    They are as wide as their depth needs, 8 or 16 bits; JPEG XL may hold floating-point ones. Raises what imagecodecs
    raises for damaged data, and ValueError for a JPEG that is cut short, which its decoder fills up in silence.
    """
    if stream.codec is Codec.JPEG_LS:
        try:
            return imagecodecs.jpegls_decode(data)
        except imagecodecs.JpeglsError:
            return imagecodecs.jpegls_decode(_without_padding(data))
    if stream.codec is Codec.JPEG_2000:
        return imagecodecs.jpeg2k_decode(data, planar=False)
    if stream.codec is Codec.JPEG_XL:
        return imagecodecs.jpegxl_decode(data)
    samples = _jpeg(data, stream)
    if not has_end(data) and not np.array_equal(samples, _jpeg(data + _FILLER, stream)):
        raise ValueError("the JPEG ends before its last row")
    return samples


def _without_padding(data: bytes) -> bytes:
    """Some writers pad JPEG-LS before its end marker, and CharLS takes that for image data."""
    image, end, behind = data.rpartition(b"\xff\xd9")
    return image.rstrip(b"\0") + end if end and not behind.strip(b"\0") else data


def _jpeg(data: bytes, stream: Stream) -> Samples:
    if stream.samples != 3:
        return imagecodecs.jpeg8_decode(data)
    return imagecodecs.jpeg8_decode(data, colorspace="YCBCR", outcolorspace="YCBCR")  # that is: convert nothing
