"""256 bits by which an image is known again, re-encoded, brightened, lettered or mirrored, without being kept.

It is pHash (Zauner 2010, by the library imagehash) of the thumbnail after adaptive histogram equalisation (CLAHE,
Zuiderveld 1994, by OpenCV): chest radiographs agree in all that is coarse and bright, and without the equalisation
their hashes lie too close together. benchmarks/quality/overlap.py measures what it finds and misses.

256 signs of frequencies no finer than a twelfth of the image show no patient.
"""

from __future__ import annotations

import cv2
import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lungsight.datasets.duplicates.fingerprint import Thumbnail

#: Bits of a hash: the lowest 16 by 16 cosine frequencies.
BITS = 256
_SIDE = 16
_CONTRAST_LIMIT, _TILES = 8.0, 6
#: A thumbnail with less contrast than this, in grey levels, shows nothing that could be known again.
_PLAIN = 2.0


def perceptual_hash(thumbnail: Thumbnail) -> str:
    """Return the hash of a :class:`.Fingerprint`'s thumbnail, uint8 [side, side], as 64 hexadecimal digits.

    It is empty where the image is plain or couldn't be read.
    """
    if thumbnail.std() < _PLAIN:
        return ""
    even = cv2.createCLAHE(_CONTRAST_LIMIT, (_TILES, _TILES)).apply(thumbnail)
    return str(imagehash.phash(Image.fromarray(even), _SIDE))


def perceptual_hashes(thumbnails: Thumbnail, *, mirrored: bool = False) -> list[str]:
    """Return the hash of each of uint8 [n, side, side], as it is or ``mirrored``."""
    return [perceptual_hash(np.ascontiguousarray(image[:, ::-1]) if mirrored else image) for image in thumbnails]


def as_bits(hashes: list[str]) -> NDArray[np.uint8]:
    """Return the bytes of hashes, uint8 [n, 32]. Raises ValueError for text that isn't one."""
    if any(len(digits) * 4 != BITS for digits in hashes):
        raise ValueError(f"a perceptual hash has {BITS // 4} hexadecimal digits")
    return np.frombuffer(bytes.fromhex("".join(hashes)), dtype=np.uint8).reshape(len(hashes), BITS // 8)


def distances(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return the bits that differ, int [n, m], between hashes [n, 32] and [m, 32]."""
    # with bits as ±1, the inner product is (equal - different): one matrix product instead of n × m comparisons
    signs = [np.unpackbits(hashes, axis=1).astype(np.float32) * 2 - 1 for hashes in (one, other)]
    return np.rint((BITS - signs[0] @ signs[1].T) / 2).astype(np.int64)
