"""Ordinary image files: what is written is what is read."""

from __future__ import annotations

import hashlib
import struct
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin

from lungsight.errors import UnreadableImageError
from lungsight.radiograph import Radiograph
from lungsight.reading import read_radiograph

SHAPES = st.tuples(st.integers(32, 48), st.integers(32, 48))
LOSSLESS_8 = {
    "PNG": {},
    "BMP": {},
    "GIF": {},
    "WEBP": {"lossless": True},
    "TIFF": {"compression": "tiff_lzw"},
}


def saved(path: Path, image: Image.Image, form: str, **options: Any) -> Path:
    image.save(path, form, **options)
    return path


@pytest.fixture
def grey() -> NDArray[np.uint8]:
    """uint8 [40, 50] that uses all 256 values."""
    return (np.arange(2000) % 256).astype(np.uint8).reshape(40, 50)


@settings(max_examples=15, deadline=None)
@given(samples=SHAPES.flatmap(lambda shape: arrays(np.uint8, shape)))
@pytest.mark.parametrize("form", LOSSLESS_8)
def test_eight_bits_come_back_exactly(tmp_path_factory: pytest.TempPathFactory, form: str, samples: Any) -> None:
    path = tmp_path_factory.getbasetemp() / f"eight.{form}"
    read = read_radiograph(saved(path, Image.fromarray(samples), form, **LOSSLESS_8[form]))
    assert read.pixels.dtype == np.float32
    np.testing.assert_array_equal(read.pixels, samples / np.float32(255))


@settings(max_examples=15, deadline=None)
@given(samples=SHAPES.flatmap(lambda shape: arrays(np.uint16, shape)))
@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_sixteen_bits_come_back_up_to_their_scale(
    tmp_path_factory: pytest.TempPathFactory, form: str, samples: Any
) -> None:
    samples[0, 0] = 65535  # all 16 bits are used
    read = read_radiograph(saved(tmp_path_factory.getbasetemp() / f"deep.{form}", Image.fromarray(samples), form))
    assert read.bit_depth == 16
    assert read.warnings == ()
    np.testing.assert_array_equal(read.pixels, samples / np.float32(65535))


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"])
@pytest.mark.parametrize("big_endian", [False, True])
def test_tiff_compressions(tmp_path: Path, compression: str, big_endian: bool) -> None:
    samples = np.linspace(0, 65535, 2000).astype(np.uint16).reshape(40, 50)
    image = (
        Image.frombytes("I;16B", (50, 40), samples.astype(">u2").tobytes())
        if big_endian
        else Image.fromarray(samples)
    )
    read = read_radiograph(saved(tmp_path / "a.tif", image, "TIFF", compression=compression))
    np.testing.assert_array_equal(read.pixels, samples / np.float32(65535))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_white_is_zero_is_turned(tmp_path: Path, dtype: Any) -> None:
    top = np.iinfo(dtype).max
    samples = np.linspace(0, top, 2000).astype(dtype).reshape(40, 50)
    path = tmp_path / "a.tif"
    saved(path, Image.fromarray(samples), "TIFF")
    photometric = struct.pack("<HHI", TiffImagePlugin.PHOTOMETRIC_INTERPRETATION, 3, 1)  # one SHORT
    path.write_bytes(path.read_bytes().replace(photometric + b"\1", photometric + b"\0"))
    np.testing.assert_allclose(read_radiograph(path).pixels, 1 - samples / top, atol=1e-6)


def test_jpeg_and_jfif(tmp_path: Path) -> None:
    smooth = np.tile(np.arange(32, 232, 2, dtype=np.uint8), (64, 1))
    for name in ("a.jpg", "a.jfif", "no_ending"):
        read = read_radiograph(saved(tmp_path / name, Image.fromarray(smooth), "JPEG", quality=95))
        assert np.abs(read.pixels - smooth / 255).max() < 0.02


def test_jpeg_within_tiff(tmp_path: Path) -> None:
    smooth = np.tile(np.arange(32, 232, 2, dtype=np.uint8), (64, 1))
    read = read_radiograph(saved(tmp_path / "a.tif", Image.fromarray(smooth), "TIFF", compression="jpeg", quality=95))
    assert np.abs(read.pixels - smooth / 255).max() < 0.02


@pytest.mark.parametrize(("top", "depth"), [(255, 8), (1023, 10), (4095, 12), (16383, 14), (65535, 16), (900, 10)])
def test_sixteen_bit_files_that_use_fewer_bits(tmp_path: Path, top: int, depth: int) -> None:
    samples = np.linspace(0, top, 2000).astype(np.uint16).reshape(40, 50)
    read = read_radiograph(saved(tmp_path / "a.png", Image.fromarray(samples), "PNG"))
    assert read.bit_depth == depth
    assert read.pixels.max() == np.float32(top / (2**depth - 1))
    assert any(f"{depth} of 16 bits" in warning for warning in read.warnings) == (depth < 16)


def test_floats_are_stretched(tmp_path: Path) -> None:
    values = np.linspace(-3.0, 7.0, 2000, dtype=np.float32).reshape(40, 50)
    values[5, 5] = np.nan
    read = read_radiograph(saved(tmp_path / "a.tif", Image.fromarray(values), "TIFF"))
    expected = np.nan_to_num((values + 3) / 10, nan=0.0)
    np.testing.assert_allclose(read.pixels, expected, atol=1e-6)
    assert len(read.warnings) == 2
    assert "smallest and largest" in read.warnings[0]


@pytest.mark.parametrize("mode", ["P", "RGB", "RGBA", "LA", "1", "CMYK"])
def test_grey_in_other_clothes(tmp_path: Path, grey: NDArray[np.uint8], mode: str) -> None:
    source = np.where(grey > 127, 255, 0).astype(np.uint8) if mode == "1" else grey
    image = Image.fromarray(source).convert("RGB" if mode == "CMYK" else mode).convert(mode)
    form = "TIFF" if mode == "CMYK" else "PNG"
    read = read_radiograph(saved(tmp_path / "a", image, form))
    np.testing.assert_array_equal(read.pixels, source / np.float32(255))
    assert read.warnings == ()


def test_colour_becomes_luminance_with_a_warning(tmp_path: Path) -> None:
    image = Image.new("RGB", (40, 40), (255, 0, 0))
    read = read_radiograph(saved(tmp_path / "a.png", image, "PNG"))
    assert read.pixels[0, 0] == pytest.approx(0.299, abs=0.002)
    assert read.warnings == ("The image holds colour: only its brightness is used.",)


def test_transparency_becomes_black(tmp_path: Path) -> None:
    samples = np.full((40, 50, 2), 200, dtype=np.uint8)
    samples[:20, :, 1] = 0
    samples[20:, :, 1] = 255
    read = read_radiograph(saved(tmp_path / "a.png", Image.fromarray(samples, "LA"), "PNG"))
    assert (read.pixels[:20] == 0).all()
    np.testing.assert_array_equal(read.pixels[20:], np.float32(200) / np.float32(255))
    assert "transparent" in read.warnings[0]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF"])
def test_exif_orientation(tmp_path: Path, form: str, orientation: int) -> None:
    """The bright quarter ends up where EXIF 2.3, section 4.6.4 A says that row 0 and column 0 are seen."""
    samples = np.zeros((40, 60), dtype=np.uint8)
    samples[:20, :30] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    read = read_radiograph(saved(tmp_path / "a", Image.fromarray(samples), form, exif=exif.tobytes()))
    assert read.pixels.shape == ((40, 60) if orientation <= 4 else (60, 40))
    rows, columns = np.nonzero(read.pixels > 0.5)
    bottom, right = rows.mean() > read.height / 2, columns.mean() > read.width / 2
    seen = {1: (0, 0), 2: (0, 1), 3: (1, 1), 4: (1, 0), 5: (0, 0), 6: (0, 1), 7: (1, 1), 8: (1, 0)}
    assert (bottom, right) == seen[orientation]


def test_what_is_known_of_the_file(tmp_path: Path, grey: NDArray[np.uint8]) -> None:
    path = saved(tmp_path / "a.png", Image.fromarray(grey), "PNG")
    read = read_radiograph(str(path))
    assert isinstance(read, Radiograph)
    assert read.file == str(path)
    assert read.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (read.view, read.age, read.modality, read.bit_depth) == (None, None, None, 8)
    assert not read.pixels.flags.writeable


@pytest.mark.parametrize(
    ("form", "word"), [("GIF", "frames"), ("WEBP", "frames"), ("PNG", "frames"), ("TIFF", "pages")]
)
def test_several_pictures_in_one_file(tmp_path: Path, grey: NDArray[np.uint8], form: str, word: str) -> None:
    first, second = Image.fromarray(grey), Image.fromarray(255 - grey)
    path = saved(tmp_path / "clip", first, form, save_all=True, append_images=[second])
    with pytest.raises(UnreadableImageError, match=f"it holds several {word}"):
        read_radiograph(path)


def test_previews_behind_a_camera_picture_do_no_harm(tmp_path: Path, grey: NDArray[np.uint8]) -> None:
    first = Image.fromarray(grey)
    path = saved(tmp_path / "a.jpg", first, "MPO", save_all=True, append_images=[first])
    assert read_radiograph(path).pixels.shape == (40, 50)


def test_a_decompression_bomb_is_not_decoded(tmp_path: Path) -> None:
    for side in (12_000, 60_000):
        head = saved_bytes(Image.new("L", (32, 32)), "PNG")
        bomb = head[:16] + side.to_bytes(4, "big") * 2 + head[24:]
        path = tmp_path / "bomb.png"
        path.write_bytes(with_header_checksum(bomb))
        with pytest.raises(UnreadableImageError, match="pixels"):
            read_radiograph(path)


def test_a_thumbnail_is_no_radiograph(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImageError, match="31 × 40 pixels are too few"):
        read_radiograph(saved(tmp_path / "a.png", Image.new("L", (31, 40)), "PNG"))


@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF", "WEBP", "BMP"])
def test_cut_short(tmp_path: Path, form: str) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (64, 64), dtype=np.uint8)
    data = saved_bytes(Image.fromarray(noise), form)
    path = tmp_path / "cut"
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(UnreadableImageError, match=f"the {form} data is damaged or cut short"):
        read_radiograph(path)


def saved_bytes(image: Image.Image, form: str) -> bytes:
    file = BytesIO()
    image.save(file, form)
    return file.getvalue()


def with_header_checksum(png: bytes) -> bytes:
    return png[:29] + zlib.crc32(png[12:29]).to_bytes(4, "big") + png[33:]
