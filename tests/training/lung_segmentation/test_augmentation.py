from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from lungsight.datasets.phantom import Label, draw
from lungsight.training.lung_segmentation.augmentation import augment
from lungsight.training.lung_segmentation.recipe import LungAugmentation
from lungsight.training.lung_segmentation.simulated_opacity import with_opacity

SIDE = 96
Floats = NDArray[np.float32]
NOTHING = LungAugmentation.model_validate(dict.fromkeys(LungAugmentation.model_fields, 0.0))
EVERYTHING = LungAugmentation(borders=1, letters=1, cut_outs=1, opacity=1, invert=1)


@pytest.fixture(scope="module")
def phantom() -> tuple[Floats, Floats]:
    drawn = draw(3, Label.NO_PNEUMONIA, size=SIDE)
    pixels, mask = (cv2.resize(plane.astype(np.float32), (SIDE, SIDE)) for plane in (drawn.pixels, drawn.lung_mask))
    return pixels, mask


def test_no_change_is_none(phantom: tuple[Floats, Floats]) -> None:
    pixels, mask = augment(*phantom, NOTHING, np.random.default_rng(0))
    np.testing.assert_allclose(pixels, phantom[0], atol=1e-5)
    np.testing.assert_allclose(mask, phantom[1], atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_whatever_is_drawn_stays_a_picture_and_its_mask(phantom: tuple[Floats, Floats], seed: int) -> None:
    pixels, mask = augment(*phantom, EVERYTHING, np.random.default_rng(seed))
    again, mask_again = augment(*phantom, EVERYTHING, np.random.default_rng(seed))
    assert np.array_equal(pixels, again)
    assert np.array_equal(mask, mask_again)
    for plane in (pixels, mask):
        assert plane.shape == (SIDE, SIDE)
        assert plane.dtype == np.float32
        assert np.isfinite(plane).all()
        assert plane.min() >= 0
        assert plane.max() <= 1


@pytest.mark.parametrize("moved", [{"flip": 1}, {"rotate": 30}, {"zoom": 0.4}, {"squash": 0.4}, {"shift": 0.15}])
def test_the_mask_moves_with_the_picture(phantom: tuple[Floats, Floats], moved: dict[str, float]) -> None:
    """A picture that is its own mask is so after any movement, too, and has moved."""
    amount = NOTHING.model_copy(update=moved)
    changes = []
    for seed in range(8):
        picture, mask = augment(phantom[1], phantom[1], amount, np.random.default_rng(seed))
        np.testing.assert_allclose(picture[mask > 0.5], mask[mask > 0.5], atol=1e-5)
        changes.append(float(np.abs(mask - phantom[1]).mean()))
    assert max(changes) > 0.03


@pytest.mark.parametrize("hiding", ["cut_outs", "letters", "opacity", "invert"])
def test_what_hides_lung_leaves_the_mask_alone(phantom: tuple[Floats, Floats], hiding: str) -> None:
    pixels, mask = augment(*phantom, NOTHING.model_copy(update={hiding: 1.0}), np.random.default_rng(2))
    np.testing.assert_allclose(mask, phantom[1], atol=1e-5)
    assert np.abs(pixels - phantom[0]).max() > 0.1


def test_a_frame_ends_the_lung(phantom: tuple[Floats, Floats]) -> None:
    whole = np.ones_like(phantom[1])
    for seed in range(20):
        pixels, mask = augment(
            phantom[0], whole, NOTHING.model_copy(update={"borders": 1.0}), np.random.default_rng(seed)
        )
        assert len(np.unique(np.round(pixels[mask < 0.5], 5))) <= 1, "one grey under the frame"
        np.testing.assert_allclose(pixels[mask > 0.5], phantom[0][mask > 0.5], atol=1e-5)


def test_opacities_whiten_lungs_towards_the_body(phantom: tuple[Floats, Floats]) -> None:
    pixels, mask = phantom
    body = pixels[mask < 0.1].max()
    gains = []
    for seed in range(60):
        changed = with_opacity(pixels, mask, np.random.default_rng(seed))
        gains.append(float((changed - pixels)[mask > 0.5].mean()))
        assert changed.max() <= max(body, pixels.max()) + 1e-5
        assert np.abs(changed - pixels)[cv2.dilate(mask, np.ones((35, 35))) < 0.01].max(initial=0) < 0.02, "far away"
    assert np.mean(gains) > 0.03
    assert np.std(gains) > 0.02, "from a haze to a white lung"


def test_where_there_is_no_lung_nothing_is_whitened(phantom: tuple[Floats, Floats]) -> None:
    nothing = np.zeros_like(phantom[1])
    assert np.array_equal(with_opacity(phantom[0], nothing, np.random.default_rng(0)), phantom[0])
