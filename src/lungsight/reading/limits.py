"""Limits on the size of a radiograph, checked before anything is decoded."""

from __future__ import annotations

from lungsight.errors import UnreadableImageError

MAX_BYTES = 512 * 2**20
"""Of a file, or of an unpacked member of an archive."""
MAX_PIXELS = 100_000_000
"""The largest detectors and film digitisers have about 30 million."""
MIN_SIDE = 32


def check_size(name: str, height: int, width: int) -> None:
    """Raise UnreadableImageError if the image is too large or too small for a radiograph."""
    if height * width > MAX_PIXELS:
        raise UnreadableImageError(
            name,
            f"{width} × {height} pixels are more than any radiograph has (limit {MAX_PIXELS // 10**6} million)",
            "check where the file comes from, or export it smaller",
        )
    if min(height, width) < MIN_SIDE:
        raise UnreadableImageError(
            name,
            f"{width} × {height} pixels are too few for a radiograph (at least {MIN_SIDE} a side)",
            "give the full image, not a thumbnail",
        )


def check_bytes(name: str, size: int) -> None:
    """Raise UnreadableImageError if a file has too many bytes to be read into memory."""
    if size > MAX_BYTES:
        raise UnreadableImageError(
            name,
            f"{size / 2**20:.0f} MiB are more than any radiograph needs (limit {MAX_BYTES // 2**20} MiB)",
            "check where the file comes from",
        )


def several_images(name: str, what: str) -> UnreadableImageError:
    """The error for a file with more than one image: ``several pages``, ``12 frames``."""
    return UnreadableImageError(name, f"it holds {what}", "save the one X-ray image as a file of its own")
