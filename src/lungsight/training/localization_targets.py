"""Attention targets: where in an image disease is known to be, or known not to be."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from lungsight.components.lungs import Lungs, crop_of
from lungsight.components.preprocessing import Preprocessing, Region
from lungsight.datasets.manifest import Manifest
from lungsight.errors import UnreadableImageError
from lungsight.reading import read_radiograph

#: Cells on a side. Finer than any network's last map, so that turning and shifting costs no accuracy.
GRID = 32

#: Geometries "squash" and "lungs" treat height and width alike: on a virtual square this fine, a region is the same
#: as on the radiograph itself.
_FINE = 4096

#: Disease reaches to the pleura, and the outline isn't exact: this share of the grid around the lungs stays
#: undecided.
_MARGIN = 0.06

Floats = NDArray[np.float32]


def known_targets(
    manifest: Manifest,
    healthy: NDArray[np.bool_],
    preprocessing: Preprocessing,
    find_lungs: Callable[[str], Lungs] | None,
) -> NDArray[np.uint8]:
    """The attention targets of each image, on the grid of the network's input.

    Args:
        manifest: disease is in its boxes and lesion masks, and nowhere else.
        healthy: bool [images]: those that show disease nowhere.
        preprocessing: with geometry "squash" or "lungs".
        find_lungs: the lungs in an image file; without it, nothing is known of an image with unmarked disease.

    Returns:
        uint8 [images, 2, GRID, GRID], each cell 0…255: how much of it is diseased, and how uncertain this is.
    """
    targets = np.zeros((len(manifest), 2, GRID, GRID), dtype=np.uint8)
    columns = ["path", "boxes", "lesion_mask"]
    for i, row in enumerate(manifest.table[columns].to_dict("records")):
        if healthy[i]:
            continue
        lungs = find_lungs(row["path"]) if find_lungs else None
        region = preprocessing.region(_FINE, _FINE, crop_of(lungs))
        lesions = _lesions(row)
        if lesions is not None:
            targets[i, 0] = _on_grid(lesions, region)
        else:
            targets[i, 1] = 255 if lungs is None or lungs.problems else _on_grid(_around(lungs.mask), region)
    return targets


def _lesions(row: Mapping[Hashable, Any]) -> Floats | None:
    """float32 over the whole radiograph, squashed to a square: 1 where disease is marked; None without marks."""
    if row["lesion_mask"]:
        try:
            return read_radiograph(row["lesion_mask"]).pixels
        except UnreadableImageError:
            return None
    boxes = json.loads(row["boxes"] or "[]")
    return _drawn(boxes) if boxes else None


def _drawn(boxes: list[list[float]]) -> Floats:
    """``boxes`` are [x0, y0, x1, y1] in fractions of width and height."""
    side = 256
    drawn = np.zeros((side, side), dtype=np.float32)
    for box in boxes:
        left, top, right, bottom = (round(side * edge) for edge in box)
        drawn[top:bottom, left:right] = 1
    return drawn


def _around(mask: NDArray[np.bool_]) -> Floats:
    """The lungs and a margin around them."""
    reach = max(1, round(_MARGIN * mask.shape[0]))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    return np.asarray(cv2.dilate(mask.astype(np.float32), kernel), dtype=np.float32)


def _on_grid(whole: Floats, region: Region) -> NDArray[np.uint8]:
    """The part of ``whole`` (any size, over the whole radiograph) inside ``region``, averaged on the grid."""
    fine = cv2.resize(whole, (512, 512), interpolation=cv2.INTER_LINEAR)
    edges = (region.top, region.bottom, region.left, region.right)
    top, bottom, left, right = (round(edge / _FINE * 512) for edge in edges)
    part = fine[top : max(bottom, top + 1), left : max(right, left + 1)]
    return np.round(255 * cv2.resize(part, (GRID, GRID), interpolation=cv2.INTER_AREA)).astype(np.uint8)
