"""Which images a model is tested on."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from lungsight.datasets.manifest import Manifest
from lungsight.errors import ManifestError, PackageError
from lungsight.evaluation.testset.eligibility import Eligible, eligible_images
from lungsight.package import ModelPackage

Films = Callable[[Sequence[Any]], pd.DataFrame]


@pytest.fixture
def rows(films: Films, film: type) -> pd.DataFrame:
    return films(
        [
            film("covid19", 0.8, "trained", split="train"),
            film("covid19", 0.7, "trained"),
            film("covid19", 0.6, "new"),
            film("no_pneumonia", 0.1, "trained", source="south"),  # the same key, another source: another patient
            film("tuberculosis", 0.2, "t", view=""),
            film("covid19", 0.3, "c", view="lateral"),
            film("covid19", 0.4, "d", modality="CT"),
            film("unlabelled", 0.5, "e"),
            film("indeterminate", 0.5, "f"),
        ]
    )


@pytest.fixture
def package(make_package: Callable[[pd.DataFrame], Path], rows: pd.DataFrame) -> ModelPackage:
    return ModelPackage.open(make_package(rows[rows["split"] == "train"]))


def left_out(eligible: Eligible) -> dict[str, int]:
    return {step.reason: step.left_out for step in eligible.flow if step.left_out}


def test_only_frontal_radiographs_of_new_patients_and_known_classes_count(
    package: ModelPackage, rows: pd.DataFrame
) -> None:
    eligible = eligible_images(Manifest.of(rows, "m"), package)
    assert left_out(eligible) == {
        "label is of no class of this model": 2,
        "no X-ray": 1,
        "not a frontal view": 1,
        "of a patient the model was trained or tuned on": 2,
    }
    assert eligible.labels_left_out == {"unlabelled": 1, "indeterminate": 1}
    assert eligible.manifest.table[["patient", "truth"]].to_numpy().tolist() == [
        ["new", "covid19"],
        ["trained", "other"],
        ["t", "other"],
    ]
    assert eligible.came_in == 9
    assert eligible.flow[-1].remain == 3


def test_a_file_trained_on_is_known_under_any_name_and_patient(
    package: ModelPackage, rows: pd.DataFrame, tmp_path: Path
) -> None:
    copy, second = tmp_path / "renamed.png", tmp_path / "second.png"
    shutil.copy(rows["path"][0], copy)
    shutil.copy(rows["path"][2], second)
    again = pd.DataFrame(
        {
            "path": [str(copy), rows["path"][2], str(second), rows["path"][3]],
            "label": ["covid19", "covid19", "covid19", "no_pneumonia"],
            "source": "elsewhere",
        }
    )
    eligible = eligible_images(Manifest.of(again, "m"), package)
    assert left_out(eligible) == {"the very file was trained or tuned on": 1, "the same file again": 1}


def test_other_images_of_trained_patients_stay_when_asked_for(package: ModelPackage, rows: pd.DataFrame) -> None:
    eligible = eligible_images(Manifest.of(rows, "m"), package, trained_patients=True)
    assert left_out(eligible)["the very file was trained or tuned on"] == 1
    assert len(eligible.manifest) == 4


def test_a_missing_file_is_left_for_judging_to_explain(package: ModelPackage, tmp_path: Path) -> None:
    absent = pd.DataFrame({"path": [str(tmp_path / n) for n in ("a.png", "b.png")], "label": ["covid19", "other"]})
    assert len(eligible_images(Manifest.of(absent, "m"), package).manifest) == 2


def test_a_file_with_labels_of_two_classes_is_refused(
    package: ModelPackage, rows: pd.DataFrame, tmp_path: Path
) -> None:
    shutil.copy(rows["path"][2], tmp_path / "second.png")
    twice = pd.DataFrame({"path": [rows["path"][2], str(tmp_path / "second.png")], "label": ["covid19", "tb"]})
    with pytest.raises(ManifestError, match=r"second\.png is labelled tb, and both are the same file"):
        eligible_images(Manifest.of(twice, "m"), package)


@pytest.mark.parametrize(("label", "side"), [("covid19", "without"), ("no_pneumonia", "with")])
def test_one_side_alone_is_refused(package: ModelPackage, rows: pd.DataFrame, label: str, side: str) -> None:
    with pytest.raises(ManifestError, match=f"no image {side} COVID-19 among the"):
        eligible_images(Manifest.of(rows[rows["label"] == label], "m"), package)


def test_labels_of_no_class_are_listed_with_the_options_that_map_them(
    package: ModelPackage, rows: pd.DataFrame
) -> None:
    package.description.recipe["classes"] = {"covid19": ["covid19"], "other": ["other_pneumonia"]}
    foreign = Manifest.of(rows.assign(label=["PCR neg", "flu"] * 4 + ["flu"]), "hospital")
    with pytest.raises(ManifestError) as problem:
        eligible_images(foreign, package)
    assert "no label is known. Found: 'flu' (5), 'PCR neg' (4). Wanted: covid19, other (other_pneumonia)" in str(
        problem.value
    )
    assert "--label flu=LABEL --label 'PCR neg=not_covid19'" in str(problem.value)


def test_a_package_that_does_not_say_its_labels_is_a_fault(
    make_package: Callable[..., Path], rows: pd.DataFrame, package: ModelPackage
) -> None:
    package.description = package.description.model_copy(update={"recipe": {}})
    with pytest.raises(PackageError, match="which labels its classes hold"):
        eligible_images(Manifest.of(rows, "m"), package)
