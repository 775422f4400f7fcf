"""Radiographs with their lung masks, as the network learns from them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor

from lungsight._progress import ProgressBars
from lungsight.components.lung_segmentation import stretched
from lungsight.components.preprocessing import Preprocessing
from lungsight.datasets.manifest import Manifest
from lungsight.datasets.splits import TRAIN, VALIDATION, split_by_group
from lungsight.errors import ManifestError
from lungsight.training.image_cache import ImageCache, default_cache_folder
from lungsight.training.lung_segmentation.augmentation import change
from lungsight.training.lung_segmentation.recipe import LungSegmentationRecipe

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class LungImages:
    """The rows of a manifest that have a lung mask, dealt out to training and validation by patient."""

    manifest: Manifest
    cache: ImageCache
    sides: NDArray[np.object_]

    @property
    def trained_on(self) -> dict[str, int]:
        """Radiographs by source, and by site where the source names several."""
        table = self.manifest.table
        place = table["source"] + ("/" + table["site"]).where(table["site"] != "", "")
        return {str(name): int(n) for name, n in place.value_counts().sort_index().items()}

    def pairs(self, side: str) -> list[tuple[str, str]]:
        """Radiograph and mask of each image on that side of the split."""
        table = self.manifest.table[self.sides == side]
        return list(zip(table["path"], table["lung_mask"], strict=True))


def gather(
    recipe: LungSegmentationRecipe, manifest: Manifest, *, seed: int, cache: Path | None, console: Console
) -> LungImages:
    """Read the radiographs and masks once. Raises InvalidManifest where there are too few, or one can't be read."""
    masked = manifest.where(manifest.table["lung_mask"] != "")
    if len(masked) < 2:
        problem = f"{len(masked)} images have a lung mask"
        raise ManifestError(manifest.name, problem, "fill the column lung_mask, or take shenzhen-montgomery")
    images = ImageCache.at(Preprocessing(image_size=recipe.image_size), cache or default_cache_folder())
    files = [*masked.table["path"], *masked.table["lung_mask"]]
    with ProgressBars(console) as bars:
        problems = images.prepare(files, advance=bars.advancing("reading images", len(files)))
    for unreadable in problems.values():
        raise ManifestError(manifest.name, str(unreadable).rstrip("."), "correct or remove that row")
    sides = split_by_group(
        _numbers(masked), list(masked.table["source"] + masked.table["site"]), validation=recipe.validation, test=0.0,
        seed=seed,
    )  # fmt: skip
    if (sides == TRAIN).sum() < recipe.batch_size:
        problem = f"{(sides == TRAIN).sum()} training images don't fill a batch of {recipe.batch_size}"
        raise ManifestError(manifest.name, problem, "give more images, or a smaller batch_size")
    return LungImages(masked, images, sides)


def _numbers(manifest: Manifest) -> NDArray[np.int_]:
    _, number = np.unique(manifest.patient_key.to_numpy(dtype=str), return_inverse=True)
    return number


class WatchedImages:
    """A dataset of (radiograph, mask), each float32 [1, side, side] in 0…1, unchanged and in the manifest's order."""

    def __init__(self, images: LungImages) -> None:
        self.cache, self.pairs = images.cache, images.pairs(VALIDATION)

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, place: int) -> tuple[Tensor, Tensor]:
        pixels, mask = (_plane(self.cache, file) for file in self.pairs[place])
        return _tensor(stretched(pixels)), _tensor(mask)


class ChangedImages:
    """The training images in an order and with changes that follow from the seed and the epoch alone."""

    def __init__(self, images: LungImages, recipe: LungSegmentationRecipe, seed: int) -> None:
        self.cache, self.pairs = images.cache, images.pairs(TRAIN)
        self.recipe, self.seed = recipe, seed
        self.set_epoch(0)

    def __len__(self) -> int:
        return len(self.pairs)

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch
        self.order = np.random.default_rng([self.seed, epoch]).permutation(len(self.pairs))

    def __getitem__(self, place: int) -> tuple[Tensor, Tensor]:
        pixels, mask = (_plane(self.cache, file) for file in self.pairs[self.order[place]])
        rng = np.random.default_rng([self.seed, self.epoch, place])
        pixels, mask = change(pixels, mask, self.recipe.augmentation, rng)
        return _tensor(stretched(pixels)), _tensor(mask)


def _plane(cache: ImageCache, file: str) -> Floats:
    return cache.load(file).astype(np.float32) / np.float32(255)


def _tensor(plane: Floats) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(plane))[None]
