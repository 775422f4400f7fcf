"""Whether two images are one: the smaller part is laid over the whole, and their fine detail is compared.

Chest radiographs agree in all that is coarse. What differs between two patients, and between two images of one
patient, are the edges of ribs and vessels and their courses: only this is compared, piece by piece, so that a
letter, an arrow or a label somewhere doesn't hide a copy and a shared label doesn't feign one.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from lungsight.datasets.duplicates.candidates import Candidate
from lungsight.datasets.duplicates.fingerprint import THUMBNAIL_SIDE, Thumbnail
from lungsight.datasets.duplicates.windows import FULL, Floats, Span

#: Side of the grid on which two images are laid over each other, and what it sees around the part, in pixels.
_SIDE, _MARGIN = 96, 10
#: Detail coarser than this is left out; contrast is made even over the same distance. In pixels of the grid.
_COARSE = 3.5
#: Contrast below this is noise, in grey levels.
_NOISE = 3.0
#: Pieces are compared one by one: side in pixels, the share that must be seen, how many must be.
_PIECE, _SEEN, _PIECES = 24, 0.5, 6
#: Variance of a piece's detail below which there is none: contrast of 2/3 of _NOISE.
_DETAILED = 0.3
#: The share of pieces that letters, arrows and labels may have spoilt.
_DISAGREEING = 0.25
#: Detail is smoothed by this much before it is registered, so that it finds together from farther away.
_SMOOTHING = 5
_STOP = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 40, 1e-4)
#: A correction of the window that shears or scales beyond this didn't find the part in the whole.
_MOST_SHEAR, _MOST_SCALE = 0.1, 0.3

Affine = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Registration:
    """How the part fits into the whole.

    Attributes:
        similarity: correlation of fine detail, -1…1, that three quarters of the pieces reach.
        left_out: the largest share of the whole's height or width that lies beyond one edge of the part.
    """

    similarity: float
    left_out: float


def register(candidate: Candidate, part: Thumbnail, whole: Thumbnail) -> Registration | None:
    """Lay the candidate's ``part`` over its ``whole``. Returns None where it fits nowhere."""
    if candidate.mirrored:
        part = np.ascontiguousarray(part[:, ::-1])
    grid = _start(candidate.rows, candidate.columns)
    scale = float(np.sqrt(abs(np.linalg.det(grid[:, :2]))))
    seen = _detail(_blurred_like(_sampled(part, _start(FULL, FULL), 0), scale))
    around = _detail(_sampled(whole, grid, _MARGIN))
    correction = np.array([[1, 0, _MARGIN], [0, 1, _MARGIN]], dtype=np.float32)
    try:
        everywhere = np.full_like(around, 255, dtype=np.uint8)
        _, found = cv2.findTransformECC(seen, around, correction, cv2.MOTION_AFFINE, _STOP, everywhere, _SMOOTHING)
    except cv2.error:  # it raises where the images have nothing in common
        return None
    correction = np.asarray(found, dtype=np.float32)
    correction[:, 2] -= _MARGIN
    if not _is_crop(correction):
        return None
    grid = _composed(grid, correction)
    visible = _sampled(np.ones_like(whole), grid, 0) > 0
    return Registration(_similarity(seen, _detail(_sampled(whole, grid, 0)), visible), _left_out(grid))


def _start(rows: Span, columns: Span) -> Affine:
    """From the grid's pixels to those of a window of a thumbnail."""
    scales = [THUMBNAIL_SIDE / _SIDE * (span.stop - span.start) for span in (columns, rows)]
    # pixel centres lie at a half
    offsets = [THUMBNAIL_SIDE * s.start + 0.5 * x - 0.5 for s, x in zip((columns, rows), scales, strict=True)]
    return np.array([[scales[0], 0, offsets[0]], [0, scales[1], offsets[1]]], dtype=np.float32)


def _composed(outer: Affine, inner: Affine) -> Affine:
    square = np.vstack([inner, [0, 0, 1]])
    return np.asarray(outer @ square, dtype=np.float32)


def _sampled(image: Thumbnail, grid: Affine, margin: int) -> Thumbnail:
    shift = np.array([[1, 0, -margin], [0, 1, -margin]], dtype=np.float32)
    scale = float(np.sqrt(abs(np.linalg.det(grid[:, :2]))))
    # without this, a whole that is reduced would alias
    smooth = cv2.GaussianBlur(image, (0, 0), 0.4 * scale) if scale > 1 else image
    side = _SIDE + 2 * margin
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    warped = cv2.warpAffine(smooth, _composed(grid, shift), (side, side), flags=flags)
    return np.asarray(warped, dtype=np.uint8)


def _blurred_like(part: Thumbnail, scale: float) -> Thumbnail:
    """The part of a crop has more pixels than its place in the whole's thumbnail: lose what that has lost."""
    lost = 1 / scale**2 - (_SIDE / THUMBNAIL_SIDE) ** 2
    if lost < 0.01:
        return part
    return np.asarray(cv2.GaussianBlur(part, (0, 0), 0.5 * float(np.sqrt(lost))), dtype=np.uint8)


def _is_crop(correction: Affine) -> bool:
    deviation = np.abs(correction[:, :2] - np.eye(2))
    return bool(deviation.diagonal().max() < _MOST_SCALE and max(deviation[0, 1], deviation[1, 0]) < _MOST_SHEAR)


def _detail(image: Thumbnail) -> Floats:
    """Fine detail, at an even contrast."""
    grey = image.astype(np.float32)
    detail = grey - cv2.GaussianBlur(grey, (0, 0), _COARSE)
    contrast = np.sqrt(cv2.GaussianBlur(detail * detail, (0, 0), _COARSE) + _NOISE**2)
    return np.asarray(detail / contrast, dtype=np.float32)


def _similarity(one: Floats, other: Floats, visible: NDArray[np.bool_]) -> float:
    weight = visible.astype(np.float32)
    share = _by_piece(weight)

    def mean(values: Floats) -> Floats:
        return np.asarray(_by_piece(values * weight) / np.maximum(share, 1e-3), dtype=np.float32)

    covariance = mean(one * other) - mean(one) * mean(other)
    variances = np.stack([mean(one * one) - mean(one) ** 2, mean(other * other) - mean(other) ** 2])
    # in a piece that shows nothing but air, noise would be compared with noise
    compared = (share > _SEEN) & (variances.max(axis=0) > _DETAILED)
    if compared.sum() < _PIECES:
        return 0.0
    correlation = covariance / np.sqrt(np.maximum(variances.prod(axis=0), 1e-4))
    return float(np.quantile(correlation[compared], _DISAGREEING))


def _by_piece(values: Floats) -> Floats:
    pieces = _SIDE // _PIECE
    return np.asarray(cv2.resize(values, (pieces, pieces), interpolation=cv2.INTER_AREA), dtype=np.float32)


def _left_out(grid: Affine) -> float:
    """How far the whole reaches beyond the part, as a share of its side."""
    corners = np.array([[-0.5, -0.5, 1], [_SIDE - 0.5, -0.5, 1], [-0.5, _SIDE - 0.5, 1], [_SIDE - 0.5] * 2 + [1]])
    places = (corners @ grid.T + 0.5) / THUMBNAIL_SIDE
    return float(max(places.min(axis=0).max(), (1.0 - places.max(axis=0)).max(), 0.0))
