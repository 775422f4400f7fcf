"""Decode the stored samples of a DICOM image, whatever their compression."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.encaps import get_frame
from pydicom.pixels import get_decoder, pixel_array
from pydicom.uid import RLELossless

from lungsight.errors import UnreadableImageError
from lungsight.reading.codestream import Codec, Stream, has_end, stream_of
from lungsight.reading.dicom_header import Header
from lungsight.reading.dicom_samples import roughness
from lungsight.reading.imagecodecs_samples import decoded

Samples = NDArray[Any]
_HINT = "fetch or export it again"


def stored_samples(name: str, dataset: Dataset, header: Header) -> Samples:
    """The stored or decoded words, with no bits masked out.

    If compressed data contradicts the header, the data is believed: ``dataset`` is corrected, and ``header.warnings``
    says why.

    Returns:
        [height, width], or [height, width, samples] for several samples per pixel.

    Raises:
        UnreadableImageError: the compressed data is of another kind or size.
        Exception: whatever the decoders raise for damaged data.
    """
    syntax = dataset.file_meta.TransferSyntaxUID
    if not syntax.is_encapsulated or "PixelData" not in dataset:
        return pixel_array(dataset, index=0, raw=True, correct_unused_bits=False)
    if syntax == RLELossless:  # pylibjpeg's decoder, where it is installed, panics on damaged data
        return pixel_array(dataset, index=0, raw=True, correct_unused_bits=False, decoding_plugin="pydicom")
    frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
    stream = stream_of(frame)
    if stream is None:
        raise UnreadableImageError(name, "its compressed pixels are not a complete JPEG, JPEG-LS or JPEG 2000", _HINT)
    if stream.codec is Codec.JPEG_XL:  # pynetdicom makes pydicom know its name, and no decoder
        raise UnreadableImageError(
            name, f"its transfer syntax, {syntax} (JPEG XL), can't be read in DICOM", "export it uncompressed"
        )
    _check_size(name, dataset, stream)
    samples = _by_the_first_that_can(frame, stream, dataset, header)
    _believe_colour(stream, dataset, header)
    return _believe_depth(samples, stream, dataset, header)


def _check_size(name: str, dataset: Dataset, stream: Stream) -> None:
    """Refuse compressed data of another size than the header: decoders reserve memory for the size that it states."""
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    if (stream.rows, stream.columns) != (rows, columns):
        raise UnreadableImageError(
            name,
            f"the header says {columns} × {rows} pixels, the compressed data {stream.columns} × {stream.rows}",
            _HINT,
        )
    if stream.samples not in (1, 3):
        raise UnreadableImageError(
            name, f"its compressed data holds {stream.samples} samples a pixel", "export it as one X-ray image"
        )
    dataset.SamplesPerPixel = stream.samples


def _by_the_first_that_can(frame: bytes, stream: Stream, dataset: Dataset, header: Header) -> Samples:
    refusals: list[tuple[str, Exception]] = []
    for label, decode in _decoders(frame, stream, dataset):
        try:
            samples = decode()
        except Exception as error:  # decoders raise every kind of exception for damaged data
            refusals.append((label, error))
            continue
        if refusals:
            first, why = refusals[0]
            header.warnings.append(
                f"The compressed pixels were read by {label}, as {first} could not ({_line(why)})."
            )
        return samples
    raise refusals[0][1]


def _decoders(frame: bytes, stream: Stream, dataset: Dataset) -> Iterator[tuple[str, Callable[[], Samples]]]:
    """imagecodecs; then every decoder that pydicom has for this transfer syntax."""
    yield "imagecodecs", partial(decoded, frame, stream)
    if stream.codec in (Codec.JPEG, Codec.JPEG_LS) and not has_end(frame):
        return  # other decoders fill up silently what is cut short
    try:
        plugins = get_decoder(dataset.file_meta.TransferSyntaxUID).available_plugins
    except NotImplementedError:  # pydicom knows none
        return
    for plugin in plugins:
        yield plugin, partial(pixel_array, dataset, index=0, raw=True, decoding_plugin=plugin)


def _believe_colour(stream: Stream, dataset: Dataset, header: Header) -> None:
    stated = str(dataset.get("PhotometricInterpretation") or "")
    if stream.samples != 3:
        return
    if stream.codec is Codec.JPEG_2000 and stated in ("YBR_RCT", "YBR_ICT"):
        dataset.PhotometricInterpretation = "RGB"  # part of the compression: undone by the decoder
    elif stream.colour is not None and not stated.startswith(stream.colour):
        header.warn(
            "PhotometricInterpretation", f"{stated} contradicts the compressed data", f"{stream.colour} is read"
        )
        dataset.PhotometricInterpretation = stream.colour


def _believe_depth(samples: Samples, stream: Stream, dataset: Dataset, header: Header) -> Samples:
    """The samples with the header's sign. Only JPEG 2000 has signs; all others are decoded as unsigned."""
    bits, signed = int(dataset.BitsStored), bool(dataset.PixelRepresentation)
    if stream.bits < bits:
        header.warn(
            "BitsStored", f"{bits} is more than the compressed data holds", f"its {stream.bits} bits are read"
        )
        dataset.BitsStored, dataset.HighBit = stream.bits, stream.bits - 1
    if stream.codec is Codec.JPEG_2000 and stream.signed != signed:
        signed = _settled_sign(samples, stream, header)
        dataset.PixelRepresentation = int(signed)
    within = signed and int(samples.max()) < 2**bits  # as if the codec was given whole words
    return _of_sign(samples, min(bits, stream.bits) if within else stream.bits, signed)


def _settled_sign(samples: Samples, stream: Stream, header: Header) -> bool:
    """Decide between contradictory signs: with the wrong one, neighbours jump from black to white."""
    as_stream, as_header = (_of_sign(samples, stream.bits, signed) for signed in (stream.signed, not stream.signed))
    if np.array_equal(as_stream, as_header):
        return not stream.signed
    signed = stream.signed if roughness(as_stream) < roughness(as_header) else not stream.signed
    words = "signed" if signed else "unsigned"
    header.warn("PixelRepresentation", "contradicts the compressed data", f"the pixels are read as {words}")
    return signed


def _of_sign(samples: Samples, bits: int, signed: bool) -> Samples:
    """The same ``bits`` of each word as signed or unsigned."""
    kind = f"{'i' if signed else 'u'}{samples.dtype.itemsize}"
    spare = 8 * samples.dtype.itemsize - bits
    if samples.dtype == kind:
        return samples
    return (samples << spare).view(kind) >> spare


def _line(error: Exception) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:120].rstrip(".")
