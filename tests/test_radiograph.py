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
    film = Radiograph(PIXELS.copy(), "a", "0", pixel_spacing=(1, 2), file_shape=(20, 30))
    for mirrored, turned in places:
        film = film.placed(mirrored=mirrored, turned=turned)
    at_once = Radiograph(PIXELS.copy(), "a", "0").placed(mirrored=film.mirrored, turned=film.turned)
    np.testing.assert_array_equal(film.pixels, at_once.pixels)
    lies = film.turned % 180 == 90
    assert film.pixels.shape == ((3, 2) if lies else (2, 3))
    assert (film.height, film.width) == ((30, 20) if lies else (20, 30))
    assert film.pixel_spacing == ((2, 1) if lies else (1, 2))
    assert film.turned in (0, 90, 180, 270)


def test_a_quarter_turn_is_clockwise() -> None:
    film = Radiograph(PIXELS.copy(), "a", "0").placed(turned=90)
    np.testing.assert_array_equal(film.pixels, [[3, 0], [4, 1], [5, 2]])
