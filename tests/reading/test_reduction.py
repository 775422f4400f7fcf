"""Large images read smaller: as much as asked for, and the same picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from lungsight.datasets.phantom import Label, draw
from lungsight.radiograph import Radiograph
from lungsight.reading import read_radiograph
from lungsight.reading.reduction import factor_of, reduced


@pytest.fixture(scope="module")
def phantom() -> NDArray[np.float32]:
    return draw(3, next(iter(Label)), size=1024).pixels


def saved(pixels: NDArray[np.float32], path: Path, **options: object) -> Path:
    Image.fromarray(np.rint(pixels * 255).astype(np.uint8)).save(path, **options)  # type: ignore[arg-type]
    return path


@given(st.integers(1, 20_000), st.integers(1, 20_000), st.integers(1, 3000))
def test_as_many_pixels_as_asked_for_are_left_and_not_many_more(height: int, width: int, at_least: int) -> None:
    factor = factor_of(height, width, at_least)
    short = min(height, width)
    assert factor in (1, 2, 4, 8)
    assert factor == 1 or short / factor >= at_least
    assert factor == 8 or short // (2 * factor) < at_least


def test_nothing_asked_for_leaves_all() -> None:
    assert factor_of(5000, 5000, 0) == 1


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_a_reduced_image_is_the_mean_of_its_pixels(tmp_path: Path, phantom: NDArray[np.float32], suffix: str) -> None:
    path = saved(phantom, tmp_path / f"image{suffix}")
    small = read_radiograph(path, at_least=256)
    height, width = phantom.shape
    assert (small.height, small.width) == (height, width), "the size in the file is told as it is"
    factor = factor_of(height, width, 256)
    assert small.pixels.shape == (-(-height // factor), -(-width // factor))
    means = reduced(read_radiograph(path), 256).pixels
    difference = np.abs(small.pixels - means)[:-1, :-1]  # the last row may stand for fewer pixels
    assert difference.max() < 0.02
    assert np.sqrt((difference**2).mean()) < 0.004


def test_without_a_wish_the_pixels_are_those_of_the_file(tmp_path: Path, phantom: NDArray[np.float32]) -> None:
    image = read_radiograph(saved(phantom, tmp_path / "image.png"))
    assert image.file_shape is None
    np.testing.assert_allclose(image.pixels, phantom, atol=0.5 / 255 + 1e-6)


def test_a_turned_jpeg_tells_its_upright_size(tmp_path: Path, phantom: NDArray[np.float32]) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    lying = np.ascontiguousarray(phantom[:, :900])
    image = read_radiograph(saved(lying, tmp_path / "image.jpg", exif=exif.tobytes()), at_least=256)
    assert (image.height, image.width) == (900, 1024)
    assert image.pixels.shape == (450, 512)


def test_a_small_image_is_left_as_it_is() -> None:
    image = Radiograph(pixels=np.zeros((300, 400), dtype=np.float32), file="a", sha256="")
    assert reduced(image, 256) is image


def test_reducing_twice_remembers_the_file() -> None:
    image = Radiograph(pixels=np.full((2000, 1700), 0.25, dtype=np.float32), file="a", sha256="")
    twice = reduced(reduced(image, 800), 200)
    assert (twice.height, twice.width) == (2000, 1700)
    assert min(twice.pixels.shape) < 430
    np.testing.assert_allclose(twice.pixels, 0.25)
