"""The lungs that a network found on an image, small enough to be kept for thousands of images; masks in files."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from lungsight.components.lungs import Box, Lungs
from lungsight.errors import UnreadableImageError
from lungsight.reading import read_radiograph
from lungsight.statistics.outcomes import Mask

#: Side of the grid that lung fields are kept on: a cell is finer than the margin that the audits hide with them.
SIDE = 128
_IN_A_MASK = 0.5


@dataclass(frozen=True, eq=False)
class LungMask:
    """The lungs of one image.

    Attributes:
        mask: bool [SIDE, SIDE] over the whole image, squashed to a square.
        problems: why these aren't two plausible lungs: sentences; empty if they are.
        crop: the box around the lungs that the model saw; None if it saw the whole image.
    """

    mask: Mask
    problems: tuple[str, ...] = ()
    crop: Box | None = None

    @classmethod
    def of(cls, lungs: Lungs, crop: Box | None = None) -> LungMask:
        """From what the lung segmentation found."""
        small = cv2.resize(lungs.mask.astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        return cls(np.asarray(small > _IN_A_MASK, dtype=bool), lungs.problems, crop)

    @property
    def plausible(self) -> bool:
        """Whether an audit may hide them: what a mask misses would stay visible and pass for a shortcut."""
        return not self.problems and bool(self.mask.any())

    def on(self, height: int, width: int) -> Mask:
        """The mask on the image's own grid, bool [height, width]."""
        size = (width, height)
        drawn = cv2.resize(self.mask.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
        return np.asarray(drawn > _IN_A_MASK, dtype=bool)

    @cached_property
    def digest(self) -> str:
        """Twelve digits that differ where mask or crop do."""
        said = np.packbits(self.mask).tobytes() + repr((self.plausible, self.crop)).encode()
        return hashlib.sha256(said).hexdigest()[:12]

    @classmethod
    def restored(cls, stated: Mapping[str, Any]) -> LungMask:
        """From :func:`dataclasses.asdict`, through JSON."""
        crop = None if stated["crop"] is None else Box(**stated["crop"])
        return cls(stated["mask"], tuple(stated["problems"]), crop)


def read_mask(file: str, width: int, height: int, *, turned: int = 0) -> Mask | None:
    """A mask's white part, bool [height, width]; None if the file can't be read or nothing in it is white.

    It is first turned clockwise by ``turned`` degrees.
    """
    try:
        pixels = read_radiograph(Path(file)).placed(turned=turned).pixels
    except UnreadableImageError:
        return None
    inside = np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA) > _IN_A_MASK, dtype=bool)
    return inside if inside.any() else None
