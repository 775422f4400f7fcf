"""Where lungs and lesions are, on a grid of fractions of the image's width and height."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np

from lungsight.evaluation.testset.lung_masks import read_mask
from lungsight.statistics.outcomes import Mask

#: Side of the grid of fractions that all is measured on.
GRID = 128
#: A box may reach out of the image by so much of its side.
_BESIDE = 0.05


def lungs_on_grid(row: Mapping[Hashable, Any]) -> Mask | None:
    """The lungs of the mask ``lung_mask``, or those ``found``, bool [GRID, GRID]; None if neither helps."""
    masked, found = (read_mask(row["lung_mask"], GRID, GRID) if row["lung_mask"] else None), row["found"]
    return found.on(GRID, GRID) if masked is None and found and found.plausible else masked


def lesions_on_grid(row: Mapping[Hashable, Any]) -> Mask | None:
    """The lesions of ``lesion_mask`` or, without one, of ``boxes``, bool [GRID, GRID]; None if neither helps."""
    found = read_mask(row["lesion_mask"], GRID, GRID) if row["lesion_mask"] else None
    return _boxes(row["boxes"]) if found is None else found


def _boxes(stated: str) -> Mask | None:
    """The cells whose middle is in a box of the JSON list, bool [GRID, GRID].

    None without any, or if a number isn't a fraction of the image (a box in pixels would be taken for all of it).
    """
    try:
        boxes = np.array(json.loads(stated or "[]"), dtype=np.float64).reshape(-1, 4)
    except (ValueError, TypeError, RecursionError):
        return None
    if not ((boxes >= -_BESIDE) & (boxes <= 1 + _BESIDE)).all():
        return None
    middle = (np.arange(GRID) + 0.5) / GRID
    inside = np.zeros((GRID, GRID), dtype=bool)
    for x0, y0, x1, y1 in boxes:
        inside |= ((middle >= y0) & (middle < y1))[:, None] & ((middle >= x0) & (middle < x1))
    return inside if inside.any() else None
