"""Image files that Pillow reads with a loss or not at all. Every kind of sample comes back as it was written."""

from __future__ import annotations

import gzip
import shutil
import subprocess
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from image_files import dicom, dicom_bytes, tiff
from lungsight.errors import UnreadableImageError
from lungsight.radiograph import Radiograph
from lungsight.reading import read_radiograph

Samples = NDArray[Any]
ROWS, COLUMNS = np.mgrid[0:40, 0:50]
#: Floats [40, 50], 0 to 1, all different.
IMAGE = (ROWS * 50 + COLUMNS) / 1999


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def unsigned(bits: int) -> Samples:
    return np.rint(IMAGE * (2**bits - 1)).astype(np.uint8 if bits <= 8 else np.uint16)


def refusal(path: Path) -> str:
    with pytest.raises(UnreadableImageError) as caught:
        read_radiograph(path)
    assert "0x" not in str(caught.value)
    return str(caught.value)


def same(read: Radiograph, stored: Samples, bits: int) -> None:
    np.testing.assert_allclose(read.pixels, stored / (2**bits - 1), atol=1e-6)
    assert read.bit_depth == bits


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_an_image_in_a_png_of_sixteen_bits(tmp_path: Path, channels: int, bits: int) -> None:
    """However it was saved, it keeps its greys."""
    stored = unsigned(bits).astype(np.uint16)
    samples = stored if channels == 1 else np.stack([stored] * channels, axis=-1)
    if channels in (2, 4):
        samples[..., -1] = 65535
    read = read_radiograph(written(tmp_path / "a.png", imagecodecs.png_encode(samples)))
    same(read, stored, bits)
    assert "transparent" not in " ".join(read.warnings)
    assert "colour" not in " ".join(read.warnings)
    assert ("bits are used" in " ".join(read.warnings)) == (bits < 16)


def test_deep_transparency_becomes_black(tmp_path: Path) -> None:
    samples = np.full((40, 50, 2), 65535, dtype=np.uint16)
    samples[:20, :, 1] = 0
    read = read_radiograph(written(tmp_path / "a.png", imagecodecs.png_encode(samples)))
    assert (read.pixels[:20] == 0).all()
    assert (read.pixels[20:] == 1).all()
    assert "transparent" in read.warnings[0]


def test_deep_colour_is_taken_by_its_brightness(tmp_path: Path) -> None:
    samples = np.zeros((40, 50, 3), dtype=np.uint16)
    samples[..., 1] = 40000
    read = read_radiograph(written(tmp_path / "a.png", imagecodecs.png_encode(samples)))
    assert read.pixels[0, 0] == pytest.approx(0.587 * 40000 / 65535, abs=1e-5)
    assert "The image holds colour: only its brightness is used." in read.warnings


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_shallow_png(tmp_path: Path, bits: int) -> None:
    stored = unsigned(bits)
    image = Image.fromarray(np.rint(stored * (255 / (2**bits - 1))).astype(np.uint8))
    file = BytesIO()
    (image.convert("1") if bits == 1 else image.quantize(2**bits)).save(file, "PNG", bits=bits)
    read = read_radiograph(written(tmp_path / "a.png", file.getvalue()))
    np.testing.assert_allclose(read.pixels, stored / (2**bits - 1), atol=0.01)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_of_deep_images(tmp_path: Path, orientation: int) -> None:
    """The bright quarter ends up where EXIF 2.3, section 4.6.4 A says that row 0 and column 0 are seen."""
    samples = np.zeros((40, 60), dtype=np.uint16)
    samples[:20, :30] = 65535
    read = read_radiograph(written(tmp_path / "a", tiff(samples, extratags=[(274, 3, 1, orientation, True)])))
    assert read.pixels.shape == ((40, 60) if orientation <= 4 else (60, 40))
    rows, columns = np.nonzero(read.pixels > 0.5)
    bottom, right = rows.mean() > read.height / 2, columns.mean() > read.width / 2
    seen = {1: (0, 0), 2: (0, 1), 3: (1, 1), 4: (1, 0), 5: (0, 0), 6: (0, 1), 7: (1, 1), 8: (1, 0)}
    assert (bottom, right) == seen[orientation]


TYPES = ("u1", "u2", "u4", "i1", "i2", "i4", "f2", "f4", "f8")


def typed(kind: str) -> Samples:
    """The image over all values of the type, or 0 to 1."""
    dtype = np.dtype(kind)
    if dtype.kind == "f":
        return IMAGE.astype(dtype)
    span = np.iinfo(dtype)
    return (np.rint(IMAGE * (float(span.max) - span.min)) + span.min).clip(span.min, span.max).astype(dtype)


@pytest.mark.parametrize("white_is_zero", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", TYPES)
def test_every_type_of_sample_in_a_tiff(tmp_path: Path, kind: str, order: str, white_is_zero: bool) -> None:
    photometric = "miniswhite" if white_is_zero else "minisblack"
    data = tiff(typed(kind).astype(order + kind), byteorder=order, photometric=photometric)
    read = read_radiograph(written(tmp_path / "a.tif", data))
    np.testing.assert_allclose(read.pixels, 1 - IMAGE if white_is_zero else IMAGE, atol=0.003)
    assert read.bit_depth == 8 * np.dtype(kind).itemsize


@pytest.mark.parametrize("compression", [None, "lzw", "zlib", "packbits", "zstd"])
@pytest.mark.parametrize("tile", [None, (16, 32)])
@pytest.mark.parametrize("kind", ["u2", "f4"])
def test_every_layout_of_a_tiff(tmp_path: Path, kind: str, tile: Any, compression: str | None) -> None:
    predictor = compression in ("lzw", "zlib")
    data = tiff(typed(kind), compression=compression, predictor=predictor, tile=tile)
    np.testing.assert_allclose(read_radiograph(written(tmp_path / "a", data)).pixels, IMAGE, atol=0.001)


@pytest.mark.parametrize("planes", ["contig", "separate"])
@pytest.mark.parametrize("compression", [None, "lzw", "packbits"])
@pytest.mark.parametrize("bits", [12, 16])
@pytest.mark.parametrize("channels", [3, 4])
def test_an_image_in_a_tiff_in_colour(
    tmp_path: Path, channels: int, bits: int, compression: str | None, planes: str
) -> None:
    stored = unsigned(bits)
    samples = np.stack([stored] * channels, axis=-1)
    samples[..., 3:] = 65535
    if planes == "separate":
        samples = np.moveaxis(samples, -1, 0)
    extra = ["unassalpha"] if channels == 4 else None
    data = tiff(samples, photometric="rgb", planarconfig=planes, compression=compression, extrasamples=extra)
    same(read_radiograph(written(tmp_path / "a", data)), stored, bits)


@pytest.mark.parametrize("bits", [9, 10, 12, 14, 15])
def test_packed_tiffs(tmp_path: Path, bits: int) -> None:
    """The file itself says how white is white, so nothing is guessed."""
    stored = unsigned(bits) // 2
    read = read_radiograph(written(tmp_path / "a", tiff(stored, bitspersample=bits)))
    same(read, stored, bits)
    assert read.warnings == ()


def test_twelve_bit_jpeg_in_a_tiff(tmp_path: Path) -> None:
    data = tiff(unsigned(12), compression="jpeg", compressionargs={"bitspersample": 12, "level": 97})
    np.testing.assert_allclose(read_radiograph(written(tmp_path / "a", data)).pixels, IMAGE, atol=0.02)


def test_several_pages(tmp_path: Path) -> None:
    file = BytesIO()
    with tifffile.TiffWriter(file) as writer:
        writer.write(typed("f4"))
        writer.write(typed("f4"))
    assert "it holds several pages" in refusal(written(tmp_path / "a.tif", file.getvalue()))


def test_four_inks_of_sixteen_bits(tmp_path: Path) -> None:
    data = tiff(np.zeros((40, 50, 4), np.uint16), photometric="separated")
    assert "neither grey nor RGB" in refusal(written(tmp_path / "a.tif", data))


@pytest.mark.parametrize("kind", ["u2", "f8"])
@pytest.mark.parametrize("compression", [None, "lzw", "zlib"])
def test_a_deep_tiff_that_is_cut_short(tmp_path: Path, compression: str | None, kind: str) -> None:
    noise = np.random.default_rng(1).integers(0, 65536, (64, 64)).astype(kind)
    data = tiff(noise, compression=compression, rowsperstrip=8)
    assert "the TIFF data is damaged or cut short" in refusal(written(tmp_path / "a", data[: len(data) * 2 // 3]))


CODECS: dict[str, Callable[[Samples, int], bytes]] = {
    ".jpg": lambda a, bits: imagecodecs.jpeg8_encode(a, lossless=True, bitspersample=bits, predictor=1),
    ".jls": lambda a, _: imagecodecs.jpegls_encode(a),
    ".jp2": lambda a, bits: imagecodecs.jpeg2k_encode(a, level=0, bitspersample=bits),
    ".j2k": lambda a, bits: imagecodecs.jpeg2k_encode(a, level=0, codecformat="j2k", bitspersample=bits),
    ".jxl": lambda a, bits: imagecodecs.jpegxl_encode(a, lossless=True, bitspersample=bits),
}


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("ending", CODECS)
def test_other_codecs(tmp_path: Path, ending: str, bits: int) -> None:
    stored = unsigned(bits)
    read = read_radiograph(written(tmp_path / f"a{ending}", CODECS[ending](stored, bits)))
    same(read, stored, bits)


@pytest.mark.parametrize("ending", [".jp2", ".jxl"])
def test_other_codecs_in_colour(tmp_path: Path, ending: str) -> None:
    samples = np.zeros((40, 50, 3), dtype=np.uint8)
    samples[..., 2] = 200
    read = read_radiograph(written(tmp_path / f"a{ending}", CODECS[ending](samples, 8)))
    assert read.pixels[3, 3] == pytest.approx(0.114 * 200 / 255, abs=0.01)


def test_a_plain_jpeg_of_twelve_bits(tmp_path: Path) -> None:
    data = imagecodecs.jpeg8_encode(unsigned(12), level=97, bitspersample=12)
    read = read_radiograph(written(tmp_path / "a.jpg", data))
    np.testing.assert_allclose(read.pixels, IMAGE, atol=0.02)
    assert read.bit_depth == 12


@pytest.mark.parametrize("ending", [".jpg", ".jls", ".jp2", ".jxl"])
def test_other_codecs_cut_short(tmp_path: Path, ending: str) -> None:
    noise = np.random.default_rng(1).integers(0, 4096, (64, 64)).astype(np.uint16)
    data = CODECS[ending](noise, 12)
    assert "damaged or cut short" in refusal(written(tmp_path / f"a{ending}", data[: len(data) // 2]))


@pytest.mark.parametrize("ending", [".jp2", ".jxl", ".jls"])
def test_a_bomb_is_not_decoded(tmp_path: Path, ending: str) -> None:
    data = CODECS[ending](np.zeros((40, 12_000), np.uint8), 8)
    sides = {".jp2": (40).to_bytes(4, "big"), ".jls": b"\0\x28"}
    if ending == ".jxl":
        data = imagecodecs.jpegxl_encode(np.zeros((8200, 512), np.uint8), level=50, effort=1)
        header = int.from_bytes(data[2:6], "little")
        assert header & 7 == 0b100, "the height less one follows, in 18 bits"
        data = data[:2] + (header | (2**18 - 1) << 3).to_bytes(4, "little") + data[6:]
    else:
        data = data.replace(sides[ending], (20_000).to_bytes(len(sides[ending]), "big"))
    assert "pixels" in refusal(written(tmp_path / f"a{ending}", data))


def test_heic(tmp_path: Path) -> None:
    data = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200)
    assert "HEIC" in refusal(written(tmp_path / "a.heic", data))
    assert "save it as PNG" in refusal(tmp_path / "a.heic")


def test_packed_by_gzip(tmp_path: Path) -> None:
    stored = unsigned(12)
    plain = written(tmp_path / "a.dcm", dicom_bytes(dicom(stored, bits=12)))
    packed = written(tmp_path / "a.dcm.gz", gzip.compress(plain.read_bytes()))
    read = read_radiograph(packed)
    np.testing.assert_array_equal(read.pixels, read_radiograph(plain).pixels)
    assert read.file == str(packed)


def test_gzip_that_is_no_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = imagecodecs.png_encode(unsigned(16))
    packed = gzip.compress(plain)
    assert "cut short" in refusal(written(tmp_path / "cut.png.gz", packed[:-20]))
    assert "packed by gzip twice" in refusal(written(tmp_path / "twice.png.gz", gzip.compress(packed)))
    assert "not an image that lungsight reads" in refusal(written(tmp_path / "text.png.gz", gzip.compress(b"text")))
    for module in ("reader", "limits"):
        monkeypatch.setattr(f"lungsight.reading.{module}.MAX_BYTES", 1 << 20)
    bomb = written(tmp_path / "bomb.png.gz", gzip.compress(bytes(1 << 24)))
    assert "more than any radiograph needs" in refusal(bomb)


@pytest.mark.skipif(shutil.which("gm") is None, reason="GraphicsMagick is not installed")
@pytest.mark.parametrize("options", ["-depth 16", "-depth 16 -compress LZW", "-depth 16 -type TrueColor"])
@pytest.mark.parametrize("ending", ["png", "tif"])
def test_what_graphicsmagick_writes(tmp_path: Path, ending: str, options: str) -> None:
    source = written(tmp_path / "image.pgm", b"P5 50 40 65535\n" + unsigned(16).astype(">u2").tobytes())
    target = tmp_path / f"image.{ending}"
    subprocess.run(["gm", "convert", source, *options.split(), target], check=True, capture_output=True)
    np.testing.assert_allclose(read_radiograph(target).pixels, IMAGE, atol=0.001)
