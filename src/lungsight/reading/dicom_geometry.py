"""Make the pixels of a DICOM image square, and a frontal image upright with the patient's left on the right."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from PIL import Image

from lungsight.radiograph import Radiograph
from lungsight.reading.dicom_header import Header, two_positive
from lungsight.reading.limits import check_size

_OPPOSITE = {"L": "R", "R": "L", "F": "H", "H": "F", "A": "P", "P": "A"}
_UPRIGHT = ("L", "F")
#: Pixels that differ less than this from squares count as squares; more than fourfold is a mistake of the writer.
_SQUARE, _MOST = 1.01, 4.0


def put_right(radiograph: Radiograph, header: Header) -> Radiograph:
    """The radiograph with square pixels and, if it is frontal, upright; each change is a warning of ``header``.

    Raises UnreadableImageError if it would have too many pixels.
    """
    return _upright(_square(radiograph, header), header)


def _square(radiograph: Radiograph, header: Header) -> Radiograph:
    """The coarser side resampled to the finer one, so that no detail is lost."""
    stated, spacing = two_positive(header, "PixelAspectRatio"), radiograph.pixel_spacing
    ratio = (spacing[0] / spacing[1]) if spacing else (stated[0] / stated[1]) if stated else 1.0
    if spacing and stated and max(ratio, stated[0] / stated[1]) > _SQUARE * min(ratio, stated[0] / stated[1]):
        why = rf"'{stated[0]:g}\{stated[1]:g}' is not the ratio of the pixel spacing"
        header.warn("PixelAspectRatio", why, "the spacing is believed")
    if max(ratio, 1 / ratio) <= _SQUARE:
        return radiograph
    shape = f"pixels that are {max(ratio, 1 / ratio):.3g} times as {'high as wide' if ratio > 1 else 'wide as high'}"
    if max(ratio, 1 / ratio) > _MOST:
        header.warnings.append(f"The header states {shape}, which can't be: they are taken as square.")
        return radiograph
    height, width = round(radiograph.height * max(ratio, 1)), round(radiograph.width * max(1 / ratio, 1))
    check_size(radiograph.file, height, width)
    stretched = Image.fromarray(radiograph.pixels).resize((width, height), Image.Resampling.BICUBIC)
    header.warnings.append(f"The header states {shape}: the image was stretched to {width} × {height} square ones.")
    pixels = np.clip(np.asarray(stretched), 0, 1)
    levels = None if radiograph.levels is None else radiograph.levels.resized(width, height)
    square = (min(spacing), min(spacing)) if spacing else None
    return replace(radiograph, pixels=pixels, levels=levels, pixel_spacing=square)


def _upright(radiograph: Radiograph, header: Header) -> Radiograph:
    value = header.value("PatientOrientation")
    if value is None or (radiograph.view is not None and not radiograph.view.is_frontal):
        return radiograph
    directions = (value,) if isinstance(value, str) or not isinstance(value, Iterable) else tuple(map(str, value))
    quoted = "'" + "\\".join(map(str, directions)) + "'"
    correction = _correction(tuple(str(direction).strip().upper() for direction in directions))
    if correction is None:
        then = f"the view {radiograph.view} is believed instead" if radiograph.view else "it is left out"
        header.warn("PatientOrientation", f"{quoted} is not that of a frontal image", then)
        return radiograph
    mirrored, turned = correction
    if not (mirrored or turned):
        return radiograph
    found = " and ".join(["mirrored"] * mirrored + ["turned"] * bool(turned))
    done = " and ".join(["mirrored"] * mirrored + [f"turned clockwise by {turned} degrees"] * bool(turned))
    header.warn("PatientOrientation", f"{quoted} says that the image is {found}", f"it was {done}")
    _warn_of_contradiction(header, mirrored, turned)
    return radiograph.placed(mirrored=mirrored, turned=turned)


def _correction(directions: tuple[str, ...]) -> tuple[bool, int] | None:
    """Whether to mirror a frontal image with these directions of rows and columns, and by how much to turn it then.

    None if these aren't the directions of a frontal image. Letters after the first refine it: LH counts as L.
    """
    if len(directions) != 2 or not all(one and set(one) <= set(_OPPOSITE) for one in directions):
        return None
    row, column = directions[0][0], directions[1][0]
    for mirrored in (False, True):
        right, down = _OPPOSITE[row] if mirrored else row, column
        for turned in (0, 90, 180, 270):
            if (right, down) == _UPRIGHT:
                return mirrored, turned
            right, down = _OPPOSITE[down], right
    return None


def _warn_of_contradiction(header: Header, mirrored: bool, turned: int) -> None:
    """Some systems turn the pixels, note it, and leave the orientation unchanged."""
    flip = (header.text("FieldOfViewHorizontalFlip") or "").upper()
    rotation = header.number("FieldOfViewRotation") or 0
    if mirrored and flip == "YES":
        header.warn("FieldOfViewHorizontalFlip", "says that it had been mirrored", "PatientOrientation is believed")
    if turned and rotation % 360:
        why = f"says that it had been turned by {rotation:g} degrees"
        header.warn("FieldOfViewRotation", why, "PatientOrientation is believed")
