"""The encoder's features of every view, computed once, by group, and kept: a resumed run computes what is missing."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lungsight._files import atomic_write, write_whole
from lungsight.components.preprocessing import Preprocessing
from lungsight.components.runtime import open_network
from lungsight.datasets.ood_images import Kind, families
from lungsight.datasets.ood_images.kinds import Floats
from lungsight.datasets.phantom import Label, draw
from lungsight.datasets.phantom.patient import HOSPITALS
from lungsight.errors import UnreadableImageError
from lungsight.networks.gate_network import GateEncoder
from lungsight.networks.onnx_export import round_to_half
from lungsight.training.gate.augmentation import View, acquired, turned, view_of
from lungsight.training.gate.exporting import export_encoder
from lungsight.training.gate.groups import PHANTOMS, Group
from lungsight.training.gate.recipe import KEPT_SIDE, GateRecipe
from lungsight.training.image_cache import ImageCache

_BATCH = 32
_VERSION = 1  # of the views and of the out-of-distribution images: raised when their code changes
_LABELS = (Label.COVID19, Label.OTHER_PNEUMONIA, Label.NO_PNEUMONIA)


@dataclass(frozen=True, eq=False)
class ViewFeatures:
    """A group's n views as the encoder sees them.

    Attributes:
        features: float32 [n, features].
        image: int [n], which of the group's paths each view shows; its own number if there are none.
        turn, inverted, marked: [n], as in View.
        first: bool [n], the image as it is, or as it was drawn.
    """

    features: Floats
    image: NDArray[np.int64]
    turn: NDArray[np.int64]
    inverted: NDArray[np.bool_]
    marked: NDArray[np.bool_]
    first: NDArray[np.bool_]

    @property
    def plain(self) -> NDArray[np.bool_]:
        """Upright, not inverted, not heavily marked."""
        return np.asarray((self.turn == 0) & ~self.inverted & ~self.marked, dtype=np.bool_)


class Encoder:
    """The encoder in onnxruntime, a third of torch's time: training and the released gate see the same.

    Its file is kept in ``cache``. Raises RecipeError if the weights aren't available.
    """

    def __init__(self, recipe: GateRecipe, seed: int, cache: Path) -> None:
        torch.manual_seed(seed)  # of random weights
        self.module = GateEncoder(recipe.weights).eval()
        round_to_half(self.module)
        self.preprocessing: Preprocessing = recipe.preprocessing
        weights = b"".join(tensor.numpy().tobytes() for tensor in self.module.state_dict().values())
        fingerprint = hashlib.sha256(weights + self.preprocessing.model_dump_json().encode()).hexdigest()[:12]
        self.folder = cache / f"gate-{fingerprint}"
        self.exported = self._export(recipe.image_size)
        self._network = open_network(self.exported, ("features",), max(1, torch.get_num_threads()), "onnxruntime")

    def features(self, images: list[Floats]) -> Floats:
        """float32 [n, features] of images of any sizes."""
        return self.features_of(np.stack([self.preprocessing.apply(image) for image in images])[:, None])

    def features_of(self, preprocessed: Floats) -> Floats:
        """float32 [n, features] of images after preprocessing, float32 [n, 1, side, side]."""
        found: Floats = self._network.run(("features",), preprocessed)[0]
        return found

    def _export(self, side: int) -> bytes:
        path = self.folder / "encoder.onnx"
        if not path.is_file():
            write_whole(path, export_encoder(self.module, side))
        return path.read_bytes()


def group_features(
    group: Group, encoder: Encoder, cache: Path, seed: int, log: Callable[[str], None] = lambda _: None
) -> ViewFeatures:
    """The group's views through the encoder, from the cache if they are there.

    Images that can't be read are logged and left out. Raises UnreadableImageError if that leaves none.
    """
    path = encoder.folder / f"{_key(group, seed)}.npz"
    if not path.is_file():
        arrays = _compute(group, encoder, cache, seed, log)
        with atomic_write(path) as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
    with np.load(path, allow_pickle=False) as kept:
        return ViewFeatures(
            **{name: kept[name].astype(np.float32) if name == "features" else kept[name] for name in kept}
        )


def _compute(
    group: Group, encoder: Encoder, cache: Path, seed: int, log: Callable[[str], None]
) -> dict[str, NDArray[Any]]:
    images = ImageCache.at(Preprocessing(image_size=KEPT_SIDE), cache)
    features: list[Floats] = []
    facts: list[tuple[int, int, bool, bool, bool]] = []
    views = _views(group, images, seed, log)
    while batch := list(islice(views, _BATCH)):
        features.append(encoder.features([view.pixels for _, _, view in batch]).astype(np.float16))
        facts += [(image, v.turn, v.inverted, v.marked, first) for image, first, v in batch]
    if not facts:
        raise UnreadableImageError(group.name, "none of its images can be read", "check the manifest's paths")
    columns = [np.array(column) for column in zip(*facts, strict=True)]
    names = ("image", "turn", "inverted", "marked", "first")
    return {"features": np.concatenate(features), **dict(zip(names, columns, strict=True))}


def _views(
    group: Group, images: ImageCache, seed: int, log: Callable[[str], None]
) -> Iterator[tuple[int, bool, View]]:
    """Number of the image, whether it is as it was, and how it is shown."""
    if group.family:
        yield from _ood_views(group, images, seed)
    elif group.source == PHANTOMS:
        for number in range(group.views):
            rng = group.generator(seed, number)
            phantom = draw(number, _LABELS[number % 3], hospital=HOSPITALS[number % 2], size=KEPT_SIDE)
            yield number, False, view_of(np.ascontiguousarray(phantom.pixels), rng)
    else:
        for number, path in enumerate(group.paths):
            try:
                image = _pixels(images, path)
            except UnreadableImageError as problem:
                log(str(problem))
                continue
            yield number, True, View(image)
            for repeat in range(1, group.views):
                rng = group.generator(seed, number * 1000 + repeat)
                frontal = group.kind is Kind.FRONTAL
                yield number, False, view_of(image, rng) if frontal else turned(acquired(image, rng), rng)


def _ood_views(group: Group, images: ImageCache, seed: int) -> Iterator[tuple[int, bool, View]]:
    def image(rng: np.random.Generator) -> Floats:
        return _pixels(images, group.paths[int(rng.integers(len(group.paths)))])

    for number in range(group.views):
        rng = group.generator(seed, number)
        drawn = families()[group.family].draw(rng, image)
        yield number, number % 4 == 0, View(drawn) if number % 4 == 0 else turned(drawn, rng)


def _pixels(images: ImageCache, path: str) -> Floats:
    return np.asarray(images.load(path), dtype=np.float32) / np.float32(255)


def _key(group: Group, seed: int) -> str:
    files = [(path, os.stat(path).st_size, os.stat(path).st_mtime_ns) for path in group.paths if os.path.exists(path)]
    stated = json.dumps([_VERSION, seed, group.name, group.views, files], ensure_ascii=True)
    return hashlib.sha256(stated.encode()).hexdigest()[:32]
