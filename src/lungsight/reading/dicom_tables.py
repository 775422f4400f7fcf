"""Read the lookup tables of DICOM: modality, VOI and palette (PS3.3 C.11.1.1, C.11.2.1.1, C.7.6.3.1.5, C.7.9.2).

A descriptor is often wrong about its entries, and the same table is written in many ways: an entry per byte or per
word, as US, SS, OW, OB or UN, in either byte order. The entries themselves decide.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungsight.reading.dicom_header import Header

Levels = NDArray[np.float64]
_MOST = 1 << 16
_COLOURS = ("Red", "Green", "Blue")


class DefectiveTableError(ValueError):
    """A table that can't be applied; the message says why, such as "is empty"."""


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Entries [n] for the values from ``first`` on; by the descriptor there are ``count``, of ``bits`` each."""

    entries: NDArray[np.integer[Any]]
    count: int
    first: int
    bits: int

    def looked_up(self, values: Levels) -> Levels:
        """The entry for each of ``values``, of any shape; the first or last entry below or above the table."""
        whole = np.nan_to_num(np.rint(values))
        places = np.clip(whole - self._first_for(whole), 0, len(self.entries) - 1)
        return np.asarray(self.entries[places.astype(np.intp)], dtype=np.float64)

    def _first_for(self, values: Levels) -> int:
        """The first value mapped, which writers store as signed or unsigned.

        It is taken as stored, unless the other way lets more of ``values`` fall within the table.
        """
        other = self.first + _MOST if self.first < 0 else self.first - _MOST
        return max((self.first, other), key=lambda first: self._within(values, first))

    def _within(self, values: Levels, first: int) -> int:
        return int(np.count_nonzero((values >= first) & (values < first + len(self.entries))))


def table_of(item: Header, descriptor: str = "LUTDescriptor", data: str = "LUTData") -> Table:
    """The table with these keywords in ``item``. Raises DefectiveTableError, also if entries are missing."""
    table = _table(item, descriptor, data)
    if len(table.entries) < table.count:
        raise DefectiveTableError(f"has {len(table.entries)} of {table.count} entries")
    return table


def palette_of(header: Header) -> tuple[Table, ...]:
    """The tables for red, green and blue, whole or in segments. Raises DefectiveTableError."""
    tables = tuple(_colour_table(header, f"{colour}PaletteColorLookupTable") for colour in _COLOURS)
    if any(len(table.entries) < table.count for table in tables):
        header.warn("Palette", "is too short", "its last entry stands for those that are missing")
    return tables


def white_of(tables: Sequence[Table], header: Header, keyword: str) -> float:
    """The entry for white: the largest number of the declared bits, unless the entries contradict it."""
    largest, bits = max(int(table.entries.max()) for table in tables), tables[0].bits
    declared = 2**bits - 1
    if 8 <= bits <= 16 and declared < 2 * largest <= 2 * declared:
        return float(declared)
    if largest > 0:
        why = f"has entries up to {largest} though its descriptor says {bits} bits"
        header.warn(keyword, why, f"{largest} is taken as white")
    return float(max(largest, 1))


def _table(item: Header, descriptor: str, data: str) -> Table:
    count, first, bits = _descriptor(item, descriptor)
    entries = _entries(item, data, count, bits)
    if not len(entries):
        raise DefectiveTableError("is empty")
    return Table(entries, count, first, bits)


def _colour_table(header: Header, name: str) -> Table:
    segments = f"Segmented{name}Data"
    if header.value(segments) is None:
        return _table(header, f"{name}Descriptor", f"{name}Data")
    count, first, bits = _descriptor(header, f"{name}Descriptor")
    entries = np.array(_expanded(*_numbers(header, segments, bits), count)[:count], dtype=np.int32)
    if not len(entries):
        raise DefectiveTableError("is empty")
    return Table(entries, count, first, bits)


def _descriptor(item: Header, keyword: str) -> tuple[int, int, int]:
    """The number of entries (0 means 65,536), the first value mapped, the bits of an entry."""
    value = item.value(keyword)
    if isinstance(value, bytes) and len(value) >= 6:  # stored as UN
        numbers: tuple[float, ...] = struct.unpack(f"{_order(item)}3H", value[:6])
    else:
        numbers = item.numbers(keyword)
    if len(numbers) != 3:
        raise DefectiveTableError("has no descriptor of three numbers")
    return int(numbers[0]) % _MOST or _MOST, int(numbers[1]), int(numbers[2])


def _entries(item: Header, keyword: str, count: int, bits: int) -> NDArray[np.integer[Any]]:
    raw, order = _bytes(item, keyword)
    few = bits <= 8 if len(raw) < count else len(raw) <= count + 1  # one may be added to make their number even
    if few and count > 1:
        return np.frombuffer(_in_order(raw, item, keyword), np.uint8)[:count]
    native = np.frombuffer(raw[: len(raw) & ~1], f"{order}u2")[:count]
    return native.byteswap() if _is_swapped(native, bits) else native


def _is_swapped(words: NDArray[Any], bits: int) -> bool:
    """Whether these words are in the other byte order.

    In the wrong order, a table jumps up and down once for every 256 that it rises, and one of eight bits seems to
    have sixteen, of which the lower eight are empty.
    """
    other = words.byteswap()
    if not len(words) or _roughness(other) > _roughness(words):
        return False
    return 4 * _roughness(other) < _roughness(words) or int(other.max()) < 2**bits <= int(words.max())


def _bytes(item: Header, keyword: str) -> tuple[bytes, str]:
    """A table's bytes and their byte order, "<" or ">"; pydicom has unpacked US and SS to numbers already."""
    value = item.value(keyword)
    if isinstance(value, bytes):
        return value, _order(item)
    numbers = np.array(item.numbers(keyword), dtype=np.float64)
    return (numbers.astype(np.int64) % _MOST).astype("<u2").tobytes(), "<"


def _in_order(raw: bytes, item: Header, keyword: str) -> bytes:
    """Bytes in the order of entries: those written as words are swapped in a big-endian file (PS3.5 8.1.2)."""
    pairs = isinstance(item.value(keyword), bytes) and item.dataset[keyword].VR != "OB" and _order(item) == ">"
    return np.frombuffer(raw[: len(raw) & ~1], "u2").byteswap().tobytes() if pairs else raw


def _order(item: Header) -> str:
    return ">" if item.dataset.original_encoding[1] is False else "<"


def _roughness(entries: NDArray[Any]) -> float:
    """The sum of differences between neighbours, as a multiple of the range; 1 if entries only rise or fall."""
    numbers = entries.astype(np.int64)
    span = np.ptp(numbers) if len(numbers) else 0
    return float(np.abs(np.diff(numbers)).sum() / span) if span else 0.0


def _numbers(item: Header, keyword: str, bits: int) -> tuple[list[int], int]:
    """The numbers of a segmented table, and the bytes of each in the file."""
    raw, order = _bytes(item, keyword)
    if bits <= 8:
        return list(_in_order(raw, item, keyword)), 1
    return np.frombuffer(raw[: len(raw) & ~1], f"{order}u2").tolist(), 2


def _expanded(numbers: list[int], width: int, count: int) -> list[int]:
    """Discrete (0), linear (1) and indirect (2) segments, as entries; at most a segment more than ``count``."""
    entries: list[int] = []
    at = 0
    while at + 2 < len(numbers) and len(entries) < count:
        if numbers[at] != 2:
            at = _add_segment(numbers, at, entries)
            continue
        again, address = numbers[at + 1], numbers[at + 2 : at + 2 + 4 // width]
        source = sum(part << (8 * width * place) for place, part in enumerate(address)) // width
        for _ in range(again):
            source = _add_segment(numbers, source, entries)
        at += 2 + 4 // width
    return entries


def _add_segment(numbers: list[int], at: int, entries: list[int]) -> int:
    """Add the discrete or linear segment at index ``at`` to ``entries``; return the index of the next one."""
    kind, length, *values = numbers[at : at + 2 + numbers[at + 1]] if at + 1 < len(numbers) else (None, 0)
    if kind == 0 and len(values) == length:
        entries.extend(values)
        return at + 2 + length
    if kind != 1 or not entries or at + 2 >= len(numbers):
        raise DefectiveTableError("has a segment that can't be read")
    last, end = entries[-1], numbers[at + 2]
    entries.extend(np.rint(np.linspace(last, end, length + 1)[1:]).astype(int).tolist())
    return at + 3
