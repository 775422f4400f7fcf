"""The lungs of one image, as their segmentation found them: a mask, the box around it, the lung on each side."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lungsight.components.connected_components import connected_components, without_holes

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Box:
    """A rectangle on a radiograph, in fractions 0…1 of its width and height."""

    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True, eq=False)
class Lungs:
    """The lungs of one image.

    Attributes:
        mask: bool [side, side] over the whole image, squashed into a square: at most two connected components.
        problems: why these aren't two plausible lungs, one sentence each; empty if they are.
    """

    mask: Mask
    problems: tuple[str, ...] = ()

    @cached_property
    def box(self) -> Box | None:
        """Tight around both lungs; None if there is no lung at all."""
        rows, columns = np.flatnonzero(self.mask.any(axis=1)), np.flatnonzero(self.mask.any(axis=0))
        if not len(rows):
            return None
        height, width = self.mask.shape
        return Box(
            left=float(columns[0] / width),
            top=float(rows[0] / height),
            right=float((columns[-1] + 1) / width),
            bottom=float((rows[-1] + 1) / height),
        )

    @cached_property
    def sides(self) -> tuple[Mask, Mask]:
        """The lung on the image's left (usually the patient's right lung) and the one on its right, as ``mask``.

        A single lung is on the side of the image where its middle is.
        """
        return split_sides(self.mask)

    def on(self, height: int, width: int) -> Mask:
        """The mask on another grid over the whole image, bool [height, width]."""
        drawn = Image.fromarray(self.mask.astype(np.float32)).resize((width, height), Image.Resampling.BILINEAR)
        return np.asarray(drawn) >= 0.5


def crop_of(lungs: Lungs | None) -> Box | None:
    """The box that the geometry ``lungs`` takes; None, and so the whole image, without two plausible lungs.

    A crop around one lung would hide the other, and that may be the diseased one.
    """
    return lungs.box if lungs is not None and not lungs.problems else None


def two_largest(found: Mask) -> Mask:
    """The two largest connected components of bool [side, side], with their holes filled."""
    labels, _ = connected_components(found)
    largest = np.argsort(np.bincount(labels.ravel())[1:])[::-1][:2] + 1
    return without_holes(np.isin(labels, largest))


def split_sides(mask: Mask) -> tuple[Mask, Mask]:
    """The component on the image's left and the one on its right."""
    labels, count = connected_components(mask)
    if count == 2:
        first, second = (float(np.nonzero(labels == n)[1].mean()) for n in (1, 2))
        left = 1 if first <= second else 2
        return labels == left, labels == 3 - left
    nothing = np.zeros_like(mask)
    if not count:
        return nothing, nothing
    middle = float(np.nonzero(mask)[1].mean())
    return (mask, nothing) if middle < mask.shape[1] / 2 else (nothing, mask)
