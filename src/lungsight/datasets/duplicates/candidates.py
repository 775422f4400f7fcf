"""Which images might be copies of each other: those whose perceptual hashes are closest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lungsight.datasets.duplicates.fingerprint import Thumbnail
from lungsight.datasets.duplicates.fingerprints import Progress, silent
from lungsight.datasets.duplicates.windows import SPANS, Floats, Span, WindowHasher, across, down, reduced, spectrum

#: How many of the closest images are looked at, for each image.
NEAREST = 12
#: Hashes less alike than this aren't of the same image (of 2,400 altered copies none lay below 0.77).
_ALIKE = 0.75
#: Images compared with all at a time; their similarities fill 4 bytes * _BLOCK * n.
_BLOCK = 2048


@dataclass(frozen=True, slots=True)
class Candidate:
    """The image ``part`` may be the window ``rows``, ``columns`` of the image ``whole``."""

    part: int
    whole: int
    mirrored: bool
    rows: Span
    columns: Span
    likeness: float


def find_candidates(thumbnails: Thumbnail, progress: Progress = silent) -> list[Candidate]:
    """Compare every image with all windows of all others, as it is and mirrored.

    ``thumbnails``: uint8 [n, side, side], of distinct images. ``progress`` counts spans of rows, over all blocks.
    """
    if len(thumbnails) < 2:
        return []
    images = reduced(thumbnails)
    hasher = WindowHasher.learned_from(images)
    hashes = hasher.hashes(spectrum(images))
    mirrored = hasher.hashes(spectrum(np.ascontiguousarray(images[:, :, ::-1])))
    starts = range(0, len(thumbnails), _BLOCK)
    pairs: list[tuple[int, int]] = []
    for number, start in enumerate(starts):
        block = slice(start, start + _BLOCK)
        likeness = np.full((len(hashes[block]), len(hashes)), -1.0, dtype=np.float32)
        for step, rows in enumerate(SPANS):
            _raise_likeness(likeness, images, rows, hasher, (hashes[block], mirrored[block]))
            progress(number * len(SPANS) + step + 1, len(starts) * len(SPANS))
        pairs += _nearest(likeness, start)
    return _placed(pairs, images, hasher, hashes, mirrored)


def _raise_likeness(
    likeness: Floats, images: Floats, rows: Span, hasher: WindowHasher, parts: tuple[Floats, Floats]
) -> None:
    halves = down(images, rows)
    for columns in SPANS:
        windows = hasher.hashes(across(halves, columns)).T
        for part in parts:
            np.maximum(likeness, part @ windows, out=likeness)


def _nearest(likeness: Floats, start: int) -> list[tuple[int, int]]:
    """(part, whole) of the closest images, for each row of ``likeness``; rows are images from ``start`` on."""
    own = np.arange(len(likeness))
    likeness[own, own + start] = -1.0
    nearest = min(NEAREST, likeness.shape[1] - 1)
    order = np.argpartition(-likeness, nearest - 1, axis=1)[:, :nearest]
    return [(int(row) + start, int(whole)) for row in own for whole in order[row] if likeness[row, whole] > _ALIKE]


def _placed(
    pairs: list[tuple[int, int]], images: Floats, hasher: WindowHasher, hashes: Floats, mirrored: Floats
) -> list[Candidate]:
    """Each pair with the window and the orientation in which it is most alike."""
    part, whole = np.array(pairs, dtype=int).reshape(-1, 2).T
    likeness = np.full(len(part), -1.0, dtype=np.float32)
    place = np.zeros((len(part), 3), dtype=int)
    for row, rows in enumerate(SPANS):
        halves = down(images, rows)
        for column, columns in enumerate(SPANS):
            windows = hasher.hashes(across(halves, columns))[whole]
            for flipped, parts in enumerate((hashes, mirrored)):
                here = np.einsum("ij,ij->i", parts[part], windows)
                closer = here > likeness
                likeness[closer] = here[closer]
                place[closer] = row, column, flipped
    return [
        Candidate(*pair, bool(flipped), SPANS[row], SPANS[column], float(alike))
        for pair, (row, column, flipped), alike in zip(pairs, place, likeness, strict=True)
    ]
