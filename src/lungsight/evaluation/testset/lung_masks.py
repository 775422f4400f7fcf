"""The lung fields that a network found on an image, small enough to be kept for thousands of images."""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np

from lungsight.components.lungs import Box, Lungs
from lungsight.statistics.outcomes import Mask

#: Side of the grid that lung fields are kept on: a cell is finer than the margin that the audits hide with them.
SIDE = 128
_IN_A_MASK = 0.5


@dataclass(frozen=True, eq=False)
class LungMask:
    """What was found on one image.

    Attributes:
        mask: bool [SIDE, SIDE] over the whole radiograph, squashed to a square.
        faults: why these are no two plausible lungs: sentences; empty where they are.
        crop: the box around them that the model's input was cut out by; None where it saw the whole image.
    """

    mask: Mask
    problems: tuple[str, ...] = ()
    crop: Box | None = None

    @classmethod
    def of(cls, lungs: Lungs, crop: Box | None = None) -> LungMask:
        small = cv2.resize(lungs.mask.astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        return cls(np.asarray(small > _IN_A_MASK, dtype=bool), lungs.problems, crop)

    @property
    def plausible(self) -> bool:
        """Whether an audit may hide them: what a mask misses would stay visible and pass for a shortcut."""
        return not self.problems and bool(self.mask.any())

    def on(self, height: int, width: int) -> Mask:
        """bool [height, width]: the mask on the radiograph's own grid."""
        size = (width, height)
        drawn = cv2.resize(self.mask.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
        return np.asarray(drawn > _IN_A_MASK, dtype=bool)

    @cached_property
    def digest(self) -> str:
        """Twelve digits that differ where mask or crop do."""
        said = np.packbits(self.mask).tobytes() + repr((self.plausible, self.crop)).encode()
        return hashlib.sha256(said).hexdigest()[:12]

    def as_json(self) -> dict[str, Any]:
        packed = base64.b64encode(zlib.compress(np.packbits(self.mask).tobytes())).decode("ascii")
        crop = None if self.crop is None else list(astuple(self.crop))
        return {"mask": packed, "faults": list(self.problems), "crop": crop}

    @classmethod
    def from_json(cls, stated: Mapping[str, Any]) -> LungMask:
        packed = np.frombuffer(zlib.decompress(base64.b64decode(stated["mask"])), dtype=np.uint8)
        mask = np.unpackbits(packed).astype(bool).reshape(SIDE, SIDE)
        crop = None if stated["crop"] is None else Box(*stated["crop"])
        return cls(mask, tuple(stated["faults"]), crop)
