"""The levels of an image before a window cuts them off, and the windows to show it through: for viewers."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from lungsight.radiograph import Levels, Window

Numbers = NDArray[np.float64]
Flags = NDArray[np.bool_]
Floats = NDArray[np.float32]

_HIGHEST = 65534  # one less than 16 bits hold: 0 is kept for padding
_MOST_KNOTS = 4097
#: Two greys that differ less than this look the same.
_SAME = 1 / 128
#: The names of windows that no header names.
AS_STORED = "as stored"
_FULL, _AS_ANALYSED = "full range", "as analysed"


def levels_of_pixels(pixels: Floats, bits: int) -> Levels:
    """The levels of an image that states its black and white, float32 [height, width] in 0…1 from ``bits`` bits."""
    top = 2 ** min(bits, 16) - 1
    values = np.rint(pixels * np.float32(top)).astype(np.uint16)
    return Levels(values, (Window(AS_STORED, top / 2, top),))


def levels_of_numbers(
    numbers: Numbers,
    index: NDArray[np.integer],
    present: Flags,
    counted: Flags,
    shown: Floats,
    windows: Iterable[Window],
    *,
    inverted: bool,
) -> Levels:
    """The levels of a grey image whose pixels have a number each.

    They are the numbers themselves, counted from the lowest in their own steps; only numbers that need more than 16
    bits are rounded.

    Args:
        numbers: float64 [n]: those that may occur, after the modality LUT.
        index: of each pixel among them, [height, width].
        present: [n], which of them occur.
        counted: [n], which of these are no padding.
        shown: [n], the grey of each, as a model sees it.
        windows: for the numbers, by a header.
        inverted: whether the largest number is black.
    """
    used = numbers[counted]
    span = float(np.ptp(used)) if used.size else 0.0
    if not (span > 0 and np.isfinite(span)):
        return levels_of_pixels(np.asarray(shown[index]), 16)
    low, high, padded = float(used.min()), float(used.max()), bool((present & ~counted).any())
    per_level = -_step_of(used, span) if inverted else _step_of(used, span)
    at_zero = (high if inverted else low) - per_level * padded
    table = np.zeros(len(numbers), dtype=np.uint16)
    table[counted] = np.rint((used - at_zero) / per_level).astype(np.uint16)
    placed = [window.mapped(per_level, at_zero) for window in (*windows, Window(_FULL, (low + high) / 2, span))]
    first = _window_of(table[counted], shown[counted], placed)
    others = tuple(window for window in placed if window is not first)
    return Levels(np.asarray(table[index]), (first, *others), padded, at_zero, per_level)


def _step_of(numbers: Numbers, span: float) -> float:
    """The step between levels: that of the numbers if they have one, else the smallest that 16 bits allow."""
    gaps = np.diff(np.unique(numbers))
    step = float(gaps.min())
    if span / step <= _HIGHEST and np.allclose(gaps / step, np.rint(gaps / step), rtol=0, atol=1e-3):
        return step
    return span / _HIGHEST


def _window_of(levels: NDArray[np.uint16], shown: Floats, windows: Iterable[Window]) -> Window:
    """The window that gives these greys: by its own figures, or else drawn through them."""
    for window in windows:
        if np.abs(window.shown(levels) - shown).max() <= _SAME:
            return window
    order = np.argsort(levels)
    lowest, highest = float(levels.min()), float(levels.max())
    at = np.linspace(lowest, highest, knots(highest - lowest))
    curve = np.interp(at, levels[order], shown[order]).astype(np.float32)
    return Window(_AS_ANALYSED, (lowest + highest) / 2, highest - lowest, curve)


def knots(span: float) -> int:
    """The number of points of a curve over this many levels: one for each, up to some thousand."""
    return int(min(max(round(span) + 1, 2), _MOST_KNOTS))
