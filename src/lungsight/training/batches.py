"""What each epoch shows the network, drawn anew from the seed, the epoch and the position in the epoch alone.

So the order and the augmentation of a run depend neither on workers nor on an interruption: a resumed run sees
exactly what it would have seen.
"""

from __future__ import annotations

from dataclasses import dataclass
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
        groups: int64 [images]: of the conditional loss.
        attention: uint8 [images, 2, GRID, GRID] as in :mod:`lungsight.training.localization_targets`, or None.
    """

    paths: list[str]
    shares: NDArray[np.float32]
    groups: Integers
    attention: NDArray[np.uint8] | None = None

    def __len__(self) -> int:
        return len(self.paths)


#: Pixels [1, side, side] in 0…1; shares of the classes; attention targets [2, GRID, GRID] in 0…1, or [0]; group.
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
        return pixels, torch.from_numpy(images.shares[row]), attention, torch.tensor(images.groups[row])


class TrainingImages(EpochImages):
    """The training images: sampled by weight, shuffled, augmented."""

    def __init__(
        self, cache: ImageCache, images: Images, weights: Weights | None, recipe: Recipe, shard: ProcessShard
    ) -> None:
        super().__init__(cache, images)
        self.weights, self.seed, self.shard = weights, recipe.seed, shard
        self.images_per_epoch = recipe.sampling.images_per_epoch or len(images)
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
            return self._augmented(self.item(int(self.plan[index])))

    def _augmented(self, item: Item) -> Item:
        """Image and attention targets are moved together; changes of exposure leave the targets alone."""
        pixels, shares, attention, group = item
        if attention.numel():
            enlarged = functional.interpolate(attention[None], pixels.shape[-1], mode="bilinear")[0]
            moved = self.geometry(torch.cat([pixels, enlarged]))
            pixels, attention = moved[:1], functional.adaptive_avg_pool2d(moved[1:], GRID)
        else:
            pixels = self.geometry(pixels)
        return self.photometry(pixels), shares, attention, group


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


def sampling_weights(sampling: Sampling, columns: pd.DataFrame) -> Weights | None:
    """Weight of each image, so that the groups of the first column weigh the same, and within each those of the next.

    Args:
        sampling: which columns, and what else decides.
        columns: ``class``, ``source`` and ``view`` of each image; an empty view is unknown.

    Returns:
        float64 [images]; None without balancing.
    """
    if not sampling.balance:
        return None
    columns = columns.reset_index(drop=True)
    weights = np.ones(len(columns))
    keys = pd.Series("", index=columns.index)
    for name in sampling.balance:
        within, keys = keys, keys + "|" + columns[name].astype(str)
        power = sampling.source_size if name == "source" else 0.0
        parts = _parts(within, keys, power)
        if name == "view":
            parts = _parts_of_views(within, keys, columns["view"] == "")
        weights = weights / parts
    size = keys.groupby(keys).transform("size")
    weights = np.asarray(weights / size.to_numpy(), dtype=np.float64)
    if not sampling.most_repeats:
        return weights
    shown = sampling.images_per_epoch or len(columns)
    return _limited(weights, columns[sampling.balance[0]], sampling.most_repeats / shown)


def _parts(within: pd.Series, keys: pd.Series, power: float) -> Weights:
    """Into how many parts like an image's group all groups ``within`` the same divide, by size to the ``power``."""
    groups = (
        pd.DataFrame({"within": within, "key": keys})
        .groupby("key")
        .agg(within=("within", "first"), n=("key", "size"))
    )
    size = groups["n"].astype(float) ** power
    parts = size.groupby(groups["within"]).transform("sum") / size
    return keys.map(parts).to_numpy(dtype=np.float64)


def _parts_of_views(within: pd.Series, keys: pd.Series, unknown: pd.Series) -> Weights:
    """As :func:`_parts`: unknown views have the share of their number, known views the same share of the rest."""
    unseen = unknown.groupby(within).transform("mean").to_numpy()
    views = keys[~unknown].groupby(within[~unknown]).nunique()
    known = within.map(views).fillna(1).to_numpy()
    return np.asarray(np.where(unknown, 1 / np.maximum(unseen, 1e-9), known / np.maximum(1 - unseen, 1e-9)))


def _limited(weights: Weights, groups: pd.Series, limit: float) -> Weights:
    """Shares of at most ``limit``: what that takes away goes to others of the group, or else to other groups."""
    shares = weights / weights.sum()
    for rows in groups.groupby(groups).indices.values():
        shares[rows] = _filled(shares[rows], limit, float(shares[rows].sum()))
    return _filled(shares, limit, 1.0)


def _filled(shares: Weights, limit: float, total: float) -> Weights:
    """Raise the shares below ``limit`` in proportion until all sum to ``total``, or none is left below it."""
    shares = np.minimum(shares, limit)
    while (missing := total - shares.sum()) > 1e-12 and (free := (shares > 0) & (shares < limit)).any():
        shares[free] = np.minimum(shares[free] * (1 + missing / shares[free].sum()), limit)
    return shares


def build_loaders(
    recipe: Recipe,
    images: TrainingSet,
    cache: ImageCache,
    *,
    shard: ProcessShard,
    device: torch.device,
    workers: int = 0,
    attention: NDArray[np.uint8] | None = None,
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

    Raises:
        ManifestError: a batch can't be filled.
    """
    train, validation = images.rows(TRAIN), images.rows(VALIDATION)
    if len(train) < recipe.batch_size * shard.world:
        problem = f"{len(train)} training images don't fill a batch of {recipe.batch_size * shard.world}"
        raise ManifestError(images.manifest.name, problem, "give more images or --set batch_size")
    if not len(validation):
        raise ManifestError(images.manifest.name, "no image is left for validation", "raise split.validation")
    columns = images.manifest.table[["source"]].assign(view=images.manifest.projection)
    weights = sampling_weights(recipe.sampling, columns.assign(**{"class": images.class_names}).iloc[train])
    keys = columns[list(recipe.conditional_loss.on)].agg("|".join, axis=1) if recipe.conditional_loss.on else None
    groups = np.zeros(len(columns), dtype=np.int64) if keys is None else pd.factorize(keys, sort=True)[0]
    learned, kept = (_of_rows(images, rows, groups, attention) for rows in (train, validation))
    settings: dict[str, Any] = {"num_workers": workers, "device": device}
    loaders = DataLoaders(
        DataLoader(
            TrainingImages(cache, learned, weights, recipe, shard), bs=recipe.batch_size, drop_last=True, **settings
        ),
        DataLoader(EpochImages(cache, kept), bs=2 * recipe.batch_size, **settings),
        device=device,
    )
    loaders.n_inp = 1
    return loaders


def _of_rows(images: TrainingSet, rows: Integers, groups: Integers, attention: NDArray[np.uint8] | None) -> Images:
    paths = list(images.manifest.table["path"].iloc[rows])
    known = None if attention is None else attention[rows]
    return Images(paths, images.shares[rows], groups[rows].astype(np.int64), known)
