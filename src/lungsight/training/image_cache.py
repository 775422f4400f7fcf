"""Radiographs as the network will see them, decoded and resized once, kept on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from lungsight._files import atomic_write
from lungsight.components.lungs import crop_of
from lungsight.components.preprocessing import Preprocessing
from lungsight.datasets.cache_folder import cache_folder
from lungsight.errors import UnreadableImageError
from lungsight.training.cached_files import make_all, place_of
from lungsight.training.lung_cache import LungCache


def default_cache_folder() -> Path:
    return cache_folder() / "images"


@dataclass(frozen=True)
class ImageCache:
    """One file for each image and preprocessing: uint8 [side, side]. A changed image file (its size or its time)
    is another image. Several processes and runs may share a cache; files appear whole or not at all."""

    preprocessing: Preprocessing
    folder: Path
    lungs: LungCache | None = None

    @classmethod
    def at(cls, preprocessing: Preprocessing, root: Path | None = None, lungs: LungCache | None = None) -> ImageCache:
        """Under ``root``; ``lungs`` are needed where the preprocessing asks for them, and are left out otherwise."""
        if preprocessing.needs_lungs and lungs is None:
            raise ValueError("this preprocessing needs to know where the lungs are")
        lungs = lungs if preprocessing.needs_lungs else None
        rests_on = preprocessing.model_dump_json() + (lungs.folder.name if lungs else "")
        stated = hashlib.sha256(rests_on.encode()).hexdigest()[:12]
        return cls(preprocessing, (root or default_cache_folder()) / f"{preprocessing.image_size}px-{stated}", lungs)

    def load(self, image: str) -> NDArray[np.uint8]:
        """The preprocessed image; made now if it isn't there. Raises UnreadableImage."""
        place = place_of(image, self.folder)
        if not place.is_file():
            self.make(image, place)
        return cast(NDArray[np.uint8], np.load(place, allow_pickle=False))

    def prepare(
        self, images: Sequence[str], *, workers: int | None = None, advance: Callable[[int], None] = lambda _: None
    ) -> dict[str, UnreadableImageError]:
        """Make all that are missing; answers the images that can't be read, with the reason."""
        return make_all(images, self.folder, self.make, workers=workers, advance=advance)

    def make(self, image: str, place: Path) -> None:
        box = crop_of(self.lungs.load(image)) if self.lungs else None
        radiograph = self.preprocessing.read(image)
        pixels = self.preprocessing.apply(radiograph.pixels, box)
        with atomic_write(place) as file:
            np.save(file, np.round(pixels * 255).astype(np.uint8), allow_pickle=False)
