"""Altered images: what an audit is given of an image."""

from __future__ import annotations

from lungsight.alterations.image import AuditedImage, at_twice_the_input, seed_of
from lungsight.evaluation.testset.lung_masks import LungMask, read_mask
from lungsight.inference import CheckedImage, Model
from lungsight.package import Preprocessing
from lungsight.radiograph import Radiograph


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
    small = at_twice_the_input(checked.radiograph.pixels, preprocessing)
    height, width = small.shape
    lungs = read_mask(lung_mask, width, height, turned=turned) if lung_mask else None
    if lungs is None and found is not None and found.plausible:
        lungs = found.on(height, width)
    crop = found.crop if found else None
    region = None if crop is None else preprocessing.region(height, width, crop)
    return AuditedImage(small, lungs, seed_of(checked.radiograph.sha256), region)


def exam_of(
    model: Model, radiograph: Radiograph, checked: CheckedImage, lung_mask: str, found: LungMask | None
) -> AuditedImage:
    """:func:`audited_image` for a model; ``radiograph`` is the image as the file has it."""
    turned = (checked.radiograph.turned - radiograph.turned) % 360
    return audited_image(checked, lung_mask, found, model.preprocessing, turned)
