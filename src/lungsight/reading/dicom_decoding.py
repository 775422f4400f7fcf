"""The samples of a DICOM image as they are stored, out of whatever compression they lie in."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.encaps import get_frame
from pydicom.pixels import pixel_array
from pydicom.uid import JPEGLSLossless, JPEGLSNearLossless, RLELossless

from lungsight.faults import UnreadableImage
from lungsight.reading.codestream import size_of
from lungsight.reading.dicom_header import Header

#: RLE: pydicom's first choice panics on damaged data instead of raising. JPEG-LS: CharLS takes a quarter of its time.
_DECODERS = {RLELossless: "pydicom", JPEGLSLossless: "pyjpegls", JPEGLSNearLossless: "pyjpegls"}


def stored_samples(name: str, dataset: Dataset, header: Header) -> NDArray[Any]:
    """The words as they are stored or decoded, with nothing masked out: [height, width], or [height, width, samples]
    in the header's own colour space where there are several a pixel.

    What had to be assumed is put into ``header.warnings``. Raises UnreadableImage, and whatever the decoders raise
    for damaged data.
    """
    _check_codestream(name, dataset)
    return pixel_array(dataset, index=0, decoding_plugin=_decoder_of(dataset), raw=True, correct_unused_bits=False)


def _decoder_of(dataset: Dataset) -> str:
    """pydicom's choice (an empty string), but for those that another suits better."""
    return _DECODERS.get(dataset.file_meta.TransferSyntaxUID, "")


def _check_codestream(name: str, dataset: Dataset) -> None:
    """Decoders reserve memory for what the compressed data says of itself, so it must agree with the header."""
    if not dataset.file_meta.TransferSyntaxUID.is_encapsulated or "PixelData" not in dataset:
        return
    size = size_of(get_frame(dataset.PixelData, 0, number_of_frames=1))
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    if size is not None and size != (rows, columns):
        raise UnreadableImage(
            name,
            f"the header says {columns} × {rows} pixels, the compressed data {size[1]} × {size[0]}",
            "fetch or export it again",
        )
