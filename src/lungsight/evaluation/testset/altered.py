"""Altered images: what an audit is given of an image, and what it may do to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from lungsight.components.preprocessing import Region
from lungsight.evaluation.testset.lung_masks import LungMask, read_mask
from lungsight.inference import CheckedImage, Model
from lungsight.package import Preprocessing
from lungsight.radiograph import Radiograph
from lungsight.statistics.outcomes import Floats32, Mask


@dataclass(frozen=True, slots=True, eq=False)
class AuditedImage:
    """One image to alter.

    Attributes:
        pixels: float32 [height, width] in 0…1, at most twice as large as what the network sees.
        lungs: bool [height, width], the lungs: of the manifest's mask or, if it names none, as a network found them;
            None if there are neither.
        seed: the image's own, so that what is random is the same at every call.
        region: the rectangle that the network sees of it; None for the whole.
    """

    pixels: Floats32
    lungs: Mask | None
    seed: int
    region: Region | None = None


#: Gives other pixels, float32 [height, width] in 0…1, or None if this image can't be altered so.
Alteration = Callable[[AuditedImage], Floats32 | None]


def audited_image(
    checked: CheckedImage, lung_mask: str, found: LungMask | None, preprocessing: Preprocessing, turned: int = 0
) -> AuditedImage:
    """The image as it is predicted, its longer side reduced to twice the network's.

    Args:
        checked: the image, upright.
        lung_mask: the manifest's file; one that can't be read counts as none.
        found: the lungs that a network found; they replace a mask if they are two plausible ones.
        preprocessing: of the network.
        turned: degrees by which the image was turned clockwise to be upright; the mask is turned with it.
    """
    pixels = checked.radiograph.pixels
    height, width = pixels.shape
    scale = min(1.0, 2 * preprocessing.image_size / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = pixels if scale == 1 else cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    lungs = read_mask(lung_mask, *size, turned=turned) if lung_mask else None
    if lungs is None and found is not None and found.plausible:
        lungs = found.on(size[1], size[0])
    crop = found.crop if found else None
    region = None if crop is None else preprocessing.region(size[1], size[0], crop)
    seed = int(checked.radiograph.sha256[:8], 16)
    return AuditedImage(np.asarray(small, dtype=np.float32), lungs, seed, region)


def exam_of(
    model: Model, radiograph: Radiograph, checked: CheckedImage, lung_mask: str, found: LungMask | None
) -> AuditedImage:
    """:func:`audited_image` for a model; ``radiograph`` is the image as the file has it."""
    turned = (checked.radiograph.turned - radiograph.turned) % 360
    return audited_image(checked, lung_mask, found, model.preprocessing, turned)
