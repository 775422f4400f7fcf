"""A perceptual hash of images and of their parts, by which a cropped copy finds what it was cropped from.

Like pHash (Zauner 2010) it takes the low frequencies of a small image's cosine transform, but it keeps them as real
numbers, for two reasons. Chest radiographs resemble each other: 64 signs would call thousands of patients alike.
And a crop is known only about as closely as the grid of windows lies: Fisher's linear discriminant (Fisher 1936)
weighs the frequencies by how far they differ between images against how far they shift within one image as its
window shifts, and so keeps what tells images apart however they are cropped.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import ClassVar

import cv2
import numpy as np
import scipy.fft
import scipy.linalg
from numpy.typing import NDArray

from lungsight.datasets.duplicates.fingerprint import Thumbnail

#: What windows leave out on each side, as a share of height or width. Every combination of four is a window.
CUTS = (0.0, 0.08, 0.16, 0.24)
#: How far a crop may lie from the nearest window.
_BETWEEN_CUTS = 0.04
#: Cosine frequencies kept in each direction, of an image of _BINS by _BINS.
_FREQUENCIES, _BINS = 10, 32
#: Side of the images that are hashed, in pixels.
_SIDE = 64
#: Numbers in one hash.
HASH_LENGTH = 32
#: Images from which the discriminant is learned, windows tried on each, and how far noise is assumed beyond them.
_LEARN_FROM, _TRIES, _SHRINKAGE = 1500, 4, 1e-3

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Span:
    """From ``start`` to ``stop`` of an image's height or width, each 0…1."""

    start: float
    stop: float

    def shifted(self, start: float, stop: float) -> Span:
        """Return the span with its ends moved, within 0…1."""
        return Span(max(self.start + start, 0.0), min(self.stop + stop, 1.0))


FULL = Span(0.0, 1.0)
#: What a crop may have kept of height or width. A window is one of these by another.
SPANS = tuple(Span(before, 1.0 - after) for before, after in product(CUTS, CUTS))


def reduced(thumbnails: Thumbnail) -> Floats:
    """Return images for :func:`spectrum`, float32 [_SIDE rows, n, _SIDE columns], from uint8 [n, side, side]."""
    small = np.empty((_SIDE, len(thumbnails), _SIDE), dtype=np.float32)
    for n, thumbnail in enumerate(thumbnails):
        small[:, n] = cv2.resize(thumbnail.astype(np.float32), (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    return small


def spectrum(images: Floats, rows: Span = FULL, columns: Span = FULL) -> Floats:
    """Return the lowest cosine frequencies of a window of each reduced image: [n, _FREQUENCIES, _FREQUENCIES]."""
    return across(down(images, rows), columns)


def down(images: Floats, rows: Span) -> Floats:
    """Return the half of :func:`spectrum` that all windows of the same rows share: [_FREQUENCIES, n, _SIDE]."""
    _, n, side = images.shape
    return (_cosines(rows) @ images.reshape(side, -1)).reshape(_FREQUENCIES, n, side)


def across(halves: Floats, columns: Span) -> Floats:
    """Return the other half of :func:`spectrum`."""
    return (halves @ _cosines(columns).T).transpose(1, 0, 2)


def _cosines(span: Span) -> Floats:
    """Averages a span into bins and transforms these: [_FREQUENCIES, _SIDE]."""
    edges = _SIDE * np.linspace(span.start, span.stop, _BINS + 1)
    pixel = np.arange(_SIDE)
    overlap = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    averages = np.clip(overlap, 0.0, None) / np.diff(edges)[:, None]
    transform = scipy.fft.dct(np.eye(_BINS), axis=0, norm="ortho")[:_FREQUENCIES]
    return np.asarray(transform @ averages, dtype=np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class WindowHasher:
    """Hashes of unit length, so that their product is their cosine similarity.

    Attributes:
        mean: of the weighted frequencies, [frequencies].
        discriminant: from weighted frequencies to a hash, [frequencies, HASH_LENGTH].
    """

    mean: Floats
    discriminant: Floats

    _distance: ClassVar[Floats] = np.hypot(*np.indices((_FREQUENCIES, _FREQUENCIES))).astype(np.float32)
    _kept: ClassVar[NDArray[np.bool_]] = (_distance > 0) & (_distance < _FREQUENCIES)

    @classmethod
    def learned_from(cls, images: Floats) -> WindowHasher:
        """Learn Fisher's discriminant between ``images`` (reduced), against the shifts of a window within one."""
        rng = np.random.default_rng(0)
        chosen = rng.permutation(images.shape[1])[:_LEARN_FROM]
        seen, shifts = [], []
        for part in np.array_split(chosen, max(1, len(chosen) // 50)) * _TRIES:
            rows, columns = (SPANS[i] for i in rng.integers(len(SPANS), size=2))
            jitter = rng.uniform(-_BETWEEN_CUTS, _BETWEEN_CUTS, 4)
            here = cls._weighted(spectrum(images[:, part], rows, columns))
            there = cls._weighted(spectrum(images[:, part], rows.shifted(*jitter[:2]), columns.shifted(*jitter[2:])))
            seen.append(here)
            shifts.append(here - there)
        between, within = np.concatenate(seen), np.concatenate(shifts)
        spread = np.cov(between.T)
        noise = within.T @ within / len(within)
        noise += np.eye(len(noise)) * (_SHRINKAGE * np.trace(noise) / len(noise) + 1e-9)
        _, directions = scipy.linalg.eigh(spread, noise)
        return cls(between.mean(axis=0), directions[:, ::-1][:, :HASH_LENGTH].astype(np.float32))

    def hashes(self, spectra: Floats) -> Floats:
        """Return float32 [n, HASH_LENGTH] from spectra [n, _FREQUENCIES, _FREQUENCIES]."""
        return _unit(np.asarray((self._weighted(spectra) - self.mean) @ self.discriminant, dtype=np.float32))

    @classmethod
    def _weighted(cls, spectra: Floats) -> Floats:
        # The power of an image falls with the square of its frequency: this makes all frequencies count alike.
        return _unit(spectra[:, cls._kept] * cls._distance[cls._kept])


def _unit(vectors: Floats) -> Floats:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-6), dtype=np.float32)
