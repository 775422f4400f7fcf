from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lungsight.datasets.ood_images.broken import blurred, cropped
from lungsight.datasets.ood_images.kinds import Floats


def _checkers(rng: np.random.Generator) -> Floats:
    rows, columns = np.mgrid[:256, :256]
    return ((rows // 4 + columns // 4) % 2).astype(np.float32)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31))
def test_a_crop_holds_at_most_half_of_a_side(seed: int) -> None:
    """Numbered pixels tell how much of the film is left."""
    numbered = np.arange(1, 200 * 200 + 1, dtype=np.float32).reshape(200, 200)
    part = cropped.draw(np.random.default_rng(seed), lambda _: numbered)
    left = np.isin(numbered, part[part > 1])
    assert min(left.any(axis=0).mean(), left.any(axis=1).mean()) <= 0.5


def test_blur_leaves_no_detail() -> None:
    for seed in range(10):
        assert (
            blurred.draw(np.random.default_rng(seed), _checkers)[40:-40, 40:-40].std()
            < 0.25 * _checkers(np.random.default_rng(0)).std()
        )
