"""Statistics of an image that need no look at its content: size, greys, edges, sharpness.

A model that does no better than these features need not have looked at the lungs.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lungsight._cores import cores
from lungsight._files import file_state
from lungsight.datasets.duplicates.fingerprint import without_borders
from lungsight.datasets.duplicates.fingerprints import Progress, silent
from lungsight.errors import UnreadableImageError
from lungsight.evaluation.answer_store import AnswerStore, Key
from lungsight.radiograph import Radiograph
from lungsight.reading import read_radiograph

Floats32 = NDArray[np.float32]

_WORKING_SIDE = 128
_COARSE_SIDE = 48
_FINE_SIDE = 1024
#: Width of the frame that counts as the edge, as a share of the shorter side.
_EDGE = 0.03
_CORNER = 0.12
_BATCH = 32


class ImageStatistics(NamedTuple):
    """One image's features. Greys are 0…1; lengths are in pixels unless said otherwise."""

    width: float
    height: float
    aspect_ratio: float
    bit_depth: float
    grey_mean: float
    grey_spread: float
    grey_05: float
    grey_25: float
    grey_50: float
    grey_75: float
    grey_95: float
    black_share: float
    white_share: float
    edge_mean: float
    edge_spread: float
    edge_brightest: float
    border_share: float
    corner_darkest: float
    corner_brightest: float
    corner_spread: float
    sharpness_fine: float
    sharpness_coarse: float

    @classmethod
    def of(cls, radiograph: Radiograph) -> ImageStatistics:
        """From an image with all of its pixels."""
        pixels = radiograph.pixels
        height, width = pixels.shape
        small = _reduced(pixels, _WORKING_SIDE)
        edge = _edge(small)
        corners = _corners(small)
        inside = without_borders(small)
        greys = [float(grey) for grey in np.percentile(small, (5, 25, 50, 75, 95))]
        size = (float(width), float(height), width / height, float(radiograph.bit_depth))
        whole = (float(small.mean()), float(small.std()), *greys)
        ends = (float((small < 0.02).mean()), float((small > 0.98).mean()))
        outside = (float(edge.mean()), float(edge.std()), float(edge.max()), 1 - inside.size / small.size)
        darkest, brightest = float(corners.mean(axis=1).min()), float(corners.max(axis=1).max())
        focus = (_sharpness(_middle(pixels)), _sharpness(_reduced(small, _COARSE_SIDE)))
        values = (*size, *whole, *ends, *outside, darkest, brightest, float(corners.std(axis=1).max()), *focus)
        return cls._make(values)


def _reduced(pixels: Floats32, side: int) -> Floats32:
    return np.asarray(cv2.resize(pixels, (side, side), interpolation=cv2.INTER_AREA), dtype=np.float32)


def _edge(small: Floats32) -> Floats32:
    thick = max(1, round(_EDGE * _WORKING_SIDE))
    sides = (small[:thick], small[-thick:], small[:, :thick].T, small[:, -thick:].T)
    return np.concatenate([side.ravel() for side in sides])


def _corners(small: Floats32) -> Floats32:
    """float32 [4, pixels]."""
    side = round(_CORNER * _WORKING_SIDE)
    return np.stack([small[y, x].ravel() for y in _ends(side) for x in _ends(side)])


def _ends(side: int) -> tuple[slice, slice]:
    return slice(0, side), slice(-side, None)


def _middle(pixels: Floats32) -> Floats32:
    """At most 1024 x 1024 pixels, as fine as they are."""
    top, left = (max(0, (side - _FINE_SIDE) // 2) for side in pixels.shape)
    return np.ascontiguousarray(pixels[top : top + _FINE_SIDE, left : left + _FINE_SIDE])


def _sharpness(image: Floats32) -> float:
    """Logarithm of the Laplacian's variance against the image's own: focus, whatever the contrast.

    Pech-Pacheco et al. 2000.
    """
    own = float(image.var())
    return float(np.log((float(cv2.Laplacian(image, cv2.CV_32F).var()) + 1e-8) / (own + 1e-8)))


@dataclass(frozen=True)
class FileStatistics:
    """A file's sha256 and :class:`ImageStatistics`; these are empty and ``problem`` says why if it can't be read."""

    sha256: str = ""
    statistics: tuple[float, ...] = ()
    problem: str = ""

    @classmethod
    def of(cls, path: str) -> FileStatistics:
        """Read the file."""
        try:
            radiograph = read_radiograph(Path(path))
        except UnreadableImageError as problem:
            return cls(problem=str(problem))
        return cls(radiograph.sha256, tuple(float(value) for value in ImageStatistics.of(radiograph)))


def read_image_statistics(
    paths: Sequence[str], *, progress: Progress = silent, store: AnswerStore | None = None
) -> list[FileStatistics]:
    """Of each file, in their order; what ``store`` keeps of files that haven't changed isn't read again."""
    store = store or AnswerStore.in_memory()
    keys: list[Key] = [("statistics", ImageStatistics._fields, *file_state(path)) for path in paths]
    kept = store.get(keys)
    known = {i: FileStatistics(**kept[key]) for i, key in enumerate(keys) if key in kept}
    waiting = [i for i in range(len(paths)) if i not in known]
    with ThreadPoolExecutor(cores()) as readers:
        for start in range(0, len(waiting), _BATCH):
            batch = waiting[start : start + _BATCH]
            read = dict(zip(batch, readers.map(FileStatistics.of, [paths[i] for i in batch]), strict=True))
            store.add({keys[i]: asdict(one) for i, one in read.items() if not one.problem})
            known |= read
            progress(start + len(batch), len(waiting))
    return [known[i] for i in range(len(paths))]


def statistics_table(statistics: Sequence[Sequence[float]]) -> pd.DataFrame:
    """One row per image, one column per field of :class:`ImageStatistics`; NaN for images without statistics."""
    missing = (np.nan,) * len(ImageStatistics._fields)
    return pd.DataFrame(
        [one or missing for one in statistics], columns=list(ImageStatistics._fields), dtype=np.float64
    )
