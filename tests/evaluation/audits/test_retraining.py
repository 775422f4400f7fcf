"""A phantom model trained for real, and trained again without each of its hospitals."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pandas as pd
import pytest
from rich.console import Console

from lungsight.datasets.manifest import Manifest
from lungsight.datasets.phantom import write_collection
from lungsight.errors import ManifestError, PackageError
from lungsight.evaluation.audits.audit import AuditInput
from lungsight.evaluation.audits.leave_one_source_out import SPEC
from lungsight.evaluation.audits.retraining import HeldOut, _why_not, retrain_without_each
from lungsight.evaluation.testset.predict import predict_manifest_images
from lungsight.evaluation.testset.testset import KIND, TestSet
from lungsight.inference import Detector
from lungsight.package import ModelPackage
from lungsight.reporting.tables import frame
from lungsight.statistics.bootstrap import Resampling
from lungsight.statistics.outcomes import TRUTH

pytest.importorskip("torch")
pytestmark = pytest.mark.long

SETTINGS = (
    "backbone=test_resnet",
    "weights=random",
    "image_size=64",
    "batch_size=8",
    "checkpoint_seconds=0",
    "sampling.balance=[]",
    "stages=[{epochs=1, lr=1e-3}]",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on 60 phantoms of two hospitals."""
    from lungsight.training.recipe import load_recipe
    from lungsight.training.run import train

    folder = tmp_path_factory.mktemp("retraining")
    write_collection(folder / "phantoms", patients=60, seed=7, size=96, workers=1).write(folder / "phantoms.csv")
    manifest = Manifest.read(folder / "phantoms.csv")
    run, cache = folder / "run", folder / "cache"
    train(load_recipe("demo", SETTINGS), manifest, run, cache=cache, console=Console(quiet=True))
    return folder


@pytest.fixture(scope="module")
def package(folder: Path) -> ModelPackage:
    return ModelPackage.open(folder / "run" / "package")


@pytest.fixture(scope="module")
def testset(folder: Path, package: ModelPackage) -> TestSet:
    """The run's test images, by the full model."""
    manifest = Manifest.read(folder / "run" / "manifest.csv")
    tested = manifest.where(manifest.table["split"] == "test")
    tested = tested.with_columns(**{TRUTH: tested.table["label"], KIND: "internal"})
    return predict_manifest_images(Detector.load(package, features=True), tested)


@pytest.fixture(scope="module")
def held_out(folder: Path, package: ModelPackage, testset: TestSet) -> tuple[HeldOut, ...]:
    manifest = Manifest.read(folder / "phantoms.csv")
    return retrain_without_each(package, manifest, testset, folder / "retrained", cache=folder / "cache")


def test_training_carries_a_perceptual_hash_of_every_image(package: ModelPackage) -> None:
    assert package.trained_on
    assert all(image.perceptual_hash for image in package.trained_on)


def test_each_source_is_held_out_of_a_training_that_is_otherwise_the_same(
    folder: Path, package: ModelPackage, held_out: tuple[HeldOut, ...]
) -> None:
    assert [each.source for each in held_out] == ["phantom-north", "phantom-south"]
    sides = {image.sha256: image.split for image in package.trained_on}
    for each in held_out:
        again = ModelPackage.open(folder / "retrained" / f"without-{each.source}" / "package")
        assert {source.name for source in again.description.sources} == {"phantom-north", "phantom-south"} - {
            each.source
        }
        assert {image.sha256: image.split for image in again.trained_on}.items() <= sides.items()
        assert again.description.classes == package.description.classes
        unlike = {"name", "split", "select", "test"}
        one, other = package.description.recipe, again.description.recipe
        assert {k: v for k, v in one.items() if k not in unlike} == {
            k: v for k, v in other.items() if k not in unlike
        }


def test_both_models_judge_the_same_unseen_images(testset: TestSet, held_out: tuple[HeldOut, ...]) -> None:
    for each in held_out:
        expected = testset.table.loc[testset.table["source"] == each.source, "path"]
        assert set(each.full.table["path"]) <= set(expected)
        assert len(each.full) > 0.8 * len(expected)  # a phantom may look like another
        pd.testing.assert_series_equal(each.full.table["path"], each.held_out.table["path"])
        assert not each.full.table["probability_covid19"].equals(each.held_out.table["probability_covid19"])


def test_the_audit_compares_them(testset: TestSet, held_out: tuple[HeldOut, ...]) -> None:
    audit = SPEC.audit(AuditInput(testset, Resampling(replicates=100), retrained=held_out))
    table = frame(audit.rows)[frame(audit.rows)["model"] == "as it stands less trained without it"]
    assert {"phantom-north", "phantom-south"} <= set(table["source"])
    assert audit.images == len(testset)


def test_a_finished_retraining_is_taken_up(
    folder: Path, package: ModelPackage, testset: TestSet, held_out: tuple[HeldOut, ...]
) -> None:
    file = folder / "retrained" / "without-phantom-north" / "package" / "package.json"
    before = file.stat().st_mtime_ns
    again = retrain_without_each(
        package, Manifest.read(folder / "phantoms.csv"), testset, folder / "retrained", cache=folder / "cache"
    )
    assert file.stat().st_mtime_ns == before
    pd.testing.assert_frame_equal(again[0].held_out.table, held_out[0].held_out.table)


def test_what_cannot_be_trained_without_is_said(
    folder: Path, package: ModelPackage, testset: TestSet, tmp_path: Path
) -> None:
    """All COVID-19 of one hospital only."""
    manifest = Manifest.read(folder / "phantoms.csv")
    elsewhere = (manifest.table["label"] == "covid19") & (manifest.table["source"] == "phantom-south")
    moved = manifest.with_columns(source=manifest.table["source"].where(~elsewhere, "phantom-north"))
    one = Manifest(moved.table.assign(source="phantom-north"), "one")
    (only,) = retrain_without_each(package, one, testset, tmp_path)
    assert "the only source" in only.withheld
    north, _ = retrain_without_each(package, moved, testset, folder / "moved", cache=folder / "cache")
    assert north.withheld == "without phantom-north no training image is of the class covid19"


def test_a_model_that_went_on_from_another_is_not_trained_without_what_that_one_saw() -> None:
    description = SimpleNamespace(initial_weights="the package first-0123456789ab")
    package = cast(ModelPackage, SimpleNamespace(description=description))
    images = Manifest.of(pd.DataFrame({"path": ["1.png"], "label": ["covid19"]}), "elsewhere")
    assert "which may have seen home" in _why_not(package, images, "home")


def test_a_manifest_without_the_training_images_is_a_fault(
    folder: Path, package: ModelPackage, testset: TestSet, tmp_path: Path
) -> None:
    manifest = Manifest.read(folder / "phantoms.csv")
    few = manifest.where(pd.Series(range(len(manifest))) < 5)
    with pytest.raises(ManifestError, match=r"of the \d+ images that the model was trained on"):
        retrain_without_each(package, few, testset, tmp_path)


def test_a_package_without_its_recipe_is_a_fault(folder: Path, testset: TestSet, tmp_path: Path) -> None:
    package = ModelPackage.open(folder / "run" / "package")
    stated = {"classes": package.description.recipe["classes"]}
    package.description = package.description.model_copy(update={"recipe": stated})
    with pytest.raises(PackageError, match="whole recipe"):
        retrain_without_each(package, Manifest.read(folder / "phantoms.csv"), testset, tmp_path)
