"""The ways to alter an image that leave the disease as it is, each from barely visible to gross."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
from PIL import Image

from lungsight.alterations.image import Alteration, AuditedImage, Floats32

#: The key of the unaltered image.
AS_IT_IS = "stress: as it is"
_LETTERS = "LRPA"
#: The height of Hershey's capitals.
_UNITS = 21


@dataclass(frozen=True)
class Stress:
    """One way to alter an image.

    Attributes:
        name: as tables give it.
        words: how a strength is said. Lengths are shares of the image's shorter side, so that they mean the same at
            any resolution; greys run from 0 (black) to 1 (white).
        strengths: from barely visible to gross.
        ordinary: how many of the strengths, from the weakest, are met in ordinary practice.
        alter: from an exam and a strength to other pixels.
        is_mark: something is added that isn't the patient.
    """

    name: str
    words: str
    strengths: tuple[float, ...]
    ordinary: int
    alter: Callable[[AuditedImage, float], Floats32]
    is_mark: bool = False

    def key(self, strength: float) -> str:
        """Of the alteration, among the network's answers."""
        return f"stress: {self.name} {strength:g}"

    def level(self, strength: float) -> str:
        """The strength in words."""
        return self.words.format(strength)


def _noise(exam: AuditedImage, sd: float) -> Floats32:
    noise = np.random.default_rng(exam.seed).standard_normal(exam.pixels.shape, dtype=np.float32)
    return _clipped(exam.pixels + np.float32(sd) * noise)


def _blur(exam: AuditedImage, percent: float) -> Floats32:
    return _clipped(cv2.GaussianBlur(exam.pixels, (0, 0), max(_length(exam, percent), 0.1)))


def _contrast(exam: AuditedImage, percent: float) -> Floats32:
    mean = exam.pixels.mean()
    return _clipped(mean + np.float32(percent / 100) * (exam.pixels - mean))


def _darker(exam: AuditedImage, gamma: float) -> Floats32:
    return _clipped(exam.pixels ** np.float32(gamma))


def _brighter(exam: AuditedImage, gamma: float) -> Floats32:
    return _clipped(exam.pixels ** np.float32(1 / gamma))


def _rotation(exam: AuditedImage, degrees: float) -> Floats32:
    """About the centre, to the side that the image's lot says; what comes in from outside repeats the edge."""
    height, width = exam.pixels.shape
    turned = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees if exam.seed % 2 else -degrees, 1)
    return _clipped(cv2.warpAffine(exam.pixels, turned, (width, height), borderMode=cv2.BORDER_REPLICATE))


def _jpeg(exam: AuditedImage, quality: float) -> Floats32:
    file = io.BytesIO()
    Image.fromarray(np.round(exam.pixels * 255).astype(np.uint8)).save(file, "JPEG", quality=int(quality))
    with Image.open(file) as opened:
        return np.asarray(opened, dtype=np.float32) / np.float32(255)


def _resolution(exam: AuditedImage, side: float) -> Floats32:
    """Reduced until the shorter side has ``side`` pixels, then enlarged to its size again."""
    height, width = exam.pixels.shape
    scale = min(1.0, side / min(height, width))
    small = (max(1, round(width * scale)), max(1, round(height * scale)))
    reduced = cv2.resize(exam.pixels, small, interpolation=cv2.INTER_AREA)
    return _clipped(cv2.resize(reduced, (width, height), interpolation=cv2.INTER_LINEAR))


def _inversion(exam: AuditedImage, percent: float) -> Floats32:
    """Greys within the brightest ``percent`` of the scale are inverted, as in a solarised film; 100 is a negative."""
    return np.where(exam.pixels >= 1 - percent / 100, 1 - exam.pixels, exam.pixels).astype(np.float32)


def _letter(exam: AuditedImage, percent: float, *, above: bool) -> Floats32:
    """A white letter as a radiographer's lead marker leaves it; which letter, and left or right, by the lot."""
    height, width = exam.pixels.shape
    tall = _length(exam, percent)
    gap = max(1, round(0.02 * min(height, width)))
    letter = _LETTERS[exam.seed // 2 % len(_LETTERS)]
    x = gap if exam.seed % 2 else width - gap - width_of(letter, tall)
    return write(exam.pixels, letter, x, gap + round(tall) if above else height - gap, tall)


def write(pixels: Floats32, text: str, x: int, y: int, tall: float) -> Floats32:
    """Text in white, ``tall`` pixels high, with its lower left corner at ``x`` and ``y`` in pixels."""
    ink = np.zeros(pixels.shape, np.uint8)
    cv2.putText(ink, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, tall / _UNITS, 255, _stroke(tall), cv2.LINE_AA)
    return np.asarray(np.maximum(pixels, ink / np.float32(255)), dtype=np.float32)


def width_of(text: str, tall: float) -> int:
    """The width in pixels of text that :func:`write` draws."""
    (wide, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, tall / _UNITS, _stroke(tall))
    return int(wide)


def _stroke(tall: float) -> int:
    return max(1, round(tall / 7))


def _border(exam: AuditedImage, percent: float) -> Floats32:
    """A white frame, painted over the image's edge."""
    framed = exam.pixels.copy()
    thick = max(1, round(_length(exam, percent)))
    framed[:thick] = framed[-thick:] = 1
    framed[:, :thick] = framed[:, -thick:] = 1
    return framed


def _length(exam: AuditedImage, percent: float) -> float:
    return float(percent / 100 * min(exam.pixels.shape))


def _clipped(pixels: np.ndarray) -> Floats32:
    return np.asarray(np.clip(pixels, 0, 1), dtype=np.float32)


STRESSES = (
    Stress("noise", "standard deviation {:g} of white", (0.01, 0.02, 0.05, 0.1, 0.2), 2, _noise),
    Stress("blur", "standard deviation {:g}% of the shorter side", (0.2, 0.5, 1, 2, 4), 2, _blur),
    Stress("contrast", "{:g}% of it left", (90, 75, 50, 25, 10), 2, _contrast),
    Stress("darker", "gamma {:g}", (1.1, 1.25, 1.6, 2.5), 2, _darker),
    Stress("brighter", "gamma 1/{:g}", (1.1, 1.25, 1.6, 2.5), 2, _brighter),
    Stress("rotation", "{:g} degrees", (2, 5, 10, 20), 2, _rotation),
    Stress("JPEG compression", "quality {:g} of 95", (75, 50, 20, 10, 5), 2, _jpeg),
    Stress("resolution", "{:g} pixels along the shorter side", (192, 128, 64, 32), 1, _resolution),
    Stress("inversion", "of the brightest {:g}% of the grey scale", (5, 25, 50, 100), 0, _inversion),
    Stress("letter below", "{:g}% of the shorter side high", (2, 4, 8, 16), 3, partial(_letter, above=False), True),
    Stress("letter above", "{:g}% of the shorter side high", (2, 4, 8, 16), 3, partial(_letter, above=True), True),
    Stress("white border", "{:g}% of the shorter side wide", (0.5, 1, 2, 5), 3, _border, True),
)


def alterations(stresses: tuple[Stress, ...] = STRESSES) -> dict[str, Alteration]:
    """Every stress at every strength, and the image as it is."""
    altered = {s.key(x): at(s, x) for s in stresses for x in s.strengths}
    return {AS_IT_IS: as_it_is, **altered}


def at(stress: Stress, strength: float) -> Alteration:
    """The stress at one strength."""
    return lambda exam: stress.alter(exam, strength)


def as_it_is(exam: AuditedImage) -> Floats32:
    """The image, not altered."""
    return exam.pixels
