"""Predictions of other packages on the training images, for a network that learns from them (distillation)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from lungsight.components.calibration import calibrated
from lungsight.components.lungs import crop_of
from lungsight.datasets.splits import TRAIN
from lungsight.errors import RecipeError
from lungsight.package import ModelPackage
from lungsight.package.trained_on import patient_digest
from lungsight.training.image_cache import LungCache
from lungsight.training.recipe import Recipe
from lungsight.training.training_set import TrainingSet

_BATCH = 8


def teacher_probabilities(
    recipe: Recipe, images: TrainingSet, lungs: LungCache | None, *, progress: Callable[[int, int], None]
) -> NDArray[np.float32]:
    """Calibrated probabilities, averaged over the teachers and over each image and its mirror image.

    Args:
        recipe: names the teachers' packages.
        images: of the run.
        lungs: of the run, for teachers that need them.
        progress: called with how many images are done, and of how many.

    Returns:
        float32 [training images, classes].

    Raises:
        PackageError: a package can't be opened.
        RecipeError: a teacher has other classes, needs lungs that the run doesn't find, or was trained on patients
            that this run validates or tests on.
    """
    packages = [ModelPackage.open(path) for path in recipe.teachers.packages]
    for package in packages:
        _check(package, images, lungs)
    paths = images.manifest.table["path"].iloc[images.rows(TRAIN)].tolist()
    total = len(paths) * len(packages)
    probabilities = np.zeros((len(paths), len(images.classes)))
    for number, package in enumerate(packages):
        network, stated = package.network(), package.description
        order = [stated.classes.index(name) for name in images.classes]
        for start in range(0, len(paths), _BATCH):
            pixels = _preprocessed(package, paths[start : start + _BATCH], lungs)
            for mirrored in (pixels, np.ascontiguousarray(pixels[..., ::-1])):
                found = calibrated(stated.calibration, stated.classes, network.run(mirrored).logits)
                probabilities[start : start + len(pixels)] += found[:, order] / (2 * len(packages))
            progress(number * len(paths) + start + len(pixels), total)
    return probabilities.astype(np.float32)


def _preprocessed(package: ModelPackage, paths: list[str], lungs: LungCache | None) -> NDArray[np.float32]:
    preprocessing = package.description.preprocessing
    boxes = [crop_of(lungs.load(path)) if lungs and preprocessing.needs_lungs else None for path in paths]
    seen = [preprocessing.apply(preprocessing.read(path).pixels, box) for path, box in zip(paths, boxes, strict=True)]
    return np.stack(seen)[:, None]


def _check(package: ModelPackage, images: TrainingSet, lungs: LungCache | None) -> None:
    name = f"teacher {package.path}"
    if set(package.description.classes) != set(images.classes):
        raise RecipeError(name, "has other classes than the recipe", "train it with the same classes")
    if package.description.preprocessing.needs_lungs and lungs is None:
        problem = "sees lungs only, and this run has no lung segmentation"
        raise RecipeError(name, problem, "give lung_fields or parts_from")
    table = images.manifest.table
    kept_back = table[table["split"] != TRAIN]
    unseen = {patient_digest(*key) for key in zip(kept_back["source"], kept_back["patient"], strict=True)}
    if any(image.patient in unseen for image in package.trained_on if image.split == TRAIN):
        problem = "was trained on patients that this run validates or tests on"
        raise RecipeError(name, problem, "train both with the same seed and split")
