"""What an image may be, as the gate tells them apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
#: Returns some radiograph, float32 [height, width] in 0…1, another at each call.
Radiographs = Callable[[np.random.Generator], Floats]
#: Draws one image; all that varies comes from the generator.
Draw = Callable[[np.random.Generator, Radiographs], Floats]
Origin = Literal["drawn", "broken", "found"]


class Kind(StrEnum):
    """One frontal chest X-ray, and all that isn't one."""

    FRONTAL = "frontal"
    LATERAL = "lateral"
    SLICE = "slice"
    """CT, MR, ultrasound: a section, not a projection."""
    OTHER_PART = "other part"
    """A radiograph of another part of the body."""
    PICTURE = "picture"
    """Photographs, paintings, textures; a film photographed among other things."""
    DOCUMENT = "document"
    """Text, plots, screenshots, slides, drawings, masks, several radiographs on one sheet."""
    UNUSABLE = "unusable"
    """Of a chest, but cut off, blurred, noisy, over- or underexposed until useless; blank."""


@dataclass(frozen=True)
class Family:
    """Out-of-distribution images that are made in one way.

    Attributes:
        origin: ``drawn`` from nothing; ``broken`` out of radiographs; ``found`` among installed libraries' samples.
        draw: one image, float32 [height, width] in 0…1, bright where a radiograph would be dense.
    """

    name: str
    kind: Kind
    origin: Origin
    draw: Draw


def family(kind: Kind, origin: Origin = "drawn", name: str = "") -> Callable[[Draw], Family]:
    """Make a function the family of its ``name`` (if not given, the function's, with spaces)."""
    return lambda draw: Family(name or draw.__name__.replace("_", " "), kind, origin, draw)
