"""Where on the radiograph the evidence lies: in the lungs, or beside them?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lungsight.components.lungs import Lungs, crop_of
from lungsight.package import Preprocessing

#: The evidence is as smooth as the network's grid is coarse; a finer grid would say no more.
GRID = 128


def grid_of(height: int, width: int) -> tuple[int, int]:
    """Height and width of a grid that is fine enough for evidence on an image of this shape."""
    scale = GRID / max(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def share_in_lungs(
    evidence: NDArray[np.float32], lungs: Lungs, preprocessing: Preprocessing, height: int, width: int
) -> float | None:
    """Of the evidence for the target, float32 [rows, columns], the share 0…1 that lies in the lungs of a radiograph
    of this height and width; None where there is no evidence for it at all."""
    grid = grid_of(height, width)
    positive = np.maximum(preprocessing.restore(evidence, *grid, crop_of(lungs)), 0)
    total = float(positive.sum(dtype=np.float64))
    return float(positive[lungs.on(*grid)].sum(dtype=np.float64)) / total if total > 0 else None
