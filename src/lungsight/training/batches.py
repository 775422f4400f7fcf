"""What each epoch shows the network, drawn anew from the seed, the epoch and the position in the epoch alone.

So the order and the augmentation of a run depend neither on workers nor on an interruption: a resumed run sees
exactly what it would have seen.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import torch
from fastai.data.core import DataLoaders
from fastai.data.load import DataLoader
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from lungsight.datasets.splits import TRAIN, VALIDATION
from lungsight.errors import ManifestError
from lungsight.training.image_cache import ImageCache
from lungsight.training.localization_targets import GRID
from lungsight.training.recipe import Recipe, Sampling
from lungsight.training.training_set import TrainingSet

_ORDER, _CHANGE = 0, 1  # two independent streams of the same seed

Integers = NDArray[np.int64]
Weights = NDArray[np.float64]


@dataclass(frozen=True)
class ProcessShard:
    """Which part of every epoch this process sees: ``rank`` of ``world`` processes."""

    rank: int = 0
    world: int = 1


@dataclass(frozen=True, eq=False)
class Images:
    """The images of one side of the split, row by row.

    Attributes:
        paths: their files.
        shares: float32 [images, classes], the label.
        sources: int64 [images].
        attention: uint8 [images, 2, GRID, GRID] as in :mod:`lungsight.training.localization_targets`, or None.
    """

    paths: list[str]
    shares: NDArray[np.float32]
    sources: Integers
    attention: NDArray[np.uint8] | None = None

    def __len__(self) -> int:
        return len(self.paths)


#: Pixels [1, side, side] in 0…1; shares of the classes; attention targets [2, GRID, GRID] in 0…1, or [0]; source.
Item = tuple[Tensor, Tensor, Tensor, Tensor]


class EpochImages:
    """A dataset whose i-th item is the i-th image of the current epoch."""

    def __init__(self, cache: ImageCache, images: Images) -> None:
        self.cache, self.images = cache, images
        self.plan: Integers = np.arange(len(images))

    def __len__(self) -> int:
        return len(self.plan)

    def __getitem__(self, index: int) -> Item:
        return self.item(int(self.plan[index]))

    def item(self, row: int) -> Item:
        """One image as it is."""
        images = self.images
        pixels = torch.from_numpy(self.cache.load(images.paths[row])).float().div_(255)[None]
        known = images.attention
        attention = torch.zeros(0) if known is None else torch.from_numpy(known[row]).float().div_(255)
        return pixels, torch.from_numpy(images.shares[row]), attention, torch.tensor(images.sources[row])


class TrainingImages(EpochImages):
    """The training images: sampled by weight, shuffled, blended, augmented."""

    def __init__(
        self, cache: ImageCache, images: Images, weights: Weights | None, recipe: Recipe, shard: ProcessShard
    ) -> None:
        super().__init__(cache, images)
        self.weights, self.seed, self.shard = weights, recipe.seed, shard
        self.images_per_epoch = recipe.sampling.images_per_epoch or len(images)
        self.mix_sources = recipe.sampling.mix_sources
        self.geometry = recipe.augmentation.geometry()
        self.photometry = recipe.augmentation.photometry(recipe.image_size)
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Draw the plan of an epoch, counted from the run's start."""
        self.epoch = epoch
        rng = np.random.default_rng([self.seed, epoch, _ORDER])
        whole = _plan(rng, len(self.images), self.images_per_epoch, self.weights)
        even = len(whole) // self.shard.world * self.shard.world
        self.plan = whole[:even][self.shard.rank :: self.shard.world]

    def __getitem__(self, index: int) -> Item:
        overall = index * self.shard.world + self.shard.rank
        seed = np.random.SeedSequence([self.seed, self.epoch, _CHANGE, overall]).generate_state(1, np.uint64)[0]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(seed))
            return self._augmented(self._blended(int(self.plan[index])))

    def _augmented(self, item: Item) -> Item:
        """Image and attention targets are moved together; changes of exposure leave the targets alone."""
        pixels, shares, attention, source = item
        if attention.numel():
            enlarged = functional.interpolate(attention[None], pixels.shape[-1], mode="bilinear")[0]
            moved = self.geometry(torch.cat([pixels, enlarged]))
            pixels, attention = moved[:1], functional.adaptive_avg_pool2d(moved[1:], GRID)
        else:
            pixels = self.geometry(pixels)
        return self.photometry(pixels), shares, attention, source

    def _blended(self, row: int) -> Item:
        item = self.item(row)
        if not self.mix_sources or torch.rand(()) >= self.mix_sources:
            return item
        others = self._other_sources[row]
        if not len(others):
            return item
        other = self.item(int(others[torch.randint(len(others), ())]))
        part = 0.5 * torch.rand(())
        pixels, shares, attention = (torch.lerp(a, b, part) for a, b in zip(item[:3], other[:3], strict=True))
        return pixels, shares, attention, item[3]

    @cached_property
    def _other_sources(self) -> list[Integers]:
        """For each image those of the same class from other sources."""
        target, source = self.images.shares.argmax(axis=1), self.images.sources
        found = {
            (t, s): np.flatnonzero((target == t) & (source != s))
            for t in np.unique(target)
            for s in np.unique(source)
        }
        return [found[key] for key in zip(target, source, strict=True)]


def _plan(rng: np.random.Generator, images: int, wanted: int, weights: Weights | None) -> Integers:
    """Row numbers of one epoch. Without weights every image comes equally often, give or take one."""
    if weights is None:
        rounds = -(-wanted // images)
        return np.concatenate([rng.permutation(images) for _ in range(rounds)])[:wanted]
    return _systematic(rng, weights, wanted)


def _systematic(rng: np.random.Generator, weights: Weights, wanted: int) -> Integers:
    """Systematic sampling: each image comes ``wanted × weight`` times, rounded up or down at random.

    So a rare class has its share in every epoch, not only on average.
    """
    order = rng.permutation(len(weights))
    edges = np.cumsum(weights[order] / weights.sum())
    marks = (np.arange(wanted) + rng.random()) / wanted
    drawn = order[np.minimum(np.searchsorted(edges, marks), len(order) - 1)]
    return rng.permutation(drawn)


def sampling_weights(sampling: Sampling, classes: pd.Series, sources: pd.Series) -> Weights | None:
    """Weight of each image, so that all classes weigh the same, and in each class all its sources (or the reverse).

    None: no balancing.
    """
    if not sampling.balance:
        return None
    columns = {"class": classes.to_numpy(), "source": sources.to_numpy()}
    weights = np.ones(len(classes))
    keys = pd.Series("", index=range(len(classes)))
    for name in sampling.balance:
        parents = keys.nunique()
        within = keys
        keys = keys + "|" + pd.Series(columns[name]).astype(str)
        siblings = keys.groupby(within).transform("nunique")
        weights = weights / siblings.to_numpy() if parents else weights
    size = keys.groupby(keys).transform("size")
    return np.asarray(weights / size.to_numpy(), dtype=np.float64)


def build_loaders(
    recipe: Recipe,
    images: TrainingSet,
    cache: ImageCache,
    *,
    shard: ProcessShard,
    device: torch.device,
    workers: int = 0,
    attention: NDArray[np.uint8] | None = None,
    teacher_probabilities: NDArray[np.float32] | None = None,
) -> DataLoaders:
    """The loaders of training and validation, which fastai needs.

    Args:
        recipe: what is trained.
        images: on which images.
        cache: where these are.
        shard: of this process.
        device: where batches go.
        workers: processes that load images.
        attention: targets of all ``images``.
        teacher_probabilities: float32 [training images, classes].

    Raises:
        ManifestError: a batch can't be filled.
    """
    table = images.manifest.table
    train, validation = images.rows(TRAIN), images.rows(VALIDATION)
    if len(train) < recipe.batch_size * shard.world:
        problem = f"{len(train)} training images don't fill a batch of {recipe.batch_size * shard.world}"
        raise ManifestError(images.manifest.name, problem, "give more images or --set batch_size")
    if not len(validation):
        raise ManifestError(images.manifest.name, "no image is left for validation", "raise split.validation")
    weights = sampling_weights(recipe.sampling, images.class_names.iloc[train], table["source"].iloc[train])
    learned = _of_rows(images, train, attention)
    if teacher_probabilities is not None:
        weight = np.float32(recipe.teachers.weight)
        learned = replace(learned, shares=(1 - weight) * learned.shares + weight * teacher_probabilities)
    settings: dict[str, Any] = {"num_workers": workers, "device": device}
    loaders = DataLoaders(
        DataLoader(
            TrainingImages(cache, learned, weights, recipe, shard), bs=recipe.batch_size, drop_last=True, **settings
        ),
        DataLoader(EpochImages(cache, _of_rows(images, validation, attention)), bs=2 * recipe.batch_size, **settings),
        device=device,
    )
    loaders.n_inp = 1
    return loaders


def _of_rows(images: TrainingSet, rows: Integers, attention: NDArray[np.uint8] | None) -> Images:
    table = images.manifest.table
    sources, _ = pd.factorize(table["source"], sort=True)
    return Images(
        list(table["path"].iloc[rows]),
        images.shares[rows],
        sources[rows].astype(np.int64),
        None if attention is None else attention[rows],
    )
