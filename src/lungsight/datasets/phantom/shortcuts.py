"""What has nothing to do with the disease: the ordinary side marker, and shortcuts planted on demand."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum

import cv2
import numpy as np

from lungsight.datasets.phantom.patient import Acquisition, Hospital, Label, Stream
from lungsight.datasets.phantom.projection import Plane
from lungsight.radiograph import View


class Shortcut(StrEnum):
    """What a model could look at instead of the lungs."""

    CORNER_LETTER = "corner_letter"
    BORDER = "border"
    BLUR = "blur"
    BODY_SIZE = "body_size"
    VIEW = "view"


#: Share of images that carry the shortcut, whatever its strength, where the labels are equally frequent.
PREVALENCE = 1 / len(Label)


def is_planted(label: Label, strength: float, *seeds: int) -> bool:
    """Return whether an image with ``label`` gets the shortcut.

    With probability ``strength`` the shortcut follows the label (it is there if and only if the label is
    ``covid19``); otherwise a coin decides, of the same frequency. With equally frequent labels ``strength`` is thus
    the correlation between the shortcut and the positive class.
    """
    rng = Stream.SHORTCUT.generator(*seeds)
    follows, coin = rng.random(2)
    return label is Label.COVID19 if follows < strength else bool(coin < PREVALENCE)


def view_of(shortcut: Shortcut | None) -> View | None:
    """Return the view of an image with ``shortcut``; None leaves it to the hospital's habits."""
    return View.AP if shortcut is Shortcut.VIEW else None


def before_exposure(shot: Acquisition, shortcut: Shortcut | None) -> Acquisition:
    """Apply shortcuts in how the image is taken: a blurred image, a patient who fills more of it."""
    if shortcut is Shortcut.BLUR:
        return replace(shot, blur=shot.blur + 0.14)
    if shortcut is Shortcut.BODY_SIZE:
        return replace(shot, field=shot.field * 0.84)
    return shot


def after_exposure(pixels: Plane, shortcut: Shortcut | None) -> Plane:
    """Draw shortcuts on the finished image: a letter in the lower corner, a white frame."""
    height, width = pixels.shape
    if shortcut is Shortcut.CORNER_LETTER:
        side = min(height, width)
        tall = 0.075 * side
        pixels[height - round(1.6 * tall) :, : round(1.6 * tall)] = 0.04
        _write(pixels, "P", (0.4 * tall, height - 0.3 * tall), tall, 1.0)
    if shortcut is Shortcut.BORDER:
        thick = max(1, round(0.022 * min(height, width)))
        pixels[:thick] = pixels[-thick:] = 0.95
        pixels[:, :thick] = pixels[:, -thick:] = 0.95
    return pixels


def side_marker(pixels: Plane, shot: Acquisition, hospital: Hospital) -> Plane:
    """Draw the radiographer's lead letter at the patient's shoulder, which says nothing of the disease."""
    height, width = pixels.shape
    rng = np.random.default_rng(shot.seed)
    side = min(height, width)
    tall = side * rng.uniform(0.035, 0.06)
    text = {"L": "LEFT", "R": "RIGHT"}[shot.marker_side] if hospital.marker == "word" else shot.marker_side
    x = rng.uniform(0.88, 0.95) * width if shot.marker_side == "L" else rng.uniform(0.03, 0.09) * width
    y = rng.uniform(0.07, 0.2) * height
    x = min(x, width - tall * 0.8 * len(text))
    if hospital.marker == "boxed":
        pad = tall * 0.35
        top, bottom = int(max(y - tall - pad, 0)), int(y + pad) + 1
        left, right = int(max(x - pad, 0)), int(x + tall * 0.75 + pad) + 1
        pixels[top:bottom, left:right] = np.maximum(pixels[top:bottom, left:right], 0.93)
        return _write(pixels, text, (x, y), tall, 0.1)
    return _write(pixels, text, (x, y), tall, float(rng.uniform(0.9, 1.0)))


def _write(pixels: Plane, text: str, corner: tuple[float, float], tall: float, grey: float) -> Plane:
    """Write ``text`` with its lower left at ``corner`` (x, y in pixels), ``tall`` pixels high, in place."""
    ink = np.zeros(pixels.shape, np.uint8)
    thickness = max(1, round(tall / 7))
    scale = tall / 21.0  # Hershey capitals are 21 units high
    origin = (round(corner[0]), round(corner[1]))
    cv2.putText(ink, text, origin, cv2.FONT_HERSHEY_SIMPLEX, scale, 255, thickness, cv2.LINE_AA)
    cover = ink.astype(np.float32) / 255
    pixels += cover * (np.float32(grey) - pixels)
    return pixels
