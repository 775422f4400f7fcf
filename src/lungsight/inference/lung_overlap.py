"""How much of the evidence for the target is in the lungs."""

from __future__ import annotations

import numpy as np

from lungsight.components.lungs import Lungs
from lungsight.inference.finding import ClassMap

#: The evidence is as smooth as the network's grid is coarse; a finer grid would say no more.
GRID = 128


def grid_of(height: int, width: int) -> tuple[int, int]:
    """Height and width of a grid that is fine enough for evidence on an image of this shape."""
    scale = GRID / max(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def share_in_lungs(evidence: ClassMap, lungs: Lungs, height: int, width: int) -> float | None:
    """The share 0…1 of the evidence for the target that is in the lungs.

    Args:
        evidence: of one image.
        lungs: of the same image.
        height: of the image, in pixels.
        width: of the image, in pixels.

    Returns:
        None if there is no evidence for the target at all.
    """
    grid = grid_of(height, width)
    positive = np.maximum(evidence.on(*grid), 0)
    total = float(positive.sum(dtype=np.float64))
    return float(positive[lungs.on(*grid)].sum(dtype=np.float64)) / total if total > 0 else None
