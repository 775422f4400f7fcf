"""Outlines enclose what they outline, and come back to the pixels of the file."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from lungsight.components.preprocessing import Preprocessing
from lungsight.dicom_results.geometry import around, mask_on_stored, on_stored, outlines, regions
from lungsight.inference.finding import ClassMap
from lungsight.radiograph import Radiograph


def _filled(outline: np.ndarray, height: int, width: int) -> np.ndarray:
    drawn = Image.new("1", (width * 4, height * 4))
    ImageDraw.Draw(drawn).polygon([tuple(point) for point in outline * (width * 4, height * 4)], fill=1)
    return np.asarray(drawn.resize((width, height)), dtype=bool)


def _two_lungs(height: int = 60, width: int = 80) -> np.ndarray:
    mask = np.zeros((height, width), dtype=bool)
    mask[10:50, 12:34] = mask[14:46, 46:70] = True
    return mask


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("turned", [0, 90, 180, 270])
@given(seed=st.integers(0, 1000))
def test_points_and_masks_come_back_to_the_file(mirrored: bool, turned: int, seed: int) -> None:
    """As :meth:`Radiograph.placed` mirrored and turned the pixels, outlines are turned and mirrored back."""
    draw = np.random.default_rng(seed)
    stored = np.zeros((20, 30), dtype=np.float32)
    row, column = draw.integers(0, 20), draw.integers(0, 30)
    stored[row, column] = 1
    placed = Radiograph(stored, "x", "0" * 64).placed(mirrored=mirrored, turned=turned)
    ((y, x),) = np.argwhere(placed.pixels > 0)
    height, width = placed.pixels.shape
    point = on_stored(np.array([[(x + 0.5) / width, (y + 0.5) / height]]), placed.placement)
    assert point[0] * (30, 20) == pytest.approx([column + 0.5, row + 0.5])
    assert (mask_on_stored(placed.pixels > 0, placed.placement) == (stored > 0)).all()


def test_each_component_has_an_outline_and_both_have_one_around() -> None:
    mask = _two_lungs()
    found = outlines(mask)
    assert len(found) == 2
    drawn = np.logical_or(*(_filled(one, *mask.shape) for one in found))
    assert (drawn == mask).mean() > 0.98
    hull = around(mask)
    assert hull is not None
    assert (hull[0] == hull[-1]).all()
    assert mask[~_filled(hull, *mask.shape)].mean() < 0.05


def test_nothing_has_no_outline() -> None:
    assert around(np.zeros((8, 8), dtype=bool)) is None


def test_regions_are_where_evidence_is_above_half_its_maximum() -> None:
    values = np.zeros((16, 16), dtype=np.float32)
    values[3:5, 3:5], values[10:13, 10:13], values[2, 12] = 3.0, 2.0, 1.0
    found = regions(ClassMap(values, 0.0, Preprocessing(image_size=32)), 320, 320)
    assert [region.strongest for region in found] == pytest.approx([3.0, 2.0], abs=0.05)
    (x, y) = found[0].outline.mean(axis=0)
    assert (x, y) == pytest.approx((0.25, 0.25), abs=0.04)


def test_evidence_against_has_no_region() -> None:
    assert regions(ClassMap(np.full((4, 4), -1, np.float32), 0.0, Preprocessing(image_size=32)), 64, 64) == []
