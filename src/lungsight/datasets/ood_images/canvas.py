"""What several families are drawn with: words, smooth fields, blending."""

from __future__ import annotations

import cv2
import numpy as np

from lungsight.datasets.ood_images.kinds import Floats

SIDE = 256
_FONTS = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_COMPLEX, cv2.FONT_HERSHEY_TRIPLEX)
_LETTERS = np.array(list("etaoinshrdlcumwfgypbvkETAOINSR0123456789"))


def field(rng: np.random.Generator, scale: float, shape: tuple[int, int] = (SIDE, SIDE)) -> Floats:
    """Return a smooth random field of mean 0 and standard deviation 1; ``scale`` is its grain in pixels."""
    coarse = max(1.0, scale / 2)  # a smooth field needs few points: what lies between them is interpolated
    height, width = (max(2, round(n / coarse)) for n in shape)
    noise = rng.standard_normal((height, width), dtype=np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), max(scale / coarse, 0.05))
    drawn = cv2.resize(smooth, shape[::-1], interpolation=cv2.INTER_CUBIC) if coarse > 1 else smooth
    return np.asarray((drawn - drawn.mean()) / (drawn.std() + 1e-9), dtype=np.float32)


def clouds(rng: np.random.Generator, slope: float, shape: tuple[int, int] = (SIDE, SIDE)) -> Floats:
    """Return noise, 0…1, whose amplitude falls with frequency to the power ``slope``; natural scenes have about 1."""
    spectrum = np.fft.rfft2(rng.standard_normal(shape))
    frequency = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None])
    frequency[0, 0] = 1.0
    drawn = np.fft.irfft2(spectrum / frequency**slope, shape)
    return stretched(drawn)


def stretched(values: np.ndarray) -> Floats:
    """Return ``values`` with their 1st and 99th percentile at 0 and 1."""
    low, high = np.percentile(values, (1, 99))
    return np.asarray(np.clip((values - low) / max(float(high - low), 1e-6), 0, 1), dtype=np.float32)


def word(rng: np.random.Generator, longest: int = 9) -> str:
    """Return random letters and digits."""
    return "".join(rng.choice(_LETTERS, rng.integers(1, longest + 1)))


def write(
    image: Floats, text: str, place: tuple[int, int], ink: float, size: float, rng: np.random.Generator, bold: int = 1
) -> None:
    """Write ``text`` onto ``image``, its lower left corner at ``place`` (column, row)."""
    letters = np.zeros(image.shape, np.uint8)  # OpenCV writes on 8 bits only
    cv2.putText(letters, text, place, int(rng.choice(_FONTS)), size, 255, bold, cv2.LINE_AA)
    _print(image, letters, ink)


def write_lines(
    image: Floats, box: tuple[int, int, int, int], ink: float, size: float, rng: np.random.Generator
) -> None:
    """Fill ``box`` (left, top, right, bottom) with lines of words."""
    left, top, right, bottom = box
    step = max(4, int(30 * size * rng.uniform(0.8, 1.4)))
    font = int(rng.choice(_FONTS))
    letters = np.zeros(image.shape, np.uint8)
    for row in range(top + step, bottom, step):
        if rng.random() < 0.08:
            continue  # the end of a paragraph
        end = right if rng.random() < 0.8 else int(rng.uniform(left, right))
        words = (word(rng) for _ in range(1 + int((end - left) / (70 * size))))
        cv2.putText(letters, " ".join(words), (left, row), font, size, 255, 1, cv2.LINE_AA)
        letters[row - step : row + step, end:] = 0
    letters[:, right:] = 0
    _print(image, letters, ink)


def _print(image: Floats, letters: np.ndarray, ink: float) -> None:
    cover = letters.astype(np.float32) / 255
    image += cover * (np.float32(ink) - image)


def squared(image: Floats) -> Floats:
    """Return a copy of ``image``, squashed into the canvas's square."""
    return np.array(cv2.resize(image, (SIDE, SIDE)), dtype=np.float32)


def paste(canvas: Floats, picture: Floats, box: tuple[int, int, int, int]) -> None:
    """Put ``picture`` into ``box`` (left, top, right, bottom), squashed to fit."""
    left, top, right, bottom = box
    canvas[top:bottom, left:right] = cv2.resize(picture, (right - left, bottom - top), interpolation=cv2.INTER_AREA)
