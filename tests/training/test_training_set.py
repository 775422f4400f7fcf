from __future__ import annotations

import hashlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lungsight.datasets.leakage import leak_groups
from lungsight.datasets.manifest import Manifest
from lungsight.errors import ManifestError, RecipeError, SplitLeakageError
from lungsight.package import TrainedImage
from lungsight.training.recipe import Recipe, load_recipe
from lungsight.training.training_set import choose, choose_every_class, divide, sides_as_in


def _manifest(**columns: list[str]) -> Manifest:
    rows = len(next(iter(columns.values())))
    table = {"path": [f"{i}.png" for i in range(rows)], "label": ["covid19", "no_pneumonia"] * (rows // 2)} | columns
    return Manifest.of(pd.DataFrame(table), "mine")


def _recipe(*settings: str) -> Recipe:
    two = 'classes={covid19=["covid19"], other=["*"]}'
    return load_recipe("demo", [two, "guidance.weight=0", "split.find_duplicates=false", *settings])


def test_what_is_left_out_is_counted_by_reason() -> None:
    manifest = _manifest(
        label=["covid19", "no_pneumonia", "indeterminate", "covid19", "covid19", "tuberculosis"],
        view=["PA", "", "PA", "lateral", "AP", "AP supine"],
        modality=["DX", "", "", "DX", "CT", "CR"],
    )
    chosen, left_out = choose(_recipe(), manifest)
    assert list(chosen.table["label"]) == ["covid19", "no_pneumonia", "tuberculosis"]
    assert left_out == {"label is of no class of the recipe": 1, "not a frontal radiograph": 2}


def test_selection_rules_pick_and_draw() -> None:
    manifest = _manifest(source=["a"] * 20 + ["b"] * 20)
    rules = 'select=[{source="a", labels=["covid19"]}, {source="b", labels=["no_pneumonia"], at_most=4}]'
    chosen, left_out = choose(_recipe(rules), manifest)
    assert chosen.table.groupby(["source", "label"]).size().to_dict() == {
        ("a", "covid19"): 10,
        ("b", "no_pneumonia"): 4,
    }
    assert left_out == {"not selected by the recipe": 26}
    again, _ = choose(_recipe(rules), manifest)
    assert list(again.table["path"]) == list(chosen.table["path"])


def test_a_list_of_files_is_found_beside_the_manifest(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("filename\n0.png\n3.png\n")
    rules = 'select=[{files="list.csv"}]'
    chosen, _ = choose(_recipe(rules), _manifest(patient=list("abcdef")), (tmp_path,))
    assert [Path(path).name for path in chosen.table["path"]] == ["0.png", "3.png"]
    with pytest.raises(RecipeError, match=r"list\.csv: not found \(looked in"):
        choose(_recipe(rules), _manifest(patient=list("abcdef")))


def test_nothing_to_train_on_is_said() -> None:
    with pytest.raises(ManifestError, match="holds no image that the recipe asks for"):
        choose(_recipe('select=[{source="elsewhere"}]'), _manifest(patient=list("abcd")))


def test_by_patient_no_patient_stands_on_two_sides() -> None:
    manifest = _manifest(patient=[f"p{i // 4}" for i in range(80)])
    divided = divide(_recipe(), *choose(_recipe(), manifest))
    assert divided.leaks == ()
    assert (divided.manifest.table.groupby("patient")["split"].nunique() == 1).all()
    assert {*divided.manifest.table["split"]} == {"train", "validation", "test"}


def test_by_image_a_leaking_split_is_refused_unless_allowed() -> None:
    manifest = _manifest(patient=[f"p{i // 4}" for i in range(80)])
    by_image = _recipe("split.unit=image")
    with pytest.raises(SplitLeakageError, match=r"leaks across the split, the first: .*p\d+"):
        divide(by_image, *choose(by_image, manifest))
    allowed = _recipe("split.unit=image", "split.allow_leaks=true")
    divided = divide(allowed, *choose(allowed, manifest))
    assert len(divided.leaks) > 0


def test_images_named_for_testing_are_of_patients_not_trained_on() -> None:
    manifest = _manifest(patient=[f"p{i // 4}" for i in range(40)])
    rules = ["select=[{at_most=12}]", "test=[{}]", "split.unit=image", "split.test=0.0", "split.allow_leaks=true"]
    recipe = _recipe(*rules)
    divided = divide(recipe, *choose(recipe, manifest))
    table = divided.manifest.table
    seen = set(table.loc[table["split"] != "test", "patient"])
    tested = set(table.loc[table["split"] == "test", "patient"])
    assert tested
    assert not seen & tested
    assert len(table[table["split"] != "test"]) == 12
    assert divided.left_out["test image of a patient trained on"] == 28 - (table["split"] == "test").sum()


def test_a_given_split_is_kept_and_must_be_whole() -> None:
    sides = ["train"] * 6 + ["validation"] * 2 + ["test"] * 2
    manifest = _manifest(patient=list("abcdefghij"), split=sides)
    recipe = _recipe("split.unit=given")
    assert list(divide(recipe, *choose(recipe, manifest)).manifest.table["split"]) == sides
    holes = manifest.with_columns(split=["", *sides[1:]])
    with pytest.raises(ManifestError, match="1 images have no split"):
        divide(recipe, *choose(recipe, holes))


def test_a_class_without_training_images_is_named() -> None:
    manifest = _manifest(label=["covid19"] * 10, patient=list("abcdefghij"))
    with pytest.raises(ManifestError, match="no training image is of class other"):
        divide(_recipe(), *choose(_recipe(), manifest))


def test_the_same_image_under_two_names_stays_on_one_side(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    paths = []
    for i in range(24):
        # Every second picture repeats the one before, as another patient's.
        pixels = rng.integers(0, 255, (128, 128), dtype=np.uint8) if i % 2 == 0 else pixels  # noqa: F821
        Image.fromarray(pixels).resize((256, 256)).save(tmp_path / f"{i}.png")
        paths.append(str(tmp_path / f"{i}.png"))
    manifest = _manifest(path=paths, label=["covid19"] * 12 + ["no_pneumonia"] * 12)
    recipe = _recipe("split.find_duplicates=true")
    divided = divide(recipe, *choose(recipe, manifest), fingerprint_cache=tmp_path / "cache")
    sides = divided.manifest.table["split"]
    assert list(sides[::2]) == list(sides[1::2])
    assert divided.leaks == ()


def test_a_soft_label_is_trained_on_with_its_shares_and_never_tested_with() -> None:
    labels = ["covid19", "no_pneumonia", "indeterminate"] * 20
    manifest = _manifest(label=labels, patient=[str(i) for i in range(60)])
    recipe = _recipe("soft_labels={indeterminate={covid19=0.6, other=0.4}}", "split.validation=0.3", "split.test=0.3")
    chosen, _ = choose(recipe, manifest)
    assert len(chosen) == 60
    images = divide(recipe, chosen, {})
    table = images.manifest.table
    soft = (table["label"] == "indeterminate").to_numpy()
    assert set(table["split"][soft]) == {"train"}
    assert images.left_out == {"soft label, so nothing to validate or test with": 20 - soft.sum()}
    assert 0 < soft.sum() < 20
    np.testing.assert_allclose(images.shares[soft], [[0.6, 0.4]] * soft.sum())
    assert (images.targets[soft] == 0).all()
    assert (images.shares[~soft].max(axis=1) == 1).all()


def test_soft_labels_alone_are_no_class_to_train() -> None:
    manifest = _manifest(label=["indeterminate", "no_pneumonia"] * 10)
    recipe = _recipe("soft_labels={indeterminate={covid19=0.9, other=0.1}}")
    chosen, _ = choose(recipe, manifest)
    with pytest.raises(ManifestError, match="covid19"):
        divide(recipe, chosen, {})


TRIPLE = ["classes={covid19=['covid19'], other_pneumonia=['other_pneumonia'], no_pneumonia=['no_pneumonia']}"]


def test_a_class_without_images_is_named_with_what_was_found_and_the_two_classes_to_train() -> None:
    manifest = _manifest(label=["covid19", "normal"] * 10)
    with pytest.raises(ManifestError) as problem:
        choose_every_class(_recipe(*TRIPLE), manifest)
    said = str(problem.value)
    assert "no training image is of class other_pneumonia" in said
    assert "Found: 'covid19' (10), 'normal' (10). Wanted: covid19, other_pneumonia, no_pneumonia" in said
    assert "--label normal=no_pneumonia" in said
    assert "--class covid19=covid19 --class 'other=*'" in said


def test_no_image_chosen_says_what_was_found_and_what_was_wanted() -> None:
    manifest = _manifest(label=["covid19", "no_pneumonia"] * 10, view=["lateral"] * 20)
    with pytest.raises(ManifestError) as problem:
        choose(_recipe("select=[{source='siim'}]"), manifest)
    said = str(problem.value)
    assert "Found: labels 'covid19' (10), 'no_pneumonia' (10); sources" in said
    assert "views 'lateral' (20)" in said
    assert "frontal views; of these only: source siim" in said


def test_labels_that_are_nobodys_class_are_listed() -> None:
    with pytest.raises(ManifestError, match=r"no label is known\. Found: 'a' \(10\), 'b' \(10\)"):
        choose(_recipe(*TRIPLE), _manifest(label=["a", "b"] * 10))


@pytest.mark.parametrize("label", ["COVID", "SARS-CoV-2", "positive"])
def test_what_may_mean_the_target_is_not_trained_on_as_its_opposite(label: str) -> None:
    with pytest.raises(ManifestError, match="it isn't clear whether these labels mean covid19"):
        choose(_recipe(), _manifest(label=["covid19", "no_pneumonia", label, "tuberculosis"] * 5))


def test_a_denial_trains_two_classes_and_no_three() -> None:
    manifest = _manifest(label=["covid19", "not_covid19"] * 10)
    assert len(choose(_recipe(), manifest)[0]) == 20
    with pytest.raises(ManifestError, match="states only what an image isn't, and the recipe has further classes"):
        choose(_recipe(*TRIPLE), manifest)


def test_one_file_under_two_names_with_two_labels_is_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for i in range(4):
        Image.fromarray(rng.integers(0, 255, (64, 64), dtype=np.uint8)).save(tmp_path / f"{i}.png")
    (tmp_path / "2.png").write_bytes((tmp_path / "1.png").read_bytes())
    paths = [str(tmp_path / f"{i}.png") for i in range(4)]
    manifest = _manifest(path=paths, label=["covid19", "covid19", "no_pneumonia", "no_pneumonia"])
    recipe = _recipe("split.find_duplicates=true")
    with pytest.raises(ManifestError, match=r"1\.png is labelled covid19 and .*2\.png is labelled no_pneumonia"):
        divide(recipe, *choose(recipe, manifest), fingerprint_cache=tmp_path / "cache")


def test_a_split_as_in_a_package_keeps_its_patients_where_they_were(tmp_path: Path) -> None:
    for name in "abcdefghijkl":
        Image.new("L", (64, 64), ord(name)).save(tmp_path / f"{name}.png")
    manifest = Manifest.of(
        pd.DataFrame(
            {
                "path": [str(tmp_path / f"{name}.png") for name in "abcdefghijkl"],
                "label": ["covid19", "no_pneumonia"] * 6,
                "patient": ["1", "1", "2", "3", "4", "5", *"123456"],
                "source": ["known"] * 6 + ["new"] * 6,
            }
        ),
        "mine",
    )
    copy = hashlib.sha256((tmp_path / "d.png").read_bytes()).hexdigest()
    trained_on = (
        TrainedImage.of("0" * 64, source="known", patient="1", split="train"),
        TrainedImage.of("1" * 64, source="known", patient="2", split="validation"),
        TrainedImage.of(copy, source="elsewhere", patient="9", split="train"),  # known by its file
    )
    package = SimpleNamespace(trained_on=trained_on)
    sides = sides_as_in(package, manifest, leak_groups(manifest, []), tmp_path / "cache")  # type: ignore[arg-type]
    assert list(sides) == ["train", "train", "validation", "train", "test", "test", *[""] * 6]
