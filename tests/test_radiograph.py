"""The radiograph as a value."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lungsight.radiograph import Levels, Radiograph, Window

PIXELS = np.arange(6, dtype=np.float32).reshape(2, 3)
PLACES = st.tuples(st.booleans(), st.sampled_from([0, 90, 180, 270]))


@given(st.lists(PLACES, max_size=4))
def test_however_often_it_is_placed_it_states_what_was_done_in_all(places: list[tuple[bool, int]]) -> None:
    image = Radiograph(PIXELS.copy(), "a", "0", pixel_spacing=(1, 2), file_shape=(20, 30))
    for mirrored, turned in places:
        image = image.placed(mirrored=mirrored, turned=turned)
    at_once = Radiograph(PIXELS.copy(), "a", "0").placed(mirrored=image.mirrored, turned=image.turned)
    np.testing.assert_array_equal(image.pixels, at_once.pixels)
    lies = image.turned % 180 == 90
    assert image.pixels.shape == ((3, 2) if lies else (2, 3))
    assert (image.height, image.width) == ((30, 20) if lies else (20, 30))
    assert image.pixel_spacing == ((2, 1) if lies else (1, 2))
    assert image.turned in (0, 90, 180, 270)


def test_a_quarter_turn_is_clockwise() -> None:
    image = Radiograph(PIXELS.copy(), "a", "0").placed(turned=90)
    np.testing.assert_array_equal(image.pixels, [[3, 0], [4, 1], [5, 2]])


def with_levels() -> Radiograph:
    levels = Levels(np.arange(6, dtype=np.uint16).reshape(2, 3), (Window("", 2.5, 5), Window("narrow", 3, 1)))
    return Radiograph(PIXELS / 5, "a", "0", levels=levels)


@given(PLACES, st.booleans(), PLACES)
def test_a_viewer_puts_an_image_as_it_was_analysed(
    by_header: tuple[bool, int], inverted: bool, by_gate: tuple[bool, int]
) -> None:
    as_read = with_levels().placed(mirrored=by_header[0], turned=by_header[1])
    analysed = as_read.placed(mirrored=by_gate[0], turned=by_gate[1])
    analysed = analysed.negative() if inverted else analysed
    again = as_read.as_analysed(analysed.placement, inverted=inverted)
    np.testing.assert_array_equal(again.pixels, analysed.pixels)
    assert again.placement == analysed.placement
    assert again.levels is not None
    np.testing.assert_allclose(again.levels.shown(), again.pixels, atol=1e-6)


def test_a_negative_turns_numbers_and_every_window() -> None:
    levels = with_levels().levels
    assert levels is not None
    turned = levels.negative()
    for window, other in zip(levels.windows, turned.windows, strict=True):
        np.testing.assert_allclose(turned.shown(other), 1 - levels.shown(window), atol=1e-6)
    numbers = (one.at_zero + one.per_level * one.values for one in (levels, turned))
    np.testing.assert_array_equal(*numbers)
