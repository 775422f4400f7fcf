"""What each epoch shows the network, drawn anew from the seed, the epoch and the place in the epoch alone.

So the order and the augmentation of a run depend neither on workers nor on a pause: a resumed run sees exactly what
it would have seen.
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

from lungsight.datasets.splits import TRAIN, VALIDATION
from lungsight.faults import InvalidManifest
from lungsight.training.image_cache import ImageCache
from lungsight.training.recipe import Recipe, Sampling
from lungsight.training.training_set import TrainingSet

_ORDER, _CHANGE = 0, 1  # two independent streams of the same seed


@dataclass(frozen=True)
class Share:
    """Which part of every epoch this process sees: ``rank`` of ``world`` processes."""

    rank: int = 0
    world: int = 1


class EpochImages:
    """A dataset whose i-th item is the i-th image of the current epoch: (float32 [1, side, side] in 0…1, class)."""

    def __init__(self, cache: ImageCache, paths: list[str], targets: NDArray[np.int64]) -> None:
        self.cache, self.paths, self.targets = cache, paths, targets
        self.plan: NDArray[np.int64] = np.arange(len(paths))

    def __len__(self) -> int:
        return len(self.plan)

    def __getitem__(self, place: int) -> tuple[Tensor, Tensor]:
        row = self.plan[place]
        pixels = torch.from_numpy(self.cache.load(self.paths[row])).float().div_(255)[None]
        return self.change(pixels, place), torch.tensor(self.targets[row])

    def change(self, pixels: Tensor, place: int) -> Tensor:
        return pixels


class TrainingImages(EpochImages):
    """The training images: sampled by weight, shuffled, augmented."""

    def __init__(
        self, cache: ImageCache, paths: list[str], targets: NDArray[np.int64],
        weights: NDArray[np.float64] | None, recipe: Recipe, share: Share,
    ) -> None:  # fmt: skip
        super().__init__(cache, paths, targets)
        self.weights, self.seed, self.share = weights, recipe.seed, share
        self.images_per_epoch = recipe.sampling.images_per_epoch or len(paths)
        self.transform = recipe.augmentation.transform(recipe.image_size)
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Draw the plan of an epoch, counted from the run's start."""
        self.epoch = epoch
        rng = np.random.default_rng([self.seed, epoch, _ORDER])
        whole = _plan(rng, len(self.paths), self.images_per_epoch, self.weights)
        even = len(whole) // self.share.world * self.share.world
        self.plan = whole[:even][self.share.rank :: self.share.world]

    def change(self, pixels: Tensor, place: int) -> Tensor:
        overall = place * self.share.world + self.share.rank
        seed = np.random.SeedSequence([self.seed, self.epoch, _CHANGE, overall]).generate_state(1, np.uint64)[0]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(seed))
            changed: Tensor = self.transform(pixels)
        return changed


def _plan(
    rng: np.random.Generator, images: int, wanted: int, weights: NDArray[np.float64] | None
) -> NDArray[np.int64]:
    """Row numbers of one epoch. Without weights every image comes equally often, give or take one."""
    if weights is None:
        rounds = -(-wanted // images)
        return np.concatenate([rng.permutation(images) for _ in range(rounds)])[:wanted]
    return _systematic(rng, weights, wanted)


def _systematic(rng: np.random.Generator, weights: NDArray[np.float64], wanted: int) -> NDArray[np.int64]:
    """Systematic sampling: each image comes ``wanted × weight`` times, rounded up or down at random, so that a rare
    class has its share in every epoch and not only on average."""
    order = rng.permutation(len(weights))
    edges = np.cumsum(weights[order] / weights.sum())
    marks = (np.arange(wanted) + rng.random()) / wanted
    drawn = order[np.minimum(np.searchsorted(edges, marks), len(order) - 1)]
    return rng.permutation(drawn)


def sampling_weights(sampling: Sampling, classes: pd.Series, sources: pd.Series) -> NDArray[np.float64] | None:
    """A weight for each image: all classes weigh the same, and within each class all its sources. None: no
    balancing."""
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
    recipe: Recipe, images: TrainingSet, cache: ImageCache, *, share: Share, device: torch.device, workers: int = 0
) -> DataLoaders:
    """fastai's loaders for training and validation. Raises InvalidManifest where a batch can't be filled."""
    table = images.manifest.table
    train, validation = images.rows(TRAIN), images.rows(VALIDATION)
    if len(train) < recipe.batch_size * share.world:
        fault = f"{len(train)} training images don't fill a batch of {recipe.batch_size * share.world}"
        raise InvalidManifest(images.manifest.name, fault, "give more images or --set batch_size")
    if not len(validation):
        raise InvalidManifest(images.manifest.name, "no image is left for validation", "raise split.validation")
    weights = sampling_weights(recipe.sampling, images.class_names.iloc[train], table["source"].iloc[train])
    paths = table["path"]
    training = TrainingImages(cache, list(paths.iloc[train]), images.targets[train], weights, recipe, share)
    watching = EpochImages(cache, list(paths.iloc[validation]), images.targets[validation])
    settings: dict[str, Any] = {"num_workers": workers, "device": device}
    return DataLoaders(
        DataLoader(training, bs=recipe.batch_size, drop_last=True, **settings),
        DataLoader(watching, bs=2 * recipe.batch_size, **settings),
        device=device,
    )
