import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lungsight.components.lungs import Box, Lungs, crop_of
from lungsight.components.preprocessing import Preprocessing, percentiles, sound
from lungsight.reading.reduction import reduced_pixels

edges = st.tuples(*[st.floats(0, 1)] * 2).map(sorted).filter(lambda pair: pair[1] > pair[0])
boxes = st.builds(lambda x, y: Box(x[0], y[0], x[1], y[1]), edges, edges)


@pytest.mark.parametrize(
    ("geometry", "digest"), [("squash", "8e3716bc62c2"), ("pad", "b455b706a28a"), ("crop", "6c7748d70279")]
)
def test_preprocessings_of_before_lung_crops_are_named_as_they_were(geometry: str, digest: str) -> None:
    stated = Preprocessing(image_size=64, geometry=geometry, intensity="percentile")  # type: ignore[arg-type]
    assert hashlib.sha256(stated.model_dump_json().encode()).hexdigest()[:12] == digest


def test_the_margin_is_stated_with_lungs_only() -> None:
    lungs = Preprocessing(geometry="lungs", margin=0.2)
    assert lungs.model_dump()["margin"] == 0.2
    assert Preprocessing.model_validate_json(lungs.model_dump_json()) == lungs
    assert "margin" not in Preprocessing(geometry="pad", margin=0.2).model_dump()


@pytest.mark.parametrize("margin", [-0.1, 1.5, float("nan")])
def test_a_margin_out_of_range_is_refused(margin: float) -> None:
    with pytest.raises(ValueError, match="margin"):
        Preprocessing(geometry="lungs", margin=margin)


def test_the_box_is_widened_by_the_margin_on_each_side() -> None:
    region = Preprocessing(geometry="lungs", margin=0.25).region(100, 200, Box(0.3, 0.4, 0.7, 0.8))
    assert (region.left, region.right) == (40, 160)  # 60 and 140, and a quarter of 80 on each side
    assert (region.top, region.bottom) == (30, 90)


@given(boxes, st.integers(1, 300), st.integers(1, 300), st.floats(0, 1))
def test_a_region_holds_its_box_and_stays_in_the_image(box: Box, height: int, width: int, margin: float) -> None:
    region = Preprocessing(geometry="lungs", margin=margin).region(height, width, box)
    assert 0 <= region.left < region.right <= width
    assert 0 <= region.top < region.bottom <= height
    assert region.left <= box.left * width
    assert region.right >= min(box.right * width, width) - 1e-9
    assert region.top <= box.top * height
    assert region.bottom >= min(box.bottom * height, height) - 1e-9


def test_without_lungs_the_whole_image_is_shown() -> None:
    pixels = np.random.default_rng(0).random((70, 90)).astype(np.float32)
    lungs, squash = (Preprocessing(image_size=32, geometry=name) for name in ("lungs", "squash"))  # type: ignore[arg-type]
    np.testing.assert_array_equal(lungs.apply(pixels), squash.apply(pixels))


@pytest.mark.parametrize("geometry", ["squash", "pad", "crop"])
def test_other_geometries_dont_look_at_the_box(geometry: str) -> None:
    pixels = np.random.default_rng(0).random((70, 90)).astype(np.float32)
    stated = Preprocessing(image_size=32, geometry=geometry)  # type: ignore[arg-type]
    np.testing.assert_array_equal(stated.apply(pixels, Box(0.1, 0.1, 0.5, 0.5)), stated.apply(pixels))


def test_what_is_shown_is_the_box_and_nothing_else() -> None:
    pixels = np.zeros((100, 200), np.float32)
    pixels[20:60, 50:150] = 1
    stated = Preprocessing(image_size=32, geometry="lungs", margin=0)
    assert (stated.apply(pixels, Box(0.25, 0.2, 0.75, 0.6)) == 1).all()


def test_grey_is_stretched_by_what_lies_in_the_box() -> None:
    pixels = np.linspace(0.4, 0.6, 10_000, dtype=np.float32).reshape(100, 100)
    pixels[:, :10] = 1  # a marker beside the lungs
    stated = Preprocessing(image_size=32, geometry="lungs", margin=0, intensity="percentile")
    shown = stated.apply(pixels, Box(0.2, 0, 1, 1))
    assert shown.min() == pytest.approx(0, abs=0.02)
    assert shown.max() == pytest.approx(1, abs=0.02)


@given(boxes)
def test_a_map_comes_back_to_where_it_was_seen(box: Box) -> None:
    stated = Preprocessing(image_size=32, geometry="lungs")
    restored = stated.restore(np.ones((4, 4), np.float32), 60, 80, box)
    region = stated.region(60, 80, box)
    inside = np.zeros((60, 80), bool)
    inside[region.top : region.bottom, region.left : region.right] = True
    np.testing.assert_allclose(restored, inside)


def test_a_spot_in_the_crop_lies_where_it_lay_in_the_image() -> None:
    pixels = np.zeros((120, 160), np.float32)
    pixels[40:50, 60:75] = 1
    box = Box(0.25, 0.2, 0.75, 0.6)
    stated = Preprocessing(image_size=64, geometry="lungs")
    back = stated.restore(stated.apply(pixels, box), 120, 160, box)
    assert np.abs(back - pixels).mean() < 0.01
    assert back[44:46, 64:70].min() > 0.9


def test_a_crop_needs_two_plausible_lungs() -> None:
    mask = np.zeros((32, 32), bool)
    mask[8:24, 4:28] = True
    lungs = Lungs(mask, ())
    assert crop_of(lungs) == lungs.box != None  # noqa: E711
    assert crop_of(Lungs(mask, ("One lung is missing.",))) is None
    assert crop_of(None) is None


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([2**8 - 1, 2**12 - 1, 2**16 - 1, 0]))
def test_percentiles_of_large_images_are_numpys(seed: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    pixels = rng.beta(rng.uniform(0.2, 3), rng.uniform(0.2, 3), size=(400, 300)).astype(np.float32)
    if levels:
        pixels = np.rint(pixels * levels).astype(np.float32) / np.float32(levels)
    np.testing.assert_allclose(percentiles(pixels, 1, 50, 99), np.percentile(pixels, (1, 50, 99)), atol=2 / 65535)


@pytest.mark.parametrize("odd", [-1.0, 7.0, float("nan")])
def test_percentiles_of_what_is_not_between_0_and_1_are_numpys_too(odd: float) -> None:
    pixels = np.random.default_rng(0).random((400, 300)).astype(np.float32)
    pixels[5, 5] = odd
    np.testing.assert_equal(percentiles(pixels, 1, 99), np.percentile(pixels, (1, 99)).tolist())


@pytest.mark.parametrize(
    ("given", "meant"), [(float("nan"), 0.0), (float("inf"), 1.0), (float("-inf"), 0.0), (-0.5, 0.0), (1.5, 1.0)]
)
def test_sound_pixels_are_numbers_between_0_and_1(given: float, meant: float) -> None:
    pixels = np.array([[0.25, given]], dtype=np.float32)
    np.testing.assert_array_equal(sound(pixels), np.array([[0.25, meant]], dtype=np.float32))


def test_sound_pixels_are_left_as_they_are() -> None:
    pixels = np.random.default_rng(0).random((30, 40)).astype(np.float32)
    assert sound(pixels) is pixels


@pytest.mark.parametrize("geometry", ["squash", "pad", "crop", "lungs"])
def test_a_large_image_is_made_smaller_first_so_that_noise_moves_no_percentile(geometry: str) -> None:
    preprocessing = Preprocessing(image_size=64, geometry=geometry, intensity="percentile")  # type: ignore[arg-type]
    ramp = np.linspace(0.2, 0.8, 600, dtype=np.float32)
    smooth = np.tile(ramp, (600, 1))
    large = np.kron(smooth, np.ones((4, 4), dtype=np.float32))
    noisy = np.clip(large + np.random.default_rng(0).normal(0, 0.1, large.shape), 0, 1).astype(np.float32)
    box = Box(0.1, 0.1, 0.9, 0.9)
    np.testing.assert_allclose(preprocessing.apply(large, box), preprocessing.apply(smooth, box), atol=1e-5)
    assert np.abs(preprocessing.apply(noisy, box) - preprocessing.apply(smooth, box)).mean() < 0.03
    assert preprocessing.apply(reduced_pixels(large, preprocessing.enough_pixels), box).shape == (64, 64)
