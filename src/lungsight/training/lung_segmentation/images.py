"""Images with their lung masks, as the lung segmentation is trained on them."""

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
from lungsight.training.lung_segmentation.augmentation import augment
from lungsight.training.lung_segmentation.recipe import LungSegmentationRecipe

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class LungImages:
    """The rows of a manifest that have a lung mask, split into training and validation by patient."""

    manifest: Manifest
    cache: ImageCache
    sides: NDArray[np.object_]

    @property
    def trained_on(self) -> dict[str, int]:
        """Number of images by source, and by site if the source names several."""
        table = self.manifest.table
        origin = table["source"] + ("/" + table["site"]).where(table["site"] != "", "")
        return {str(name): int(n) for name, n in origin.value_counts().sort_index().items()}

    def pairs(self, side: str) -> list[tuple[str, str]]:
        """Image and mask, both as paths, on one side of the split."""
        table = self.manifest.table[self.sides == side]
        return list(zip(table["path"], table["lung_mask"], strict=True))


def gather(
    recipe: LungSegmentationRecipe, manifest: Manifest, *, seed: int, cache: Path | None, console: Console
) -> LungImages:
    """Read images and masks once. Raises ManifestError if there are too few, or one can't be read."""
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
    _, patients = np.unique(masked.patient_key.to_numpy(dtype=str), return_inverse=True)
    strata = list(masked.table["source"] + masked.table["site"])
    sides = split_by_group(patients, strata, validation=recipe.validation, test=0.0, seed=seed)
    if (sides == TRAIN).sum() < recipe.batch_size:
        problem = f"{(sides == TRAIN).sum()} training images don't fill a batch of {recipe.batch_size}"
        raise ManifestError(manifest.name, problem, "give more images, or a smaller batch_size")
    return LungImages(masked, images, sides)


class PlainImages:
    """The validation images: (image, mask), each float32 [1, side, side] in 0…1, in the manifest's order."""

    def __init__(self, images: LungImages) -> None:
        self.cache, self.pairs = images.cache, images.pairs(VALIDATION)

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        pixels, mask = _load(self.cache, self.pairs[index])
        return _tensor(stretched(pixels)), _tensor(mask)


class AugmentedImages:
    """The training images: (image, mask), in an order and with changes from the seed and the epoch alone."""

    def __init__(self, images: LungImages, recipe: LungSegmentationRecipe, seed: int) -> None:
        self.cache, self.pairs = images.cache, images.pairs(TRAIN)
        self.recipe, self.seed = recipe, seed
        self.set_epoch(0)

    def __len__(self) -> int:
        return len(self.pairs)

    def set_epoch(self, epoch: int) -> None:
        """Draw the order of an epoch."""
        self.epoch = epoch
        self.order = np.random.default_rng([self.seed, epoch]).permutation(len(self.pairs))

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        rng = np.random.default_rng([self.seed, self.epoch, index])
        pixels, mask = augment(*_load(self.cache, self.pairs[self.order[index]]), self.recipe.augmentation, rng)
        return _tensor(stretched(pixels)), _tensor(mask)


def _load(cache: ImageCache, pair: tuple[str, str]) -> tuple[Floats, Floats]:
    pixels, mask = (cache.load(file).astype(np.float32) / np.float32(255) for file in pair)
    return pixels, mask


def _tensor(plane: Floats) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(plane))[None]
