from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lungsight.datasets.ood_images import Kind, families
from lungsight.datasets.ood_images.kinds import Floats

NAMES = sorted(families())


def film(rng: np.random.Generator) -> Floats:
    """A stand-in for a radiograph: two dark fields in a bright body."""
    rows, columns = np.mgrid[:128, :128].astype(np.float32) / 128
    lungs = ((np.abs(columns - 0.5) - 0.22) / 0.15) ** 2 + ((rows - 0.45) / 0.3) ** 2 < 1
    return np.where(lungs, 0.2, 0.8).astype(np.float32) + rng.uniform(0, 0.1, rows.shape).astype(np.float32)


def drawn(name: str, seed: int) -> Floats:
    return families()[name].draw(np.random.default_rng(seed), film)


@pytest.mark.parametrize("name", NAMES)
def test_each_image_is_a_plane_of_greys_with_something_on_it(name: str) -> None:
    pixels = drawn(name, 1)
    assert pixels.dtype == np.float32
    assert pixels.ndim == 2
    assert min(pixels.shape) >= 16
    assert np.isfinite(pixels).all()
    assert pixels.std() > 0


@pytest.mark.parametrize("name", NAMES)
def test_the_generator_alone_decides(name: str) -> None:
    first, again, other = drawn(name, 2), drawn(name, 2), drawn(name, 3)
    assert np.array_equal(first, again)
    assert first.shape != other.shape or not np.array_equal(first, other)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(NAMES), st.integers(0, 2**32 - 1))
def test_any_seed_draws(name: str, seed: int) -> None:
    assert np.isfinite(drawn(name, seed)).all()


def test_every_kind_but_two_has_drawn_or_broken_families() -> None:
    # Lateral views and frontal ones come from manifests alone.
    kinds = {family.kind for family in families().values() if family.origin != "found"}
    assert kinds == set(Kind) - {Kind.FRONTAL, Kind.LATERAL}


def test_only_what_is_broken_asks_for_films() -> None:
    def none(rng: np.random.Generator) -> Floats:
        raise AssertionError("asked for a film")

    for family in families().values():
        if family.origin != "broken":
            for seed in range(4):
                family.draw(np.random.default_rng(seed), none)


def test_a_film_is_not_altered_by_what_is_broken_out_of_it() -> None:
    original = film(np.random.default_rng(0))
    kept = original.copy()
    for family in families().values():
        if family.origin == "broken":
            family.draw(np.random.default_rng(5), lambda _: original)
            assert np.array_equal(original, kept), family.name
