"""Convert the stored values of a DICOM image to grey in 0…1 (PS3.3 C.7.6.3, C.7.5.1.1.2, C.11.1, C.11.2).

Every step is computed once for each stored value, not for each pixel: the result is a table of at most 65,536
entries, through which all pixels go in one pass.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset
from pydicom.pixels import convert_color_space

from lungsight.errors import UnreadableImageError
from lungsight.radiograph import Levels as ImageLevels
from lungsight.reading.dicom_header import Header
from lungsight.reading.dicom_samples import Samples, complete, samples_of
from lungsight.reading.dicom_stored_samples import stored_samples
from lungsight.reading.dicom_tables import DefectiveTableError, Levels, palette_of, table_of, white_of
from lungsight.reading.dicom_windows import windows_of
from lungsight.reading.grayscale import depth_in_use, grey_of, grey_of_deep, stretched
from lungsight.reading.levels import levels_of_numbers

Flags = NDArray[np.bool_]
_MONOCHROME = ("MONOCHROME1", "MONOCHROME2")


def grey_pixels(
    name: str, dataset: Dataset, header: Header, *, keep_levels: bool = False
) -> tuple[NDArray[np.float32], ImageLevels | None]:
    """The pixels as float32 [height, width] in 0…1, bright where the body is dense.

    Args:
        name: of the file, for messages.
        dataset: its elements; completed and corrected.
        header: the same, read with tolerance.
        keep_levels: give their levels, too, if the image is grey and has a window to be shown through.

    Raises:
        UnreadableImageError: they are not a single grey or colour image.
        Exception: whatever the decoders raise for damaged data.
    """
    complete(dataset, header)
    stored = samples_of(stored_samples(name, dataset, header), dataset, header)
    kind = str(dataset.PhotometricInterpretation)
    if stored.ndim == 3 and stored.shape[2] == 3:
        return _from_colour(stored, kind, int(dataset.BitsStored), header), None
    if stored.ndim != 2:
        raise UnreadableImageError(
            name, "its pixels are not a single grey or colour image", "export it as one X-ray image"
        )
    if kind == "PALETTE COLOR":
        return _from_palette(name, stored, header), None
    if kind not in _MONOCHROME:
        raise UnreadableImageError(
            name, f"its photometric interpretation '{kind}' is not known", "export it as MONOCHROME2"
        )
    return _from_grey(stored, dataset, header, keep_levels)


def _from_colour(samples: Samples, kind: str, bits: int, header: Header) -> NDArray[np.float32]:
    """From RGB or YBR of ``bits`` a sample."""
    is_ybr = kind.startswith("YBR_FULL")
    if bits > 8:
        depth, warnings = depth_in_use(samples, bits)
        header.warnings.extend(warnings)
        grey = grey_of_deep(_rgb_of(samples, depth) if is_ybr else samples, 2**depth - 1, depth)
    else:
        rgb = convert_color_space(samples, kind, "RGB") if is_ybr else samples
        grey = grey_of(Image.fromarray(np.ascontiguousarray(rgb, dtype=np.uint8)))
    header.warnings.extend(grey.warnings)
    return grey.pixels


def _rgb_of(ybr: Samples, bits: int) -> NDArray[np.float32]:
    """YBR to RGB by C.7.6.3.1.2; pydicom converts eight bits only."""
    middle = np.float32(2 ** (bits - 1))
    light, blue, red = ybr[..., 0].astype(np.float32), ybr[..., 1] - middle, ybr[..., 2] - middle
    green = light - (0.114 * 1.772 * blue + 0.299 * 1.402 * red) / 0.587
    return np.stack([light + 1.402 * red, green, light + 1.772 * blue], axis=-1, dtype=np.float32)


def _from_palette(name: str, stored: Samples, header: Header) -> NDArray[np.float32]:
    try:
        tables = palette_of(header)
    except DefectiveTableError as error:
        raise UnreadableImageError(name, f"its palette {error}", "export it as MONOCHROME2") from error
    levels, index, _ = _levels(stored)
    colours = np.stack([table.looked_up(levels) for table in tables], axis=-1).astype(np.float32)
    grey = grey_of_deep(colours[index], white_of(tables, header, "Palette"), tables[0].bits)
    header.warnings.extend(grey.warnings)
    return grey.pixels


def _from_grey(
    stored: Samples, dataset: Dataset, header: Header, keep_levels: bool
) -> tuple[NDArray[np.float32], ImageLevels | None]:
    levels, index, present = _levels(stored)
    counted = present & np.isfinite(levels) & ~_padding(levels, dataset, header)
    numbers = _modality(levels, header)
    shown = _voi(numbers, counted, dataset, header)
    if inverted := _is_inverted(header):
        np.subtract(1.0, shown, out=shown)
    shown[present & ~counted] = 0.0
    kept = None
    if keep_levels:
        windows = windows_of(header, numbers[counted])
        kept = levels_of_numbers(numbers, index, present, counted, shown, windows, inverted=inverted)
    return np.asarray(shown[index]), kept


def _levels(stored: Samples) -> tuple[Samples, NDArray[np.integer], Flags]:
    """The possible stored values, the index of each pixel among them, and which of them occur."""
    if stored.dtype.kind not in "iu" or stored.dtype.itemsize > 2:
        levels, index = np.unique(stored, return_inverse=True)
        return levels, index.reshape(stored.shape), np.ones(levels.shape, dtype=np.bool_)
    low, high = int(stored.min()), int(stored.max())
    index = stored.astype(np.int32)
    index -= low
    present = np.zeros(high - low + 1, dtype=np.bool_)
    present[index] = True
    return np.arange(low, high + 1), index, present


def _padding(levels: Samples, dataset: Dataset, header: Header) -> Flags:
    """Which stored values are padding around the image (C.7.5.1.1.2)."""
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
    """A padding value, wrapped as the pixels are: many writers get its sign wrong."""
    value = header.number(keyword)
    if value is None:
        return None
    bits = int(dataset.BitsAllocated)
    if dataset.PixelRepresentation == 1 and 2 ** (bits - 1) <= value < 2**bits:
        return value - (1 << bits)
    if dataset.PixelRepresentation == 0 and -(2 ** (bits - 1)) <= value < 0:
        return value + (1 << bits)
    return value


def _modality(levels: Samples, header: Header) -> Levels:
    values = levels.astype(np.float64)
    for item in header.items("ModalityLUTSequence")[:1]:
        try:
            return table_of(item).looked_up(values)
        except DefectiveTableError as error:
            header.warn("ModalityLUTSequence", str(error), "it is not applied")
    slope, intercept = header.number("RescaleSlope"), header.number("RescaleIntercept")
    if slope is None or intercept is None:
        return values
    if slope == 0:
        header.warn("RescaleSlope", "is zero", "it is not applied")
        return values
    return values * slope + intercept


def _voi(values: Levels, counted: Flags, dataset: Dataset, header: Header) -> NDArray[np.float32]:
    """To 0…1 by the first VOI table or window; without one, by the smallest and largest value."""
    shown, keyword = _by_table(values, header), "VOILUTSequence"
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
    """Whether values are eight plain bits, shown as they are: the same as from a PNG of the same image."""
    plain = dataset.get("BitsStored") == 8 and dataset.PixelRepresentation == 0
    return bool(plain and values[0] >= 0 and values[-1] <= 255 and values[-1] - values[0] == len(values) - 1)


def _by_table(values: Levels, header: Header) -> NDArray[np.float32] | None:
    """By the first table that can be applied."""
    for item in header.items("VOILUTSequence"):
        try:
            table = table_of(item)
        except DefectiveTableError as error:
            header.warn("VOILUTSequence", str(error), "it is not applied")
        else:
            return (table.looked_up(values) / white_of([table], header, "VOILUTSequence")).astype(np.float32)
    return None


def _by_window(values: Levels, header: Header) -> NDArray[np.float32] | None:
    """C.11.2.1.2 and C.11.2.1.3."""
    function = _voi_function(header)
    window = _first_window(header, 1 if function == "LINEAR" else np.nextafter(0, 1))
    if window is None:
        return None
    center, width = window
    with np.errstate(over="ignore"):
        if function == "SIGMOID":
            return (1 / (1 + np.exp(-4 * (values - center) / width))).astype(np.float32)
        if function == "LINEAR":
            center, width = center - 0.5, width - 1
        if width == 0:
            return (values > center).astype(np.float32)
        return np.clip((values - center) / width + 0.5, 0, 1).astype(np.float32)


def _voi_function(header: Header) -> str:
    function = (header.text("VOILUTFunction") or "LINEAR").upper()
    if function not in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
        header.warn("VOILUTFunction", f"'{function[:16]}' is not known", "LINEAR is assumed")
        return "LINEAR"
    return function


def _first_window(header: Header, narrowest: float) -> tuple[float, float] | None:
    """The first center and width that can be used."""
    windows = list(zip(header.finite_numbers("WindowCenter"), header.finite_numbers("WindowWidth"), strict=False))
    for number, (center, width) in enumerate(windows, 1):
        if center is not None and width is not None and width >= narrowest:
            if number > 1:
                header.warn("WindowCenter", "has no usable first window", f"window {number} is taken")
            return center, width
    for center, width in windows[:1]:
        what = "WindowWidth" if center is not None else "WindowCenter"
        why = f"{width:g} is too small" if center is not None and width is not None else "is not a number"
        header.warn(what, why, "the window is not applied")
    return None


def _is_inverted(header: Header) -> bool:
    """Whether the largest value is black.

    PresentationLUTShape, the last step of all, is believed before PhotometricInterpretation, as by dcmtk and dcm4che.
    In a DX image the two must agree (C.8.11.3.1.2): INVERSE goes with MONOCHROME1, and means one inversion, not two.
    """
    kind, shape = header.text("PhotometricInterpretation"), (header.text("PresentationLUTShape") or "").upper()
    inverted = kind == "MONOCHROME1"
    if shape not in ("IDENTITY", "INVERSE") or inverted == (shape == "INVERSE"):
        return inverted
    header.warn(
        "PresentationLUTShape", f"{shape} contradicts PhotometricInterpretation {kind}", f"{shape} is believed"
    )
    return not inverted
