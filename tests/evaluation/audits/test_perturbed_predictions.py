"""Images altered and judged: which, how many at a time, and never twice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lungsight.alterations.image import Alteration
from lungsight.datasets.manifest import Manifest
from lungsight.evaluation.answer_store import AnswerStore
from lungsight.evaluation.audits.perturbed_predictions import Perturbations, audited_rows, planned
from lungsight.evaluation.testset import predict as predicting
from lungsight.evaluation.testset.altered import audited_image
from lungsight.evaluation.testset.predict import predict_manifest_images
from lungsight.evaluation.testset.testset import TestSet
from lungsight.inference import Detector
from lungsight.inference.preparation import CheckedImage
from lungsight.package import Preprocessing
from lungsight.radiograph import Radiograph
from lungsight.statistics.outcomes import Floats


def predict_perturbed(
    detector: Detector, testset: TestSet, alterations: dict[str, Alteration], store: AnswerStore | None = None
) -> dict[str, Floats]:
    """Of all images."""
    store = store or AnswerStore.in_memory()
    return Perturbations(alterations).predict(detector, testset, 99, store)[1]


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
    whole = predict_perturbed(model.detector, model.testset, alterations)
    asked: list[int] = []
    logits = Detector.logits
    monkeypatch.setattr(Detector, "logits", lambda self, seen: asked.append(len(seen)) or logits(self, seen))
    monkeypatch.setattr(predicting, "_PIXELS_AT_ONCE", 3 * 32 * 32)
    little = predict_perturbed(model.detector, model.testset, alterations)
    assert max(asked) == 3
    assert sum(asked) == 70
    for name, probabilities in whole.items():
        np.testing.assert_allclose(little[name], probabilities, atol=1e-6)
    assert whole["times 1"][1, 0] > whole["times 6"][1, 0]


def test_an_image_that_cannot_be_altered_has_no_answer(tested: Callable, film: type, tmp_path: Path) -> None:
    model = tested(films_of(film, 4))
    dark = {"dark ones": lambda exam: exam.pixels if exam.pixels.mean() < 0.5 else None}
    for _ in range(2):  # the second time from the store
        with AnswerStore.open(tmp_path / "a.sqlite") as store:
            answers = predict_perturbed(model.detector, model.testset, dark, store)
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
        with AnswerStore.open(tmp_path / "a.sqlite") as store:
            seen.append(predict_perturbed(model.detector, testset, outside, store)["lungs hidden"])
    assert np.isnan(seen[0]).all()
    assert np.isfinite(seen[1:]).all()
    assert (seen[1] != seen[2]).all()


@settings(deadline=None)
@given(st.integers(8, 300), st.integers(8, 300), st.integers(32, 100))
def test_an_exam_is_reduced_never_enlarged(height: int, width: int, side: int) -> None:
    checked = CheckedImage(Radiograph(np.zeros((height, width), np.float32), "a.png", "0" * 64))
    shape = audited_image(checked, "", None, Preprocessing(image_size=side)).pixels.shape
    assert max(shape) == min(2 * side, max(height, width))
    assert shape[0] <= height
    assert shape[1] <= width


def test_one_pass_predicts_the_images_and_what_audits_will_ask(
    tested: Callable, film: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each file is opened once, and the answers are those of audits that ask by themselves."""
    model = tested(films_of(film, 12))
    some = Perturbations({"darker": lambda exam: exam.pixels * np.float32(0.9)}, share=0.5)
    negative = Perturbations({"negative": lambda exam: 1 - exam.pixels}, of_each_kind=False)
    expected = [one.predict(model.detector, model.testset, 8, AnswerStore.in_memory()) for one in (some, negative)]
    images = Manifest(model.testset.table, "films")
    plan = planned([some, negative], images, model.testset.classes, model.testset.target, 8)
    assert sum("darker" in of_row for of_row in plan.values()) == 4
    assert sum("negative" in of_row for of_row in plan.values()) == 8
    opened: list[object] = []
    read = Detector.read
    monkeypatch.setattr(Detector, "read", lambda self, source: opened.append(source) or read(self, source))
    store = AnswerStore.in_memory()
    predict_manifest_images(model.detector, images, store=store, alterations=plan)
    found = [one.predict(model.detector, model.testset, 8, store) for one in (some, negative)]
    assert len(opened) == 12
    for (chosen, answers), (as_chosen, as_answered) in zip(found, expected, strict=True):
        assert chosen.table["path"].tolist() == as_chosen.table["path"].tolist()
        for name, probabilities in answers.items():
            np.testing.assert_allclose(probabilities, as_answered[name], atol=1e-6)
