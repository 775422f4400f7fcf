from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lungsight.components.preprocessing import Preprocessing
from lungsight.datasets.manifest import Manifest
from lungsight.training.augmentation import Augmentation
from lungsight.training.batches import Images, ProcessShard, TrainingImages, sampling_weights
from lungsight.training.image_cache import ImageCache
from lungsight.training.localization_targets import GRID
from lungsight.training.recipe import Recipe, Sampling, load_recipe


@pytest.fixture
def recipe() -> Recipe:
    return load_recipe("demo", ["image_size=48", "augmentation.noise=0.1", "seed=3"])


@pytest.fixture
def cache(image_cache_folder: Path) -> ImageCache:
    return ImageCache.at(Preprocessing(image_size=48), image_cache_folder)


def _images(
    cache: ImageCache, phantoms: Manifest, recipe: Recipe, shard: ProcessShard | None = None
) -> TrainingImages:
    known = Images(list(phantoms.table["path"].head(10)), np.eye(10, dtype=np.float32), np.arange(10) % 2)
    return TrainingImages(cache, known, None, recipe, shard or ProcessShard())


def _epoch(images: TrainingImages) -> list[tuple[torch.Tensor, int]]:
    return [(pixels, int(shares.argmax())) for pixels, shares, *_ in (images[i] for i in range(len(images)))]


def test_an_epoch_depends_on_seed_and_number_alone(cache: ImageCache, phantoms: Manifest, recipe: Recipe) -> None:
    one, other = _images(cache, phantoms, recipe), _images(cache, phantoms, recipe)
    for images in (one, other):
        images.set_epoch(4)
    torch.manual_seed(99)  # what happens elsewhere doesn't matter
    for (a, ta), (b, tb) in zip(_epoch(one), _epoch(other), strict=True):
        assert ta == tb
        assert torch.equal(a, b)
    other.set_epoch(5)
    assert [t for _, t in _epoch(one)] != [t for _, t in _epoch(other)]


def test_drawing_an_image_leaves_the_global_generator_alone(
    cache: ImageCache, phantoms: Manifest, recipe: Recipe
) -> None:
    images = _images(cache, phantoms, recipe)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    images[0]
    assert torch.equal(before, torch.get_rng_state())


def test_processes_share_an_epoch_without_overlap(cache: ImageCache, phantoms: Manifest, recipe: Recipe) -> None:
    alone = _images(cache, phantoms, recipe)
    shares = [_images(cache, phantoms, recipe, ProcessShard(rank, 2)) for rank in (0, 1)]
    assert sorted(np.concatenate([s.plan for s in shares])) == sorted(alone.plan)
    assert torch.equal(shares[1][0][0], alone[1][0])  # and augmented as in a single process


def test_without_balance_each_image_comes_once(cache: ImageCache, phantoms: Manifest, recipe: Recipe) -> None:
    assert sorted(_images(cache, phantoms, recipe).plan) == list(range(10))


def test_balance_upsamples_the_rare_class_and_source() -> None:
    classes = pd.Series(["covid19"] * 4 + ["other"] * 96)
    sources = pd.Series(["a"] * 4 + ["a"] * 6 + ["b"] * 90)
    columns = pd.DataFrame({"class": classes, "source": sources, "view": ""})
    share = _shares(Sampling(balance=("class", "source")), columns)
    assert share[:4].sum() == pytest.approx(0.5)
    assert share[4:10].sum() == pytest.approx(0.25)
    assert share[10:].sum() == pytest.approx(0.25)
    assert sampling_weights(Sampling(), columns) is None


def _shares(sampling: Sampling, columns: pd.DataFrame) -> np.ndarray:
    weights = sampling_weights(sampling, columns)
    assert weights is not None
    return weights / weights.sum()


def test_sources_of_a_class_may_weigh_by_the_root_of_their_size() -> None:
    columns = pd.DataFrame({"class": ["a"] * 125 + ["b"] * 10, "source": ["x"] * 100 + ["y"] * 25 + ["x"] * 10})
    columns["view"] = ""
    for power, part in ((0.0, 1 / 2), (0.5, 2 / 3), (1.0, 4 / 5)):
        share = _shares(Sampling(balance=("class", "source"), source_size=power), columns)
        assert share[:125].sum() == pytest.approx(0.5)
        assert share[:100].sum() == pytest.approx(0.5 * part)


def test_views_are_balanced_within_a_class_as_far_as_they_are_known() -> None:
    columns = pd.DataFrame(
        {"class": ["a"] * 20 + ["b"] * 8, "view": ["PA"] * 2 + ["AP"] * 8 + [""] * 10 + ["AP"] * 8}
    )
    columns["source"] = "x"
    share = _shares(Sampling(balance=("class", "view", "source")), columns)
    assert share[10:20].sum() == pytest.approx(0.25)  # the half of the images of class a whose view is unknown
    assert share[:2].sum() == pytest.approx(share[2:10].sum()) == pytest.approx(0.125)
    assert share[20:].sum() == pytest.approx(0.5)
    assert _shares(Sampling(balance=("class", "view")), columns.assign(view=""))[:20].sum() == pytest.approx(0.5)


def test_no_image_is_repeated_beyond_the_limit_and_its_class_keeps_its_share() -> None:
    columns = pd.DataFrame(
        {"class": ["a"] * 59 + ["b"] * 41, "source": ["x"] * 9 + ["y"] * 50 + ["x"] * 41, "view": ""}
    )
    sampling = Sampling(balance=("class", "source"), images_per_epoch=80, most_repeats=1.0)
    shown = 80 * _shares(sampling, columns)
    assert shown[:9] == pytest.approx(1.0)
    assert shown[9:59] == pytest.approx(31 / 50)
    assert shown[59:] == pytest.approx(40 / 41)
    few = 80 * _shares(sampling, columns.assign(**{"class": ["a"] * 59 + ["b"] * 21 + ["a"] * 20}))
    assert few.max() <= 1 + 1e-9
    assert few[59:80] == pytest.approx(1.0)  # all of them, and still less than half: the rest goes to class a
    assert few.sum() == pytest.approx(80)


@settings(deadline=None, max_examples=30)
@given(
    st.lists(
        st.tuples(*(st.sampled_from(names) for names in (("a", "b"), ("x", "y", "z"), ("PA", "AP", "")))), min_size=1
    ),
    st.permutations(["class", "source", "view"]),
    st.floats(0, 1),
    st.sampled_from([0.0, 0.5, 3.0]),
)
def test_any_balance_gives_every_image_some_share(
    rows: list[tuple[str, str, str]], balance: list[str], power: float, most: float
) -> None:
    columns = pd.DataFrame(rows, columns=["class", "source", "view"])
    sampling = Sampling(balance=tuple(balance), source_size=power, most_repeats=most, images_per_epoch=20)
    weights = sampling_weights(sampling, columns)
    assert weights is not None
    assert np.isfinite(weights).all()
    assert (weights > 0).all()
    if most:
        assert (20 * weights).max() <= most * (1 + 1e-9)
        assert weights.sum() == pytest.approx(min(1, most * len(rows) / 20))


def test_a_balanced_epoch_holds_every_group_in_its_share(
    cache: ImageCache, phantoms: Manifest, recipe: Recipe
) -> None:
    known = Images(
        list(phantoms.table["path"].head(10)),
        np.eye(2, dtype=np.float32)[[0] * 2 + [1] * 8],
        np.zeros(10, dtype=np.int64),
    )
    weights = np.array([0.5, 0.5] + [1 / 8] * 8)
    settings = recipe.model_copy(update={"sampling": Sampling(balance=("class",), images_per_epoch=40)})
    images = TrainingImages(cache, known, weights, settings, ProcessShard())
    for epoch in range(5):
        images.set_epoch(epoch)
        drawn = np.bincount(images.plan, minlength=10)
        assert len(images) == 40
        assert list(drawn[:2]) == [10, 10]
        assert set(drawn[2:]) <= {2, 3}


def test_places_move_with_the_image(cache: ImageCache, phantoms: Manifest, recipe: Recipe) -> None:
    flipping = Augmentation(**{**dict.fromkeys(Augmentation.model_fields, 0.0), "flip": 1.0})
    places = np.zeros((1, 2, GRID, GRID), dtype=np.uint8)
    places[0, 0, :, : GRID // 4] = 255
    known = Images(list(phantoms.table["path"].head(1)), np.ones((1, 1), dtype=np.float32), np.zeros(1, int), places)
    images = TrainingImages(cache, known, None, recipe.model_copy(update={"augmentation": flipping}), ProcessShard())
    pixels, _, moved, _ = images[0]
    assert torch.equal(pixels, images.item(0)[0].flip(-1))
    assert moved[0, :, -GRID // 4 + 1 :].min() > 0.99
    assert moved[0, :, : GRID // 2].max() < 0.01
