"""Parts of an image hidden: the lungs, all but the lungs, all but the border."""

from __future__ import annotations

import cv2
import numpy as np

from lungsight.alterations.image import AuditedImage, Floats32, Mask
from lungsight.components.preprocessing import Region

#: What surrounds the lungs and is hidden with them, as a share of the image's shorter side.
_MARGIN = 0.04
#: Width of the frame that ``only the border`` leaves, as a share of each side.
_FRAME = 0.1


def black_lungs(exam: AuditedImage) -> Floats32 | None:
    """The lungs and what is between them, with a margin, black."""
    return None if exam.lungs is None else np.where(hidden_region(exam.lungs), 0, exam.pixels).astype(np.float32)


def filled_lungs(exam: AuditedImage) -> Floats32 | None:
    """The same region filled with the blurred greys around it.

    No sharp outline is left, and nothing of what was inside.
    """
    if exam.lungs is None:
        return None
    hidden = hidden_region(exam.lungs)
    seen = (~hidden).astype(np.float32)
    sigma = max(exam.pixels.shape) / 10
    weight = cv2.GaussianBlur(seen, (0, 0), sigma)
    around = cv2.GaussianBlur(exam.pixels * seen, (0, 0), sigma) / np.maximum(weight, 1e-6)
    return np.where(hidden, np.clip(around, 0, 1), exam.pixels).astype(np.float32)


def only_border(exam: AuditedImage) -> Floats32:
    """A frame of a tenth of each side, without what of the lungs reaches into it; the rest is black.

    For a network that sees only the box around the lungs, the frame of the box: it would see nothing of the image's.
    """
    height, width = exam.pixels.shape
    seen = exam.region or Region(0, 0, width, height)
    y, x = (max(1, round(_FRAME * side)) for side in (seen.bottom - seen.top, seen.right - seen.left))
    hidden = np.zeros(exam.pixels.shape, dtype=bool)
    hidden[seen.top + y : seen.bottom - y, seen.left + x : seen.right - x] = True
    if exam.lungs is not None:
        hidden |= hidden_region(exam.lungs)
    return np.where(hidden, 0, exam.pixels).astype(np.float32)


def only_lungs(exam: AuditedImage) -> Floats32 | None:
    """Everything but the lung fields black."""
    return None if exam.lungs is None else np.where(exam.lungs, exam.pixels, 0).astype(np.float32)


def hidden_region(lungs: Mask) -> Mask:
    """The convex hull of both lungs, which holds what is between them, with a margin: bool [height, width]."""
    edges, _ = cv2.findContours(lungs.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    hull = np.zeros(lungs.shape, dtype=np.uint8)
    if edges:
        cv2.fillConvexPoly(hull, cv2.convexHull(np.concatenate(edges)), 1)
    radius = max(1, round(_MARGIN * min(lungs.shape)))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    return np.asarray(cv2.dilate(hull, disc), dtype=bool)
