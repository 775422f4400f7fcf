"""The pixels of a DICOM image as they are meant to be seen, in 0…1 (PS3.3 C.7.6.3, C.7.5.1.1.2, C.11.1, C.11.2).

Every step is worked out once for each value that the file stores, not for each pixel: a table of at most 65,536
entries, through which the pixels then go in one pass.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi

from lungsight.faults import UnreadableImage
from lungsight.reading.dicom_decoding import stored_samples
from lungsight.reading.dicom_header import Header
from lungsight.reading.grey import grey_of, stretched

Samples = NDArray[Any]
Levels = NDArray[np.float64]
Flags = NDArray[np.bool_]
_MONOCHROME = ("MONOCHROME1", "MONOCHROME2")


def grey_pixels(name: str, dataset: Dataset, header: Header) -> NDArray[np.float32]:
    """float32 [height, width] in 0…1, bright where the body is dense. Raises UnreadableImage, and whatever the
    decoders raise for damaged data."""
    stored = stored_samples(name, dataset, header)
    if stored.ndim == 3 and stored.shape[2] == 3:
        return _from_colour(stored, int(dataset.BitsStored), header)
    if stored.ndim != 2:
        raise UnreadableImage(name, "its pixels are no single grey or colour image", "export it as one X-ray image")
    kind = header.text("PhotometricInterpretation")
    if kind == "PALETTE COLOR":
        coloured = apply_color_lut(stored, dataset)
        return _from_colour(coloured[..., :3], 8 * coloured.dtype.itemsize, header)
    if kind not in _MONOCHROME:
        raise UnreadableImage(
            name, f"its photometric interpretation '{kind}' is not known", "export it as MONOCHROME2"
        )
    return _from_grey(stored, dataset, header)


def _from_colour(samples: NDArray[np.generic], bits: int, header: Header) -> NDArray[np.float32]:
    if samples.dtype != np.uint8:
        samples = np.clip(samples.astype(np.float32) * (255 / (2**bits - 1)) + 0.5, 0, 255).astype(np.uint8)
    grey = grey_of(Image.fromarray(np.ascontiguousarray(samples)))
    header.warnings.extend(grey.warnings)
    return grey.pixels


def _from_grey(stored: Samples, dataset: Dataset, header: Header) -> NDArray[np.float32]:
    levels, index, present = _levels(stored)
    counted = present & np.isfinite(levels) & ~_padding(levels, dataset, header)
    shown = _voi(_modality(levels, dataset, header), counted, dataset, header)
    if _is_inverted(header):
        np.subtract(1.0, shown, out=shown)
    shown[present & ~counted] = 0.0
    return shown[index]


def _levels(stored: Samples) -> tuple[Samples, NDArray[np.integer], Flags]:
    """The values that may be stored, each pixel's place among them, and which of them are."""
    if stored.dtype.kind not in "iu" or stored.dtype.itemsize > 2:
        levels, places = np.unique(stored, return_inverse=True)
        return levels, places.reshape(stored.shape), np.ones(levels.shape, dtype=np.bool_)
    low, high = int(stored.min()), int(stored.max())
    index = stored.astype(np.int32)
    index -= low
    present = np.zeros(high - low + 1, dtype=np.bool_)
    present[index] = True
    return np.arange(low, high + 1), index, present


def _padding(levels: Samples, dataset: Dataset, header: Header) -> Flags:
    """Which stored values stand for no image at all (C.7.5.1.1.2)."""
    value = _stored_number(header, "PixelPaddingValue", dataset)
    if value is None:
        return np.zeros(levels.shape, dtype=np.bool_)
    limit = _stored_number(header, "PixelPaddingRangeLimit", dataset)
    low, high = sorted((value, value if limit is None else limit))
    padding = (levels >= low) & (levels <= high)
    if padding.all() and len(levels) > 1:
        header.warn("PixelPaddingValue", "covers the whole image", "it is not applied")
        return np.zeros(levels.shape, dtype=np.bool_)
    return padding


def _stored_number(header: Header, keyword: str, dataset: Dataset) -> float | None:
    """A padding value; many writers get its sign wrong, so it is wrapped as the pixels are."""
    value = header.number(keyword)
    if value is None:
        return None
    bits = int(dataset.BitsAllocated)
    if dataset.PixelRepresentation == 1 and 2 ** (bits - 1) <= value < 2**bits:
        return value - 2**bits
    if dataset.PixelRepresentation == 0 and -(2 ** (bits - 1)) <= value < 0:
        return value + 2**bits
    return value


def _modality(levels: Samples, dataset: Dataset, header: Header) -> Levels:
    if header.value("ModalityLUTSequence") is None:
        slope, intercept = header.number("RescaleSlope"), header.number("RescaleIntercept")
        if slope is None or intercept is None:
            return levels.astype(np.float64)
        if slope == 0:
            header.warn("RescaleSlope", "is zero", "it is not applied")
            return levels.astype(np.float64)
        return levels.astype(np.float64) * slope + intercept
    try:
        return apply_modality_lut(levels, dataset).astype(np.float64)
    except Exception:  # a defective table raises whatever pydicom and numpy meet in it
        header.warn("ModalityLUTSequence", "is defective", "it is not applied")
        return levels.astype(np.float64)


def _voi(values: Levels, counted: Flags, dataset: Dataset, header: Header) -> NDArray[np.float32]:
    """To 0…1 by the first VOI table or window; where there is none, by the smallest and largest value."""
    shown, keyword = _by_table(values, dataset, header), "VOILUTSequence"
    if shown is None:
        shown, keyword = _by_window(values, header), "WindowCenter"
    if not counted.any() or np.ptp(values[counted]) == 0:
        header.warnings.append("Every pixel has the same value.")
    elif shown is not None and np.ptp(shown[counted]) == 0:
        header.warn(keyword, "shows nothing of the image", "its smallest and largest values are taken")
        shown = None
    if shown is not None:
        return shown
    return (values / 255).astype(np.float32) if _is_ready_to_show(values, dataset) else stretched(values, counted)


def _is_ready_to_show(values: Levels, dataset: Dataset) -> bool:
    """Eight plain bits are a picture already: the same image reads the same from a PNG and from a DICOM file."""
    plain = dataset.BitsStored == 8 and dataset.PixelRepresentation == 0
    return bool(plain and values[0] >= 0 and values[-1] <= 255 and values[-1] - values[0] == len(values) - 1)


def _by_table(values: Levels, dataset: Dataset, header: Header) -> NDArray[np.float32] | None:
    tables = header.items("VOILUTSequence")
    if not tables:
        return None
    try:
        whole = np.clip(np.rint(values), np.iinfo(np.int32).min, np.iinfo(np.int32).max).astype(np.int32)
        shown = apply_voi(whole, dataset, index=0).astype(np.float64)
        largest = max(2 ** int(tables[0].numbers("LUTDescriptor")[2]) - 1, float(shown.max()))
    except Exception:  # as for the modality table
        header.warn("VOILUTSequence", "is defective", "it is not applied")
        return None
    return (shown / largest).astype(np.float32)


def _by_window(values: Levels, header: Header) -> NDArray[np.float32] | None:
    """C.11.2.1.2 and C.11.2.1.3."""
    center, width = header.number("WindowCenter"), header.number("WindowWidth")
    if center is None or width is None:
        return None
    function = (header.text("VOILUTFunction") or "LINEAR").upper()
    if function not in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
        header.warn("VOILUTFunction", f"'{function[:16]}' is not known", "LINEAR is assumed")
        function = "LINEAR"
    if width < 1 if function == "LINEAR" else width <= 0:
        header.warn("WindowWidth", f"{width:g} is too small", "the window is not applied")
        return None
    with np.errstate(over="ignore"):
        if function == "SIGMOID":
            return (1 / (1 + np.exp(-4 * (values - center) / width))).astype(np.float32)
        if function == "LINEAR":
            center, width = center - 0.5, width - 1
        if width == 0:
            return (values > center).astype(np.float32)
        return np.clip((values - center) / width + 0.5, 0, 1).astype(np.float32)


def _is_inverted(header: Header) -> bool:
    """In a DX image MONOCHROME1 and the shape INVERSE say the same thing (C.8.11.3.1.2): one inversion, not two."""
    shape = (header.text("PresentationLUTShape") or "").upper()
    return header.text("PhotometricInterpretation") == "MONOCHROME1" or shape == "INVERSE"
