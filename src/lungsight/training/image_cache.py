"""What is computed from each image once and kept on disk: the image as the network sees it, and its lungs."""

from __future__ import annotations

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from lungsight._cores import cores
from lungsight._files import atomic_write
from lungsight.components.lung_segmentation import LungSegmentation, LungSegmentationDescription
from lungsight.components.lungs import Lungs, crop_of
from lungsight.components.preprocessing import Preprocessing
from lungsight.datasets.cache_folder import cache_folder
from lungsight.errors import UnreadableImageError

Bytes = NDArray[np.uint8]

LUNG_NETWORK, LUNG_DESCRIPTION = "lung_fields.onnx", "lung_fields.json"


def default_cache_folder() -> Path:
    """Where caches are if a command names no folder."""
    return cache_folder() / "images"


class _ArrayCache(ABC):
    """One file for each image, written whole or not at all: several processes and runs may share a cache.

    An image file that has changed (in size or time) is another image.
    """

    folder: Path

    @abstractmethod
    def _compute(self, image: str) -> Bytes:
        """What is kept of an image."""

    def prepare(
        self, images: Sequence[str], *, workers: int | None = None, advance: Callable[[int], None] = lambda _: None
    ) -> dict[str, UnreadableImageError]:
        """Make the files that are missing; return the error of each image that can't be read.

        Args:
            images: paths.
            workers: processes; one per core if not given.
            advance: called with how many more images are done.
        """
        missing = [image for image in dict.fromkeys(images) if not self._is_made(image)]
        advance(len(images) - len(missing))
        workers = workers or cores()
        problems: dict[str, UnreadableImageError] = {}
        if len(missing) < 4 * workers:
            for image in missing:
                problems |= self._try(image)
                advance(1)
            return problems
        with ProcessPoolExecutor(workers) as pool:
            for problem in pool.map(self._try, missing, chunksize=8):
                problems |= problem
                advance(1)
        return problems

    def _array(self, image: str) -> Bytes:
        path = self._path_of(image)
        if not path.is_file():
            with atomic_write(path) as file:
                np.save(file, self._compute(image), allow_pickle=False)
        return cast(Bytes, np.load(path, allow_pickle=False))

    def _path_of(self, image: str) -> Path:
        try:
            stat = os.stat(image)
        except OSError as error:
            raise UnreadableImageError(image, f"can't be read ({error.strerror})", "check the path") from error
        identity = f"{image}\0{stat.st_size}\0{stat.st_mtime_ns}".encode(errors="surrogateescape")
        name = hashlib.sha256(identity).hexdigest()
        return self.folder / name[:2] / f"{name[2:34]}.npy"

    def _is_made(self, image: str) -> bool:
        try:
            return self._path_of(image).is_file()
        except UnreadableImageError:
            return False

    def _try(self, image: str) -> dict[str, UnreadableImageError]:
        try:
            self._array(image)
        except UnreadableImageError as problem:
            return {image: problem}
        return {}


@dataclass(frozen=True)
class LungCache(_ArrayCache):
    """The lungs of each image, found by one lung segmentation.

    Attributes:
        model: folder of ``lung_fields.onnx`` and ``lung_fields.json``.
        folder: of the kept masks.
    """

    model: Path
    folder: Path

    @classmethod
    def at(cls, model: Path, root: Path) -> LungCache:
        """The cache of a lung segmentation under ``root``."""
        digest = hashlib.sha256((model / LUNG_NETWORK).read_bytes()).hexdigest()[:12]
        return cls(model, root / f"lungs-{digest}")

    def load(self, image: str) -> Lungs:
        """The lungs in an image, found now if they weren't before. Raises UnreadableImageError."""
        packed, side = self._array(image), _segmentation(self.model).description.image_size
        size = -(-side * side // 8)
        mask = np.unpackbits(packed[:size], count=side * side).reshape(side, side).astype(bool)
        return Lungs(mask, tuple(packed[size:].tobytes().decode().splitlines()))

    def _compute(self, image: str) -> Bytes:
        """The mask, eight pixels per byte, and behind it the problems as lines of text."""
        segmentation = _segmentation(self.model)
        lungs = segmentation.find(segmentation.read(image).pixels)
        problems = np.frombuffer("\n".join(lungs.problems).encode(), dtype=np.uint8)
        return np.concatenate([np.packbits(lungs.mask), problems])


@lru_cache(maxsize=2)
def _segmentation(model: Path) -> LungSegmentation:
    """Loaded once in each process: a session can't be handed from one to another."""
    description = LungSegmentationDescription.model_validate_json((model / LUNG_DESCRIPTION).read_bytes())
    return LungSegmentation((model / LUNG_NETWORK).read_bytes(), description, threads=1)


@dataclass(frozen=True)
class ImageCache(_ArrayCache):
    """Images after preprocessing, each uint8 [side, side]."""

    preprocessing: Preprocessing
    folder: Path
    lungs: LungCache | None = None

    @classmethod
    def at(cls, preprocessing: Preprocessing, root: Path | None = None, lungs: LungCache | None = None) -> ImageCache:
        """The cache of a preprocessing under ``root``; ``lungs`` are used only if the preprocessing needs them."""
        if preprocessing.needs_lungs and lungs is None:
            raise ValueError("this preprocessing needs to know where the lungs are")
        lungs = lungs if preprocessing.needs_lungs else None
        rests_on = preprocessing.model_dump_json() + (lungs.folder.name if lungs else "")
        stated = hashlib.sha256(rests_on.encode()).hexdigest()[:12]
        return cls(preprocessing, (root or default_cache_folder()) / f"{preprocessing.image_size}px-{stated}", lungs)

    def load(self, image: str) -> Bytes:
        """The preprocessed image, made now if it wasn't before. Raises UnreadableImageError."""
        return self._array(image)

    def _compute(self, image: str) -> Bytes:
        box = crop_of(self.lungs.load(image)) if self.lungs else None
        pixels = self.preprocessing.apply(self.preprocessing.read(image).pixels, box)
        return np.round(pixels * 255).astype(np.uint8)
