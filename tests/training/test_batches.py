from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

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


def test_an_image_is_blended_with_its_class_from_elsewhere(
    cache: ImageCache, phantoms: Manifest, recipe: Recipe
) -> None:
    mixing = recipe.model_copy(update={"sampling": Sampling(mix_sources=1.0)})
    still = mixing.model_copy(update={"augmentation": Augmentation(**dict.fromkeys(Augmentation.model_fields, 0.0))})
    truth, sources = np.eye(2, dtype=np.float32)[[0, 0, 0, 1]], np.array([0, 1, 1, 1])
    known = Images(list(phantoms.table["path"].head(4)), truth, sources)
    images = TrainingImages(cache, known, None, still, ProcessShard())
    raw = [images.item(row)[0] for row in range(4)]
    for epoch in range(8):  # so often that each image meets each that it may meet
        images.set_epoch(epoch)
        for place, row in enumerate(images.plan):
            pixels, shares, *_ = images[place]
            assert shares.tolist() == truth[row].tolist()
            if row == 3:  # the only image of its class: nothing to blend it with
                assert torch.equal(pixels, raw[3])
                continue
            partners = [1, 2] if row == 0 else [0]
            assert any(_lies_between(pixels, raw[row], raw[partner]) for partner in partners)


def _lies_between(pixels: torch.Tensor, one: torch.Tensor, other: torch.Tensor) -> bool:
    """One share of ``other``, at most a half, at every place."""
    part = ((pixels - one) * (other - one)).sum() / (other - one).square().sum()
    return bool(0 <= part <= 0.5 and torch.allclose(pixels, torch.lerp(one, other, part), atol=1e-4))


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
