"""The coordinates of features."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lungsight.adaptation.local_images import Directions


@given(st.integers(2, 12), st.integers(1, 12), st.integers(0, 10_000))
def test_a_layer_gives_the_same_on_features_as_on_coordinates(n: int, c: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    features = draw.normal(3, 2, (n, c))
    directions = Directions.of(features)
    along = directions.along(features)
    weights, bias = draw.normal(0, 1, (3, along.shape[1])), draw.normal(0, 1, 3)
    whole, new_bias = directions.layer(weights, bias)
    assert whole.shape == (3, c)
    assert np.allclose(features @ whole.T + new_bias, along @ weights.T + bias)
    lengths = np.linalg.norm(features - features.mean(axis=0), axis=1) / directions.scale
    assert np.allclose(np.linalg.norm(along, axis=1), lengths)  # nothing that differs is lost


def test_features_that_never_differ_leave_nothing_to_weigh() -> None:
    assert Directions.of(np.ones((5, 3))).along(np.ones((5, 3))).shape == (5, 0)
