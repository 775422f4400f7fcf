"""Convert colour, palettes and transparency to grey."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops

_COLOURED_SPREAD = 24
"""Of 255, between the channels of a pixel: more than JPEG's chroma changes grey."""
_COLOURED_SHARE = 0.001
_GREY_MODES = ("1", "L")
_TRANSPARENCY_WARNING = "Parts of the image are transparent: they are taken as black."
_COLOUR_WARNING = "The image holds colour: only its brightness is used."
_LUMINANCE = np.array((0.299, 0.587, 0.114), dtype=np.float32)
_DETECTOR_DEPTHS = (8, 10, 12, 14)


@dataclass(frozen=True, slots=True, eq=False)
class Grey:
    """Pixels, float32 [height, width] in 0…1, the stored bits per sample, and what was assumed."""

    pixels: NDArray[np.float32]
    bit_depth: int
    warnings: tuple[str, ...] = ()


def grey_of(image: Image.Image) -> Grey:
    """The luminance (ITU-R BT.601) of an image of at most 8 bits a channel, transparent parts on black."""
    warnings = []
    if image.mode == "1":
        return Grey(np.asarray(image, dtype=np.float32), 1)
    if image.has_transparency_data:
        image, changed = _on_black(image.convert("RGBA"))
        if changed:
            warnings.append(_TRANSPARENCY_WARNING)
    if image.mode not in _GREY_MODES:
        image = image.convert("RGB")
        if _is_coloured(image):
            warnings.append(_COLOUR_WARNING)
        image = image.convert("L")
    pixels = np.divide(np.asarray(image), np.float32(255), dtype=np.float32)
    return Grey(pixels, 8, tuple(warnings))


def grey_of_deep(rgb: NDArray[Any], white: float, bits: int) -> Grey:
    """The luminance of samples [height, width, 3] in 0…``white``, of ``bits`` a channel, at full depth."""
    pixels = np.clip(rgb.astype(np.float32) @ _LUMINANCE / np.float32(white), 0, 1)
    spread = np.max(rgb, axis=2).astype(np.float32) - np.min(rgb, axis=2)
    coloured = np.count_nonzero(spread * (255 / white) >= _COLOURED_SPREAD) > _COLOURED_SHARE * pixels.size
    return Grey(pixels, bits, (_COLOUR_WARNING,) if coloured else ())


def depth_in_use(samples: NDArray[Any], stored: int = 16) -> tuple[int, tuple[str, ...]]:
    """The number of ``stored`` bits that unsigned ``samples`` use, with a warning if it is smaller.

    Detectors deliver 10 to 14 bits, which many programs store in 16 without scaling them.
    """
    used = int(samples.max()).bit_length()
    depth = next((depth for depth in _DETECTOR_DEPTHS if used <= depth < stored), stored)
    if used == 0 or depth == stored:
        return stored, ()
    return depth, (f"Only {depth} of {stored} bits are used: {2**depth - 1} is taken as white.",)


def grey_of_samples(samples: NDArray[Any], bits: int, *, straight: bool = True) -> Grey:
    """The luminance of samples of any type.

    Unsigned samples of at most 16 ``bits`` are black at 0 and white at the largest value of these bits. For others,
    black and white are their smallest and largest values.

    Args:
        samples: [height, width] or [height, width, n]; with n of two or four, the last is the opacity.
        bits: stored bits per sample.
        straight: whether the samples are not yet multiplied by the opacity.
    """
    warnings: tuple[str, ...] = ()
    if samples.ndim == 3 and samples.shape[2] in (2, 4):
        samples, alpha = samples[..., :-1], samples[..., -1:]
        white = np.iinfo(alpha.dtype).max if alpha.dtype.kind in "iu" else 1
        if alpha.min() < white:
            warnings = (_TRANSPARENCY_WARNING,)
            if straight:
                samples = (samples * (alpha / np.float32(white))).astype(samples.dtype)
    if samples.ndim == 3 and samples.shape[2] == 1:
        samples = samples[..., 0]
    if samples.dtype.kind != "u" or bits > 16:
        grey = _without_scale(samples if samples.ndim == 2 else samples @ _LUMINANCE, bits)
        return replace(grey, warnings=(*warnings, *grey.warnings))
    depth, used = depth_in_use(samples) if bits == 16 else (bits, ())
    if samples.ndim == 3:
        grey = grey_of_deep(samples, 2**depth - 1, depth)
    else:
        grey = Grey(np.divide(samples, np.float32(2**depth - 1), dtype=np.float32), depth)
    return replace(grey, warnings=(*warnings, *used, *grey.warnings))


def _without_scale(samples: NDArray[Any], bits: int) -> Grey:
    """Grey from numbers without a stated black and white."""
    numbers = samples.astype(np.float64)
    warnings = ["The file states no black and white: its smallest and largest values are taken."]
    finite = np.isfinite(numbers)
    if not finite.all():
        warnings.append("Values that aren't numbers are taken as black.")
    return Grey(stretched(numbers, finite), bits, tuple(warnings))


def stretched(values: NDArray[np.float64], counted: NDArray[np.bool_]) -> NDArray[np.float32]:
    """``values`` scaled to float32 0…1 by the smallest and largest of the ``counted`` ones; the others become 0."""
    if not counted.any():
        return np.zeros(values.shape, dtype=np.float32)
    low, high = (float(f(values, where=counted, initial=i)) for f, i in ((np.min, np.inf), (np.max, -np.inf)))
    span = high - low
    if not span > 0:
        return np.zeros(values.shape, dtype=np.float32)
    if not np.isfinite(span):  # values at both ends of the floating-point range
        return stretched(values / 4, counted)
    scaled = np.where(counted, values, low)
    scaled -= low
    scaled /= span
    return scaled.astype(np.float32)


def _on_black(image: Image.Image) -> tuple[Image.Image, bool]:
    changed = image.getchannel("A").getextrema()[0] != 255
    black = Image.new("RGBA", image.size, (0, 0, 0, 255))
    return Image.alpha_composite(black, image).convert("RGB"), changed


def _is_coloured(image: Image.Image) -> bool:
    red, green, blue = image.split()
    brightest = ImageChops.lighter(ImageChops.lighter(red, green), blue)
    darkest = ImageChops.darker(ImageChops.darker(red, green), blue)
    spread = ImageChops.subtract(brightest, darkest).histogram()
    return sum(spread[_COLOURED_SPREAD:]) > _COLOURED_SHARE * image.width * image.height
