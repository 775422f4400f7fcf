"""Radiographs as the network will see them, decoded and resized once, kept on disk."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import platformdirs
from numpy.typing import NDArray

from lungsight.faults import UnreadableImage
from lungsight.package.preprocessing import Preprocessing
from lungsight.reading import read_radiograph


def default_cache_folder() -> Path:
    return Path(platformdirs.user_cache_dir("lungsight")) / "images"


@dataclass(frozen=True)
class ImageCache:
    """One file for each image and preprocessing: uint8 [side, side]. A changed image file (its size or its time)
    is another image. Several processes and runs may share a cache; files appear whole or not at all."""

    preprocessing: Preprocessing
    folder: Path

    @classmethod
    def at(cls, preprocessing: Preprocessing, root: Path | None = None) -> ImageCache:
        stated = hashlib.sha256(preprocessing.model_dump_json().encode()).hexdigest()[:12]
        return cls(preprocessing, (root or default_cache_folder()) / f"{preprocessing.image_size}px-{stated}")

    def load(self, image: str) -> NDArray[np.uint8]:
        """The preprocessed image; made now if it isn't there. Raises UnreadableImage."""
        place = self._place(image)
        if not place.is_file():
            self._make(image, place)
        return cast(NDArray[np.uint8], np.load(place, allow_pickle=False))

    def prepare(
        self, images: Sequence[str], *, workers: int | None = None, advance: Callable[[int], None] = lambda _: None
    ) -> dict[str, UnreadableImage]:
        """Make all that are missing; answers the images that can't be read, with the reason."""
        missing = [image for image in dict.fromkeys(images) if not self._is_made(image)]
        advance(len(images) - len(missing))
        faults: dict[str, UnreadableImage] = {}
        workers = workers or os.cpu_count() or 1
        if len(missing) < 4 * workers:
            for image in missing:
                faults |= self._try(image)
                advance(1)
            return faults
        with ProcessPoolExecutor(workers) as pool:
            for fault in pool.map(self._try, missing, chunksize=8):
                faults |= fault
                advance(1)
        return faults

    def _is_made(self, image: str) -> bool:
        try:
            return self._place(image).is_file()
        except UnreadableImage:
            return False

    def _place(self, image: str) -> Path:
        try:
            stat = os.stat(image)
        except OSError as error:
            raise UnreadableImage(image, f"can't be read ({error.strerror})", "check the path") from error
        name = hashlib.sha256(f"{image}\0{stat.st_size}\0{stat.st_mtime_ns}".encode(errors="surrogateescape"))
        return self.folder / name.hexdigest()[:2] / f"{name.hexdigest()[2:34]}.npy"

    def _try(self, image: str) -> dict[str, UnreadableImage]:
        try:
            self._make(image, self._place(image))
        except UnreadableImage as fault:
            return {image: fault}
        return {}

    def _make(self, image: str, place: Path) -> None:
        pixels = self.preprocessing.apply(read_radiograph(image).pixels)
        place.parent.mkdir(parents=True, exist_ok=True)
        partial = place.with_suffix(f".{os.getpid()}.part")
        with partial.open("wb") as file:
            np.save(cast(BinaryIO, file), np.round(pixels * 255).astype(np.uint8), allow_pickle=False)
        partial.replace(place)
