"""Where it looks, on maps and masks whose overlap is known."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sklearn.metrics import f1_score

from lungsight.components.lungs import Box, Lungs
from lungsight.evaluation.audits import localization as module
from lungsight.evaluation.audits.audit import Audit, AuditInput, AuditResult
from lungsight.evaluation.audits.localization import GRID, SPEC
from lungsight.evaluation.testset.lung_masks import LungMask
from lungsight.evaluation.testset.testset import TestSet
from lungsight.inference import Detector
from lungsight.package import Preprocessing
from lungsight.reporting.tables import frame
from lungsight.statistics.bootstrap import Resampling

FEW = Resampling(replicates=300)
SQUASH = Preprocessing(image_size=64)
LEFT = np.tile(np.where(np.arange(8) < 4, 1.0, -1.0), (8, 1))


def localization(testset: TestSet, preprocessing: Preprocessing, at_most: int = 400) -> Audit:
    """By a model of which no more is asked than how it prepares images."""
    model = SimpleNamespace(preprocessing=preprocessing, lacks={})
    return SPEC.audit(AuditInput(testset, FEW, cast(Detector, model), at_most))


def draw_mask(file: Path, mask: np.ndarray) -> str:
    Image.fromarray(mask.astype(np.uint8) * 255).save(file)
    return str(file)


def judged_of(evidence: Sequence[np.ndarray], width: int = 64, height: int = 64, **columns: object) -> TestSet:
    """Images of one external source whose evidence, target minus the other class, is given."""
    n = len(evidence)
    stated = {
        "source": "north", "kind": "external", "patient": [f"p{i}" for i in range(n)], "truth": "covid19",
        "fault": "", "lung_mask": "", "lesion_mask": "", "boxes": "",
    }  # fmt: skip
    maps = np.stack([np.stack([one, np.zeros_like(one)]) for one in evidence]).astype(np.float32)
    headers = pd.DataFrame({"height": [float(height)] * n, "width": [float(width)] * n})
    table = pd.DataFrame(stated | columns, index=range(n))
    return TestSet(table, ("covid19", "other"), "covid19", headers, None, maps)


def value_of(audit: Audit, metric: str, region: str = "lungs") -> float:
    rows = frame(audit.rows)[(frame(audit.rows)["metric"] == metric) & (frame(audit.rows)["region"] == region)]
    assert len(rows) == 1
    return float(rows["value"].iloc[0])


def test_heat_in_the_left_half(tmp_path: Path) -> None:
    left = draw_mask(tmp_path / "left.png", np.arange(100)[None].repeat(80, 0) < 50)
    right = draw_mask(tmp_path / "right.png", np.arange(100)[None].repeat(80, 0) >= 50)
    audit = localization(judged_of([LEFT] * 4, lung_mask=[left, left, right, right]), SQUASH)
    assert audit.call is AuditResult.REPORTED
    assert value_of(audit, "heat_inside") == pytest.approx(0.5, abs=0.01)
    assert value_of(audit, "area") == pytest.approx(0.5)
    assert audit.effect is not None
    assert audit.effect.name == "heat_inside_minus_area"
    alone = localization(judged_of([LEFT] * 4, lung_mask=left), SQUASH)
    assert value_of(alone, "heat_inside") == pytest.approx(1, abs=0.02)
    assert value_of(alone, "guess_heat_inside") > 0.95  # the average of others is the same mask


@pytest.mark.parametrize("geometry", ["squash", "pad", "crop"])
def test_even_heat_is_no_better_than_chance(tmp_path: Path, geometry: str) -> None:
    rng = np.random.default_rng(0)
    masks = []
    for i in range(6):
        mask = np.zeros((90, 60), dtype=bool)
        top, left = rng.integers(15, 40), rng.integers(0, 30)
        mask[top : top + 25, left : left + 20] = True
        masks.append(draw_mask(tmp_path / f"{i}.png", mask))
    preprocessing = Preprocessing(image_size=64, geometry=geometry)  # type: ignore[arg-type]
    testset = judged_of([np.ones((8, 8))] * 6, width=60, height=90, lung_mask=masks)
    audit = localization(testset, preprocessing)
    gap = value_of(audit, "heat_inside_minus_area")
    if geometry == "crop":  # nothing above and below is seen, and these masks lie in between
        assert gap == pytest.approx(value_of(audit, "area") / 2, rel=0.1)
    else:
        assert gap == pytest.approx(0, abs=0.002)


def test_maps_that_know_nothing_lie_within_chance(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    mask = draw_mask(tmp_path / "m.png", np.arange(100)[:, None].repeat(100, 1) < 30)
    audit = localization(judged_of(list(rng.normal(size=(80, 8, 8))), lung_mask=mask), SQUASH)
    assert audit.effect is not None
    assert audit.effect.low is not None
    assert audit.effect.high is not None
    assert audit.effect.low < 0 < audit.effect.high
    assert "no more than by chance" in audit.meaning


@settings(deadline=None)
@given(
    st.sampled_from(["squash", "pad", "crop"]),
    st.integers(40, 160),
    st.integers(40, 160),
    st.integers(0, 7),
    st.integers(0, 7),
)
def test_at_the_peak_the_heatmap_is_highest(geometry: str, height: int, width: int, row: int, column: int) -> None:
    preprocessing = Preprocessing(image_size=64, geometry=geometry)  # type: ignore[arg-type]
    network_map = np.zeros((8, 8), np.float32)
    network_map[row, column] = 1
    scale = 256 / max(height, width)
    shape = (round(height * scale), round(width * scale))
    peak = module._peak(network_map, shape, preprocessing)
    shown = module._on_grid(network_map, shape, preprocessing)
    if peak == (-1, -1):  # beside the image
        assert shown.max() < 1
    else:
        assert shown[peak] > 0.8


def test_the_pointing_game_against_centre_and_fixed_place() -> None:
    """The model points at the lesion, top left or bottom right by lot; a fixed place can be right for one only."""
    corners = [(1, 1), (6, 6)] * 10
    evidence, boxes = [], []
    for row, column in corners:
        one = np.full((8, 8), -1.0)
        one[row, column] = 2
        evidence.append(one)
        boxes.append(json.dumps([[column / 8 - 0.05, row / 8 - 0.05, column / 8 + 0.2, row / 8 + 0.2]]))
    audit = localization(judged_of(evidence, boxes=boxes), SQUASH)
    assert value_of(audit, "pointing_game", "lesions") == 1
    assert value_of(audit, "pointing_at_centre", "lesions") == 0
    assert 0 < value_of(audit, "pointing_at_fixed_place", "lesions") < 1
    assert value_of(audit, "pointing_minus_area", "lesions") == pytest.approx(1 - 0.0625, abs=0.01)
    assert value_of(audit, "dice", "lesions") > 0.7
    exact = frame(audit.rows)[(frame(audit.rows)["metric"] == "pointing_game")].iloc[0]
    assert exact["interval"] == "exact"
    assert exact["low"] < 1


def test_the_fixed_place_never_comes_from_the_same_patient() -> None:
    """Each patient's lesion lies where no other's does: chosen on other patients, the place must always miss."""
    boxes = [json.dumps([[i / 8, i / 8, (i + 1) / 8, (i + 1) / 8]]) for i in range(8) for _ in range(2)]
    patients = [f"p{i}" for i in range(8) for _ in range(2)]
    audit = localization(judged_of([LEFT] * 16, boxes=boxes, patient=patients), SQUASH)
    assert value_of(audit, "pointing_at_fixed_place", "lesions") == 0
    assert value_of(audit, "guess_heat_inside", "lesions") < 0.02


@settings(deadline=None)
@given(st.integers(0, 10**6), st.floats(0.02, 0.9))
def test_dice_is_the_overlap_with_as_large_a_part(seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    region = rng.random((GRID, GRID)) < share
    heat = rng.random((GRID, GRID)) + 0.3 * region
    strongest = np.zeros(GRID * GRID, dtype=bool)
    strongest[np.argsort(-heat.ravel())[: region.sum()]] = True
    expected = f1_score(region.ravel(), strongest)
    assert module._dice(heat[None], region[None])[0] == pytest.approx(expected)


def test_a_lesion_mask_goes_before_boxes(tmp_path: Path) -> None:
    left = draw_mask(tmp_path / "left.png", np.arange(100)[None].repeat(80, 0) < 50)
    testset = judged_of([LEFT] * 3, lesion_mask=left, boxes="[[0.6, 0, 1, 1]]")
    assert value_of(localization(testset, SQUASH), "heat_inside", "lesions") > 0.95


def test_images_of_other_classes_have_no_lesions_to_find(tmp_path: Path) -> None:
    mask = draw_mask(tmp_path / "m.png", np.eye(900) > 0)
    testset = judged_of([LEFT] * 3, truth="other", boxes="[[0, 0, 1, 1]]", lung_mask=["", "", mask])
    assert localization(testset, SQUASH).call is AuditResult.NOT_DONE  # a line as thin as that is no lung on the grid
    whole = draw_mask(tmp_path / "w.png", np.ones((50, 50)))
    audit = localization(testset.with_columns(lung_mask=whole), SQUASH)
    assert set(frame(audit.rows)["region"]) == {"lungs"}


def test_against_everywhere_is_no_heat(tmp_path: Path) -> None:
    left = draw_mask(tmp_path / "left.png", np.arange(100)[None].repeat(80, 0) < 50)
    audit = localization(judged_of([LEFT, LEFT, -np.ones((8, 8))], lung_mask=left), SQUASH)
    assert value_of(audit, "has_heat") == pytest.approx(2 / 3)
    assert frame(audit.rows).set_index("metric").loc["heat_inside", "n"] == 2
    none = localization(judged_of([-np.ones((8, 8))] * 3, lung_mask=left), SQUASH)
    assert none.effect is not None
    assert none.effect.value is None


@pytest.mark.parametrize(
    "boxes",
    [
        *("", "[]", "no boxes", "[[0.1, 0.2]]", "{}", '["a", "b", "c", "d"]', "7", "[" * 9999),
        *("[[0, 0, 300, 400]]", "[[0, 0, NaN, 1]]", "[[-1, 0, 1, 1]]"),
    ],
    ids=str.__len__,
)
def test_what_is_not_a_list_of_boxes_counts_as_none(boxes: str) -> None:
    audit = localization(judged_of([LEFT] * 3, boxes=boxes), SQUASH)
    assert audit.call is AuditResult.NOT_DONE
    assert "lung segmentation" in audit.meaning


def test_maps_that_are_no_numbers_are_left_out(tmp_path: Path) -> None:
    left = draw_mask(tmp_path / "left.png", np.arange(100)[None].repeat(80, 0) < 50)
    testset = judged_of([LEFT, np.full((8, 8), np.nan), LEFT], lung_mask=[left, left, str(tmp_path / "gone.png")])
    audit = localization(testset, SQUASH)
    assert audit.images == 1
    assert audit.effect is not None
    assert "one patient" in (audit.effect.withheld or "")
    nothing = localization(judged_of([np.full((8, 8), np.nan)] * 2, lung_mask=left), SQUASH)
    assert nothing.call is AuditResult.NOT_DONE
    assert "numbers" in nothing.meaning
    assert localization(replace(testset, maps=None), SQUASH).call is AuditResult.NOT_DONE


def test_sources_stay_apart_and_each_gives_at_most_so_many(tmp_path: Path) -> None:
    left = draw_mask(tmp_path / "left.png", np.arange(100)[None].repeat(80, 0) < 50)
    sources, kinds = ["a"] * 5 + ["b"] * 3, ["internal"] * 5 + ["external"] * 3
    testset = judged_of([LEFT] * 8, lung_mask=left, source=sources, kind=kinds)
    audit = localization(testset, SQUASH, at_most=4)
    assert audit.images == 7
    assert audit.effect is not None
    assert audit.effect.n == 3  # external


@settings(deadline=None, max_examples=30)
@given(st.floats(0, 0.5), st.floats(0, 0.5), st.floats(0.2, 0.5), st.floats(0.2, 0.5))
def test_the_map_of_a_box_is_laid_over_the_box(left: float, top: float, width: float, height: float) -> None:
    crop = Box(left, top, left + width, top + height)
    preprocessing = Preprocessing(image_size=64, geometry="lungs", margin=0.0)
    network_map = np.zeros((8, 8), np.float32)
    network_map[2, 5] = 1
    row, column = module._peak(network_map, (200, 256), preprocessing, crop)
    assert row / GRID == pytest.approx(top + height * 2.5 / 8, abs=0.03)
    assert column / GRID == pytest.approx(left + width * 5.5 / 8, abs=0.03)
    laid = module._on_grid(network_map, (200, 256), preprocessing, crop)
    assert laid[row, column] == pytest.approx(laid.max(), abs=0.15)
    assert np.isfinite(laid).mean() == pytest.approx(width * height, abs=0.05)


def test_lungs_that_a_network_found_stand_in_for_masks(tmp_path: Path) -> None:
    half = np.zeros((64, 64), dtype=bool)
    half[:, :32] = True
    bad = LungMask.of(Lungs(half, ("Only one lung was found.",)))
    testset = judged_of([LEFT] * 5, lung_mask=["", "", draw_mask(tmp_path / "right.png", ~half), "", ""])
    found = LungMask.of(Lungs(half))
    audit = localization(replace(testset, lungs=(found, found, found, bad, None)), SQUASH)
    assert audit.images == 3  # those with bad lungs, or none, aren't looked at
    assert value_of(audit, "heat_inside") == pytest.approx(2 / 3, abs=0.03)
    assert "Lung segmentation: 1 from the manifest's masks, 2 found by a network." in audit.meaning


def test_even_heat_in_the_lungs_box_is_no_better_than_chance_there() -> None:
    """Of the whole image a network that sees only the box looks good whatever it learned."""
    two = np.zeros((64, 64), dtype=bool)
    two[16:48, 8:28] = two[16:48, 36:56] = True
    found = LungMask.of(Lungs(two), Lungs(two).box)
    testset = replace(judged_of([np.ones((8, 8))] * 4), lungs=(found,) * 4)
    preprocessing = Preprocessing(image_size=64, geometry="lungs", margin=0.1)
    audit = localization(testset, preprocessing)
    assert value_of(audit, "heat_inside_minus_area") > 0.2
    assert value_of(audit, "heat_inside_minus_area_in_view") == pytest.approx(0, abs=0.03)
    assert audit.effect is not None
    assert audit.effect.name == "heat_inside_minus_area_in_view"
    assert "of what the network sees of it" in audit.meaning
