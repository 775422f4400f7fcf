"""Where lungs and lesions lie, on a grid of fractions of the image's width and height."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from lungsight.errors import UnreadableImageError
from lungsight.reading import read_radiograph
from lungsight.statistics.outcomes import Mask

#: Side of the grid of fractions that all is measured on.
GRID = 128
_IN_A_MASK = 0.5
#: A box may reach out of the image by so much of its side.
_BESIDE = 0.05


def lungs_on_grid(row: Mapping[Hashable, Any]) -> Mask | None:
    """bool [GRID, GRID]: of the manifest's mask ``lung_mask``, or those ``found``; None where neither is any good."""
    masked, found = (_mask(row["lung_mask"]) if row["lung_mask"] else None), row["found"]
    return found.on(GRID, GRID) if masked is None and found and found.plausible else masked


def lesions_on_grid(row: Mapping[Hashable, Any]) -> Mask | None:
    """bool [GRID, GRID]: of ``lesion_mask`` or, without one, of ``boxes``."""
    found = _mask(row["lesion_mask"]) if row["lesion_mask"] else None
    return _boxes(row["boxes"]) if found is None else found


def _mask(file: str) -> Mask | None:
    """bool [GRID, GRID], white is inside; None where it can't be read or holds nothing."""
    try:
        pixels = read_radiograph(Path(file)).pixels
    except UnreadableImageError:
        return None
    inside = np.asarray(cv2.resize(pixels, (GRID, GRID), interpolation=cv2.INTER_AREA) > _IN_A_MASK)
    return inside if inside.any() else None


def _boxes(stated: str) -> Mask | None:
    """bool [GRID, GRID]: the places whose middle lies in a box of the JSON list; None where there is none, or where a
    number is no fraction of the image (a box in pixels would be taken for the whole image)."""
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
