from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from lungsight.datasets.manifest import Manifest
from lungsight.package.preprocessing import Preprocessing
from lungsight.training.batches import Share, TrainingImages, sampling_weights
from lungsight.training.image_cache import ImageCache
from lungsight.training.recipe import Recipe, Sampling, load_recipe


@pytest.fixture
def recipe() -> Recipe:
    return load_recipe("demo", ["image_size=48", "augmentation.noise=0.1", "seed=3"])


@pytest.fixture
def cache(image_cache_folder: Path) -> ImageCache:
    return ImageCache.at(Preprocessing(image_size=48), image_cache_folder)


def _images(cache: ImageCache, phantoms: Manifest, recipe: Recipe, share: Share | None = None) -> TrainingImages:
    paths = list(phantoms.table["path"].head(10))
    return TrainingImages(cache, paths, np.arange(10), None, recipe, share or Share())


def _epoch(images: TrainingImages) -> list[tuple[torch.Tensor, int]]:
    return [(pixels, int(target)) for pixels, target in (images[i] for i in range(len(images)))]


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
    shares = [_images(cache, phantoms, recipe, Share(rank, 2)) for rank in (0, 1)]
    assert sorted(np.concatenate([s.plan for s in shares])) == sorted(alone.plan)
    assert torch.equal(shares[1][0][0], alone[1][0])  # and augmented as in a single process


def test_without_balance_each_image_comes_once(cache: ImageCache, phantoms: Manifest, recipe: Recipe) -> None:
    assert sorted(_images(cache, phantoms, recipe).plan) == list(range(10))


def test_balance_upsamples_the_rare_class_and_source() -> None:
    classes = pd.Series(["covid19"] * 4 + ["other"] * 96)
    sources = pd.Series(["a"] * 4 + ["a"] * 6 + ["b"] * 90)
    weights = sampling_weights(Sampling(balance=("class", "source")), classes, sources)
    assert weights is not None
    share = weights / weights.sum()
    assert share[:4].sum() == pytest.approx(0.5)
    assert share[4:10].sum() == pytest.approx(0.25)
    assert share[10:].sum() == pytest.approx(0.25)
    assert sampling_weights(Sampling(), classes, sources) is None


def test_a_balanced_epoch_holds_every_group_in_its_share(
    cache: ImageCache, phantoms: Manifest, recipe: Recipe
) -> None:
    paths = list(phantoms.table["path"].head(10))
    weights = np.array([0.5, 0.5] + [1 / 8] * 8)
    settings = recipe.model_copy(update={"sampling": Sampling(balance=("class",), images_per_epoch=40)})
    images = TrainingImages(cache, paths, np.array([0] * 2 + [1] * 8), weights, settings, Share())
    for epoch in range(5):
        images.set_epoch(epoch)
        drawn = np.bincount(images.plan, minlength=10)
        assert len(images) == 40
        assert list(drawn[:2]) == [10, 10]
        assert set(drawn[2:]) <= {2, 3}
