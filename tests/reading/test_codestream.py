"""What compressed data says of itself, against what its encoder was given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import imagecodecs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from lungsight.reading.codestream import Codec, Stream, has_end, stream_of

Encoder = Callable[[NDArray[Any], int], bytes]
ENCODERS: dict[str, tuple[Codec, Encoder]] = {
    "lossless JPEG": (
        Codec.JPEG,
        lambda a, bits: imagecodecs.jpeg8_encode(a, lossless=True, bitspersample=bits, predictor=1),
    ),
    "JPEG-LS": (Codec.JPEG_LS, lambda a, _: imagecodecs.jpegls_encode(a)),
    "JPEG 2000": (
        Codec.JPEG_2000,
        lambda a, bits: imagecodecs.jpeg2k_encode(a, level=0, codecformat="j2k", bitspersample=bits),
    ),
    "JP2": (Codec.JPEG_2000, lambda a, bits: imagecodecs.jpeg2k_encode(a, level=0, bitspersample=bits)),
}
SEEDS = [encode(np.full((40, 50), 3, np.uint8), 8) for _, encode in ENCODERS.values()]


@pytest.mark.parametrize("bits", [2, 7, 8, 9, 12, 16])
@pytest.mark.parametrize("name", ENCODERS)
def test_size_and_depth(name: str, bits: int) -> None:
    codec, encode = ENCODERS[name]
    samples = np.zeros((37, 61), dtype=np.uint8 if bits <= 8 else np.uint16)
    samples[0, 0] = 2**bits - 1
    stream = stream_of(encode(samples, bits))
    written = 8 * samples.itemsize if name == "JPEG-LS" else bits  # its encoder always writes the whole word
    assert stream == Stream(codec, 37, 61, samples=1, bits=written, lossless_process=name == "lossless JPEG")


def test_signs() -> None:
    for kind, signed in ((np.int16, True), (np.uint16, False)):
        stream = stream_of(imagecodecs.jpeg2k_encode(np.ones((40, 50), kind), level=0, codecformat="j2k"))
        assert stream is not None
        assert stream.signed is signed


@pytest.mark.parametrize(("outcolorspace", "colour"), [("RGB", "RGB"), ("YCBCR", "YBR_FULL")])
def test_the_colours_of_a_jpeg(outcolorspace: str, colour: str) -> None:
    samples = np.zeros((40, 50, 3), dtype=np.uint8)
    stream = stream_of(imagecodecs.jpeg8_encode(samples, colorspace="RGB", outcolorspace=outcolorspace))
    assert stream is not None
    assert (stream.samples, stream.colour) == (3, colour)


def test_adobes_word_on_colour() -> None:
    jpeg = imagecodecs.jpeg8_encode(np.zeros((40, 50, 3), dtype=np.uint8))
    bare = jpeg[:2] + jpeg[4 + int.from_bytes(jpeg[4:6], "big") :]
    assert b"JFIF" not in bare
    for transform, colour in ((None, None), (0, None), (1, "YBR_FULL")):
        marker = b"" if transform is None else b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00" + bytes([transform])
        stream = stream_of(bare[:2] + marker + bare[2:])
        assert stream is not None
        assert stream.colour == colour


@pytest.mark.parametrize("container", [False, True])
@pytest.mark.parametrize("shape", [(40, 50), (64, 64), (256, 8), (300, 400), (900, 1600), (37, 1000)])
def test_the_size_of_a_jpeg_xl(shape: tuple[int, int], container: bool) -> None:
    data = imagecodecs.jpegxl_encode(np.zeros(shape, dtype=np.uint16), lossless=True, usecontainer=container)
    stream = stream_of(data)
    assert stream is not None
    assert (stream.codec, stream.rows, stream.columns) == (Codec.JPEG_XL, *shape)


@given(data=st.sampled_from(SEEDS), cut=st.integers(0, 120), place=st.integers(0, 120), byte=st.integers(0, 255))
def test_damage_is_no_exception(data: bytes, cut: int, place: int, byte: int) -> None:
    damaged = bytearray(data[: max(1, len(data) - cut)])
    damaged[min(place, len(damaged) - 1)] = byte
    stream_of(bytes(damaged))
    stream_of(data[:cut])


def test_the_end_of_a_jpeg() -> None:
    jpeg = imagecodecs.jpeg8_encode(np.zeros((40, 50), dtype=np.uint8))
    assert has_end(jpeg)
    assert has_end(jpeg + b"\0")
    assert not has_end(jpeg[:-2])
