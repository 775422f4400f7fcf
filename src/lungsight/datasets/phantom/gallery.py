"""A picture of a few phantoms with their truth outlined, as in the README."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from lungsight._files import atomic_write
from lungsight.datasets.phantom.drawing import Phantom, draw
from lungsight.datasets.phantom.patient import Label
from lungsight.radiograph import View

_TITLES = {Label.NO_PNEUMONIA: "no pneumonia", Label.COVID19: "COVID-19", Label.OTHER_PNEUMONIA: "other pneumonia"}
_VIEWS = {View.PA: "PA, standing", View.AP: "AP, in bed"}
_LUNG, _LESION = (94, 190, 255), (255, 176, 64)
_GAP = 6


def write_gallery(file: Path | str, *, seed: int = 0, size: int = 384, views: bool = False) -> None:
    """Write a PNG: one phantom per label in the upper row, the same with lungs and lesions outlined below.

    With ``views``, the same patients stand in the upper row and lie in bed in the lower one.
    """
    if views:
        rows = [
            [
                _titled(_coloured(draw(seed + place, label, view=view, size=size)), title)
                for place, label in enumerate(_TITLES)
            ]
            for view, title in _VIEWS.items()
        ]
    else:
        phantoms = [draw(seed + place, label, size=size) for place, label in enumerate(_TITLES)]
        rows = [
            [_titled(_coloured(phantom), _TITLES[phantom.label]) for phantom in phantoms],
            [_outlined(phantom) for phantom in phantoms],
        ]
    picture = _joined([_joined(row, 1) for row in rows], 0)
    drawn = Image.fromarray(picture).quantize(palette=_palette(), dither=Image.Dither.NONE)
    with atomic_write(Path(file)) as out:
        drawn.save(out, format="PNG", optimize=True)


def _palette() -> Image.Image:
    """Few greys and the outlines' colours with their softened edges: enough for the eye, and a small file."""
    greys = np.repeat(np.linspace(0, 255, 72)[:, None], 3, axis=1)
    edges = [np.outer(np.linspace(0.4, 1, 8), colour) for colour in (_LUNG, _LESION)]
    palette = Image.new("P", (1, 1))
    palette.putpalette(np.concatenate([greys, *edges]).round().astype(np.uint8).ravel().tolist())
    return palette


def _coloured(phantom: Phantom) -> NDArray[np.uint8]:
    grey = np.round(phantom.pixels * 255).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)


def _outlined(phantom: Phantom) -> NDArray[np.uint8]:
    picture = _coloured(phantom)
    for mask, colour in ((phantom.lung_mask, _LUNG), (phantom.lesion_mask, _LESION)):
        outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(picture, outlines, -1, colour, max(1, picture.shape[0] // 300), cv2.LINE_AA)
    return picture


def _titled(picture: NDArray[np.uint8], title: str) -> NDArray[np.uint8]:
    image = Image.fromarray(picture)
    tall = max(10, picture.shape[0] // 18)
    pen = ImageDraw.Draw(image)
    pen.text((tall // 2, picture.shape[0] - tall * 1.6), title, (255, 255, 255), ImageFont.load_default(tall),
             stroke_width=max(1, tall // 9), stroke_fill=(0, 0, 0))  # fmt: skip
    return np.asarray(image)


def _joined(pictures: list[NDArray[np.uint8]], axis: int) -> NDArray[np.uint8]:
    """One below (axis 0) or beside (axis 1) the other, with a white gap."""
    shape = list(pictures[0].shape)
    shape[axis] = _GAP
    gap = np.full(shape, 255, np.uint8)
    return np.concatenate([part for picture in pictures for part in (gap, picture)][1:], axis=axis)
