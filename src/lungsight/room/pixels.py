"""Pixels for the viewer: every level that the file has, as numbers, at full size and in halves.

The server decodes; the page gets numbers. What the reader sees is placed as the model saw it: upright, a negative as
a positive.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Row

from lungsight.radiograph import Levels, Placement, Radiograph, Window
from lungsight.reading import ImageFile, read_radiograph
from lungsight.room.store import Store

LevelArray = NDArray[np.uint16]

#: The smallest of the halves has no side longer than this.
_SMALLEST = 512
_KEPT_BYTES = 300 * 2**20


@dataclass(frozen=True, eq=False)
class Pyramid:
    """An image for the viewer.

    Attributes:
        levels: uint16 [height, width] each: the full size, a half, a quarter …
        windows: the first is the default.
        padded: whether 0 is padding.
        known: what the page is told besides.
    """

    levels: tuple[LevelArray, ...]
    windows: tuple[Window, ...]
    padded: bool
    known: dict[str, Any]

    @classmethod
    def of(cls, radiograph: Radiograph) -> Pyramid:
        """Of a radiograph with its levels."""
        kept = radiograph.levels
        assert kept is not None
        levels = [np.ascontiguousarray(kept.values, dtype="<u2")]
        while max(levels[-1].shape) > _SMALLEST and min(levels[-1].shape) > 1:
            levels.append(_half(levels[-1], padded=kept.padded))
        plane = radiograph.spacing_plane
        known = {
            "bits": radiograph.bit_depth,
            "lowest": 0,
            "highest": kept.highest,
            "at_zero": kept.at_zero,
            "per_level": kept.per_level,
            "spacing_mm": None if radiograph.pixel_spacing is None else list(radiograph.pixel_spacing),
            "spacing_plane": None if plane is None else str(plane),
            "turned": radiograph.turned,
            "mirrored": radiograph.mirrored,
        }
        return cls(tuple(levels), kept.windows, kept.padded, known)

    @property
    def nbytes(self) -> int:
        """What it takes in memory."""
        return sum(level.nbytes for level in self.levels)

    def as_json(self, address: str, *, inverted: bool) -> dict[str, Any]:
        """What the page is told before it fetches a level at ``address``/number."""
        shapes = enumerate(level.shape for level in self.levels)
        levels = [{"width": w, "height": h, "url": f"{address}/{number}"} for number, (h, w) in shapes]
        windows = [window_as_json(window) for window in self.windows]
        return {"levels": levels, **self.known, "padded": self.padded, "windows": windows, "inverted": inverted}


class Pixels:
    """The images that were looked at last, decoded once each. Safe to call from several threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, str], Future[Pyramid]] = OrderedDict()

    def of(self, row: Row[Any]) -> Pyramid:
        """The image of a row with its finding, if it has one. Raises UnreadableImageError."""
        key = (row.id, row.state)
        with self._lock:
            future = self._kept.get(key)
            mine = future is None
            if future is None:
                future = self._kept[key] = Future()
            self._kept.move_to_end(key)
        if mine:
            self._fill(key, future, row)
        return future.result()

    def forget(self, image: str) -> None:
        """Drop an image that was deleted."""
        with self._lock:
            for key in [key for key in self._kept if key[0] == image]:
                del self._kept[key]

    def _fill(self, key: tuple[str, str], future: Future[Pyramid], row: Row[Any]) -> None:
        try:
            read = read_radiograph(ImageFile(row.id, self._store.path(row.id)), keep_levels=True)
            placement, inverted = placement_of(row)
            shown = read if placement is None else read.as_analysed(placement, inverted=inverted)
            future.set_result(Pyramid.of(shown))
        except BaseException as error:
            future.set_exception(error)
            with self._lock:
                self._kept.pop(key, None)
            return
        with self._lock:
            while len(self._kept) > 1 and self._nbytes() > _KEPT_BYTES:
                self._kept.popitem(last=False)

    def _nbytes(self) -> int:
        return sum(kept.result().nbytes for kept in self._kept.values() if kept.done() and not kept.exception())


def placement_of(row: Row[Any]) -> tuple[Placement | None, bool]:
    """How the analysed image was made of the file's, and whether it was a negative; None before it was analysed."""
    if row.json is None:
        return None, False
    placement = json.loads(row.json)["placement"]
    return (None if placement is None else Placement(**placement)), bool(row.inverted)


def window_as_json(window: Window) -> dict[str, Any]:
    """A window as the page has it: linear, or by a curve of greys evenly spread over its width."""
    curve = None if window.curve is None else [round(float(grey), 5) for grey in window.curve]
    return {"name": window.name, "center": window.center, "width": window.width, "curve": curve}


def levels_of_greys(pixels: NDArray[np.float32]) -> Levels:
    """Greys 0…1 as 16-bit levels, for an image that was altered."""
    values = np.rint(np.clip(pixels, 0, 1) * np.float32(65535)).astype(np.uint16)
    return Levels(values, (Window("as analysed", 65535 / 2, 65535),))


def _half(levels: LevelArray, *, padded: bool) -> LevelArray:
    """Each pixel the mean of four; padding (0) counts only where there is nothing else."""
    height, width = levels.shape[0] // 2, levels.shape[1] // 2
    fours = levels[: 2 * height, : 2 * width].reshape(height, 2, width, 2)
    total = fours.sum(axis=(1, 3), dtype=np.uint32)
    if not padded:
        return np.asarray((total + 2) // 4, dtype="<u2")
    count = np.maximum((fours > 0).sum(axis=(1, 3), dtype=np.uint32), 1)
    return np.asarray((total + count // 2) // count, dtype="<u2")
