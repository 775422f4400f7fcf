"""An image is known again by its perceptual hash though its file is another."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lungsight.datasets.duplicates.fingerprint import Thumbnail, thumbnail_of
from lungsight.datasets.duplicates.perceptual_hash import BITS, as_bits, distances, perceptual_hash, perceptual_hashes
from lungsight.datasets.phantom import Label, draw


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return draw(4, Label.COVID19, size=256).pixels


def _apart(one: Thumbnail, other: Thumbnail) -> int:
    return int(distances(as_bits([perceptual_hash(one)]), as_bits([perceptual_hash(other)]))[0, 0])


def _jpeg(pixels: np.ndarray, quality: int) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(np.round(pixels * 255).astype(np.uint8)).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer), dtype=np.float32) / 255


@pytest.mark.parametrize("change", [lambda p: _jpeg(p, 30), lambda p: p**1.5, lambda p: p[::2, ::2]])
def test_a_copy_lies_close(pixels: np.ndarray, change: object) -> None:
    copy = np.ascontiguousarray(change(pixels), dtype=np.float32)  # type: ignore[operator]
    assert _apart(thumbnail_of(pixels), thumbnail_of(copy)) < 40


def test_another_patient_lies_far(pixels: np.ndarray) -> None:
    assert _apart(thumbnail_of(pixels), thumbnail_of(draw(5, Label.COVID19, size=256).pixels)) > 48


def test_a_mirrored_image_has_the_hash_of_its_mirror(pixels: np.ndarray) -> None:
    thumbnail = thumbnail_of(pixels)
    (mirrored,) = perceptual_hashes(thumbnail[None], mirrored=True)
    assert mirrored == perceptual_hash(np.ascontiguousarray(thumbnail[:, ::-1]))
    assert mirrored != perceptual_hash(thumbnail)


def test_a_plain_image_has_none() -> None:
    assert perceptual_hash(np.full((192, 192), 77, dtype=np.uint8)) == ""


@given(st.lists(st.binary(min_size=BITS // 8, max_size=BITS // 8), min_size=1, max_size=6))
def test_distances_are_the_bits_that_differ(hashes: list[bytes]) -> None:
    bits = as_bits([one.hex() for one in hashes])
    expected = [[(int.from_bytes(a) ^ int.from_bytes(b)).bit_count() for b in hashes] for a in hashes]
    assert distances(bits, bits).tolist() == expected


def test_other_text_is_no_hash() -> None:
    with pytest.raises(ValueError, match="64 hexadecimal digits"):
        as_bits(["ab"])
