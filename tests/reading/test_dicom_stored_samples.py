"""Compressed pixels: every codec, depth and sign, headers that contradict the data, and what only a second decoder
reads. Expected pixels are those of the same image uncompressed."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom._uid_dict import UID_dictionary
from pydicom.data import get_testdata_file
from pydicom.pixels import convert_color_space
from pydicom.uid import (
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from image_files import compressed, dicom
from lungsight.errors import UnreadableImageError
from lungsight.reading import read_radiograph
from lungsight.reading.dicom_header import Header
from lungsight.reading.dicom_stored_samples import stored_samples

DicomWriter = Callable[..., Path]
Samples = NDArray[Any]
LOSSLESS: dict[str, tuple[str, Callable[[Samples, int], bytes]]] = {
    "lossless JPEG": (
        JPEGLosslessSV1,
        lambda a, bits: imagecodecs.jpeg8_encode(a, lossless=True, bitspersample=bits, predictor=1),
    ),
    "JPEG-LS": (JPEGLSLossless, lambda a, _: imagecodecs.jpegls_encode(a)),
    "JPEG 2000": (
        JPEG2000Lossless,
        lambda a, bits: imagecodecs.jpeg2k_encode(a, level=0, codecformat="j2k", bitspersample=bits),
    ),
    "HTJ2K": (HTJ2KLossless, lambda a, _: imagecodecs.htj2k_encode(a)),
}


def image(bits: int, signed: bool = False) -> Samples:
    """A slope over all values that ``bits`` hold, [48, 64]."""
    rows, columns = np.mgrid[0:48, 0:64]
    values = np.rint((rows + columns) / 110 * (2**bits - 1)).astype(np.int32)
    kind = ("i" if signed else "u") + ("1" if bits <= 8 else "2")
    return (values - (2 ** (bits - 1) if signed else 0)).astype(kind)


def samples_of(dataset: Dataset) -> tuple[Samples, Header]:
    header = Header(dataset)
    return stored_samples("image.dcm", dataset, header), header


def refusal(path: Path) -> str:
    with pytest.raises(UnreadableImageError) as caught:
        read_radiograph(path)
    assert str(caught.value).isprintable()
    return str(caught.value)


@pytest.mark.parametrize("bits", [*range(2, 17)])
@pytest.mark.parametrize("name", LOSSLESS)
def test_every_depth(write_dicom: DicomWriter, name: str, bits: int) -> None:
    syntax, encode = LOSSLESS[name]
    stored = image(bits)
    dataset = compressed(stored, encode(stored, bits), syntax, bits=bits)
    samples, header = samples_of(dataset)
    np.testing.assert_array_equal(samples, stored)
    assert header.warnings == []
    read = read_radiograph(write_dicom(dataset))
    np.testing.assert_array_equal(read.pixels, read_radiograph(write_dicom(stored, bits=bits)).pixels)


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("name", LOSSLESS)
def test_signed_values(write_dicom: DicomWriter, name: str, bits: int) -> None:
    """Lossless JPEG and JPEG-LS know no sign: writers give them the bits of a sample as they are."""
    syntax, encode = LOSSLESS[name]
    stored = image(bits, signed=True)
    given = stored
    if name != "JPEG 2000":
        given = (stored.astype(np.int32) % 2**bits).astype(f"u{stored.itemsize}")
    dataset = compressed(stored, encode(given, bits), syntax, bits=bits)
    read = read_radiograph(write_dicom(dataset))
    np.testing.assert_array_equal(read.pixels, read_radiograph(write_dicom(stored, bits=bits)).pixels)


@pytest.mark.parametrize("header_is_right", [False, True])
@pytest.mark.parametrize("truly_signed", [False, True])
def test_contradictory_signs_of_jpeg_2000(
    write_dicom: DicomWriter, truly_signed: bool, header_is_right: bool
) -> None:
    """Whichever of the two is right, the image comes out whole and the contradiction is said."""
    stored = image(12, signed=truly_signed)
    same_bits = (stored.astype(np.int32) % 4096).astype(np.uint16)
    if not truly_signed:
        same_bits = ((same_bits.astype(np.int16) + 2048) % 4096 - 2048).astype(np.int16)
    data = imagecodecs.jpeg2k_encode(
        same_bits if header_is_right else stored, level=0, codecformat="j2k", bitspersample=12
    )
    signed_in_header = truly_signed == header_is_right
    read = read_radiograph(write_dicom(compressed(image(12, signed_in_header), data, JPEG2000Lossless, bits=12)))
    np.testing.assert_allclose(read.pixels, (stored - float(stored.min())) / 4095, atol=1e-6)
    assert "PixelRepresentation contradicts the compressed data" in " ".join(read.warnings)


@pytest.mark.parametrize("name", LOSSLESS)
@pytest.mark.parametrize(("stated", "true"), [(10, 12), (8, 12), (12, 14), (12, 16)])
def test_a_stream_deeper_than_its_header(write_dicom: DicomWriter, name: str, stated: int, true: int) -> None:
    syntax, encode = LOSSLESS[name]
    stored = image(true)
    data = encode(stored, true)
    header = image(stated)
    read = read_radiograph(write_dicom(compressed(header, data, syntax, bits=stated)))
    np.testing.assert_allclose(read.pixels, stored / (2**true - 1), atol=1e-4)


@pytest.mark.parametrize("name", LOSSLESS)
def test_a_stream_shallower_than_its_header(write_dicom: DicomWriter, name: str) -> None:
    syntax, encode = LOSSLESS[name]
    stored = image(10)
    read = read_radiograph(write_dicom(compressed(stored, encode(stored, 10), syntax, bits=16)))
    np.testing.assert_allclose(read.pixels, stored / np.float32(1023), atol=1e-6)
    if name != "HTJ2K" and name != "JPEG-LS":  # whose encoders write what they are given, or count the bits in use
        assert read.bit_depth == 10
        assert "BitsStored 16 is more than the compressed data holds: its 10 bits are read" in " ".join(read.warnings)


def test_eight_bits_in_words_of_sixteen(write_dicom: DicomWriter) -> None:
    stored = image(8)
    dataset = compressed(stored, imagecodecs.jpeg8_encode(stored, level=98), JPEGBaseline8Bit)
    dataset.BitsAllocated = 16
    read = read_radiograph(write_dicom(dataset))
    assert read.warnings == ()
    np.testing.assert_allclose(read.pixels, stored / 255, atol=0.02)


def test_lossy_overshoot_above_the_bits_stored(write_dicom: DicomWriter) -> None:
    """Ten bits in a 12-bit JPEG: what lies just above 1023 stays white."""
    stored = image(10)
    stored[10:20, 10:20] = 1023
    data = imagecodecs.jpeg8_encode(stored, level=30, bitspersample=12)
    assert imagecodecs.jpeg8_decode(data).max() > 1023
    read = read_radiograph(write_dicom(compressed(stored, data, JPEGExtended12Bit, bits=10)))
    np.testing.assert_allclose(read.pixels, stored / 1023, atol=0.15)


def ending_early(jpeg: bytes) -> bytes:
    """With a scan header that ends at coefficient 0 instead of 63, as all 12-bit samples of NEMA's WG-04 do."""
    scan = jpeg.find(b"\xff\xda")
    place = scan + 5 + 2 * jpeg[scan + 4] + 1
    assert jpeg[place] == 63
    return jpeg[:place] + b"\0" + jpeg[place + 1 :]


def test_scan_headers_that_end_early(write_dicom: DicomWriter) -> None:
    stored = image(12)
    data = imagecodecs.jpeg8_encode(stored, level=95, bitspersample=12)
    whole = read_radiograph(write_dicom(compressed(stored, data, JPEGExtended12Bit, bits=12)))
    early = read_radiograph(write_dicom(compressed(stored, ending_early(data), JPEGExtended12Bit, bits=12)))
    np.testing.assert_array_equal(early.pixels, whole.pixels)
    np.testing.assert_allclose(whole.pixels, stored / 4095, atol=0.02)


@pytest.mark.parametrize("padding", [b"\0", b"\0\0\0"])
def test_padding_before_the_end_of_a_jpeg_ls(write_dicom: DicomWriter, padding: bytes) -> None:
    stored = image(12)
    data = imagecodecs.jpegls_encode(stored)
    padded = data[:-2] + padding + data[-2:]
    read = read_radiograph(write_dicom(compressed(stored, padded, JPEGLSLossless, bits=12)))
    np.testing.assert_allclose(read.pixels, stored / 4095, atol=1e-6)


def test_the_data_counts_not_the_transfer_syntax(write_dicom: DicomWriter) -> None:
    stored = image(12)
    for syntax, encode in LOSSLESS.values():
        wrong = JPEGBaseline8Bit if syntax != JPEGBaseline8Bit else JPEG2000Lossless
        read = read_radiograph(write_dicom(compressed(stored, encode(stored, 12), wrong, bits=12)))
        np.testing.assert_allclose(read.pixels, stored / 4095, atol=1e-6)


@pytest.mark.parametrize("cut", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("name", [*LOSSLESS, "12-bit JPEG"])
def test_data_that_is_cut_short_is_refused(write_dicom: DicomWriter, name: str, cut: float) -> None:
    stored = image(12) ^ np.random.default_rng(3).integers(0, 8, (48, 64), dtype=np.uint16)
    extended = (JPEGExtended12Bit, lambda a, bits: imagecodecs.jpeg8_encode(a, level=95, bitspersample=bits))
    syntax, encode = LOSSLESS.get(name, extended)
    data = encode(stored, 12)
    path = write_dicom(compressed(stored, data[: int(len(data) * cut)], syntax, bits=12))
    assert "fetch or export it again" in refusal(path)


@pytest.mark.parametrize("name", ["lossless JPEG", "12-bit JPEG"])
def test_a_missing_end_marker_alone_does_no_harm(write_dicom: DicomWriter, name: str) -> None:
    stored = image(12)
    extended = (JPEGExtended12Bit, lambda a, bits: imagecodecs.jpeg8_encode(a, level=98, bitspersample=bits))
    syntax, encode = LOSSLESS.get(name, extended)
    data = encode(stored, 12).removesuffix(b"\xff\xd9")
    read = read_radiograph(write_dicom(compressed(stored, data, syntax, bits=12)))
    np.testing.assert_allclose(read.pixels, stored / 4095, atol=0.02)


def test_a_second_decoder_is_tried_and_named(write_dicom: DicomWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_args: object) -> None:
        raise RuntimeError("not today.")

    monkeypatch.setattr("lungsight.reading.dicom_stored_samples.decoded", refuses)
    stored = image(12)
    data = imagecodecs.jpeg2k_encode(stored, level=0, codecformat="j2k", bitspersample=12)
    read = read_radiograph(write_dicom(compressed(stored, data, JPEG2000Lossless, bits=12)))
    np.testing.assert_allclose(read.pixels, stored / 4095, atol=1e-6)
    said = " ".join(read.warnings)
    assert "The compressed pixels were read by " in said
    assert "as imagecodecs could not (not today)." in said


def test_what_no_decoder_reads_is_refused_with_the_first_reason(
    write_dicom: DicomWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*_args: object, **_options: object) -> None:
        raise RuntimeError("the first reason" if not _options else "another")

    monkeypatch.setattr("lungsight.reading.dicom_stored_samples.decoded", refuses)
    monkeypatch.setattr("lungsight.reading.dicom_stored_samples.pixel_array", refuses)
    stored = image(12)
    data = imagecodecs.jpegls_encode(stored)
    assert "the first reason" in refusal(write_dicom(compressed(stored, data, JPEGLSLossless, bits=12)))


@pytest.mark.parametrize("data", [b"\xff\xd8\xff\xd9", bytes(100), b"\xff\x4f\xff\x51" + bytes(60)])
def test_what_is_no_codestream(write_dicom: DicomWriter, data: bytes) -> None:
    assert "fetch or export it again" in refusal(write_dicom(compressed(image(12), data, JPEG2000Lossless, bits=12)))


@pytest.mark.parametrize("named", [False, True], ids=["unknown", "known by name"])
def test_a_transfer_syntax_that_is_not_known(
    write_dicom: DicomWriter, named: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pynetdicom, where it is imported, gives pydicom the names of more transfer syntaxes."""
    if named:
        name = ("JPEG XL Lossless", "Transfer Syntax", "", "", "JPEGXLLossless")
        monkeypatch.setitem(UID_dictionary, "1.2.840.10008.1.2.4.110", name)
    else:
        monkeypatch.delitem(UID_dictionary, "1.2.840.10008.1.2.4.110", raising=False)
    path = write_dicom(compressed(image(12), b"\xff\x0a" + bytes(100), HTJ2KLossless, bits=12))
    path.write_bytes(path.read_bytes().replace(HTJ2KLossless.encode(), b"1.2.840.10008.1.2.4.110"))  # JPEG XL
    assert "1.2.840.10008.1.2.4.110" in refusal(path)


COLOURS = np.repeat(
    np.array([(255, 0, 0), (0, 200, 0), (0, 0, 255), (90, 90, 90)], dtype=np.uint8)[:, None].repeat(48, 1), 12, axis=0
)


@pytest.mark.parametrize("jfif", [True, False])
@pytest.mark.parametrize("stated", ["RGB", "YBR_FULL", "YBR_FULL_422"])
@pytest.mark.parametrize("inside", ["RGB", "YCBCR"])
def test_colours_of_a_jpeg(write_dicom: DicomWriter, inside: str, stated: str, jfif: bool) -> None:
    """Where the stream says which colours it holds, it is believed; where it doesn't, the header."""
    data = imagecodecs.jpeg8_encode(COLOURS, level=98, colorspace="RGB", outcolorspace=inside, subsampling="444")
    if not jfif and inside == "YCBCR":
        data = data[:2] + data[4 + int.from_bytes(data[4:6], "big") :]
        if stated == "RGB":
            pytest.skip("nothing says that the header is wrong")
    read = read_radiograph(write_dicom(compressed(COLOURS, data, JPEGBaseline8Bit, photometric=stated)))
    expected = COLOURS @ np.array((0.299, 0.587, 0.114)) / 255
    np.testing.assert_allclose(read.pixels, expected, atol=0.03)


@pytest.mark.parametrize("stated", ["YBR_RCT", "RGB"])
def test_colours_of_a_jpeg_2000(write_dicom: DicomWriter, stated: str) -> None:
    data = imagecodecs.jpeg2k_encode(COLOURS, level=0, codecformat="j2k", mct=stated == "YBR_RCT")
    dataset = compressed(COLOURS, data, JPEG2000Lossless, photometric="RGB", PhotometricInterpretation=stated)
    read = read_radiograph(write_dicom(dataset))
    np.testing.assert_allclose(read.pixels, COLOURS @ np.array((0.299, 0.587, 0.114)) / 255, atol=0.005)


@pytest.mark.parametrize("planar", [0, 1])
@pytest.mark.parametrize("stated", ["RGB", "YBR_FULL"])
@pytest.mark.parametrize("syntax", [None, RLELossless, JPEGLSLossless])
def test_colours_in_other_orders(write_dicom: DicomWriter, syntax: str | None, stated: str, planar: int) -> None:
    samples = COLOURS if stated == "RGB" else convert_color_space(COLOURS, "RGB", "YBR_FULL")
    dataset = dicom(samples, photometric=stated)
    if syntax == JPEGLSLossless:
        dataset = compressed(samples, imagecodecs.jpegls_encode(samples), syntax, photometric=stated)
    elif syntax == RLELossless:
        dataset.compress(RLELossless)
    elif planar:
        dataset.PixelData = np.ascontiguousarray(np.moveaxis(samples, -1, 0)).tobytes()
    dataset.PlanarConfiguration = planar
    read = read_radiograph(write_dicom(dataset))
    np.testing.assert_allclose(read.pixels, COLOURS @ np.array((0.299, 0.587, 0.114)) / 255, atol=0.01)


needs_dcmtk = pytest.mark.skipif(shutil.which("dcmdjpeg") is None, reason="dcmtk is not installed")
needs_gdcm = pytest.mark.skipif(shutil.which("gdcmconv") is None, reason="gdcm is not installed")


def converted(*command: str | Path) -> None:
    subprocess.run([str(word) for word in command], check=True, capture_output=True)


@needs_dcmtk
@pytest.mark.parametrize("predictor", range(1, 8))
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_lossless_jpeg_by_dcmtk(write_dicom: DicomWriter, bits: int, predictor: int) -> None:
    plain = write_dicom(image(bits), bits=bits, **IDENTITY)
    packed = plain.with_name("packed.dcm")
    converted("dcmcjpeg", "+el", "+sv", str(predictor), plain, packed)
    np.testing.assert_array_equal(read_radiograph(packed).pixels, read_radiograph(plain).pixels)


@needs_dcmtk
def test_lossless_jpeg_with_a_point_transform(write_dicom: DicomWriter) -> None:
    plain = write_dicom(image(12), bits=12, **IDENTITY)
    packed = plain.with_name("packed.dcm")
    converted("dcmcjpeg", "+el", "+pt", "2", plain, packed)
    np.testing.assert_allclose(read_radiograph(packed).pixels, read_radiograph(plain).pixels, atol=4 / 4095)


@needs_dcmtk
@pytest.mark.parametrize("name", ["JPGExtended.dcm", "JPEG-lossy.dcm"])
def test_real_twelve_bit_jpegs_agree_with_dcmtk(tmp_path: Path, name: str) -> None:
    path = get_testdata_file(name, download=False)
    if path is None:
        pytest.skip(f"pydicom ships no {name}")
    plain = tmp_path / "plain.dcm"
    repaired = tmp_path / "repaired.dcm"
    shutil.copy(str(path), repaired)
    converted("dcmdjpeg", repaired, plain)
    dataset = dcmread(path)
    samples, _ = samples_of(dataset)
    np.testing.assert_allclose(samples.astype(int), dcmread(plain).pixel_array.astype(int), atol=1)


@needs_gdcm
@pytest.mark.parametrize("way", ["--jpeg", "--jpegls", "--j2k", "--rle"])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_what_gdcm_packs(write_dicom: DicomWriter, bits: int, signed: bool, way: str) -> None:
    plain = write_dicom(image(bits, signed), bits=bits, **IDENTITY)
    packed = plain.with_name("packed.dcm")
    converted("gdcmconv", way, plain, packed)
    np.testing.assert_array_equal(read_radiograph(packed).pixels, read_radiograph(plain).pixels)


IDENTITY = {"PatientName": "A", "PatientID": "1", "StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.3.4"}
