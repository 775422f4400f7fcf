"""Lookup tables in every way they are written: depth, width, representation, byte order, first value, segments."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydicom import Dataset, FileMetaDataset, dcmread
from pydicom.uid import ExplicitVRBigEndian

from dcmtk import needs_dcmtk, shown_by_dcmtk
from lungsight.errors import UnreadableImageError
from lungsight.reading import read_radiograph
from lungsight.reading.dicom_header import Header
from lungsight.reading.dicom_tables import DefectiveTableError, palette_of, table_of, white_of

DicomWriter = Callable[..., Path]


def curve(count: int, bits: int) -> NDArray[np.int64]:
    """Entries [count] that rise as an image's curve does, from 0 to all ``bits``."""
    rise = 1 / (1 + np.exp(-8 * (np.arange(count) / max(count - 1, 1) - 0.5)))
    return np.rint((rise - rise[0]) / max(np.ptp(rise), 1e-9) * (2**bits - 1)).astype(np.int64)


def written(entries: NDArray[np.int64], vr: str, width: int, order: str = "<") -> Any:
    """``entries`` as the value of an element: numbers for US and SS, bytes for the others."""
    if vr in ("US", "SS"):
        words = entries if width == 2 else np.frombuffer(written(entries, "OW", 1), "<u2")
        return words.astype("<i2" if vr == "SS" else "<u2").tolist()
    raw = entries.astype("u1" if width == 1 else f"{order}u2").tobytes()
    return raw + bytes(len(raw) % 2)


def table(entries: Any, vr: str, count: int, first: int, bits: int) -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if first < 0 else "US", [0 if count == 65536 else count, first, bits])
    item.add_new("LUTData", vr, entries)
    return item


@settings(max_examples=150, deadline=None)
@given(
    bits=st.sampled_from([8, 10, 12, 14, 16]),
    count=st.sampled_from([2, 255, 256, 257, 1000, 1024, 4096, 65536]),
    vr=st.sampled_from(["US", "SS", "OW", "OB", "UN"]),
    first=st.integers(-32768, 65535),
    narrow=st.booleans(),
)
def test_every_width_and_representation(bits: int, count: int, vr: str, first: int, narrow: bool) -> None:
    """An entry a byte where eight bits are enough and ``narrow``, else one a word."""
    entries = curve(count, bits)
    item = Header(table(written(entries, vr, 1 if narrow and bits == 8 else 2), vr, count, first, bits))
    values = np.arange(first - 5.0, first + count + 5)
    read = table_of(item)
    np.testing.assert_array_equal(read.looked_up(values), entries[np.clip(np.arange(-5, count + 5), 0, count - 1)])
    assert white_of([read], item, "VOILUTSequence") == 2**bits - 1
    assert item.warnings == []


@settings(max_examples=100, deadline=None)
@given(
    entries=st.lists(st.integers(0, 65535), min_size=2, max_size=400),
    vr=st.sampled_from(["US", "OW"]),
)
def test_tables_that_jump_are_left_in_their_order(entries: list[int], vr: str) -> None:
    item = Header(table(written(np.array(entries), vr, 2), vr, len(entries), 0, 16))
    looked_up = table_of(item).looked_up(np.arange(len(entries), dtype=np.float64))
    np.testing.assert_array_equal(looked_up, entries)


@pytest.mark.parametrize("vr", ["OW", "OB", "UN"])
@pytest.mark.parametrize("bits", [10, 12, 16])
@pytest.mark.parametrize("count", [1024, 4096, 65536])
def test_the_other_byte_order(vr: str, bits: int, count: int) -> None:
    entries = curve(count, bits)
    item = Header(table(written(entries, vr, 2, ">"), vr, count, 0, bits))
    np.testing.assert_array_equal(table_of(item).looked_up(np.arange(count, dtype=np.float64)), entries)


@pytest.mark.parametrize(("stored", "meant"), [(64512, -1024), (-1024, 64512)])
def test_a_first_value_of_the_other_sign(stored: int, meant: int) -> None:
    item = Header(table(curve(1000, 12).tolist(), "US", 1000, stored, 12))
    values = np.arange(meant, meant + 1000.0)
    np.testing.assert_array_equal(table_of(item).looked_up(values), curve(1000, 12))


@pytest.mark.parametrize(("declared", "used"), [(16, 8), (16, 10), (16, 12), (12, 10), (8, 12), (10, 12), (12, 16)])
def test_entries_that_go_against_their_descriptor(
    write_dicom: DicomWriter, ramp: NDArray[np.uint16], declared: int, used: int
) -> None:
    """Agfa's CR says 16 bits of entries that end at 4095: the image is as bright as its entries make it."""
    entries = curve(2000, used)
    item = table(entries.tolist(), "US", 2000, 0, declared)
    read = read_radiograph(write_dicom(ramp, VOILUTSequence=[item]))
    np.testing.assert_allclose(read.pixels, entries[ramp] / (2**used - 1), atol=1e-6)
    why = f"has entries up to {2**used - 1} though its descriptor says {declared} bits"
    assert read.warnings == (f"DICOM VOILUTSequence {why}: {2**used - 1} is taken as white.",)


@pytest.mark.parametrize("keyword", ["VOILUTSequence", "ModalityLUTSequence"])
@pytest.mark.parametrize(
    ("entries", "why"),
    [([], "is empty"), ([5], "has 1 of 2000 entries"), ([*range(1999)], "has 1999 of 2000 entries")],
)
def test_a_short_table_is_not_applied(
    write_dicom: DicomWriter, ramp: NDArray[np.uint16], keyword: str, entries: list[int], why: str
) -> None:
    read = read_radiograph(write_dicom(ramp, **{keyword: [table(entries, "US", 2000, 0, 16)]}))
    assert read.warnings == (f"DICOM {keyword} {why}: it is not applied.",)
    np.testing.assert_allclose(read.pixels, ramp / 1999, atol=1e-6)


def test_the_first_table_that_can_be_applied(write_dicom: DicomWriter, ramp: NDArray[np.uint16]) -> None:
    tables = [table([], "US", 2000, 0, 12), table(curve(2000, 12).tolist(), "US", 2000, 0, 12)]
    read = read_radiograph(write_dicom(ramp, VOILUTSequence=tables, WindowCenter=1, WindowWidth=2))
    np.testing.assert_allclose(read.pixels, curve(2000, 12)[ramp] / 4095, atol=1e-6)


@pytest.mark.parametrize("vr", ["US", "OW", "UN"])
@pytest.mark.parametrize("width", [1, 2])
@pytest.mark.parametrize("order", ["<", ">"])
def test_a_table_in_a_big_endian_file(
    write_dicom: DicomWriter, ramp: NDArray[np.uint16], vr: str, width: int, order: str
) -> None:
    entries = curve(2000, 8 if width == 1 else 12)
    value = written(entries, vr, width, order)
    if vr != "US" and width == 1:
        value = np.frombuffer(value, "<u2").byteswap().tobytes()  # pairs of bytes, swapped as words are
    dataset = Dataset()
    for element in dcmread(write_dicom(ramp, bits=12)):
        dataset.add(element)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    dataset.PixelData = ramp.astype(">u2").tobytes()
    dataset.VOILUTSequence = [table(value, vr, 2000, 0, 8 if width == 1 else 12)]
    read = read_radiograph(write_dicom(dataset))
    np.testing.assert_allclose(read.pixels, entries[ramp] / entries.max(), atol=1e-6)


@needs_dcmtk
@pytest.mark.parametrize("bits", [8, 10, 12, 16])
@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("first", [0, 300])
def test_voi_tables_agree_with_dcmtk(
    write_dicom: DicomWriter, ramp: NDArray[np.uint16], bits: int, narrow: bool, first: int
) -> None:
    value = written(curve(1500, bits), "US", 1 if narrow and bits == 8 else 2)
    path = write_dicom(ramp, bits=12, VOILUTSequence=[table(value, "US", 1500, first, bits)])
    shown = shown_by_dcmtk(path, "+Wl", "1")  # which divides by 2**bits, one more than the largest entry
    np.testing.assert_allclose(read_radiograph(path).pixels, shown, atol=2**-bits + 2e-5)


@needs_dcmtk
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_modality_tables_agree_with_dcmtk(write_dicom: DicomWriter, ramp: NDArray[np.uint16], bits: int) -> None:
    item = table(curve(2000, bits)[::-1].tolist(), "US", 2000, 0, bits)
    item.ModalityLUTType = "US"
    path = write_dicom(ramp, bits=12, ModalityLUTSequence=[item])
    np.testing.assert_allclose(read_radiograph(path).pixels, shown_by_dcmtk(path, "+Wm"), atol=2e-5)


COLOURS = ("Red", "Green", "Blue")


def palette(value: Any, descriptor: list[int], vr: str = "OW", segmented: bool = False) -> dict[str, Any]:
    """The same table for all three colours, which makes grey; by keyword."""
    elements: dict[str, Any] = {}
    for colour in COLOURS:
        name = f"{colour}PaletteColorLookupTable"
        elements[f"{name}Descriptor"] = descriptor
        elements[f"Segmented{name}Data" if segmented else f"{name}Data"] = value
    return elements


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("width", [1, 2])
@pytest.mark.parametrize("order", ["<", ">"])
def test_palettes(write_dicom: DicomWriter, ramp: NDArray[np.uint16], bits: int, width: int, order: str) -> None:
    """2000 entries, more than eight bits can count, of eight bits and more."""
    entries = curve(2000, min(bits, 8 * width))
    value = written(entries, "OW", width, order)
    path = write_dicom(ramp, photometric="PALETTE COLOR", **palette(value, [2000, 0, min(bits, 8 * width)]))
    read = read_radiograph(path)
    np.testing.assert_allclose(read.pixels, entries[ramp] / entries.max(), atol=1e-6)
    assert read.warnings == ()


def test_a_palette_that_says_16_bits_of_8(write_dicom: DicomWriter) -> None:
    stored = np.arange(256, dtype=np.uint8).reshape(16, 16).repeat(3, axis=0).repeat(3, axis=1)
    entries = np.arange(256)[::-1]
    elements = palette(written(entries, "OW", 2), [256, 0, 16])
    read = read_radiograph(write_dicom(stored, photometric="PALETTE COLOR", **elements))
    np.testing.assert_allclose(read.pixels, entries[stored] / 255, atol=1e-6)
    assert read.warnings[0].startswith("DICOM Palette has entries up to 255 though its descriptor says 16 bits")


def test_a_short_palette(write_dicom: DicomWriter, ramp: NDArray[np.uint16]) -> None:
    entries = curve(1500, 16)
    elements = palette(written(entries, "OW", 2), [2000, 0, 16])
    read = read_radiograph(write_dicom(ramp, photometric="PALETTE COLOR", **elements))
    np.testing.assert_allclose(read.pixels, entries[np.minimum(ramp, 1499)] / 65535, atol=1e-6)
    assert "Palette is too short" in read.warnings[0]


@pytest.mark.parametrize(
    ("elements", "why"),
    [({}, "its palette has no descriptor"), (palette(b"", [2000, 0, 16]), "its palette is empty")],
)
def test_without_a_palette(
    write_dicom: DicomWriter, ramp: NDArray[np.uint16], elements: dict[str, Any], why: str
) -> None:
    with pytest.raises(UnreadableImageError, match=why):
        read_radiograph(write_dicom(ramp, photometric="PALETTE COLOR", **elements))


@pytest.mark.parametrize("width", [1, 2])
def test_segments(width: int) -> None:
    """Four entries as they stand, six on a line to 200, and both again by the address of the first."""
    address = [0, 0, 0, 0] if width == 1 else [0, 0]
    numbers = np.array([0, 4, 0, 5, 7, 20, 1, 6, 200, 2, 2, *address])
    value = numbers.astype(f"<u{width}").tobytes()
    dataset = Dataset()
    for keyword, one in palette(value + bytes(len(value) % 2), [20, 0, 8 * width], segmented=True).items():
        setattr(dataset, keyword, one)
    once = [0, 5, 7, 20, 50, 80, 110, 140, 170, 200]
    for read in palette_of(Header(dataset)):
        np.testing.assert_array_equal(read.entries, once + once)


@pytest.mark.parametrize(
    "numbers", [[1, 5, 9], [0, 9, 1, 2], [7, 1, 1], [2, 1, 40, 0], [0, 1, 3, 2, 1, 6, 0], [0, 0]]
)
def test_segments_that_lead_nowhere(numbers: list[int]) -> None:
    dataset = Dataset()
    value = np.array(numbers, dtype="<u2").tobytes()
    for keyword, one in palette(value, [20, 0, 16], segmented=True).items():
        setattr(dataset, keyword, one)
    with pytest.raises(DefectiveTableError):
        palette_of(Header(dataset))
