"""What the encoder sees in every view: worked out once, by group, and kept; a run that was cut off goes on with the
groups that are missing."""

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
from lungsight.datasets.ood_images.kinds import Floats, Radiographs
from lungsight.datasets.phantom import Label, draw
from lungsight.datasets.phantom.patient import HOSPITALS
from lungsight.errors import UnreadableImageError
from lungsight.networks.gate_network import GateEncoder
from lungsight.networks.half_precision import round_to_half
from lungsight.training.gate.augmentation import View, acquired, view_of
from lungsight.training.gate.exporting import export_encoder
from lungsight.training.gate.groups import PHANTOMS, Group
from lungsight.training.gate.recipe import FILM_SIDE, GateRecipe
from lungsight.training.image_cache import ImageCache

_BATCH = 32
_VERSION = 1  # of what views and decoys look like: raised where their code changes


@dataclass(frozen=True, eq=False)
class ViewFeatures:
    """A group's views as the encoder sees them, n of them.

    Attributes:
        features: float32 [n, features].
        image: which of the group's paths each view shows; its own number where there are none.
        turn, inverted, marked: as in View.
        first: the image as it is, or as it was drawn.
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
    """The encoder as onnxruntime runs it: what training sees is what the released gate sees, at a third of the time.
    Its file is kept in ``cache``.

    Raises InvalidRecipe where the weights can't be had."""

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
        """float32 [n, features] of images of whatever sizes."""
        return self.features_of(np.stack([self.preprocessing.apply(image) for image in images])[:, None])

    def features_of(self, seen: Floats) -> Floats:
        """float32 [n, features] of images as the network sees them, float32 [n, 1, side, side]."""
        found: Floats = self._network.run(("features",), seen)[0]
        return found

    def _export(self, side: int) -> bytes:
        place = self.folder / "encoder.onnx"
        if place.is_file():
            return place.read_bytes()
        exported = export_encoder(self.module, side)
        write_whole(place, exported)
        return exported


def see(
    group: Group, encoder: Encoder, cache: Path, seed: int, say: Callable[[str], None] = lambda _: None
) -> ViewFeatures:
    """The group's views through the encoder; from the cache where they are. Images that can't be read are said and
    left out. Raises UnreadableImage where none of a group's films can be read."""
    place = encoder.folder / f"{_key(group, seed)}.npz"
    if not place.is_file():
        _keep(place, _look(group, encoder, cache, seed, say))
    with np.load(place, allow_pickle=False) as kept:
        return ViewFeatures(
            **{name: kept[name].astype(np.float32) if name == "features" else kept[name] for name in kept}
        )


def _look(
    group: Group, encoder: Encoder, cache: Path, seed: int, say: Callable[[str], None]
) -> dict[str, NDArray[Any]]:
    films = ImageCache.at(Preprocessing(image_size=FILM_SIDE), cache)
    features: list[Floats] = []
    facts: list[tuple[int, int, bool, bool, bool]] = []
    shown = _views(group, films, seed, say)
    while some := list(islice(shown, _BATCH)):
        features.append(encoder.features([view.pixels for _, _, view in some]).astype(np.float16))
        facts += [(image, v.turn, v.inverted, v.marked, first) for image, first, v in some]
    if not facts:
        raise UnreadableImageError(group.name, "none of its images can be read", "check the manifest's paths")
    columns = [np.array(column) for column in zip(*facts, strict=True)]
    names = ("image", "turn", "inverted", "marked", "first")
    return {"features": np.concatenate(features), **dict(zip(names, columns, strict=True))}


def _views(
    group: Group, films: ImageCache, seed: int, say: Callable[[str], None]
) -> Iterator[tuple[int, bool, View]]:
    """Number of the image, whether it is as it was, and how it is shown."""
    if group.family:
        yield from _decoy_views(group, films, seed)
        return
    if group.source == PHANTOMS:
        for number in range(group.views):
            rng = group.generator(seed, number)
            phantom = draw(number, _LABELS[number % 3], hospital=HOSPITALS[number % 2], size=FILM_SIDE)
            yield number, False, view_of(np.ascontiguousarray(phantom.pixels), rng)
        return
    for number, path in enumerate(group.paths):
        try:
            film = np.asarray(films.load(path), dtype=np.float32) / np.float32(255)
        except UnreadableImageError as problem:
            say(str(problem))
            continue
        yield number, True, View(film)
        for repeat in range(1, group.views):
            rng = group.generator(seed, number * 1000 + repeat)
            yield (
                number,
                False,
                view_of(film, rng) if group.kind is Kind.FRONTAL else _turned(acquired(film, rng), rng),
            )


_LABELS = (Label.COVID19, Label.OTHER_PNEUMONIA, Label.NO_PNEUMONIA)


def _decoy_views(group: Group, films: ImageCache, seed: int) -> Iterator[tuple[int, bool, View]]:
    family = families()[group.family]
    for number in range(group.views):
        rng = group.generator(seed, number)
        drawn = family.draw(rng, _films(group, films, seed))
        yield number, number % 4 == 0, View(drawn) if number % 4 == 0 else _turned(drawn, rng)


def _films(group: Group, films: ImageCache, seed: int) -> Radiographs:
    def film(rng: np.random.Generator) -> Floats:
        loaded = films.load(group.paths[int(rng.integers(len(group.paths)))])
        return np.asarray(loaded, dtype=np.float32) / np.float32(255)

    return film


def _turned(pixels: Floats, rng: np.random.Generator) -> View:
    """What is no frontal film is none when it is turned or inverted."""
    turn = int(rng.integers(4)) if rng.random() < 0.3 else 0
    inverted = bool(rng.random() < 0.2)
    return View(np.ascontiguousarray(np.rot90(1 - pixels if inverted else pixels, turn)), turn, inverted)


def _key(group: Group, seed: int) -> str:
    files = [(path, os.stat(path).st_size, os.stat(path).st_mtime_ns) for path in group.paths if os.path.exists(path)]
    stated = json.dumps([_VERSION, seed, group.name, group.views, files], ensure_ascii=True)
    return hashlib.sha256(stated.encode()).hexdigest()[:32]


def _keep(place: Path, arrays: dict[str, NDArray[Any]]) -> None:
    with atomic_write(place) as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
