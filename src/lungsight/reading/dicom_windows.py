"""The windows and VOI tables that a DICOM header offers for showing its image (PS3.3 C.11.2)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from lungsight.errors import printable
from lungsight.radiograph import Window
from lungsight.reading.dicom_header import Header
from lungsight.reading.dicom_tables import DefectiveTableError, table_of, white_of
from lungsight.reading.levels import AS_STORED, knots

Numbers = NDArray[np.float64]

_KNOTS = 1025  # of a sigmoid
_EXACT = ("LINEAR_EXACT", "SIGMOID")


def windows_of(header: Header, numbers: Numbers) -> Iterator[Window]:
    """The tables, then the windows of a header that can be used, for the ``numbers`` that may occur.

    What is wrong with the others is said where the image is made of the first.
    """
    quiet = Header(header.dataset)
    finite = numbers[np.isfinite(numbers)]
    if finite.size and np.ptp(finite) > 0:
        yield from _tables(quiet, float(finite.min()), float(finite.max()))
    if quiet.number("BitsStored") == 8 and quiet.value("WindowCenter") is None:
        yield Window(AS_STORED, 127.5, 255)
    function = (quiet.text("VOILUTFunction") or "LINEAR").upper()
    centers, widths = quiet.finite_numbers("WindowCenter"), quiet.finite_numbers("WindowWidth")
    names = _names(quiet)
    for number, (center, width) in enumerate(zip(centers, widths, strict=False)):
        if center is None or width is None or width <= 0 or (function not in _EXACT and width < 1):
            continue
        name = names[number] if number < len(names) else ""
        yield _window(name or f"window {number + 1}", center, width, function)


def _window(name: str, center: float, width: float, function: str) -> Window:
    """C.11.2.1.2 and C.11.2.1.3; a sigmoid is drawn over three times its width, where it is 0.2 % from its ends."""
    if function == "SIGMOID":
        at = np.linspace(-1.5, 1.5, _KNOTS)
        return Window(name, center, 3 * width, (1 / (1 + np.exp(-4 * at))).astype(np.float32))
    if function == "LINEAR":
        center, width = center - 0.5, width - 1
    return Window(name, center, max(width, 1e-3))


def _tables(header: Header, low: float, high: float) -> Iterator[Window]:
    at = np.linspace(low, high, knots(high - low))
    for number, item in enumerate(header.items("VOILUTSequence"), 1):
        try:
            table = table_of(item)
        except DefectiveTableError:
            continue
        curve = (table.looked_up(at) / white_of([table], header, "VOILUTSequence")).astype(np.float32)
        yield Window(item.text("LUTExplanation") or f"table {number}", (low + high) / 2, high - low, curve)


def _names(header: Header) -> tuple[str, ...]:
    value = header.value("WindowCenterWidthExplanation")
    if value is None:
        return ()
    return tuple(printable(str(one).strip()) for one in ((value,) if isinstance(value, str) else value))
