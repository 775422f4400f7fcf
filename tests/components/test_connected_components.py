"""Pieces, holes and hulls, against OpenCV and scipy."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy import ndimage

from lungsight.components.connected_components import connected_components, hull_area, without_holes

masks = st.tuples(st.integers(1, 24), st.integers(1, 24)).flatmap(lambda shape: arrays(np.bool_, shape))


def noise(density: float, seed: int = 0) -> NDArray[np.bool_]:
    return np.random.default_rng(seed).random((256, 256)) < density


@given(masks)
def test_pieces_are_scipys(mask: NDArray[np.bool_]) -> None:
    found, count = connected_components(mask)
    expected, expected_count = ndimage.label(mask)
    assert count == expected_count
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("density", [0.0, 0.3, 0.6, 0.9, 1.0])
def test_pieces_of_noise_are_opencvs(density: float) -> None:
    mask = noise(density)
    found, count = connected_components(mask)
    expected_count, _ = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)
    assert count == expected_count - 1
    np.testing.assert_array_equal(found, ndimage.label(mask)[0])


@given(masks)
def test_holes_are_filled_as_scipy_does(mask: NDArray[np.bool_]) -> None:
    np.testing.assert_array_equal(without_holes(mask), ndimage.binary_fill_holes(mask))


@given(masks.filter(np.any))
def test_a_hull_is_opencvs_but_for_its_rim(mask: NDArray[np.bool_]) -> None:
    points = cv2.convexHull(cv2.findNonZero(mask.astype(np.uint8)))
    drawn = cv2.fillConvexPoly(np.zeros(mask.shape, np.uint8), points, 1)
    grid = np.argwhere(np.ones_like(mask))[:, ::-1].astype(float)
    inside = sum(cv2.pointPolygonTest(points, tuple(point), False) >= 0 for point in grid)
    assert hull_area(mask) == inside
    assert hull_area(mask) <= drawn.sum()


def test_a_disc_is_its_own_hull() -> None:
    y, x = np.ogrid[:200, :200]
    disc = (x - 100) ** 2 + (y - 90) ** 2 <= 60**2
    assert hull_area(disc) == pytest.approx(disc.sum(), rel=0.01)
    assert hull_area(disc) >= disc.sum()
