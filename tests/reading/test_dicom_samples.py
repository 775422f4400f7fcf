"""Where samples lie in their words, and what is assumed of it: every depth, place and sign, and headers that leave it
out or contradict the pixels."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydicom import Dataset, FileMetaDataset, dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, RLELossless

from dcmtk import needs_dcmtk, shown_by_dcmtk
from lungsight.reading import read_radiograph
from lungsight.reading.dicom_header import Header
from lungsight.reading.dicom_samples import samples_of

DicomWriter = Callable[..., Path]


def image(bits: int, signed: bool = False) -> NDArray[np.int64]:
    """[40, 50] of numbers that rise gently and fill ``bits``, as an image's do."""
    numbers = np.linspace(0, 2**bits - 1, 2000).astype(np.int64).reshape(50, 40).T
    return numbers - signed * 2 ** (bits - 1)


def words(samples: NDArray[np.int64], bits: int, high: int, allocated: int, junk: bool) -> NDArray[Any]:
    """``samples`` with their uppermost bit at ``high``, the other bits zero or ``junk``."""
    mask = (2**bits - 1) << (high + 1 - bits)
    rest = np.random.default_rng(3).integers(0, 2**allocated, samples.shape) if junk else 0
    return (((samples << (high + 1 - bits)) & mask) | (rest & ~mask)).astype(f"u{allocated // 8}")


def layout(bits: int, high: int, signed: bool) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = bits, high, int(signed)
    return dataset


@settings(max_examples=300, deadline=None)
@given(data=st.data(), allocated=st.sampled_from([8, 16, 32]), signed=st.booleans(), junk=st.booleans())
def test_every_place_in_the_word(data: st.DataObject, allocated: int, signed: bool, junk: bool) -> None:
    bits = data.draw(st.integers(1, allocated), "bits stored")
    high = data.draw(st.integers(bits - 1, allocated - 1), "high bit")
    samples = image(bits, signed)
    stored = words(samples, bits, high, allocated, junk).view(f"{'i' if signed else 'u'}{allocated // 8}")
    header = Header(layout(bits, high, signed))
    np.testing.assert_array_equal(samples_of(stored, header.dataset, header), samples)
    assert header.warnings == []


PLACES = [(12, 15), (12, 13), (10, 15), (8, 15), (8, 11), (16, 15), (12, 11)]


@needs_dcmtk
@pytest.mark.parametrize(("bits", "high"), PLACES)
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_places_agree_with_dcmtk(
    write_dicom: DicomWriter, bits: int, high: int, signed: bool, photometric: str
) -> None:
    stored = words(image(bits, signed), bits, high, 16, junk=True)
    elements = {"BitsStored": bits, "HighBit": high, "PixelRepresentation": int(signed)}
    path = write_dicom(stored, photometric=photometric, **elements)
    read = read_radiograph(path)
    assert (read.warnings, read.bit_depth) == ((), bits)
    np.testing.assert_allclose(read.pixels, shown_by_dcmtk(path, "+Wm"), atol=2e-5)


@pytest.mark.parametrize("high", [0, 7, 16, 200])
def test_an_impossible_high_bit(write_dicom: DicomWriter, high: int) -> None:
    read = read_radiograph(write_dicom(image(12).astype(np.uint16), BitsStored=12, HighBit=high))
    assert read.warnings == (f"DICOM HighBit {high} is not possible here: 11 is assumed.",)
    np.testing.assert_allclose(read.pixels, image(12) / 4095, atol=1e-6)


def test_a_high_bit_outside_the_sample(write_dicom: DicomWriter) -> None:
    read = read_radiograph(write_dicom(image(8).astype(np.uint16), BitsStored=8, HighBit=15))
    assert read.warnings == ("DICOM HighBit 15 is outside the sample: 7 is assumed.",)
    np.testing.assert_allclose(read.pixels, image(8) / 255, atol=1e-6)


@pytest.mark.parametrize("signed", [False, True])
def test_pixels_beyond_the_bits_stored(write_dicom: DicomWriter, signed: bool) -> None:
    """Twelve bits under a header that says ten: with only ten, white would wrap to black."""
    stored = image(12, signed).astype(np.int16 if signed else np.uint16)
    read = read_radiograph(write_dicom(stored, BitsStored=10, HighBit=9))
    assert read.warnings == ("DICOM BitsStored 10 is less than the pixels use: 12 bits are read.",)
    assert read.bit_depth == 12
    np.testing.assert_allclose(read.pixels, (image(12)) / 4095, atol=1e-6)


@pytest.mark.parametrize("bit", [0, 3, 12, 15])
def test_an_overlay_beside_the_samples(write_dicom: DicomWriter, bit: int) -> None:
    """Graphics in a bit of the pixels, as they were once stored, are no part of the image."""
    high = 15 if bit < 4 else 11
    stored = words(image(12), 12, high, 16, junk=False)
    stored[10:20, 5:40] |= np.uint16(1 << bit)
    read = read_radiograph(write_dicom(stored, BitsStored=12, HighBit=high))
    assert read.warnings == ()
    np.testing.assert_allclose(read.pixels, image(12) / 4095, atol=1e-6)


MISSING: list[tuple[str, str]] = [
    ("SamplesPerPixel", "1"),
    ("PhotometricInterpretation", "MONOCHROME2"),
    ("BitsAllocated", "16"),
    ("BitsStored", "12"),
    ("HighBit", "11"),
    ("PixelRepresentation", "0"),
]


@pytest.mark.parametrize(("keyword", "assumed"), MISSING)
@pytest.mark.parametrize("empty", [False, True])
def test_what_is_missing_is_assumed(write_dicom: DicomWriter, keyword: str, assumed: str, empty: bool) -> None:
    dataset = dcmread(write_dicom(image(12).astype(np.uint16), bits=12))
    if empty:
        setattr(dataset, keyword, None)
    else:
        delattr(dataset, keyword)
    read = read_radiograph(write_dicom(dataset))
    assert read.warnings == (f"DICOM {keyword} is missing: {assumed} is assumed.",)
    assert read.bit_depth == 12
    np.testing.assert_allclose(read.pixels, image(12) / 4095, atol=1e-6)


def test_all_of_it_is_missing(write_dicom: DicomWriter) -> None:
    dataset = dcmread(write_dicom(image(16).astype(np.uint16)))
    for keyword, _ in MISSING:
        delattr(dataset, keyword)
    read = read_radiograph(write_dicom(dataset))
    assert len(read.warnings) == len(MISSING)
    np.testing.assert_allclose(read.pixels, image(16) / 65535, atol=1e-6)


@pytest.mark.parametrize("keyword", ["PlanarConfiguration", "SamplesPerPixel", "PhotometricInterpretation"])
def test_what_is_missing_of_colour(write_dicom: DicomWriter, keyword: str) -> None:
    grey = image(8).astype(np.uint8)
    dataset = dcmread(write_dicom(np.repeat(grey[..., None], 3, axis=2), photometric="RGB"))
    delattr(dataset, keyword)
    read = read_radiograph(write_dicom(dataset))
    assert [sentence.split()[1] for sentence in read.warnings] == [keyword]
    np.testing.assert_allclose(read.pixels, grey / 255, atol=1e-6)


def test_words_stated_as_twelve_bits(write_dicom: DicomWriter) -> None:
    dataset = dcmread(write_dicom(image(12).astype(np.uint16), bits=12))
    dataset.BitsAllocated = 12
    read = read_radiograph(write_dicom(dataset))
    assert read.warnings == ("DICOM BitsAllocated 12 is not possible here: 16 is assumed.",)
    np.testing.assert_allclose(read.pixels, image(12) / 4095, atol=1e-6)


def test_left_justified_in_rle(write_dicom: DicomWriter) -> None:
    dataset = dcmread(write_dicom(words(image(12), 12, 15, 16, junk=False), BitsStored=12, HighBit=15))
    dataset.compress(RLELossless, generate_instance_uid=False)
    np.testing.assert_allclose(read_radiograph(write_dicom(dataset)).pixels, image(12) / 4095, atol=1e-6)


def test_what_a_codec_decodes_is_a_number(write_dicom: DicomWriter) -> None:
    """The header still tells where the sample lay before it was compressed."""
    dataset = dcmread(write_dicom(image(12).astype(np.uint16), bits=12))
    stream = imagecodecs.jpeg2k_encode(image(12).astype(np.uint16), level=0, reversible=True, bitspersample=12)
    dataset.PixelData = encapsulate([stream])
    dataset.file_meta.TransferSyntaxUID = JPEG2000Lossless
    dataset.HighBit = 15
    np.testing.assert_allclose(read_radiograph(write_dicom(dataset)).pixels, image(12) / 4095, atol=1e-6)


@pytest.mark.parametrize("tool", ["dcmcjpeg", "dcmcjpls"])
def test_whole_words_compressed_by_dcmtk(write_dicom: DicomWriter, tool: str) -> None:
    if shutil.which(tool) is None:
        pytest.skip(f"dcmtk's {tool} is not installed")
    plain = write_dicom(words(image(12), 12, 15, 16, junk=False), BitsStored=12, HighBit=15)
    compressed = plain.with_name("compressed.dcm")
    subprocess.run([tool, str(plain), str(compressed)], check=True, capture_output=True)
    np.testing.assert_allclose(read_radiograph(compressed).pixels, image(12) / 4095, atol=1e-6)
