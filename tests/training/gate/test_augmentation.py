from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lungsight.training.gate.augmentation import view_of, with_marks

RAMP = np.tile(np.linspace(0.1, 0.9, 128, dtype=np.float32), (128, 1))  # brighter to the right


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**31))
def test_a_view_stays_a_film_of_greys(seed: int) -> None:
    view = view_of(RAMP, np.random.default_rng(seed))
    assert view.pixels.dtype == np.float32
    assert view.pixels.shape == RAMP.shape
    assert 0 <= view.pixels.min() <= view.pixels.max() <= 1


def test_turning_clockwise_by_the_stated_angle_rights_it() -> None:
    """A film bright below shows where its foot went."""
    film = np.ascontiguousarray(RAMP.T)
    seen = set()
    for seed in range(200):
        view = view_of(film, np.random.default_rng(seed))
        if view.inverted or view.marked:
            continue
        righted = np.rot90(view.pixels, -view.turn)
        assert righted[70:100, 32:96].mean() > righted[28:58, 32:96].mean()  # inside any border
        seen.add(view.turn)
    assert seen == {0, 1, 2, 3}


def test_half_of_the_views_are_plain() -> None:
    views = [view_of(RAMP, np.random.default_rng(seed)) for seed in range(300)]
    plain = [not (view.turn or view.inverted or view.marked) for view in views]
    assert 0.45 < np.mean(plain) < 0.75


def test_heavy_marks_hide_part_of_the_film_but_not_the_original() -> None:
    kept = RAMP.copy()
    changed = [np.mean(np.abs(with_marks(RAMP, np.random.default_rng(seed)) - RAMP) > 0.05) for seed in range(40)]
    assert np.array_equal(RAMP, kept)
    assert min(changed) > 0.002
    assert np.median(changed) > 0.02
