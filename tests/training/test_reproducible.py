"""The draws of the released model's training, held to what they were when it was trained.

The same seed must go on giving the same images in the same order with the same changes, or the released model can't
be trained again. Images are drawn by a formula, so that nothing but the code of training can change the figures.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray

from lungsight.datasets.manifest import Manifest
from lungsight.datasets.ood_images import Kind
from lungsight.training.batches import Images, ProcessShard, TrainingImages, sampling_weights
from lungsight.training.callbacks import EpochSeed
from lungsight.training.gate import GateRecipe
from lungsight.training.gate.augmentation import view_of
from lungsight.training.gate.groups import Group, groups
from lungsight.training.localization_targets import GRID
from lungsight.training.lung_segmentation import LungSegmentationRecipe
from lungsight.training.lung_segmentation.images import AugmentedImages
from lungsight.training.recipe import Recipe, load_recipe

SIDE, IMAGES = 64, 24

#: Row numbers of the first 16 images of epochs 0 and 1.
ORDERS = [
    [10, 0, 6, 0, 6, 15, 9, 7, 16, 18, 20, 20, 10, 0, 1, 5],
    [10, 8, 0, 20, 12, 13, 0, 16, 4, 12, 0, 23, 5, 15, 0, 19],
]
#: Mean and standard deviation of the pixels and of the attention targets, image by image.
CLASSIFIER = [
    [0.2771, 0.2474, 0.4371, 0.299],
    [0.6441, 0.2599, 0.4988, 0.2556],
    [0.5978, 0.2818, 0.4863, 0.2893],
    [0.5483, 0.1842, 0.4865, 0.2589],
    [0.4271, 0.1619, 0.4863, 0.2893],
    [0.315, 0.2082, 0.3759, 0.3155],
    [0.4028, 0.2508, 0.4399, 0.2651],
    [0.3597, 0.2927, 0.3603, 0.3171],
]
DROPOUT_SEED = 739872074630276934
LUNG_ORDER = [7, 2, 4, 6, 1, 0, 3, 5, 9, 8]
#: Mean and standard deviation of the pixels and of the lung mask, image by image.
LUNGS = [
    [0.4378, 0.2803, 0.3367, 0.2781],
    [0.4547, 0.2951, 0.4654, 0.2575],
    [0.2452, 0.2796, 0.3377, 0.338],
    [0.5631, 0.1604, 0.4433, 0.3183],
    [0.5576, 0.3428, 0.3368, 0.2851],
    [0.4082, 0.3478, 0.2704, 0.3055],
    [0.5768, 0.3256, 0.4229, 0.3178],
    [0.5002, 0.233, 0.4233, 0.3383],
]
GATE_GROUPS = [
    ("frontal of a", ("9.png", "12.png", "16.png", "22.png")),
    ("lateral of a", ("2.png", "8.png", "20.png")),
]
#: Quarter turns, inverted, marked.
GATE_VIEWS = [
    (1, False, False),
    (1, False, False),
    (0, False, False),
    (1, False, False),
    (3, False, True),
    (1, False, False),
]
GATE = [[0.6118, 0.3134], [0.5374, 0.2958], [0.5154, 0.3149], [0.5411, 0.3048], [0.529, 0.3573], [0.4961, 0.3043]]


class _Formula:
    """A cache whose n-th image is a chequered slope of its own."""

    def load(self, path: str) -> NDArray[np.uint8]:
        number = int(Path(path).stem)
        y, x = np.mgrid[:SIDE, :SIDE]
        return ((number * 37 + 3 * x + 2 * y + 60 * ((x // 8 + y // 8) % 2)) % 256).astype(np.uint8)


def _figures(*planes: torch.Tensor | NDArray[np.float32]) -> list[float]:
    """Mean and standard deviation of each plane: what any other draw would change."""
    arrays = [np.asarray(plane) for plane in planes]
    return [round(float(figure), 4) for plane in arrays for figure in (plane.mean(), plane.std())]


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return load_recipe("released", [f"image_size={SIDE}", "sampling.images_per_epoch=32"])


@pytest.fixture(scope="module")
def images(recipe: Recipe) -> TrainingImages:
    classes = pd.Series([["covid19", "other_pneumonia", "no_pneumonia"][(n * n) % 3] for n in range(IMAGES)])
    sources = pd.Series(["a" if n % 5 else "b" for n in range(IMAGES)])
    shares = np.eye(3, dtype=np.float32)[[(n * n) % 3 for n in range(IMAGES)]]
    targets = np.tile(np.arange(GRID, dtype=np.uint8) * 8, (IMAGES, 2, GRID, 1))
    known = Images([f"{n}.png" for n in range(IMAGES)], shares, (sources == "b").to_numpy(dtype=np.int64), targets)
    weights = sampling_weights(recipe.sampling, pd.DataFrame({"class": classes, "source": sources, "view": ""}))
    return TrainingImages(_Formula(), known, weights, recipe, ProcessShard())  # type: ignore[arg-type]


def test_the_order_of_the_first_epochs(images: TrainingImages) -> None:
    orders = []
    for epoch in (0, 1):
        images.set_epoch(epoch)
        orders.append(images.plan[:16].tolist())
    assert orders == ORDERS


def test_the_changes_to_the_first_two_batches(images: TrainingImages) -> None:
    images.set_epoch(0)
    found = [_figures(pixels, targets) for pixels, _, targets, _ in (images[n] for n in range(8))]
    np.testing.assert_allclose(found, CLASSIFIER, atol=2e-3)


def test_the_seed_of_an_epochs_dropout() -> None:
    seeding = EpochSeed(1, 0)
    seeding.epoch, seeding.first_epoch = 2, 1
    seeding.dls = type(
        "L", (), {"train": type("T", (), {"dataset": type("D", (), {"set_epoch": lambda *_: None})()})}
    )
    with torch.random.fork_rng(devices=[]):
        seeding.before_train()
        assert torch.initial_seed() == DROPOUT_SEED


def test_the_first_batches_of_the_lung_segmentation() -> None:
    sides = np.array(["train"] * 10 + ["validation"] * 2, dtype=object)
    pairs = [(f"{n}.png", f"{n + 100}.png") for n in range(10)]
    known = type("I", (), {"cache": _Formula(), "sides": sides, "pairs": lambda _, side: pairs})()
    changed = AugmentedImages(known, LungSegmentationRecipe(image_size=SIDE), 1)
    changed.set_epoch(1)
    assert changed.order.tolist() == LUNG_ORDER
    np.testing.assert_allclose([_figures(*changed[n]) for n in range(8)], LUNGS, atol=2e-3)


def test_the_images_and_views_of_the_gate() -> None:
    rows = {"path": [f"{n}.png" for n in range(IMAGES)], "patient": [f"p{n // 2}" for n in range(IMAGES)]}
    view = ["PA", "AP", "lateral"] * (IMAGES // 3)
    manifest = Manifest.of(pd.DataFrame(rows | {"source": "a", "view": view, "label": "covid19"}), "drawn")
    chosen = groups(GateRecipe(films_per_source=4, slices_per_source=3), manifest, 1)
    assert [
        (group.name, tuple(Path(path).name for path in group.paths))
        for group in chosen
        if group.paths and not group.family
    ] == GATE_GROUPS
    group = Group("frontal of a", Kind.FRONTAL, "a", "", ("1.png",), ("p",), 4)
    film = np.asarray(_Formula().load("1.png"), dtype=np.float32) / 255
    views = [view_of(film, group.generator(1, number)) for number in range(6)]
    assert [(v.turn, v.inverted, v.marked) for v in views] == GATE_VIEWS
    np.testing.assert_allclose([_figures(v.pixels) for v in views], GATE, atol=2e-3)
