"""Phantoms for a room without images: drawn here, with a known label. It needs the extra ``data``."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image

from lungsight._text import as_words
from lungsight.datasets.phantom import HOSPITALS, Label, Shortcut, draw

#: What a phantom's label rests on.
STANDARD = "simulation truth"


@dataclass(frozen=True)
class Drawn:
    """A phantom as a file.

    Attributes:
        png: 8-bit grey.
        label: what it shows.
        words: what it shows and what was planted in it, for people.
    """

    png: bytes
    label: str
    words: str


def phantoms(count: int, label: str | None, shortcut: str | None, size: int, seed: int | None) -> Iterator[Drawn]:
    """Draw phantoms, one after the other.

    Args:
        count: how many.
        label: of all; None for each in turn.
        shortcut: planted in all; None for none.
        size: their height in pixels.
        seed: the same draws the same images; None for others at every call.
    """
    labels, planted = list(Label), None if shortcut is None else Shortcut(shortcut)
    first = secrets.randbelow(2**40) if seed is None else seed
    for number in range(count):
        shows = labels[number % len(labels)] if label is None else Label(label)
        hospital = HOSPITALS[number % len(HOSPITALS)]
        pixels = draw(first + number, shows, hospital=hospital, shortcut=planted, size=size).pixels
        data = BytesIO()
        Image.fromarray(np.rint(pixels * 255).astype(np.uint8)).save(data, "PNG", compress_level=3)
        words = f"phantom: {as_words(shows)}" + (f", with {planted.value.replace('_', ' ')}" if planted else "")
        yield Drawn(data.getvalue(), str(shows), words)
