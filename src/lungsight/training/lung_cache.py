"""Where the lungs are in each image of a run, found once, kept on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lungsight._files import atomic_write
from lungsight.components.lung_segmentation import LungSegmentation, LungSegmentationDescription
from lungsight.components.lungs import Lungs
from lungsight.errors import UnreadableImageError
from lungsight.training.cached_files import make_all, place_of

NETWORK, DESCRIPTION = "lung_fields.onnx", "lung_fields.json"


@dataclass(frozen=True)
class LungCache:
    """One file for each image and segmenter. Several processes and runs may share a cache.

    Attributes:
        model: the folder of the segmenter's ``lung_fields.onnx`` and ``lung_fields.json``.
        folder: of the kept masks.
    """

    model: Path
    folder: Path

    @classmethod
    def at(cls, model: Path, root: Path) -> LungCache:
        return cls(model, root / f"lungs-{network_digest(model)}")

    def load(self, image: str) -> Lungs:
        """The lungs in an image; found now if they weren't before. Raises UnreadableImage."""
        place = place_of(image, self.folder)
        if not place.is_file():
            self.make(image, place)
        return _unpacked(np.load(place, allow_pickle=False), _segmenter(self.model).description.image_size)

    def prepare(
        self, images: Sequence[str], *, workers: int | None = None, advance: Callable[[int], None] = lambda _: None
    ) -> dict[str, UnreadableImageError]:
        """Find all that are missing; answers the images that can't be read, with the reason."""
        return make_all(images, self.folder, self.make, workers=workers, advance=advance)

    def make(self, image: str, place: Path) -> None:
        segmenter = _segmenter(self.model)
        lungs = segmenter.find(segmenter.read(image).pixels)
        with atomic_write(place) as file:
            np.save(file, _packed(lungs), allow_pickle=False)


def _packed(lungs: Lungs) -> NDArray[np.uint8]:
    """The mask, eight pixels a byte, and behind it the faults as lines of text."""
    problems = np.frombuffer("\n".join(lungs.problems).encode(), dtype=np.uint8)
    return np.concatenate([np.packbits(lungs.mask), problems])


def _unpacked(packed: NDArray[np.uint8], side: int) -> Lungs:
    size = -(-side * side // 8)
    mask = np.unpackbits(packed[:size], count=side * side).reshape(side, side).astype(bool)
    return Lungs(mask, tuple(packed[size:].tobytes().decode().splitlines()))


def network_digest(model: Path) -> str:
    """Twelve digits of the segmenter's sha256."""
    return hashlib.sha256((model / NETWORK).read_bytes()).hexdigest()[:12]


@lru_cache(maxsize=2)
def _segmenter(model: Path) -> LungSegmentation:
    """Loaded once in each process: a session can't be handed from one to another."""
    description = LungSegmentationDescription.model_validate_json((model / DESCRIPTION).read_bytes())
    return LungSegmentation((model / NETWORK).read_bytes(), description, threads=1)
