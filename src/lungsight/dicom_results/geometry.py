"""From the grid on which an image was analysed to the pixels of its file; outlines of what was found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from contourpy import FillType, contour_generator
from numpy.typing import NDArray

from lungsight.components.connected_components import connected_components
from lungsight.components.lungs import Mask
from lungsight.inference.finding import ClassMap
from lungsight.inference.lung_overlap import grid_of
from lungsight.radiograph import Placement

#: Points of an outline, float64 [n, 2]: x and y as fractions of width and height. The last point is the first.
Outline = NDArray[np.float64]

#: The edge of the whole image.
FRAME: Outline = np.array([[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]], dtype=np.float64)
#: An outline has at most about so many points.
_POINTS = 160


@dataclass(frozen=True, eq=False)
class Region:
    """Where evidence is.

    Attributes:
        outline: on the image as it was analysed.
        strongest: the largest evidence in it, in logits.
    """

    outline: Outline
    strongest: float


def on_stored(outline: Outline, placement: Placement) -> Outline:
    """Points on the image as it was analysed, on the image as it is stored."""
    x, y = outline[:, 0], outline[:, 1]
    x, y = {0: (x, y), 90: (y, 1 - x), 180: (1 - x, 1 - y), 270: (1 - y, x)}[placement.turned]
    return np.stack([1 - x if placement.mirrored else x, y], axis=1)


def mask_on_stored(mask: Mask, placement: Placement) -> Mask:
    """A mask over the image as it was analysed, bool [height, width], turned and mirrored back."""
    turned_back = np.rot90(mask, placement.turned // 90)
    return np.ascontiguousarray(np.fliplr(turned_back) if placement.mirrored else turned_back)


def outlines(mask: Mask) -> list[Outline]:
    """One closed outline for each connected component of bool [height, width]; holes are left out."""
    return _rings(mask.astype(np.float64), 0.5)


def around(mask: Mask) -> Outline | None:
    """One closed outline around all of bool [height, width], with what is between its components.

    None if the mask is empty.
    """
    rows = np.flatnonzero(mask.any(axis=1))
    if not len(rows):
        return None
    height, width = mask.shape
    seen = mask[rows]
    left = seen.argmax(axis=1) / width
    right = 1 - seen[:, ::-1].argmax(axis=1) / width
    y = (rows + 0.5) / height
    step = max(1, 2 * len(rows) // _POINTS)
    down, up = np.stack([left, y], axis=1)[::step], np.stack([right, y], axis=1)[::-1][::step]
    return np.concatenate([down, up, down[:1]])


def regions(evidence: ClassMap, height: int, width: int) -> list[Region]:
    """Where the evidence for the target is above half of its maximum, the strongest first; empty without evidence.

    Args:
        evidence: of one image.
        height: of the image, in pixels.
        width: of the image, in pixels.
    """
    values = evidence.on(*grid_of(height, width)).astype(np.float64)
    half = float(values.max()) / 2
    if half <= 0:
        return []
    labels, count = connected_components(values >= half)
    found = [region for number in range(1, count + 1) for region in _of_component(values, labels == number, half)]
    return sorted(found, key=lambda region: -region.strongest)


def _of_component(values: NDArray[np.float64], inside: Mask, half: float) -> Iterator[Region]:
    drawn = _rings(np.where(inside, values, 0), half * (1 - 1e-9))
    if drawn:
        yield Region(max(drawn, key=len), float(values[inside].max()))


def _rings(values: NDArray[np.float64], level: float) -> list[Outline]:
    """The outer edge of each area in which ``values`` [height, width] reach ``level``, which is above zero."""
    height, width = values.shape
    generator = contour_generator(z=np.pad(values, 1), fill_type=FillType.OuterOffset)
    areas, offsets = generator.filled(level, float(values.max()) + 1)  # type: ignore[misc]  # two, for this fill type
    rings = []
    for points, ends in zip(areas, offsets, strict=True):
        first, last = next(pairwise(ends))
        ring = (points[first:last] - 0.5) / (width, height)
        kept = ring[:-1][:: max(1, len(ring) // _POINTS)]
        rings.append(np.clip(np.concatenate([kept, kept[:1]]), 0, 1))
    return [ring for ring in rings if len(ring) > 3]
