from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from lungsight.datasets.splits import TEST, TRAIN, VALIDATION, split_by_group, split_by_image


def test_by_image_the_shares_are_exact_and_the_seed_decides() -> None:
    sides = split_by_image(260, validation=0.25, test=0.0, seed=0)
    assert (sides == VALIDATION).sum() == 65  # as in the article
    assert (sides == TRAIN).sum() == 195
    assert (sides == split_by_image(260, validation=0.25, test=0.0, seed=0)).all()
    assert (sides != split_by_image(260, validation=0.25, test=0.0, seed=1)).any()


@given(st.lists(st.tuples(st.integers(0, 30), st.sampled_from("abc")), min_size=1, max_size=200), st.integers(0, 5))
def test_no_group_stands_on_two_sides(rows: list[tuple[int, str]], seed: int) -> None:
    groups, strata = [g for g, _ in rows], [s for _, s in rows]
    sides = split_by_group(groups, strata, validation=0.2, test=0.2, seed=seed)
    per_group = pd.Series(sides).groupby(groups).nunique()
    assert (per_group == 1).all()
    assert set(sides) <= {TRAIN, VALIDATION, TEST}


def test_every_stratum_is_shared_out() -> None:
    rng = np.random.default_rng(3)
    groups = np.repeat(np.arange(400), rng.integers(1, 6, 400))
    strata = np.where(groups % 4 == 0, "rare", "common")
    sides = split_by_group(groups, list(strata), validation=0.15, test=0.15, seed=0)
    for stratum in ("rare", "common"):
        inside = sides[strata == stratum]
        for side, share in ((TRAIN, 0.7), (VALIDATION, 0.15), (TEST, 0.15)):
            assert abs((inside == side).mean() - share) < 0.03


def test_one_large_group_does_not_swamp_a_small_side() -> None:
    groups = [0] * 50 + list(range(1, 51))
    sides = split_by_group(groups, ["s"] * 100, validation=0.1, test=0.1, seed=0)
    assert (sides[:50] == TRAIN).all()


def test_a_lone_group_trains() -> None:
    assert list(split_by_group([5, 5], ["s", "s"], validation=0.3, test=0.3, seed=0)) == [TRAIN, TRAIN]


def test_without_a_test_share_nothing_is_put_there() -> None:
    sides = split_by_group(list(range(50)), ["s"] * 50, validation=0.2, test=0.0, seed=0)
    assert TEST not in sides
