"""Extract the samples of a DICOM image from their words (PS3.5 8.1.1).

What the header leaves out is completed, and what the pixels contradict is corrected.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import RLELossless

from lungsight.reading.dicom_header import Header

Samples = NDArray[Any]
_FLOATING = {"FloatPixelData": 32, "DoubleFloatPixelData": 64}
_WORDS = (8, 16, 32, 64)
_PALETTE = "RedPaletteColorLookupTableDescriptor"


def complete(dataset: Dataset, header: Header) -> None:
    """Set the elements that decoders need if they are missing or wrong in ``dataset``, each with a warning."""
    coloured = (header.text("PhotometricInterpretation") or "").upper().startswith(("RGB", "YBR"))
    samples = _settled(header, "SamplesPerPixel", lambda n: n > 0, 3 if coloured else 1)
    _settle_interpretation(dataset, header, samples)
    if samples > 1:
        _settled(header, "PlanarConfiguration", lambda n: n in (0, 1), 0)
    floating = next((bits for keyword, bits in _FLOATING.items() if keyword in dataset), None)
    if floating is not None:
        _settled(header, "BitsAllocated", lambda n: n == floating, floating)
        return
    allocated = _settled(header, "BitsAllocated", lambda n: n == 1 or n in _WORDS, _bits_by_length(dataset, samples))
    high = header.number("HighBit")
    likely = int(high) + 1 if high is not None and 0 <= high < allocated else allocated
    bits = _settled(header, "BitsStored", lambda n: 1 <= n <= allocated, likely)
    _settled(header, "HighBit", lambda n: bits - 1 <= n < allocated, bits - 1)
    _settled(header, "PixelRepresentation", lambda n: n in (0, 1), 0)


def samples_of(words: Samples, dataset: Dataset, header: Header) -> Samples:
    """The samples in ``words`` of any shape, which are decoded, with no bits masked out.

    Bits above and below a sample may hold anything, such as overlays: they are left out. If the pixels are smoother
    with the bits above, these belong to the sample, and BitsStored is corrected.
    """
    if words.dtype.kind not in "iu":
        return words
    bits = min(int(dataset.BitsStored), 8 * words.dtype.itemsize)
    shift = _shift(words, bits, dataset)
    samples = _masked(words >> shift, bits)
    if shift and np.ptp(samples) == 0 and np.ptp(words) > 0:
        header.warn("HighBit", f"{dataset.HighBit} is outside the sample", f"{bits - 1} is assumed")
        shift, samples = 0, _masked(words, bits)
    whole = words >> shift
    if np.array_equal(samples, whole) or roughness(samples) <= roughness(whole):
        return samples
    needed = _bits_of(int(whole.min()), int(whole.max()))
    header.warn("BitsStored", f"{bits} is less than the pixels use", f"{needed} bits are read")
    dataset.BitsStored = needed
    return whole


def _settled(header: Header, keyword: str, possible: Callable[[int], bool], assumed: int) -> int:
    value = header.number(keyword)
    if value is not None and value.is_integer() and possible(int(value)):
        return int(value)
    why = "is missing" if value is None else f"{value:g} is not possible here"
    header.warn(keyword, why, f"{assumed} is assumed")
    setattr(header.dataset, keyword, assumed)
    return assumed


def _settle_interpretation(dataset: Dataset, header: Header, samples: int) -> None:
    stated = header.text("PhotometricInterpretation")
    if stated is None:
        assumed = "RGB" if samples > 1 else "PALETTE COLOR" if _PALETTE in dataset else "MONOCHROME2"
        header.warn("PhotometricInterpretation", "is missing", f"{assumed} is assumed")
    dataset.PhotometricInterpretation = stated.upper() if stated else assumed


def _bits_by_length(dataset: Dataset, samples: int) -> int:
    """BitsAllocated by the amount of data; 16 if that doesn't decide, as in compressed data."""
    pixels = int(dataset.Rows) * int(dataset.Columns) * samples
    bits = 8 * len(dataset.PixelData) // pixels if pixels else 0
    compressed = dataset.file_meta.TransferSyntaxUID.is_encapsulated
    return bits if bits in _WORDS and not compressed else 16


def _shift(words: Samples, bits: int, dataset: Dataset) -> int:
    """The number of bits below the sample.

    A codec decodes numbers, with no bits below, unless its encoder was given whole words, as dcmtk does for lossless
    JPEG and JPEG-LS: then some are too large for a sample.
    """
    shift = min(int(dataset.HighBit) + 1, 8 * words.dtype.itemsize) - bits
    syntax = dataset.file_meta.TransferSyntaxUID
    numbers = syntax.is_encapsulated and syntax != RLELossless
    if shift <= 0 or (numbers and words.max() < 2**bits and words.min() >= -(2 ** (bits - 1))):
        return 0
    return shift


def _masked(words: Samples, bits: int) -> Samples:
    """The low ``bits`` of each word; the uppermost is the sign if words are signed."""
    spare = 8 * words.dtype.itemsize - bits
    return (words << spare) >> spare if spare else words


def _bits_of(low: int, high: int) -> int:
    """The number of bits that numbers from ``low`` to ``high`` need."""
    return high.bit_length() if low >= 0 else max(high.bit_length(), (-1 - low).bit_length()) + 1


def roughness(samples: Samples) -> float:
    """The sum of differences between neighbours: samples with one bit too few jump from white to black."""
    return float(np.abs(np.diff(samples.astype(np.float32), axis=1)).sum(dtype=np.float64))
