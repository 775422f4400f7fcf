"""Which radiographs are judged at all: frontal ones of the chest, with something on them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lungsight.radiograph import Radiograph
from lungsight.reading.header_words import vocabulary

#: Projection radiography in DICOM's terms. OT and SC are what scanned films and screenshots go by.
PROJECTION = frozenset({"CR", "DX", "DR", "RG", "RF", "XR", "OT", "SC"})

#: Below this many pixels no lung shows a lesion; icons and thumbnails are this small.
MIN_SIDE = 64

#: From the darkest to the brightest hundredth, of 0…1. The flattest real radiographs span more than 0.3.
MIN_SPAN = 0.04

#: Share of pixels that are black or white. Masks and drawings have nearly all; a radiograph with wide borders, half.
MAX_SATURATED = 0.9


def refusals(radiograph: Radiograph) -> tuple[str, ...]:
    """Why this is no image to judge, one sentence a reason; empty when it is admitted."""
    return tuple(header_refusals(radiograph)) + tuple(_by_pixels(radiograph))


def header_refusals(radiograph: Radiograph) -> Iterator[str]:
    """Those of the reasons that rest on what the header says."""
    if radiograph.modality is not None and radiograph.modality not in PROJECTION:
        yield f"The header says modality {radiograph.modality}, not a projection radiograph such as CR or DX."
    part = radiograph.body_part
    if part is not None and _is_not_chest(part):
        yield f"The header says body part {part}, not the chest."
    if radiograph.view is not None and not radiograph.view.is_frontal:
        stated = f"'{radiograph.view_stated}'" if radiograph.view_stated else radiograph.view
        yield f"The header says view {stated}, not a frontal one (PA or AP)."


def _is_not_chest(part: str) -> bool:
    """Whether it is known for another part of the body; nobody knows all words for a chest."""
    kinds = vocabulary("body_part").read(part).kinds
    return "not_chest" in kinds or ("other" in kinds and "chest" not in kinds)


def _by_pixels(radiograph: Radiograph) -> Iterator[str]:
    if min(radiograph.height, radiograph.width) < MIN_SIDE:
        size = f"{radiograph.width} x {radiograph.height}"
        yield f"The image has {size} pixels, fewer than {MIN_SIDE} on a side."
        return
    step = max(1, min(radiograph.pixels.shape) // 256)
    sample = radiograph.pixels[::step, ::step]
    darkest, brightest = np.percentile(sample, (1, 99))
    if brightest - darkest < MIN_SPAN:
        yield "The image is blank: nearly all of its pixels have the same brightness."
    elif np.mean((sample <= 1 / 255) | (sample >= 254 / 255)) > MAX_SATURATED:
        yield "The image is saturated: nearly all of its pixels are black or white."
