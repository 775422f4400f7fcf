"""Images altered and judged: which, how many at a time, and never twice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lungsight.evaluation.audits import perturbed_predictions as interventions
from lungsight.evaluation.audits.perturbed_predictions import audited_image, audited_rows, predict_perturbed
from lungsight.inference import Detector
from lungsight.radiograph import Radiograph


def films_of(film: type, count: int) -> list:
    return [film("covid19" if i % 2 else "other", 0.3 + 0.4 * (i % 2), f"p{i}") for i in range(count)]


def test_the_choice_is_even_over_source_and_truth(tested: Callable, film: type) -> None:
    many = [film("other", 0.3, f"a{i}", "north") for i in range(20)]
    few = [film("covid19", 0.7, f"b{i}", "south") for i in range(3)] + [film("other", 0.2, "c", "south")]
    testset = tested(many + few).testset
    rows = audited_rows(testset, 9)
    chosen = testset.table.iloc[rows].groupby(["source", "truth"]).size().to_dict()
    assert chosen == {("north", "other"): 5, ("south", "covid19"): 3, ("south", "other"): 1}
    np.testing.assert_array_equal(rows, audited_rows(testset, 9))
    np.testing.assert_array_equal(audited_rows(testset, 99), np.arange(24))
    only = (testset.table["source"] == "south").to_numpy()
    assert set(audited_rows(testset, 99, among=only)) == {20, 21, 22, 23}


def test_few_pictures_go_through_the_network_at_once(
    tested: Callable, film: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many alterations of a large picture would not fit in memory."""
    model = tested(films_of(film, 10))
    alterations = {f"times {i}": (lambda exam, i=i: exam.pixels * np.float32(1 - i / 50)) for i in range(7)}
    whole = predict_perturbed(model.detector, model.testset, np.arange(10), alterations)
    asked: list[int] = []
    predict = Detector.predict
    monkeypatch.setattr(Detector, "predict", lambda self, pixels: asked.append(len(pixels)) or predict(self, pixels))
    monkeypatch.setattr(interventions, "_PIXELS_AT_ONCE", 3 * 32 * 32)
    little = predict_perturbed(model.detector, model.testset, np.arange(10), alterations)
    assert max(asked) == 3
    assert sum(asked) == 70
    for name, probabilities in whole.items():
        np.testing.assert_allclose(little[name], probabilities, atol=1e-6)
    assert whole["times 1"][1, 0] > whole["times 6"][1, 0]


def test_an_image_that_cannot_be_altered_has_no_answer(tested: Callable, film: type, tmp_path: Path) -> None:
    model = tested(films_of(film, 4))
    dark = {"dark ones": lambda exam: exam.pixels if exam.pixels.mean() < 0.5 else None}
    for _ in range(2):  # the second time from the file
        answers = predict_perturbed(model.detector, model.testset, np.arange(4), dark, cache=tmp_path / "a.jsonl")
        assert np.isfinite(answers["dark ones"]).all(axis=1).tolist() == [True, False, True, False]


def test_with_other_lungs_an_image_is_asked_again(tested: Callable, film: type, tmp_path: Path) -> None:
    """Somebody adds the masks, or mends them, and runs the same command again."""
    model = tested(films_of(film, 2))
    outside = {"lungs hidden": lambda exam: None if exam.lungs is None else np.where(exam.lungs, 0, exam.pixels)}
    mask, seen = tmp_path / "lungs.png", []
    for share in (0, 2, 3):
        lungs = np.zeros((64, 64), dtype=np.uint8)
        lungs[:, : 64 * share // 3] = 255
        testset = model.testset.with_columns(lung_mask=str(mask) if share else "")
        Image.fromarray(lungs).save(mask)
        seen.append(
            predict_perturbed(model.detector, testset, [0, 1], outside, cache=tmp_path / "a.jsonl")["lungs hidden"]
        )
    assert np.isnan(seen[0]).all()
    assert np.isfinite(seen[1:]).all()
    assert (seen[1] != seen[2]).all()


@settings(deadline=None)
@given(st.integers(8, 300), st.integers(8, 300), st.integers(8, 100))
def test_an_exam_is_reduced_never_enlarged(height: int, width: int, side: int) -> None:
    radiograph = Radiograph(np.zeros((height, width), np.float32), "a.png", "0" * 64)
    shape = audited_image(radiograph, "", side).pixels.shape
    assert max(shape) == min(side, max(height, width))
    assert shape[0] <= height
    assert shape[1] <= width
