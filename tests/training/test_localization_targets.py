from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from lungsight.components.preprocessing import Preprocessing
from lungsight.datasets.manifest import Manifest
from lungsight.training.localization_targets import GRID, known_targets

SQUASHED = Preprocessing(image_size=64)


class _Lungs:
    """Two lungs in the upper half of the image."""

    def __init__(self) -> None:
        self.mask = np.zeros((64, 64), dtype=bool)
        self.mask[8:32, 8:24] = self.mask[8:32, 40:56] = True
        self.box = _Box(8 / 64, 8 / 64, 56 / 64, 32 / 64)
        self.problems: tuple[str, ...] = ()


class _Box:
    def __init__(self, left: float, top: float, right: float, bottom: float) -> None:
        self.left, self.top, self.right, self.bottom = left, top, right, bottom


def _manifest(*boxes: list[list[float]]) -> Manifest:
    rows = [
        {"path": f"{i}.png", "label": "covid19", "boxes": json.dumps(b) if b else ""} for i, b in enumerate(boxes)
    ]
    return Manifest.of(pd.DataFrame(rows), "made")


def _places(
    boxes: list[list[float]], *, healthy: bool = False, lungs: bool = False, **geometry: object
) -> np.ndarray:
    preprocessing = Preprocessing(image_size=64, **geometry)  # type: ignore[arg-type]
    find = (lambda _path: _Lungs()) if lungs else None
    return known_targets(_manifest(boxes), np.array([healthy]), preprocessing, find)[0]  # type: ignore[arg-type]


def test_boxes_lie_where_they_were_drawn_and_all_else_is_known_to_be_clear() -> None:
    diseased, unknown = _places([[0.0, 0.5, 0.25, 1.0]])
    assert not unknown.any()
    assert (diseased[GRID // 2 + 1 :, : GRID // 4 - 1] == 255).all()
    assert not diseased[: GRID // 2 - 1].any()
    assert diseased.mean() / 255 == pytest.approx(0.125, abs=0.01)


def test_a_healthy_image_is_known_to_be_clear_everywhere() -> None:
    assert not _places([], healthy=True).any()


def test_of_unmarked_disease_nothing_is_known() -> None:
    diseased, unknown = _places([])
    assert not diseased.any()
    assert (unknown == 255).all()


def test_with_lungs_it_is_known_to_lie_inside_or_near_them() -> None:
    diseased, unknown = _places([], lungs=True)
    assert not diseased.any()
    assert not unknown[GRID * 3 // 4 :].any()
    assert (unknown[6:14, 6:11] == 255).all()


def test_a_crop_moves_the_places_with_the_image() -> None:
    diseased, _ = _places([[0.125, 0.125, 0.5, 0.5]], lungs=True, geometry="lungs", margin=0.0)
    assert (diseased[2:-2, 1 : GRID // 2 - 1] == 255).all()  # the left half of the box around the lungs
    assert not diseased[:, GRID // 2 + 1 :].any()
