"""The radiograph as a value."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lungsight.radiograph import Radiograph

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
